/* SPDX-License-Identifier: ISC */
/*
 * The files of a COPY or MOVE: links, the names they get, and how all of it is undone. The links of a few wait in
 * tmp/ under their prefix, those of many have their last name in cur/ at once.
 */
#include <errno.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "maildir/copy.h"

static enum store_result undo(struct copy_job *job, enum store_result why);

struct span
copy_put_name(struct copy_job *job, struct str text)
{
	struct span s = { job->names.n, text.n };

	buf_put(&job->names, text);
	return s;
}

struct str
copy_name(const struct copy_job *job, struct span s)
{
	return str_sub(buf_str(&job->names), s.at, s.n);
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
	/* RFC 8514 3: a move is a new beginning, though its name stays. */
	row->saved = copy ? clock_now() : one->saved;
	row->no_nul = one->no_nul;
	buf_clear(&row->base);
	buf_put(&row->base, copy_name(job, copy ? one->to_base : one->from_base));
	buf_clear(&row->letters);
	buf_put(&row->letters, copy_name(job, copy ? one->to_letters : one->from_letters));
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

/* Somebody renamed it to other flags, or its writer died before it had its name: it is there all the same. */
static bool
link_elsewhere(struct copy_job *job, const struct copy_one *one, int dir)
{
	const struct place *place = &job->m->folder->place;
	struct str base = copy_name(job, one->from_base);
	const int dirs[] = { place->cur, place->new };
	scoped_buf name = BUF_INIT;
	struct file_name parsed;

	(void)!publish_file(job->m->folder->account, place, base, copy_name(job, one->from_letters));
	if (!file_name_parse(base, &parsed))
		return false;
	for (size_t i = 0; i < countof(dirs); i++)
		if (message_find_name(dirs[i], parsed.prefix, &name) &&
		    linkat(dirs[i], buf_z(&name), dir, buf_z(&job->to_name), 0) == 0)
			return true;
	errno = ENOENT;
	return false;
}

static enum store_result
link_file(struct copy_job *job, const struct copy_one *one, struct str base, struct str letters)
{
	const struct folder *f = job->m->folder;
	int dir = put_link(job, base, letters, &job->to_name);
	enum store_result r;

	buf_clear(&job->from_name);
	file_name_put(&job->from_name, copy_name(job, one->from_base),
	    copy_name(job, one->from_letters));
	if (linkat(f->place.cur, buf_z(&job->from_name), dir, buf_z(&job->to_name), 0) == 0)
		return STORE_OK;
	/* Left in tmp/ by a move that died: under the write lock it is nobody's. */
	if (errno == EEXIST && job->staged && unlinkat(dir, buf_z(&job->to_name), 0) == 0 &&
	    linkat(f->place.cur, buf_z(&job->from_name), dir, buf_z(&job->to_name), 0) == 0)
		return STORE_OK;
	if (errno == ENOENT && link_elsewhere(job, one, dir))
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

	if (!file_name_parse(copy_name(job, one->from_base), &name))
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
		one->to_base = copy_put_name(job, buf_str(&base));
		one->to_letters = copy_put_name(job, buf_str(&letters));
	}
	return r;
}

enum store_result
copy_message(struct copy_job *job, struct copy_one *one)
{
	struct account *a = job->m->folder->account;
	enum store_result r = link_one(job, one);

	if (r != STORE_OK)
		return r;
	box_count(job->target, 1, one->size, one->flags);
	r = message_add(a, job->target->number, row_of(job, one, true));
	if (r == STORE_OK)
		r = texts_copy(a, message_key(job->target->number, one->to_uid),
		    message_key(job->source.number, one->from_uid));
	if (r == STORE_OK && job->has_made)
		r = made_copy(a, message_key(job->target->number, one->to_uid),
		    message_key(job->source.number, one->from_uid));
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
		one = publish_file(a, &job->place, copy_name(job, job->ones[i].to_base),
		    copy_name(job, job->ones[i].to_letters));
		/* Already there under a newer name, or expunged: others are quick. */
		if (one != STORE_OK && one != STORE_GONE)
			r = one;
	}
	return r;
}

enum store_result
copy_finish(struct copy_job *job)
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
		expunge_file(&f->place, copy_name(job, job->ones[i].from_base),
		    copy_name(job, job->ones[i].from_letters));
	touch_end(a, &f->place, &job->from);
	/* They are safe where they are now: at worst old names come back after a loss of power. */
	if (fsync(f->place.cur) != 0)
		(void)!files_failed(&a->log, "sync", buf_str(&job->source.name));
	return STORE_OK;
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
			r = message_put_back(a, &job->source, row_of(job, &job->ones[i], false));
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
	copy_unlink(job);
	for (size_t i = 0; job->staged && i < job->count; i++)
		expunge_file(&job->place, copy_name(job, job->ones[i].to_base),
		    copy_name(job, job->ones[i].to_letters));
	return why;
}

/* Nobody knows of them. What cannot be removed now is by the next scan (claims.c), or is nobody's in tmp/. */
void
copy_unlink(struct copy_job *job)
{
	struct account *a = job->m->folder->account;
	int dir;

	for (size_t i = 0; i < job->count; i++) {
		const struct copy_one *one = &job->ones[i];

		if (one->to_base.n == 0)
			continue;
		dir = put_link(job, copy_name(job, one->to_base), copy_name(job, one->to_letters),
		    &job->to_name);
		unlinkat(dir, buf_z(&job->to_name), 0);
	}
	if (!job->staged && job->claimed != 0 && txn_begin(a) == STORE_OK)
		(void)!txn_end(a, claim_drop(a, job->claimed, job->first));
}
