/* SPDX-License-Identifier: ISC */
/*
 * Bytes that grow at the end and are taken from the front. Exactly one owner.
 * Growth ends the process when memory is gone: the caller keeps a named limit.
 * A view of a buf (buf_str) lives until the next change of it.
 */
#pragma once

#include <stdarg.h>

#include "common/base/str.h"

struct buf {
	char *p;	/* first live byte */
	size_t n;	/* live bytes */
	char *base;	/* what was allocated */
	size_t cap;
};

#define BUF_INIT ((struct buf){ 0 })

void buf_free(struct buf *);
#define scoped_buf __attribute__((cleanup(buf_free))) struct buf

/* Forgets the bytes, keeps the memory. */
void buf_clear(struct buf *);
/* Overwrites everything it ever held with zeros, then frees: for secrets. */
void buf_wipe(struct buf *);
/* Gives memory beyond `keep` bytes back when the buffer is empty. */
void buf_shrink(struct buf *, size_t keep);

/* Room for n more bytes at the end; returns where they go. buf_added tells how many came. */
static inline char *buf_room(struct buf *, size_t n);
char *buf_more_room(struct buf *, size_t n);	/* buf_room's, where there is none yet */
void buf_added(struct buf *, size_t n);

static inline void buf_put(struct buf *, struct str);
static inline void buf_put_z(struct buf *, const char *);
static inline void buf_put_c(struct buf *, char);
void buf_put_u64(struct buf *, uint64_t);
void buf_printf(struct buf *, const char *format, ...) printf_like(2, 3);
void buf_vprintf(struct buf *, const char *format, va_list) printf_like(2, 0);

/* Drops n bytes (at most all) from the front. */
void buf_take(struct buf *, size_t n);
/* Keeps the first n bytes (n at most buf.n). */
void buf_cut(struct buf *, size_t n);

static inline char *
buf_room(struct buf *b, size_t n)
{
	if (b->base == NULL || b->cap - (size_t)(b->p - b->base) - b->n < n)
		return buf_more_room(b, n);
	return b->p + b->n;
}

static inline void
buf_put(struct buf *b, struct str s)
{
	if (s.n == 0)
		return;
	memcpy(buf_room(b, s.n), s.p, s.n);
	b->n += s.n;
}

/* Inline, so that the length of what stands in the program is known when it is compiled. */
static inline void
buf_put_z(struct buf *b, const char *text)
{
	buf_put(b, (struct str){ text, strlen(text) });
}

static inline void
buf_put_c(struct buf *b, char c)
{
	*buf_room(b, 1) = c;
	b->n++;
}

static inline struct str
buf_str(const struct buf *b)
{
	return (struct str){ b->p ? b->p : "", b->n };
}

/* NUL-terminated view; the NUL is not counted. Lives until the next change. */
const char *buf_z(struct buf *);
