/* SPDX-License-Identifier: ISC */
/*
 * Taking messages into search.db, in slices while nothing else is to be done. First each message gets
 * its rows; 256 of a mailbox that have no block yet are then sealed into one, and only then have grams. What is
 * expunged goes out when the mailbox is next looked at. Done for mailboxes that have been searched: who lets
 * his phone search pays nothing.
 */
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "maildir/digest.h"
#include "maildir/search_db.h"
#include "maildir/sorting.h"

enum {
	SLICE_MS = 10,
	SOON_MS = 200,		/* after the first search */
	LATER_MS = 5000,	/* after new mail */
	RETRY_MS = 60000,	/* after a failure */
	BATCH = 64,		/* messages listed at a time */
	SWEEP_ROWS = 2000,	/* rows looked at in one slice of a sweep */
	DEAD_MIN = 2048,	/* messages whose grams may lie about in any mailbox */
};

enum progress { DONE, AGAIN, FAILED };

/* What stays between slices. */
struct search_build {
	struct grams *grams[GRAM_KIND_COUNT];
	int64_t at;		/* the mailbox that is next */
	uint32_t swept;		/* how far its sweep is */
};

/* One mailbox, here and in the index. */
struct build {
	struct account *account;
	struct search_db *db;
	struct search_build *state;
	struct search_box box;
	struct box in_index;
	int64_t until;
};

/* ---- when ---- */

static void
due_in(struct account *a, int64_t ms)
{
	const int64_t due = clock_monotonic_ms() + ms;

	if (a->search_due == 0 || a->search_due > due)
		a->search_due = due;
}

void
search_build_want(struct account *a, struct search_db *db, const struct mailbox *m)
{
	struct search_box box;

	if (!search_box_find(db, mailbox_id(m), &box) && !db->failed &&
	    !search_box_add(db, mailbox_id(m), mailbox_uidvalidity(m), &box))
		return;
	due_in(a, SOON_MS);
}

void
search_build_later(struct account *a)
{
	struct stat st;

	if (a->search != NULL || fstatat(a->ours, "search.db", &st, AT_SYMLINK_NOFOLLOW) == 0)
		due_in(a, LATER_MS);
}

void
search_build_free(struct account *a)
{
	if (a->build == NULL)
		return;
	for (size_t i = 0; i < GRAM_KIND_COUNT; i++)
		grams_free(a->build->grams[i]);
	free(a->build);
	a->build = NULL;
	/* What this and the searches before it needed lies below what stays, and would be kept. */
	malloc_trim(0);
}

/* ---- one message ---- */

/* STORE_GONE and its kind: the message is passed over, and read whenever somebody searches. */
static enum store_result
read_message(struct build *b, const struct place *place, uint32_t uid, struct buf *out,
    int64_t *internal_date)
{
	scoped_message row = MESSAGE_NONE;
	scoped_fd fd = -1;
	enum store_result r = message_get(b->account, b->in_index.number, uid, &row);

	if (r == STORE_OK)
		r = message_open_file(b->account, b->in_index.number, place, &row, &fd);
	if (r == STORE_OK)
		r = message_read(b->account, fd, out);
	*internal_date = row.internal_date;
	return r;
}

static bool
put_message(struct build *b, uint32_t uid, struct str message, int64_t internal_date)
{
	const int64_t key = message_key(b->box.number, uid);
	scoped_digest digest = { BUF_INIT, BUF_INIT, BUF_INIT };
	scoped_buf record = BUF_INIT;
	struct sorting sorting;
	const bool whole = digest_make(&digest, message);

	sorting_put(&record, str_sub(message, 0, header_end(message)), internal_date);
	if (!sorting_read(buf_str(&record), &sorting))
		fatal("a record of ours cannot be read");
	b->box.held++;
	return search_db_do(b->db, S_MESSAGE_ADD, BIND(V(key),
	    V((int64_t)(whole ? BLOCK_NONE : BLOCK_NEVER)), V((int64_t)sorting.sent_day), V(buf_str(&record)))) &&
	    (!whole || (search_db_do(b->db, S_HEADER_ADD, BIND(V(key), V(buf_str(&digest.header)))) &&
	    (digest.brief.n == 0 ||
	    search_db_do(b->db, S_BRIEF_ADD, BIND(V(key), V(buf_str(&digest.brief))))) &&
	    search_db_do(b->db, S_BODY_ADD, BIND(V(key), V(buf_str(&digest.body))))));
}

static enum progress
add_message(struct build *b, const struct place *place, uint32_t uid)
{
	scoped_buf message = BUF_INIT;
	int64_t internal_date = 0;
	enum store_result r = read_message(b, place, uid, &message, &internal_date);

	if (r == STORE_BUSY)
		return FAILED;
	if (r == STORE_OK && !put_message(b, uid, buf_str(&message), internal_date))
		return FAILED;
	b->box.done = uid;
	return DONE;
}

/* ---- what is new ---- */

static enum progress
list_new(struct build *b, uint32_t uids[BATCH], size_t *count)
{
	struct account *a = b->account;
	sqlite3_stmt *q;

	*count = 0;
	if (b->box.done == UINT32_MAX)
		return DONE;
	q = index_ask(a, Q_MESSAGES, BIND(V(message_key(b->in_index.number, b->box.done + 1)),
	    V(message_key(b->in_index.number, UINT32_MAX))));
	while (*count < BATCH && index_row(a, q))
		uids[(*count)++] = key_uid(sqlite3_column_int64(q, 0));
	return index_end(a, q) == STORE_OK ? DONE : FAILED;
}

static enum progress
add_batch(struct build *b, const struct place *place, const uint32_t *uids, size_t count)
{
	enum progress p = DONE;

	if (!search_db_do(b->db, S_WRITE, BIND()))
		return FAILED;
	for (size_t i = 0; i < count && p == DONE; i++) {
		p = add_message(b, place, uids[i]);
		if (p == DONE && clock_monotonic_ms() >= b->until)
			p = AGAIN;
	}
	return search_db_finish(b->db, p != FAILED && search_box_save(b->db, &b->box)) ? p : FAILED;
}

static enum progress
add_new(struct build *b)
{
	scoped_place place = PLACE_CLOSED;
	uint32_t uids[BATCH];
	size_t count;
	enum progress p = list_new(b, uids, &count);

	if (p != DONE || count == 0)
		return p;
	if (place_open(b->account, buf_str(&b->in_index.name), &place) != STORE_OK)
		return FAILED;
	while (p == DONE && count > 0) {
		p = add_batch(b, &place, uids, count);
		if (p == DONE)
			p = list_new(b, uids, &count);
	}
	return p;
}

/* ---- what is gone ---- */

static bool
is_in_index(struct build *b, uint32_t uid, bool *out)
{
	struct account *a = b->account;
	const int64_t key = message_key(b->in_index.number, uid);
	sqlite3_stmt *q = index_ask(a, Q_MESSAGES, BIND(V(key), V(key)));

	*out = index_row(a, q);
	return index_end(a, q) == STORE_OK;
}

static bool
drop_message(struct build *b, int64_t key)
{
	b->box.held -= b->box.held > 0;
	return search_db_do(b->db, S_MESSAGE_DROP, BIND(V(key))) &&
	    search_db_do(b->db, S_HEADER_DROP, BIND(V(key))) &&
	    search_db_do(b->db, S_BRIEF_DROP, BIND(V(key))) &&
	    search_db_do(b->db, S_BODY_DROP, BIND(V(key)));
}

static bool
list_held(struct build *b, struct buf *keys)
{
	int64_t key;
	sqlite3_stmt *q = search_db_ask(b->db, S_MESSAGES, BIND(V(message_key(b->box.number,
	    b->state->swept)), V(message_key(b->box.number, UINT32_MAX)), V((int64_t)SWEEP_ROWS)));

	while (search_db_row(b->db, q)) {
		key = sqlite3_column_int64(q, 0);
		buf_put(keys, (struct str){ (const char *)&key, sizeof(key) });
	}
	return search_db_end(b->db, q);
}

static bool
has_dead_grams(struct build *b)
{
	sqlite3_stmt *q = search_db_ask(b->db, S_BLOCK_COUNT, BIND(V(b->box.number)));
	int64_t blocks = search_db_row(b->db, q) ? sqlite3_column_int64(q, 0) : 0;

	return search_db_end(b->db, q) && blocks * GRAMS_BLOCK > 2 * (int64_t)b->box.held + DEAD_MIN;
}

static enum progress
begin_anew(struct build *b)
{
	bool more = false, ok = search_db_do(b->db, S_WRITE, BIND()) &&
	    search_box_clear(b->db, &b->box, &more);

	b->box.uidvalidity = b->in_index.uidvalidity;
	b->box.done = b->box.held = 0;
	if (ok && !more)
		ok = search_box_save(b->db, &b->box);
	return search_db_finish(b->db, ok) ? AGAIN : FAILED;
}

/* The texts of what is expunged go now; grams when more than half of them are of such messages. */
static enum progress
sweep(struct build *b)
{
	scoped_buf keys = BUF_INIT;
	int64_t key = 0;
	bool there, ok = search_db_do(b->db, S_WRITE, BIND()), more;

	ok = ok && list_held(b, &keys);
	more = keys.n / sizeof(key) == SWEEP_ROWS;
	for (size_t at = 0; ok && at < keys.n; at += sizeof(key)) {
		memcpy(&key, keys.p + at, sizeof(key));
		ok = is_in_index(b, key_uid(key), &there) && (there || drop_message(b, key));
	}
	ok = search_db_finish(b->db, ok && search_box_save(b->db, &b->box));
	b->state->swept = ok && more ? key_uid(key) : 0;
	if (!ok)
		return FAILED;
	if (more)
		return AGAIN;
	return has_dead_grams(b) ? begin_anew(b) : DONE;
}

/* ---- one mailbox ---- */

static enum progress
drop_box(struct build *b)
{
	bool more = false, ok = search_db_do(b->db, S_WRITE, BIND()) &&
	    search_box_clear(b->db, &b->box, &more) &&
	    (more || search_db_do(b->db, S_BOX_DROP, BIND(V(b->box.number))));

	return !search_db_finish(b->db, ok) ? FAILED : more ? AGAIN : DONE;
}

static enum progress
build_box(struct build *b)
{
	bool sealed = false;
	enum progress p;

	if (b->box.uidvalidity != b->in_index.uidvalidity)
		return begin_anew(b);
	p = add_new(b);
	if (p == DONE && !search_seal(b->db, &b->box, b->state->grams, &sealed))
		p = FAILED;
	if (sealed)
		return AGAIN;
	if (p == DONE && b->box.held > b->in_index.messages)
		p = sweep(b);
	return p;
}

static enum progress
build_one(struct build *b)
{
	scoped_box in_index = BOX_NONE;
	enum store_result r = box_by_id(b->account, str_of(b->box.id), &in_index);

	if (r == STORE_NO_SUCH)
		return drop_box(b);
	if (r != STORE_OK)
		return FAILED;
	b->in_index = in_index;
	return build_box(b);
}

static enum progress
build_slice(struct account *a, struct search_db *db)
{
	scoped_buf boxes = BUF_INIT;
	struct build b = { .account = a, .db = db, .state = a->build,
		.until = clock_monotonic_ms() + SLICE_MS };
	enum progress p = search_box_list(db, &boxes) ? DONE : FAILED;

	for (size_t at = 0; p == DONE && at < boxes.n; at += sizeof(b.box)) {
		memcpy(&b.box, boxes.p + at, sizeof(b.box));
		if (b.box.number < b.state->at)
			continue;
		if (b.box.number != b.state->at)
			b.state->swept = 0;
		b.state->at = b.box.number;
		p = build_one(&b);
		if (p == DONE && clock_monotonic_ms() >= b.until) {
			b.state->at++;
			return AGAIN;
		}
	}
	return p;
}

bool
search_build_slice(struct account *a)
{
	struct search_db *db = search_db(a, false);
	enum progress p;

	if (db == NULL || index_alive(a) != STORE_OK) {
		search_build_free(a);
		return false;
	}
	if (a->build == NULL)
		a->build = xcalloc(1, sizeof(*a->build));
	p = build_slice(a, db);
	if (p == AGAIN)
		return true;
	search_build_free(a);
	sqlite3_db_release_memory(db->db);
	if (p == FAILED)
		due_in(a, RETRY_MS);
	return false;
}
