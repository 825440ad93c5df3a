/* SPDX-License-Identifier: ISC */
/*
 * COPY and MOVE (RFC 3501 6.4.7, RFC 6851): links in the target's directory, one transaction
 * for all rows. The message itself is never written again. Of a few messages the links wait in tmp/ for the
 * commit; of many the UIDs are claimed before (claims.c), so that the links are made only once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "maildir/private.h"

enum {
	FEW = 8,
	CLAIM_TRIES = 3,	/* where others are quicker each time, the links wait in tmp/ after all */
};

/* A piece of job.names. */
struct span {
	size_t at;
	size_t n;
};

struct copy_one {
	uint32_t from_uid;
	uint32_t to_uid;
	uint32_t flags;
	uint32_t size;
	uint64_t from_keywords;
	uint64_t to_keywords;
	int64_t internal_date;
	struct span from_base, from_letters, to_base, to_letters;
	bool follows;		/* the one before it here is also the one before it in the mailbox */
};

struct copy_job {
	struct mailbox *m;
	bool move;
	bool staged;		/* few: their links wait in tmp/ */
	bool lost;		/* a file is not where its row says */
	uint32_t first;		/* not staged: the UIDs claimed, of the mailbox `claimed` */
	uint32_t last;
	int64_t claimed;
	struct box source;
	struct box other;	/* the target, where it is not the source itself */
	struct box *target;
	struct place place;	/* the target's */
	uint64_t source_modseq;
	uint64_t target_modseq;
	uint64_t keyword_map[KEYWORDS_MAX];	/* a source's keyword as the target's bit */
	uint64_t keyword_known;
	bool grew;
	struct touch from;	/* of the source's cur/, for a move */
	struct touch to;	/* of the target's */
	struct buf prefix;	/* of the copies' names, with a number in each */
	struct buf names;
	struct buf from_name;	/* scratch */
	struct buf to_name;
	struct message_row row;	/* scratch, too */
	struct copy_one *ones;
	size_t count;
	size_t room;
};

static enum store_result attempt(struct copy_job *job, const struct uid_set *set, struct str to);
static enum store_result begin(struct copy_job *job, const struct uid_set *set, struct str to);
static enum store_result enter(struct copy_job *job, struct str to);
static enum store_result find_target(struct copy_job *job, struct str name);
static enum store_result copy_all(struct copy_job *job, const struct uid_set *set);
static enum store_result list_rows(struct copy_job *job, const struct uid_set *set);
static enum store_result copy_one(struct copy_job *job, struct copy_one *one);
static enum store_result drop_sources(struct copy_job *job);
static enum store_result finish(struct copy_job *job);
static enum store_result undo(struct copy_job *job, enum store_result why);
static void unlink_links(struct copy_job *job);

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
	return copy_or_move(m, set, to, false, arena, out);
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
		unlink_links(job);
		return r;
	}
	r = finish(job);
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
	scoped_buf name = BUF_INIT;
	enum store_result r;

	if (!layout_name(given, &name))
		return STORE_NO_SUCH;
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
	for (size_t i = 0; r == STORE_OK && i < job->count; i++)
		r = copy_one(job, &job->ones[i]);
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

static struct span
put_name(struct copy_job *job, struct str text)
{
	struct span s = { (uint32_t)job->names.n, (uint32_t)text.n };

	buf_put(&job->names, text);
	return s;
}

static struct str
name_of(const struct copy_job *job, struct span s)
{
	return str_sub(buf_str(&job->names), s.at, s.n);
}

/* Columns: key, flags, keywords, size, internal_date, name_flags, base. */
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
			.from_letters = put_name(job, index_text(q, 5)),
			.from_base = put_name(job, base),
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

/* A keyword that the target has no more room for is lost; the message is not. */
static uint64_t
map_keywords(struct copy_job *job, uint64_t bits)
{
	uint64_t out = 0;
	int number;
	size_t before;

	if (job->target == &job->source || bits == 0)
		return bits;
	for (size_t k = 0; k < job->source.keywords.count; k++) {
		if ((bits >> k & 1) == 0)
			continue;
		before = job->target->keywords.count;
		if ((job->keyword_known >> k & 1) == 0 && keywords_add(&job->target->keywords,
		    job->source.keywords.k[k].name, &number) == STORE_OK)
			job->keyword_map[k] = (uint64_t)1 << number;
		job->keyword_known |= (uint64_t)1 << k;
		job->grew |= job->target->keywords.count > before;
		out |= job->keyword_map[k];
	}
	return out;
}

/* The source's row or the copy's, into job->row. */
static struct message_row *
row_of(struct copy_job *job, const struct copy_one *one, bool copy)
{
	struct message_row *row = &job->row;

	row->uid = copy ? one->to_uid : one->from_uid;
	row->flags = one->flags;
	row->keywords = copy ? one->to_keywords : one->from_keywords;
	row->modseq = copy ? job->target_modseq : job->source_modseq;
	row->size = one->size;
	row->internal_date = one->internal_date;
	buf_clear(&row->base);
	buf_put(&row->base, name_of(job, copy ? one->to_base : one->from_base));
	buf_clear(&row->letters);
	buf_put(&row->letters, name_of(job, copy ? one->to_letters : one->from_letters));
	return row;
}

/* Where the copy's link is until it is published: of a few the prefix in tmp/. */
static int
put_link(const struct copy_job *job, struct str base, struct str letters, struct buf *out)
{
	struct file_name name;

	buf_clear(out);
	if (!job->staged)
		file_name_put(out, base, letters);
	else if (file_name_parse(base, &name))
		buf_put(out, name.prefix);
	return job->staged ? job->place.tmp : job->place.cur;
}

static enum store_result
link_file(struct copy_job *job, const struct copy_one *one, struct str base, struct str letters)
{
	const struct folder *f = job->m->folder;
	int dir = put_link(job, base, letters, &job->to_name);
	enum store_result r;

	buf_clear(&job->from_name);
	file_name_put(&job->from_name, name_of(job, one->from_base),
	    name_of(job, one->from_letters));
	if (linkat(f->place.cur, buf_z(&job->from_name), dir, buf_z(&job->to_name), 0) == 0)
		return STORE_OK;
	/* Left in tmp/ by a move that died: under the write lock it is nobody's. */
	if (errno == EEXIST && job->staged && unlinkat(dir, buf_z(&job->to_name), 0) == 0 &&
	    linkat(f->place.cur, buf_z(&job->from_name), dir, buf_z(&job->to_name), 0) == 0)
		return STORE_OK;
	r = files_failed(&f->account->log, "link", buf_str(&job->from_name));
	job->lost = r == STORE_GONE;
	return job->lost ? STORE_BUSY : r;
}

/* Gives the copy its UID and names, and links it. */
static enum store_result
link_one(struct copy_job *job, struct copy_one *one)
{
	scoped_buf base = BUF_INIT, letters = BUF_INIT, prefix = BUF_INIT;
	size_t number = (size_t)(one - job->ones);
	struct file_name name;
	enum store_result r;

	if (!file_name_parse(name_of(job, one->from_base), &name))
		return STORE_BROKEN;
	one->to_uid = job->first + (uint32_t)number;
	if (job->staged) {
		r = box_take_uids(job->m->folder->account, job->target, 1, &one->to_uid);
		if (r != STORE_OK)
			return r;
	}
	if (job->move && job->target != &job->source)
		buf_put(&prefix, name.prefix);
	else
		publish_put_numbered(&prefix, buf_str(&job->prefix), number);
	file_name_put_base(&base, buf_str(&prefix), name.has_size ? name.size : 0, one->size,
	    one->to_uid);
	one->to_keywords = map_keywords(job, one->from_keywords);
	message_put_letters(&letters, &job->target->keywords, one->flags, one->to_keywords,
	    STR_EMPTY);
	r = link_file(job, one, buf_str(&base), buf_str(&letters));
	if (r == STORE_OK) {
		one->to_base = put_name(job, buf_str(&base));
		one->to_letters = put_name(job, buf_str(&letters));
	}
	return r;
}

static enum store_result
copy_one(struct copy_job *job, struct copy_one *one)
{
	struct account *a = job->m->folder->account;
	enum store_result r = link_one(job, one);

	if (r != STORE_OK)
		return r;
	box_count(job->target, 1, one->size, one->flags);
	r = message_add(a, job->target->number, row_of(job, one, true));
	if (r == STORE_OK)
		r = index_do(a, Q_CACHE_COPY, BIND(V(message_key(job->target->number, one->to_uid)),
		    V(message_key(job->source.number, one->from_uid))));
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

/* ---- after the commit ---- */

static enum store_result
publish_all(struct copy_job *job)
{
	struct account *a = job->m->folder->account;
	enum store_result r = STORE_OK, one;

	touch_begin(a, job->target->number, &job->place, &job->to);
	for (size_t i = 0; i < job->count; i++) {
		one = publish_file(a, &job->place, name_of(job, job->ones[i].to_base),
		    name_of(job, job->ones[i].to_letters));
		/* Already there under a newer name, or expunged: others are quick. */
		if (one != STORE_OK && one != STORE_GONE)
			r = one;
	}
	return r;
}

static enum store_result
finish(struct copy_job *job)
{
	struct folder *f = job->m->folder;
	struct account *a = f->account;
	enum store_result r = job->staged ? publish_all(job) : STORE_OK;

	if (job->count == 0)
		return STORE_OK;
	touch_end(a, &job->place, &job->to);
	if (r == STORE_OK && fsync(job->place.cur) != 0)
		r = files_failed(&a->log, "sync", buf_str(&job->target->name));
	if (r != STORE_OK)
		return undo(job, r);
	if (!job->move)
		return STORE_OK;
	for (size_t i = 0; i < job->count; i++)
		expunge_file(&f->place, name_of(job, job->ones[i].from_base),
		    name_of(job, job->ones[i].from_letters));
	touch_end(a, &f->place, &job->from);
	/* They are safe where they are now: at worst old names come back after a loss of power. */
	if (fsync(f->place.cur) != 0)
		(void)!files_failed(&a->log, "sync", buf_str(&job->source.name));
	return STORE_OK;
}

/* What a move took from the source is there again, under its UID: no session has been told otherwise. */
static enum store_result
put_back(struct copy_job *job, struct message_row *row)
{
	struct account *a = job->m->folder->account;
	int64_t key = message_key(job->source.number, row->uid);
	enum store_result r;

	r = message_add(a, job->source.number, row);
	if (r == STORE_OK)
		r = index_do(a, Q_EXPUNGED_DROP, BIND(V(job->source.number), V(row->uid)));
	if (r == STORE_OK)
		box_count(&job->source, 1, row->size, row->flags);
	/* Its flags may be newer than its name. */
	return r == STORE_OK ? index_do(a, Q_MESSAGE_NAMED,
	    BIND(V(buf_str(&row->letters)), V(1), V(key))) : r;
}

static enum store_result
box_again(struct account *a, struct box *b)
{
	int64_t number = b->number;

	box_free(b);
	return box_get(a, number, b);
}

static enum store_result
undo_rows(struct copy_job *job)
{
	struct account *a = job->m->folder->account;
	enum store_result r = box_again(a, &job->source);

	if (r == STORE_OK && job->target != &job->source)
		r = box_again(a, job->target);
	if (r == STORE_OK)
		r = box_take_modseq(a, job->target, &job->target_modseq);
	if (r == STORE_OK && job->move)
		r = box_take_modseq(a, &job->source, &job->source_modseq);
	for (size_t i = 0; r == STORE_OK && i < job->count; i++) {
		r = message_drop(a, job->target, row_of(job, &job->ones[i], true),
		    job->target_modseq);
		if (r == STORE_OK && job->move)
			r = put_back(job, row_of(job, &job->ones[i], false));
	}
	if (r == STORE_OK)
		r = box_save_counts(a, &job->source);
	if (r == STORE_OK && job->target != &job->source)
		r = box_save_counts(a, job->target);
	return r;
}

/* The rows are committed, a name or its sync failed: as if nothing had been copied (RFC 3501 6.4.7). */
static enum store_result
undo(struct copy_job *job, enum store_result why)
{
	struct account *a = job->m->folder->account;
	enum store_result r = txn_begin(a);

	if (r != STORE_OK || txn_end(a, undo_rows(job)) != STORE_OK)
		return why;
	unlink_links(job);
	for (size_t i = 0; job->staged && i < job->count; i++)
		expunge_file(&job->place, name_of(job, job->ones[i].to_base),
		    name_of(job, job->ones[i].to_letters));
	return why;
}

/* Nobody knows of them. What cannot be removed now is by the next scan (claims.c), or is nobody's in tmp/. */
static void
unlink_links(struct copy_job *job)
{
	struct account *a = job->m->folder->account;
	int dir;

	for (size_t i = 0; i < job->count; i++) {
		const struct copy_one *one = &job->ones[i];

		if (one->to_base.n == 0)
			continue;
		dir = put_link(job, name_of(job, one->to_base), name_of(job, one->to_letters),
		    &job->to_name);
		unlinkat(dir, buf_z(&job->to_name), 0);
	}
	if (!job->staged && job->claimed != 0 && txn_begin(a) == STORE_OK)
		(void)!txn_end(a, claim_drop(a, job->claimed, job->first));
}
