/* SPDX-License-Identifier: ISC */
/*
 * Octets of files on their way out. Invariant: octets is the sum of what each range still holds, and a range that
 * holds nothing is gone, its descriptor closed.
 */
#include "common/net/ranges.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { PIECE = 64 * 1024 };	/* read at once where the wire takes none itself */

struct range {
	TAILQ_ENTRY(range) entry;
	struct buf before;	/* and what was read of the file, but not sent yet */
	int fd;
	uint64_t from;
	uint64_t left;
};

void
ranges_begin(struct ranges *all)
{
	TAILQ_INIT(&all->list);
	all->octets = all->count = 0;
}

static void
drop_first(struct ranges *all)
{
	struct range *r = TAILQ_FIRST(&all->list);

	all->octets -= r->before.n + r->left;
	all->count--;
	TAILQ_REMOVE(&all->list, r, entry);
	close_fd(&r->fd);
	buf_free(&r->before);
	free(r);
}

void
ranges_free(struct ranges *all)
{
	while (!TAILQ_EMPTY(&all->list))
		drop_first(all);
}

void
ranges_add(struct ranges *all, struct buf *before, int fd, uint64_t from, uint64_t n)
{
	struct range *r = xcalloc(1, sizeof(*r));

	r->before = *before;
	*before = BUF_INIT;
	r->fd = fd;
	r->from = from;
	r->left = n;
	all->octets += r->before.n + n;
	all->count++;
	TAILQ_INSERT_TAIL(&all->list, r, entry);
}

/* What the other side was promised is not there: nothing that follows would be understood. */
static enum wire_result
lacks(struct wire *w, int error)
{
	wire_fail(w, error != 0 ? "read of a file to be sent" : "a file to be sent is shorter than it was", error);
	w->lacks_file = true;
	return WIRE_FAILED;
}

static enum wire_result
read_piece(struct range *r, struct wire *w)
{
	size_t n = r->left < PIECE ? (size_t)r->left : PIECE;
	ssize_t got;

	do
		got = pread(r->fd, buf_room(&r->before, n), n, (off_t)r->from);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return lacks(w, got < 0 ? errno : 0);
	buf_added(&r->before, (size_t)got);
	r->from += (uint64_t)got;
	r->left -= (uint64_t)got;
	return WIRE_DONE;
}

static enum wire_result
send_file(struct ranges *all, struct range *r, struct wire *w, bool *taken)
{
	uint64_t n = 0;
	enum wire_result result = wire_send_file(w, r->fd, r->from, r->left, &n);

	if (result != WIRE_DONE || !wire_takes_files(w))
		return result;
	if (n == 0)
		return lacks(w, 0);
	r->from += n;
	r->left -= n;
	all->octets -= n;
	*taken = true;
	return WIRE_DONE;
}

static enum wire_result
send_bytes(struct ranges *all, struct range *r, struct wire *w, bool *taken)
{
	size_t n = 0;
	enum wire_result result = wire_write(w, buf_str(&r->before), r->left > 0, &n);

	if (result != WIRE_DONE)
		return result;
	buf_take(&r->before, n);
	all->octets -= n;
	*taken = true;
	return WIRE_DONE;
}

enum wire_result
ranges_send(struct ranges *all, struct wire *w, bool *taken)
{
	enum wire_result result = WIRE_DONE;
	struct range *r;

	while (result == WIRE_DONE && (r = TAILQ_FIRST(&all->list)) != NULL) {
		if (r->before.n > 0)
			result = send_bytes(all, r, w, taken);
		else if (r->left == 0)
			drop_first(all);
		else if (wire_takes_files(w))
			result = send_file(all, r, w, taken);
		else
			result = read_piece(r, w);
	}
	return result;
}
