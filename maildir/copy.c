/* SPDX-License-Identifier: ISC */
/*
 * COPY and MOVE (RFC 3501 6.4.7, RFC 6851): links in the target's directory, one transaction
 * for all rows. The message itself is never written again. Of a few messages the links wait in tmp/ for the
 * commit; of many the UIDs are claimed before (claims.c), so that the links are made only once.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "maildir/copy.h"
#include "maildir/kept.h"

enum {
	FEW = 8,
	CLAIM_TRIES = 3,	/* where others are quicker each time, the links wait in tmp/ after all */
};

static enum store_result attempt(struct copy_job *job, const struct uid_set *set, struct str to);
static enum store_result begin(struct copy_job *job, const struct uid_set *set, struct str to);
static enum store_result enter(struct copy_job *job, struct str to);
static enum store_result find_target(struct copy_job *job, struct str name);
static enum store_result copy_all(struct copy_job *job, const struct uid_set *set);
static enum store_result list_rows(struct copy_job *job, const struct uid_set *set);
static enum store_result drop_sources(struct copy_job *job);

static void
job_free(struct copy_job *job)
{
	free(job->ones);
	buf_free(&job->prefix);
	buf_free(&job->names);
	buf_free(&job->from_name);
	buf_free(&job->to_name);
	message_row_free(&job->row);
	place_close(&job->place);
	box_free(&job->source);
	box_free(&job->other);
}

static void
give(const struct copy_job *job, struct arena *arena, struct copied *out)
{
	uint32_t *from = arena_array(arena, uint32_t, job->count);
	uint32_t *to = arena_array(arena, uint32_t, job->count);

	for (size_t i = 0; i < job->count; i++) {
		from[i] = job->ones[i].from_uid;
		to[i] = job->ones[i].to_uid;
	}
	*out = (struct copied){ job->target->uidvalidity, from, to, job->count };
}

/* Where files are not what the rows say, the directory is looked at, and what is there then is copied. */
static enum store_result
copy_or_move(struct mailbox *m, const struct uid_set *set, struct str to, bool move,
    struct arena *arena, struct copied *out)
{
	struct folder *f = m->folder;
	enum store_result r = STORE_OK;
	bool again = true;

	for (int tries = 0; again && tries < 2; tries++) {
		struct copy_job job = { .m = m, .move = move, .place = PLACE_CLOSED };

		if (tries > 0)
			r = folder_ready(f);
		if (tries > 0 && r == STORE_OK)
			r = scan_mailbox(f->account, f->box.number, &f->place, SCAN_ALWAYS);
		if (r == STORE_OK)
			r = attempt(&job, set, to);
		if (r == STORE_OK)
			give(&job, arena, out);
		again = job.lost;
		job_free(&job);
	}
	if (again)
		f->look = true;
	return r;
}

enum store_result
mailbox_copy(struct mailbox *m, const struct uid_set *set, struct str to, struct arena *arena,
    struct copied *out)
{
	return m->folder->account->is_kept ? kept_copy(m, set, to, arena, out) :
	    copy_or_move(m, set, to, false, arena, out);
}

enum store_result
mailbox_move(struct mailbox *m, const struct uid_set *set, struct str to, struct arena *arena,
    struct copied *out)
{
	return m->read_only ? STORE_READ_ONLY : copy_or_move(m, set, to, true, arena, out);
}

static enum store_result
attempt(struct copy_job *job, const struct uid_set *set, struct str to)
{
	struct folder *f = job->m->folder;
	struct account *a = f->account;
	enum store_result r;

	r = folder_ready(f);
	if (r == STORE_OK)
		r = durable_sources(job->m, set);
	if (r == STORE_OK)
		r = begin(job, set, to);
	if (r != STORE_OK)
		return r;
	r = txn_end(a, copy_all(job, set));
	if (r != STORE_OK) {
		copy_unlink(job);
		return r;
	}
	r = copy_finish(job);
	(void)!folder_refresh(f, NULL);
	watch_notify(a);
	return r;
}

/* ---- the transaction begins ---- */

static size_t
count_in_view(const struct copy_job *job, const struct uid_set *set)
{
	struct set_walk walk = set_walk(job->m, set);
	size_t n = 0;

	while (set_walk_next(&walk) != NULL)
		n++;
	return n;
}

static enum store_result
claim(struct copy_job *job, size_t count)
{
	struct account *a = job->m->folder->account;
	enum store_result r = box_take_uids(a, job->target, (uint32_t)count, &job->first);

	if (r == STORE_OK)
		r = box_save_counts(a, job->target);
	if (r == STORE_OK)
		r = claim_make(a, job->target->number, job->first,
		    job->first + (uint32_t)count - 1);
	/* Whoever opens the mailbox after we died looks at the directory. */
	touch_begin_with(a, job->target, &job->place, &job->to);
	if (r == STORE_OK)
		r = touch_doubt(a, job->target->number);
	job->claimed = job->target->number;
	job->last = job->first + (uint32_t)count - 1;
	return r;
}

/* False where a scan took the claim for one left over, or others have taken UIDs since: theirs would be told first. */
static enum store_result
is_claim_good(struct copy_job *job, bool *good)
{
	struct account *a = job->m->folder->account;

	*good = false;
	if (job->target->number != job->claimed || job->target->uid_next != job->last + 1)
		return STORE_OK;
	job->to.known &= files_mtime_ns(job->place.cur) == job->to.before;
	return claim_check(a, job->claimed, job->first, good);
}

static enum store_result
begin(struct copy_job *job, const struct uid_set *set, struct str to)
{
	struct account *a = job->m->folder->account;
	enum store_result r = enter(job, to);
	bool good;
	size_t count;

	for (int tries = 0; r == STORE_OK; tries++) {
		count = count_in_view(job, set);
		job->staged = count <= FEW || tries == CLAIM_TRIES;
		if (job->staged)
			return STORE_OK;
		r = txn_end(a, claim(job, count));
		if (r == STORE_OK)
			r = enter(job, to);
		if (r != STORE_OK)
			break;
		r = is_claim_good(job, &good);
		if (r == STORE_OK && good)
			return STORE_OK;
		if (r == STORE_OK)
			r = claim_drop(a, job->claimed, job->first);
		if (r != STORE_OK)
			txn_rollback(a);
	}
	return r;
}

static enum store_result
enter(struct copy_job *job, struct str to)
{
	struct folder *f = job->m->folder;
	enum store_result r = txn_begin(f->account);

	if (r != STORE_OK)
		return r;
	box_free(&job->source);
	box_free(&job->other);
	r = folder_refresh(f, NULL);
	if (r == STORE_OK)
		r = box_get(f->account, f->box.number, &job->source);
	if (r == STORE_OK)
		r = find_target(job, to);
	if (r != STORE_OK)
		txn_rollback(f->account);
	return r;
}

static enum store_result
find_target(struct copy_job *job, struct str given)
{
	struct account *a = job->m->folder->account;
	scoped_buf name = BUF_INIT, inner = BUF_INIT;
	enum store_result r;

	if (!layout_name(given, &name))
		return STORE_NO_SUCH;
	if (kept_has_name(a, buf_str(&name), &inner))
		return STORE_NOT_ALLOWED;
	r = box_find(a, buf_str(&name), &job->other);
	if (r == STORE_OK && job->place.dir < 0)
		r = place_open(a, buf_str(&name), &job->place);
	if (r != STORE_OK)
		return r == STORE_GONE ? STORE_NO_SUCH : r;
	job->target = job->other.number == job->source.number ? &job->source : &job->other;
	return STORE_OK;
}

/* ---- in the transaction ---- */

static enum store_result
copy_all(struct copy_job *job, const struct uid_set *set)
{
	const struct folder *f = job->m->folder;
	struct account *a = f->account;
	uint64_t bytes = 0;
	enum store_result r = list_rows(job, set);

	for (size_t i = 0; i < job->count; i++)
		bytes += job->ones[i].size;
	if (r == STORE_OK && !job->move)
		r = quota_check(a, bytes, job->count);
	if (r == STORE_OK && job->count > 0 && !job->staged &&
	    job->count > job->last - job->first + 1)
		r = STORE_BUSY;		/* what had gone was put back meanwhile */
	if (r == STORE_OK && !job->staged)
		r = claim_drop(a, job->claimed, job->first);
	if (r != STORE_OK || job->count == 0)
		return r;
	publish_put_prefix(&job->prefix, clock_now(), STR_EMPTY);
	if (job->move)
		touch_begin(a, job->source.number, &f->place, &job->from);
	r = box_take_modseq(a, job->target, &job->target_modseq);
	if (r == STORE_OK && job->move)
		r = box_take_modseq(a, &job->source, &job->source_modseq);
	if (r == STORE_OK)
		r = made_any(a, job->source.number, &job->has_made);
	for (size_t i = 0; r == STORE_OK && i < job->count; i++)
		r = copy_message(job, &job->ones[i]);
	if (r == STORE_OK && job->move)
		r = drop_sources(job);
	if (r == STORE_OK && job->grew)
		r = box_save_settings(a, job->target);
	if (r == STORE_OK && job->move)
		r = touch_doubt(a, job->source.number);
	if (r == STORE_OK)
		r = box_save_counts(a, &job->source);
	if (r == STORE_OK && job->target != &job->source)
		r = box_save_counts(a, job->target);
	return r;
}

/* Columns: key, flags, keywords, size, internal_date, name_flags, base, saved, no_nul. */
static enum store_result
list_range(struct copy_job *job, uint32_t first, uint32_t last)
{
	struct account *a = job->m->folder->account;
	int64_t box = job->source.number;
	struct file_name name;
	struct str base;
	bool follows = false;
	sqlite3_stmt *q = index_ask(a, Q_MESSAGE_RANGE, BIND(V(message_key(box, first)),
	    V(message_key(box, last))));

	while (index_row(a, q)) {
		base = index_text(q, 6);
		/* A name with a slash can only be somebody's work on the index: it is no file of ours. */
		if (str_has_char(base, '/') || !file_name_parse(base, &name)) {
			follows = false;
			continue;
		}
		if (job->count == job->room) {
			job->room = job->room < 16 ? 16 : job->room * 2;
			job->ones = xrealloc(job->ones, job->room * sizeof(*job->ones));
		}
		job->ones[job->count++] = (struct copy_one){
			.from_uid = key_uid(sqlite3_column_int64(q, 0)),
			.flags = (uint32_t)sqlite3_column_int64(q, 1),
			.from_keywords = (uint64_t)sqlite3_column_int64(q, 2),
			.size = (uint32_t)sqlite3_column_int64(q, 3),
			.internal_date = sqlite3_column_int64(q, 4),
			.saved = sqlite3_column_int64(q, 7),
			.no_nul = sqlite3_column_int(q, 8) != 0,
			.from_letters = copy_put_name(job, index_text(q, 5)),
			.from_base = copy_put_name(job, base),
			.follows = follows,
		};
		follows = true;
	}
	return index_end(a, q);
}

/* What the view has of the set and what has not been expunged meanwhile. */
static enum store_result
list_rows(struct copy_job *job, const struct uid_set *set)
{
	enum store_result r = STORE_OK;
	uint32_t told = job->m->uid_told;

	for (size_t i = 0; r == STORE_OK && i < set->count; i++)
		if (set->ranges[i].first <= told)
			r = list_range(job, set->ranges[i].first,
			    set->ranges[i].last < told ? set->ranges[i].last : told);
	return r;
}

/* What was moved goes out of the source, in runs. */
static enum store_result
drop_sources(struct copy_job *job)
{
	struct account *a = job->m->folder->account;
	const struct copy_one *first = job->ones;
	enum store_result r = STORE_OK;

	for (size_t i = 0; r == STORE_OK && i < job->count; i++) {
		const struct copy_one *one = &job->ones[i];

		box_count(&job->source, -1, one->size, one->flags);
		if (i + 1 < job->count && job->ones[i + 1].follows)
			continue;
		r = messages_drop(a, job->source.number, first->from_uid, one->from_uid,
		    job->source_modseq);
		first = one + 1;
	}
	return r;
}
