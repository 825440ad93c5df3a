/* SPDX-License-Identifier: ISC */
/*
 * One mailbox looked at: rows against files, names against contents, sums against rows, trivet-mailbox against the
 * index. Only looks; what it sees may have changed a moment later, so who calls looks twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "common/base/map.h"
#include "maildir/check.h"
#include "maildir/kept.h"

enum {
	PIECE_BYTES = 256 * 1024,	/* of a file that is read */
	PROGRESS_EVERY = 64,		/* messages */
};

struct entry {
	struct str text;
	struct str base;
	struct entry *same;	/* another one with that base */
	bool in_new;
	bool matched;
};

struct look {
	struct check *c;
	struct findings *out;
	struct box box;
	struct place place;
	bool read;
	bool later;		/* a directory has changed since the index agreed with it */
	struct buf names;	/* behind the entries: 'n' or 'c', name, NUL */
	size_t count;
	struct entry *entries;
	struct map *by_base;
	struct map *prefixes;	/* of rows, to know whose a file in tmp/ is */
	bool reading_new;
	uint64_t done;
	uint32_t uid_max;
	uint64_t messages;
	uint64_t unseen;
	uint64_t bytes;
};

static void
add(struct look *l, const struct finding *one)
{
	struct finding f = *one;

	f.mailbox = buf_str(&l->box.name);
	findings_add(l->out, &f);
}

/* ---- directories ---- */

static int
open_part(struct check *c, const struct box *box, int dir, const char *name, struct findings *out)
{
	int fd = files_open_dir(dir, name);

	(void)c;
	if (fd < 0)
		findings_add(out, &(struct finding){ .kind = FOUND_FOLDER_BROKEN,
		    .mailbox = buf_str(&box->name), .file = str_of(name), .detail = str_of(strerror(errno)),
		    .later = errno == ENOENT });
	return fd;
}

enum store_result
check_place(struct check *c, const struct box *box, struct place *out, struct findings *found)
{
	scoped_buf dir = BUF_INIT;
	struct place p = PLACE_CLOSED;

	layout_put_dir(&dir, buf_str(&box->name));
	p.dir = files_open_dir(c->a->dir, buf_z(&dir));
	if (p.dir < 0 && errno != ENOENT)
		return files_failed(&c->a->log, "open", buf_str(&dir));
	if (p.dir < 0) {
		findings_add(found, &(struct finding){ .kind = FOUND_FOLDER_GONE,
		    .mailbox = buf_str(&box->name), .later = true });
		return STORE_GONE;
	}
	p.cur = open_part(c, box, p.dir, "cur", found);
	p.new = open_part(c, box, p.dir, "new", found);
	p.tmp = open_part(c, box, p.dir, "tmp", found);
	*out = p;
	return STORE_OK;
}

/* ---- what is there ---- */

static bool
see_name(void *arg, struct str name)
{
	struct look *l = arg;

	if (name.p[0] == '.')
		return true;
	buf_put_c(&l->names, l->reading_new ? 'n' : 'c');
	buf_put(&l->names, name);
	buf_put_c(&l->names, '\0');
	l->count++;
	return true;
}

static enum store_result
list_dir(struct look *l, int dir, bool new)
{
	l->reading_new = new;
	if (dir >= 0 && !files_list(dir, see_name, l))
		return files_failed(&l->c->a->log, "list", buf_str(&l->box.name));
	return STORE_OK;
}

static enum store_result
list_files(struct look *l)
{
	struct str rest, text;
	enum store_result r = list_dir(l, l->place.new, true);

	if (r == STORE_OK)
		r = list_dir(l, l->place.cur, false);
	if (r != STORE_OK)
		return r;
	l->entries = xcalloc(l->count, sizeof(*l->entries));
	rest = buf_str(&l->names);
	for (size_t i = 0; i < l->count; i++) {
		struct entry *e = &l->entries[i];

		text = str_sub(rest, 0, str_index(rest, '\0'));
		rest = str_from(rest, text.n + 1);
		e->in_new = text.p[0] == 'n';
		e->text = str_from(text, 1);
		e->base = str_sub(e->text, 0, str_find(e->text, STR(":2,")));
		e->same = map_set(l->by_base, e->base, e);
	}
	return STORE_OK;
}

/* ---- a message and its file ---- */

struct known {
	uint32_t uid;
	uint32_t flags;
	uint64_t keywords;
	uint32_t size;
	bool pending;
	struct str base;
	struct str letters;
};

/* The one in cur/ where there are several. */
static struct entry *
find_entry(struct look *l, const struct known *row)
{
	struct entry *best = NULL;

	for (struct entry *e = map_get(l->by_base, row->base); e != NULL; e = e->same)
		if (!e->matched && (best == NULL || best->in_new ||
		    (!e->in_new && str_ends(e->text, row->letters))))
			best = e;
	return best;
}

static bool
is_there(int dir, const char *name)
{
	struct stat st;

	return dir >= 0 && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void
see_missing(struct look *l, const struct known *row, const struct file_name *name)
{
	struct finding one = { .kind = FOUND_FILE_MISSING, .uid = row->uid, .file = row->base,
		.later = l->later };
	scoped_buf prefix = BUF_INIT, found = BUF_INIT;

	buf_put(&prefix, name->prefix);
	if (is_there(l->place.tmp, buf_z(&prefix)) || message_find_name(l->place.cur, name->prefix, &found) ||
	    message_find_name(l->place.new, name->prefix, &found))
		one.kind = FOUND_FILE_UNFINISHED;
	add(l, &one);
}

static void
check_letters(struct look *l, const struct known *row, const struct entry *e)
{
	struct str now = str_from(e->text, e->base.n + 3);
	scoped_buf should = BUF_INIT, detail = BUF_INIT;
	bool renamed = !str_eq(now, row->letters);

	message_put_letters(&should, &l->box.keywords, row->flags, row->keywords, row->letters);
	if (!renamed && (row->pending || str_eq(buf_str(&should), now)))
		return;
	buf_printf(&detail, "\"%.*s\", not \"%.*s\"", STR_ARG(now), STR_ARG(buf_str(&should)));
	add(l, &(struct finding){ .kind = FOUND_FILE_FLAGS, .uid = row->uid, .file = row->base,
	    .detail = buf_str(&detail), .later = renamed && l->later });
}

/* Octets on the wire; false where it cannot be read. */
static bool
measure(int fd, uint64_t *wire)
{
	scoped_buf piece = BUF_INIT;
	uint64_t at = 0, missing = 0;
	bool last_cr = false;

	do {
		buf_clear(&piece);
		if (!files_read_at(fd, at, PIECE_BYTES, &piece))
			return false;
		missing += crlf_missing(buf_str(&piece), &last_cr);
		at += piece.n;
	} while (piece.n > 0);
	*wire = at + missing;
	return true;
}

static void
foreign(struct look *l, const struct entry *e, uint32_t uid, int why)
{
	add(l, &(struct finding){ .kind = FOUND_FILE_FOREIGN, .file = e->text, .uid = uid,
	    .detail = str_of(why == ELOOP ? "a symbolic link" : why == EINVAL ? "no regular file, or another user's" :
	    strerror(why)) });
}

static void
check_content(struct look *l, const struct known *row, const struct entry *e, const struct file_name *name)
{
	scoped_fd fd = files_open_message(e->in_new ? l->place.new : l->place.cur, e->text.p);
	struct finding one = { .uid = row->uid, .file = row->base };
	uint64_t wire = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0) {
		if (errno != ENOENT)
			foreign(l, e, row->uid, errno);
		return;
	}
	one.is = (uint64_t)st.st_size;
	one.should = name->size;
	one.kind = FOUND_FILE_SIZE;
	if (name->has_size && one.is != one.should) {
		add(l, &one);
		return;
	}
	one.kind = FOUND_FILE_UID;
	one.is = name->uid;
	one.should = row->uid;
	if (!name->has_uid || one.is != one.should)
		add(l, &one);
	if (!l->read)
		return;
	l->c->result.bytes += (uint64_t)st.st_size;
	if (!measure(fd, &wire)) {
		foreign(l, e, row->uid, errno);
		return;
	}
	one.kind = FOUND_FILE_WIRE;
	one.is = wire;
	one.should = name->has_wire && name->wire != wire ? name->wire : row->size;
	if (one.is != one.should)
		add(l, &one);
}

static void
check_row(struct look *l, const struct known *row)
{
	struct file_name name;
	struct entry *e;

	l->messages++;
	l->unseen += (row->flags & FLAG_SEEN) == 0;
	l->bytes += row->size;
	l->uid_max = row->uid > l->uid_max ? row->uid : l->uid_max;
	if (!file_name_parse(row->base, &name)) {
		add(l, &(struct finding){ .kind = FOUND_FILE_MISSING, .uid = row->uid, .file = row->base });
		return;
	}
	(void)map_set(l->prefixes, name.prefix, l);
	e = find_entry(l, row);
	if (e == NULL) {
		see_missing(l, row, &name);
		return;
	}
	e->matched = true;
	if (e->in_new || str_eq(e->text, e->base))
		add(l, &(struct finding){ .kind = FOUND_FILE_UNFINISHED, .uid = row->uid, .file = row->base,
		    .later = l->later });
	else
		check_letters(l, row, e);
	check_content(l, row, e, &name);
}

/* ---- rows ---- */

static const char rows_text[] =
	"SELECT key, flags, keywords, size, pending, base, name_flags FROM messages JOIN files USING (key)"
	" WHERE key BETWEEN ? AND ? ORDER BY key";

/* All of them first: files are read while no statement runs. */
static enum store_result
read_rows(struct look *l, struct arena *arena, struct known **out, size_t *count)
{
	int64_t from = message_key(l->box.number, 0), to = message_key(l->box.number, UINT32_MAX);
	sqlite3_stmt *q = check_ask(l->c, rows_text, BIND(V(from), V(to)));
	struct known *rows = NULL;
	size_t n = 0, room = 0;
	enum store_result r;

	while (index_row(l->c->a, q)) {
		if (n == room) {
			room = room < 64 ? 64 : room * 2;
			rows = xrealloc(rows, room * sizeof(*rows));
		}
		rows[n++] = (struct known){
			.uid = key_uid(sqlite3_column_int64(q, 0)),
			.flags = (uint32_t)sqlite3_column_int64(q, 1),
			.keywords = (uint64_t)sqlite3_column_int64(q, 2),
			.size = (uint32_t)sqlite3_column_int64(q, 3),
			.pending = sqlite3_column_int(q, 4) != 0,
			.base = arena_str(arena, index_text(q, 5)),
			.letters = arena_str(arena, index_text(q, 6)),
		};
	}
	r = check_end(l->c, q);
	*out = rows;
	*count = n;
	return r;
}

static enum store_result
check_rows(struct look *l, uint64_t *counted)
{
	const struct check_options *o = l->c->o;
	struct arena *arena = arena_new();
	struct known *rows = NULL;
	size_t count = 0;
	enum store_result r = read_rows(l, arena, &rows, &count);

	for (size_t i = 0; r == STORE_OK && i < count; i++) {
		check_row(l, &rows[i]);
		if (l->read && o->progress != NULL && (i + 1) % PROGRESS_EVERY == 0)
			o->progress(o->context, buf_str(&l->box.name), i + 1, count);
	}
	if (l->read && r == STORE_OK && o->progress != NULL && count > 0)
		o->progress(o->context, buf_str(&l->box.name), count, count);
	*counted = count;
	free(rows);
	arena_free(arena);
	return r;
}

/* ---- files without a row ---- */

static bool
was_expunged(struct look *l, const struct file_name *name)
{
	sqlite3_stmt *q;
	bool same = false;

	if (!name->has_uid)
		return false;
	q = index_ask(l->c->a, Q_EXPUNGED_BASE, BIND(V(l->box.number), V(name->uid)));
	while (index_row(l->c->a, q))
		same |= kept_names(index_text(q, 0), name->base);
	(void)index_end(l->c->a, q);
	return same;
}

/* A COPY or MOVE is at work, or died there: the one ends and the other is undone by itself. */
static bool
is_claimed(struct look *l, const struct file_name *name)
{
	scoped_buf claims = BUF_INIT;

	return name->has_uid && claims_get(l->c->a, l->box.number, &claims) == STORE_OK &&
	    claims_find(&claims, name->uid) != NULL;
}

static void
check_file(struct look *l, const struct entry *e)
{
	struct finding one = { .kind = FOUND_FILE_NEW, .file = e->text, .later = l->later };
	int dir = e->in_new ? l->place.new : l->place.cur;
	struct file_name name;
	uint64_t size;
	int64_t mtime;

	if (!files_stat(dir, e->text.p, &size, &mtime)) {
		if (errno != ENOENT)
			foreign(l, e, 0, errno == EINVAL && is_there(dir, e->text.p) ? EINVAL : errno);
		return;
	}
	if (!file_name_parse(e->text, &name)) {
		one.kind = FOUND_FILE_FOREIGN;
		one.detail = STR("no message has such a name");
	} else if (!e->in_new && is_claimed(l, &name)) {
		return;
	} else if (was_expunged(l, &name)) {
		one.kind = FOUND_FILE_LEFT;
	} else if (name.has_size && name.has_wire && name.size != size) {
		one = (struct finding){ .kind = FOUND_FILE_SIZE, .file = e->text, .is = size, .should = name.size };
	}
	add(l, &one);
}

static bool
see_tmp(void *arg, struct str name)
{
	struct look *l = arg;
	struct timespec now;
	struct stat st;

	/* By the machine's own clock, as ctime is; see scan.c. */
	clock_gettime(CLOCK_REALTIME, &now);
	if (map_get(l->prefixes, name) == NULL && fstatat(l->place.tmp, name.p, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    !S_ISDIR(st.st_mode) && now.tv_sec - st.st_ctim.tv_sec > TMP_AGE)
		add(l, &(struct finding){ .kind = FOUND_FILE_OLD, .file = name, .later = true });
	return true;
}

/* ---- sums and identity ---- */

static void
check_counts(struct look *l)
{
	const struct {
		const char *name;
		uint64_t is, should;
	} sums[] = {
		{ "messages", l->box.messages, l->messages },
		{ "unseen", l->box.unseen, l->unseen },
		{ "octets", l->box.bytes, l->bytes },
	};

	for (size_t i = 0; i < countof(sums); i++)
		if (sums[i].is != sums[i].should)
			add(l, &(struct finding){ .kind = FOUND_COUNTS, .detail = str_of(sums[i].name),
			    .is = sums[i].is, .should = sums[i].should });
	if (l->box.uid_next <= l->uid_max)
		add(l, &(struct finding){ .kind = FOUND_UID_NEXT, .is = l->box.uid_next,
		    .should = (uint64_t)l->uid_max + 1, .detail = STR("uid") });
}

static void
put_list(struct buf *out, const char *word)
{
	if (out->n > 0)
		buf_put_z(out, ", ");
	buf_put_z(out, word);
}

static enum store_result
check_control(struct look *l)
{
	scoped_control c = { 0 };
	scoped_buf differs = BUF_INIT, ours = BUF_INIT, theirs = BUF_INIT;
	enum store_result r = control_read(&l->c->a->log, l->place.dir, &c);

	if (r == STORE_GONE || r == STORE_BROKEN)
		add(l, &(struct finding){ .kind = r == STORE_GONE ? FOUND_CONTROL_MISSING : FOUND_CONTROL_BAD,
		    .file = STR("trivet-mailbox") });
	if (r != STORE_OK)
		return r == STORE_GONE || r == STORE_BROKEN ? STORE_OK : r;
	keywords_put(&ours, &l->box.keywords);
	keywords_put(&theirs, &c.keywords);
	if (c.uidvalidity != l->box.uidvalidity)
		put_list(&differs, "uidvalidity");
	if (!str_eq(str_of(c.id), str_of(l->box.id)))
		put_list(&differs, "id");
	if (!str_eq(buf_str(&ours), buf_str(&theirs)))
		put_list(&differs, "keywords");
	if (c.special_use != l->box.special_use)
		put_list(&differs, "special use");
	if (c.subscribed != l->box.subscribed)
		put_list(&differs, "subscription");
	if (c.uid_reserve < l->box.uid_reserve || c.modseq_reserve < l->box.modseq_reserve)
		put_list(&differs, "reserves");
	if (differs.n > 0)
		add(l, &(struct finding){ .kind = FOUND_CONTROL_DIFFERS, .file = STR("trivet-mailbox"),
		    .detail = buf_str(&differs) });
	if (l->box.uid_next > c.uid_reserve)
		add(l, &(struct finding){ .kind = FOUND_UID_NEXT, .is = c.uid_reserve,
		    .should = l->box.uid_next, .detail = STR("reserve") });
	return STORE_OK;
}

/* ---- all of it ---- */

static enum store_result
run(struct look *l)
{
	uint64_t counted = 0;
	enum store_result r = check_control(l);

	l->later = (l->place.cur >= 0 && files_mtime_ns(l->place.cur) != l->box.cur_mtime) ||
	    (l->place.new >= 0 && files_mtime_ns(l->place.new) != l->box.new_mtime);
	if (r == STORE_OK)
		r = list_files(l);
	if (r == STORE_OK)
		r = check_rows(l, &counted);
	if (r != STORE_OK)
		return r;
	for (size_t i = 0; i < l->count; i++)
		if (!l->entries[i].matched)
			check_file(l, &l->entries[i]);
	if (l->place.tmp >= 0)
		(void)!files_list(l->place.tmp, see_tmp, l);
	check_counts(l);
	if (l->read)
		l->c->result.messages += counted;
	return STORE_OK;
}

enum store_result
check_mailbox(struct check *c, int64_t number, bool read, struct findings *out)
{
	struct look l = { .c = c, .out = out, .place = PLACE_CLOSED, .read = read };
	enum store_result r = box_get(c->a, number, &l.box);

	if (r != STORE_OK)
		return r;
	r = check_place(c, &l.box, &l.place, out);
	l.by_base = map_new();
	l.prefixes = map_new();
	if (r == STORE_OK)
		r = run(&l);
	else if (r == STORE_GONE)
		r = STORE_OK;
	map_free(l.by_base);
	map_free(l.prefixes);
	free(l.entries);
	buf_free(&l.names);
	place_close(&l.place);
	box_free(&l.box);
	return r;
}
