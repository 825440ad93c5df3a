/* SPDX-License-Identifier: ISC */
/*
 * Some room that each account sets aside, in pieces: where the disk is full to the last octet, flags are set and messages are
 * expunged all the same, for SQLite must write a little before anything can be removed. Invariant: no promise rests
 * on it; without it the answer is STORE_FULL.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "maildir/files.h"
#include "maildir/private.h"

enum {
	PIECES = 4,
	PIECE_BYTES = 32 * 1024,	/* SQLite's log of a few messages */
	AGAIN_MS = 10 * 1000,
};

static void
put_name(struct buf *out, int piece)
{
	buf_printf(out, "reserve.%d", piece);
}

static bool
keep_piece(const struct account *a, int piece)
{
	scoped_buf name = BUF_INIT;
	scoped_fd fd = -1;
	uint64_t size;
	int64_t mtime;
	char *zeros;
	bool ok;

	put_name(&name, piece);
	if (files_stat(a->ours, buf_z(&name), &size, &mtime) && size >= PIECE_BYTES)
		return true;
	fd = files_open(a->ours, buf_z(&name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return false;
	zeros = xcalloc(1, PIECE_BYTES);
	ok = files_write(fd, (struct str){ zeros, PIECE_BYTES });
	free(zeros);
	if (!ok)
		unlinkat(a->ours, buf_z(&name), 0);
	return ok;
}

void
reserve_keep(struct account *a)
{
	for (int piece = 0; !a->reserve_kept && piece < PIECES; piece++) {
		if (!keep_piece(a, piece)) {
			a->sweep_due = clock_monotonic_ms() + AGAIN_MS;
			return;
		}
	}
	a->reserve_kept = true;
}

static bool
release_piece(struct account *a)
{
	for (int piece = PIECES - 1; piece >= 0; piece--) {
		scoped_buf name = BUF_INIT;

		put_name(&name, piece);
		if (unlinkat(a->ours, buf_z(&name), 0) == 0)
			return true;
	}
	return false;
}

/* What SQLite's log holds goes into the index, where it takes hardly any room, and the log begins anew. */
static bool
empty_log(struct account *a)
{
	return a->db != NULL && sqlite3_wal_checkpoint_v2(a->db, NULL, SQLITE_CHECKPOINT_RESTART,
	    NULL, NULL) == SQLITE_OK;
}

bool
reserve_release(struct account *a, int step)
{
	if (step == 0 && empty_log(a))
		return true;
	if (snapshot_files_release(a))
		return true;
	a->reserve_kept = false;
	a->sweep_due = clock_monotonic_ms() + AGAIN_MS;
	log_warn(&a->log, "reserve-used", KV("step", step));
	return release_piece(a);
}
