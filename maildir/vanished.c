/* SPDX-License-Identifier: ISC */
/*
 * What a client that was away has to learn and to forget (RFC 7162 3.2.5). The list of expunged UIDs is complete from its latest
 * mark on, a row with UID 0; who comes from before it is told of every UID that is not there, which is always right.
 */
#include <stdlib.h>

#include "maildir/private.h"

enum store_result
vanished_forget(struct account *a, const struct box *box)
{
	return index_do(a, Q_EXPUNGED_ADD, BIND(V(box->number), V((int64_t)box->modseq), V(0), V(STR_EMPTY)));
}

static void
put_range(struct buf *out, uint32_t first, uint32_t last)
{
	struct uid_range r = { first, last };

	buf_put(out, (struct str){ (const char *)&r, sizeof(r) });
}

static struct uid_set
ranges_of(const struct buf *ranges, struct arena *arena)
{
	if (ranges->n == 0)
		return (struct uid_set){ 0 };
	return (struct uid_set){ (const struct uid_range *)(const void *)arena_str(arena, buf_str(ranges)).p,
		ranges->n / sizeof(struct uid_range) };
}

static void
put_all_missing(const struct folder *f, struct buf *out)
{
	uint32_t next = 1;

	for (size_t i = 0; i < f->count; i++) {
		if (f->rows[i].dead)
			continue;
		if (f->rows[i].uid > next)
			put_range(out, next, f->rows[i].uid - 1);
		next = f->rows[i].uid + 1;
	}
	if (next < f->box.uid_next)
		put_range(out, next, f->box.uid_next - 1);
}

static int
by_uid(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void
put_uids(struct buf *uids, struct buf *out)
{
	size_t count = uids->n / sizeof(uint32_t);
	uint32_t first = 0, last = 0, uid;

	if (count > 1)
		qsort(uids->p, count, sizeof(uint32_t), by_uid);
	for (size_t i = 0; i < count; i++) {
		memcpy(&uid, uids->p + i * sizeof(uid), sizeof(uid));
		if (i > 0 && uid <= last + 1) {
			last = uid;
			continue;
		}
		if (i > 0)
			put_range(out, first, last);
		first = last = uid;
	}
	if (count > 0)
		put_range(out, first, last);
}

/* One that came back to its number, after a move that could not be finished, is there. */
static bool
is_there(const struct folder *f, uint32_t uid)
{
	size_t at = folder_position(f, uid);

	return at < f->count && f->rows[at].uid == uid && !f->rows[at].dead;
}

enum store_result
mailbox_vanished(struct mailbox *m, uint64_t since, struct arena *arena, struct uid_set *out)
{
	const struct folder *f = m->folder;
	struct account *a = f->account;
	scoped_buf uids = BUF_INIT, ranges = BUF_INIT;
	bool forgotten = false;
	uint32_t uid;
	sqlite3_stmt *q;
	enum store_result r = folder_ready(m->folder);

	if (r != STORE_OK)
		return r;
	q = index_ask(a, Q_EXPUNGED_SINCE, BIND(V(f->box.number), V((int64_t)since)));
	while (index_row(a, q)) {
		uid = (uint32_t)sqlite3_column_int64(q, 0);
		forgotten |= uid == 0;
		if (uid != 0 && (uint64_t)sqlite3_column_int64(q, 1) <= f->box.modseq && !is_there(f, uid))
			buf_put(&uids, (struct str){ (const char *)&uid, sizeof(uid) });
	}
	r = index_end(a, q);
	if (r != STORE_OK)
		return r;
	if (forgotten)
		put_all_missing(f, &ranges);
	else
		put_uids(&uids, &ranges);
	*out = ranges_of(&ranges, arena);
	return STORE_OK;
}

void
mailbox_changed(const struct mailbox *m, uint64_t since, struct arena *arena, struct uid_set *out)
{
	const struct folder *f = m->folder;
	scoped_buf ranges = BUF_INIT;
	uint32_t first = 0, last = 0;	/* of the run at hand; 0: none */

	/* Who knows all there is need not go through it. */
	for (size_t i = 0; since < f->box.modseq && i < f->count && f->rows[i].uid <= m->uid_told; i++) {
		const struct row *row = &f->rows[i];

		if (!row->dead && row->modseq > since) {
			first = first == 0 ? row->uid : first;
			last = row->uid;
		} else if (first != 0) {
			put_range(&ranges, first, last);
			first = 0;
		}
	}
	if (first != 0)
		put_range(&ranges, first, last);
	*out = ranges_of(&ranges, arena);
}
