/* SPDX-License-Identifier: ISC */
/*
 * From plain to TLS: what was said before is forgotten, the plain output goes out first, and the handshake has a time
 * limit. RFC 3207 6, RFC 2595 4.
 */
#include "common/net/stream_inside.h"
#include "common/net/tls.h"

enum { HANDSHAKE_MS = 10 * 1000 };

void
stream_begin_handshake(struct stream *s)
{
	s->tls = TLS_HANDSHAKE;
	s->handshake_needs = WIRE_WANTS_READ;
	if (!s->tls_server)
		stream_step_handshake(s);
}

void
stream_step_handshake(struct stream *s)
{
	s->handshake_needs = wire_handshake(&s->wire);
	if (s->handshake_needs == WIRE_FAILED)
		stream_broke(s);
	if (s->handshake_needs != WIRE_DONE)
		return;
	s->tls = TLS_ON;
	timer_stop(s->deadline);
	wire_put_info(&s->wire, &s->info);
	/* The first request may have come with the end of the handshake. */
	s->held_inside = wire_holds_bytes(&s->wire);
	stream_note(s, STREAM_SECURE);
	if (stream_unsent(s) > 0)
		stream_send(s);
}

static void
on_deadline(void *context)
{
	struct stream *s = context;

	if (s->closing != NOT_CLOSING) {
		stream_free(s);
		return;
	}
	wire_fail(&s->wire, "TLS handshake: not done in time", 0);
	stream_broke(s);
	stream_deliver(s);
}

void
stream_set_deadline(struct stream *s, int64_t ms)
{
	if (s->deadline == NULL)
		s->deadline = timer_new(s->loop, on_deadline, s);
	timer_set(s->deadline, ms);
}

static void
start_tls(struct stream *s, struct tls_context *tls, bool is_server, const char *name)
{
	/* RFC 3207 6, RFC 2595 4: what was said in the clear is as if never said. */
	stream_forget_input(s);
	s->news &= ~(1u << STREAM_INPUT);
	s->read_needs = WIRE_WANTS_READ;
	if (s->broken)
		return;
	s->tls_server = is_server;
	s->tls = TLS_AFTER_OUTPUT;
	if (s->eof)
		wire_fail(&s->wire, "TLS handshake: the other side left", 0);
	if (s->eof || !wire_start_tls(&s->wire, tls, is_server, name)) {
		stream_broke(s);
	} else {
		stream_set_deadline(s, HANDSHAKE_MS);
		if (!s->sending)
			stream_send(s);
	}
	stream_update(s);
}

void
stream_accept_tls(struct stream *s, struct tls_context *tls)
{
	start_tls(s, tls, true, NULL);
}

void
stream_connect_tls(struct stream *s, struct tls_context *tls, const char *name)
{
	start_tls(s, tls, false, name);
}

bool
stream_is_secure(const struct stream *s)
{
	return s->tls == TLS_ON;
}

struct str
stream_tls_info(const struct stream *s)
{
	return buf_str(&s->info);
}
