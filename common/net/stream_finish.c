/* SPDX-License-Identifier: ISC */
/*
 * The end of a stream whose owner has left it: the rest is sent, our half is closed, and the other side's end awaited,
 * each for a limited time. Only the loop knows it then.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/net/stream_inside.h"

enum {
	FINISH_MS = 10 * 1000,		/* to send what is left */
	LINGER_MS = 1000,		/* then to hear the other side's end */
	LINGER_MOST = 256 * 1024,	/* bytes listened to meanwhile */
};

static TAILQ_HEAD(, stream) finishing = TAILQ_HEAD_INITIALIZER(finishing);

void
stream_forget_finish(struct stream *s)
{
	if (s->closing != NOT_CLOSING)
		TAILQ_REMOVE(&finishing, s, entry);
}

void
stream_finish(struct stream *s)
{
	if (s == NULL)
		return;
	if (stream_is_greeting(s) && !s->broken) {
		stream_free(s);
		return;
	}
	s->handler = NULL;
	s->news = 0;
	s->idle_ms = 0;
	timer_free(s->idle);
	s->idle = NULL;
	timer_stop(s->later);
	stream_forget_input(s);
	if (s->closing == NOT_CLOSING)
		TAILQ_INSERT_TAIL(&finishing, s, entry);
	s->closing = SENDING_REST;
	s->shut_wanted = !s->broken;
	stream_set_deadline(s, FINISH_MS);
	if (!s->broken && !s->sending)
		stream_send(s);
	stream_step_closing(s);
}

void
stream_finish_none(void)
{
	while (!TAILQ_EMPTY(&finishing))
		stream_free(TAILQ_FIRST(&finishing));
}

/* Reads past TLS: nobody looks at it, and OpenSSL takes no more after the goodbye. */
static void
linger(struct stream *s)
{
	char lost[4096];
	ssize_t n;

	while ((n = read(s->wire.fd, lost, sizeof(lost))) > 0) {
		s->lingered += (size_t)n;
		if (s->lingered > LINGER_MOST)
			break;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	stream_free(s);
}

/*
 * RFC 9293 3.10.4 (RFC 1122 4.2.2.13): closing while bytes are unread sends a reset, which can overtake our last answer;
 * so we end our half first and listen a moment.
 */
void
stream_step_closing(struct stream *s)
{
	if (s->closing == LINGERING) {
		linger(s);
		return;
	}
	if (s->sending) {
		stream_update(s);
		return;
	}
	/* Not a socket, not connected any more, or the other side's end is known. */
	if (shutdown(s->wire.fd, SHUT_WR) != 0 || (s->eof && s->wire.ssl == NULL)) {
		stream_free(s);
		return;
	}
	s->closing = LINGERING;
	stream_set_deadline(s, LINGER_MS);
	stream_update(s);
}
