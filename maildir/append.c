/* SPDX-License-Identifier: ISC */
/*
 * A new message, by APPEND or delivery: written to tmp/, parsed, given a row and a UID, then a
 * name in cur/. A delivery that was published before is found again by (trace,
 * recipient) in the index, or by the token in the names of files.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "maildir/kept.h"

enum {
	MEMORY_MAX = 64 * 1024,		/* a larger message waits in its file */
	DELIVERY_MAX = 2 * 1024 * 1024,	/* deliveries come whole, one at a time: these are not read again to be parsed */
};

struct append {
	struct account *account;
	int64_t box;
	char box_id[24];
	unsigned generation;	/* of the index that box is a number of */
	struct inbox *inbox;	/* whose directories place has; NULL: they are its own */
	struct place place;
	struct flags flags;
	struct buf keyword_text;	/* behind flags.keywords */
	int64_t internal_date;
	struct buf trace;
	struct buf recipient;
	bool once;		/* trace and recipient are set */
	bool retry;
	bool renew;
	struct buf token;
	struct buf prefix;	/* the name in tmp/ */
	int fd;
	struct buf memory;	/* what the file does not have yet, or the whole */
	size_t memory_max;
	bool in_file;		/* something has been written out */
	bool failed;
	uint64_t size;
	uint64_t missing;	/* CRs that the wire has and the file has not */
	bool last_cr;
	bool prepared;
	struct texts texts;
	struct message_row row;
};

static enum store_result find_target(struct append *p, struct str name, bool may_create);
static enum store_result flush(struct append *p);
static enum store_result same_box(struct append *p);
static enum store_result add_row(struct append *p, struct box *box, struct appended *out);
static enum store_result look_again(struct append *p);
static enum store_result sync_both(struct account *a, int fd, int cur);
static enum store_result undo(struct append *p, enum store_result why);
static enum store_result find_earlier(struct append *p, struct box *box, struct appended *out);
static enum store_result finish_earlier(struct account *a, const struct box *box, uint32_t uid,
    bool sync);

static void
copy_flags(struct append *p, const struct flags *flags)
{
	struct str *names = xcalloc(flags->keyword_count, sizeof(*names));
	size_t at = 0;

	for (size_t i = 0; i < flags->keyword_count; i++)
		buf_put(&p->keyword_text, flags->keywords[i]);
	for (size_t i = 0; i < flags->keyword_count; i++) {
		names[i] = str_sub(buf_str(&p->keyword_text), at, flags->keywords[i].n);
		at += flags->keywords[i].n;
	}
	p->flags = (struct flags){ flags->system, names, flags->keyword_count };
}

enum store_result
append_begin(struct account *a, const struct append_options *o, struct append **out)
{
	struct append *p;
	enum store_result r = index_alive(a);

	if (r == STORE_OK)
		r = quota_check(a, o->size, 1);
	if (r != STORE_OK)
		return r;
	p = xcalloc(1, sizeof(*p));
	p->account = a;
	p->place = PLACE_CLOSED;
	p->fd = -1;
	copy_flags(p, &o->flags);
	p->internal_date = o->internal_date != 0 ? o->internal_date : clock_now();
	buf_put(&p->trace, o->trace);
	buf_put(&p->recipient, o->recipient);
	p->once = o->trace.n > 0 && o->recipient.n > 0;
	p->memory_max = p->once && o->size > MEMORY_MAX && o->size <= DELIVERY_MAX ?
	    (size_t)o->size : MEMORY_MAX;
	p->retry = o->retry;
	p->renew = o->renew;
	if (p->once)
		publish_put_token(&p->token, o->trace, o->recipient);
	publish_put_prefix(&p->prefix, clock_now(), buf_str(&p->token));
	r = find_target(p, o->mailbox, o->may_create);
	if (r != STORE_OK) {
		append_abandon(p);
		return r;
	}
	*out = p;
	return STORE_OK;
}

static enum store_result
enter_inbox(struct append *p)
{
	enum store_result r = inbox_enter(p->account, &p->inbox);

	if (r != STORE_OK)
		return r == STORE_GONE ? STORE_NO_SUCH : r;
	p->place = p->inbox->place;
	p->box = p->inbox->box;
	p->generation = p->inbox->generation;
	memcpy(p->box_id, p->inbox->box_id, sizeof(p->box_id));
	return STORE_OK;
}

static enum store_result
find_target(struct append *p, struct str given, bool may_create)
{
	scoped_buf name = BUF_INIT, inner = BUF_INIT;
	scoped_box box = BOX_NONE;
	enum store_result r;

	if (!layout_name(given, &name))
		return may_create ? STORE_BAD_NAME : STORE_NO_SUCH;
	if (layout_is_inbox(buf_str(&name))) {
		r = enter_inbox(p);
		if (r != STORE_NO_SUCH || !may_create)
			return r;
	}
	if (kept_has_name(p->account, buf_str(&name), &inner))
		return STORE_NOT_ALLOWED;
	r = tree_find(p->account, buf_str(&name), &box);
	if (r == STORE_NO_SUCH && may_create) {
		r = mailbox_create(p->account, buf_str(&name), 0);
		if (r == STORE_OK || r == STORE_EXISTS)
			r = box_find(p->account, buf_str(&name), &box);
	}
	if (r == STORE_OK)
		r = place_open(p->account, buf_str(&name), &p->place);
	if (r == STORE_OK) {
		p->box = box.number;
		p->generation = p->account->generation;
		memcpy(p->box_id, box.id, sizeof(p->box_id));
	}
	return r == STORE_GONE ? STORE_NO_SUCH : r;
}

enum store_result
append_write(struct append *p, struct str bytes)
{
	p->missing += crlf_missing(bytes, &p->last_cr);
	p->size += bytes.n;
	if (p->memory.n == 0 && p->memory_max > MEMORY_MAX)
		(void)buf_room(&p->memory, p->memory_max);
	buf_put(&p->memory, bytes);
	if (p->memory.n <= p->memory_max || p->failed)
		return p->failed ? STORE_BROKEN : STORE_OK;
	return flush(p);
}

static enum store_result
flush(struct append *p)
{
	enum store_result r;

	if (p->fd < 0)
		p->fd = files_open(p->place.tmp, buf_z(&p->prefix), O_RDWR | O_CREAT | O_EXCL,
		    0600);
	if (p->fd >= 0 && files_write(p->fd, buf_str(&p->memory))) {
		p->in_file = true;
		buf_clear(&p->memory);
		return STORE_OK;
	}
	r = files_failed(&p->account->log, "write", buf_str(&p->prefix));
	p->failed = true;
	return r;
}

enum store_result
append_prepare(struct append *p)
{
	struct timespec times[2];
	enum store_result r;
	uint64_t wire = p->size + p->missing;

	if (p->failed)
		return STORE_BROKEN;
	if (p->prepared)
		return STORE_OK;
	if (wire > MESSAGE_BYTES_MAX)
		return STORE_TOO_LARGE;
	r = quota_check(p->account, wire, 1);
	if (r == STORE_OK && !p->in_file && p->missing == 0)
		texts_render(&p->texts, buf_str(&p->memory));
	if (r == STORE_OK)
		r = flush(p);
	if (r == STORE_OK && p->texts.text[TEXT_BODY].n == 0) {
		r = message_read(p->account, p->fd, &p->memory);
		if (r == STORE_OK)
			texts_render(&p->texts, buf_str(&p->memory));
	}
	buf_free(&p->memory);
	if (r != STORE_OK)
		return r;
	times[0] = times[1] = (struct timespec){ .tv_sec = p->internal_date };
	if (futimens(p->fd, times) != 0)
		return files_failed(&p->account->log, "set time", buf_str(&p->prefix));
	p->prepared = true;
	return STORE_OK;
}

enum store_result
append_publish(struct append *p, bool sync, struct appended *out)
{
	struct account *a = p->account;
	struct appended done = { 0 };
	scoped_box box = BOX_NONE;
	struct touch touch;
	enum store_result r = append_prepare(p);

	if (r == STORE_OK)
		r = txn_begin(a);
	if (r != STORE_OK)
		return r;
	r = same_box(p);
	if (r == STORE_OK && p->once)
		r = find_earlier(p, &box, &done);
	if (r == STORE_OK && !done.was_there)
		r = add_row(p, &box, &done);
	r = txn_end(a, r);
	if (r == STORE_NO_SUCH)
		inbox_forget(a);
	if (r != STORE_OK)
		return r;
	if (!done.was_there) {
		touch_begin_with(a, &box, &p->place, &touch);
		r = publish_file(a, &p->place, buf_str(&p->row.base), buf_str(&p->row.letters));
		touch_end(a, &p->place, &touch);
		if (r == STORE_GONE)
			r = look_again(p);
		if (r == STORE_OK && sync)
			r = sync_both(a, p->fd, p->place.cur);
		if (r != STORE_OK)
			return undo(p, r);
		watch_notify(a);
		close_fd(&p->fd);	/* the file is no longer ours to remove */
	} else if (box.number != 0) {
		r = finish_earlier(a, &box, done.uid, sync);
		if (r != STORE_OK)
			return r;
	}
	append_abandon(p);
	*out = done;
	return STORE_OK;
}

/* When it has its name: before, the file system would write tmp/ down as well. */
static enum store_result
sync_both(struct account *a, int fd, int cur)
{
	if (fsync(fd) != 0)
		return files_failed(&a->log, "sync", STR("message"));
	if (fsync(cur) != 0)
		return files_failed(&a->log, "sync", STR("cur"));
	return STORE_OK;
}

/* The index may have been rebuilt since append_begin. */
static enum store_result
same_box(struct append *p)
{
	scoped_box box = BOX_NONE;
	enum store_result r;

	if (p->generation == p->account->generation)
		return STORE_OK;
	r = box_by_id(p->account, str_of(p->box_id), &box);
	if (r == STORE_OK) {
		p->box = box.number;
		p->generation = p->account->generation;
	}
	return r;
}

static enum store_result
add_row(struct append *p, struct box *box, struct appended *out)
{
	struct account *a = p->account;
	struct message_row *row = &p->row;
	uint64_t wire = p->size + p->missing;
	bool grew = false;
	enum store_result r = box_get(a, p->box, box);

	message_row_free(row);
	*row = (struct message_row){ .flags = p->flags.system, .size = (uint32_t)wire,
		.internal_date = p->internal_date };
	if (r == STORE_OK)
		r = quota_check(a, wire, 1);
	if (r == STORE_OK)
		r = box_keyword_bits(box, &p->flags, &row->keywords, &grew);
	if (r == STORE_OK && grew)
		r = box_save_settings(a, box);
	if (r == STORE_OK)
		r = box_take_uids(a, box, 1, &row->uid);
	if (r == STORE_OK)
		r = box_take_modseq(a, box, &row->modseq);
	if (r != STORE_OK)
		return r;
	file_name_put_base(&row->base, buf_str(&p->prefix), p->size, wire, row->uid);
	message_put_letters(&row->letters, &box->keywords, row->flags, row->keywords, STR_EMPTY);
	box_count(box, 1, row->size, row->flags);
	r = message_add(a, p->box, row);
	if (r == STORE_OK)
		r = texts_save(a, message_key(p->box, row->uid), &p->texts);
	if (r == STORE_OK)
		r = box_save_counts(a, box);
	if (r == STORE_OK && p->once)
		r = index_do(a, Q_DELIVERY_ADD, BIND(V(buf_str(&p->trace)),
		    V(buf_str(&p->recipient)), V(str_of(box->id)), V(row->uid),
		    V(box->uidvalidity), V(clock_now())));
	*out = (struct appended){ .uidvalidity = box->uidvalidity, .uid = row->uid };
	return r;
}

/* Neither in tmp/ nor in cur/: expunged or renamed already by the quick, or lost. */
static enum store_result
look_again(struct append *p)
{
	scoped_message row = MESSAGE_NONE;
	scoped_fd fd = -1;
	enum store_result r = message_get(p->account, p->box, p->row.uid, &row);

	return r == STORE_GONE ? STORE_OK : r != STORE_OK ? r :
	    message_open_file(p->account, p->box, &p->place, &row, &fd);
}

/* The row is committed, the name or its sync failed: as if it had never been. */
static enum store_result
undo(struct append *p, enum store_result why)
{
	struct account *a = p->account;
	scoped_box box = BOX_NONE;
	scoped_message row = MESSAGE_NONE;
	scoped_buf name = BUF_INIT;
	uint64_t modseq;
	enum store_result r = txn_begin(a);

	p->failed = true;
	if (r != STORE_OK)
		return why;
	r = box_get(a, p->box, &box);
	if (r == STORE_OK)
		r = message_get(a, p->box, p->row.uid, &row);
	if (r == STORE_OK)
		r = box_take_modseq(a, &box, &modseq);
	if (r == STORE_OK)
		r = message_drop(a, &box, &row, modseq);
	if (r == STORE_OK)
		r = box_save_counts(a, &box);
	if (r == STORE_OK && p->once)
		r = index_do(a, Q_DELIVERY_DROP, BIND(V(buf_str(&p->trace)),
		    V(buf_str(&p->recipient))));
	if (txn_end(a, r) == STORE_OK) {
		file_name_put(&name, buf_str(&p->row.base), buf_str(&p->row.letters));
		unlinkat(p->place.cur, buf_z(&name), 0);
	}
	return why == STORE_GONE ? STORE_BROKEN : why;
}

void
append_abandon(struct append *p)
{
	if (p == NULL)
		return;
	if (p->fd >= 0)
		unlinkat(p->place.tmp, buf_z(&p->prefix), 0);
	close_fd(&p->fd);
	if (p->inbox != NULL)
		inbox_leave(p->inbox);
	else
		place_close(&p->place);
	free((void *)(uintptr_t)p->flags.keywords);
	buf_free(&p->keyword_text);
	buf_free(&p->trace);
	buf_free(&p->recipient);
	buf_free(&p->token);
	buf_free(&p->prefix);
	buf_free(&p->memory);
	texts_free(&p->texts);
	message_row_free(&p->row);
	free(p);
}

/* ---- exactly once ---- */

struct token_search {
	struct str token;
	uint32_t uid;
	struct buf name;
};

static bool
see_token(void *arg, struct str text)
{
	struct token_search *s = arg;
	struct file_name name;
	struct str unique;

	if (!file_name_parse(text, &name) || !name.has_uid)
		return true;
	unique = str_from(name.prefix, str_index(name.prefix, '.') + 1);
	if (!str_starts(unique, s->token) || unique.n == s->token.n ||
	    unique.p[s->token.n] != '-')
		return true;
	s->uid = name.uid;
	buf_put(&s->name, text);
	return false;
}

/*
 * What we wrote becomes that file: readers of the old one keep it until they close it. It is on the disk first,
 * because what has had a row for long is taken to be (durable.c).
 */
static enum store_result
take_place(struct append *p, int cur, struct buf *name)
{
	if (fsync(p->fd) == 0 && renameat(p->place.tmp, buf_z(&p->prefix), cur, buf_z(name)) == 0)
		return STORE_OK;
	return files_failed(&p->account->log, "renew", buf_str(name));
}

static enum store_result
look_in_box(struct append *p, int64_t number, struct token_search *s, struct appended *out)
{
	scoped_box box = BOX_NONE;
	scoped_place place = PLACE_CLOSED;
	enum store_result r;

	if (box_get(p->account, number, &box) != STORE_OK ||
	    place_open(p->account, buf_str(&box.name), &place) != STORE_OK)
		return STORE_OK;
	if (!files_list(place.cur, see_token, s))
		return files_failed(&p->account->log, "list", buf_str(&box.name));
	if (s->uid == 0)
		return STORE_OK;
	*out = (struct appended){ .uidvalidity = box.uidvalidity, .uid = s->uid,
		.was_there = true };
	if (!p->renew)
		return STORE_OK;
	/*
	 * A torn one has no row, and no scan looked at it again: the folder's time need not change by what is done
	 * within one tick of the clock.
	 */
	touch_note(p->account, number, 0);
	r = touch_doubt(p->account, number);
	return r == STORE_OK ? take_place(p, place.cur, &s->name) : r;
}

/* Where the index does not know, or may not be believed, a retry looks through all names. */
static enum store_result
find_by_token(struct append *p, struct appended *out)
{
	scoped_buf numbers = BUF_INIT;
	struct token_search s = { .token = buf_str(&p->token) };
	enum store_result r = box_numbers(p->account, &numbers);
	int64_t number;

	for (size_t i = 0; r == STORE_OK && i < numbers.n && s.uid == 0; i += sizeof(number)) {
		memcpy(&number, numbers.p + i, sizeof(number));
		r = look_in_box(p, number, &s, out);
	}
	buf_free(&s.name);
	return r;
}

struct earlier {
	bool known;
	struct buf box_id;
	struct appended appended;
};

static enum store_result
ask_index(struct account *a, struct str trace, struct str recipient, struct earlier *out)
{
	sqlite3_stmt *q = index_ask(a, Q_DELIVERY_GET, BIND(V(trace), V(recipient)));

	out->known = index_row(a, q);
	if (out->known) {
		out->appended = (struct appended){
			.uid = (uint32_t)sqlite3_column_int64(q, 0),
			.uidvalidity = (uint32_t)sqlite3_column_int64(q, 1), .was_there = true };
		buf_put(&out->box_id, index_text(q, 2));
	}
	return index_end(a, q);
}

static bool
was_expunged(struct account *a, int64_t box, uint32_t uid)
{
	sqlite3_stmt *q = index_ask(a, Q_EXPUNGED_BASE, BIND(V(box), V(uid)));
	bool found = false;

	/* Without a name it is one whose file was lost, by a loss of power, say: nobody expunged it. */
	while (index_row(a, q))
		found |= index_text(q, 0).n > 0;
	return index_end(a, q) == STORE_OK && found;
}

/* Its row is there and its file is lost: it gets ours. Without a row it is published anew. */
static enum store_result
restore(struct append *p, const struct earlier *earlier, struct appended *out)
{
	struct account *a = p->account;
	scoped_box box = BOX_NONE;
	scoped_message row = MESSAGE_NONE;
	scoped_place place = PLACE_CLOSED;
	scoped_buf name = BUF_INIT;
	enum store_result r = box_by_id(a, buf_str(&earlier->box_id), &box);

	if (r == STORE_OK)
		r = place_open(a, buf_str(&box.name), &place);
	if (r == STORE_OK)
		r = message_get(a, box.number, earlier->appended.uid, &row);
	/* It was read and expunged since: it does not come back. */
	if (r == STORE_GONE && was_expunged(a, box.number, earlier->appended.uid)) {
		*out = earlier->appended;
		return STORE_OK;
	}
	if (r == STORE_NO_SUCH || r == STORE_GONE)
		return index_do(a, Q_DELIVERY_DROP, BIND(V(buf_str(&p->trace)),
		    V(buf_str(&p->recipient))));
	if (r != STORE_OK)
		return r;
	file_name_put(&name, buf_str(&row.base), buf_str(&row.letters));
	r = take_place(p, place.cur, &name);
	if (r == STORE_OK)
		*out = earlier->appended;
	return r;
}

/* box: where the index has it, BOX_NONE where only a name told of it. */
static enum store_result
find_earlier(struct append *p, struct box *box, struct appended *out)
{
	struct account *a = p->account;
	struct earlier earlier = { 0 };
	enum store_result r = ask_index(a, buf_str(&p->trace), buf_str(&p->recipient), &earlier);

	if (r == STORE_OK && earlier.known && !p->renew) {
		*out = earlier.appended;
		r = box_by_id(a, buf_str(&earlier.box_id), box);
		if (r == STORE_NO_SUCH)		/* the mailbox was deleted since */
			r = STORE_OK;
	} else if (r == STORE_OK && p->retry) {
		r = find_by_token(p, out);
	}
	if (r == STORE_OK && earlier.known && !out->was_there)
		r = restore(p, &earlier, out);
	buf_free(&earlier.box_id);
	return r;
}

/*
 * Who delivered it before may have been killed between the row and the name. Other programs
 * see no file in tmp/, and without the index it would be gone.
 */
static enum store_result
finish_earlier(struct account *a, const struct box *box, uint32_t uid, bool sync)
{
	scoped_message row = MESSAGE_NONE;
	scoped_place place = PLACE_CLOSED;
	scoped_fd fd = -1;
	struct touch touch;
	enum store_result r = message_get(a, box->number, uid, &row);

	if (r == STORE_OK)
		r = place_open(a, buf_str(&box->name), &place);
	if (r == STORE_OK) {
		touch_begin(a, box->number, &place, &touch);
		r = publish_file(a, &place, buf_str(&row.base), buf_str(&row.letters));
		touch_end(a, &place, &touch);
	}
	if (r == STORE_OK && sync)
		r = message_open_file(a, box->number, &place, &row, &fd);
	if (r == STORE_OK && sync)
		r = sync_both(a, fd, place.cur);
	if (r == STORE_OK)
		watch_notify(a);
	return r == STORE_GONE ? STORE_OK : r;	/* expunged, moved or renamed since */
}

bool
append_was_made(struct account *a, struct str trace, struct str recipient)
{
	struct earlier earlier = { 0 };
	scoped_box box = BOX_NONE;
	enum store_result r = index_alive(a);

	if (r == STORE_OK)
		r = ask_index(a, trace, recipient, &earlier);
	if (r == STORE_OK && earlier.known)
		r = box_by_id(a, buf_str(&earlier.box_id), &box);
	if (r == STORE_OK && earlier.known)
		r = finish_earlier(a, &box, earlier.appended.uid, false);
	buf_free(&earlier.box_id);
	return earlier.known && (r == STORE_OK || r == STORE_NO_SUCH);
}
