/* SPDX-License-Identifier: ISC */
/*
 * COMPRESS (RFC 4978): between a session and its stream stand two buffers and zlib. Invariant:
 * after session_flush all that was said has reached the stream, ended so that the client can
 * read the whole of it; what comes is never inflated beyond the limit of a command.
 */
#include <stdlib.h>
#include <zlib.h>

#include "imapd/imapd.h"

enum {
	LEVEL = 3,			/* mail is sent once: little time for most of the gain */
	INFLATE_WINDOW = -15,		/* raw deflate; the client may use as much (RFC 4978 3) */
	DEFLATE_WINDOW = -13,		/* together 96 KB a session */
	DEFLATE_MEMORY = 7,
	DEFLATED_LEAST = 512,		/* room asked for at once, octets */
	INFLATED_MOST = 16 * 1024,
	PLAIN_MOST = 64 * 1024,		/* said and not deflated yet, then it is */
};

struct compression {
	z_stream inflate;
	z_stream deflate;
	struct buf in;			/* what the client said */
	struct buf out;			/* what is to be said */
	bool over;			/* the client ended its half, or it is damaged */
};

static void *
take_memory(void *context, unsigned items, unsigned size)
{
	(void)context;
	return xcalloc(items, size);
}

static void
give_memory(void *context, void *memory)
{
	(void)context;
	free(memory);
}

struct compression *
compression_new(void)
{
	struct compression *c = xcalloc(1, sizeof(*c));

	c->inflate.zalloc = c->deflate.zalloc = take_memory;
	c->inflate.zfree = c->deflate.zfree = give_memory;
	if (inflateInit2(&c->inflate, INFLATE_WINDOW) != Z_OK || deflateInit2(&c->deflate, LEVEL,
	    Z_DEFLATED, DEFLATE_WINDOW, DEFLATE_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
		fatal("zlib does not begin: is it another version than that of its header?");
	return c;
}

void
compression_free(struct compression *c)
{
	if (c == NULL)
		return;
	inflateEnd(&c->inflate);
	deflateEnd(&c->deflate);
	buf_free(&c->in);
	buf_free(&c->out);
	free(c);
}

struct buf *
compression_input(struct compression *c)
{
	return &c->in;
}

struct buf *
compression_output(struct compression *c)
{
	return &c->out;
}

bool
compression_is_full(const struct compression *c)
{
	return c->out.n >= PLAIN_MOST;
}

/* False: no more for now, or never. */
static bool
inflate_some(struct compression *c, struct buf *from, size_t limit)
{
	size_t room = limit - c->in.n;
	uInt n = room < INFLATED_MOST ? (uInt)room : (uInt)INFLATED_MOST;
	int result;

	c->inflate.next_in = (Bytef *)from->p;
	c->inflate.avail_in = from->n < UINT_MAX ? (uInt)from->n : UINT_MAX;
	c->inflate.next_out = (Bytef *)buf_room(&c->in, n);
	c->inflate.avail_out = n;
	result = inflate(&c->inflate, Z_SYNC_FLUSH);
	buf_take(from, (size_t)((char *)c->inflate.next_in - from->p));
	buf_added(&c->in, n - c->inflate.avail_out);
	/* Z_BUF_ERROR: there was nothing to do. */
	c->over = result != Z_OK && result != Z_BUF_ERROR;
	return result == Z_OK && c->inflate.avail_out == 0;
}

enum inflated
compression_receive(struct compression *c, struct buf *from, size_t limit)
{
	size_t before = c->in.n;

	if (c->over)
		return INFLATED_NOTHING;
	while (c->in.n < limit && inflate_some(c, from, limit))
		continue;
	if (c->over)
		return INFLATED_LAST;
	return c->in.n > before ? INFLATED_SOME : INFLATED_NOTHING;
}

void
compression_send(struct compression *c, struct buf *to)
{
	size_t room;

	if (c->out.n == 0)
		return;
	c->deflate.next_in = (Bytef *)c->out.p;
	c->deflate.avail_in = (uInt)c->out.n;
	do {
		room = c->out.n / 4 + DEFLATED_LEAST;
		c->deflate.next_out = (Bytef *)buf_room(to, room);
		c->deflate.avail_out = (uInt)room;
		/* Z_BUF_ERROR: the last round filled its room exactly. */
		if (deflate(&c->deflate, Z_SYNC_FLUSH) == Z_STREAM_ERROR)
			fatal("zlib does not deflate");
		buf_added(to, room - c->deflate.avail_out);
	} while (c->deflate.avail_out == 0);
	buf_clear(&c->out);
	buf_shrink(&c->out, 0);
}
