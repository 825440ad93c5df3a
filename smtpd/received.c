/* SPDX-License-Identifier: ISC */
/*
 * RFC 5321 4.4 trace information. Of a user's own program it says neither name nor address: where somebody was
 * when writing is nobody else's business; the log has it under the same trace id.
 */
#include "smtpd/received.h"

#include "common/base/clock.h"

/* A client's words in a structured field: only what a host name or address literal is made of. */
static void
put_hello(struct buf *out, struct str hello)
{
	for (size_t i = 0; i < hello.n; i++) {
		char c = hello.p[i];
		bool plain = ascii_is_alnum(c) || (c != '\0' && strchr("-._:[]", c) != NULL);

		buf_put_c(out, plain ? c : '?');
	}
}

/* RFC 3848: what "with" says. */
static const char *
protocol(const struct received *received)
{
	if (!received->extended)
		return "SMTP";
	if (received->logged_in)
		return received->secure ? "ESMTPSA" : "ESMTPA";
	return received->secure ? "ESMTPS" : "ESMTP";
}

void
received_put(struct buf *out, const struct received *received)
{
	buf_put_z(out, "Received: ");
	if (!received->logged_in) {
		buf_put_z(out, "from ");
		put_hello(out, received->hello);
		buf_put_z(out, " (");
		net_address_put_literal(out, received->peer);
		buf_put_z(out, ")\r\n\t");
	}
	buf_put_z(out, "by ");
	buf_put(out, received->hostname);
	buf_put_z(out, " (Trivet) with ");
	buf_put_z(out, protocol(received));
	if (received->secure && received->tls.n > 0) {
		buf_put_z(out, " (");
		buf_put(out, received->tls);
		buf_put_c(out, ')');
	}
	buf_put_z(out, "\r\n\tid ");
	buf_put(out, received->trace);
	if (received->recipient.n > 0) {
		buf_put_z(out, " for <");
		buf_put(out, received->recipient);
		buf_put_c(out, '>');
	}
	buf_put_z(out, ";\r\n\t");
	clock_put_rfc5322(out, received->now);
	buf_put_z(out, "\r\n");
}

void
received_put_date(struct buf *out, int64_t now)
{
	buf_put_z(out, "Date: ");
	clock_put_rfc5322(out, now);
	buf_put_z(out, "\r\n");
}

void
received_put_message_id(struct buf *out, struct str trace, struct str hostname)
{
	buf_put_z(out, "Message-ID: <");
	buf_put(out, trace);
	buf_put_c(out, '@');
	buf_put(out, hostname);
	buf_put_z(out, ">\r\n");
}
