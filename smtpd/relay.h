/* SPDX-License-Identifier: ISC */
/*
 * The outgoing SMTP session (RFC 5321): one message to one of several hosts, tried in their order, with
 * an answer for every recipient. TLS where it is offered, and plain again where it then fails (RFC 3207).
 */
#pragma once

#include "common/base/log.h"
#include "common/net/tls.h"
#include "smtpd/messages.h"
#include "smtpd/route.h"

struct relay_message {
	struct str sender;
	const struct str *recipients;
	size_t count;
	bool eight_bit;
	int fd;			/* of the spool file; not owned */
	uint64_t size;
};

struct relay_setup {
	struct loop *loop;
	struct tls_context *tls;	/* NULL: never TLS */
	struct str hello;		/* our name, for EHLO */
	int64_t connect_ms;
	int64_t reply_ms;		/* for a reply, and for the other side to take a piece of the message */
	const struct log *log;
};

/* What came of recipient n; the answer lives during the call. Once for each. */
typedef void relay_answered(void *context, uint32_t n, const struct answer *);
/* All recipients are answered; the relay has been freed. */
typedef void relay_ended(void *context);

struct relay;

/* An address with a control octet would come out as a command of its own. */
bool relay_is_sendable(struct str address);
/* Sender and recipients (at least one) are sendable. hosts (at least one) and what message and setup point to outlive it. Calls never come from inside. */
struct relay *relay_new(const struct relay_setup *, const struct route_host *hosts, size_t count,
    const struct relay_message *, relay_answered *, relay_ended *, void *context);
/* Breaks off; no call any more. Takes NULL. */
void relay_free(struct relay *);
