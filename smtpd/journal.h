/* SPDX-License-Identifier: ISC */
/*
 * The one commit point: what this module has committed is on disk and will be delivered or reported,
 * whatever dies. journal.c says in which states a message can be, and how it lies on disk. Used by
 * the queue's process alone, which owns the folders.
 */
#pragma once

#include "common/net/loop.h"
#include "smtpd/body.h"
#include "smtpd/record.h"
#include "smtpd/sync.h"

struct journal;

/* A message that is not done. */
struct journal_message {
	const struct record *record;	/* lives during the call */
	/*
	 * only: everything has been done with it, but the copies of these recipients in mailboxes may
	 * not have reached the disk: they alone are to be made, or found, again.
	 */
	bool only;
	const uint32_t *delivered;
	size_t delivered_count;
	bool unsure;		/* nor may have copies that were made of one that is under way */
};

struct journal_host {
	/* As syncs_ask: has it done elsewhere. */
	void (*sync)(void *context, const struct sync_request *, sync_done *, void *done_context);
	/* At the replay, and where mailboxes could not be synced. */
	void (*found)(void *context, const struct journal_message *);
	void *context;
};

/*
 * The journal is state_dir/journal, large bodies are in state_dir/spool; both are made if need be. What an
 * earlier process left incomplete is swept away. NULL: logged why.
 */
must_check struct journal *journal_open(struct loop *, const char *state_dir,
    const struct journal_host *);
void journal_close(struct journal *);

/* ---- a new message: begin, append.., finish, commit or abandon ---- */

struct journal_entry;

/* The record is copied; its size is not looked at. */
struct journal_entry *journal_begin(struct journal *, const struct record *);
/* False: the disk does not take it (logged), or the envelope is too long; abandon it. */
must_check bool journal_append(struct journal_entry *, struct str bytes);
/* What it is known by when it is sent again; before the commit. */
void journal_set_fingerprint(struct journal_entry *, const char fingerprint[FINGERPRINT_SIZE]);
uint64_t journal_entry_size(const struct journal_entry *);
/*
 * No more octets come: the body is the caller's from here on, and must outlive the entry. False as above.
 */
must_check bool journal_finish(struct journal_entry *, struct body *out);

/* What could not be written last found no room on the disk. */
bool journal_is_full(const struct journal *);

/* ok: on disk. Not ok: not kept. The entry has been freed already. */
typedef void journal_committed(void *context, bool ok);
/*
 * Calls once, from the loop. What is committed while the last flush runs shares the next one.
 */
void journal_commit(struct journal_entry *, journal_committed *, void *context);
/* Also while a commit is under way, which then is not told. Takes NULL. */
void journal_abandon(struct journal_entry *);

/* ---- what is committed ---- */

/* Tells `found` of each message that is not done. Called again: of those that are not done then. */
void journal_replay(struct journal *);
bool journal_knows(const struct journal *, struct str trace);
/*
 * The record's views live in the arena, the body is the caller's. *renew: copies that are there may be damaged, and are
 * to be written anew. False: there is no such message (any more), or it is damaged (logged).
 */
must_check bool journal_read(struct journal *, struct str trace, struct arena *,
    struct record *record, struct body *out, bool *renew);
/*
 * Every recipient is delivered or told of. `delivered` are those whose copies lie in mailboxes and are not
 * synced: the message stays on disk until their file systems have been. at_once: the word of it is with
 * the kernel when this returns; else soon.
 */
void journal_done(struct journal *, struct str trace, const uint32_t *delivered, size_t count,
    bool at_once);
/* A file system of mailboxes: a descriptor on it, opened before anything was written there (owned). */
void journal_add_system(struct journal *, int fd);
