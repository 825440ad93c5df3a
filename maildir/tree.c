/* SPDX-License-Identifier: ISC */
/*
 * Directories and rows of mailboxes agree: folders that other programs made, renamed or
 * removed are taken over. A folder is known by the id in its trivet-mailbox.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "maildir/private.h"

enum { DELETING_SECONDS_MAX = 24 * 3600 };	/* no DELETE takes longer */

struct tree {
	struct account *a;
	struct buf names;	/* each followed by '\0' */
	struct buf fresh;	/* int64_t: mailboxes whose names' UIDs are to be believed */
};

static enum store_result adopt_folder(struct tree *t, struct str name);
static enum store_result drop_missing(struct account *a);

static bool
has_cur(int root, struct str dir)
{
	scoped_fd fd = files_open_dir(root, dir.p);
	struct stat st;

	return fd >= 0 && fstatat(fd, "cur", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* A directory whose name we would have written otherwise is given our name for it. */
static bool
see_dir(void *arg, struct str dir)
{
	struct tree *t = arg;
	scoped_buf name = BUF_INIT, right = BUF_INIT;
	scoped_fd fd = -1;
	bool canonical;

	if (dir.p[0] != '.' || str_eq(dir, STR(".trivet")))
		return true;
	if (!layout_name_of_dir(dir, &name, &canonical)) {
		if (has_cur(t->a->dir, dir))
			log_warn(&t->a->log, "folder-not-taken", KV("folder", dir), KV("why", "no mailbox can have "
			    "this name"));
		return true;
	}
	fd = files_open_dir(t->a->dir, dir.p);
	if (fd < 0) {
		if (errno != ENOENT)
			log_warn(&t->a->log, "folder-not-taken", KV("folder", dir), KV("errno", errno));
		return true;
	}
	if (!canonical) {
		layout_put_dir(&right, buf_str(&name));
		if (renameat2(t->a->dir, dir.p, t->a->dir, buf_z(&right), RENAME_NOREPLACE) != 0) {
			/* Two directories of one name: the other is the mailbox. */
			log_warn(&t->a->log, "folder-not-taken", KV("folder", dir), KV("name", buf_str(&name)),
			    KV("errno", errno));
			return true;
		}
	}
	buf_put(&t->names, buf_str(&name));
	buf_put_c(&t->names, '\0');
	return true;
}

static enum store_result
sync_rows(struct tree *t)
{
	struct str rest = buf_str(&t->names), name;
	enum store_result r = STORE_OK;

	while (r == STORE_OK && rest.n > 0) {
		scoped_box box = BOX_NONE;

		name = str_of(rest.p);
		rest = str_from(rest, name.n + 1);
		r = box_find(t->a, name, &box);
		if (r == STORE_NO_SUCH)
			r = adopt_folder(t, name);
	}
	return r == STORE_OK ? drop_missing(t->a) : r;
}

enum store_result
tree_sync(struct account *a)
{
	struct tree t = { .a = a };
	int64_t mtime = files_mtime_ns(a->dir), number;
	enum store_result r = txn_begin(a);

	if (r != STORE_OK)
		return r;
	buf_put(&t.names, (struct str){ "INBOX", sizeof("INBOX") });
	if (!files_list(a->dir, see_dir, &t))
		r = files_failed(&a->log, "list", STR("."));
	if (r == STORE_OK)
		r = sync_rows(&t);
	if (r == STORE_OK)
		r = state_put(a, "root_mtime", mtime);
	r = txn_end(a, r);
	for (size_t i = 0; r == STORE_OK && i < t.fresh.n; i += sizeof(number)) {
		scoped_box box = BOX_NONE;
		scoped_place place = PLACE_CLOSED;

		memcpy(&number, t.fresh.p + i, sizeof(number));
		r = box_get(a, number, &box);
		if (r == STORE_OK)
			r = place_open(a, buf_str(&box.name), &place);
		if (r == STORE_OK)
			r = scan_mailbox(a, number, &place, SCAN_TRUST_UIDS);
		if (r == STORE_BROKEN)		/* logged; the others go on */
			r = STORE_OK;
	}
	if (r == STORE_OK)
		a->root_mtime = mtime;
	buf_free(&t.names);
	buf_free(&t.fresh);
	return r;
}

enum store_result
tree_find(struct account *a, struct str name, struct box *out)
{
	enum store_result r = box_find(a, name, out);

	if (r != STORE_NO_SUCH || files_mtime_ns(a->dir) == a->root_mtime)
		return r;
	r = tree_sync(a);
	return r == STORE_OK ? box_find(a, name, out) : r;
}

enum store_result
state_get(struct account *a, const char *key, int64_t *out)
{
	sqlite3_stmt *q = index_ask(a, Q_STATE_GET, BIND(V(str_of(key))));

	*out = 0;
	while (index_row(a, q))
		*out = sqlite3_column_int64(q, 0);
	return index_end(a, q);
}

enum store_result
state_put(struct account *a, const char *key, int64_t value)
{
	return index_do(a, Q_STATE_PUT, BIND(V(str_of(key)), V(value)));
}

enum store_result
tree_new_control(struct account *a, struct control *c)
{
	int64_t last;
	enum store_result r = state_get(a, "uidvalidity", &last);

	if (r != STORE_OK)
		return r;
	control_new(c, (uint32_t)last);
	return state_put(a, "uidvalidity", c->uidvalidity);
}

/* ---- a folder without a row ---- */

static const struct {
	struct str name;
	unsigned use;
} defaults[] = {
	{ { "Drafts", 6 }, USE_DRAFTS },
	{ { "Sent", 4 }, USE_SENT },
	{ { "Junk", 4 }, USE_JUNK },
	{ { "Trash", 5 }, USE_TRASH },
	{ { "Archive", 7 }, USE_ARCHIVE },
};

/* Not one of ours so far: it gets an identity, and the use that its name says. */
static enum store_result
found_new(struct tree *t, struct str name, int dir)
{
	scoped_control c = { 0 };
	scoped_box box = BOX_NONE;
	enum store_result r = tree_new_control(t->a, &c);

	c.subscribed = true;
	for (size_t i = 0; i < countof(defaults); i++)
		if (str_eq(defaults[i].name, name))
			c.special_use = defaults[i].use;
	if (r == STORE_OK)
		r = control_write(&t->a->log, dir, &c);
	return r == STORE_OK ? box_add(t->a, name, &c, &box) : r;
}

static enum store_result
add_names(struct account *a, struct str rest)
{
	scoped_buf checked = BUF_INIT;
	enum store_result r = STORE_OK;
	struct str name;

	/* Somebody may have written into the file what no mailbox can be called. */
	while (r == STORE_OK && str_cut(&rest, '\n', &name))
		if (layout_name(name, &checked))
			r = index_do(a, Q_NAME_ADD, BIND(V(buf_str(&checked))));
	return r;
}

/* renew.c says why. */
static enum store_result
renew_copy(struct tree *t, struct box *box)
{
	enum store_result r = renew_validity(t->a, box);

	log_warn(&t->a->log, "mailbox-copied", KV("mailbox", buf_str(&box->name)), KV("uidvalidity", box->uidvalidity),
	    KV("why", "trivet-mailbox is a copy, from a backup or another place, and the index knows nothing of it"));
	return r == STORE_OK ? box_renew(t->a, box, box->uid_next, box->modseq) : r;
}

/* Its row was lost with the index, or it was brought here: all it knows is in its files. */
static enum store_result
found_known(struct tree *t, struct str name, const struct control *c)
{
	scoped_box box = BOX_NONE;
	enum store_result r = box_add(t->a, name, c, &box);
	int64_t last;

	if (r == STORE_OK)
		r = state_get(t->a, "uidvalidity", &last);
	if (r == STORE_OK && (int64_t)c->uidvalidity > last)
		r = state_put(t->a, "uidvalidity", c->uidvalidity);
	if (r != STORE_OK)
		return r;
	/* Above everything that can have been given out. */
	box.uid_next = c->uid_reserve;
	box.modseq = c->modseq_reserve;
	buf_put(&t->fresh, (struct str){ (const char *)&box.number, sizeof(box.number) });
	r = c->copied ? renew_copy(t, &box) : box_save_counts(t->a, &box);
	if (r == STORE_OK)
		r = vanished_forget(t->a, &box);
	if (r == STORE_OK)
		r = index_do(t->a, Q_BOX_RECENT, BIND(V(box.uid_next), V(box.number)));
	return r == STORE_OK ? add_names(t->a, buf_str(&c->subscribed_names)) : r;
}

static enum store_result
adopt_folder(struct tree *t, struct str name)
{
	struct account *a = t->a;
	scoped_place place = PLACE_CLOSED, other = PLACE_CLOSED;
	scoped_control c = { 0 };
	scoped_box same = BOX_NONE;
	enum store_result r = place_open(a, name, &place);

	if (r == STORE_OK)
		r = control_read(&a->log, place.dir, &c);
	/* Gone: other programs' folder. Broken: logged; its UIDs can no longer be believed. */
	if (r == STORE_GONE || r == STORE_BROKEN)
		return place.dir < 0 ? STORE_OK : found_new(t, name, place.dir);
	if (r == STORE_OK)
		r = box_by_id(a, str_of(c.id), &same);
	if (r == STORE_NO_SUCH)
		return found_known(t, name, &c);
	if (r != STORE_OK)
		return r;
	r = place_open(a, buf_str(&same.name), &other);
	if (r == STORE_GONE)
		return index_do(a, Q_BOX_RENAME, BIND(V(name), V(same.number)));
	/* A copy of a folder that is still here. */
	return r == STORE_OK ? found_new(t, name, place.dir) : r;
}

/* ---- a row without a folder ---- */

enum store_result
tree_drop_box(struct account *a, int64_t box)
{
	static const enum query clear[] = { Q_MESSAGES_CLEAR, Q_FILES_CLEAR, Q_TEXTS_CLEAR, Q_HEADERS_CLEAR,
	    Q_MADE_CLEAR };
	enum store_result r = STORE_OK;

	for (size_t i = 0; r == STORE_OK && i < countof(clear); i++)
		r = index_do(a, clear[i], BIND(V(message_key(box, 0)),
		    V(message_key(box, UINT32_MAX))));
	if (r == STORE_OK)
		r = index_do(a, Q_EXPUNGED_CLEAR, BIND(V(box)));
	if (r == STORE_OK)
		r = claims_drop(a, box);
	if (r == STORE_OK)
		r = snapshot_file_drop(a, box);
	return r == STORE_OK ? index_do(a, Q_BOX_DROP, BIND(V(box))) : r;
}

static enum store_result
drop_missing(struct account *a)
{
	scoped_buf numbers = BUF_INIT;
	enum store_result r = box_numbers(a, &numbers);
	int64_t number;

	for (size_t i = 0; r == STORE_OK && i < numbers.n; i += sizeof(number)) {
		scoped_box box = BOX_NONE;
		scoped_buf dir = BUF_INIT;
		scoped_fd fd = -1;

		memcpy(&number, numbers.p + i, sizeof(number));
		r = box_get(a, number, &box);
		if (r != STORE_OK)
			break;
		layout_put_dir(&dir, buf_str(&box.name));
		fd = files_open_dir(a->dir, buf_z(&dir));
		if (fd >= 0 || errno != ENOENT)
			continue;
		log_info(&a->log, "mailbox-gone", KV("mailbox", buf_str(&box.name)));
		r = tree_drop_box(a, number);
	}
	return r;
}

/* ---- beginnings and ends ---- */

enum store_result
tree_make_defaults(struct account *a)
{
	enum store_result r = STORE_OK;

	for (size_t i = 0; r == STORE_OK && i < countof(defaults); i++) {
		r = mailbox_create(a, defaults[i].name, defaults[i].use);
		if (r == STORE_OK || r == STORE_EXISTS)
			r = mailbox_subscribe(a, defaults[i].name, true);
	}
	return r;
}

/* Whoever was deleting it died. */
static bool
was_left_deleting(const struct account *a, struct str name)
{
	struct stat st;

	return str_starts(name, str_of(TREE_DELETING)) &&
	    fstatat(a->ours, name.p, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    clock_now() - st.st_ctime > DELETING_SECONDS_MAX;
}

static bool
see_deleted(void *arg, struct str name)
{
	struct account *a = arg;

	if (!str_starts(name, str_of(TREE_DELETED)) && !was_left_deleting(a, name))
		return true;
	(void)files_remove_tree(a->ours, name.p);
	return true;
}

void
tree_sweep(struct account *a)
{
	(void)!files_list(a->ours, see_deleted, a);
}
