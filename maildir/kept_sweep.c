/* SPDX-License-Identifier: ISC */
/*
 * What is kept, in the background: directories of deleted mailboxes are taken apart, and what has been there long enough is
 * removed. Invariant: a message's file is moved, or removed for its age, and never lost with the directory around it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "maildir/kept.h"

enum {
	SLICE_FILES = 200,		/* moved or removed in one slice */
	LIST_MAX = 5000,		/* names of files that are too old, gathered at a time */
	LOOK_EACH_MS = 60 * 60 * 1000,	/* for what has become too old */
	LOOK_TURNED_MS = 1000,		/* where a test may turn the clock */
	ADDED_PART = 4,			/* of the quota, added: it is time to look */
	PUT_AWAY_TRIES = 3,
	DELETING_SECONDS_MAX = 10 * 60,	/* no DELETE takes longer */
};

/* A mailbox while DELETE works on it, and when that is done: nobody takes apart what may have to come back. */
static const char deleting[] = "deleting-", arriving[] = "arriving-";

void
kept_look_later(struct account *a, uint64_t bytes)
{
	a->keep_added += bytes;
	/* Well before twice of it is kept. */
	if (a->quota_bytes > 0 && a->keep_added > a->quota_bytes / ADDED_PART)
		a->keep_due = clock_monotonic_ms();
	if (a->keep_due == 0)
		a->keep_due = clock_monotonic_ms() + (clock_is_turnable() ? LOOK_TURNED_MS : LOOK_EACH_MS);
}

/* ---- a deleted mailbox ---- */

void
kept_before_delete(struct account *a, struct str name)
{
	scoped_box box = BOX_NONE;
	scoped_place place = PLACE_CLOSED;

	if (a->keep_seconds == 0 || box_find(a, name, &box) != STORE_OK ||
	    place_open(a, name, &place) != STORE_OK)
		return;
	/* Where it fails the names say what they said before: a flag may be lost, no message is. */
	(void)!scan_mailbox(a, box.number, &place, SCAN_ALWAYS);
	for (uint32_t i = 0; i <= box.messages && flags_rename_slice(a); i++)
		continue;
}

bool
kept_put_away(struct account *a, const char *dir, struct buf *path)
{
	scoped_fd top = files_make_dir(a->dir, kept_dir);

	for (int i = 0; top >= 0 && i < PUT_AWAY_TRIES; i++) {
		scoped_buf name = BUF_INIT;
		scoped_fd into = -1;
		int why;

		buf_put_z(&name, deleting);
		id_put_new(&name);
		into = files_make_dir(top, buf_z(&name));
		if (into < 0)
			return false;
		if (renameat(a->dir, dir, into, dir) == 0) {
			/* Before its old name is gone for good: a loss of power leaves it at one of the two. */
			if (fsync(into) != 0 || fsync(top) != 0)
				(void)files_failed(&a->log, "sync", str_of(dir));
			buf_printf(path, "%s/%s/%s", kept_dir, buf_z(&name), dir);
			return true;
		}
		why = errno;
		(void)!unlinkat(top, buf_z(&name), AT_REMOVEDIR);
		errno = why;
		if (why != ENOENT)
			return false;
	}
	return false;
}

static bool
rename_arriving(int top, const char *name)
{
	scoped_buf to = BUF_INIT;

	buf_put_z(&to, arriving);
	id_put_new(&to);
	return renameat(top, name, top, buf_z(&to)) == 0;
}

void
kept_finish_delete(struct account *a, const char *dir, struct buf *path, bool deleted)
{
	scoped_fd top = files_open_dir(a->dir, kept_dir);
	struct str rest = buf_str(path), outer = STR_EMPTY;
	scoped_buf name = BUF_INIT;

	(void)(str_cut(&rest, '/', &outer) && str_cut(&rest, '/', &outer));
	buf_put(&name, outer);
	if (deleted && !rename_arriving(top, buf_z(&name)))
		(void)files_failed(&a->log, "keep", buf_str(path));
	/* Who is told that it failed finds the mailbox as it was. */
	if (!deleted && renameat2(a->dir, buf_z(path), a->dir, dir, RENAME_NOREPLACE) != 0)
		(void)files_failed(&a->log, "bring back", buf_str(path));
	else if (!deleted)
		(void)!unlinkat(top, buf_z(&name), AT_REMOVEDIR);
	a->keep_due = clock_monotonic_ms();
}

struct arrival {
	struct account *a;
	int from;		/* cur/ or new/ of what is in one of them */
	int to;
	struct control control;
	struct keywords there;
	size_t moved;
	size_t left;		/* could not be moved */
};

struct gather {
	struct str start;
	struct buf names;	/* that begin so, each with a NUL behind */
};

static bool
see_start(void *arg, struct str name)
{
	struct gather *g = arg;

	if (str_starts(name, g->start)) {
		buf_put(&g->names, name);
		buf_put_c(&g->names, '\0');
	}
	return true;
}

static bool
see_first(void *arg, struct str name)
{
	buf_put(arg, name);
	return false;
}

static bool
move_arrived(void *arg, struct str text)
{
	struct arrival *v = arg;
	scoped_buf letters = BUF_INIT;
	struct file_name name;

	if (!file_name_parse(text, &name))
		return true;
	kept_put_letters(&letters, letters_flags(name.letters), keywords_bits(&v->control.keywords, name.letters),
	    &v->control.keywords, &v->there);
	if (kept_move_file(v->from, text.p, v->to, &name, buf_str(&letters))) {
		v->moved++;
	} else if (errno != ENOENT) {
		v->left++;
		(void)files_failed(&v->a->log, "keep", text);
	}
	return v->moved < SLICE_FILES;
}

/* True where no message is left in it. */
static bool
move_folder(struct arrival *v, int dir, struct str name)
{
	static const char *const parts[] = { "cur", "new" };
	bool ok = true;

	v->to = kept_open_cur(v->a, name);
	if (v->to < 0) {
		(void)files_failed(&v->a->log, "make", name);
		return false;
	}
	if (control_read(&v->a->log, dir, &v->control) == STORE_OK && v->control.keywords.count > 0)
		(void)!kept_learn_keywords(v->a, name, &v->control.keywords, UINT64_MAX, &v->there);
	for (size_t i = 0; i < countof(parts) && v->moved < SLICE_FILES; i++) {
		v->from = files_open_dir(dir, parts[i]);
		ok &= v->from >= 0 ? files_list(v->from, move_arrived, v) : errno == ENOENT;
		close_fd(&v->from);
	}
	if (v->moved > 0 && fsync(v->to) != 0) {
		(void)files_failed(&v->a->log, "sync", name);
		ok = false;
	}
	close_fd(&v->to);
	control_free(&v->control);
	keywords_free(&v->there);
	return ok && v->moved < SLICE_FILES && v->left == 0;
}

/* True where it was one step further. */
static bool
take_arrival(struct arrival *v, int top, const char *waiting)
{
	scoped_buf inner = BUF_INIT, name = BUF_INIT;
	scoped_fd outer = files_open_dir(top, waiting), dir = -1;
	bool canonical;

	if (outer < 0 || !files_list(outer, see_first, &inner))
		return false;
	if (inner.n == 0)
		return unlinkat(top, waiting, AT_REMOVEDIR) == 0;
	dir = files_open_dir(outer, buf_z(&inner));
	if (dir < 0 || !layout_name_of_dir(buf_str(&inner), &name, &canonical))
		return false;
	if (!move_folder(v, dir, buf_str(&name)))
		return v->moved > 0;
	close_fd(&dir);
	close_fd(&outer);
	return files_remove_tree(top, waiting);
}

static bool
is_old(int top, const char *name)
{
	struct timespec now;
	struct stat st;

	clock_gettime(CLOCK_REALTIME, &now);
	return fstatat(top, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    now.tv_sec - st.st_ctim.tv_sec > DELETING_SECONDS_MAX;
}

/*
 * Was the DELETE committed by one that died, or could not go on? Nobody is within it while we have the write lock: so
 * the row tells. With the row, and without its directory, the mailbox is gone at the next look at the root.
 */
static bool
was_deleted(struct account *a, int top, const char *name)
{
	scoped_fd outer = files_open_dir(top, name), dir = -1;
	scoped_control c = { 0 };
	scoped_box box = BOX_NONE;
	scoped_buf inner = BUF_INIT;
	enum store_result r = STORE_OK;

	if (outer >= 0 && files_list(outer, see_first, &inner) && inner.n > 0)
		dir = files_open_dir(outer, buf_z(&inner));
	if (dir < 0 || control_read(&a->log, dir, &c) != STORE_OK)
		return is_old(top, name);
	if (txn_begin(a) != STORE_OK)
		return false;
	r = box_by_id(a, str_of(c.id), &box);
	txn_rollback(a);
	return r == STORE_NO_SUCH || is_old(top, name);
}

static void
finish_deletes(struct account *a, int top)
{
	struct gather g = { .start = str_of(deleting) };
	struct str rest, name;

	(void)!files_list(top, see_start, &g);
	rest = buf_str(&g.names);
	while (str_cut(&rest, '\0', &name))
		if (was_deleted(a, top, name.p))
			(void)!rename_arriving(top, name.p);
	buf_free(&g.names);
}

/* One slice; true while there is more that can be done now. */
static bool
take_arrivals(struct account *a, int top)
{
	struct arrival v = { .a = a, .from = -1, .to = -1 };
	struct gather g = { .start = str_of(arriving) };
	struct str rest, waiting;
	bool any = false;

	finish_deletes(a, top);
	(void)!files_list(top, see_start, &g);
	rest = buf_str(&g.names);
	while (v.moved < SLICE_FILES && str_cut(&rest, '\0', &waiting)) {
		v.left = 0;
		any |= take_arrival(&v, top, waiting.p);
	}
	buf_free(&g.names);
	return any;
}

void
kept_settle(struct account *a)
{
	scoped_fd top = files_open_dir(a->dir, kept_dir);

	while (top >= 0 && take_arrivals(a, top))
		continue;
}

/* ---- the end of their time ---- */

/* Files that are too old, of one folder at a time: "folder/cur/name", each with a NUL behind. */
struct kept_old {
	struct account *a;
	struct buf paths;
	size_t count;
	int64_t before;		/* kept from then on, or earlier: too old */
	struct buf ages;	/* struct kept_age of those that stay; only where there is a limit */
	bool limited;
	int64_t next;		/* the oldest of those that stay */
	struct str folder;
	const char *part;
	int top;
	int dir;		/* of that part */
	bool cut;		/* there are more than these */
};

struct kept_age {
	int64_t since;
	uint64_t size;
};

static bool
see_old(void *arg, struct str text)
{
	struct kept_old *o = arg;
	struct file_name name;
	struct str prefix;
	int64_t since;

	if (!file_name_parse(text, &name))
		return true;
	/* Somebody brought it, or its name was another's: its time begins now. */
	if (!kept_time(&name, &since, &prefix)) {
		(void)!kept_move_file(o->dir, text.p, o->dir, &name, name.letters);
		return true;
	}
	if (since > o->before) {
		struct kept_age age = { since, name.size };

		o->next = o->next == 0 || since < o->next ? since : o->next;
		if (o->limited)
			buf_put(&o->ages, (struct str){ (const char *)&age, sizeof(age) });
		return true;
	}
	buf_printf(&o->paths, "%.*s/%s/%.*s", STR_ARG(o->folder), o->part, STR_ARG(text));
	buf_put_c(&o->paths, '\0');
	o->cut = ++o->count >= LIST_MAX;
	return !o->cut;
}

static bool
see_folder(void *arg, struct str name)
{
	static const char *const parts[] = { "cur", "new" };
	struct kept_old *o = arg;
	scoped_buf mailbox = BUF_INIT;
	bool canonical;

	if (!str_eq(name, STR(".")) && !layout_name_of_dir(name, &mailbox, &canonical))
		return true;
	o->folder = name;
	for (size_t i = 0; i < countof(parts) && !o->cut; i++) {
		scoped_buf path = BUF_INIT;
		scoped_fd dir = -1;

		o->part = parts[i];
		buf_printf(&path, "%.*s/%s", STR_ARG(name), parts[i]);
		o->dir = dir = files_open_dir(o->top, buf_z(&path));
		if (dir >= 0)
			(void)!files_list(dir, see_old, o);
	}
	return !o->cut;
}

static int
newest_first(const void *a, const void *b)
{
	const struct kept_age *x = a, *y = b;

	return x->since > y->since ? -1 : x->since < y->since;
}

/*
 * Who fills and empties a box again and again must not fill the disk: as much is kept as the account may hold, the newest
 * of it. From when on there is too much; 0: there is not.
 */
static int64_t
too_much_since(const struct account *a, struct buf *ages)
{
	struct kept_age *all = (struct kept_age *)(void *)ages->p;
	size_t count = ages->n / sizeof(*all);
	uint64_t bytes = 0;

	if (count > 1)
		qsort(all, count, sizeof(*all), newest_first);
	for (size_t i = 0; i < count; i++) {
		bytes += all[i].size;
		if ((a->quota_bytes > 0 && bytes > a->quota_bytes) ||
		    (a->quota_messages > 0 && i >= a->quota_messages))
			return all[i].since;
	}
	return 0;
}

static void
list_all(struct kept_old *o)
{
	o->next = 0;
	buf_clear(&o->ages);
	if (see_folder(o, STR(".")))
		(void)!files_list(o->top, see_folder, o);
}

static void
list_old(struct account *a, int top)
{
	struct kept_old o = { .a = a, .top = top, .before = clock_now() - a->keep_seconds,
		.limited = a->quota_bytes > 0 || a->quota_messages > 0 };
	int64_t due = LOOK_EACH_MS, since;

	list_all(&o);
	since = o.count == 0 && o.limited ? too_much_since(a, &o.ages) : 0;
	if (since > 0) {
		o.before = since;
		list_all(&o);
	}
	buf_free(&o.ages);
	buf_free(&a->keep_old);
	a->keep_old = o.paths;
	a->keep_added = 0;
	if (clock_is_turnable())
		due = LOOK_TURNED_MS;
	else if (o.next != 0 && o.next - o.before < LOOK_EACH_MS / 1000)
		due = (o.next - o.before + 1) * 1000;
	a->keep_due = clock_monotonic_ms() + (o.count > 0 ? 0 : due);
}

static void
remove_old(struct account *a, int top)
{
	for (int i = 0; i < SLICE_FILES && a->keep_old.n > 0; i++) {
		struct str path = str_of(a->keep_old.p);
		size_t slash = str_last_index(path, '/');
		scoped_buf folder = BUF_INIT;
		scoped_fd dir = -1;

		buf_put(&folder, str_sub(path, 0, slash));
		dir = files_open_dir(top, buf_z(&folder));
		if (dir >= 0 && unlinkat(dir, path.p + slash + 1, 0) != 0 && errno != ENOENT)
			(void)files_failed(&a->log, "remove", path);
		buf_take(&a->keep_old, path.n + 1);
	}
	a->keep_due = clock_monotonic_ms();
}

bool
kept_slice(struct account *a)
{
	scoped_fd top = files_open_dir(a->dir, kept_dir);

	a->keep_due = 0;
	if (top < 0 || a->is_kept)
		return false;
	if (take_arrivals(a, top))
		a->keep_due = clock_monotonic_ms();
	else if (a->keep_old.n > 0)
		remove_old(a, top);
	else
		list_old(a, top);
	return a->keep_due <= clock_monotonic_ms();
}

void
kept_close(struct account *a)
{
	buf_free(&a->keep_old);
	account_close(a->kept);
	a->kept = NULL;
}
