/* SPDX-License-Identifier: ISC */
/* The rows of mailboxes and messages, and the directories they stand for. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "maildir/private.h"

/* ---- places ---- */

enum store_result
place_open(struct account *a, struct str name, struct place *out)
{
	scoped_buf dir = BUF_INIT;
	struct place p = PLACE_CLOSED;

	layout_put_dir(&dir, name);
	p.dir = files_open_dir(a->dir, buf_z(&dir));
	if (p.dir < 0)
		return files_failed(&a->log, "open", buf_str(&dir));
	p.cur = files_make_dir(p.dir, "cur");
	p.new = files_make_dir(p.dir, "new");
	p.tmp = files_make_dir(p.dir, "tmp");
	if (p.cur < 0 || p.new < 0 || p.tmp < 0) {
		enum store_result r = files_failed(&a->log, "open", buf_str(&dir));

		place_close(&p);
		return r;
	}
	*out = p;
	return STORE_OK;
}

void
place_close(struct place *p)
{
	close_fd(&p->dir);
	close_fd(&p->cur);
	close_fd(&p->new);
	close_fd(&p->tmp);
}

/* ---- INBOX, kept open ---- */

static bool
is_still(int dir, const char *name, uint64_t device, uint64_t inode)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == device &&
	    st.st_ino == inode;
}

static enum store_result
inbox_open(struct account *a)
{
	struct inbox *i = xcalloc(1, sizeof(*i));
	scoped_box box = BOX_NONE;
	struct stat cur, tmp;
	enum store_result r = box_find(a, STR("INBOX"), &box);

	i->place = PLACE_CLOSED;
	if (r == STORE_OK)
		r = place_open(a, STR("INBOX"), &i->place);
	if (r == STORE_OK && (fstat(i->place.cur, &cur) != 0 || fstat(i->place.tmp, &tmp) != 0))
		r = files_failed(&a->log, "look at", STR("INBOX"));
	if (r != STORE_OK) {
		place_close(&i->place);
		free(i);
		return r;
	}
	i->users = 1;
	i->cur.device = cur.st_dev;
	i->cur.inode = cur.st_ino;
	i->tmp.device = tmp.st_dev;
	i->tmp.inode = tmp.st_ino;
	i->box = box.number;
	memcpy(i->box_id, box.id, sizeof(i->box_id));
	i->generation = a->generation;
	a->inbox = i;
	return STORE_OK;
}

enum store_result
inbox_enter(struct account *a, struct inbox **out)
{
	struct inbox *i = a->inbox;
	enum store_result r = STORE_OK;

	if (i != NULL && (i->generation != a->generation ||
	    !is_still(a->dir, "cur", i->cur.device, i->cur.inode) ||
	    !is_still(a->dir, "tmp", i->tmp.device, i->tmp.inode)))
		inbox_forget(a);
	if (a->inbox == NULL)
		r = inbox_open(a);
	if (r != STORE_OK)
		return r;
	a->inbox->users++;
	*out = a->inbox;
	return STORE_OK;
}

void
inbox_leave(struct inbox *i)
{
	if (i == NULL || --i->users > 0)
		return;
	place_close(&i->place);
	free(i);
}

void
inbox_forget(struct account *a)
{
	inbox_leave(a->inbox);
	a->inbox = NULL;
}

/* ---- mailboxes ---- */

void
box_free(struct box *b)
{
	buf_free(&b->name);
	keywords_free(&b->keywords);
}

static void
box_read(sqlite3_stmt *q, struct box *b)
{
	struct str id = index_text(q, 2);

	*b = (struct box){
		.number = sqlite3_column_int64(q, 0),
		.uidvalidity = (uint32_t)sqlite3_column_int64(q, 3),
		.uid_next = (uint32_t)sqlite3_column_int64(q, 4),
		.uid_reserve = (uint32_t)sqlite3_column_int64(q, 5),
		.modseq = (uint64_t)sqlite3_column_int64(q, 6),
		.modseq_reserve = (uint64_t)sqlite3_column_int64(q, 7),
		.messages = (uint32_t)sqlite3_column_int64(q, 8),
		.unseen = (uint32_t)sqlite3_column_int64(q, 9),
		.bytes = (uint64_t)sqlite3_column_int64(q, 10),
		.recent_uid = (uint32_t)sqlite3_column_int64(q, 11),
		.special_use = (unsigned)sqlite3_column_int(q, 12),
		.subscribed = sqlite3_column_int(q, 13) != 0,
		.cur_mtime = sqlite3_column_int64(q, 15),
		.new_mtime = sqlite3_column_int64(q, 16),
		.control = sqlite3_column_int64(q, 17),
	};
	buf_put(&b->name, index_text(q, 1));
	memcpy(b->id, id.p, id.n < sizeof(b->id) ? id.n : sizeof(b->id) - 1);
	keywords_parse(&b->keywords, index_text(q, 14));
}

static enum store_result
box_one(struct account *a, enum query query, struct value by, struct box *out)
{
	sqlite3_stmt *q = index_ask(a, query, BIND(by));
	struct box b = BOX_NONE;
	bool found = index_row(a, q);
	enum store_result r;

	if (found)
		box_read(q, &b);
	r = index_end(a, q);
	if (r == STORE_OK && !found)
		r = STORE_NO_SUCH;
	if (r == STORE_OK)
		*out = b;
	else
		box_free(&b);
	return r;
}

enum store_result
box_get(struct account *a, int64_t number, struct box *out)
{
	return box_one(a, Q_BOX_GET, V(number), out);
}

enum store_result
box_find(struct account *a, struct str name, struct box *out)
{
	return box_one(a, Q_BOX_FIND, V(name), out);
}

enum store_result
box_by_id(struct account *a, struct str id, struct box *out)
{
	return box_one(a, Q_BOX_BY_ID, V(id), out);
}

enum store_result
box_numbers(struct account *a, struct buf *out)
{
	sqlite3_stmt *q = index_ask(a, Q_BOX_NUMBERS, BIND());
	int64_t number;

	while (index_row(a, q)) {
		number = sqlite3_column_int64(q, 0);
		buf_put(out, (struct str){ (const char *)&number, sizeof(number) });
	}
	return index_end(a, q);
}

enum store_result
box_add(struct account *a, struct str name, const struct control *c, struct box *out)
{
	scoped_buf words = BUF_INIT;
	sqlite3_stmt *q;
	struct box b = { .uidvalidity = c->uidvalidity, .uid_next = 1,
		.uid_reserve = c->uid_reserve, .modseq = 1, .modseq_reserve = c->modseq_reserve,
		.recent_uid = 1, .special_use = c->special_use, .subscribed = c->subscribed,
		.control = c->file };
	enum store_result r;

	memcpy(b.id, c->id, sizeof(b.id));
	keywords_put(&words, &c->keywords);
	q = index_ask(a, Q_BOX_ADD, BIND(V(name), V(str_of(b.id)), V(b.uidvalidity),
	    V(b.uid_next), V(b.uid_reserve), V((int64_t)b.modseq), V((int64_t)b.modseq_reserve),
	    V(b.recent_uid), V(b.special_use), V(b.subscribed), V(buf_str(&words)),
	    V(b.control)));
	while (index_row(a, q))
		b.number = sqlite3_column_int64(q, 0);
	r = index_end(a, q);
	if (r != STORE_OK)
		return r;
	buf_put(&b.name, name);
	keywords_copy(&b.keywords, &c->keywords);
	*out = b;
	return STORE_OK;
}

static enum store_result
put_name(struct account *a, struct buf *out)
{
	sqlite3_stmt *q = index_ask(a, Q_NAME_LIST, BIND());

	while (index_row(a, q)) {
		buf_put(out, index_text(q, 0));
		buf_put_c(out, '\n');
	}
	return index_end(a, q);
}

/* Writes trivet-mailbox from the row. */
static enum store_result
write_control(struct account *a, const struct box *b)
{
	scoped_place place = PLACE_CLOSED;
	scoped_control c = { .uidvalidity = b->uidvalidity, .uid_reserve = b->uid_reserve,
		.modseq_reserve = b->modseq_reserve, .special_use = b->special_use,
		.subscribed = b->subscribed };
	enum store_result r = place_open(a, buf_str(&b->name), &place);

	memcpy(c.id, b->id, sizeof(c.id));
	keywords_copy(&c.keywords, &b->keywords);
	if (r == STORE_OK && layout_is_inbox(buf_str(&b->name)))
		r = put_name(a, &c.subscribed_names);
	if (r == STORE_OK)
		r = control_write(&a->log, place.dir, &c);
	return r == STORE_OK ? index_do(a, Q_BOX_CONTROL, BIND(V(c.file), V(b->number))) : r;
}

/*
 * The reserve is on disk before anything of it is given out, so that a rebuild, or a
 * power cut that takes the last transactions away, never gives the same number twice.
 */
static enum store_result
reserve(struct account *a, struct box *b, uint64_t uids, uint64_t modseqs)
{
	enum store_result r;
	struct box before = *b;

	if (b->uid_next + uids <= b->uid_reserve && b->modseq + modseqs <= b->modseq_reserve)
		return STORE_OK;
	if (b->uid_next + uids > b->uid_reserve) {
		if (b->uid_next + uids + UID_RESERVE_STEP > UINT32_MAX) {
			log_error(&a->log, "uids-used-up", KV("mailbox", buf_str(&b->name)));
			return STORE_FULL;
		}
		b->uid_reserve = (uint32_t)(b->uid_next + uids + UID_RESERVE_STEP);
	}
	if (b->modseq + modseqs > b->modseq_reserve)
		b->modseq_reserve = b->modseq + modseqs + MODSEQ_RESERVE_STEP;
	r = write_control(a, b);
	if (r == STORE_OK)
		r = index_do(a, Q_BOX_RESERVE, BIND(V(b->uid_reserve),
		    V((int64_t)b->modseq_reserve), V(b->number)));
	if (r != STORE_OK) {
		b->uid_reserve = before.uid_reserve;
		b->modseq_reserve = before.modseq_reserve;
	}
	return r;
}

enum store_result
box_renew(struct account *a, struct box *b, uint32_t uid_next, uint64_t modseq)
{
	enum store_result r;

	b->uid_next = uid_next;
	b->uid_reserve = uid_next + UID_RESERVE_STEP;
	b->modseq = modseq;
	b->modseq_reserve = modseq + MODSEQ_RESERVE_STEP;
	r = write_control(a, b);
	if (r == STORE_OK)
		r = index_do(a, Q_BOX_RESERVE, BIND(V(b->uid_reserve), V((int64_t)b->modseq_reserve), V(b->number)));
	return r == STORE_OK ? box_save_counts(a, b) : r;
}

enum store_result
box_take_modseq(struct account *a, struct box *b, uint64_t *out)
{
	enum store_result r = reserve(a, b, 0, 1);

	if (r == STORE_OK)
		*out = ++b->modseq;
	return r;
}

enum store_result
box_take_uids(struct account *a, struct box *b, uint32_t count, uint32_t *first)
{
	enum store_result r = reserve(a, b, count, 0);

	if (r == STORE_OK) {
		*first = b->uid_next;
		b->uid_next += count;
	}
	return r;
}

enum store_result
box_save_counts(struct account *a, const struct box *b)
{
	return index_do(a, Q_BOX_COUNTS, BIND(V(b->uid_next), V((int64_t)b->modseq),
	    V(b->messages), V(b->unseen), V((int64_t)b->bytes), V(b->number)));
}

enum store_result
box_save_settings(struct account *a, const struct box *b)
{
	scoped_buf words = BUF_INIT;
	enum store_result r = write_control(a, b);

	keywords_put(&words, &b->keywords);
	return r != STORE_OK ? r : index_do(a, Q_BOX_SETTINGS, BIND(V(b->special_use),
	    V(b->subscribed), V(buf_str(&words)), V(b->number)));
}

enum store_result
box_keyword_bits(struct box *b, const struct flags *flags, uint64_t *bits, bool *grew)
{
	size_t before = b->keywords.count;
	enum store_result r = keywords_take(&b->keywords, flags, bits);

	if (r == STORE_OK)
		*grew = b->keywords.count > before;
	return r;
}

void
box_count(struct box *b, int messages, uint32_t size, uint32_t flags)
{
	if (messages > 0) {
		b->messages++;
		b->bytes += size;
		b->unseen += (flags & FLAG_SEEN) == 0;
	} else {
		b->messages--;
		b->bytes -= size;
		b->unseen -= (flags & FLAG_SEEN) == 0;
	}
}

/* ---- messages ---- */

void
message_row_free(struct message_row *m)
{
	buf_free(&m->base);
	buf_free(&m->letters);
}

enum store_result
message_get(struct account *a, int64_t box, uint32_t uid, struct message_row *out)
{
	sqlite3_stmt *q = index_ask(a, Q_MESSAGE_GET, BIND(V(message_key(box, uid))));
	bool found = index_row(a, q);
	enum store_result r;

	if (found) {
		out->uid = uid;
		out->flags = (uint32_t)sqlite3_column_int64(q, 0);
		out->keywords = (uint64_t)sqlite3_column_int64(q, 1);
		out->modseq = (uint64_t)sqlite3_column_int64(q, 2);
		out->size = (uint32_t)sqlite3_column_int64(q, 3);
		out->internal_date = sqlite3_column_int64(q, 4);
		buf_clear(&out->letters);
		buf_put(&out->letters, index_text(q, 5));
		buf_clear(&out->base);
		buf_put(&out->base, index_text(q, 6));
		out->no_nul = sqlite3_column_int(q, 7) != 0;
	}
	r = index_end(a, q);
	if (r != STORE_OK)
		return r;
	/* A name with a slash can only be somebody's work on the index: it is no file of ours. */
	return found && !str_has_char(buf_str(&out->base), '/') ? STORE_OK : STORE_GONE;
}

/* What the name says need not be kept. */
static struct value
saved_value(const struct message_row *m)
{
	int64_t named;

	return m->saved == 0 || (file_name_time(buf_str(&m->base), &named) && named == m->saved) ?
	    V_NULL : V(m->saved);
}

enum store_result
message_add(struct account *a, int64_t box, const struct message_row *m)
{
	int64_t key = message_key(box, m->uid);
	enum store_result r = index_do(a, Q_MESSAGE_ADD, BIND(V(key), V(box),
	    V((int64_t)m->modseq), V(m->flags), V((int64_t)m->keywords), V(m->size),
	    V(m->internal_date), V(buf_str(&m->letters))));

	return r == STORE_OK ? index_do(a, Q_FILE_ADD, BIND(V(key), V(buf_str(&m->base)), saved_value(m),
	    m->no_nul ? V(1) : V_NULL)) : r;
}

enum store_result
message_drop(struct account *a, struct box *b, const struct message_row *m, uint64_t modseq)
{
	int64_t key = message_key(b->number, m->uid);
	enum store_result r = index_do(a, Q_MESSAGE_DROP, BIND(V(key)));

	if (r == STORE_OK)
		r = index_do(a, Q_FILE_DROP, BIND(V(key)));
	if (r == STORE_OK)
		r = texts_drop(a, key);
	if (r == STORE_OK)
		r = index_do(a, Q_MADE_DROP, BIND(V(key)));
	if (r == STORE_OK)
		r = index_do(a, Q_EXPUNGED_ADD, BIND(V(b->number), V((int64_t)modseq), V(m->uid),
		    V(buf_str(&m->base))));
	if (r == STORE_OK)
		box_count(b, -1, m->size, m->flags);
	return r;
}

enum store_result
messages_drop(struct account *a, int64_t box, uint32_t first, uint32_t last, uint64_t modseq)
{
	static const enum query clear[] = { Q_MESSAGES_CLEAR, Q_FILES_CLEAR, Q_TEXTS_CLEAR, Q_HEADERS_CLEAR,
	    Q_MADE_CLEAR };
	int64_t from = message_key(box, first), to = message_key(box, last);
	enum store_result r = index_do(a, Q_EXPUNGED_RANGE, BIND(V(box), V((int64_t)modseq), V(from),
	    V(to)));

	for (size_t i = 0; r == STORE_OK && i < countof(clear); i++)
		r = index_do(a, clear[i], BIND(V(from), V(to)));
	return r;
}

enum store_result
message_put_back(struct account *a, struct box *b, const struct message_row *m)
{
	enum store_result r = message_add(a, b->number, m);

	if (r == STORE_OK)
		r = index_do(a, Q_EXPUNGED_DROP, BIND(V(b->number), V(m->uid)));
	if (r == STORE_OK)
		box_count(b, 1, m->size, m->flags);
	return r == STORE_OK ? index_do(a, Q_MESSAGE_NAMED,
	    BIND(V(buf_str(&m->letters)), V(NAME_PENDING), V(message_key(b->number, m->uid)))) : r;
}

enum store_result
message_set_flags(struct account *a, struct box *b, const struct message_row *m, uint32_t flags,
    uint64_t keywords, uint64_t modseq, const struct str *named)
{
	int64_t key = message_key(b->number, m->uid);
	scoped_buf letters = BUF_INIT;
	enum store_result r = index_do(a, Q_MESSAGE_FLAGS, BIND(V(flags), V((int64_t)keywords),
	    V((int64_t)modseq), V(key)));

	if (r == STORE_OK && named != NULL) {
		message_put_letters(&letters, &b->keywords, flags, keywords, *named);
		r = index_do(a, Q_MESSAGE_NAMED, BIND(V(*named),
		    V(str_eq(buf_str(&letters), *named) ? NAME_SAYS : NAME_PENDING), V(key)));
	}
	if (r == STORE_OK) {
		b->unseen += (flags & FLAG_SEEN) == 0;
		b->unseen -= (m->flags & FLAG_SEEN) == 0;
	}
	return r;
}

void
message_put_letters(struct buf *out, const struct keywords *words, uint32_t flags,
    uint64_t keywords, struct str before)
{
	scoped_buf all = BUF_INIT;

	letters_put_flags(&all, flags);
	keywords_put_letters(&all, words, keywords);
	/* One of a-z that means nothing here would come to mean the keyword that gets it one day. */
	for (size_t i = 0; i < before.n; i++)
		if (!letter_is_flag(before.p[i]) && !keywords_has_letter(words, before.p[i]) &&
		    !(before.p[i] >= 'a' && before.p[i] <= 'z'))
			buf_put_c(&all, before.p[i]);
	letters_put_sorted(out, buf_str(&all));
}
