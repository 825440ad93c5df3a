/* SPDX-License-Identifier: ISC */
/* A COPY or MOVE under way, shared by copy.c, its transaction, and copy_files.c, what is done to files. */
#pragma once

#include "maildir/private.h"

/* A piece of copy_job.names. */
struct span {
	size_t at;
	size_t n;
};

struct copy_one {
	uint32_t from_uid;
	uint32_t to_uid;
	uint32_t flags;
	uint32_t size;
	uint64_t from_keywords;
	uint64_t to_keywords;
	int64_t internal_date;
	int64_t saved;		/* the source's, as the row has it */
	bool no_nul;
	struct span from_base, from_letters, to_base, to_letters;
	bool follows;		/* the one before it here is also the one before it in the mailbox */
};

struct copy_job {
	struct mailbox *m;
	bool move;
	bool staged;		/* few: their links wait in tmp/ */
	bool lost;		/* a file is not where its row says */
	uint32_t first;		/* not staged: the UIDs claimed, of the mailbox `claimed` */
	uint32_t last;
	int64_t claimed;
	struct box source;
	struct box other;	/* the target, where it is not the source itself */
	struct box *target;
	struct place place;	/* the target's */
	uint64_t source_modseq;
	uint64_t target_modseq;
	uint64_t keyword_map[KEYWORDS_MAX];	/* a source's keyword as the target's bit */
	uint64_t keyword_known;
	bool grew;
	bool has_made;		/* the source has something in `made` */
	struct touch from;	/* of the source's cur/, for a move */
	struct touch to;	/* of the target's */
	struct buf prefix;	/* of the copies' names, with a number in each */
	struct buf names;
	struct buf from_name;	/* scratch */
	struct buf to_name;
	struct message_row row;	/* scratch, too */
	struct copy_one *ones;
	size_t count;
	size_t room;
};

struct str copy_name(const struct copy_job *, struct span);
struct span copy_put_name(struct copy_job *, struct str text);

/* In the transaction: gives the copy its UID and names, links it and adds its row. */
must_check enum store_result copy_message(struct copy_job *, struct copy_one *);
/* After the commit: names and syncs the copies, and removes what was moved. If that fails all is undone. */
must_check enum store_result copy_finish(struct copy_job *);
/* There was no commit. */
void copy_unlink(struct copy_job *);
