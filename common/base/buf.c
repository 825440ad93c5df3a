/* SPDX-License-Identifier: ISC */
#include "common/base/buf.h"

#include <stdio.h>
#include <stdlib.h>

enum { SMALLEST = 64 };

void
buf_free(struct buf *b)
{
	if (b == NULL)
		return;
	free(b->base);
	*b = BUF_INIT;
}

void
buf_clear(struct buf *b)
{
	b->p = b->base;
	b->n = 0;
}

void
buf_wipe(struct buf *b)
{
	if (b->base != NULL)
		explicit_bzero(b->base, b->cap);
	buf_free(b);
}

void
buf_shrink(struct buf *b, size_t keep)
{
	if (b->n == 0 && b->cap > keep)
		buf_free(b);
}

char *
buf_more_room(struct buf *b, size_t n)
{
	size_t before = b->base ? (size_t)(b->p - b->base) : 0;
	size_t cap;

	if (n > SIZE_MAX / 4 || b->n > SIZE_MAX / 4)
		fatal("buffer of %zu bytes cannot grow by %zu", b->n, n);
	if (before > 0 && b->n > 0)
		memmove(b->base, b->p, b->n);
	b->p = b->base;
	if (b->cap - b->n < n || b->base == NULL) {
		cap = b->cap ? b->cap : SMALLEST;
		while (cap - b->n < n)
			cap *= 2;
		b->base = xrealloc(b->base, cap);
		b->cap = cap;
		b->p = b->base;
	}
	return b->p + b->n;
}

void
buf_added(struct buf *b, size_t n)
{
	b->n += n;
}

void
buf_put_u64(struct buf *b, uint64_t value)
{
	char digits[20];
	size_t n = sizeof(digits);

	do {
		digits[--n] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	buf_put(b, (struct str){ digits + n, sizeof(digits) - n });
}

void
buf_printf(struct buf *b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_vprintf(b, format, args);
	va_end(args);
}

void
buf_vprintf(struct buf *b, const char *format, va_list args)
{
	va_list again;
	int n;

	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (n < 0)
		fatal("bad format '%s'", format);
	vsnprintf(buf_room(b, (size_t)n + 1), (size_t)n + 1, format, args);
	b->n += (size_t)n;
}

void
buf_take(struct buf *b, size_t n)
{
	if (n >= b->n) {
		buf_clear(b);
		return;
	}
	b->p += n;
	b->n -= n;
}

void
buf_cut(struct buf *b, size_t n)
{
	if (n < b->n)
		b->n = n;
}

const char *
buf_z(struct buf *b)
{
	*buf_room(b, 1) = '\0';
	return b->p;
}
