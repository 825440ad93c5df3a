/* SPDX-License-Identifier: ISC */
/*
 * An index at rest: closed while nobody asks. Invariant: what is opened again is the file that was closed, of which
 * everything stands that was known: numbers of mailboxes, snapshots, and what views were told.
 */
#include <unistd.h>

#include "maildir/private.h"

/*
 * While it is closed it may be removed, and its inode's number become another file's: when it was made tells them apart.
 * Where the file system does not say that, and where no room is set aside for what SQLite makes when it opens a file,
 * it stays open.
 */
static bool
may_close(struct account *a)
{
	return a->index_identity > 0 && a->reserve_kept && !a->index_lost && !a->index_doubt &&
	    sqlite3_get_autocommit(a->db);
}

void
index_rest(struct account *a)
{
	a->index_identity = files_identity(a->ours, "index.db");
	sqlite3_wal_checkpoint_v2(a->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	if (may_close(a)) {
		index_close(a);
		a->resting = true;
		return;
	}
	index_forget_statements(a);
	sqlite3_db_release_memory(a->db);
}

static bool
is_the_same(struct account *a, uint64_t device, uint64_t inode)
{
	return a->index_device == device && a->index_inode == inode &&
	    files_identity(a->ours, "index.db") == a->index_identity && !index_is_copied(a);
}

enum store_result
index_wake(struct account *a)
{
	const uint64_t device = a->index_device, inode = a->index_inode;
	enum store_result r;

	/* What asks meanwhile is answered by what is being opened. */
	a->resting = false;
	r = index_look(a);
	for (int step = 1; r == STORE_FULL && reserve_release(a, step); step++)
		r = index_look(a);
	if (r == STORE_OK && is_the_same(a, device, inode)) {
		account_rest_later(a);
		a->index_asked = true;
		a->index_doubt = false;
		return STORE_OK;
	}
	index_close(a);
	if (r == STORE_OK || r == STORE_GONE || a->index_lost) {
		a->index_lost = false;
		return STORE_GONE;
	}
	a->index_device = device;
	a->index_inode = inode;
	a->resting = true;
	return r;
}
