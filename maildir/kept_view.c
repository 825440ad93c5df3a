/* SPDX-License-Identifier: ISC */
/*
 * What is kept, as clients see it: mailboxes below one name, for reading (RFC 2342's namespaces). They are those of
 * the account in trivet-deleted/, which is opened when somebody looks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "maildir/kept.h"

static const struct str top_name = { "Recently Deleted", 16 };

struct str
account_kept_name(const struct account *a)
{
	return a->keep_seconds > 0 ? top_name : STR_EMPTY;
}

bool
kept_has_name(struct account *a, struct str given, struct buf *inner)
{
	scoped_box box = BOX_NONE;

	buf_clear(inner);
	if (a->keep_seconds == 0 || !str_starts(given, top_name) ||
	    (given.n > top_name.n && given.p[top_name.n] != '/'))
		return false;
	if (box_find(a, given, &box) != STORE_NO_SUCH)
		return false;
	return given.n == top_name.n || layout_name(str_from(given, top_name.n + 1), inner);
}

bool
account_keeps(struct account *a, struct str given)
{
	scoped_buf name = BUF_INIT, inner = BUF_INIT;

	return layout_name(given, &name) && kept_has_name(a, buf_str(&name), &inner);
}

static enum store_result
open_view(struct account *a)
{
	struct account_options options = { .address = buf_str(&a->address),
		.daemon = buf_z(&a->daemon), .kept = true };
	struct epoll_event e = { .events = EPOLLIN };
	int dir = files_open_dir(a->dir, kept_dir);
	enum store_result r;

	if (dir < 0)
		return files_failed(&a->log, "open", str_of(kept_dir)) == STORE_GONE ? STORE_NO_SUCH : STORE_BROKEN;
	r = account_open(dir, &options, &a->kept);
	if (r != STORE_OK) {
		a->kept = NULL;
		return r;
	}
	a->kept->kept_of = a;
	if (epoll_ctl(a->events, EPOLL_CTL_ADD, a->kept->events, &e) != 0)
		log_warn(&a->log, "watch-failed", KV("errno", errno));
	return STORE_OK;
}

enum store_result
kept_view(struct account *a, struct account **out)
{
	enum store_result r = a->kept != NULL ? STORE_OK : open_view(a);

	if (r == STORE_OK)
		*out = a->kept;
	return r;
}

/* Folders come there by way of the disk. */
static enum store_result
view_now(struct account *a, struct account **out)
{
	enum store_result r;

	kept_settle(a);
	r = kept_view(a, out);
	if (r == STORE_OK)
		r = index_alive(*out);
	if (r == STORE_OK && files_mtime_ns((*out)->dir) != (*out)->root_mtime)
		r = tree_sync(*out);
	return r;
}

enum store_result
kept_open(struct account *a, struct str inner, struct mailbox **out)
{
	struct account *there;
	enum store_result r = inner.n == 0 ? STORE_NO_SUCH : view_now(a, &there);

	return r == STORE_OK ? mailbox_open(there, inner, MAILBOX_READ_ONLY, out) : r;
}

static struct str
whole_name(struct arena *arena, struct str inner)
{
	return arena_printf(arena, "%.*s/%.*s", STR_ARG(top_name), STR_ARG(inner));
}

enum store_result
kept_status(struct account *a, struct str inner, struct arena *arena, struct mailbox_info *out)
{
	struct account *there;
	enum store_result r = inner.n == 0 ? STORE_NO_SUCH : view_now(a, &there);

	if (r == STORE_OK)
		r = mailbox_status(there, inner, arena, out);
	if (r == STORE_OK) {
		out->name = whole_name(arena, out->name);
		out->special_use = 0;
		out->subscribed = false;
	}
	return r;
}

enum store_result
account_list_kept(struct account *a, struct arena *arena, struct mailbox_info **out, size_t *count)
{
	struct mailbox_info *inner = NULL, *all;
	struct account *there;
	size_t n = 0, kept = 0;
	enum store_result r = a->keep_seconds == 0 ? STORE_NO_SUCH : view_now(a, &there);

	if (r == STORE_OK)
		r = account_list(there, arena, &inner, &n);
	if (r != STORE_OK && r != STORE_NO_SUCH)
		return r;
	all = arena_array(arena, struct mailbox_info, n + 1);
	if (a->keep_seconds > 0)
		all[kept++] = (struct mailbox_info){ .name = top_name, .exists = true, .has_children = n > 0 };
	for (size_t i = 0; i < n; i++) {
		scoped_box ours = BOX_NONE;

		all[kept] = inner[i];
		all[kept].name = whole_name(arena, inner[i].name);
		/* \Sent and its like are said of one mailbox, and that is another. */
		all[kept].special_use = 0;
		all[kept].subscribed = false;
		kept += inner[i].exists && box_find(a, all[kept].name, &ours) == STORE_NO_SUCH;
	}
	*out = all;
	*count = kept;
	return STORE_OK;
}

/* ---- COPY back ---- */

struct back {
	struct mailbox *m;
	struct account *a;
	struct box target;
	struct place place;
	uint64_t modseq;
	bool grew;
	struct message_row *rows;	/* of the target */
	uint32_t *from;
	size_t count;
};

/* Into the target's tmp/, on disk before anything says so. */
static enum store_result
link_one(struct back *b, struct message_row *from, struct buf *prefix)
{
	struct folder *f = b->m->folder;
	scoped_fd fd = -1;
	scoped_buf name = BUF_INIT;
	struct file_name parsed;
	enum store_result r = message_open_file(f->account, f->box.number, &f->place, from, &fd);

	if (r != STORE_OK)
		return r;
	if (fsync(fd) != 0)
		return files_failed(&b->a->log, "sync", buf_str(&from->base));
	publish_put_prefix(prefix, clock_now(), STR_EMPTY);
	file_name_put(&name, buf_str(&from->base), buf_str(&from->letters));
	if (linkat(f->place.cur, buf_z(&name), b->place.tmp, buf_z(prefix), 0) == 0)
		return STORE_OK;
	/* It has been given a number and not yet its name. */
	if (errno == ENOENT && file_name_parse(buf_str(&from->base), &parsed) &&
	    message_find_name(f->place.cur, parsed.prefix, &name) &&
	    linkat(f->place.cur, buf_z(&name), b->place.tmp, buf_z(prefix), 0) == 0)
		return STORE_OK;
	return files_failed(&b->a->log, "link", buf_str(&from->base));
}

/* Its keywords by name, as far as the target has room for them. */
static uint64_t
map_keywords(struct back *b, uint64_t bits)
{
	const struct keywords *words = &b->m->folder->box.keywords;
	size_t before = b->target.keywords.count;
	uint64_t out = 0;
	int number;

	for (size_t k = 0; k < words->count; k++)
		if ((bits >> k & 1) != 0 &&
		    keywords_add(&b->target.keywords, words->k[k].name, &number) == STORE_OK)
			out |= (uint64_t)1 << number;
	b->grew |= b->target.keywords.count > before;
	return out;
}

static enum store_result
add_one(struct back *b, uint32_t uid)
{
	struct folder *f = b->m->folder;
	scoped_message from = MESSAGE_NONE;
	scoped_buf prefix = BUF_INIT;
	struct message_row *to = &b->rows[b->count];
	struct file_name name;
	enum store_result r = message_get(f->account, f->box.number, uid, &from);

	if (r == STORE_OK)
		r = link_one(b, &from, &prefix);
	/* Too old, or put back, a moment ago. */
	if (r == STORE_GONE)
		return STORE_OK;
	if (r != STORE_OK)
		return r;
	*to = (struct message_row){ .flags = from.flags & ~(uint32_t)FLAG_DELETED, .size = from.size,
		.internal_date = from.internal_date, .keywords = map_keywords(b, from.keywords),
		.no_nul = from.no_nul };
	b->from[b->count++] = uid;
	(void)!file_name_parse(buf_str(&from.base), &name);
	buf_put(&to->base, buf_str(&prefix));	/* what undo looks for, until there is more */
	r = box_take_uids(b->a, &b->target, 1, &to->uid);
	if (r == STORE_OK && b->modseq == 0)
		r = box_take_modseq(b->a, &b->target, &b->modseq);
	if (r != STORE_OK)
		return r;
	to->modseq = b->modseq;
	buf_clear(&to->base);
	file_name_put_base(&to->base, buf_str(&prefix), name.size, to->size, to->uid);
	message_put_letters(&to->letters, &b->target.keywords, to->flags, to->keywords, STR_EMPTY);
	box_count(&b->target, 1, to->size, to->flags);
	return message_add(b->a, b->target.number, to);
}

/* The set's messages that the view has, as uids. */
static size_t
choose(struct back *b, const struct uid_set *set, struct arena *arena, uint32_t **out, uint64_t *bytes)
{
	const struct folder *f = b->m->folder;
	size_t n = 0;

	*out = arena_array(arena, uint32_t, f->count + 1);
	*bytes = 0;
	for (size_t at = 0; at < f->count && f->rows[at].uid <= b->m->uid_told; at++)
		if (!f->rows[at].dead && uid_set_has(set, f->rows[at].uid)) {
			(*out)[n++] = f->rows[at].uid;
			*bytes += f->rows[at].size;
		}
	return n;
}

static enum store_result
add_all(struct back *b, const uint32_t *uids, size_t count, uint64_t bytes)
{
	enum store_result r = quota_check(b->a, bytes, count);

	for (size_t i = 0; r == STORE_OK && i < count; i++)
		r = add_one(b, uids[i]);
	if (r == STORE_OK && b->grew)
		r = box_save_settings(b->a, &b->target);
	return r == STORE_OK ? box_save_counts(b->a, &b->target) : r;
}

static enum store_result
drop_all(struct back *b)
{
	enum store_result r = txn_begin(b->a);

	if (r != STORE_OK)
		return r;
	box_free(&b->target);
	r = box_get(b->a, b->target.number, &b->target);
	if (r == STORE_OK)
		r = box_take_modseq(b->a, &b->target, &b->modseq);
	for (size_t i = 0; r == STORE_OK && i < b->count; i++)
		r = message_drop(b->a, &b->target, &b->rows[i], b->modseq);
	if (r == STORE_OK)
		r = box_save_counts(b->a, &b->target);
	return txn_end(b->a, r);
}

/* Names for what is committed; where that fails it is as if nothing had been copied (RFC 3501 6.4.7). */
static enum store_result
publish_all(struct back *b)
{
	enum store_result r = STORE_OK;
	struct touch touch;

	touch_begin(b->a, b->target.number, &b->place, &touch);
	for (size_t i = 0; r == STORE_OK && i < b->count; i++) {
		r = publish_file(b->a, &b->place, buf_str(&b->rows[i].base), buf_str(&b->rows[i].letters));
		if (r == STORE_GONE)	/* expunged or renamed already: others are quick */
			r = STORE_OK;
	}
	touch_end(b->a, &b->place, &touch);
	if (r == STORE_OK && fsync(b->place.cur) != 0)
		r = files_failed(&b->a->log, "sync", buf_str(&b->target.name));
	if (r != STORE_OK && drop_all(b) == STORE_OK)
		for (size_t i = 0; i < b->count; i++)
			expunge_file(&b->place, buf_str(&b->rows[i].base), buf_str(&b->rows[i].letters));
	return r;
}

static enum store_result
run(struct back *b, const struct uid_set *set, struct str to, struct arena *arena)
{
	scoped_buf name = BUF_INIT, inner = BUF_INIT;
	uint32_t *uids;
	uint64_t bytes;
	size_t count;
	enum store_result r = mailbox_refresh(b->m);

	if (r != STORE_OK)
		return r;
	if (!layout_name(to, &name))
		return STORE_NO_SUCH;
	if (kept_has_name(b->a, buf_str(&name), &inner))
		return STORE_NOT_ALLOWED;
	count = choose(b, set, arena, &uids, &bytes);
	b->rows = arena_array(arena, struct message_row, count + 1);
	b->from = arena_array(arena, uint32_t, count + 1);
	r = txn_begin(b->a);
	if (r != STORE_OK)
		return r;
	r = box_find(b->a, buf_str(&name), &b->target);
	if (r == STORE_OK)
		r = place_open(b->a, buf_str(&name), &b->place);
	if (r == STORE_GONE)
		r = STORE_NO_SUCH;
	if (r == STORE_OK)
		r = add_all(b, uids, count, bytes);
	r = txn_end(b->a, r);
	for (size_t i = 0; r != STORE_OK && i < b->count; i++) {
		scoped_buf prefix = BUF_INIT;

		buf_put(&prefix, str_sub(buf_str(&b->rows[i].base), 0, str_index(buf_str(&b->rows[i].base), ',')));
		unlinkat(b->place.tmp, buf_z(&prefix), 0);
	}
	return r == STORE_OK ? publish_all(b) : r;
}

enum store_result
kept_copy(struct mailbox *m, const struct uid_set *set, struct str to, struct arena *arena,
    struct copied *out)
{
	struct back b = { .m = m, .a = m->folder->account->kept_of, .place = PLACE_CLOSED };
	enum store_result r = run(&b, set, to, arena);

	if (r == STORE_OK) {
		uint32_t *uids = arena_array(arena, uint32_t, b.count + 1);

		for (size_t i = 0; i < b.count; i++)
			uids[i] = b.rows[i].uid;
		*out = (struct copied){ b.target.uidvalidity, b.from, uids, b.count };
		watch_notify(b.a);
	}
	for (size_t i = 0; i < b.count; i++)
		message_row_free(&b.rows[i]);
	place_close(&b.place);
	box_free(&b.target);
	return r;
}
