/* SPDX-License-Identifier: ISC */
#include "maildir/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/id.h"

enum {
	SLICE_FILES = 200,		/* moved or removed in one slice */
	LIST_MAX = 5000,		/* names of files that are too old, gathered at a time */
	LOOK_EACH_MS = 60 * 60 * 1000,	/* for what has become too old */
	LOOK_TURNED_MS = 1000,		/* where a test may turn the clock */
	LEFT_SECONDS = 2,		/* a file's ctime may be that much later than its mark */
	PUT_AWAY_TRIES = 3,
};

const char kept_dir[] = "trivet-deleted";
static const char arriving[] = "arriving-";

/* ---- names ---- */

bool
kept_time(const struct file_name *name, int64_t *since, struct str *prefix)
{
	size_t at = str_find(name->prefix, STR(",D="));
	uint64_t seconds;

	if (at == name->prefix.n || !str_to_u64(str_from(name->prefix, at + 3), &seconds))
		return false;
	*since = (int64_t)seconds;
	*prefix = str_sub(name->prefix, 0, at);
	return true;
}

/* Without U=, which there would be another message's; fresh: the name is taken there, or too long. */
static void
put_name(struct buf *out, const struct file_name *name, struct str letters, bool fresh)
{
	struct str prefix = name->prefix;
	int64_t since;

	/* What was put back by hand with its old name is kept from now on. */
	(void)!kept_time(name, &since, &prefix);
	if (fresh)
		publish_put_prefix(out, clock_now(), STR_EMPTY);
	else
		buf_put(out, prefix);
	buf_printf(out, ",D=%lld", (long long)clock_now());
	if (name->has_size)
		buf_printf(out, ",S=%llu", (unsigned long long)name->size);
	if (name->has_wire)
		buf_printf(out, ",W=%llu", (unsigned long long)name->wire);
	buf_put_z(out, ":2,");
	buf_put(out, letters);
}

/* ---- folders there ---- */

/* The cur/ of the folder that is called the same there; -1 with errno. */
static int
open_cur(struct account *a, struct str mailbox)
{
	scoped_buf path = BUF_INIT;
	scoped_fd top = files_make_dir(a->dir, kept_dir), dir = -1;

	layout_put_dir(&path, mailbox);
	dir = top < 0 ? -1 : files_make_dir(top, buf_z(&path));
	return dir < 0 ? -1 : files_make_dir(dir, "cur");
}

/*
 * Letters of these keywords as the folder there has them, made known to it if need be: by its own account, as only that
 * may write its trivet-mailbox.
 */
static enum store_result
learn_keywords(struct account *a, struct str mailbox, const struct keywords *words, uint64_t used,
    struct keywords *out)
{
	struct account *there;
	scoped_box box = BOX_NONE;
	size_t before;
	int number;
	enum store_result r = kept_view(a, &there);

	if (r == STORE_OK && files_mtime_ns(there->dir) != there->root_mtime)
		r = tree_sync(there);
	if (r == STORE_OK)
		r = txn_begin(there);
	if (r != STORE_OK)
		return r;
	r = box_find(there, mailbox, &box);
	before = box.keywords.count;
	for (size_t k = 0; r == STORE_OK && k < words->count; k++)
		if ((used >> k & 1) != 0)
			/* One too many has no letter there: the message goes without. */
			(void)!keywords_add(&box.keywords, words->k[k].name, &number);
	if (r == STORE_OK && box.keywords.count > before)
		r = box_save_settings(there, &box);
	r = txn_end(there, r);
	if (r == STORE_OK)
		keywords_copy(out, &box.keywords);
	return r;
}

/* Of one message, in the notation of there. \Deleted is what brought it there: it would go again at once if it came back. */
static void
put_letters(struct buf *out, uint32_t flags, uint64_t bits, const struct keywords *words,
    const struct keywords *there)
{
	scoped_buf all = BUF_INIT;
	uint64_t theirs = 0;
	int number;

	letters_put_flags(&all, flags & ~(uint32_t)FLAG_DELETED);
	for (size_t k = 0; k < words->count; k++) {
		number = (bits >> k & 1) != 0 ? keywords_find(there, words->k[k].name) : -1;
		if (number >= 0)
			theirs |= (uint64_t)1 << number;
	}
	keywords_put_letters(&all, there, theirs);
	letters_put_sorted(out, buf_str(&all));
}

/* False with errno. */
static bool
move_file(int from, const char *name, int cur, const struct file_name *parsed, struct str letters)
{
	for (int i = 0; i < 2; i++) {
		scoped_buf to = BUF_INIT;

		put_name(&to, parsed, letters, i > 0);
		if (renameat2(from, name, cur, buf_z(&to), RENAME_NOREPLACE) == 0)
			return true;
		if (errno != EEXIST && errno != ENAMETOOLONG)
			return false;
	}
	return false;
}

/* ---- one command's messages ---- */

struct kept_file {
	uint32_t flags;
	uint64_t keywords;
	size_t base;	/* both offsets in names, each with a NUL behind */
	size_t letters;
};

struct kept_batch {
	struct account *account;
	struct buf mailbox;
	struct keywords words;
	uint64_t used;		/* keywords that any of them has */
	struct kept_file *files;
	size_t count;
	size_t room;
	struct buf names;
};

struct kept_batch *
kept_batch_new(struct account *a, const struct box *box)
{
	struct kept_batch *b;

	if (a->keep_seconds == 0)
		return NULL;
	b = xcalloc(1, sizeof(*b));
	b->account = a;
	buf_put(&b->mailbox, buf_str(&box->name));
	keywords_copy(&b->words, &box->keywords);
	return b;
}

void
kept_forget(struct kept_batch *b)
{
	if (b == NULL)
		return;
	buf_free(&b->mailbox);
	buf_free(&b->names);
	keywords_free(&b->words);
	free(b->files);
	free(b);
}

static size_t
add_name(struct kept_batch *b, struct str text)
{
	size_t at = b->names.n;

	buf_put(&b->names, text);
	buf_put_c(&b->names, '\0');
	return at;
}

static void
put_mark(struct buf *out, struct str base)
{
	struct timespec now;

	/* The machine's own clock, as a file's ctime is. */
	clock_gettime(CLOCK_REALTIME, &now);
	buf_printf(out, "/%lld/", (long long)now.tv_sec);
	buf_put(out, base);
}

/* Takes the mark off; false where there is none. */
static bool
take_mark(struct str *base, int64_t *at)
{
	struct str rest = *base, number;
	uint64_t seconds;

	if (!str_starts(rest, STR("/")))
		return false;
	rest = str_from(rest, 1);
	if (!str_cut(&rest, '/', &number) || !str_to_u64(number, &seconds))
		return false;
	*base = rest;
	*at = (int64_t)seconds;
	return true;
}

bool
kept_names(struct str expunged_base, struct str base)
{
	int64_t at;

	(void)!take_mark(&expunged_base, &at);
	return str_eq(expunged_base, base);
}

enum store_result
kept_drop(struct account *a, struct kept_batch *b, struct box *box, const struct message_row *row,
    uint64_t modseq)
{
	struct message_row marked = *row;
	scoped_buf base = BUF_INIT;
	enum store_result r;

	if (b == NULL)
		return message_drop(a, box, row, modseq);
	put_mark(&base, buf_str(&row->base));
	marked.base = base;
	r = message_drop(a, box, &marked, modseq);
	if (r != STORE_OK)
		return r;
	if (b->count == b->room) {
		b->room = b->room < 16 ? 16 : b->room * 2;
		b->files = xrealloc(b->files, b->room * sizeof(*b->files));
	}
	b->files[b->count].flags = row->flags;
	b->files[b->count].keywords = row->keywords;
	b->files[b->count].base = add_name(b, buf_str(&row->base));
	b->files[b->count].letters = add_name(b, buf_str(&row->letters));
	b->count++;
	b->used |= row->keywords;
	return STORE_OK;
}

/* It may lie where it was before it had its name, or under another that somebody gave it. */
static bool
take_elsewhere(const struct place *place, int cur, const struct file_name *parsed, struct str letters)
{
	const int dirs[] = { place->cur, place->new };
	scoped_buf name = BUF_INIT;
	struct file_name there;

	buf_put(&name, parsed->prefix);
	if (move_file(place->tmp, buf_z(&name), cur, parsed, letters))
		return true;
	for (size_t i = 0; i < countof(dirs); i++)
		/* One with another UID is another message, or this one moved away and back. */
		if (message_find_name(dirs[i], parsed->prefix, &name) && file_name_parse(buf_str(&name), &there) &&
		    (!there.has_uid || there.uid == parsed->uid))
			return move_file(dirs[i], buf_z(&name), cur, parsed, letters);
	errno = ENOENT;
	return false;
}

static void
take_file(const struct kept_batch *b, const struct kept_file *f, const struct place *place, int cur,
    const struct keywords *there)
{
	struct str base = str_of(b->names.p + f->base), before = str_of(b->names.p + f->letters);
	scoped_buf name = BUF_INIT, letters = BUF_INIT;
	struct file_name parsed;

	if (!file_name_parse(base, &parsed))
		return;
	put_letters(&letters, f->flags, f->keywords, &b->words, there);
	file_name_put(&name, base, before);
	if (move_file(place->cur, buf_z(&name), cur, &parsed, buf_str(&letters)) || errno != ENOENT ||
	    take_elsewhere(place, cur, &parsed, buf_str(&letters)))
		return;
	if (errno != ENOENT)
		(void)files_failed(&b->account->log, "keep", buf_str(&name));
}

void
kept_take(struct kept_batch *b, const struct place *place)
{
	struct keywords there = { 0 };
	scoped_fd cur = -1;

	if (b == NULL)
		return;
	cur = b->count == 0 ? -1 : open_cur(b->account, buf_str(&b->mailbox));
	if (cur < 0 && b->count > 0)
		(void)files_failed(&b->account->log, "make", str_of(kept_dir));
	if (cur >= 0 && b->used != 0)
		(void)!learn_keywords(b->account, buf_str(&b->mailbox), &b->words, b->used, &there);
	for (size_t i = 0; cur >= 0 && i < b->count; i++)
		take_file(b, &b->files[i], place, cur, &there);
	if (b->account->keep_due == 0)
		b->account->keep_due = clock_monotonic_ms() + (clock_is_turnable() ? LOOK_TURNED_MS : LOOK_EACH_MS);
	keywords_free(&there);
	kept_forget(b);
}

/* ---- left behind by a crash ---- */

static bool
is_marked(struct account *a, const struct box *box, const struct file_name *name, int64_t changed)
{
	sqlite3_stmt *q = index_ask(a, Q_EXPUNGED_BASE, BIND(V(box->number), V(name->uid)));
	bool marked = false;

	while (index_row(a, q)) {
		struct str base = index_text(q, 0);
		int64_t at;

		/* What was put there since is somebody's wish: a backup's, say. */
		marked |= take_mark(&base, &at) && str_eq(base, name->base) && changed <= at + LEFT_SECONDS;
	}
	return index_end(a, q) == STORE_OK && marked;
}

bool
kept_take_leftover(struct account *a, const struct box *box, const struct place *place,
    const struct file_name *name, bool in_new)
{
	scoped_buf letters = BUF_INIT, text = BUF_INIT;
	scoped_fd cur = -1;
	struct keywords none = { 0 };
	struct stat st;

	if (!name->has_uid || in_new)
		return false;
	file_name_put(&text, name->base, name->letters);
	if (fstatat(place->cur, buf_z(&text), &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    !is_marked(a, box, name, (int64_t)st.st_ctim.tv_sec))
		return false;
	put_letters(&letters, letters_flags(name->letters), 0, &none, &none);
	cur = open_cur(a, buf_str(&box->name));
	if (cur >= 0 && (move_file(place->cur, buf_z(&text), cur, name, buf_str(&letters)) || errno == ENOENT))
		return true;
	(void)files_failed(&a->log, "keep", buf_str(&text));
	return true;
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
kept_put_away(struct account *a, const char *dir)
{
	scoped_fd top = files_make_dir(a->dir, kept_dir);

	for (int i = 0; top >= 0 && i < PUT_AWAY_TRIES; i++) {
		scoped_buf name = BUF_INIT;
		scoped_fd into = -1;

		buf_put_z(&name, arriving);
		id_put_new(&name);
		into = files_make_dir(top, buf_z(&name));
		if (into < 0)
			return false;
		/* An empty one may just be swept away. */
		if (renameat(a->dir, dir, into, dir) == 0) {
			a->keep_due = clock_monotonic_ms();
			return true;
		}
		(void)!unlinkat(top, buf_z(&name), AT_REMOVEDIR);
		if (errno != ENOENT)
			return false;
	}
	return false;
}

struct arrival {
	struct account *a;
	int top;		/* trivet-deleted */
	struct buf found;	/* name of an arriving-*, then of what is in it */
	int from;		/* cur/ or new/ of it */
	int to;
	struct control control;
	struct keywords there;
	size_t moved;
};

static bool
see_first(void *arg, struct str name)
{
	struct buf *out = arg;

	buf_clear(out);
	buf_put(out, name);
	return false;
}

static bool
see_arriving(void *arg, struct str name)
{
	struct buf *out = arg;

	if (!str_starts(name, str_of(arriving)))
		return true;
	buf_clear(out);
	buf_put(out, name);
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
	put_letters(&letters, letters_flags(name.letters), keywords_bits(&v->control.keywords, name.letters),
	    &v->control.keywords, &v->there);
	if (move_file(v->from, text.p, v->to, &name, buf_str(&letters)))
		v->moved++;
	else if (errno != ENOENT)
		(void)files_failed(&v->a->log, "keep", text);
	return v->moved < SLICE_FILES;
}

/* True where all is through. */
static bool
move_folder(struct arrival *v, int dir, struct str name)
{
	static const char *const parts[] = { "cur", "new" };

	v->to = open_cur(v->a, name);
	if (v->to < 0)
		return false;
	if (control_read(&v->a->log, dir, &v->control) == STORE_OK && v->control.keywords.count > 0)
		(void)!learn_keywords(v->a, name, &v->control.keywords, UINT64_MAX, &v->there);
	for (size_t i = 0; i < countof(parts) && v->moved < SLICE_FILES; i++) {
		v->from = files_open_dir(dir, parts[i]);
		if (v->from >= 0)
			(void)!files_list(v->from, move_arrived, v);
		close_fd(&v->from);
	}
	close_fd(&v->to);
	control_free(&v->control);
	keywords_free(&v->there);
	return v->moved < SLICE_FILES;
}

/* One of the directories that wait; true while there may be more. */
static bool
take_arrival(struct account *a, int top)
{
	struct arrival v = { .a = a, .top = top, .from = -1, .to = -1 };
	scoped_buf waiting = BUF_INIT, inner = BUF_INIT, name = BUF_INIT;
	scoped_fd outer = -1, dir = -1;
	bool canonical;

	if (!files_list(top, see_arriving, &waiting) || waiting.n == 0)
		return false;
	outer = files_open_dir(top, buf_z(&waiting));
	if (outer < 0 || !files_list(outer, see_first, &inner))
		return false;
	if (inner.n == 0) {
		/* A mailbox may be about to be put into it. */
		return unlinkat(top, buf_z(&waiting), AT_REMOVEDIR) == 0;
	}
	dir = files_open_dir(outer, buf_z(&inner));
	if (dir >= 0 && layout_name_of_dir(buf_str(&inner), &name, &canonical) &&
	    !move_folder(&v, dir, buf_str(&name)))
		return v.moved > 0;
	close_fd(&dir);
	close_fd(&outer);
	return files_remove_tree(top, buf_z(&waiting));
}

void
kept_settle(struct account *a)
{
	scoped_fd top = files_open_dir(a->dir, kept_dir);

	while (top >= 0 && take_arrival(a, top))
		continue;
}

/* ---- the end of their time ---- */

/* Files that are too old, of one folder at a time: "folder/cur/name", each with a NUL behind. */
struct kept_old {
	struct account *a;
	struct buf paths;
	size_t count;
	int64_t before;		/* kept from then on, or earlier: too old */
	int64_t next;		/* the oldest of those that stay */
	struct str folder;
	const char *part;
	int top;
	int dir;		/* of that part */
	bool cut;		/* there are more than these */
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
		(void)!move_file(o->dir, text.p, o->dir, &name, name.letters);
		return true;
	}
	if (since > o->before) {
		o->next = o->next == 0 || since < o->next ? since : o->next;
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

static void
list_old(struct account *a, int top)
{
	struct kept_old o = { .a = a, .top = top, .before = clock_now() - a->keep_seconds };
	int64_t due = LOOK_EACH_MS;

	if (see_folder(&o, STR(".")))
		(void)!files_list(top, see_folder, &o);
	buf_free(&a->keep_old);
	a->keep_old = o.paths;
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
	if (take_arrival(a, top))
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
