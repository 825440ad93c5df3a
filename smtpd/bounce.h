/* SPDX-License-Identifier: ISC */
/*
 * What the sender is told: a multipart/report (RFC 6522) with human words first, the delivery status
 * (RFC 3464) and the original's header. Pure: facts in, a whole message out, CRLF line ends.
 */
#pragma once

#include "common/base/buf.h"

enum bounce_kind { BOUNCE_FAILED, BOUNCE_DELAYED };

struct bounce_recipient {
	struct str given;	/* as the sender put it */
	struct str address;	/* what it came to */
	struct str status;	/* "5.1.1"; empty or of another class: made to fit the kind */
	struct str answer;	/* the other side's words, or ours */
	struct str host;	/* who said so; empty: this host */
	int64_t last_at;	/* of the last attempt, 0: none */
};

struct bounce {
	enum bounce_kind kind;
	struct str hostname;
	struct str id;		/* of this message: Message-ID and boundary */
	struct str to;		/* the original's sender */
	struct str trace;	/* the original's */
	int64_t arrived;	/* the original */
	int64_t now;
	int64_t until;		/* DELAYED: when we give up */
	const struct bounce_recipient *recipients;
	size_t count;
	struct str header;	/* the original's header block, or its beginning */
};

void bounce_put(struct buf *out, const struct bounce *);
/* "2 hours", "5 days": a span of time for people. */
void bounce_put_span(struct buf *out, int64_t seconds);
