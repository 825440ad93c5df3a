/* SPDX-License-Identifier: ISC */
/*
 * What account_check found is put right. Most of it is the scan's daily work, which is only told to look; the rest
 * is done here under the write lock, each thing looked at once more. Invariant: no octet of a message is thrown away,
 * and no UID comes to mean another message.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "maildir/check.h"

struct repair {
	struct check *c;
	struct box box;
	struct place place;
	uint64_t modseq;
};

/* ---- files that are not what their names say ---- */

static enum store_result
drop_row(struct repair *p, const struct message_row *row)
{
	struct account *a = p->c->a;
	enum store_result r = STORE_OK;

	if (p->modseq == 0)
		r = box_take_modseq(a, &p->box, &p->modseq);
	if (r == STORE_OK)
		r = message_drop(a, &p->box, row, p->modseq);
	/* The queue may still have it whole, and is to bring it again then. */
	return r != STORE_OK ? r : check_do(p->c, "DELETE FROM deliveries WHERE id = ? AND uid = ?",
	    BIND(V(str_of(p->box.id)), V(row->uid)));
}

/* The file gets a name that promises nothing, and is taken in by the scan as a new message. */
static enum store_result
rename_anew(struct repair *p, int dir, const char *from, struct str letters)
{
	scoped_buf prefix = BUF_INIT, to = BUF_INIT;

	publish_put_prefix(&prefix, clock_now(), STR_EMPTY);
	file_name_put(&to, buf_str(&prefix), letters);
	if (renameat2(dir, from, p->place.cur, buf_z(&to), RENAME_NOREPLACE) == 0 || errno == ENOENT)
		return STORE_OK;
	return files_failed(&p->c->a->log, "rename", str_of(from));
}

/* Clients may have kept what it was: what it is now is another message, with a UID of its own. */
static enum store_result
take_anew(struct repair *p, uint32_t uid, struct str base)
{
	struct account *a = p->c->a;
	scoped_message row = MESSAGE_NONE;
	scoped_buf name = BUF_INIT;
	struct file_name parsed;
	enum store_result r = message_get(a, p->box.number, uid, &row);

	if (r != STORE_OK || !str_eq(buf_str(&row.base), base))
		return r == STORE_GONE ? STORE_OK : r;
	if (!file_name_parse(base, &parsed) || !message_find_name(p->place.cur, parsed.prefix, &name))
		return STORE_OK;
	r = rename_anew(p, p->place.cur, buf_z(&name), buf_str(&row.letters));
	return r == STORE_OK ? drop_row(p, &row) : r;
}

/* No row has it: it was cut off before anybody could see it. */
static enum store_result
take_torn(struct repair *p, struct str text)
{
	scoped_buf name = BUF_INIT;
	struct file_name parsed;
	enum store_result r = STORE_OK;

	buf_put(&name, text);
	if (!file_name_parse(text, &parsed))
		return STORE_OK;
	for (int i = 0; r == STORE_OK && i < 2; i++)
		r = rename_anew(p, i == 0 ? p->place.cur : p->place.new, buf_z(&name), parsed.letters);
	return r;
}

static enum store_result
repair_files(struct repair *p, const struct findings *f)
{
	enum store_result r = STORE_OK;

	for (size_t i = 0; r == STORE_OK && i < f->count; i++) {
		const struct finding *one = &f->all[i];

		if (one->kind != FOUND_FILE_SIZE && one->kind != FOUND_FILE_WIRE && one->kind != FOUND_FILE_UID)
			continue;
		r = one->uid != 0 ? take_anew(p, one->uid, one->file) : take_torn(p, one->file);
	}
	return r;
}

/* ---- the row of the mailbox ---- */

enum store_result
check_recount(struct check *c, int64_t number)
{
	static const char sums[] = "SELECT count(*), coalesce(sum(flags & ? = 0), 0), coalesce(sum(size), 0)"
	    " FROM messages WHERE key BETWEEN ? AND ?";
	scoped_box box = BOX_NONE;
	sqlite3_stmt *q;
	enum store_result r = txn_begin(c->a);

	if (r != STORE_OK)
		return r;
	r = box_get(c->a, number, &box);
	if (r == STORE_OK) {
		int64_t from = message_key(number, 0), to = message_key(number, UINT32_MAX);

		q = check_ask(c, sums, BIND(V(FLAG_SEEN), V(from), V(to)));
		if (index_row(c->a, q)) {
			box.messages = (uint32_t)sqlite3_column_int64(q, 0);
			box.unseen = (uint32_t)sqlite3_column_int64(q, 1);
			box.bytes = (uint64_t)sqlite3_column_int64(q, 2);
		}
		r = check_end(c, q);
	}
	if (r == STORE_OK)
		r = box_save_counts(c->a, &box);
	return txn_end(c->a, r);
}

static bool
extends(const struct keywords *longer, const struct keywords *shorter)
{
	scoped_buf one = BUF_INIT, two = BUF_INIT;

	keywords_put(&one, longer);
	keywords_put(&two, shorter);
	return str_starts(buf_str(&one), buf_str(&two));
}

/*
 * The file is the home of what it says: the row follows it. But numbers given out are never taken back, whoever
 * knows more of them; and rows of messages mean the keywords by the index's list.
 */
static enum store_result
repair_control(struct repair *p)
{
	struct account *a = p->c->a;
	scoped_control c = { 0 };
	enum store_result r = control_read(&a->log, p->place.dir, &c);

	if (r != STORE_OK && r != STORE_GONE && r != STORE_BROKEN)
		return r;
	if (r == STORE_OK) {
		p->box.special_use = c.special_use;
		p->box.subscribed = c.subscribed;
		if (c.uid_reserve > p->box.uid_reserve)
			p->box.uid_reserve = c.uid_reserve;
		if (c.modseq_reserve > p->box.modseq_reserve)
			p->box.modseq_reserve = c.modseq_reserve;
		if (extends(&c.keywords, &p->box.keywords)) {
			keywords_free(&p->box.keywords);
			keywords_copy(&p->box.keywords, &c.keywords);
		}
	}
	r = index_do(a, Q_BOX_RESERVE, BIND(V(p->box.uid_reserve), V((int64_t)p->box.modseq_reserve),
	    V(p->box.number)));
	return r == STORE_OK ? box_save_settings(a, &p->box) : r;
}

/* Another mailbox's identity lies there: a copy of it, or a restored one. All that it says holds from now on. */
static bool
is_another(const struct repair *p)
{
	scoped_control c = { 0 };

	return control_read(&p->c->a->log, p->place.dir, &c) == STORE_OK &&
	    (c.uidvalidity != p->box.uidvalidity || !str_eq(str_of(c.id), str_of(p->box.id)));
}

static enum store_result
repair_uid_next(struct repair *p, uint32_t above)
{
	uint32_t first;

	return p->box.uid_next > above ? STORE_OK :
	    box_take_uids(p->c->a, &p->box, above - p->box.uid_next + 1, &first);
}

static enum store_result
repair_rows(struct repair *p, const struct findings *f)
{
	enum store_result r = STORE_OK;

	for (size_t i = 0; r == STORE_OK && i < f->count; i++) {
		const struct finding *one = &f->all[i];

		if (one->kind == FOUND_CONTROL_MISSING || one->kind == FOUND_CONTROL_BAD ||
		    one->kind == FOUND_CONTROL_DIFFERS || (one->kind == FOUND_UID_NEXT &&
		    str_eq(one->detail, STR("reserve"))))
			r = repair_control(p);
		else if (one->kind == FOUND_UID_NEXT)
			r = repair_uid_next(p, (uint32_t)one->should - 1);
		else if (one->kind == FOUND_FILE_FLAGS)
			r = check_do(p->c, "UPDATE messages SET pending = 1 WHERE key = ?",
			    BIND(V(message_key(p->box.number, one->uid))));
	}
	return r == STORE_OK ? repair_files(p, f) : r;
}

/* ---- all of it ---- */

/* In one transaction, what is not the scan's. */
static enum store_result
under_lock(struct repair *p, const struct findings *f)
{
	struct account *a = p->c->a;
	int64_t number = p->box.number;
	enum store_result r = txn_begin(a);

	if (r != STORE_OK)
		return r;
	box_free(&p->box);
	p->box = BOX_NONE;
	r = box_get(a, number, &p->box);
	if (r == STORE_OK && is_another(p))
		r = tree_drop_box(a, number);
	else if (r == STORE_OK) {
		r = repair_rows(p, f);
		if (r == STORE_OK)
			r = snapshot_file_drop(a, number);
		if (r == STORE_OK)
			r = box_save_counts(a, &p->box);
	}
	return txn_end(a, r);
}

enum store_result
check_repair(struct check *c, int64_t number, const struct findings *f)
{
	struct account *a = c->a;
	struct repair p = { .c = c, .place = PLACE_CLOSED };
	enum store_result r = box_get(a, number, &p.box);

	if (r == STORE_OK)
		r = place_open(a, buf_str(&p.box.name), &p.place);
	/* Without its folder it is no mailbox, with another's file it is that one. */
	if (r == STORE_GONE || (r == STORE_OK && is_another(&p))) {
		if (r == STORE_OK)
			r = under_lock(&p, f);
		if (r == STORE_OK || r == STORE_GONE)
			r = tree_sync(a);
		number = 0;
	}
	if (r == STORE_OK && number != 0)
		r = under_lock(&p, f);
	if (r == STORE_OK && number != 0) {
		touch_note(a, number, 0);
		r = scan_mailbox(a, number, &p.place, SCAN_ALWAYS);
	}
	while (r == STORE_OK && flags_rename_slice(a))
		continue;
	if (r == STORE_OK && number != 0)
		r = check_recount(c, number);
	place_close(&p.place);
	box_free(&p.box);
	watch_notify(a);
	return r == STORE_GONE ? STORE_OK : r;
}
