/* SPDX-License-Identifier: ISC */
/*
 * A connection: bytes in, bytes out, plain or TLS alike. Reads by itself into the input
 * buffer up to its limit; sends what the output buffer holds when flushed, the rest
 * as the other side takes it. The handler runs from the loop, never from inside a call of
 * a stream function, and may free the stream.
 */
#pragma once

#include "common/base/buf.h"
#include "common/net/loop.h"

struct stream;
struct tls_context;

enum stream_event {
	STREAM_INPUT,		/* there are new bytes in the input */
	STREAM_DRAINED,		/* the output fell under the low-water mark after being above the high one, or to 0 after it had to wait */
	STREAM_EOF,		/* the other side will send no more; what was sent before is in the input */
	STREAM_BROKEN,		/* read, write or TLS failed: nothing more will come or go */
	STREAM_IDLE,		/* nothing came or went for the time set */
	STREAM_SECURE,		/* the TLS handshake is done */
};

typedef void stream_handler(void *context, struct stream *, enum stream_event);

enum {
	STREAM_INPUT_LIMIT = 64 * 1024,		/* default: stops reading at this many bytes unread */
	STREAM_HIGH_WATER = 256 * 1024,		/* stream_is_full from here */
	STREAM_LOW_WATER = 64 * 1024,
	STREAM_FILES_MAX = 8,			/* and so many files waiting make it full as well */
};

/* fd is owned from here on, and is made non-blocking. */
struct stream *stream_new(struct loop *, int fd, stream_handler *, void *context);
/* Closes at once; unsent output is lost. Takes NULL. */
void stream_free(struct stream *);
/* Sends what is left (for at most 10 s), says goodbye in TLS, closes and frees; the handler is not called again. */
void stream_finish(struct stream *);
/* Closes at once what stream_finish still holds: the process ends, and so does its loop. */
void stream_finish_none(void);
/* The new one hears of an end (STREAM_EOF, STREAM_BROKEN) that was told to the old one; of unread input after stream_poke. */
void stream_set_handler(struct stream *, stream_handler *, void *context);

/*
 * Take what was used off the front; the rest stays for the next STREAM_INPUT. Who takes
 * outside of the handler calls stream_resume (or stream_poke) afterwards, or nothing more is read.
 */
struct buf *stream_input(struct stream *);
void stream_set_input_limit(struct stream *, size_t bytes);
/* Calls the handler with STREAM_INPUT again from the loop, if there is input: after a pause. */
void stream_poke(struct stream *);
void stream_pause(struct stream *);	/* stop reading */
void stream_resume(struct stream *);

/*
 * Put bytes here, then flush. What the kernel takes at once is sent within the flush, and brings no
 * STREAM_DRAINED unless the output was full. Once broken, output is thrown away.
 */
struct buf *stream_output(struct stream *);
void stream_flush(struct stream *);
/*
 * Puts n octets of a file there, behind what is put already: they go to a plain connection without being read, else they are
 * read in pieces when their turn comes. fd is owned from here on. A file that has less by then breaks the stream:
 * they were promised, and nothing can stand for them.
 */
void stream_put_file(struct stream *, int fd, uint64_t from, uint64_t n);
/* Is that why it broke? */
bool stream_lacks_file(const struct stream *);
/* Above the high-water mark: produce no more until STREAM_DRAINED. */
bool stream_is_full(const struct stream *);
/* Half close: the other side sees the end after the output. */
void stream_shut_output(struct stream *);

/* 0: never. Any byte in or out starts it anew. */
void stream_set_idle_ms(struct stream *, int64_t ms);

/*
 * Begins TLS now (as server, or as client for the name); unread plaintext input is thrown away (RFC 3207 6,
 * RFC 2595 4). Ends in STREAM_SECURE or STREAM_BROKEN; has a time limit of its own (10 s).
 */
void stream_accept_tls(struct stream *, struct tls_context *);
void stream_connect_tls(struct stream *, struct tls_context *, const char *name);
bool stream_is_secure(const struct stream *);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384", or empty. Lives as long as the stream. */
struct str stream_tls_info(const struct stream *);
/*
 * Why it broke, in words, for the log; after STREAM_EOF, what was irregular about the end (TLS without
 * close_notify), or empty. Lives until the next call.
 */
const char *stream_error(const struct stream *);

int stream_fd(const struct stream *);
/*
 * Gives the descriptor away: the stream is freed, its unread input moved to *input. Plaintext only, and
 * only when the output is empty; else the process ends.
 */
int stream_detach(struct stream *, struct buf *input);
