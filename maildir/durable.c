/* SPDX-License-Identifier: ISC */
/*
 * What a delivery wrote may not be on the disk when its row is there; before a COPY or MOVE says OK it is. One
 * message is synced by itself. Of many, or after many, the whole file system is synced once, and then all that had a row
 * before is known to be on the disk: a flush for each costs a hundred times the copying.
 */
#include <unistd.h>

#include "maildir/private.h"

enum {
	SINGLY = 16,		/* messages of one command that are synced by themselves */
	SINGLY_IN_ALL = 64,	/* of one mailbox, since it was opened */
};

static struct synced *
synced_of(struct account *a, int64_t box)
{
	struct synced *unused = &a->synced[a->synced_next % KNOWN_DIRS];

	for (size_t i = 0; i < KNOWN_DIRS; i++)
		if (a->synced[i].box == box)
			return &a->synced[i];
	a->synced_next++;
	*unused = (struct synced){ .box = box };
	return unused;
}

void
durable_forget(struct account *a, int64_t box)
{
	for (size_t i = 0; i < KNOWN_DIRS; i++)
		if (a->synced[i].box == box)
			a->synced[i] = (struct synced){ 0 };
}

static size_t
count_unknown(const struct mailbox *m, const struct uid_set *set, const struct synced *known)
{
	const struct row *row;
	struct set_walk walk = set_walk(m, set);
	size_t n = 0;

	while ((row = set_walk_next(&walk)) != NULL)
		n += row->uid >= known->uid;
	return n;
}

static enum store_result
sync_one(struct folder *f, uint32_t uid)
{
	scoped_message row = MESSAGE_NONE;
	scoped_fd fd = -1;
	enum store_result r = message_get(f->account, f->box.number, uid, &row);

	if (r == STORE_OK)
		r = message_open_file(f->account, f->box.number, &f->place, &row, &fd);
	if (r == STORE_OK && fsync(fd) != 0)
		r = files_failed(&f->account->log, "sync", buf_str(&row.base));
	return r == STORE_GONE ? STORE_OK : r;
}

/* A row is committed when its file is written, so all that have one are in what this syncs. */
static enum store_result
sync_all(struct folder *f, struct synced *known)
{
	uint32_t next = f->box.uid_next;

	if (syncfs(f->place.cur) != 0)
		return files_failed(&f->account->log, "sync", buf_str(&f->box.name));
	known->uid = next;
	known->singly = 0;
	return STORE_OK;
}

enum store_result
durable_sources(struct mailbox *m, const struct uid_set *set)
{
	struct folder *f = m->folder;
	struct set_walk walk = set_walk(m, set);
	enum store_result r = STORE_OK;
	const struct row *row;
	struct synced *known;
	size_t unknown;

	/* Files that others have put in the place of ours are not known. */
	if (f->look)
		durable_forget(f->account, f->box.number);
	known = synced_of(f->account, f->box.number);
	unknown = count_unknown(m, set, known);
	if (unknown > SINGLY || (unknown > 0 && known->singly + unknown > SINGLY_IN_ALL))
		return sync_all(f, known);
	known->singly += unknown;
	while (r == STORE_OK && (row = set_walk_next(&walk)) != NULL)
		if (row->uid >= known->uid)
			r = sync_one(f, row->uid);
	return r;
}
