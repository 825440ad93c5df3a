/* SPDX-License-Identifier: ISC */
/*
 * STORE, and what follows it: flags are committed to the row at once; files get the names that
 * say so a moment later, many in one go.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "maildir/private.h"

enum {
	RENAME_SOON_MS = 1000,		/* after a failure that passes */
	RENAME_LATER_MS = 60 * 1000,
};

struct store_job {
	struct mailbox *m;
	enum flag_change change;
	uint32_t system;
	uint64_t keywords;
	uint64_t unchanged_since;
	struct box box;
	uint64_t modseq;	/* 0: nothing has changed yet */
	uint64_t excluded;	/* ADD: what goes for what comes */
	uint64_t implied;	/* REMOVE: of `keywords`, those that were not named */
	bool gone;
	bool took_more;
	uint32_t *untold;	/* see first_untold; NULL: not made yet */
	struct buf modified;	/* struct uid_range */
	struct buf changed;	/* struct row, as they are to be */
};

static enum store_result store(struct mailbox *m, const struct uid_set *set, enum flag_change change,
    const struct flags *flags, uint64_t unchanged_since, struct arena *arena, struct stored *out);
static enum store_result resolve_keywords(struct store_job *job, const struct flags *flags);
static enum store_result store_range(struct store_job *job, const struct uid_range *range);
static enum store_result store_one(struct store_job *job, const struct row *row);

enum store_result
mailbox_store(struct mailbox *m, const struct uid_set *set, enum flag_change change,
    const struct flags *flags, uint64_t unchanged_since, struct arena *arena, struct stored *out)
{
	enum store_result r;

	if (m->read_only)
		return STORE_READ_ONLY;
	r = store(m, set, change, flags, unchanged_since, arena, out);
	/* \Deleted is how room is made. */
	for (int step = 0; r == STORE_FULL && (flags->system & FLAG_DELETED) != 0 &&
	    reserve_release(m->folder->account, step); step++)
		r = store(m, set, change, flags, unchanged_since, arena, out);
	return r;
}

static enum store_result
store(struct mailbox *m, const struct uid_set *set, enum flag_change change,
    const struct flags *flags, uint64_t unchanged_since, struct arena *arena, struct stored *out)
{
	struct folder *f = m->folder;
	struct account *a = f->account;
	struct store_job job = { .m = m, .change = change, .system = flags->system,
		.unchanged_since = unchanged_since };
	enum store_result r = txn_begin(a);

	if (r != STORE_OK)
		return r;
	r = folder_refresh(f, NULL);
	if (r == STORE_OK)
		r = box_get(a, f->box.number, &job.box);
	if (r == STORE_OK)
		r = resolve_keywords(&job, flags);
	for (size_t i = 0; r == STORE_OK && i < set->count; i++)
		r = store_range(&job, &set->ranges[i]);
	if (r == STORE_OK && job.modseq != 0)
		r = box_save_counts(a, &job.box);
	r = txn_end(a, r);
	if (r == STORE_OK && job.modseq != 0) {
		m->stored_modseq = job.modseq;
		folder_changed(f, &job.box, buf_str(&job.changed), m);
		flags_rename_later(a);
		watch_notify(a);
	}
	if (r == STORE_OK) {
		*out = (struct stored){ .modseq = job.modseq, .gone = job.gone, .took_more = job.took_more };
		out->modified.count = job.modified.n / sizeof(struct uid_range);
		out->modified.ranges = job.modified.n == 0 ? NULL :
		    (const struct uid_range *)(const void *)arena_str(arena,
			buf_str(&job.modified)).p;
	}
	free(job.untold);
	buf_free(&job.modified);
	buf_free(&job.changed);
	box_free(&job.box);
	return r;
}

static enum store_result
resolve_keywords(struct store_job *job, const struct flags *flags)
{
	bool grew = false;
	int number;
	enum store_result r;

	if (job->change == FLAGS_REMOVE) {
		for (size_t i = 0; i < flags->keyword_count; i++) {
			number = keywords_find(&job->box.keywords, flags->keywords[i]);
			if (number >= 0)
				job->keywords |= (uint64_t)1 << number;
		}
		if ((flags->system & FLAG_FLAGGED) != 0)
			job->implied = keywords_of_flagged(&job->box.keywords) & ~job->keywords;
		job->keywords |= job->implied;
		return STORE_OK;
	}
	r = box_keyword_bits(&job->box, flags, &job->keywords, &grew);
	if (job->change == FLAGS_ADD)
		job->excluded = keywords_excluded(&job->box.keywords, job->keywords);
	return r == STORE_OK && grew ? box_save_settings(job->m->folder->account, &job->box) : r;
}

static enum store_result
store_range(struct store_job *job, const struct uid_range *range)
{
	const struct folder *f = job->m->folder;
	enum store_result r = STORE_OK;
	const struct row *row;

	for (size_t at = folder_position(f, range->first); r == STORE_OK && at < f->count; at++) {
		row = &f->rows[at];
		if (row->uid > range->last || row->uid > job->m->uid_told)
			break;
		if (!row->dead)
			r = store_one(job, row);
		else
			job->gone |= view_sees(job->m, row);
	}
	return r;
}

/* The first change of its flags that the session was not told of; NULL: there is none. */
static const struct log_entry *
first_untold(struct store_job *job, const struct row *row)
{
	const struct mailbox *m = job->m;
	const struct folder *f = m->folder;
	size_t at;

	/* For each row the number of its entry and one; made once, as there may be as many entries as rows. */
	if (job->untold == NULL) {
		job->untold = xcalloc(f->count, sizeof(*job->untold));
		for (size_t i = f->log_count; i-- > 0 && f->log_first + i >= m->flags_at;) {
			at = folder_position(f, f->log[i].uid);
			if (!f->log[i].expunged && f->log[i].by != m && at < f->count)
				job->untold[at] = (uint32_t)i + 1;
		}
	}
	at = (size_t)(row - f->rows);
	return job->untold[at] != 0 ? &f->log[job->untold[at] - 1] : NULL;
}

/*
 * RFC 7162 3.1.12: something of the message changed that the session was not told of, but nothing of what it wants to
 * change; and as it was told it, the message had no larger modseq than it says.
 */
static bool
is_as_told(struct store_job *job, const struct row *row)
{
	const struct log_entry *e = first_untold(job, row);

	return job->change != FLAGS_REPLACE && e != NULL && e->before_modseq != 0 &&
	    e->before_modseq <= job->unchanged_since &&
	    ((e->before_flags ^ row->flags) & job->system) == 0 &&
	    ((e->before_keywords ^ row->keywords) & job->keywords) == 0;
}

/* RFC 7162 3.1.3: may the message not be changed, as it changed meanwhile? */
static bool
is_modified(struct store_job *job, const struct row *row)
{
	if (row->modseq <= job->unchanged_since || is_as_told(job, row))
		return false;
	/* Since 0 all has changed that there is: system flags, set or not, and keywords that are set. */
	return job->unchanged_since > 0 || job->change == FLAGS_REPLACE || job->system != 0 ||
	    (row->keywords & job->keywords) != 0;
}

static enum store_result
store_one(struct store_job *job, const struct row *row)
{
	struct account *a = job->m->folder->account;
	struct message_row before = { .uid = row->uid, .flags = row->flags };
	uint32_t flags = job->system;
	uint64_t keywords = job->keywords;
	struct row now;
	enum store_result r = STORE_OK;

	if (is_modified(job, row)) {
		struct uid_range one = { row->uid, row->uid };

		buf_put(&job->modified, (struct str){ (const char *)&one, sizeof(one) });
		return STORE_OK;
	}
	if (job->change == FLAGS_ADD) {
		flags |= row->flags;
		keywords |= row->keywords & ~job->excluded;
	} else if (job->change == FLAGS_REMOVE) {
		flags = row->flags & ~flags;
		keywords = row->keywords & ~keywords;
	}
	if (flags == row->flags && keywords == row->keywords)
		return STORE_OK;
	job->took_more |= (row->keywords & (job->excluded | job->implied)) != 0;
	if (job->modseq == 0)
		r = box_take_modseq(a, &job->box, &job->modseq);
	if (r == STORE_OK)
		r = message_set_flags(a, &job->box, &before, flags, keywords, job->modseq, NULL);
	now = *row;
	now.flags = flags & FLAG_ALL;
	now.keywords = keywords;
	now.modseq = job->modseq;
	buf_put(&job->changed, (struct str){ (const char *)&now, sizeof(now) });
	return r;
}

/* ---- names follow ---- */

struct renaming {
	struct box box;
	struct place place;
	struct touch touch;
	struct buf letters, from, to;	/* scratch */
};

static void
renaming_free(struct renaming *now)
{
	buf_free(&now->letters);
	buf_free(&now->from);
	buf_free(&now->to);
}

static void
leave(struct account *a, struct renaming *now)
{
	if (now->place.cur >= 0)
		touch_end(a, &now->place, &now->touch);
	place_close(&now->place);
	box_free(&now->box);
	now->box = BOX_NONE;
}

static enum store_result
enter(struct account *a, struct renaming *now, int64_t box)
{
	enum store_result r;

	if (now->box.number == box)
		return STORE_OK;
	leave(a, now);
	r = box_get(a, box, &now->box);
	if (r == STORE_OK)
		r = place_open(a, buf_str(&now->box.name), &now->place);
	if (r == STORE_OK)
		touch_begin(a, box, &now->place, &now->touch);
	return r;
}

/* A row whose name is not what it says; letters and base follow each other in a buffer. */
struct pending {
	int64_t key;
	uint32_t flags;
	uint64_t keywords;
	size_t at;
	size_t letters;
	size_t base;
};

/* In a transaction, so that nobody takes our renames for somebody else's. */
static enum store_result
rename_one(struct account *a, struct renaming *now, const struct pending *p, struct str names)
{
	struct str before = str_sub(names, p->at, p->letters);
	struct str base = str_sub(names, p->at + p->letters, p->base);
	enum store_result r = enter(a, now, key_box(p->key));
	bool renamed;

	if (r != STORE_OK)
		return r;
	/* A name with a slash can only be somebody's work on the index: it is no file of ours. */
	if (str_has_char(base, '/') || str_has_char(before, '/'))
		return index_do(a, Q_MESSAGE_NAMED, BIND(V(before), V(NAME_SAYS), V(p->key)));
	buf_clear(&now->letters);
	buf_clear(&now->from);
	buf_clear(&now->to);
	message_put_letters(&now->letters, &now->box.keywords, p->flags, p->keywords, before);
	file_name_put(&now->from, base, before);
	file_name_put(&now->to, base, buf_str(&now->letters));
	renamed = str_eq(buf_str(&now->from), buf_str(&now->to)) || renameat(now->place.cur,
	    buf_z(&now->from), now->place.cur, buf_z(&now->to)) == 0;
	if (!renamed && errno == ENOENT && publish_file(a, &now->place, base, before) == STORE_OK)
		renamed = renameat(now->place.cur, buf_z(&now->from), now->place.cur,
		    buf_z(&now->to)) == 0;
	if (!renamed && files_failed(&a->log, "rename", buf_str(&now->from)) != STORE_GONE)
		return STORE_BROKEN;
	/* A file that is not there was renamed from outside or is lost: the scan will see. */
	return index_do(a, Q_MESSAGE_NAMED, BIND(
	    V(renamed ? buf_str(&now->letters) : before), V(renamed ? NAME_SAYS : NAME_MISSED), V(p->key)));
}

static enum store_result
list_pending(struct account *a, struct buf *list, struct buf *names)
{
	sqlite3_stmt *q = index_ask(a, Q_PENDING, BIND(V(SLICE_RENAMES)));
	struct pending p;

	while (index_row(a, q)) {
		struct str letters = index_text(q, 3), base = index_text(q, 4);

		p = (struct pending){ .key = sqlite3_column_int64(q, 0),
			.flags = (uint32_t)sqlite3_column_int64(q, 1),
			.keywords = (uint64_t)sqlite3_column_int64(q, 2),
			.at = names->n, .letters = letters.n, .base = base.n };
		buf_put(names, letters);
		buf_put(names, base);
		buf_put(list, (struct str){ (const char *)&p, sizeof(p) });
	}
	return index_end(a, q);
}

void
flags_rename_later(struct account *a)
{
	if (a->rename_due == 0)
		a->rename_due = clock_monotonic_ms() + FLAG_DELAY_MS;
}

/* What is pending stays so. Somebody else has the index, or the disk is full: that passes soon. */
static bool
rename_again(struct account *a, enum store_result why)
{
	a->rename_due = clock_monotonic_ms() + (why == STORE_BUSY || why == STORE_FULL ?
	    RENAME_SOON_MS : RENAME_LATER_MS);
	return false;
}

bool
flags_rename_slice(struct account *a)
{
	struct renaming now = { .place = PLACE_CLOSED };
	scoped_buf list = BUF_INIT, names = BUF_INIT;
	enum store_result r = txn_begin(a);
	struct pending p;

	if (r != STORE_OK)
		return rename_again(a, r);
	r = list_pending(a, &list, &names);
	if (list.n > 0)
		rows_ahead_forget(a);
	for (size_t i = 0; r == STORE_OK && i < list.n; i += sizeof(p)) {
		memcpy(&p, list.p + i, sizeof(p));
		r = rename_one(a, &now, &p, buf_str(&names));
	}
	r = txn_end(a, r);
	leave(a, &now);
	renaming_free(&now);
	return r == STORE_OK ? list.n == SLICE_RENAMES * sizeof(p) : rename_again(a, r);
}
