/* SPDX-License-Identifier: ISC */
/*
 * A COPY or MOVE under way, shared by copy.c, its life, copy_steps.c, what is done and when, copy_rows.c, its
 * transactions, and copy_files.c, what is done to files.
 */
#pragma once

#include "maildir/private.h"

/* A piece of copying.names. */
struct span {
	size_t at;
	size_t n;
};

struct copy_one {
	uint32_t from_uid;
	uint32_t to_uid;
	uint32_t flags;
	uint32_t size;
	uint64_t keywords;	/* the source's bits */
	int64_t internal_date;
	int64_t saved;		/* the source's, as the row has it */
	struct span from_base, from_letters;
	struct span link;	/* what its file is called: the prefix in tmp/, or a base in cur/, with the letters */
	struct span to_base, to_letters;
	bool no_nul;
	bool follows;		/* the one before it here is also the one before it in the mailbox */
	bool in_tmp;		/* that is where its link is */
	bool gone;		/* expunged before it could be moved */
};

enum copy_phase {
	COPY_KEPT,	/* out of what is kept: kept_copy does it all */
	COPY_FEW,	/* rows and links in one transaction */
	COPY_CLAIM,
	COPY_LINKS,
	COPY_ROWS,
	COPY_NAMES,	/* of those whose file is not called as its row says */
	COPY_TEXTS,	/* what FETCH copies, and is made when it is asked for where it is missing */
	COPY_SOURCES,	/* the files of what was moved go */
	COPY_AGAIN,	/* the links go, and are made anew in tmp/ */
	COPY_UNDO,	/* the links go */
	COPY_DONE,
};

struct copying {
	struct mailbox *m;
	struct account *account;
	struct uid_set set;
	struct buf to;		/* as it was given */
	struct arena *arena;
	enum copy_phase phase;
	enum store_result why;	/* what ends it, when all is undone that has to be */
	bool move;
	bool whole;		/* all rows in one transaction, also of a move */
	bool few;
	bool staged;		/* the links wait in tmp/ */
	bool lost;		/* a file is not where its row says */
	bool looked;		/* and the directory has been looked at */
	bool renamed;		/* some files were not called as their rows say */
	bool grew;		/* the target's keywords */
	bool has_made;		/* the source has something in `made` */
	unsigned generation;	/* of the index that the numbers are of */
	struct live_claim claim;	/* .box 0: none */
	struct live_claim hold;	/* of the source, for a move */
	struct box source;
	struct box other;	/* the target, where it is not the source itself */
	struct box *target;
	int64_t source_number;
	int64_t target_number;	/* 0: not known yet */
	struct place place;	/* the target's */
	uint64_t source_modseq;
	uint64_t target_modseq;
	uint64_t keyword_map[KEYWORDS_MAX];	/* a source's keyword as the target's bit */
	uint64_t keyword_known;
	struct touch from;	/* of the source's cur/, for a move */
	struct buf prefix;	/* of the copies' names, with a number in each */
	struct buf names;
	struct buf from_name;	/* scratch */
	struct buf to_name;
	struct message_row row;	/* scratch, too */
	size_t all;		/* so many were there when it began */
	uint32_t after;		/* the last one listed */
	size_t range;		/* of the set */
	bool listed;		/* all are */
	struct copy_one *ones;
	size_t count;
	size_t room;
	size_t linked;		/* of ones, from the first: how far it is */
	size_t rows;		/* committed */
	size_t named;
	size_t done;		/* texts, or files that are gone */
	size_t misses;		/* files that were not where they should be */
	struct copied kept;	/* of kept_copy */
};

struct str copy_name(const struct copying *, struct span);
struct span copy_put_name(struct copying *, struct str text);
/* The keywords as bits of the target; one that it does not have is added to the struct. */
uint64_t copy_keywords(struct copying *, uint64_t bits);

/* ---- copy_steps.c ---- */

/* By how many there are. */
void copy_first_step(struct copying *);
/* A little, and what comes next. What fails is to be given up. */
must_check enum store_result copy_step(struct copying *);
/* From now on what is not committed is undone, and what is goes to its end. */
void copy_give_up(struct copying *, enum store_result why);

/* ---- copy_rows.c ---- */

/* Lists so many more that the view has and that are still there. */
must_check enum store_result copy_list(struct copying *, size_t most);
/*
 * Begins a transaction, with source and target as they are now. durable: its commit is on the disk. STORE_BUSY: the index
 * was made anew meanwhile. STORE_NO_SUCH: there is no such target (any more).
 */
must_check enum store_result copy_enter(struct copying *, bool durable);
/* In the transaction: the rows of those up to `end` that have none yet; copying.rows is the caller's. */
must_check enum store_result copy_rows(struct copying *, size_t end);
/* The same of the texts of one. */
must_check enum store_result copy_texts(struct copying *, const struct copy_one *);
/* The rows are committed, a name or its sync failed: as if nothing had been copied (RFC 3501 6.4.7). */
void copy_undo_rows(struct copying *);

/* ---- copy_files.c ---- */

/* Of one: where its UID is not known yet, or may change, the link waits for its name. */
must_check enum store_result copy_link(struct copying *, struct copy_one *);
/* After the commit: its file is called as its row says. */
must_check enum store_result copy_publish(struct copying *, struct copy_one *);
/* There was no commit, and nobody knows of it. */
void copy_unlink(struct copying *, struct copy_one *);
/* What was moved goes. */
void copy_unlink_source(struct copying *, const struct copy_one *);
