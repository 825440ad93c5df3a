/* SPDX-License-Identifier: ISC */
/*
 * Directory and index compared: what other programs did is taken over, what a crash left
 * half done is finished (the states are in private.h). Everything is decided under the
 * write lock; reading a foreign message to learn its size is done before it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/map.h"
#include "maildir/kept.h"

enum {
	FIELDS_ROOM = 80,	/* ",S=..,W=..,U=..:2,LETTERS" must fit behind a prefix */
	TICK_NS = 20 * 1000 * 1000,	/* a directory may change again without its time being another */
	LEFTOVER_MS = 100,	/* somebody may have renamed it while it was expunged */
};

struct entry {
	struct file_name name;
	struct str text;
	bool in_new;
	bool matched;	/* a row has it */
	bool shared;	/* another entry has the same prefix */
	struct entry *same;	/* that one */
	bool measured;
	uint64_t wire;
	/* Adopted: what it is to be called. */
	struct message_row row;
};

/* A row whose file is not what it says. */
struct doubt {
	int64_t key;
	size_t entry;	/* SIZE_MAX: no file seen */
};

struct scan {
	struct account *a;
	int64_t number;
	const struct place *place;
	enum scan_mode mode;
	struct box box;
	uint64_t modseq;
	bool grew;
	bool reading_new;
	struct entry *entries;
	size_t count;
	struct map *by_prefix;
	struct buf doubts;
	struct buf seen;	/* behind the entries: 'n' or 'c', name, NUL */
	struct buf claims;	/* struct uid_range */
	bool changed;
};

static enum store_result list_files(struct scan *s);
static void measure(struct scan *s);
static enum store_result compare_rows(struct scan *s);
static enum store_result settle_doubts(struct scan *s);
static enum store_result adopt_all(struct scan *s);
static enum store_result finish(struct scan *s, int64_t cur, int64_t new);

static void
scan_free(struct scan *s)
{
	for (size_t i = 0; i < s->count; i++)
		message_row_free(&s->entries[i].row);
	free(s->entries);
	map_free(s->by_prefix);
	buf_free(&s->doubts);
	buf_free(&s->seen);
	buf_free(&s->claims);
	box_free(&s->box);
}

int64_t
scan_settled(int64_t mtime)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - mtime < TICK_NS ? 0 : mtime;
}

static enum store_result
settle(struct scan *s, int64_t cur, int64_t new)
{
	struct account *a = s->a;
	int64_t box = s->number;
	enum store_result r = box_get(a, box, &s->box);

	if (r == STORE_OK)
		r = claims_get(a, box, &s->claims);
	if (r == STORE_OK)
		r = compare_rows(s);
	if (r == STORE_OK)
		r = settle_doubts(s);
	if (r == STORE_OK)
		r = adopt_all(s);
	if (r == STORE_OK && s->grew)
		r = box_save_settings(a, &s->box);
	if (r == STORE_OK && s->modseq != 0)
		r = box_save_counts(a, &s->box);
	if (r == STORE_OK)
		r = index_do(a, Q_BOX_MTIMES, BIND(V(scan_settled(cur)), V(scan_settled(new)), V(box)));
	return r;
}

/*
 * Claims are done away with where the files were listed under the lock: then all that was left over is in the list.
 * Of one that is made later its files are known, and it stays.
 */
static enum store_result
compare(struct scan *s, int64_t cur, int64_t new)
{
	struct account *a = s->a;
	enum store_result r = claims_get(a, s->number, &s->claims);
	bool left_over = s->claims.n > 0, locked = false;

	if (r == STORE_OK && left_over) {
		r = txn_begin(a);
		locked = r == STORE_OK;
	}
	if (r == STORE_OK)
		r = list_files(s);
	if (r == STORE_OK)
		measure(s);
	if (r == STORE_OK && !locked) {
		r = txn_begin(a);
		locked = r == STORE_OK;
	}
	if (r == STORE_OK)
		r = settle(s, cur, new);
	if (r == STORE_OK && left_over)
		r = claims_drop(a, s->number);
	return locked ? txn_end(a, r) : r;
}

enum store_result
scan_mailbox(struct account *a, int64_t box, const struct place *place, enum scan_mode mode)
{
	struct scan s = { .a = a, .number = box, .place = place, .mode = mode };
	int64_t cur = files_mtime_ns(place->cur), new = files_mtime_ns(place->new);
	enum store_result r = box_get(a, box, &s.box);

	if (r != STORE_OK)
		return r;
	if (mode == SCAN_CHANGED && new == s.box.new_mtime &&
	    (cur == s.box.cur_mtime || touch_knows(a, box, cur))) {
		box_free(&s.box);
		return STORE_OK;
	}
	box_free(&s.box);
	durable_forget(a, box);
	r = compare(&s, cur, new);
	if (r == STORE_OK)
		r = finish(&s, cur, new);
	scan_free(&s);
	/* What is new is seen when the disk has room for its rows; what is known can be read. */
	if (r == STORE_FULL && mode == SCAN_CHANGED)
		r = STORE_OK;
	return r;
}

/* ---- what is there ---- */

static bool
see_file(void *arg, struct str name)
{
	struct scan *s = arg;

	/* The dot files of others, and ours, are no messages. */
	if (name.p[0] == '.')
		return true;
	buf_put_c(&s->seen, s->reading_new ? 'n' : 'c');
	buf_put(&s->seen, name);
	buf_put_c(&s->seen, '\0');
	s->count++;
	return true;
}

static enum store_result
list_files(struct scan *s)
{
	struct str rest, text;
	size_t count;

	s->count = 0;
	s->reading_new = true;
	if (!files_list(s->place->new, see_file, s))
		return files_failed(&s->a->log, "list", STR("new"));
	s->reading_new = false;
	if (!files_list(s->place->cur, see_file, s))
		return files_failed(&s->a->log, "list", STR("cur"));
	count = s->count;
	s->entries = xcalloc(count, sizeof(*s->entries));
	s->by_prefix = map_new();
	s->count = 0;
	rest = buf_str(&s->seen);
	for (size_t i = 0; i < count; i++) {
		struct entry *e = &s->entries[s->count];
		struct entry *other;

		text = str_sub(rest, 0, str_index(rest, '\0'));
		rest = str_from(rest, text.n + 1);
		e->in_new = str_starts(text, STR("n"));
		e->text = str_from(text, 1);
		if (!file_name_parse(e->text, &e->name))
			continue;
		s->count++;
		/* Names are copied about: a chain, from which each row takes what is its own. */
		other = map_set(s->by_prefix, e->name.prefix, e);
		e->same = other;
		e->shared = other != NULL;
		if (other != NULL)
			other->shared = true;
	}
	return STORE_OK;
}

/* Files that do not tell their size on the wire are read. */
static void
measure(struct scan *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct entry *e = &s->entries[i];
		scoped_buf bytes = BUF_INIT;
		scoped_fd fd = -1;
		bool last_cr = false;

		if (e->name.has_wire && e->name.has_size)
			continue;
		fd = files_open_message(e->in_new ? s->place->new : s->place->cur, e->text.p);
		if (fd < 0 || !files_read_all(fd, MESSAGE_BYTES_MAX, &bytes)) {
			if (errno != ENOENT)
				log_warn(&s->a->log, "message-not-taken", KV("file", e->text),
				    KV("errno", errno));
			continue;
		}
		e->wire = bytes.n + crlf_missing(buf_str(&bytes), &last_cr);
		e->measured = true;
	}
}

/* ---- rows against files ---- */

static bool
is_settled(const struct entry *e, const struct file_name *row)
{
	return !e->in_new && str_eq(e->name.base, row->base) &&
	    str_eq(e->name.letters, row->letters);
}

/* How much an entry is what a row says; 0: it belongs to another row. */
static int
likeness(const struct entry *e, const struct file_name *row)
{
	if (e->matched)
		return 0;
	if (!str_eq(e->name.base, row->base))
		/* Another UID of ours is another message; none is an adoption not finished. */
		return e->name.has_uid && e->name.uid != row->uid && e->shared ? 0 : 1;
	return e->in_new ? 2 : is_settled(e, row) ? 4 : 3;
}

static struct entry *
find_entry(struct scan *s, const struct file_name *row)
{
	struct entry *best = NULL;
	int like, most = 0;

	for (struct entry *e = map_get(s->by_prefix, row->prefix); e != NULL; e = e->same) {
		like = likeness(e, row);
		if (like > most) {
			most = like;
			best = e;
		}
	}
	return best;
}

static enum store_result
compare_rows(struct scan *s)
{
	sqlite3_stmt *q = index_ask(s->a, Q_FILES, BIND(V(message_key(s->box.number, 0)),
	    V(message_key(s->box.number, UINT32_MAX))));
	struct file_name name;
	struct entry *e;
	struct doubt d;

	while (index_row(s->a, q)) {
		d = (struct doubt){ sqlite3_column_int64(q, 0), SIZE_MAX };
		e = NULL;
		if (file_name_parse(index_text(q, 1), &name)) {
			name.letters = index_text(q, 2);
			e = find_entry(s, &name);
		}
		if (e != NULL) {
			e->matched = true;
			if (is_settled(e, &name))
				continue;
			d.entry = (size_t)(e - s->entries);
		}
		buf_put(&s->doubts, (struct str){ (const char *)&d, sizeof(d) });
	}
	return index_end(s->a, q);
}

static enum store_result
need_modseq(struct scan *s)
{
	s->changed = true;
	return s->modseq != 0 ? STORE_OK : box_take_modseq(s->a, &s->box, &s->modseq);
}

/* P is the letter of a keyword that the mailbox may not have had so far. */
static uint64_t
keyword_bits(struct scan *s, struct str letters)
{
	int number;

	if (str_has_char(letters, LETTER_PASSED) &&
	    !keywords_has_letter(&s->box.keywords, LETTER_PASSED) &&
	    keywords_add(&s->box.keywords, STR("$Forwarded"), &number) == STORE_OK)
		s->grew = true;
	return keywords_bits(&s->box.keywords, letters);
}

/* Somebody renamed it: what they changed is changed, what they left alone is not. */
static enum store_result
take_letters(struct scan *s, const struct message_row *row, struct str now)
{
	struct str before = buf_str(&row->letters);
	uint32_t was = letters_flags(before), is = letters_flags(now), flags;
	uint64_t words_was = keyword_bits(s, before), words_is = keyword_bits(s, now), keywords;
	enum store_result r;

	flags = (row->flags | (is & ~was)) & ~(was & ~is);
	keywords = (row->keywords | (words_is & ~words_was)) & ~(words_was & ~words_is);
	r = need_modseq(s);
	if (r == STORE_OK)
		r = message_set_flags(s->a, &s->box, row, flags, keywords, s->modseq, &now);
	/* Where their change and ours met, the name is to say both. */
	flags_rename_later(s->a);
	return r;
}

static bool
same_letters(struct str one, struct str other)
{
	scoped_buf a = BUF_INIT, b = BUF_INIT;

	letters_put_sorted(&a, one);
	letters_put_sorted(&b, other);
	return str_eq(buf_str(&a), buf_str(&b));
}

static enum store_result
settle_file(struct scan *s, const struct message_row *row, const struct entry *e)
{
	scoped_buf to = BUF_INIT;
	uint64_t size;
	int64_t mtime;
	int from = e->in_new ? s->place->new : s->place->cur;
	struct str letters = buf_str(&row->letters);
	enum store_result r = STORE_OK;

	/* Renamed again since it was listed: the next look will be right. */
	if (!files_stat(from, e->text.p, &size, &mtime))
		return STORE_OK;
	/* In new/ there are no flags; what lies there with its old ones was put back for other programs to see. */
	if (!e->in_new && !same_letters(e->name.letters, letters)) {
		letters = e->name.letters;
		r = take_letters(s, row, letters);
	}
	if (r != STORE_OK || (!e->in_new && str_eq(e->name.base, buf_str(&row->base)) &&
	    str_eq(e->name.letters, letters)))
		return r;
	s->changed = true;
	file_name_put(&to, buf_str(&row->base), letters);
	if (renameat2(from, e->text.p, s->place->cur, buf_z(&to), RENAME_NOREPLACE) != 0 &&
	    errno != EEXIST)
		return files_failed(&s->a->log, "rename", e->text);
	return STORE_OK;
}

struct second_look {
	struct scan *s;
	const struct message_row *row;
	struct str prefix;
	bool found;
};

static bool
see_again(void *arg, struct str text)
{
	struct second_look *l = arg;
	struct file_name name;
	sqlite3_stmt *q;
	bool others = false;

	if (!file_name_parse(text, &name) || !str_eq(name.prefix, l->prefix))
		return true;
	/* A copy that was moved about may have the same prefix: it is another message. */
	if (name.has_uid && name.uid != l->row->uid) {
		q = index_ask(l->s->a, Q_FILE_GET, BIND(V(message_key(l->s->box.number, name.uid))));
		while (index_row(l->s->a, q))
			others = str_eq(index_text(q, 0), name.base);
		(void)index_end(l->s->a, q);
	}
	l->found = !others;
	return others;
}

/* No file was seen for a row: look again where it may be, then let it go. */
static enum store_result
settle_missing(struct scan *s, struct message_row *row)
{
	struct second_look look = { .s = s, .row = row };
	struct file_name parsed;
	enum store_result r;

	r = publish_file(s->a, s->place, buf_str(&row->base), buf_str(&row->letters));
	if (r != STORE_GONE)
		return r;
	if (file_name_parse(buf_str(&row->base), &parsed)) {
		look.prefix = parsed.prefix;
		if (!files_list(s->place->cur, see_again, &look) ||
		    (!look.found && !files_list(s->place->new, see_again, &look)))
			return files_failed(&s->a->log, "list", buf_str(&s->box.name));
	}
	if (look.found)
		return STORE_OK;
	/* What was kept goes that way when its time is over. */
	if (!s->a->is_kept)
		log_info(&s->a->log, "message-gone", KV("mailbox", buf_str(&s->box.name)),
		    KV("uid", row->uid), KV("file", buf_str(&row->base)));
	/* Where its file comes back, it is a new message. */
	buf_clear(&row->base);
	r = need_modseq(s);
	return r == STORE_OK ? message_drop(s->a, &s->box, row, s->modseq) : r;
}

static enum store_result
settle_doubts(struct scan *s)
{
	enum store_result r = STORE_OK;
	struct doubt d;

	for (size_t i = 0; r == STORE_OK && i < s->doubts.n; i += sizeof(d)) {
		scoped_message row = MESSAGE_NONE;

		memcpy(&d, s->doubts.p + i, sizeof(d));
		r = message_get(s->a, s->box.number, key_uid(d.key), &row);
		if (r == STORE_OK)
			r = d.entry == SIZE_MAX ? settle_missing(s, &row) :
			    settle_file(s, &row, &s->entries[d.entry]);
		if (r == STORE_GONE)
			r = STORE_OK;
	}
	return r;
}

/* ---- files without a row ---- */

static bool
uid_is_free(struct scan *s, uint32_t uid)
{
	sqlite3_stmt *q = index_ask(s->a, Q_FILE_GET,
	    BIND(V(message_key(s->box.number, uid))));
	bool taken = index_row(s->a, q);

	if (index_end(s->a, q) != STORE_OK || taken)
		return false;
	q = index_ask(s->a, Q_EXPUNGED_BASE, BIND(V(s->box.number), V(uid)));
	taken = index_row(s->a, q);
	return index_end(s->a, q) == STORE_OK && !taken;
}

/* The link of a copy that died; what has no other name is not thrown away, whatever it is called. */
static bool
is_left_copy(struct scan *s, const struct entry *e)
{
	struct stat st;

	return claims_have(&s->claims, e->name.uid) && !e->in_new &&
	    fstatat(s->place->cur, e->text.p, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_nlink > 1;
}

/* Other programs count UIDs of their own, and write them alike: but not the rest as we do. */
static bool
is_our_name(const struct entry *e)
{
	scoped_buf ours = BUF_INIT;

	if (!e->name.has_uid || !e->name.has_size || !e->name.has_wire)
		return false;
	file_name_put_base(&ours, e->name.prefix, e->name.size, e->name.wire, e->name.uid);
	return str_eq(e->name.base, buf_str(&ours));
}

/*
 * Expunged, but whoever did it had no time to remove the file. One that was put there since is somebody's wish: a
 * backup's, say. What has another name elsewhere was moved there by us.
 */
static bool
is_leftover(struct scan *s, const struct entry *e)
{
	sqlite3_stmt *q;
	struct stat st;
	int64_t changed;
	bool left = false;

	if (!e->name.has_uid || e->in_new || fstatat(s->place->cur, e->text.p, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	if (is_left_copy(s, e))
		return true;
	changed = (int64_t)st.st_ctim.tv_sec * 1000 + st.st_ctim.tv_nsec / 1000000;
	q = index_ask(s->a, Q_EXPUNGED_FILE, BIND(V(s->box.number), V(e->name.uid)));
	while (index_row(s->a, q))
		left |= str_eq(index_text(q, 0), e->name.base) &&
		    (st.st_nlink > 1 || changed <= sqlite3_column_int64(q, 1) + LEFTOVER_MS);
	return index_end(s->a, q) == STORE_OK && left;
}

/* Of two that nobody has a row for the one that was there first stays: the other was put beside it. */
static bool
is_earlier(struct scan *s, const struct entry *a, const struct entry *b)
{
	struct stat x, y;

	if (fstatat(s->place->cur, a->text.p, &x, AT_SYMLINK_NOFOLLOW) != 0 ||
	    fstatat(s->place->cur, b->text.p, &y, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	if (x.st_ctim.tv_sec != y.st_ctim.tv_sec)
		return x.st_ctim.tv_sec < y.st_ctim.tv_sec;
	return x.st_ctim.tv_nsec != y.st_ctim.tv_nsec ? x.st_ctim.tv_nsec < y.st_ctim.tv_nsec : a < b;
}

/*
 * A backup that is put back without removing what came since brings each message again whose flags have changed: the same
 * name but for its letters, the same UID, the same octets. It is one message, and the name that we know stays.
 */
static bool
is_twin(struct scan *s, const struct entry *e)
{
	const struct entry *other = e->shared && !e->in_new && is_our_name(e) ? map_get(s->by_prefix, e->name.prefix) : NULL;

	for (; other != NULL; other = other->same) {
		scoped_fd one = -1, two = -1;

		if (other == e || other->in_new || !str_eq(other->name.base, e->name.base) ||
		    (!other->matched && !is_earlier(s, other, e)))
			continue;
		one = files_open_message(s->place->cur, e->text.p);
		two = files_open_message(s->place->cur, other->text.p);
		if (one >= 0 && two >= 0 && files_same(one, two))
			return true;
	}
	return false;
}

static enum store_result
give_uid(struct scan *s, const struct entry *e, bool trusted, uint32_t *uid)
{
	if (!trusted)
		return box_take_uids(s->a, &s->box, 1, uid);
	*uid = e->name.uid;
	if (*uid >= s->box.uid_next)
		return box_take_uids(s->a, &s->box, *uid - s->box.uid_next + 1,
		    &(uint32_t){ 0 });
	return STORE_OK;
}

/*
 * RFC 8514 3: since when it lies here. What others put in has its last change of name then, whatever time the name says;
 * of what was here before, and of another server's folder, the name knows it.
 */
static int64_t
saved_of(const struct scan *s, const struct entry *e)
{
	struct stat st;
	int64_t named;

	if (s->mode == SCAN_TRUST_UIDS && file_name_time(e->name.base, &named))
		return named;
	if (fstatat(e->in_new ? s->place->new : s->place->cur, e->text.p, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return st.st_ctim.tv_sec;
	return clock_now();
}

static enum store_result
adopt(struct scan *s, struct entry *e, bool trusted)
{
	scoped_buf prefix = BUF_INIT;
	struct message_row *row = &e->row;
	uint64_t size, wire;
	int64_t mtime;
	enum store_result r;

	if (!files_stat(e->in_new ? s->place->new : s->place->cur, e->text.p, &size, &mtime)) {
		if (errno != ENOENT)
			log_warn(&s->a->log, "message-not-taken", KV("file", e->text), KV("errno", errno));
		return STORE_OK;
	}
	if (!e->measured && size != e->name.size) {
		log_error(&s->a->log, "message-torn", KV("file", e->text), KV("size", size));
		return STORE_OK;
	}
	wire = e->measured ? e->wire : e->name.wire;
	if (wire > MESSAGE_BYTES_MAX)
		return STORE_OK;
	r = need_modseq(s);
	if (r == STORE_OK)
		r = give_uid(s, e, trusted, &row->uid);
	if (r != STORE_OK)
		return r;
	if (e->name.prefix.n + FIELDS_ROOM > DISK_NAME_MAX || e->shared)
		publish_put_prefix(&prefix, clock_now(), STR_EMPTY);
	else
		buf_put(&prefix, e->name.prefix);
	file_name_put_base(&row->base, buf_str(&prefix), size, wire, row->uid);
	row->flags = letters_flags(e->name.letters);
	row->keywords = keyword_bits(s, e->name.letters);
	row->size = (uint32_t)wire;
	row->internal_date = mtime;
	row->saved = saved_of(s, e);
	row->modseq = s->modseq;
	message_put_letters(&row->letters, &s->box.keywords, row->flags, row->keywords,
	    e->name.letters);
	box_count(&s->box, 1, row->size, row->flags);
	return message_add(s->a, s->box.number, row);
}

static int64_t
seconds_of(const struct entry *e)
{
	uint64_t n = 0;

	for (size_t i = 0; i < e->text.n && i < 18 && ascii_is_digit(e->text.p[i]); i++)
		n = n * 10 + (uint64_t)(e->text.p[i] - '0');
	return (int64_t)n;
}

static int
by_arrival(const void *a, const void *b)
{
	const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;
	int64_t one = seconds_of(x), two = seconds_of(y);

	return one != two ? (one < two ? -1 : 1) : str_cmp(x->text, y->text);
}

static enum store_result
adopt_all(struct scan *s)
{
	struct entry **order = xcalloc(s->count, sizeof(struct entry *));
	enum store_result r = STORE_OK;
	size_t count = 0, left = 0;

	for (size_t i = 0; i < s->count; i++) {
		struct entry *e = &s->entries[i];

		if (e->matched || (!e->measured && !(e->name.has_size && e->name.has_wire)))
			continue;
		if (kept_take_leftover(s->a, &s->box, s->place, &e->name, e->in_new))
			continue;
		if (!is_leftover(s, e) && !is_twin(s, e)) {
			order[count++] = e;
			continue;
		}
		log_info(&s->a->log, "needless-file-removed", KV("mailbox", buf_str(&s->box.name)),
		    KV("file", e->text));
		unlinkat(s->place->cur, e->text.p, 0);
	}
	if (count > 1)
		qsort(order, count, sizeof(struct entry *), by_arrival);
	/*
	 * UIDs that names say come first, so that new ones are above all of them; and those of cur/ before those of
	 * new/, where others put copies.
	 */
	for (int in_new = 0; in_new < 2; in_new++)
		for (size_t i = 0; r == STORE_OK && s->mode == SCAN_TRUST_UIDS && i < count; i++) {
			struct entry *e = order[i];

			if (e->row.uid == 0 && e->in_new == (in_new != 0) && is_our_name(e) &&
			    e->name.uid < s->box.uid_reserve && uid_is_free(s, e->name.uid))
				r = adopt(s, e, true);
		}
	for (size_t i = 0; i < count; i++)
		if (order[i]->row.uid == 0)
			order[left++] = order[i];
	for (size_t i = 0; r == STORE_OK && i < left; i++)
		r = adopt(s, order[i], false);
	free(order);
	return r;
}

/* ---- after the commit ---- */

static bool
see_tmp(void *arg, struct str name)
{
	const struct scan *s = arg;
	struct timespec now;
	struct stat st;

	/*
	 * By ctime, because mtime is the internal date; and so by the machine's own clock. What
	 * a row had there was published above, so this is nobody's.
	 */
	clock_gettime(CLOCK_REALTIME, &now);
	if (fstatat(s->place->tmp, name.p, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    !S_ISDIR(st.st_mode) && now.tv_sec - st.st_ctim.tv_sec > TMP_AGE)
		unlinkat(s->place->tmp, name.p, 0);
	return true;
}

static enum store_result
finish(struct scan *s, int64_t cur, int64_t new)
{
	bool quiet = files_mtime_ns(s->place->cur) == cur && files_mtime_ns(s->place->new) == new;
	enum store_result r;
	size_t renamed = 0;

	for (size_t i = 0; i < s->count; i++) {
		struct entry *e = &s->entries[i];
		scoped_buf to = BUF_INIT;

		if (e->row.uid == 0)
			continue;
		file_name_put(&to, buf_str(&e->row.base), buf_str(&e->row.letters));
		if (!e->in_new && str_eq(buf_str(&to), e->text))
			continue;
		renamed++;
		/* Whoever opens it next finds it by its prefix, and tries again. */
		if (renameat(e->in_new ? s->place->new : s->place->cur, e->text.p, s->place->cur,
		    buf_z(&to)) != 0)
			(void)files_failed(&s->a->log, "rename", e->text);
	}
	if (renamed > 0 && quiet) {
		cur = files_mtime_ns(s->place->cur);
		new = files_mtime_ns(s->place->new);
		r = txn_begin(s->a);
		if (r == STORE_OK)
			r = txn_end(s->a, index_do(s->a, Q_BOX_MTIMES,
			    BIND(V(scan_settled(cur)), V(scan_settled(new)), V(s->box.number))));
		if (r != STORE_OK)
			return r;
	}
	touch_note(s->a, s->box.number, scan_settled(cur));
	(void)!files_list(s->place->tmp, see_tmp, s);
	if (!s->changed)
		return STORE_OK;
	/* Flags of theirs and of ours came together: the name is to say both. */
	flags_rename_later(s->a);
	watch_notify(s->a);
	return STORE_OK;
}
