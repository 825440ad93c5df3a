/* SPDX-License-Identifier: ISC */
/*
 * SORT and THREAD (RFC 5256) of a view's messages, in slices: what is compared comes from search.db, which keeps
 * it, or else from the header; then the pure parts (sorted.h, threads.h) do their steps.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "maildir/search_db.h"
#include "maildir/sorted.h"
#include "maildir/threads.h"

enum {
	SLICE_MS = 10,
	SCAN_STEPS = 4,		/* rows stepped over rather than looked up anew */
	MESSAGES_PER_LOOK = 8,	/* between looks at the clock */
};

struct order {
	struct mailbox *mailbox;
	const uint32_t *uids;
	size_t count;
	size_t at;		/* the message that is next */
	uint32_t seq;		/* of the one before */
	bool needs_records;
	struct sorted *sorted;	/* one of these two */
	struct threads *threads;
	struct search_db *db;	/* during a slice, where it knows the mailbox */
	struct search_box box;
	sqlite3_stmt *rows;
	bool has_row;
	struct buf record;	/* made here */
	uint32_t *result;
};

static struct order *
order_new(struct mailbox *m, const uint32_t *uids, size_t count)
{
	struct order *o = xcalloc(1, sizeof(*o));

	o->mailbox = m;
	o->uids = uids;
	o->count = count;
	return o;
}

static void
want_records(struct order *o)
{
	struct account *a = o->mailbox->folder->account;
	struct search_db *db = search_db(a, true);

	o->needs_records = true;
	if (db != NULL)
		search_build_want(a, db, o->mailbox);
}

struct order *
order_sort(struct mailbox *m, const uint32_t *uids, size_t count,
    const struct sort_criterion *criteria, size_t criterion_count)
{
	struct order *o = order_new(m, uids, count);

	o->sorted = sorted_new(criteria, criterion_count);
	if (sorted_needs_record(o->sorted))
		want_records(o);
	return o;
}

struct order *
order_thread(struct mailbox *m, const uint32_t *uids, size_t count, enum thread_kind kind)
{
	struct order *o = order_new(m, uids, count);

	o->threads = threads_new(kind);
	want_records(o);
	return o;
}

void
order_free(struct order *o)
{
	if (o == NULL)
		return;
	sorted_free(o->sorted);
	threads_free(o->threads);
	buf_free(&o->record);
	free(o->result);
	free(o);
}

/* ---- what is compared ---- */

static void
begin_rows(struct order *o)
{
	struct account *a = o->mailbox->folder->account;

	o->db = o->needs_records ? search_db(a, false) : NULL;
	if (o->db == NULL || !search_db_do(o->db, S_READ, BIND())) {
		o->db = NULL;
		return;
	}
	if (search_box_find(o->db, mailbox_id(o->mailbox), &o->box) &&
	    o->box.uidvalidity == mailbox_uidvalidity(o->mailbox))
		return;
	search_db_finish(o->db, false);
	o->db = NULL;
}

static void
end_scan(struct order *o)
{
	if (o->rows != NULL)
		(void)!search_db_end(o->db, o->rows);
	o->rows = NULL;
	o->has_row = false;
}

static void
end_rows(struct order *o)
{
	end_scan(o);
	if (o->db != NULL)
		search_db_finish(o->db, true);
	o->db = NULL;
}

/* The rows are by uid, as the messages are. */
static bool
find_row(struct order *o, uint32_t uid)
{
	const int64_t wanted = message_key(o->box.number, uid);

	for (int i = 0; i < SCAN_STEPS && o->has_row; i++) {
		if (sqlite3_column_int64(o->rows, 0) >= wanted)
			break;
		o->has_row = search_db_row(o->db, o->rows);
	}
	if (o->has_row && sqlite3_column_int64(o->rows, 0) == wanted)
		return true;
	end_scan(o);
	o->rows = search_db_ask(o->db, S_SORTING, BIND(V(wanted),
	    V(message_key(o->box.number, UINT32_MAX))));
	o->has_row = search_db_row(o->db, o->rows);
	return o->has_row && sqlite3_column_int64(o->rows, 0) == wanted;
}

static enum store_result
read_header(struct order *o, const struct message *m)
{
	struct str texts[TEXT_COUNT];
	enum store_result r = message_texts(o->mailbox, m->uid, 1u << TEXT_HEADER, texts);

	if (r == STORE_BUSY || r == STORE_FULL)
		return r;
	buf_clear(&o->record);
	sorting_put(&o->record, r == STORE_OK ? texts[TEXT_HEADER] : STR_EMPTY, m->internal_date);
	return STORE_OK;
}

static enum store_result
get_sorting(struct order *o, const struct message *m, struct sorting *out)
{
	enum store_result r;

	if (o->db != NULL && find_row(o, m->uid)) {
		if (sorting_read(search_db_bytes(o->rows, 1), out))
			return STORE_OK;
		search_db_distrust(o->db);
	}
	r = read_header(o, m);
	if (r == STORE_OK && !sorting_read(buf_str(&o->record), out))
		fatal("a record of ours cannot be read");
	return r;
}

/* ---- slices ---- */

static enum store_result
take_message(struct order *o, const struct message *m)
{
	struct sorting sorting;
	enum store_result r = o->needs_records ? get_sorting(o, m, &sorting) : STORE_OK;
	bool taken;

	if (r != STORE_OK)
		return r;
	if (o->threads != NULL)
		taken = threads_add(o->threads, m, &sorting);
	else
		taken = sorted_add(o->sorted, m, o->needs_records ? &sorting : NULL);
	return taken ? STORE_OK : STORE_TOO_LARGE;
}

/* Mostly it is the next one of the view. False: it is in it no more. */
static bool
find_message(struct order *o, uint32_t uid, struct message *m)
{
	if (!mailbox_message(o->mailbox, o->seq + 1, m) || m->uid != uid) {
		const uint32_t seq = mailbox_seq_of_uid(o->mailbox, uid);

		if (!mailbox_message(o->mailbox, seq, m))
			return false;
	}
	o->seq = m->seq;
	return true;
}

static enum store_result
take_messages(struct order *o, int64_t until)
{
	enum store_result r = STORE_OK;
	struct message m;

	begin_rows(o);
	for (; r == STORE_OK && o->at < o->count; o->at++) {
		if (o->at % MESSAGES_PER_LOOK == 0 && clock_monotonic_ms() >= until)
			break;
		if (find_message(o, o->uids[o->at], &m))
			r = take_message(o, &m);
	}
	end_rows(o);
	return r;
}

static void
keep_result(struct order *o)
{
	const size_t count = sorted_count(o->sorted);

	o->result = xcalloc(count + 1, sizeof(*o->result));
	for (size_t i = 0; i < count; i++)
		o->result[i] = sorted_uid(o->sorted, i);
}

enum store_result
order_step(struct order *o, bool *done)
{
	const int64_t until = clock_monotonic_ms() + SLICE_MS;
	enum store_result r;
	bool more;

	*done = false;
	if (o->at < o->count) {
		r = take_messages(o, until);
		if (r != STORE_OK || o->at < o->count)
			return r;
	}
	do
		more = o->threads != NULL ? threads_step(o->threads) : sorted_step(o->sorted);
	while (more && clock_monotonic_ms() < until);
	if (more)
		return STORE_OK;
	if (o->sorted != NULL)
		keep_result(o);
	*done = true;
	return STORE_OK;
}

uint32_t
order_progress(const struct order *o)
{
	return (uint32_t)o->at;
}

const uint32_t *
order_uids(const struct order *o, size_t *count)
{
	*count = sorted_count(o->sorted);
	return o->result;
}

struct thread_list
order_threads(const struct order *o)
{
	return threads_list(o->threads);
}
