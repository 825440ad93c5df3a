/* SPDX-License-Identifier: ISC */
/*
 * A scan's files without a row: copies that died, expunged ones that were left over, and twins go; the others become
 * messages, in the order in which they came, and keep the UIDs that their names say where that is right.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "maildir/kept.h"
#include "maildir/scan.h"

enum {
	FIELDS_ROOM = 80,	/* ",S=..,W=..,U=..:2,LETTERS" must fit behind a prefix */
	LEFTOVER_MS = 100,	/* somebody may have renamed it while it was expunged */
};

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
	const struct claim *claim = claims_find(&s->claims, e->name.uid);
	struct stat st;

	return claim != NULL && claim->broken && !e->in_new &&
	    fstatat(s->place->cur, e->text.p, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_nlink > 1;
}

/* A copy's that is not at its end. */
static bool
is_claimed(struct scan *s, const struct entry *e)
{
	struct claim *claim = claims_find(&s->claims, e->name.uid);

	if (!e->name.has_uid || e->in_new)
		return false;
	if (claim != NULL)
		claim->seen = true;
	return claim != NULL ? !claim->broken : claim_is_live(s->a, s->number, e->name.uid);
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
	r = scan_need_modseq(s);
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
	row->keywords = scan_keyword_bits(s, e->name.letters);
	row->size = (uint32_t)wire;
	row->internal_date = mtime;
	row->saved = saved_of(s, e);
	row->no_nul = e->no_nul;
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

enum store_result
scan_adopt_all(struct scan *s)
{
	struct entry **order = xcalloc(s->count, sizeof(struct entry *));
	enum store_result r = STORE_OK;
	size_t count = 0, left = 0;

	for (size_t i = 0; i < s->count; i++) {
		struct entry *e = &s->entries[i];

		if (e->matched || (!e->measured && !(e->name.has_size && e->name.has_wire)))
			continue;
		if (is_claimed(s, e))
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
