/* SPDX-License-Identifier: ISC */
/*
 * What blocks for long on the way to the disk, done elsewhere: the queue asks, a syncer (syncer.c) does it, and
 * the answer comes back by number. A lane is a syncer of its own: the group's fdatasync must not wait
 * for a large body's, nor either for a whole file system's.
 */
#pragma once

#include "common/daemon/process.h"

enum sync_lane {
	SYNC_JOURNAL,	/* segments: somebody waits for each */
	SYNC_SPOOL,	/* folders, new segments */
	SYNC_MAIL,	/* the mailboxes' file systems */
	SYNC_BODY,	/* large bodies, in turn: file systems let several files share one flush */
	SYNC_LAST_BODY = SYNC_BODY + 2,
	SYNC_LANES
};

enum sync_kind {
	SYNC_DATA,	/* fdatasync; of a folder: its names */
	SYNC_ZEROS,	/* `size` zeros from the start on, then fdatasync */
	SYNC_SYSTEM,	/* syncfs */
	SYNC_KINDS
};

struct sync_request {
	enum sync_lane lane;
	enum sync_kind kind;
	int fd;			/* stays the caller's */
	uint64_t size;
	uint64_t key;		/* not 0: with the same key it is the same file as last time */
};

/* Not ok: it failed, or its syncer died, so that nobody knows: what was to be synced must be written anew. errno says why. */
typedef void sync_done(void *context, bool ok);

struct syncs;

struct syncs *syncs_new(struct process *);
/* Calls `done` once, from the loop. Without a syncer now, the next one does it. */
void syncs_ask(struct syncs *, const struct sync_request *, sync_done *, void *context);
bool syncs_on_message(struct syncs *, unsigned syncer, struct msg *);
void syncs_on_peer(struct syncs *, unsigned syncer);
void syncs_on_peer_lost(struct syncs *, unsigned syncer);
