/* SPDX-License-Identifier: ISC */
/*
 * What the journal's files share: journal.c (a message's life), journal_settle.c (its end), journal_segments.c
 * (where the frames go), journal_replay.c (what is found at the start, and read later).
 */
#pragma once

#include <sys/queue.h>

#include "common/base/map.h"
#include "smtpd/frame.h"
#include "smtpd/journal.h"

enum {
	SEGMENT_SIZE = 8 * 1024 * 1024,
	SEGMENT_RESERVE = 64 * 1024,		/* at a segment's end, for frames of other kinds than messages */
	SEGMENTS_KEPT = 4,			/* before the oldest is cleared, plus twice what is live */
	ENVELOPE_MAX = 4 * 1024 * 1024,		/* some ten thousand recipients */
	SETTLE_MS = 2000,			/* after a delivery, the mailboxes are synced */
	MARK_MS = 200,				/* a message that is done is marked within this */
	ROOM_AGAIN_MS = 1000,			/* a new segment is tried at most this often */
	TRIES_MAX = 2,				/* segments that a new message is written to */
};

struct segment {
	TAILQ_ENTRY(segment) link;
	uint64_t number;
	uint64_t key;
	int fd;			/* opened before anything was written, so that it sees all errors */
	uint64_t tail;		/* octets written */
	TAILQ_HEAD(, kept) kepts;	/* the messages whose record is here */
};

/* A message that is in the journal. */
struct kept {
	TAILQ_ENTRY(kept) in_segment;
	TAILQ_ENTRY(kept) in_done;
	struct segment *segment;
	uint64_t offset;
	uint64_t length;	/* of its frame */
	char trace[ID_LENGTH];
	bool in_file;
	bool done;		/* waits for the mailboxes' sync */
	bool marked;		/* done_at is where the segment says so */
	bool only;		/* was done once: delivered alone are open */
	bool renew;
	struct place done_at;
	uint32_t *delivered;
	size_t delivered_count;
	struct journal_entry *mover;	/* it is being written anew */
};

/* A frame on its way to the disk: a new message, or one that moves. */
struct journal_entry {
	TAILQ_ENTRY(journal_entry) link;
	struct journal *journal;
	struct frame frame;
	struct buf envelope;	/* of one that moves: the whole payload */
	struct body *body;	/* the caller's, once it is finished; of one that moves: NULL */
	struct body own;	/* until then */
	int file;		/* spool/TRACE, for writing; -1: none */
	enum { ENTRY_OPEN, ENTRY_SPOOLING, ENTRY_WAITING, ENTRY_IN_ROUND } step;
	unsigned syncs;		/* of the spool, not answered */
	TAILQ_ENTRY(journal_entry) named;	/* in one of the journal's two lists for the spool's names */
	bool failed;
	bool abandoned;
	unsigned tries;
	uint64_t offset;
	journal_committed *committed;
	void *context;
	struct kept *moves;
	bool is_move;		/* moves is NULL once that one is gone */
};

TAILQ_HEAD(entries, journal_entry);

struct mail_system {
	uint64_t device;
	int fd;
};

struct journal {
	struct journal_host host;
	int dir, spool;
	int lock;			/* on dir */
	struct map *kepts;		/* by trace */
	TAILQ_HEAD(, segment) segments;	/* oldest first; the last is current, where there is one */
	struct segment *current;
	struct segment *next;		/* ready, not in the list yet */
	struct segment *making;		/* zeros are being written */
	bool making_ok;
	unsigned making_syncs;
	int64_t make_again_at;
	bool no_room;			/* and none coming: who waits is refused */
	bool full;			/* the last failure was the disk's being full */
	uint64_t last_number;
	struct buf out;			/* frames of the current segment not written yet */
	uint64_t live_bytes;
	enum sync_lane body_lane;	/* of the last one */
	struct entries unnamed;		/* their names in spool are to be synced, by the next sync of it */
	struct entries naming;		/* by the one that is under way */
	bool naming_under_way;
	struct entries waiting;
	struct entries round;		/* written; the flush under way covers them */
	struct segment *flushing;	/* where the round's frames are */
	bool sync_under_way;
	struct timer *soon;		/* starts a round */
	struct timer *write_later;
	struct timer *settle;
	TAILQ_HEAD(, kept) done;	/* in the order of their marks */
	size_t settling;		/* of these, from the first on: the syncs under way cover them */
	struct place settle_from, settle_to;
	struct buf systems;		/* struct mail_system, one after the other */
	size_t system_syncs;
	bool systems_ok;
	bool was_replayed;
	bool renew_all;			/* the machine went down since the last start */
};

/* errno says why: journal_is_full from then on, where for want of room. */
void journal_failed(struct journal *, const char *doing, const char *what);
void journal_log(const char *doing, const char *what);
/* A name below spool/ or journal/. */
void journal_file_name(const char trace[ID_LENGTH], char name[ID_LENGTH + 1]);

/* ---- journal.c ---- */

void entry_free(struct journal_entry *);
/* Puts (the rest of) its octets into the segments. */
void entry_wait(struct journal_entry *);
/* The round's frames went to this segment, which has failed: once more, or not kept. */
void round_failed(struct journal *);

/* ---- journal_kept.c ---- */

struct kept *kept_new(struct journal *, const struct frame *, struct segment *, uint64_t offset);
void kept_free(struct journal *, struct kept *);
/* Takes it out of the list of those done. */
void journal_reopen(struct journal *, struct kept *);
struct str kept_trace(const struct kept *);
/* Places the mark of one that is done; where there is no room, the next segment gets it. */
void journal_mark(struct journal *, struct kept *);

/* ---- journal_settle.c ---- */

/* Syncs the mailboxes for those that are done; a timer's call. */
void journal_settle(void *context);

/* ---- journal_segments.c ---- */

/* Opens, or makes, a file of the journal. */
struct segment *segment_new(uint64_t number, uint64_t key, int fd);
void segment_free(struct segment *);
void segment_name(const struct segment *, struct buf *out);
bool segment_parse_name(struct str name, uint64_t *number, uint64_t *key);
/* Has the next one made, unless it is there or coming. */
void segment_make_next(struct journal *);
/* The next one becomes the current one. False: it is not there yet. */
must_check bool segment_rotate(struct journal *);
bool segment_has_room(const struct journal *, uint64_t length, uint64_t reserve);
/* There is room. Where it went. */
uint64_t segment_place(struct journal *, const struct frame *, struct str envelope, struct str body);
/* A mark, with its payload; false: nowhere now. */
must_check bool segment_mark(struct journal *, enum frame_kind, const char trace[ID_LENGTH],
    struct str payload, struct place *out);
/* What was placed, to the kernel. False: the segment has failed. */
bool segment_write(struct journal *);
/* Could not be written or synced: it is left, and what is live in it is written anew. */
void segment_fail(struct journal *, struct segment *);
/* Writes the live messages of the segment anew. */
void segment_clear(struct journal *, struct segment *);
/* Removes the oldest ones that hold nothing any more. */
void segment_drop_old(struct journal *);
must_check bool segment_read(const struct segment *, char *p, size_t n, uint64_t offset);
/* The end of what has been placed. */
struct place segment_end(const struct journal *);

/* ---- journal_replay.c ---- */

must_check bool replay_segments(struct journal *);
/* Tells the host. */
void replay_found(struct journal *, struct kept *, bool unsure);
