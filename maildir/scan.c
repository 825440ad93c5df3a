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

#include "maildir/scan.h"

enum {
	TICK_NS = 20 * 1000 * 1000,	/* a directory may change again without its time being another */
};

static enum store_result list_files(struct scan *s);
static void measure(struct scan *s);
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

/* While links are made there, or were left there, whoever opens it looks again. */
static int64_t
settled_cur(const struct scan *s, int64_t mtime)
{
	return s->claims.n > 0 || claims_are_live(s->a, s->number) ? 0 : scan_settled(mtime);
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
		r = scan_compare_rows(s);
	if (r == STORE_OK)
		r = scan_settle_doubts(s);
	if (r == STORE_OK)
		r = scan_adopt_all(s);
	if (r == STORE_OK && s->grew)
		r = box_save_settings(a, &s->box);
	if (r == STORE_OK && s->modseq != 0)
		r = box_save_counts(a, &s->box);
	if (r == STORE_OK)
		r = index_do(a, Q_BOX_MTIMES, BIND(V(settled_cur(s, cur)), V(scan_settled(new)), V(box)));
	return r;
}

/* In a transaction of its own: no file is removed before its owner can know. */
static enum store_result
break_claims(struct scan *s, bool *any)
{
	struct account *a = s->a;
	enum store_result r = claims_get(a, s->number, &s->claims);

	*any = r == STORE_OK && s->claims.n > 0;
	if (!*any)
		return r;
	r = txn_begin(a);
	if (r == STORE_OK)
		r = claims_get(a, s->number, &s->claims);
	if (r == STORE_OK)
		r = claims_break(a, s->number, &s->claims);
	return txn_end(a, r);
}

/*
 * Claims are done away with where the files were listed under the lock: then all that was left over is in the list.
 * One that is made later stays, and so do its files.
 */
static enum store_result
compare(struct scan *s, int64_t cur, int64_t new)
{
	struct account *a = s->a;
	enum store_result r = break_claims(s, &s->listed_locked);
	bool locked = false;

	if (r == STORE_OK && s->listed_locked) {
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
	if (r == STORE_OK && s->listed_locked)
		r = claims_drop_broken(a, s->number, &s->claims);
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
		e->no_nul = !str_has_char(buf_str(&bytes), '\0');
		e->measured = true;
	}
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
			    BIND(V(settled_cur(s, cur)), V(scan_settled(new)), V(s->box.number))));
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
