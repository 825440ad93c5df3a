/* SPDX-License-Identifier: ISC */
/*
 * A scan's rows against its files: each row takes the file that is most like what it says; what others renamed is
 * changed, what is gone is dropped, and what a crash left unpublished is published.
 */
#include <errno.h>
#include <stdio.h>

#include "maildir/scan.h"

/* A row whose file is not what it says. */
struct doubt {
	int64_t key;
	size_t entry;	/* SIZE_MAX: no file seen */
};

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

enum store_result
scan_compare_rows(struct scan *s)
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
			if (is_settled(e, &name) && sqlite3_column_int(q, 3) != NAME_MISSED)
				continue;
			d.entry = (size_t)(e - s->entries);
		}
		buf_put(&s->doubts, (struct str){ (const char *)&d, sizeof(d) });
	}
	return index_end(s->a, q);
}

enum store_result
scan_need_modseq(struct scan *s)
{
	s->changed = true;
	return s->modseq != 0 ? STORE_OK : box_take_modseq(s->a, &s->box, &s->modseq);
}

/* P is the letter of a keyword that the mailbox may not have had so far. */
uint64_t
scan_keyword_bits(struct scan *s, struct str letters)
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
	uint64_t words_was = scan_keyword_bits(s, before), words_is = scan_keyword_bits(s, now), keywords;
	enum store_result r;

	flags = (row->flags | (is & ~was)) & ~(was & ~is);
	keywords = (row->keywords | (words_is & ~words_was)) & ~(words_was & ~words_is);
	r = scan_need_modseq(s);
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

/* It was away when it was to be given our flags, and has its old name again. */
static enum store_result
name_again(struct scan *s, const struct message_row *row)
{
	flags_rename_later(s->a);
	return index_do(s->a, Q_MESSAGE_NAMED, BIND(V(buf_str(&row->letters)), V(NAME_PENDING),
	    V(message_key(s->box.number, row->uid))));
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
	if (r != STORE_OK)
		return r;
	if (!e->in_new && str_eq(e->name.base, buf_str(&row->base)) && str_eq(e->name.letters, letters))
		return letters.p == e->name.letters.p ? STORE_OK : name_again(s, row);
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
	r = scan_need_modseq(s);
	return r == STORE_OK ? message_drop(s->a, &s->box, row, s->modseq) : r;
}

enum store_result
scan_settle_doubts(struct scan *s)
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
