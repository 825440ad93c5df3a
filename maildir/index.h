/* SPDX-License-Identifier: ISC */
/*
 * index.db: the numbering of one account. Whole below this header is SQLite. Statements
 * are cached and never left running; no transaction outlives the public function that
 * began it. Writers begin with txn_begin, which waits for its turn.
 */
#pragma once

#include <sqlite3.h>

#include "common/base/buf.h"
#include "maildir/store.h"

enum {
	INDEX_SCHEMA = 5,
	INDEX_BUSY_MS = 5000,		/* how long a writer waits for another */
	UNREADABLE_MS = 60 * 1000,	/* so long a disk may say EIO before the index is made anew */
};

/* The texts stand in index.c, in this order. */
enum query {
	Q_BEGIN, Q_COMMIT, Q_ROLLBACK,
	Q_STATE_GET, Q_STATE_PUT, Q_STATE_RANGE, Q_STATE_DROP,
	Q_BOX_ADD, Q_BOX_GET, Q_BOX_FIND, Q_BOX_BY_ID, Q_BOX_LIST, Q_BOX_NUMBERS, Q_BOX_DROP,
	Q_BOX_RENAME, Q_BOX_COUNTS, Q_BOX_SETTINGS, Q_BOX_CONTROL, Q_BOX_RESERVE, Q_BOX_RECENT, Q_BOX_MTIMES,
	Q_BOX_CUR_MTIME, Q_BOX_IDENTITY, Q_MESSAGE_COUNT, Q_DELETED_COUNT,
	Q_USAGE,
	Q_NAME_ADD, Q_NAME_DROP, Q_NAME_LIST,
	Q_MESSAGE_ADD, Q_MESSAGE_GET, Q_MESSAGE_DROP, Q_MESSAGE_RANGE, Q_MESSAGE_AHEAD, Q_SNAPSHOT, Q_MESSAGES, Q_MESSAGES_SINCE, Q_MESSAGE_FLAGS,
	Q_MESSAGE_NAMED, Q_MESSAGES_TOUCH, Q_MESSAGES_CLEAR, Q_PENDING,
	Q_FILE_ADD, Q_FILE_GET, Q_FILE_NO_NUL, Q_FILE_DROP, Q_FILES, Q_FILES_CLEAR,
	Q_SAVED_GET,
	Q_MADE_PUT, Q_MADE_GET, Q_MADE_ANY, Q_MADE_COPY, Q_MADE_DROP, Q_MADE_CLEAR,
	Q_TEXTS_ADD, Q_TEXTS_DROP, Q_TEXTS_COPY, Q_TEXTS_CLEAR, Q_HEADER_ADD, Q_HEADER_DROP, Q_HEADER_COPY, Q_HEADERS_CLEAR,
	Q_ENVELOPES, Q_STRUCTURES, Q_HEADERS,
	Q_EXPUNGED_ADD, Q_EXPUNGED_RANGE, Q_EXPUNGED_SINCE, Q_EXPUNGED_BASE, Q_EXPUNGED_FILE, Q_EXPUNGED_MARK,
	Q_EXPUNGED_DROP,
	Q_EXPUNGED_CLEAR,
	Q_DELIVERY_ADD, Q_DELIVERY_GET, Q_DELIVERY_DROP, Q_DELIVERY_PRUNE,
	QUERY_COUNT,
};

enum value_kind { VALUE_END, VALUE_NUMBER, VALUE_TEXT, VALUE_NULL };

struct value {
	enum value_kind kind;
	int64_t number;
	struct str text;	/* lives until the statement is ended */
};

static inline struct value
value_number(int64_t n)
{
	return (struct value){ .kind = VALUE_NUMBER, .number = n };
}

static inline struct value
value_text(struct str s)
{
	return (struct value){ .kind = VALUE_TEXT, .text = s };
}

#define V(x) _Generic((x), struct str: value_text, default: value_number)(x)
#define V_NULL ((struct value){ .kind = VALUE_NULL })
#define BIND(...) ((const struct value[]){ __VA_ARGS__ __VA_OPT__(,) { .kind = VALUE_END } })

/*
 * SQLite said `code` while `doing` something: the result that means, told to the log; what it says of the index's state is
 * noted.
 */
must_check enum store_result index_failed(struct account *, int code, const char *doing);
/* Runs a statement that gives no rows. */
must_check enum store_result index_do(struct account *, enum query, const struct value *);
/*
 * Starts one that gives rows; index_row until it says false, then index_end, which tells
 * whether that was the end or a failure. The same query is never asked twice at a time.
 */
sqlite3_stmt *index_ask(struct account *, enum query, const struct value *);
bool index_row(struct account *, sqlite3_stmt *);
enum store_result index_end(struct account *, sqlite3_stmt *);
/* Of the row at hand; text lives until the next index_row. */
struct str index_text(sqlite3_stmt *, int column);
/* How many rows the last statement changed. */
int index_changed(const struct account *);

/* In .trivet/: what SQLite opens. */
enum { INDEX_FILES = 3 };
extern const char *const index_files[INDEX_FILES];

/* Opens (and rebuilds, if it has to) the account's index. */
must_check enum store_result index_open(struct account *);
/* Opens what is there, and makes nothing: STORE_GONE where there is no whole index of our version. */
must_check enum store_result index_look(struct account *);
void index_close(struct account *);
/* They are made again when they are asked for. */
void index_forget_statements(struct account *);
/* Is the file there a copy of the index, or a backup written over it? It must be open. */
bool index_is_copied(struct account *);
/* For rebuild_index: an empty index, with a transaction begun. */
must_check enum store_result index_create(struct account *);
/* In a transaction: the file there is the index, whatever it was copied from. */
must_check enum store_result index_note_file(struct account *);
/*
 * Is the index still the file of that name, and whole? If not, it is opened anew; numbers
 * of mailboxes have changed then (account.generation says so).
 */
must_check enum store_result index_alive(struct account *);

/* ---- index_rest.c ---- */

/*
 * Nobody has asked for a while: closes the index, whose memory is most of what an idle keeper has. Whoever asks next opens
 * it, in index_alive or index_ask. Not in a transaction.
 */
void index_rest(struct account *);
/*
 * The same file as before is open again, and nothing that was known of it has changed. STORE_GONE: it is lost, or
 * another, which index_alive sees to; anything else may pass: the account still rests.
 */
must_check enum store_result index_wake(struct account *);

/* BEGIN IMMEDIATE; nothing to undo unless STORE_OK. */
must_check enum store_result txn_begin(struct account *);
/* The same, and what it commits is on the disk then. */
must_check enum store_result txn_begin_durable(struct account *);
/* Undone already where it fails. */
must_check enum store_result txn_commit(struct account *);
void txn_rollback(struct account *);
/* Ends the transaction the way r says; STORE_OK commits. */
must_check enum store_result txn_end(struct account *, enum store_result r);

/* Keys of messages: the mailbox's number above, the uid below. */
static inline int64_t
message_key(int64_t box, uint32_t uid)
{
	return (int64_t)(((uint64_t)box << 32) | uid);
}

static inline uint32_t
key_uid(int64_t key)
{
	return (uint32_t)((uint64_t)key & UINT32_MAX);
}

static inline int64_t
key_box(int64_t key)
{
	return (int64_t)((uint64_t)key >> 32);
}
