/* SPDX-License-Identifier: ISC */
/*
 * Messages go, in slices: the rows of some in one transaction, then their files. At the end, one that another takes the
 * place of.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "maildir/kept.h"

enum {
	SLICE_MS = 10,
	ROWS_PER_LOOK = 512,		/* messages in one transaction */
	FULL_DISK_SLICE = 4,		/* where there is hardly any room for it */
};

/* From one slice to the next. */
struct expunging {
	struct mailbox *m;
	bool some;		/* the set counts */
	struct uid_set only;
	size_t most;		/* messages in one transaction */
	uint32_t after;		/* the last one looked at */
	bool full;		/* the disk is */
	int step;		/* of what it has set aside */
};

struct expunge_job {
	struct mailbox *m;
	size_t most;		/* messages */
	uint32_t after;		/* in: those above; out: all up to this one were looked at */
	size_t count;
	struct box box;
	uint64_t modseq;
	struct buf names;	/* of files: base '\0' letters '\0' ... */
	struct kept_batch *kept;	/* NULL: nothing is */
	struct touch touch;
};

/* Columns: key, flags, keywords, size, internal_date, name_flags, base. */
static enum store_result
list_run(struct expunge_job *job, uint32_t first, uint32_t last)
{
	struct account *a = job->m->folder->account;
	sqlite3_stmt *q = index_ask(a, Q_MESSAGE_RANGE, BIND(V(message_key(job->box.number, first)),
	    V(message_key(job->box.number, last))));
	struct str base;

	while (index_row(a, q)) {
		box_count(&job->box, -1, (uint32_t)sqlite3_column_int64(q, 3),
		    (uint32_t)sqlite3_column_int64(q, 1));
		job->count++;
		base = index_text(q, 6);
		/* A name with a slash can only be somebody's work on the index: it is no file of ours. */
		if (str_has_char(base, '/'))
			continue;
		if (job->kept != NULL) {
			kept_note(job->kept, (uint32_t)sqlite3_column_int64(q, 1),
			    (uint64_t)sqlite3_column_int64(q, 2), base, index_text(q, 5));
			continue;
		}
		buf_put(&job->names, base);
		buf_put_c(&job->names, '\0');
		buf_put(&job->names, index_text(q, 5));
		buf_put_c(&job->names, '\0');
	}
	return index_end(a, q);
}

/* There are no others between these two. */
static enum store_result
expunge_run(struct expunge_job *job, uint32_t first, uint32_t last)
{
	struct account *a = job->m->folder->account;
	enum store_result r = STORE_OK;

	if (job->modseq == 0)
		r = box_take_modseq(a, &job->box, &job->modseq);
	if (r == STORE_OK)
		r = list_run(job, first, last);
	return r == STORE_OK ? messages_drop(a, job->box.number, first, last, job->modseq) : r;
}

static enum store_result
expunge_rows(struct expunge_job *job, const struct uid_set *only)
{
	const struct folder *f = job->m->folder;
	enum store_result r = STORE_OK;
	uint32_t first = 0, last = 0;	/* of the run at hand; 0: none */
	size_t found = 0;

	for (size_t at = folder_position(f, job->after + 1); r == STORE_OK && found < job->most; at++) {
		const struct row *row = &f->rows[at];

		if (at == f->count || row->uid > job->m->uid_told) {
			job->after = job->m->uid_told;
			break;
		}
		job->after = row->uid;
		if (row->dead)
			continue;
		if ((row->flags & FLAG_DELETED) != 0 &&
		    (only == NULL || uid_set_has(only, row->uid))) {
			first = first == 0 ? row->uid : first;
			last = row->uid;
			found++;
		} else if (first != 0) {
			r = expunge_run(job, first, last);
			first = 0;
		}
	}
	return r == STORE_OK && first != 0 ? expunge_run(job, first, last) : r;
}

void
expunge_file(const struct place *place, struct str base, struct str letters)
{
	scoped_buf name = BUF_INIT;
	struct file_name parsed, there;
	const int dirs[] = { place->cur, place->new };

	file_name_put(&name, base, letters);
	if (unlinkat(place->cur, buf_z(&name), 0) == 0 || errno != ENOENT ||
	    !file_name_parse(base, &parsed))
		return;
	/* Not in its place: its writer was about to rename it, or somebody renamed a flag. */
	buf_clear(&name);
	buf_put(&name, parsed.prefix);
	if (unlinkat(place->tmp, buf_z(&name), 0) == 0)
		return;
	/* One with another UID is the message itself, moved away and back again. */
	for (size_t i = 0; i < countof(dirs); i++)
		if (message_find_name(dirs[i], parsed.prefix, &name) && (str_starts(buf_str(&name), base) ||
		    (file_name_parse(buf_str(&name), &there) && !there.has_uid))) {
			unlinkat(dirs[i], buf_z(&name), 0);
			return;
		}
}

static void
remove_files(struct expunge_job *job)
{
	struct folder *f = job->m->folder;
	struct str rest = buf_str(&job->names), base, letters;

	while (rest.n > 0) {
		base = str_sub(rest, 0, str_index(rest, '\0'));
		rest = str_from(rest, base.n + 1);
		letters = str_sub(rest, 0, str_index(rest, '\0'));
		rest = str_from(rest, letters.n + 1);
		expunge_file(&f->place, base, letters);
	}
	/* What could not be taken away is looked for again, also by who opens the mailbox later. */
	if (kept_take(job->kept, &f->place)) {
		touch_end(f->account, &f->place, &job->touch);
	} else {
		touch_note(f->account, job->box.number, 0);
		f->look = true;
	}
	job->kept = NULL;
}

/* The next of them; job.after says how far it came. */
static enum store_result
expunge_some(struct expunge_job *job, const struct uid_set *only)
{
	struct folder *f = job->m->folder;
	struct account *a = f->account;
	enum store_result r = txn_begin(a);

	if (r != STORE_OK)
		return r;
	r = folder_refresh(f, NULL);
	if (r == STORE_OK)
		r = box_get(a, f->box.number, &job->box);
	if (r == STORE_OK)
		job->kept = kept_batch_new(a, &job->box);
	if (r == STORE_OK)
		r = expunge_rows(job, only);
	if (r == STORE_OK && job->modseq != 0)
		r = kept_mark(job->kept, job->box.number, job->modseq);
	if (r == STORE_OK && job->modseq != 0) {
		touch_begin(a, job->box.number, &f->place, &job->touch);
		r = touch_doubt(a, job->box.number);
	}
	if (r == STORE_OK && job->modseq != 0)
		r = box_save_counts(a, &job->box);
	r = txn_end(a, r);
	if (r == STORE_OK && job->modseq != 0) {
		remove_files(job);
		(void)!folder_refresh(f, NULL);
		watch_notify(a);
	}
	return r;
}

/* On a full disk a few at a time: the files of the first give room to the next. */
static enum store_result
take_step(struct expunging *e)
{
	struct expunge_job job = { .m = e->m, .most = e->full ? FULL_DISK_SLICE : e->most, .after = e->after };
	enum store_result r = expunge_some(&job, e->some ? &e->only : NULL);

	if (r == STORE_OK) {
		e->after = job.after;
	} else if (r == STORE_FULL && reserve_release(e->m->folder->account, e->step++)) {
		e->full = true;
		r = STORE_OK;
	}
	kept_forget(job.kept);
	buf_free(&job.names);
	box_free(&job.box);
	return r;
}

enum store_result
expunging_begin(struct mailbox *m, const struct uid_set *only, struct expunging **out)
{
	struct expunging *e;

	if (m->read_only)
		return STORE_READ_ONLY;
	e = xcalloc(1, sizeof(*e));
	e->m = m;
	e->most = ROWS_PER_LOOK;
	e->some = only != NULL;
	if (e->some)
		e->only = *only;
	*out = e;
	return STORE_OK;
}

enum store_result
expunging_step(struct expunging *e, bool *done)
{
	int64_t until = clock_monotonic_ms() + SLICE_MS;
	enum store_result r;

	do
		r = take_step(e);
	while (r == STORE_OK && e->after < e->m->uid_told && clock_monotonic_ms() < until);
	*done = r != STORE_OK || e->after >= e->m->uid_told;
	return r;
}

void
expunging_progress(const struct expunging *e, uint32_t *done, uint32_t *all)
{
	*all = mailbox_exists(e->m);
	*done = mailbox_seq_from_uid(e->m, e->after + 1) - 1;
}

void
expunging_free(struct expunging *e)
{
	free(e);
}

enum store_result
mailbox_expunge(struct mailbox *m, const struct uid_set *only)
{
	struct expunging *e;
	bool done = false;
	enum store_result r = expunging_begin(m, only, &e);

	if (r != STORE_OK)
		return r;
	e->most = SIZE_MAX;
	while (!done)
		r = expunging_step(e, &done);
	expunging_free(e);
	return r;
}

/* ---- one that is replaced ---- */

struct expunge_one {
	struct mailbox *m;
	uint32_t uid;
	struct message_row row;
	struct expunge_job job;
};

enum store_result
expunge_one_new(struct mailbox *m, uint32_t uid, struct expunge_one **out)
{
	struct folder *f = m->folder;
	struct expunge_one *one;
	enum store_result r = m->read_only ? STORE_READ_ONLY : folder_ready(f);

	if (r != STORE_OK)
		return r;
	one = xcalloc(1, sizeof(*one));
	one->m = one->job.m = m;
	one->uid = uid;
	r = message_get(f->account, f->box.number, uid, &one->row);
	if (r != STORE_OK) {
		expunge_one_free(one);
		return r;
	}
	*out = one;
	return STORE_OK;
}

uint64_t
expunge_one_size(const struct expunge_one *one)
{
	return one->row.size;
}

enum store_result
expunge_one_look(struct expunge_one *one)
{
	struct folder *f = one->m->folder;
	enum store_result r = folder_refresh(f, NULL);

	message_row_free(&one->row);
	one->row = MESSAGE_NONE;
	return r == STORE_OK ? message_get(f->account, f->box.number, one->uid, &one->row) : r;
}

enum store_result
expunge_one_drop(struct expunge_one *one)
{
	struct folder *f = one->m->folder;
	struct account *a = f->account;
	struct expunge_job *job = &one->job;
	enum store_result r;

	box_free(&job->box);
	r = box_get(a, f->box.number, &job->box);
	if (r != STORE_OK)
		return r;
	job->kept = kept_batch_new(a, &job->box);
	r = expunge_run(job, one->uid, one->uid);
	if (r == STORE_OK)
		r = kept_mark(job->kept, job->box.number, job->modseq);
	touch_begin(a, job->box.number, &f->place, &job->touch);
	if (r == STORE_OK)
		r = touch_doubt(a, job->box.number);
	return r == STORE_OK ? box_save_counts(a, &job->box) : r;
}

void
expunge_one_finish(struct expunge_one *one)
{
	remove_files(&one->job);
	(void)!folder_refresh(one->m->folder, NULL);
}

enum store_result
expunge_one_undo(struct expunge_one *one)
{
	struct account *a = one->m->folder->account;
	int64_t number = one->job.box.number;
	enum store_result r;

	box_free(&one->job.box);
	r = box_get(a, number, &one->job.box);
	if (r == STORE_OK)
		r = box_take_modseq(a, &one->job.box, &one->row.modseq);
	if (r == STORE_OK)
		r = message_put_back(a, &one->job.box, &one->row);
	return r == STORE_OK ? box_save_counts(a, &one->job.box) : r;
}

void
expunge_one_free(struct expunge_one *one)
{
	if (one == NULL)
		return;
	kept_forget(one->job.kept);
	buf_free(&one->job.names);
	box_free(&one->job.box);
	message_row_free(&one->row);
	free(one);
}
