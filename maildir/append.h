/* SPDX-License-Identifier: ISC */
/*
 * Messages on their way in, shared by append.c, what is written and published, and append_once.c, deliveries that must
 * not be doubled. An append has one or several messages; only the last of them is being written.
 */
#pragma once

#include "maildir/private.h"

enum {
	APPEND_SINGLY = 16,		/* files that are synced by themselves; of more the whole file system is */
	APPEND_TEXTS_MAX = 1024 * 1024,	/* octets of texts that wait for the commit: others are made when asked for */
};

struct append_message {
	struct buf prefix;	/* the name in tmp/ */
	int fd;			/* closed before the commit where there are more than APPEND_SINGLY */
	bool in_tmp;		/* the file is there, and ours to remove */
	uint32_t flags;
	uint64_t keywords;	/* bits of append.keywords */
	int64_t internal_date;
	uint64_t size;
	uint64_t missing;	/* CRs that the wire has and the file has not */
	bool no_nul;		/* none of its octets is */
	bool has_texts;
	struct texts texts;
	struct message_row row;
};

struct append {
	struct account *account;
	int64_t box;
	char box_id[24];
	unsigned generation;	/* of the index that box is a number of */
	struct inbox *inbox;	/* whose directories place has; NULL: they are its own */
	struct place place;
	struct expunge_one *replaced;	/* NULL: nothing is */
	/* Exactly once: of one message only. */
	struct buf trace;
	struct buf recipient;
	bool once;		/* trace and recipient are set */
	bool retry;
	bool renew;
	struct buf token;
	/* All messages. */
	struct append_message *ones;
	size_t count;
	size_t room;
	struct keywords keywords;	/* all that any of them has */
	uint64_t wire;		/* octets of those before the last one */
	size_t texts_bytes;
	/* From the commit to the end. */
	bool committed;
	struct box published;	/* the mailbox, as it was then */
	struct appended done;
	size_t named;		/* files that are called as their rows say */
	/* The last one, which is being written. */
	struct buf memory;	/* what the file does not have yet, or the whole */
	size_t memory_max;
	bool in_file;		/* something has been written out */
	bool binary;		/* of a literal8: NULs go into base64 */
	bool holds_nul;
	bool last_cr;
	bool prepared;
	bool failed;
};

static inline struct append_message *
append_last(const struct append *p)
{
	return &p->ones[p->count - 1];
}

/* append_once.c */

/* In the transaction. box: where the index has it, BOX_NONE where only a name told of it. */
must_check enum store_result append_find_earlier(struct append *, struct box *, struct appended *out);
/* After the commit, where .was_there: what an earlier attempt left undone. */
must_check enum store_result append_finish_earlier(struct account *, const struct box *, uint32_t uid,
    bool sync);
/* append.c: file and directory of one message are on the disk. */
must_check enum store_result append_sync(struct account *, int fd, int cur);
