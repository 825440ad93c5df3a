/* SPDX-License-Identifier: ISC */
/*
 * The index made anew from the files: names have the UIDs and flags, trivet-mailbox has the
 * rest, and what was given out since is below its reserves.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "maildir/private.h"

/* Kept for whoever wants to know what happened; the one before it is not. */
static enum store_result
move_aside(struct account *a)
{
	for (size_t i = 0; i < countof(index_files); i++)
		if (files_is_planted(a->ours, index_files[i]) &&
		    !files_set_aside(&a->log, a->ours, index_files[i]))
			return files_failed(&a->log, "move aside", str_of(index_files[i]));
	if (files_is_planted(a->ours, "index.db.broken"))
		(void)!files_set_aside(&a->log, a->ours, "index.db.broken");
	if (renameat(a->ours, "index.db", a->ours, "index.db.broken") != 0 && errno != ENOENT)
		return files_failed(&a->log, "move aside", STR("index.db"));
	/* A log of another database would be played into the new one. */
	unlinkat(a->ours, "index.db-wal", 0);
	unlinkat(a->ours, "index.db-shm", 0);
	return STORE_OK;
}

enum store_result
rebuild_index(struct account *a)
{
	int64_t start = clock_monotonic_ms();
	bool first = faccessat(a->dir, "trivet-mailbox", F_OK, AT_SYMLINK_NOFOLLOW) != 0;
	enum store_result r = move_aside(a);

	if (r == STORE_OK)
		r = index_create(a);
	if (r == STORE_OK && !first)
		r = renew_validities(a);
	if (r == STORE_OK) {
		a->rebuilding = true;
		r = tree_sync(a);
		a->rebuilding = false;
		r = txn_end(a, r);
	}
	a->generation++;
	if (r == STORE_OK && !first)
		log_warn(&a->log, "index-rebuilt", KV("ms", clock_monotonic_ms() - start));
	return r;
}
