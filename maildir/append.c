/* SPDX-License-Identifier: ISC */
/*
 * New messages, by APPEND or delivery: each written to tmp/ and parsed; then all get their rows and UIDs in one
 * transaction, and names in cur/. One append is all or nothing, also where it dies in between: before the commit
 * there are files in tmp/ that nobody knows, after it rows whose files get their names from whoever opens the mailbox.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/mime/binary.h"
#include "maildir/append.h"
#include "maildir/kept.h"

enum {
	SLICE_MS = 10,
	NAMES_PER_LOOK = 64,		/* messages between looks at the clock */
	MEMORY_MAX = 64 * 1024,		/* a larger message waits in its file */
	DELIVERY_MAX = 2 * 1024 * 1024,	/* deliveries come whole, one at a time: these are not read again to be parsed */
};

static enum store_result find_target(struct append *p, struct str name, bool may_create);
static enum store_result add_message(struct append *p, const struct append_options *o);
static enum store_result flush(struct append *p);
static enum store_result encode_binary(struct append *p);
static enum store_result same_box(struct append *p);
static enum store_result add_rows(struct append *p, struct box *box, struct appended *out);
static enum store_result name_some(struct append *p);
static enum store_result sync_files(struct append *p);
static enum store_result undo(struct append *p, enum store_result why);

/* So much more than what is complete already; what is replaced makes room (RFC 8508 3.4). */
static enum store_result
has_room(const struct append *p, uint64_t bytes)
{
	uint64_t freed = p->replaced != NULL ? expunge_one_size(p->replaced) : 0;
	uint64_t all = p->wire + bytes;

	return quota_check(p->account, all > freed ? all - freed : 0, p->count - (p->replaced != NULL));
}

static struct append *
new_append(struct account *a, const struct append_options *o)
{
	struct append *p = xcalloc(1, sizeof(*p));

	p->account = a;
	p->place = PLACE_CLOSED;
	buf_put(&p->trace, o->trace);
	buf_put(&p->recipient, o->recipient);
	p->once = o->trace.n > 0 && o->recipient.n > 0;
	p->memory_max = p->once && o->size > MEMORY_MAX && o->size <= DELIVERY_MAX ?
	    (size_t)o->size : MEMORY_MAX;
	p->retry = o->retry;
	p->renew = o->renew;
	if (p->once)
		publish_put_token(&p->token, o->trace, o->recipient);
	return p;
}

enum store_result
append_begin(struct account *a, const struct append_options *o, struct append **out)
{
	struct append *p;
	enum store_result r = index_alive(a);

	if (r != STORE_OK)
		return r;
	p = new_append(a, o);
	if (o->replaces != NULL)
		r = expunge_one_new(o->replaces, o->replaced_uid, &p->replaced);
	if (r == STORE_OK)
		r = add_message(p, o);
	if (r == STORE_OK)
		r = find_target(p, o->mailbox, o->may_create);
	if (r != STORE_OK) {
		append_abandon(p);
		return r;
	}
	*out = p;
	return STORE_OK;
}

enum store_result
append_next(struct append *p, const struct append_options *o)
{
	struct append_message *one = append_last(p);
	enum store_result r = append_prepare(p);

	if (r != STORE_OK)
		return r;
	p->wire += one->size + one->missing;
	if (p->count > APPEND_SINGLY)
		close_fd(&one->fd);
	return add_message(p, o);
}

static enum store_result
add_message(struct append *p, const struct append_options *o)
{
	struct append_message *one;
	enum store_result r;

	if (p->count == p->room) {
		p->room = p->room == 0 ? 1 : p->room * 2;
		p->ones = xrealloc(p->ones, p->room * sizeof(*p->ones));
	}
	one = &p->ones[p->count++];
	*one = (struct append_message){ .fd = -1, .flags = o->flags.system,
		.internal_date = o->internal_date != 0 ? o->internal_date : clock_now() };
	publish_put_prefix(&one->prefix, clock_now(), buf_str(&p->token));
	p->in_file = p->holds_nul = p->last_cr = p->prepared = false;
	p->binary = o->binary;
	r = keywords_take(&p->keywords, &o->flags, &one->keywords);
	return r == STORE_OK ? has_room(p, o->size) : r;
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

/* ---- the octets ---- */

enum store_result
append_write(struct append *p, struct str bytes)
{
	struct append_message *one = append_last(p);

	one->missing += crlf_missing(bytes, &p->last_cr);
	one->size += bytes.n;
	p->holds_nul |= p->binary && str_has_char(bytes, '\0');
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
	struct append_message *one = append_last(p);
	enum store_result r;

	if (one->fd < 0)
		one->fd = files_open(p->place.tmp, buf_z(&one->prefix), O_RDWR | O_CREAT | O_EXCL,
		    0600);
	one->in_tmp |= one->fd >= 0;
	if (one->fd >= 0 && files_write(one->fd, buf_str(&p->memory))) {
		p->in_file = true;
		buf_clear(&p->memory);
		return STORE_OK;
	}
	r = files_failed(&p->account->log, "write", buf_str(&one->prefix));
	p->failed = true;
	return r;
}

/* Of many messages not all texts can wait: those that do not are made when somebody asks. */
static void
keep_texts(struct append *p, struct append_message *one)
{
	size_t n = 0;

	for (size_t t = 0; t < TEXTS_KEPT; t++)
		n += one->texts.text[t].n;
	one->has_texts = p->count == 1 || p->texts_bytes + n <= APPEND_TEXTS_MAX;
	if (one->has_texts) {
		p->texts_bytes += n;
		return;
	}
	texts_free(&one->texts);
}

enum store_result
append_prepare(struct append *p)
{
	struct append_message *one = append_last(p);
	struct timespec times[2];
	enum store_result r = STORE_OK;

	if (p->failed)
		return STORE_BROKEN;
	if (p->prepared)
		return STORE_OK;
	if (one->size + one->missing > MESSAGE_BYTES_MAX)
		return STORE_TOO_LARGE;
	if (p->binary && (p->holds_nul || one->missing > 0))
		r = encode_binary(p);
	if (r == STORE_OK)
		r = has_room(p, one->size + one->missing);
	if (r == STORE_OK && !p->in_file && one->missing == 0)
		texts_render(&one->texts, buf_str(&p->memory));
	if (r == STORE_OK)
		r = flush(p);
	if (r == STORE_OK && one->texts.text[TEXT_ENVELOPE].n == 0) {
		r = message_read(p->account, one->fd, &p->memory);
		if (r == STORE_OK)
			texts_render(&one->texts, buf_str(&p->memory));
	}
	buf_free(&p->memory);
	if (r != STORE_OK)
		return r;
	one->no_nul = one->texts.no_nul;
	times[0] = times[1] = (struct timespec){ .tv_sec = one->internal_date };
	if (futimens(one->fd, times) != 0)
		return files_failed(&p->account->log, "set time", buf_str(&one->prefix));
	keep_texts(p, one);
	p->prepared = true;
	return STORE_OK;
}

/*
 * RFC 3516 4.4: without a loss. What a file's readers would take for other line ends, and what no client without BINARY
 * could be sent, becomes base64; the rest stays as it came.
 */
static enum store_result
encode_binary(struct append *p)
{
	struct append_message *one = append_last(p);
	scoped_buf raw = BUF_INIT;
	bool cr = false;

	if (p->in_file) {
		enum store_result r = flush(p);

		if (r != STORE_OK)
			return r;
		if (!files_read_at(one->fd, 0, (size_t)one->size, &raw) ||
		    ftruncate(one->fd, 0) != 0 || lseek(one->fd, 0, SEEK_SET) != 0)
			return files_failed(&p->account->log, "read", buf_str(&one->prefix));
		p->in_file = false;
	} else {
		buf_put(&raw, buf_str(&p->memory));
		buf_clear(&p->memory);
	}
	if (!binary_encode(&p->memory, buf_str(&raw)))
		return STORE_NOT_ALLOWED;
	one->size = p->memory.n;
	one->missing = crlf_missing(buf_str(&p->memory), &cr);
	return one->size + one->missing > MESSAGE_BYTES_MAX ? STORE_TOO_LARGE : STORE_OK;
}

/* ---- all become visible ---- */

static enum store_result
commit(struct append *p, struct box *box, struct appended *out)
{
	enum store_result r = txn_begin(p->account);

	if (r != STORE_OK)
		return r;
	r = same_box(p);
	if (r == STORE_OK && p->replaced != NULL)
		r = expunge_one_look(p->replaced);
	if (r == STORE_OK && p->once)
		r = append_find_earlier(p, box, out);
	if (r == STORE_OK && !out->was_there)
		r = add_rows(p, box, out);
	if (r == STORE_OK && p->replaced != NULL)
		r = expunge_one_drop(p->replaced);
	r = txn_end(p->account, r);
	if (r == STORE_NO_SUCH)
		inbox_forget(p->account);
	return r;
}

/* An earlier attempt's; box: where it went, if that is still there. */
static enum store_result
publish_rows(struct append *p, bool sync)
{
	enum store_result r = append_prepare(p);

	if (r == STORE_OK)
		r = commit(p, &p->published, &p->done);
	if (r != STORE_OK)
		return r;
	p->committed = !p->done.was_there;
	return p->committed || p->published.number == 0 ? STORE_OK :
	    append_finish_earlier(p->account, &p->published, p->done.uid, sync);
}

static void
end_publishing(struct append *p)
{
	/* Not before: until here all can be undone. */
	if (p->replaced != NULL)
		expunge_one_finish(p->replaced);
	watch_notify(p->account);
	for (size_t i = 0; i < p->count; i++)
		p->ones[i].in_tmp = false;
	p->committed = false;
}

enum store_result
append_step(struct append *p, bool sync, struct appended *out, bool *done)
{
	int64_t until = clock_monotonic_ms() + SLICE_MS;
	struct appended all;
	enum store_result r = p->committed ? STORE_OK : publish_rows(p, sync);

	while (r == STORE_OK && p->committed && p->named < p->count) {
		r = name_some(p);
		*done = r != STORE_OK || p->named == p->count;
		if (!*done && clock_monotonic_ms() >= until)
			return STORE_OK;
	}
	*done = true;
	if (r == STORE_OK && p->committed && sync)
		r = sync_files(p);
	if (r != STORE_OK)
		return p->committed ? undo(p, r) : r;
	if (p->committed)
		end_publishing(p);
	all = p->done;
	append_abandon(p);
	*out = all;
	return STORE_OK;
}

enum store_result
append_publish(struct append *p, bool sync, struct appended *out)
{
	enum store_result r;
	bool done;

	do
		r = append_step(p, sync, out, &done);
	while (!done);
	return r;
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

/* ---- rows ---- */

/* What each of the append's keywords is in the mailbox. */
static enum store_result
map_keywords(struct append *p, struct box *box, uint64_t map[KEYWORDS_MAX])
{
	size_t before = box->keywords.count;
	enum store_result r = STORE_OK;
	int number;

	for (size_t k = 0; r == STORE_OK && k < p->keywords.count; k++) {
		r = keywords_add(&box->keywords, p->keywords.k[k].name, &number);
		if (r == STORE_OK)
			map[k] = (uint64_t)1 << number;
	}
	return r == STORE_OK && box->keywords.count > before ? box_save_settings(p->account, box) : r;
}

static uint64_t
mapped(uint64_t bits, const uint64_t map[KEYWORDS_MAX])
{
	uint64_t out = 0;

	for (; bits != 0; bits &= bits - 1)
		out |= map[__builtin_ctzll(bits)];
	return out;
}

static enum store_result
add_row(struct append *p, struct append_message *one, struct box *box)
{
	struct account *a = p->account;
	struct message_row *row = &one->row;
	uint64_t wire = one->size + one->missing;
	enum store_result r;

	file_name_put_base(&row->base, buf_str(&one->prefix), one->size, wire, row->uid);
	message_put_letters(&row->letters, &box->keywords, row->flags, row->keywords, STR_EMPTY);
	box_count(box, 1, row->size, row->flags);
	r = message_add(a, p->box, row);
	if (r == STORE_OK && one->has_texts)
		r = texts_save(a, message_key(p->box, row->uid), &one->texts);
	return r;
}

static enum store_result
add_rows(struct append *p, struct box *box, struct appended *out)
{
	struct account *a = p->account;
	uint64_t map[KEYWORDS_MAX] = { 0 }, modseq;
	uint32_t uid;
	enum store_result r = box_get(a, p->box, box);

	if (r == STORE_OK)
		r = has_room(p, append_last(p)->size + append_last(p)->missing);
	if (r == STORE_OK)
		r = map_keywords(p, box, map);
	if (r == STORE_OK)
		r = box_take_uids(a, box, (uint32_t)p->count, &uid);
	if (r == STORE_OK)
		r = box_take_modseq(a, box, &modseq);
	for (size_t i = 0; r == STORE_OK && i < p->count; i++) {
		struct append_message *one = &p->ones[i];

		message_row_free(&one->row);
		one->row = (struct message_row){ .uid = uid + (uint32_t)i, .flags = one->flags,
			.keywords = mapped(one->keywords, map), .modseq = modseq,
			.size = (uint32_t)(one->size + one->missing),
			.internal_date = one->internal_date, .no_nul = one->no_nul };
		r = add_row(p, one, box);
	}
	if (r == STORE_OK)
		r = box_save_counts(a, box);
	if (r == STORE_OK && p->once)
		r = index_do(a, Q_DELIVERY_ADD, BIND(V(buf_str(&p->trace)),
		    V(buf_str(&p->recipient)), V(str_of(box->id)), V(uid),
		    V(box->uidvalidity), V(clock_now())));
	if (r == STORE_OK)
		*out = (struct appended){ .uidvalidity = box->uidvalidity, .uid = uid,
			.count = (uint32_t)p->count };
	return r;
}

/* ---- names ---- */

/* Neither in tmp/ nor in cur/: expunged or renamed already by the quick, or lost. */
static enum store_result
look_again(struct append *p, const struct append_message *one)
{
	scoped_message row = MESSAGE_NONE;
	scoped_fd fd = -1;
	enum store_result r = message_get(p->account, p->box, one->row.uid, &row);

	return r == STORE_GONE ? STORE_OK : r != STORE_OK ? r :
	    message_open_file(p->account, p->box, &p->place, &row, &fd);
}

static enum store_result
name_some(struct append *p)
{
	struct account *a = p->account;
	const size_t end = p->count - p->named > NAMES_PER_LOOK ? p->named + NAMES_PER_LOOK : p->count;
	enum store_result r = STORE_OK;
	struct touch touch;

	if (p->named == 0)
		touch_begin_with(a, &p->published, &p->place, &touch);
	else
		touch_begin(a, p->box, &p->place, &touch);
	for (; r == STORE_OK && p->named < end; p->named++) {
		const struct append_message *one = &p->ones[p->named];

		r = publish_file(a, &p->place, buf_str(&one->row.base), buf_str(&one->row.letters));
		if (r == STORE_GONE)
			r = look_again(p, one);
	}
	touch_end(a, &p->place, &touch);
	return r;
}

enum store_result
append_sync(struct account *a, int fd, int cur)
{
	if (fd >= 0 && fsync(fd) != 0)
		return files_failed(&a->log, "sync", STR("message"));
	if (fsync(cur) != 0)
		return files_failed(&a->log, "sync", STR("cur"));
	return STORE_OK;
}

/* When they have their names: before, the file system would write tmp/ down as well. */
static enum store_result
sync_files(struct append *p)
{
	if (p->count > APPEND_SINGLY)
		return syncfs(p->place.cur) == 0 ? STORE_OK :
		    files_failed(&p->account->log, "sync", STR("messages"));
	for (size_t i = 0; i + 1 < p->count; i++)
		if (fsync(p->ones[i].fd) != 0)
			return files_failed(&p->account->log, "sync", STR("message"));
	return append_sync(p->account, append_last(p)->fd, p->place.cur);
}

/* ---- the end ---- */

/* In a transaction; what others have expunged meanwhile is gone already. */
static enum store_result
undo_rows(struct append *p)
{
	struct account *a = p->account;
	scoped_box box = BOX_NONE;
	uint64_t modseq;
	enum store_result r = box_get(a, p->box, &box);

	if (r == STORE_OK)
		r = box_take_modseq(a, &box, &modseq);
	for (size_t i = 0; r == STORE_OK && i < p->count; i++) {
		scoped_message row = MESSAGE_NONE;

		r = message_get(a, p->box, p->ones[i].row.uid, &row);
		if (r == STORE_OK)
			r = message_drop(a, &box, &row, modseq);
		else if (r == STORE_GONE)
			r = STORE_OK;
	}
	if (r == STORE_OK)
		r = box_save_counts(a, &box);
	if (r == STORE_OK && p->once)
		r = index_do(a, Q_DELIVERY_DROP, BIND(V(buf_str(&p->trace)),
		    V(buf_str(&p->recipient))));
	if (r == STORE_OK && p->replaced != NULL)
		r = expunge_one_undo(p->replaced);
	return r;
}

/* The rows are committed, a name or its sync failed: as if they had never been. */
static enum store_result
undo(struct append *p, enum store_result why)
{
	struct account *a = p->account;
	enum store_result r = txn_begin(a);

	p->failed = true;
	p->committed = false;
	if (r != STORE_OK)
		return why;
	if (txn_end(a, undo_rows(p)) == STORE_OK)
		for (size_t i = 0; i < p->count; i++) {
			scoped_buf name = BUF_INIT;

			file_name_put(&name, buf_str(&p->ones[i].row.base),
			    buf_str(&p->ones[i].row.letters));
			unlinkat(p->place.cur, buf_z(&name), 0);
		}
	return why == STORE_GONE ? STORE_BROKEN : why;
}

static void
free_message(const struct append *p, struct append_message *one)
{
	if (one->in_tmp)
		unlinkat(p->place.tmp, buf_z(&one->prefix), 0);
	close_fd(&one->fd);
	buf_free(&one->prefix);
	texts_free(&one->texts);
	message_row_free(&one->row);
}

void
append_abandon(struct append *p)
{
	if (p == NULL)
		return;
	/* Others know of them: what has no name yet would get it from whoever looks next. */
	while (p->committed && p->named < p->count)
		if (name_some(p) != STORE_OK)
			break;
	if (p->committed)
		end_publishing(p);
	for (size_t i = 0; i < p->count; i++)
		free_message(p, &p->ones[i]);
	free(p->ones);
	if (p->inbox != NULL)
		inbox_leave(p->inbox);
	else
		place_close(&p->place);
	expunge_one_free(p->replaced);
	box_free(&p->published);
	keywords_free(&p->keywords);
	buf_free(&p->trace);
	buf_free(&p->recipient);
	buf_free(&p->token);
	buf_free(&p->memory);
	free(p);
}
