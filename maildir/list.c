/* SPDX-License-Identifier: ISC */
/* LIST and STATUS. */
#include <stdlib.h>

#include "common/base/map.h"
#include "maildir/kept.h"

struct listing {
	struct arena *arena;
	struct map *by_name;
	struct mailbox_info *all;
	size_t count;
	size_t room;
};

/* The entry of that name, made if need be. */
static size_t
entry(struct listing *l, struct str name)
{
	void *there = map_get(l->by_name, name);

	if (there != NULL)
		return (size_t)(uintptr_t)there - 1;
	if (l->count == l->room) {
		l->room = l->room < 32 ? 32 : l->room * 2;
		l->all = xrealloc(l->all, l->room * sizeof(*l->all));
	}
	l->all[l->count] = (struct mailbox_info){ .name = arena_str(l->arena, name) };
	(void)map_set(l->by_name, name, (void *)(uintptr_t)(l->count + 1));
	return l->count++;
}

/* Each level above a mailbox is there, and has children. */
static void
add_levels(struct listing *l, struct str name)
{
	size_t at;

	for (name = layout_parent(name); name.n > 0; name = layout_parent(name)) {
		at = entry(l, name);
		if (l->all[at].has_children)
			return;
		l->all[at].exists = l->all[at].has_children = true;
	}
}

static int
by_name(const void *a, const void *b)
{
	const struct mailbox_info *x = a, *y = b;
	bool one = layout_is_inbox(x->name), two = layout_is_inbox(y->name);

	return one != two ? (one ? -1 : 1) : str_cmp(x->name, y->name);
}

static enum store_result
list_rows(struct account *a, struct listing *l)
{
	sqlite3_stmt *q = index_ask(a, Q_BOX_LIST, BIND());
	struct mailbox_info *info;
	enum store_result r;
	size_t at;

	while (index_row(a, q)) {
		at = entry(l, index_text(q, 0));
		info = &l->all[at];
		info->selectable = info->exists = true;
		info->special_use = (unsigned)sqlite3_column_int(q, 1);
		info->subscribed = sqlite3_column_int(q, 2) != 0;
		add_levels(l, info->name);
	}
	r = index_end(a, q);
	if (r != STORE_OK)
		return r;
	q = index_ask(a, Q_NAME_LIST, BIND());
	while (index_row(a, q)) {
		at = entry(l, index_text(q, 0));
		l->all[at].subscribed = true;
	}
	return index_end(a, q);
}

enum store_result
account_list(struct account *a, struct arena *arena, struct mailbox_info **out, size_t *count)
{
	struct listing l = { .arena = arena };
	enum store_result r = index_alive(a);

	if (r == STORE_OK && files_mtime_ns(a->dir) != a->root_mtime)
		r = tree_sync(a);
	if (r != STORE_OK)
		return r;
	l.by_name = map_new();
	r = list_rows(a, &l);
	if (r == STORE_OK) {
		qsort(l.all, l.count, sizeof(*l.all), by_name);
		*out = arena_array(arena, struct mailbox_info, l.count);
		memcpy(*out, l.all, l.count * sizeof(*l.all));
		*count = l.count;
	}
	map_free(l.by_name);
	free(l.all);
	return r;
}

static enum store_result
count_recent(struct account *a, const struct box *box, uint32_t *out)
{
	sqlite3_stmt *q = index_ask(a, Q_MESSAGE_COUNT, BIND(
	    V(message_key(box->number, box->recent_uid)),
	    V(message_key(box->number, UINT32_MAX))));

	while (index_row(a, q))
		*out = (uint32_t)sqlite3_column_int64(q, 0);
	return index_end(a, q);
}

enum store_result
mailbox_status(struct account *a, struct str given, struct arena *arena,
    struct mailbox_info *out)
{
	scoped_buf name = BUF_INIT, inner = BUF_INIT;
	scoped_box box = BOX_NONE, now = BOX_NONE;
	scoped_place place = PLACE_CLOSED;
	struct mailbox_info info = { .selectable = true, .exists = true };
	enum store_result r = index_alive(a);

	if (r != STORE_OK)
		return r;
	if (!layout_name(given, &name))
		return STORE_NO_SUCH;
	if (kept_has_name(a, buf_str(&name), &inner))
		return kept_status(a, buf_str(&inner), arena, out);
	r = tree_find(a, buf_str(&name), &box);
	if (r == STORE_OK)
		r = place_open(a, buf_str(&name), &place);
	if (r == STORE_OK)
		r = scan_mailbox(a, box.number, &place, SCAN_CHANGED);
	if (r == STORE_OK)
		r = box_get(a, box.number, &now);
	if (r == STORE_OK)
		r = count_recent(a, &now, &info.recent);
	if (r != STORE_OK)
		return r == STORE_GONE ? STORE_NO_SUCH : r;
	info.name = arena_str(arena, buf_str(&now.name));
	info.subscribed = now.subscribed;
	info.special_use = now.special_use;
	info.messages = now.messages;
	info.unseen = now.unseen;
	info.uid_next = now.uid_next;
	info.uidvalidity = now.uidvalidity;
	info.bytes = now.bytes;
	info.highest_modseq = now.modseq;
	info.id = arena_str(arena, str_of(now.id));
	*out = info;
	return STORE_OK;
}

enum store_result
mailbox_deleted(struct account *a, struct str given, struct deleted_sums *out)
{
	scoped_buf name = BUF_INIT, inner = BUF_INIT;
	scoped_box box = BOX_NONE;
	struct deleted_sums sums = { 0 };
	sqlite3_stmt *q;
	enum store_result r = index_alive(a);

	if (r != STORE_OK)
		return r;
	if (!layout_name(given, &name))
		return STORE_NO_SUCH;
	/* From there nobody expunges. */
	if (kept_has_name(a, buf_str(&name), &inner)) {
		*out = sums;
		return STORE_OK;
	}
	r = tree_find(a, buf_str(&name), &box);
	if (r != STORE_OK)
		return r;
	q = index_ask(a, Q_DELETED_COUNT, BIND(V(message_key(box.number, 0)),
	    V(message_key(box.number, UINT32_MAX)), V(FLAG_DELETED)));
	while (index_row(a, q)) {
		sums.messages = (uint32_t)sqlite3_column_int64(q, 0);
		sums.bytes = (uint64_t)sqlite3_column_int64(q, 1);
	}
	r = index_end(a, q);
	if (r == STORE_OK)
		*out = sums;
	return r;
}
