/* SPDX-License-Identifier: ISC */
/*
 * A stream as its three files see it: stream.c has the buffers and what moves them, stream_tls.c the handshake,
 * stream_finish.c the end of one that nobody has any more.
 */
#pragma once

#include <sys/queue.h>

#include "common/net/ranges.h"
#include "common/net/stream.h"

enum tls_state {
	TLS_NONE,
	TLS_AFTER_OUTPUT,	/* begins when the plain output ("220 Ready") is gone */
	TLS_HANDSHAKE,
	TLS_ON,
};

enum closing { NOT_CLOSING, SENDING_REST, LINGERING };

struct stream {
	TAILQ_ENTRY(stream) entry;	/* of those being finished */
	struct loop *loop;
	struct wire wire;
	struct watch *watch;
	struct timer *later;		/* 0 ms: tells the news from the loop */
	struct timer *idle;		/* these two are made when first set */
	struct timer *deadline;		/* of the handshake, then of the finish */
	stream_handler *handler;	/* NULL: nobody is told any more */
	void *context;
	struct buf in, info;
	struct ranges files;		/* to be sent before out */
	struct buf out;
	size_t input_limit, chunk, lingered;
	int64_t idle_ms, active_at;
	unsigned news;			/* bits: 1 << enum stream_event */
	enum tls_state tls;
	enum closing closing;
	/* What the last read, write and handshake waited for: TLS may cross them. */
	enum wire_result read_needs, write_needs, handshake_needs;
	bool tls_server;
	bool paused;
	bool eof;
	bool broken;
	bool held_inside;		/* reading stopped at the limit while TLS held more */
	bool sending;			/* the rest goes when the other side takes it */
	bool was_full;
	bool shut_wanted, shut;
	bool *gone;			/* set when the handler freed us */
};

/* ---- stream.c ---- */

/* Tells the handler the news; from the loop only. The stream may be gone afterwards. */
void stream_deliver(struct stream *);
void stream_note(struct stream *, enum stream_event);
/* Computes what we wait for; after each change of what that depends on. */
void stream_update(struct stream *);
/* The words are in the wire's error already. What was read before stays news. */
void stream_broke(struct stream *);
/* What a client says may be a password: nothing of it stays behind in memory that is given back. */
void stream_forget_input(struct stream *);
/* Octets that wait to be sent. */
uint64_t stream_unsent(const struct stream *);
/* Sends what the other side takes, and goes on to what was to come behind it. */
void stream_send(struct stream *);

/* ---- stream_tls.c ---- */

static inline bool
stream_is_greeting(const struct stream *s)
{
	return s->tls == TLS_AFTER_OUTPUT || s->tls == TLS_HANDSHAKE;
}

/* The plain output is gone. */
void stream_begin_handshake(struct stream *);
void stream_step_handshake(struct stream *);
/* Of the handshake or of the finish, whichever it is in. */
void stream_set_deadline(struct stream *, int64_t ms);

/* ---- stream_finish.c ---- */

/* One step towards the end; the stream may be gone afterwards. */
void stream_step_closing(struct stream *);
void stream_forget_finish(struct stream *);
