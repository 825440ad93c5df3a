/* SPDX-License-Identifier: ISC */
/*
 * The rows of a COPY or MOVE: which messages it is about, the copies' rows, and the end of what was moved. All but
 * copy_list in a transaction.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "maildir/copy.h"
#include "maildir/kept.h"

static enum store_result read_again(struct copying *c, size_t end);
static enum store_result drop_sources(struct copying *c, size_t end);

/* ---- the messages ---- */

static struct copy_one *
add_one(struct copying *c)
{
	if (c->count == c->room) {
		c->room = c->room < 16 ? 16 : c->room * 2;
		c->ones = xrealloc(c->ones, c->room * sizeof(*c->ones));
	}
	return &c->ones[c->count++];
}

/* Columns: key, flags, keywords, size, internal_date, name_flags, base, saved, no_nul. */
static enum store_result
list_range(struct copying *c, uint32_t first, uint32_t last)
{
	struct account *a = c->account;
	struct file_name name;
	struct str base;
	bool follows = false;
	sqlite3_stmt *q = index_ask(a, Q_MESSAGE_RANGE, BIND(V(message_key(c->source_number, first)),
	    V(message_key(c->source_number, last))));

	while (index_row(a, q)) {
		base = index_text(q, 6);
		/* A name with a slash can only be somebody's work on the index: it is no file of ours. */
		if (str_has_char(base, '/') || !file_name_parse(base, &name)) {
			follows = false;
			continue;
		}
		*add_one(c) = (struct copy_one){
			.from_uid = key_uid(sqlite3_column_int64(q, 0)),
			.flags = (uint32_t)sqlite3_column_int64(q, 1),
			.keywords = (uint64_t)sqlite3_column_int64(q, 2),
			.size = (uint32_t)sqlite3_column_int64(q, 3),
			.internal_date = sqlite3_column_int64(q, 4),
			.saved = sqlite3_column_int64(q, 7),
			.no_nul = sqlite3_column_int(q, 8) != 0,
			.from_letters = copy_put_name(c, index_text(q, 5)),
			.from_base = copy_put_name(c, base),
			.follows = follows,
		};
		follows = true;
	}
	return index_end(a, q);
}

/* The last of so many messages of the snapshot, or `last`. */
static uint32_t
end_of_some(const struct folder *f, uint32_t first, uint32_t last, size_t most)
{
	for (size_t at = folder_position(f, first); at < f->count && f->rows[at].uid <= last; at++)
		if (!f->rows[at].dead && --most == 0)
			return f->rows[at].uid;
	return last;
}

enum store_result
copy_list(struct copying *c, size_t most)
{
	const uint32_t told = c->m->uid_told;
	size_t end = most > SIZE_MAX - c->count ? SIZE_MAX : c->count + most;
	enum store_result r = STORE_OK;
	uint32_t first, last;

	while (r == STORE_OK && c->count < end && c->range < c->set.count &&
	    c->set.ranges[c->range].first <= told) {
		const struct uid_range *range = &c->set.ranges[c->range];

		first = range->first > c->after ? range->first : c->after + 1;
		last = range->last < told ? range->last : told;
		if (first <= last) {
			last = end_of_some(c->m->folder, first, last, end - c->count);
			r = list_range(c, first, last);
			c->after = last;
		}
		c->range += c->after >= range->last || c->after >= told;
	}
	c->listed = c->range == c->set.count || c->set.ranges[c->range].first > told;
	return r;
}

/* ---- the transaction begins ---- */

static enum store_result
find_target(struct copying *c)
{
	struct account *a = c->account;
	scoped_buf name = BUF_INIT, inner = BUF_INIT;
	enum store_result r;

	if (c->target_number != 0)
		return box_get(a, c->target_number, &c->other);
	if (!layout_name(buf_str(&c->to), &name))
		return STORE_NO_SUCH;
	if (kept_has_name(a, buf_str(&name), &inner))
		return STORE_NOT_ALLOWED;
	r = box_find(a, buf_str(&name), &c->other);
	if (r == STORE_OK && c->place.dir < 0)
		r = place_open(a, buf_str(&name), &c->place);
	if (r == STORE_OK)
		c->target_number = c->other.number;
	return r == STORE_GONE ? STORE_NO_SUCH : r;
}

/* What was linked before is known by the numbers of then: a mailbox that was renamed is the same one. */
enum store_result
copy_enter(struct copying *c, bool durable)
{
	struct folder *f = c->m->folder;
	enum store_result r = durable ? txn_begin_durable(c->account) : txn_begin(c->account);

	if (r != STORE_OK)
		return r;
	box_free(&c->source);
	box_free(&c->other);
	c->source = c->other = BOX_NONE;
	r = folder_refresh(f, NULL);
	if (r == STORE_OK && c->target_number == 0) {
		c->generation = c->account->generation;
		c->source_number = f->box.number;
	}
	if (r == STORE_OK && c->generation != c->account->generation)
		r = STORE_BUSY;
	if (r == STORE_OK)
		r = box_get(c->account, c->source_number, &c->source);
	if (r == STORE_OK)
		r = find_target(c);
	if (r != STORE_OK) {
		txn_rollback(c->account);
		return r;
	}
	c->target = c->other.number == c->source.number ? &c->source : &c->other;
	/* Another may have given its numbers to other keywords meanwhile. */
	c->keyword_known = 0;
	c->grew = false;
	return STORE_OK;
}

/* ---- rows ---- */

/* A keyword that the target has no more room for is lost; the message is not. */
uint64_t
copy_keywords(struct copying *c, uint64_t bits)
{
	uint64_t out = 0;
	int number;
	size_t before;

	if (c->target == &c->source || bits == 0)
		return bits;
	for (size_t k = 0; k < c->source.keywords.count; k++) {
		if ((bits >> k & 1) == 0)
			continue;
		before = c->target->keywords.count;
		if ((c->keyword_known >> k & 1) == 0) {
			c->keyword_map[k] = 0;
			if (keywords_add(&c->target->keywords, c->source.keywords.k[k].name,
			    &number) == STORE_OK)
				c->keyword_map[k] = (uint64_t)1 << number;
		}
		c->keyword_known |= (uint64_t)1 << k;
		c->grew |= c->target->keywords.count > before;
		out |= c->keyword_map[k];
	}
	return out;
}

/* The source's row or the copy's, into c->row. */
static struct message_row *
row_of(struct copying *c, const struct copy_one *one, bool copy)
{
	struct message_row *row = &c->row;

	row->uid = copy ? one->to_uid : one->from_uid;
	row->flags = one->flags;
	row->keywords = copy ? copy_keywords(c, one->keywords) : one->keywords;
	row->modseq = copy ? c->target_modseq : c->source_modseq;
	row->size = one->size;
	row->internal_date = one->internal_date;
	/* RFC 8514 3: a move is a new beginning, though its name stays. */
	row->saved = copy ? clock_now() : one->saved;
	row->no_nul = one->no_nul;
	buf_clear(&row->base);
	buf_put(&row->base, copy_name(c, copy ? one->to_base : one->from_base));
	buf_clear(&row->letters);
	buf_put(&row->letters, copy_name(c, copy ? one->to_letters : one->from_letters));
	return row;
}

/* Its UID is not the one that its link has, if that has one. */
static void
put_base(struct copying *c, struct copy_one *one)
{
	scoped_buf base = BUF_INIT;
	struct file_name link, from;

	if (!file_name_parse(copy_name(c, one->link), &link) ||
	    !file_name_parse(copy_name(c, one->from_base), &from))
		return;
	file_name_put_base(&base, link.prefix, from.has_size ? from.size : 0, one->size, one->to_uid);
	one->to_base = copy_put_name(c, buf_str(&base));
	c->renamed = true;
}

/* Flags and keywords may have changed since its link got its letters: it is renamed as after any such change. */
static enum store_result
note_letters(struct copying *c, const struct message_row *row)
{
	scoped_buf letters = BUF_INIT;

	message_put_letters(&letters, &c->target->keywords, row->flags, row->keywords, STR_EMPTY);
	if (str_eq(buf_str(&letters), buf_str(&row->letters)))
		return STORE_OK;
	flags_rename_later(c->account);
	return index_do(c->account, Q_MESSAGE_NAMED, BIND(V(buf_str(&row->letters)), V(NAME_PENDING),
	    V(message_key(c->target->number, row->uid))));
}

enum store_result
copy_texts(struct copying *c, const struct copy_one *one)
{
	struct account *a = c->account;
	int64_t to = message_key(c->target_number, one->to_uid);
	int64_t from = message_key(c->source_number, one->from_uid);
	enum store_result r = texts_copy(a, to, from);

	return r == STORE_OK && c->has_made ? made_copy(a, to, from) : r;
}

static enum store_result
add_row(struct copying *c, struct copy_one *one)
{
	const struct message_row *row;
	enum store_result r;

	box_count(c->target, 1, one->size, one->flags);
	row = row_of(c, one, true);
	r = message_add(c->account, c->target->number, row);
	if (r == STORE_OK && !c->few && (c->move || row->keywords != 0))
		r = note_letters(c, row);
	/* Of many that are copied they follow; of what is moved they would be gone. */
	return r == STORE_OK && (c->few || c->move) ? copy_texts(c, one) : r;
}

/* Those that were claimed, where nobody has been given any since: theirs would be told first. */
static enum store_result
take_uids(struct copying *c, size_t end)
{
	const bool as_claimed = !c->staged && c->target->uid_next == c->claim.last + 1;
	uint32_t count = 0, uid = 0;
	enum store_result r = STORE_OK;

	for (size_t i = c->rows; i < end; i++)
		count += !c->ones[i].gone;
	if (!as_claimed && count > 0)
		r = box_take_uids(c->account, c->target, count, &uid);
	for (size_t i = c->rows; r == STORE_OK && i < end; i++) {
		struct copy_one *one = &c->ones[i];

		if (one->gone)
			continue;
		one->to_base = one->link;
		if (as_claimed)
			continue;
		one->to_uid = uid++;
		put_base(c, one);
	}
	return r;
}

static enum store_result
take_modseqs(struct copying *c)
{
	enum store_result r = box_take_modseq(c->account, c->target, &c->target_modseq);

	if (r == STORE_OK && c->move)
		r = box_take_modseq(c->account, &c->source, &c->source_modseq);
	return r == STORE_OK ? made_any(c->account, c->source.number, &c->has_made) : r;
}

static enum store_result
save_boxes(struct copying *c)
{
	struct account *a = c->account;
	enum store_result r = c->grew ? box_save_settings(a, c->target) : STORE_OK;

	if (r == STORE_OK && c->move)
		r = touch_doubt(a, c->source.number);
	if (r == STORE_OK)
		r = box_save_counts(a, &c->source);
	if (r == STORE_OK && c->target != &c->source)
		r = box_save_counts(a, c->target);
	return r;
}

static enum store_result
has_room(struct copying *c)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < c->count; i++)
		bytes += c->ones[i].size;
	return c->move ? STORE_OK : quota_check(c->account, bytes, c->count);
}

enum store_result
copy_rows(struct copying *c, size_t end)
{
	enum store_result r = has_room(c);

	if (r != STORE_OK || c->rows == end)
		return r;
	if (c->move && !c->few)
		r = read_again(c, end);
	if (r == STORE_OK)
		r = take_modseqs(c);
	if (r == STORE_OK)
		r = take_uids(c, end);
	for (size_t i = c->rows; r == STORE_OK && i < end; i++)
		if (!c->ones[i].gone)
			r = add_row(c, &c->ones[i]);
	if (r == STORE_OK && c->move)
		r = drop_sources(c, end);
	return r == STORE_OK ? save_boxes(c) : r;
}

/* ---- what is moved ---- */

static size_t
end_of_run(const struct copying *c, size_t first, size_t end)
{
	size_t last = first + 1;

	while (last < end && c->ones[last].follows)
		last++;
	return last;
}

/* Columns as above. */
static enum store_result
read_run(struct copying *c, size_t first, size_t end)
{
	struct account *a = c->account;
	size_t at = first;
	sqlite3_stmt *q = index_ask(a, Q_MESSAGE_RANGE,
	    BIND(V(message_key(c->source_number, c->ones[first].from_uid)),
	    V(message_key(c->source_number, c->ones[end - 1].from_uid))));

	for (size_t i = first; i < end; i++)
		c->ones[i].gone = true;
	while (index_row(a, q)) {
		struct copy_one *one;

		while (at < end && c->ones[at].from_uid < key_uid(sqlite3_column_int64(q, 0)))
			at++;
		one = &c->ones[at];
		if (at == end || one->from_uid != key_uid(sqlite3_column_int64(q, 0)))
			continue;
		one->gone = false;
		one->flags = (uint32_t)sqlite3_column_int64(q, 1);
		one->keywords = (uint64_t)sqlite3_column_int64(q, 2);
		if (!str_eq(copy_name(c, one->from_letters), index_text(q, 5)))
			one->from_letters = copy_put_name(c, index_text(q, 5));
	}
	return index_end(a, q);
}

/* Since they were listed flags may have changed, and some may have been expunged. */
static enum store_result
read_again(struct copying *c, size_t end)
{
	enum store_result r = STORE_OK;
	size_t next;

	for (size_t i = c->rows; r == STORE_OK && i < end; i = next) {
		next = end_of_run(c, i, end);
		r = read_run(c, i, next);
	}
	return r;
}

/* In runs. */
static enum store_result
drop_sources(struct copying *c, size_t end)
{
	enum store_result r = STORE_OK;
	size_t next;

	for (size_t i = c->rows; r == STORE_OK && i < end; i = next) {
		next = end_of_run(c, i, end);
		for (size_t k = i; k < next; k++)
			if (!c->ones[k].gone)
				box_count(&c->source, -1, c->ones[k].size, c->ones[k].flags);
		r = messages_drop(c->account, c->source.number, c->ones[i].from_uid,
		    c->ones[next - 1].from_uid, c->source_modseq);
	}
	return r;
}

/* ---- or not ---- */

/* What others have expunged meanwhile is gone already. */
static enum store_result
undo_one(struct copying *c, const struct copy_one *one)
{
	struct account *a = c->account;
	scoped_message row = MESSAGE_NONE;
	enum store_result r = message_get(a, c->target_number, one->to_uid, &row);

	if (r == STORE_OK)
		r = message_drop(a, c->target, &row, c->target_modseq);
	if (r == STORE_OK && c->move)
		r = message_put_back(a, &c->source, row_of(c, one, false));
	return r == STORE_GONE ? STORE_OK : r;
}

static enum store_result
undo_rows(struct copying *c)
{
	enum store_result r = take_modseqs(c);

	for (size_t i = 0; r == STORE_OK && i < c->rows; i++)
		if (!c->ones[i].gone)
			r = undo_one(c, &c->ones[i]);
	return r == STORE_OK ? save_boxes(c) : r;
}

void
copy_undo_rows(struct copying *c)
{
	bool undone = copy_enter(c, false) == STORE_OK && txn_end(c->account, undo_rows(c)) == STORE_OK;

	for (size_t i = 0; undone && i < c->rows; i++) {
		if (c->ones[i].gone)
			continue;
		copy_unlink(c, &c->ones[i]);
		if (c->staged || c->renamed)
			expunge_file(&c->place, copy_name(c, c->ones[i].to_base),
			    copy_name(c, c->ones[i].to_letters));
	}
	c->rows = c->count = 0;
}
