/* SPDX-License-Identifier: ISC */
/*
 * The one commit point: what this module has committed is on disk and will be delivered or reported,
 * whatever dies. Behind it lies one spool file a message now; a journal that commits in groups takes its place
 * without a change here. Used by the queue's process alone, which owns the folder.
 */
#pragma once

#include "common/net/loop.h"
#include "smtpd/record.h"

struct journal;

/*
 * The spool is state_dir/spool, made if need be. What an earlier process left incomplete is swept away; after
 * an unclean boot contents are compared with their checksums, too. NULL: logged why.
 */
must_check struct journal *journal_open(struct loop *, const char *state_dir);
void journal_close(struct journal *);

/* ---- a new message: begin, append.., finish, commit or abandon ---- */

struct journal_entry;

/* The record is copied; its size is not looked at. */
struct journal_entry *journal_begin(struct journal *, const struct record *);
/* False: the disk does not take it (logged); abandon it. */
must_check bool journal_append(struct journal_entry *, struct str bytes);
/* What it is known by when it is sent again; before the commit. */
void journal_set_fingerprint(struct journal_entry *, const char fingerprint[FINGERPRINT_SIZE]);
/* No more octets come. From now on journal_entry_open works. False as above. */
must_check bool journal_finish(struct journal_entry *);
uint64_t journal_entry_size(const struct journal_entry *);

/* Where a message lies: a descriptor of one's own, read only, and the place in it. */
struct spooled {
	int fd;
	uint64_t offset;
	uint64_t size;
};

must_check bool journal_entry_open(const struct journal_entry *, struct spooled *out);

/* ok: on disk. Not ok: not kept, and nothing of it is left. The entry has been freed already. */
typedef void journal_committed(void *context, bool ok);
/* Calls once, from the loop; what is committed in one turn of the loop shares the folder's flush. */
void journal_commit(struct journal_entry *, journal_committed *, void *context);
/* Also while a commit is under way, which then is not told. Takes NULL. */
void journal_abandon(struct journal_entry *);

/* ---- what is committed ---- */

typedef void journal_found(void *context, const struct record *);
/* Calls with each live message; its record lives during the call. False: could not be read whole. */
must_check bool journal_replay(struct journal *, journal_found *, void *context);
/* The record's views live in the arena. False: there is no such message (any more), or it is damaged. */
must_check bool journal_read(struct journal *, struct str trace, struct arena *,
    struct record *record, struct spooled *out);
/* Every recipient is delivered or told of: the message may go. */
void journal_done(struct journal *, struct str trace);
