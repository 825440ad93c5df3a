/* SPDX-License-Identifier: ISC */
/* The fields that we write on top of a message or into its header: RFC 5321 4.4, RFC 3848, RFC 6409 8. Pure. */
#pragma once

#include "common/base/buf.h"
#include "common/net/address.h"

struct received {
	struct str hello;		/* what the client called itself */
	bool extended;			/* EHLO, not HELO */
	bool secure;
	struct str tls;			/* "TLSv1.3 TLS_AES_256_GCM_SHA384" where secure */
	bool logged_in;
	const struct net_address *peer;
	struct str hostname;
	struct str trace;
	struct str recipient;		/* as given in RCPT; empty: there are several, nobody learns of the others */
	int64_t now;			/* seconds */
};

/* Appends the whole folded field with its CRLF. */
void received_put(struct buf *out, const struct received *);
/* Appends "Date: ..." and "Message-ID: <trace@hostname>", with CRLF. */
void received_put_date(struct buf *out, int64_t now);
void received_put_message_id(struct buf *out, struct str trace, struct str hostname);
