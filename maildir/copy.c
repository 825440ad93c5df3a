/* SPDX-License-Identifier: ISC */
/*
 * COPY and MOVE (RFC 3501 6.4.7, RFC 6851): links in the target's tmp/, one transaction
 * for all rows, then the names. The message itself is never written again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "maildir/kept.h"

struct copy_one {
	struct message_row from;
	struct message_row to;
};

struct copy_job {
	struct mailbox *m;
	bool move;
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
	struct copy_one *ones;
	size_t count;
	size_t room;
};

static enum store_result find_target(struct copy_job *job, struct str name);
static enum store_result sync_sources(struct copy_job *job, const struct uid_set *set);
static enum store_result copy_rows(struct copy_job *job, const struct uid_set *set);
static enum store_result copy_row(struct copy_job *job, uint32_t uid);
static enum store_result finish(struct copy_job *job);
static enum store_result undo(struct copy_job *job, enum store_result why);
static void unlink_links(struct copy_job *job);

static enum store_result
run(struct copy_job *job, const struct uid_set *set, struct str to)
{
	struct folder *f = job->m->folder;
	struct account *a = f->account;
	enum store_result r;

	r = folder_ready(f);
	if (r == STORE_OK)
		r = sync_sources(job, set);
	if (r == STORE_OK)
		r = txn_begin(a);
	if (r != STORE_OK)
		return r;
	r = folder_refresh(f, NULL);
	if (r == STORE_OK)
		r = box_get(a, f->box.number, &job->source);
	if (r == STORE_OK)
		r = find_target(job, to);
	if (r == STORE_OK)
		r = copy_rows(job, set);
	r = txn_end(a, r);
	if (r != STORE_OK) {
		unlink_links(job);
		return r;
	}
	r = finish(job);
	(void)!folder_refresh(f, NULL);
	watch_notify(a);
	return r;
}

static void
give(const struct copy_job *job, struct arena *arena, struct copied *out)
{
	uint32_t *from = arena_array(arena, uint32_t, job->count);
	uint32_t *to = arena_array(arena, uint32_t, job->count);

	for (size_t i = 0; i < job->count; i++) {
		from[i] = job->ones[i].from.uid;
		to[i] = job->ones[i].to.uid;
	}
	*out = (struct copied){ job->target->uidvalidity, from, to, job->count };
}

static enum store_result
copy_or_move(struct mailbox *m, const struct uid_set *set, struct str to, bool move,
    struct arena *arena, struct copied *out)
{
	struct copy_job job = { .m = m, .move = move, .place = PLACE_CLOSED };
	enum store_result r = run(&job, set, to);

	if (r == STORE_OK)
		give(&job, arena, out);
	for (size_t i = 0; i < job.count; i++) {
		message_row_free(&job.ones[i].from);
		message_row_free(&job.ones[i].to);
	}
	free(job.ones);
	place_close(&job.place);
	box_free(&job.source);
	box_free(&job.other);
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
	if (r == STORE_OK)
		r = place_open(a, buf_str(&name), &job->place);
	if (r != STORE_OK)
		return r == STORE_GONE ? STORE_NO_SUCH : r;
	job->target = job->other.number == job->source.number ? &job->source : &job->other;
	return STORE_OK;
}

/* What a delivery wrote may not be on disk yet; the OK of a COPY says that it is. */
static enum store_result
sync_sources(struct copy_job *job, const struct uid_set *set)
{
	const struct folder *f = job->m->folder;
	enum store_result r = STORE_OK;

	for (size_t at = 0; r == STORE_OK && at < f->count; at++) {
		scoped_message row = MESSAGE_NONE;
		scoped_fd fd = -1;

		if (f->rows[at].uid > job->m->uid_told)
			break;
		if (f->rows[at].dead || !uid_set_has(set, f->rows[at].uid))
			continue;
		r = message_get(f->account, f->box.number, f->rows[at].uid, &row);
		if (r == STORE_OK)
			r = message_open_file(f->account, f->box.number, &f->place, &row, &fd);
		if (r == STORE_OK && fsync(fd) != 0)
			r = files_failed(&f->account->log, "sync", buf_str(&row.base));
		if (r == STORE_GONE)
			r = STORE_OK;
	}
	return r;
}

static enum store_result
copy_rows(struct copy_job *job, const struct uid_set *set)
{
	const struct folder *f = job->m->folder;
	struct account *a = f->account;
	uint64_t bytes = 0, messages = 0;
	enum store_result r = STORE_OK;

	for (size_t at = 0; at < f->count && f->rows[at].uid <= job->m->uid_told; at++)
		if (!f->rows[at].dead && uid_set_has(set, f->rows[at].uid)) {
			bytes += f->rows[at].size;
			messages++;
		}
	if (!job->move)
		r = quota_check(a, bytes, messages);
	for (size_t at = 0; r == STORE_OK && at < f->count; at++) {
		if (f->rows[at].uid > job->m->uid_told)
			break;
		if (!f->rows[at].dead && uid_set_has(set, f->rows[at].uid))
			r = copy_row(job, f->rows[at].uid);
	}
	if (r == STORE_OK && job->grew)
		r = box_save_settings(a, job->target);
	if (r == STORE_OK && job->move && job->count > 0) {
		touch_begin(a, job->source.number, &job->m->folder->place, &job->from);
		r = touch_doubt(a, job->source.number);
	}
	if (r == STORE_OK && job->count > 0)
		r = box_save_counts(a, &job->source);
	if (r == STORE_OK && job->count > 0 && job->target != &job->source)
		r = box_save_counts(a, job->target);
	return r;
}

/* A keyword that the target has no more room for is lost; the message is not. */
static uint64_t
map_keywords(struct copy_job *job, uint64_t bits)
{
	uint64_t out = 0;
	int number;
	size_t before;

	if (job->target == &job->source)
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

static struct copy_one *
add_one(struct copy_job *job)
{
	if (job->count == job->room) {
		job->room = job->room < 16 ? 16 : job->room * 2;
		job->ones = xrealloc(job->ones, job->room * sizeof(*job->ones));
	}
	job->ones[job->count] = (struct copy_one){ .from = MESSAGE_NONE, .to = MESSAGE_NONE };
	return &job->ones[job->count++];
}

/* Somebody renamed it to other flags, or its writer died before it had its name: it is there all the same. */
static bool
link_elsewhere(struct copy_job *job, const struct message_row *from, struct buf *prefix)
{
	const struct place *place = &job->m->folder->place;
	scoped_buf name = BUF_INIT;
	struct file_name parsed;
	const int dirs[] = { place->cur, place->new };

	(void)!publish_file(job->m->folder->account, place, buf_str(&from->base), buf_str(&from->letters));
	if (!file_name_parse(buf_str(&from->base), &parsed))
		return false;
	for (size_t i = 0; i < countof(dirs); i++)
		if (message_find_name(dirs[i], parsed.prefix, &name) &&
		    linkat(dirs[i], buf_z(&name), job->place.tmp, buf_z(prefix), 0) == 0)
			return true;
	errno = ENOENT;
	return false;
}

static enum store_result
link_file(struct copy_job *job, const struct message_row *from, struct buf *prefix)
{
	struct folder *f = job->m->folder;
	scoped_buf name = BUF_INIT;

	file_name_put(&name, buf_str(&from->base), buf_str(&from->letters));
	if (linkat(f->place.cur, buf_z(&name), job->place.tmp, buf_z(prefix), 0) == 0)
		return STORE_OK;
	/* Left by a move that died: under the write lock it is nobody's. */
	if (errno == EEXIST && unlinkat(job->place.tmp, buf_z(prefix), 0) == 0 &&
	    linkat(f->place.cur, buf_z(&name), job->place.tmp, buf_z(prefix), 0) == 0)
		return STORE_OK;
	if (errno == ENOENT && link_elsewhere(job, from, prefix))
		return STORE_OK;
	return files_failed(&f->account->log, "link", buf_str(&name));
}

static enum store_result
copy_row(struct copy_job *job, uint32_t uid)
{
	struct account *a = job->m->folder->account;
	struct copy_one *one;
	scoped_message from = MESSAGE_NONE;
	scoped_buf prefix = BUF_INIT;
	struct file_name name;
	int64_t to_key;
	enum store_result r = message_get(a, job->source.number, uid, &from);

	if (r == STORE_OK && !file_name_parse(buf_str(&from.base), &name))
		r = STORE_GONE;
	if (r != STORE_OK) {
		/* Expunged meanwhile. */
		return r == STORE_GONE ? STORE_OK : r;
	}
	if (job->move && job->target != &job->source)
		buf_put(&prefix, name.prefix);
	else
		publish_put_prefix(&prefix, clock_now(), STR_EMPTY);
	r = link_file(job, &from, &prefix);
	if (r != STORE_OK) {
		job->m->folder->look |= r == STORE_GONE;
		return r == STORE_GONE ? STORE_OK : r;
	}
	one = add_one(job);
	one->from = from;
	from = MESSAGE_NONE;
	one->to = (struct message_row){ .flags = one->from.flags, .size = one->from.size,
		.internal_date = one->from.internal_date,
		.keywords = map_keywords(job, one->from.keywords) };
	r = box_take_uids(a, job->target, 1, &one->to.uid);
	if (r == STORE_OK && job->target_modseq == 0)
		r = box_take_modseq(a, job->target, &job->target_modseq);
	if (r == STORE_OK && job->move && job->source_modseq == 0)
		r = box_take_modseq(a, &job->source, &job->source_modseq);
	if (r != STORE_OK)
		return r;
	one->to.modseq = job->target_modseq;
	file_name_put_base(&one->to.base, buf_str(&prefix), name.has_size ? name.size : 0,
	    one->to.size, one->to.uid);
	message_put_letters(&one->to.letters, &job->target->keywords, one->to.flags,
	    one->to.keywords, STR_EMPTY);
	box_count(job->target, 1, one->to.size, one->to.flags);
	r = message_add(a, job->target->number, &one->to);
	to_key = message_key(job->target->number, one->to.uid);
	if (r == STORE_OK)
		r = index_do(a, Q_CACHE_COPY, BIND(V(to_key),
		    V(message_key(job->source.number, uid))));
	if (r == STORE_OK && job->move)
		r = message_drop(a, &job->source, &one->from, job->source_modseq);
	return r;
}

static enum store_result
finish(struct copy_job *job)
{
	struct folder *f = job->m->folder;
	struct account *a = f->account;
	struct touch to;
	enum store_result r = STORE_OK, one;

	touch_begin(a, job->target->number, &job->place, &to);
	for (size_t i = 0; i < job->count; i++) {
		struct message_row *row = &job->ones[i].to;

		one = publish_file(a, &job->place, buf_str(&row->base), buf_str(&row->letters));
		/* Already there under a newer name, or expunged: others are quick. */
		if (one != STORE_OK && one != STORE_GONE)
			r = one;
	}
	touch_end(a, &job->place, &to);
	if (r == STORE_OK && fsync(job->place.cur) != 0)
		r = files_failed(&a->log, "sync", buf_str(&job->target->name));
	if (r != STORE_OK)
		return undo(job, r);
	if (!job->move)
		return STORE_OK;
	for (size_t i = 0; i < job->count; i++)
		expunge_file(&f->place, buf_str(&job->ones[i].from.base),
		    buf_str(&job->ones[i].from.letters));
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

	row->modseq = job->source_modseq;
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
		r = message_drop(a, job->target, &job->ones[i].to, job->target_modseq);
		if (r == STORE_OK && job->move)
			r = put_back(job, &job->ones[i].from);
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
	for (size_t i = 0; i < job->count; i++)
		expunge_file(&job->place, buf_str(&job->ones[i].to.base),
		    buf_str(&job->ones[i].to.letters));
	return why;
}

static void
unlink_links(struct copy_job *job)
{
	struct file_name name;
	scoped_buf prefix = BUF_INIT;

	for (size_t i = 0; i < job->count; i++) {
		buf_clear(&prefix);
		if (!file_name_parse(buf_str(&job->ones[i].to.base), &name))
			continue;
		buf_put(&prefix, name.prefix);
		unlinkat(job->place.tmp, buf_z(&prefix), 0);
	}
}
