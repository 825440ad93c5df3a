/* SPDX-License-Identifier: ISC */
/*
 * One mailbox in memory, shared by all its handles in the process: rows by uid, the dead
 * kept in their places until every view was told, and a log of what views have to be told.
 * A view is a few numbers into this, so a second session costs nothing.
 */
#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "maildir/private.h"

enum {
	/* Entries beyond which the log is made shorter though some view has not read it. */
	LOG_MAX = 65536,
	LARGE = 10000,		/* messages */
	ROOM_AT_ONCE = 1000000,	/* rows: a count in the index may be anything */
	LOOKS_MAX = 3,		/* at what changes all the time */
};

static enum store_result load(struct folder *f);
static enum store_result load_all(struct folder *f);
static enum store_result find_again(struct folder *f);
static enum store_result load_changes(struct folder *f, uint64_t since, const struct mailbox *by);
static void take_box(struct folder *f, struct box *now);
static void log_put(struct folder *f, struct log_entry e);
static void shorten_log(struct folder *f);

enum store_result
folder_get(struct account *a, struct str name, struct folder **out)
{
	struct folder *f;
	scoped_box box = BOX_NONE;
	enum store_result r = tree_find(a, name, &box);

	if (r != STORE_OK)
		return r;
	TAILQ_FOREACH(f, &a->folders, link) {
		/* One of before a rebuild would not be known again: there is one of each. */
		if (!f->gone && f->generation != a->generation && folder_ready(f) != STORE_OK)
			continue;
		if (!f->gone && f->box.number == box.number) {
			*out = f;
			return STORE_OK;
		}
	}
	f = xcalloc(1, sizeof(*f));
	f->account = a;
	f->generation = a->generation;
	f->place = PLACE_CLOSED;
	f->watch_cur = f->watch_new = -1;
	TAILQ_INIT(&f->views);
	TAILQ_INSERT_TAIL(&a->folders, f, link);
	r = place_open(a, name, &f->place);
	if (r == STORE_OK) {
		watch_folder(f);
		r = renew_control(a, box.number, &f->place);
	}
	if (r == STORE_OK) {
		r = scan_mailbox(a, box.number, &f->place, SCAN_CHANGED);
	}
	if (r == STORE_OK)
		r = box_get(a, box.number, &f->box);
	if (r == STORE_OK)
		r = load(f);
	if (r != STORE_OK) {
		folder_release(f);
		return r == STORE_GONE ? STORE_NO_SUCH : r;
	}
	*out = f;
	return STORE_OK;
}

void
folder_release(struct folder *f)
{
	if (!TAILQ_EMPTY(&f->views))
		return;
	snapshot_file_write(f);
	watch_forget(f);
	TAILQ_REMOVE(&f->account->folders, f, link);
	place_close(&f->place);
	box_free(&f->box);
	folder_drop_rows(f);
	free(f->dead);
	free(f->log);
	free(f);
}

enum store_result
folder_ready(struct folder *f)
{
	if (f->gone)
		return STORE_GONE;
	return f->generation == f->account->generation ? STORE_OK : find_again(f);
}

void
folder_make_room(struct folder *f, size_t room)
{
	struct row *rows;

	f->room = room;
	if (f->map == NULL) {
		f->rows = xrealloc(f->rows, room * sizeof(*f->rows));
		return;
	}
	rows = xmalloc(room * sizeof(*rows));
	memcpy(rows, f->rows, f->count * sizeof(*rows));
	folder_drop_rows(f);
	f->rows = rows;
}

void
folder_drop_rows(struct folder *f)
{
	if (f->map != NULL)
		munmap(f->map, f->map_octets);
	else
		free(f->rows);
	f->map = NULL;
	f->rows = NULL;
}

static struct row *
add_row(struct folder *f)
{
	if (f->count == f->room)
		folder_make_room(f, f->room + f->room / 8 + 32);
	f->version++;
	return &f->rows[f->count++];
}

/* Columns: key, flags, keywords, modseq, size, internal_date. */
static void
read_row(sqlite3_stmt *q, struct row *row)
{
	*row = (struct row){
		.uid = key_uid(sqlite3_column_int64(q, 0)),
		.flags = (unsigned)sqlite3_column_int(q, 1) & FLAG_ALL,
		.keywords = (uint64_t)sqlite3_column_int64(q, 2),
		.modseq = (uint64_t)sqlite3_column_int64(q, 3),
		.size = (uint32_t)sqlite3_column_int64(q, 4),
		.internal_date = sqlite3_column_int64(q, 5),
	};
}

static int
by_uid(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* An aggregate that takes rows from within: to be handed 100,000 of them one by one takes half as long again. */
static void
take_row(sqlite3_context *context, int count, sqlite3_value **values)
{
	const struct account *a = sqlite3_user_data(context);

	(void)count;
	*add_row(a->loading) = (struct row){
		.uid = key_uid(sqlite3_value_int64(values[0])),
		.flags = (unsigned)sqlite3_value_int(values[1]) & FLAG_ALL,
		.keywords = (uint64_t)sqlite3_value_int64(values[2]),
		.modseq = (uint64_t)sqlite3_value_int64(values[3]),
		.size = (uint32_t)sqlite3_value_int64(values[4]),
		.internal_date = sqlite3_value_int64(values[5]),
	};
}

static void
take_end(sqlite3_context *context)
{
	sqlite3_result_null(context);
}

int
snapshot_install(struct account *a)
{
	return sqlite3_create_function_v2(a->db, "take_row", 6, SQLITE_UTF8 | SQLITE_DIRECTONLY, a,
	    NULL, take_row, take_end, NULL);
}

/* With what came since, or without. */
static void
count_living(const struct folder *f, struct totals *t)
{
	*t = (struct totals){ 0 };
	for (size_t i = 0; i < f->count; i++) {
		const struct row *row = &f->rows[i];

		if (row->dead)
			continue;
		t->messages++;
		t->unseen += (row->flags & FLAG_SEEN) == 0;
		t->octets += row->size;
	}
}

/* What the file does not say yet is looked up as for a session that was away. */
static enum store_result
catch_up(struct folder *f, uint64_t since, struct totals *t)
{
	enum store_result r = STORE_OK;

	for (int look = 0; r == STORE_OK && since != f->box.modseq; look++) {
		scoped_box now = BOX_NONE;

		if (look == LOOKS_MAX)
			return STORE_BUSY;
		r = load_changes(f, since, NULL);
		since = f->box.modseq;
		if (r == STORE_OK)
			r = box_get(f->account, f->box.number, &now);
		if (r == STORE_OK)
			take_box(f, &now);
		count_living(f, t);
	}
	return r;
}

static enum store_result
load(struct folder *f)
{
	uint64_t since;
	struct totals t;
	enum store_result r;

	if (snapshot_file_read(f, &since, &t)) {
		r = catch_up(f, since, &t);
		f->loaded = r == STORE_OK && snapshot_is_whole(&t, &f->box);
		if (f->loaded)
			return STORE_OK;
		log_warn(&f->account->log, "snapshot-file-left", KV("mailbox", buf_str(&f->box.name)),
		    KV("result", (int)r));
		f->gone = f->filed = f->file_is_old = false;
		f->count = f->dead_count = f->log_count = f->changed = 0;
	}
	r = load_all(f);
	f->loaded = r == STORE_OK;
	return r;
}

static enum store_result
load_all(struct folder *f)
{
	struct account *a = f->account;
	int64_t box = f->box.number;
	enum store_result r;
	bool sorted = true;

	folder_make_room(f, f->box.messages < ROOM_AT_ONCE ? f->box.messages + 32 : ROOM_AT_ONCE);
	a->loading = f;
	r = index_do(a, Q_SNAPSHOT, BIND(V(message_key(box, 0)),
	    V(message_key(box, UINT32_MAX))));
	a->loading = NULL;
	/* Nothing else promises the order in which SQLite goes through its table. */
	for (size_t i = 1; i < f->count; i++)
		sorted = sorted && f->rows[i - 1].uid < f->rows[i].uid;
	if (!sorted)
		qsort(f->rows, f->count, sizeof(*f->rows), by_uid);
	/* The pages that this was read from would stay in memory beside it. */
	if (f->count > LARGE) {
		sqlite3_db_release_memory(a->db);
		malloc_trim(0);
	}
	return r;
}

size_t
folder_position(const struct folder *f, uint32_t uid)
{
	size_t low = 0, high = f->count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (f->rows[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct set_walk
set_walk(const struct mailbox *m, const struct uid_set *set)
{
	return (struct set_walk){ .m = m, .set = set,
		.at = set->count > 0 ? folder_position(m->folder, set->ranges[0].first) : 0 };
}

const struct row *
set_walk_next(struct set_walk *w)
{
	const struct folder *f = w->m->folder;
	const struct row *row;

	while (w->range < w->set->count && w->at < f->count) {
		row = &f->rows[w->at];
		if (row->uid > w->m->uid_told)
			break;
		if (row->uid <= w->set->ranges[w->range].last) {
			w->at++;
			if (!row->dead)
				return row;
		} else if (++w->range < w->set->count) {
			w->at = folder_position(f, w->set->ranges[w->range].first);
		}
	}
	return NULL;
}

enum store_result
folder_refresh(struct folder *f, const struct mailbox *by)
{
	struct account *a = f->account;
	scoped_box now = BOX_NONE;
	enum store_result r = index_alive(a);

	if (r != STORE_OK)
		return r;
	if (f->gone)
		return STORE_GONE;
	if (f->generation != a->generation)
		return find_again(f);
	r = box_get(a, f->box.number, &now);
	if (r == STORE_NO_SUCH)
		f->gone = true;
	if (r != STORE_OK)
		return r == STORE_NO_SUCH ? STORE_GONE : r;
	if (now.modseq != f->box.modseq)
		r = load_changes(f, f->box.modseq, by);
	if (r == STORE_OK)
		take_box(f, &now);
	return r;
}

/* Names of keywords that were handed out live on. */
static void
take_box(struct folder *f, struct box *now)
{
	struct box before = f->box;
	struct str name;

	for (size_t k = 0; k < before.keywords.count && k < now->keywords.count; k++) {
		name = now->keywords.k[k].name;
		now->keywords.k[k].name = before.keywords.k[k].name;
		before.keywords.k[k].name = name;
	}
	f->box = *now;
	*now = before;	/* freed by the caller */
}

/* ---- what came since ---- */

static void
bury(struct folder *f, size_t at, uint64_t modseq, const struct mailbox *by)
{
	size_t i;

	if (f->dead_count == f->dead_room) {
		f->dead_room = f->dead_room < 16 ? 16 : f->dead_room * 2;
		f->dead = xrealloc(f->dead, f->dead_room * sizeof(*f->dead));
	}
	/* Expunges mostly come in order, so this moves little. */
	for (i = f->dead_count++; i > 0 && f->dead[i - 1] > at; i--)
		f->dead[i] = f->dead[i - 1];
	f->dead[i] = at;
	f->rows[at].dead = true;
	f->changed++;
	f->rows[at].modseq = f->log_first + f->log_count;
	f->version++;
	log_put(f, (struct log_entry){ .modseq = modseq, .by = by, .uid = f->rows[at].uid, .expunged = true });
}

static enum store_result
load_expunged(struct folder *f, uint64_t since, const struct mailbox *by)
{
	struct account *a = f->account;
	sqlite3_stmt *q = index_ask(a, Q_EXPUNGED_SINCE, BIND(V(f->box.number), V((int64_t)since)));
	uint32_t uid;
	size_t at;

	while (index_row(a, q)) {
		uid = (uint32_t)sqlite3_column_int64(q, 0);
		at = folder_position(f, uid);
		if (at < f->count && f->rows[at].uid == uid && !f->rows[at].dead)
			bury(f, at, (uint64_t)sqlite3_column_int64(q, 1), by);
	}
	return index_end(a, q);
}

/* True where the row was there before: its flags are brought up to date. */
static bool
update_row(struct folder *f, const struct row *row, const struct mailbox *by)
{
	size_t at = folder_position(f, row->uid);
	struct log_entry e = { .modseq = row->modseq, .by = by, .uid = row->uid };
	struct row *old;

	if (at >= f->count || f->rows[at].uid != row->uid)
		return false;
	old = &f->rows[at];
	if (old->dead || old->modseq >= row->modseq)
		return true;
	e.before_modseq = old->modseq;
	e.before_keywords = old->keywords;
	e.before_flags = old->flags;
	*old = *row;
	f->changed++;
	if (by != NULL && row->modseq != by->stored_modseq)
		e.by = NULL;
	log_put(f, e);
	return true;
}

static enum store_result
load_changes(struct folder *f, uint64_t since, const struct mailbox *by)
{
	struct account *a = f->account;
	sqlite3_stmt *q = index_ask(a, Q_MESSAGES_SINCE,
	    BIND(V(f->box.number), V((int64_t)since)));
	scoped_buf fresh = BUF_INIT;
	struct row row;
	size_t count;

	while (index_row(a, q)) {
		read_row(q, &row);
		if (!update_row(f, &row, by))
			buf_put(&fresh, (struct str){ (const char *)&row, sizeof(row) });
	}
	count = fresh.n / sizeof(row);
	if (index_end(a, q) != STORE_OK)
		return a->statement_result;
	/* They come by modseq; UIDs were given out in the order of commits. */
	if (count > 1)
		qsort(fresh.p, count, sizeof(row), by_uid);
	if (count > 0)
		memcpy(&row, fresh.p, sizeof(row));
	/* One that came back to its number: no view that was told of its end can show it. */
	if (count > 0 && f->count > 0 && row.uid < f->rows[f->count - 1].uid) {
		f->gone = true;
		return STORE_GONE;
	}
	f->changed += count;
	for (size_t i = 0; i < count; i++)
		memcpy(add_row(f), fresh.p + i * sizeof(row), sizeof(row));
	return load_expunged(f, since, by);
}

/* After a backup was put back there may be messages below those that views were told of: no view can show them. */
static bool
came_back(const struct folder *f, const struct folder *fresh)
{
	uint32_t last = f->count > 0 ? f->rows[f->count - 1].uid : 0;
	size_t at = 0;

	for (size_t i = 0; i < fresh->count && fresh->rows[i].uid <= last; i++) {
		while (f->rows[at].uid < fresh->rows[i].uid)
			at++;
		if (f->rows[at].uid != fresh->rows[i].uid || f->rows[at].dead)
			return true;
	}
	return false;
}

void
folder_changed(struct folder *f, struct box *box, struct str rows, const struct mailbox *by)
{
	struct row row;

	for (size_t i = 0; i < rows.n; i += sizeof(row)) {
		memcpy(&row, rows.p + i, sizeof(row));
		(void)update_row(f, &row, by);
	}
	take_box(f, box);
}

/*
 * The index was rebuilt: numbers of mailboxes are new, modseqs above all that were, UIDs
 * the same. What is no longer there is expunged to our views.
 */
static enum store_result
find_again(struct folder *f)
{
	struct account *a = f->account;
	struct folder fresh = { .account = a };
	scoped_box box = BOX_NONE;
	size_t at = 0;
	struct row *row;
	enum store_result r = box_by_id(a, str_of(f->box.id), &box);

	if (r == STORE_NO_SUCH)
		f->gone = true;
	if (r != STORE_OK)
		return r == STORE_NO_SUCH ? STORE_GONE : r;
	fresh.box.number = box.number;
	f->filed = f->file_is_old = false;
	r = load_all(&fresh);
	if (r == STORE_OK && (box.uidvalidity != f->box.uidvalidity || came_back(f, &fresh))) {
		f->gone = true;
		r = STORE_GONE;
	}
	for (size_t i = 0; r == STORE_OK && i < f->count; i++) {
		while (at < fresh.count && fresh.rows[at].uid < f->rows[i].uid)
			at++;
		if (f->rows[i].dead)
			continue;
		if (at >= fresh.count || fresh.rows[at].uid != f->rows[i].uid) {
			bury(f, i, box.modseq, NULL);
			continue;
		}
		row = &fresh.rows[at];
		if (row->flags != f->rows[i].flags || row->keywords != f->rows[i].keywords)
			log_put(f, (struct log_entry){ .modseq = row->modseq, .uid = row->uid });
		f->rows[i] = *row;
	}
	for (at = 0; r == STORE_OK && at < fresh.count; at++)
		if (f->count == 0 || fresh.rows[at].uid > f->rows[f->count - 1].uid)
			*add_row(f) = fresh.rows[at];
	free(fresh.rows);
	if (r != STORE_OK)
		return r;
	f->box.number = box.number;
	f->box.modseq = box.modseq;
	f->box.uid_next = box.uid_next;
	f->generation = a->generation;
	return folder_refresh(f, NULL);
}

/* ---- the log ---- */

static void
log_put(struct folder *f, struct log_entry e)
{
	/* With nobody to tell there is nothing to remember. */
	if (TAILQ_EMPTY(&f->views) && !e.expunged)
		return;
	if (f->log_count == f->log_room) {
		f->log_room = f->log_room < 32 ? 32 : f->log_room * 2;
		f->log = xrealloc(f->log, f->log_room * sizeof(*f->log));
	}
	f->log[f->log_count++] = e;
	if (f->log_count > LOG_MAX + 2 * f->count)
		shorten_log(f);
}

/* Views stand at places in the log: after entries were taken out they stand elsewhere. */
static void
move_views(struct folder *f, const uint64_t *kept_before)
{
	struct mailbox *m;

	TAILQ_FOREACH(m, &f->views, link) {
		m->expunges_at = f->log_first + kept_before[m->expunges_at - f->log_first];
		m->flags_at = f->log_first + kept_before[m->flags_at - f->log_first];
	}
	for (size_t i = 0; i < f->dead_count; i++) {
		struct row *row = &f->rows[f->dead[i]];

		row->modseq = f->log_first + kept_before[row->modseq - f->log_first];
	}
}

/*
 * Some view has not looked for very long: of each message only the last change of
 * flags stays, to be told to everybody.
 */
static void
shorten_log(struct folder *f)
{
	uint64_t *kept_before = xcalloc(f->log_count + 1, sizeof(*kept_before));
	bool *seen = xcalloc(f->count + 1, sizeof(*seen));
	size_t kept = 0, at;

	/* From the end: which stay; the flag is put into kept_before for a moment. */
	for (size_t i = f->log_count; i-- > 0;) {
		at = folder_position(f, f->log[i].uid);
		kept_before[i] = f->log[i].expunged || !seen[at];
		if (!f->log[i].expunged)
			seen[at] = true;
	}
	for (size_t i = 0; i < f->log_count; i++) {
		bool stays = kept_before[i] != 0;

		kept_before[i] = kept;
		if (!stays)
			continue;
		f->log[kept] = f->log[i];
		f->log[kept].before_modseq = 0;
		f->log[kept++].by = NULL;
	}
	kept_before[f->log_count] = kept;
	move_views(f, kept_before);
	f->log_count = kept;
	free(seen);
	free(kept_before);
}

static void
drop_dead(struct folder *f, uint64_t told)
{
	size_t kept = 0, i = 0;

	while (i < f->dead_count && f->rows[f->dead[i]].modseq >= told)
		i++;
	if (i == f->dead_count)
		return;
	f->dead_count = 0;
	for (i = 0; i < f->count; i++) {
		if (f->rows[i].dead && f->rows[i].modseq < told)
			continue;
		if (f->rows[i].dead)
			f->dead[f->dead_count++] = kept;
		f->rows[kept++] = f->rows[i];
	}
	f->count = kept;
	f->version++;
}

void
folder_trim(struct folder *f)
{
	uint64_t end = f->log_first + f->log_count, expunges = end, all = end;
	struct mailbox *m;
	size_t drop;

	TAILQ_FOREACH(m, &f->views, link) {
		expunges = m->expunges_at < expunges ? m->expunges_at : expunges;
		all = m->flags_at < all ? m->flags_at : all;
	}
	all = expunges < all ? expunges : all;
	drop_dead(f, expunges);
	drop = (size_t)(all - f->log_first);
	if (drop == 0)
		return;
	f->log_count -= drop;
	memmove(f->log, f->log + drop, f->log_count * sizeof(*f->log));
	f->log_first = all;
}
