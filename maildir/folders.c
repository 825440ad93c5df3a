/* SPDX-License-Identifier: ISC */
/*
 * CREATE, DELETE, RENAME, SUBSCRIBE: the directory first, then the row, both under the write
 * lock; where we die between the two, tree_sync makes the rows follow.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "maildir/kept.h"

static enum store_result create_levels(struct account *a, struct str name, unsigned use,
    struct buf *made, struct box *out);

/* ---- CREATE ---- */

/* *made_all: the folders that were made, each ended by a NUL. *out is BOX_NONE before, and freed by the caller. */
static enum store_result
create_one(struct account *a, struct str name, unsigned use, struct buf *made_all, struct box *out)
{
	scoped_control c = { 0 };
	scoped_buf dir = BUF_INIT;
	scoped_place place = PLACE_CLOSED;
	bool made;
	enum store_result r = tree_new_control(a, &c);

	if (r == STORE_OK)
		r = index_do(a, Q_NAME_DROP, BIND(V(name)));
	if (r != STORE_OK)
		return r;
	c.subscribed = index_changed(a) > 0;
	c.special_use = use;
	layout_put_dir(&dir, name);
	made = mkdirat(a->dir, buf_z(&dir), 0700) == 0;
	if (!made && errno != EEXIST)
		return files_failed(&a->log, "make", buf_str(&dir));
	if (made) {
		buf_put(made_all, buf_str(&dir));
		buf_put_c(made_all, '\0');
	}
	r = place_open(a, name, &place);
	if (r == STORE_OK)
		r = control_write(&a->log, place.dir, &c);
	if (r == STORE_OK)
		r = box_add(a, name, &c, out);
	/* Made just now, so there is nothing to be found by a first scan. */
	if (r == STORE_OK && made)
		r = index_do(a, Q_BOX_MTIMES, BIND(V(files_mtime_ns(place.cur)),
		    V(files_mtime_ns(place.new)), V(out->number)));
	if (r == STORE_OK && fsync(a->dir) != 0)
		r = files_failed(&a->log, "sync", buf_str(&dir));
	return r == STORE_GONE ? STORE_BROKEN : r;
}

/* RFC 3501 6.3.3: the levels above are made too. */
static enum store_result
create_levels(struct account *a, struct str name, unsigned use, struct buf *made, struct box *out)
{
	enum store_result r;

	for (size_t i = 0; i < name.n; i++) {
		scoped_box above = BOX_NONE, level = BOX_NONE;

		if (name.p[i] != '/')
			continue;
		r = box_find(a, str_sub(name, 0, i), &above);
		if (r == STORE_NO_SUCH)
			r = create_one(a, str_sub(name, 0, i), 0, made, &level);
		if (r != STORE_OK)
			return r;
	}
	r = box_find(a, name, out);
	if (r == STORE_NO_SUCH)
		return create_one(a, name, use, made, out);
	return r == STORE_OK ? STORE_EXISTS : r;
}

/* Out of sight at once, as *to. False: it stays, errno says why. */
static bool
put_away(struct account *a, const char *dir, const char *word, struct buf *to)
{
	buf_put_z(to, word);
	id_put_new(to);
	if (renameat(a->dir, dir, a->ours, buf_z(to)) == 0)
		return true;
	buf_clear(to);
	return false;
}

/* The rows were not committed: a folder that stayed would be a mailbox. */
static void
unmake(struct account *a, struct str made)
{
	struct str dir;

	while (made.n > 0 && str_cut(&made, '\0', &dir)) {
		scoped_buf trash = BUF_INIT;

		if (!put_away(a, dir.p, TREE_DELETED, &trash))
			(void)!files_remove_tree(a->dir, dir.p);
	}
	a->sweep_due = clock_monotonic_ms();
}

/* What other programs made meanwhile is there too. */
static enum store_result
look_at_root(struct account *a)
{
	enum store_result r = index_alive(a);

	return r == STORE_OK && files_mtime_ns(a->dir) != a->root_mtime ? tree_sync(a) : r;
}

static enum store_result
create(struct account *a, struct str given, unsigned special_use, struct box *out)
{
	scoped_buf name = BUF_INIT, made = BUF_INIT;
	enum store_result r;

	if (!layout_name(given, &name))
		return STORE_BAD_NAME;
	if (kept_has_name(a, buf_str(&name), &made))
		return STORE_NOT_ALLOWED;
	buf_clear(&made);
	r = look_at_root(a);
	if (r == STORE_OK)
		r = txn_begin(a);
	if (r != STORE_OK)
		return r;
	r = txn_end(a, create_levels(a, buf_str(&name), special_use, &made, out));
	if (r == STORE_OK)
		watch_notify(a);
	else
		unmake(a, buf_str(&made));
	return r;
}

enum store_result
mailbox_create(struct account *a, struct str name, unsigned special_use)
{
	scoped_box box = BOX_NONE;

	return create(a, name, special_use, &box);
}

enum store_result
mailbox_create_told(struct account *a, struct str name, unsigned special_use, struct arena *arena,
    struct mailbox_info *out)
{
	scoped_box box = BOX_NONE;
	enum store_result r = create(a, name, special_use, &box);

	if (r == STORE_OK)
		*out = (struct mailbox_info){ .name = arena_str(arena, buf_str(&box.name)),
			.id = arena_str(arena, str_of(box.id)), .uidvalidity = box.uidvalidity,
			.selectable = true, .exists = true };
	return r;
}

struct str
mailbox_kept_name(struct str given, struct arena *arena)
{
	scoped_buf name = BUF_INIT;

	return layout_name(given, &name) ? arena_str(arena, buf_str(&name)) : STR_EMPTY;
}

/* ---- DELETE ---- */

static bool
has_children(struct account *a, struct str name)
{
	sqlite3_stmt *q = index_ask(a, Q_BOX_LIST, BIND());
	bool found = false;

	while (index_row(a, q))
		found |= layout_is_below(index_text(q, 0), name);
	(void)index_end(a, q);
	return found;
}

/* The subscription outlives the mailbox (RFC 3501 6.3.6); INBOX's file is where it lives. */
static enum store_result
keep_subscription(struct account *a, const struct box *box)
{
	scoped_box inbox = BOX_NONE;
	enum store_result r;

	if (!box->subscribed)
		return STORE_OK;
	r = index_do(a, Q_NAME_ADD, BIND(V(buf_str(&box->name))));
	if (r == STORE_OK)
		r = box_find(a, STR("INBOX"), &inbox);
	return r == STORE_OK ? box_save_settings(a, &inbox) : r;
}

/* *dir was renamed to *away, unless that is empty. */
static enum store_result
delete_box(struct account *a, struct str name, struct buf *dir, struct buf *away)
{
	scoped_box box = BOX_NONE;
	enum store_result r = box_find(a, name, &box);

	if (r == STORE_NO_SUCH && has_children(a, name))
		return STORE_NOT_ALLOWED;
	if (r == STORE_OK)
		r = keep_subscription(a, &box);
	if (r == STORE_OK)
		r = tree_drop_box(a, box.number);
	if (r != STORE_OK)
		return r;
	layout_put_dir(dir, name);
	if (!(a->keep_seconds > 0 ? kept_put_away(a, buf_z(dir), away) :
	    put_away(a, buf_z(dir), TREE_DELETING, away)) && errno != ENOENT)
		return files_failed(&a->log, "delete", buf_str(dir));
	return fsync(a->dir) == 0 ? STORE_OK : files_failed(&a->log, "sync", buf_str(dir));
}

/* Nobody empties what is only being deleted: where the row stays, the messages are still there. */
static void
finish_delete(struct account *a, struct buf *dir, struct buf *away, bool deleted)
{
	scoped_buf trash = BUF_INIT;

	if (away->n == 0)
		return;
	if (a->keep_seconds > 0) {
		kept_finish_delete(a, buf_z(dir), away, deleted);
		return;
	}
	buf_put_z(&trash, TREE_DELETED);
	id_put_new(&trash);
	if (deleted)
		(void)!renameat(a->ours, buf_z(away), a->ours, buf_z(&trash));
	else if (renameat2(a->ours, buf_z(away), a->dir, buf_z(dir), RENAME_NOREPLACE) != 0)
		(void)!files_failed(&a->log, "bring back", buf_str(dir));
}

enum store_result
mailbox_delete(struct account *a, struct str given)
{
	scoped_buf name = BUF_INIT, inner = BUF_INIT, dir = BUF_INIT, away = BUF_INIT;
	enum store_result r;

	if (!layout_name(given, &name))
		return STORE_NO_SUCH;
	if (layout_is_inbox(buf_str(&name)) || kept_has_name(a, buf_str(&name), &inner))
		return STORE_NOT_ALLOWED;
	r = look_at_root(a);
	if (r == STORE_OK)
		kept_before_delete(a, buf_str(&name));
	if (r == STORE_OK)
		r = txn_begin(a);
	if (r != STORE_OK)
		return r;
	r = txn_end(a, delete_box(a, buf_str(&name), &dir, &away));
	finish_delete(a, &dir, &away, r == STORE_OK);
	if (r == STORE_OK) {
		a->sweep_due = clock_monotonic_ms();
		watch_notify(a);
	}
	return r;
}

/* ---- RENAME ---- */

struct renamed {
	int64_t number;
	struct buf from;
	struct buf to;
	bool done;
};

struct rename_job {
	struct account *a;
	struct renamed *all;
	size_t count;
};

static enum store_result
collect(struct rename_job *job, struct str from, struct str to)
{
	scoped_buf numbers = BUF_INIT, name = BUF_INIT;
	enum store_result r = box_numbers(job->a, &numbers);
	int64_t number;

	job->all = xcalloc(numbers.n / sizeof(number) + 1, sizeof(*job->all));
	for (size_t i = 0; r == STORE_OK && i < numbers.n; i += sizeof(number)) {
		scoped_box box = BOX_NONE;
		struct renamed *one = &job->all[job->count];

		memcpy(&number, numbers.p + i, sizeof(number));
		r = box_get(job->a, number, &box);
		if (r != STORE_OK)
			break;
		if (!str_eq(buf_str(&box.name), from) && !layout_is_below(buf_str(&box.name), from))
			continue;
		one->number = number;
		buf_put(&one->from, buf_str(&box.name));
		buf_put(&one->to, to);
		buf_put(&one->to, str_from(buf_str(&box.name), from.n));
		job->count++;
		if (!layout_name(buf_str(&one->to), &name))
			r = STORE_BAD_NAME;
	}
	return r == STORE_OK && job->count == 0 ? STORE_NO_SUCH : r;
}

static bool
move_dir(struct account *a, struct str from, struct str to)
{
	scoped_buf old = BUF_INIT, new = BUF_INIT;

	layout_put_dir(&old, from);
	layout_put_dir(&new, to);
	return renameat2(a->dir, buf_z(&old), a->dir, buf_z(&new), RENAME_NOREPLACE) == 0;
}

static enum store_result
rename_all(struct rename_job *job)
{
	enum store_result r = STORE_OK;

	for (size_t i = 0; r == STORE_OK && i < job->count; i++) {
		struct renamed *one = &job->all[i];
		scoped_box there = BOX_NONE;

		r = box_find(job->a, buf_str(&one->to), &there);
		if (r != STORE_NO_SUCH)
			return r == STORE_OK ? STORE_EXISTS : r;
		one->done = move_dir(job->a, buf_str(&one->from), buf_str(&one->to));
		if (!one->done)
			return files_failed(&job->a->log, "rename", buf_str(&one->from));
		r = index_do(job->a, Q_BOX_RENAME, BIND(V(buf_str(&one->to)), V(one->number)));
	}
	return r;
}

static enum store_result
rename_tree(struct account *a, struct str from, struct str to)
{
	struct rename_job job = { .a = a };
	struct str parent = layout_parent(to);
	scoped_box there = BOX_NONE, above = BOX_NONE;
	scoped_buf made = BUF_INIT;
	enum store_result r = txn_begin(a);

	if (r != STORE_OK)
		return r;
	r = box_find(a, to, &there);
	r = r == STORE_OK ? STORE_EXISTS : r == STORE_NO_SUCH ? STORE_OK : r;
	if (r == STORE_OK)
		r = collect(&job, from, to);
	if (r == STORE_OK && parent.n > 0)
		r = create_levels(a, parent, 0, &made, &above);
	if (r == STORE_OK || r == STORE_EXISTS)
		r = there.number != 0 ? STORE_EXISTS : rename_all(&job);
	if (r == STORE_OK && fsync(a->dir) != 0)
		r = files_failed(&a->log, "sync", STR("."));
	r = txn_end(a, r);
	for (size_t i = job.count; i-- > 0;) {
		if (r != STORE_OK && job.all[i].done)
			(void)!move_dir(a, buf_str(&job.all[i].to), buf_str(&job.all[i].from));
		buf_free(&job.all[i].from);
		buf_free(&job.all[i].to);
	}
	free(job.all);
	if (r != STORE_OK)
		unmake(a, buf_str(&made));
	return r;
}

/* Nothing was moved into it: as if it had never been made. */
static void
delete_empty(struct account *a, struct str name)
{
	struct arena *arena = arena_new();
	struct mailbox_info info;

	if (mailbox_status(a, name, arena, &info) == STORE_OK && info.messages == 0)
		(void)!mailbox_delete(a, name);
	arena_free(arena);
}

/* RFC 3501 6.3.5: its messages move to the new mailbox, INBOX stays, empty. */
static enum store_result
rename_inbox(struct account *a, struct str to)
{
	static const struct uid_range all = { 1, UINT32_MAX };
	struct uid_set set = { &all, 1 };
	struct mailbox *inbox;
	struct arena *arena;
	struct copied moved;
	enum store_result r = mailbox_create(a, to, 0);

	if (r != STORE_OK)
		return r;
	r = mailbox_open(a, STR("INBOX"), MAILBOX_READ_WRITE, &inbox);
	if (r == STORE_OK) {
		arena = arena_new();
		r = mailbox_move(inbox, &set, to, arena, &moved);
		arena_free(arena);
		mailbox_close(inbox);
	}
	if (r != STORE_OK)
		delete_empty(a, to);
	return r;
}

enum store_result
mailbox_rename(struct account *a, struct str given_from, struct str given_to)
{
	scoped_buf from = BUF_INIT, to = BUF_INIT, inner = BUF_INIT;
	enum store_result r;

	if (!layout_name(given_from, &from))
		return STORE_NO_SUCH;
	if (!layout_name(given_to, &to))
		return STORE_BAD_NAME;
	if (kept_has_name(a, buf_str(&from), &inner) || kept_has_name(a, buf_str(&to), &inner))
		return STORE_NOT_ALLOWED;
	r = look_at_root(a);
	if (r != STORE_OK)
		return r;
	if (layout_is_inbox(buf_str(&to)) || str_eq(buf_str(&from), buf_str(&to)))
		return STORE_EXISTS;
	if (layout_is_inbox(buf_str(&from)))
		return rename_inbox(a, buf_str(&to));
	if (layout_is_below(buf_str(&to), buf_str(&from)))
		return STORE_NOT_ALLOWED;
	r = rename_tree(a, buf_str(&from), buf_str(&to));
	if (r == STORE_OK)
		watch_notify(a);
	return r;
}

/* ---- SUBSCRIBE ---- */

static enum store_result
subscribe_name(struct account *a, struct str name, bool on)
{
	scoped_box inbox = BOX_NONE;
	sqlite3_stmt *q;
	size_t count = 0;
	enum store_result r;

	q = index_ask(a, Q_NAME_LIST, BIND());
	while (index_row(a, q))
		count++;
	r = index_end(a, q);
	if (r == STORE_OK && on && count >= SUBSCRIBED_NAMES_MAX)
		r = STORE_TOO_LARGE;
	if (r == STORE_OK)
		r = index_do(a, on ? Q_NAME_ADD : Q_NAME_DROP, BIND(V(name)));
	if (r != STORE_OK || index_changed(a) == 0)
		return r;
	r = box_find(a, STR("INBOX"), &inbox);
	return r == STORE_OK ? box_save_settings(a, &inbox) : r;
}

static enum store_result
subscribe_box(struct account *a, struct str name, bool on)
{
	scoped_box box = BOX_NONE;
	enum store_result r = box_find(a, name, &box);

	if (r == STORE_NO_SUCH)
		return subscribe_name(a, name, on);
	if (r != STORE_OK || box.subscribed == on)
		return r;
	box.subscribed = on;
	return box_save_settings(a, &box);
}

enum store_result
mailbox_subscribe(struct account *a, struct str given, bool on)
{
	scoped_buf name = BUF_INIT;
	enum store_result r;

	if (!layout_name(given, &name))
		return on ? STORE_BAD_NAME : STORE_OK;
	r = txn_begin(a);
	return r == STORE_OK ? txn_end(a, subscribe_box(a, buf_str(&name), on)) : r;
}
