/* SPDX-License-Identifier: ISC */
/*
 * Exactly once: a delivery that was published before is found again by (trace, recipient) in the index, or by the
 * token in the names of files, and finished or put in its place again; it is never doubled.
 */
#include <stdio.h>
#include <unistd.h>

#include "maildir/append.h"

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
	struct append_message *one = append_last(p);

	if (fsync(one->fd) == 0 && renameat(p->place.tmp, buf_z(&one->prefix), cur, buf_z(name)) == 0)
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

enum store_result
append_find_earlier(struct append *p, struct box *box, struct appended *out)
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
enum store_result
append_finish_earlier(struct account *a, const struct box *box, uint32_t uid, bool sync)
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
		r = append_sync(a, fd, place.cur);
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
		r = append_finish_earlier(a, &box, earlier.appended.uid, false);
	buf_free(&earlier.box_id);
	return earlier.known && (r == STORE_OK || r == STORE_NO_SUCH);
}
