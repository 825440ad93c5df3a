/* SPDX-License-Identifier: ISC */
/*
 * search.db: what makes searching quick, of mailboxes that somebody has searched. It can be
 * thrown away at any moment, and is where it is damaged or of another version: nothing here is the only copy of
 * anything. Whole below this header is SQLite; no statement is left running, and no transaction outlives
 * a slice. Rows of a message have the number of its mailbox here above, its uid below (message_key).
 */
#pragma once

#include "maildir/grams.h"
#include "maildir/index.h"
#include "maildir/private.h"

enum {
	SEARCH_SCHEMA = 3,
	/* In messages.block. */
	BLOCK_NONE = 0,		/* not sealed yet: looked through one by one */
	BLOCK_NEVER = -1,	/* has no digest: its file is read */
};

/* The texts stand in search_db.c, in this order. */
enum search_query {
	S_READ, S_WRITE, S_COMMIT, S_ROLLBACK, S_VERSION,
	S_BOX_FIND, S_BOX_ADD, S_BOX_LIST, S_BOX_SAVE, S_BOX_DROP,
	S_MESSAGE_ADD, S_MESSAGE_BLOCK, S_MESSAGE_DROP, S_MESSAGES, S_MESSAGES_CLEAR, S_SORTING, S_TAIL,
	S_HEADER_ADD, S_HEADER_GET, S_HEADER_SCAN, S_HEADER_DROP, S_HEADERS_CLEAR,
	S_BRIEF_ADD, S_BRIEF_SCAN, S_BRIEF_DROP, S_BRIEFS_CLEAR,
	S_BODY_ADD, S_BODY_GET, S_BODY_SCAN, S_BODY_DROP, S_BODIES_CLEAR,
	S_BLOCK_ADD, S_BLOCKS, S_BLOCK_COUNT, S_BLOCK_FIRST, S_BLOCK_DROP,
	S_GRAM_ADD, S_GRAM_GET, S_GRAM_RANGE, S_GRAMS_CLEAR,
	SEARCH_QUERY_COUNT,
};

/* The texts that are looked through apart. */
enum gram_kind { GRAMS_HEADER, GRAMS_ADDRESSES, GRAMS_BODY, GRAM_KIND_COUNT };

static inline int64_t
gram_key(int64_t block, enum gram_kind kind, unsigned pair)
{
	return (int64_t)((uint64_t)block << 18 | (uint64_t)kind << 16 | pair);
}

struct search_db {
	struct account *account;
	sqlite3 *db;
	sqlite3_stmt *statements[SEARCH_QUERY_COUNT];
	uint64_t device, inode;
	bool damaged;
	bool failed;		/* the statement last run */
	unsigned generation;	/* changes when this process took rows away, or opened it anew */
};

/*
 * The account's, opened if need be; what was damaged is gone then. NULL where there is none, unless `make`, or
 * it cannot be opened. Owned by the account.
 */
struct search_db *search_db(struct account *, bool make);
void search_db_close(struct account *);

/* Runs a statement without rows. False: logged, unless others were busy with it. */
must_check bool search_db_do(struct search_db *, enum search_query, const struct value *);
/* One with rows: search_db_row until it says false, then search_db_end, which is false where it failed. */
sqlite3_stmt *search_db_ask(struct search_db *, enum search_query, const struct value *);
bool search_db_row(struct search_db *, sqlite3_stmt *);
bool search_db_end(struct search_db *, sqlite3_stmt *);
struct str search_db_bytes(sqlite3_stmt *, int column);
/* What was read cannot have been written by us: the file is given up at the next search_db. */
void search_db_distrust(struct search_db *);

/* Ends a transaction, the way ok says; false where it is not committed. */
bool search_db_finish(struct search_db *, bool ok);

/* ---- mailboxes in it ---- */

struct search_box {
	int64_t number;
	char id[24];
	uint32_t uidvalidity;	/* 0: being cleared */
	uint32_t done;		/* messages up to this uid have been looked at */
	uint32_t held;		/* rows of messages, expunged ones that are still there included */
};

/* False where there is none. */
must_check bool search_box_find(struct search_db *, struct str id, struct search_box *out);
/* In a transaction of one's own. */
must_check bool search_box_add(struct search_db *, struct str id, uint32_t uidvalidity,
    struct search_box *out);
/*
 * In a transaction: a slice of what is known of its messages goes; it has uidvalidity 0 then. *more: not all of it
 * yet.
 */
must_check bool search_box_clear(struct search_db *, const struct search_box *, bool *more);
must_check bool search_box_save(struct search_db *, const struct search_box *);
/* All of them, into an array of struct search_box. */
must_check bool search_box_list(struct search_db *, struct buf *out);

/* ---- search_seal.c ---- */

/*
 * Makes a block of the mailbox's messages that have none, if they are enough. In a transaction of its own. Missing
 * grams are made; their owner frees them.
 */
must_check bool search_seal(struct search_db *, const struct search_box *,
    struct grams *grams[GRAM_KIND_COUNT], bool *sealed);

/* ---- search_build.c ---- */

/* Somebody searches this mailbox: it is taken in, a little later and from then on. */
void search_build_want(struct account *, struct search_db *, const struct mailbox *);
/* New mail may have come. */
void search_build_later(struct account *);
/* One slice of taking messages in; true while there is more. */
bool search_build_slice(struct account *);
void search_build_free(struct account *);
