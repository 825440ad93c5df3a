/* SPDX-License-Identifier: ISC */
/*
 * queue.db: what is in transit, as rows; what is due; what was answered. A cache of the journal's messages
 * plus the state of attempts: it is never synced, and lost it is made anew (everything is due then, nothing is
 * lost). One exception is what `trivet queue` writes: rows of `request`. Errors are logged here.
 */
#pragma once

#include "common/base/arena.h"
#include "smtpd/record.h"

struct rows;

enum row_state {
	ROW_WAITING,	/* for next_at */
	ROW_UNDER_WAY,	/* an attempt runs; after a restart: waiting */
	ROW_DONE,	/* delivered, or its failure told */
};

struct row {
	uint32_t n;		/* index of the recipient in the record */
	enum row_state state;
	uint32_t attempts;
	int64_t next_at;
	int64_t last_at;	/* 0: never tried */
	struct str status;	/* "4.4.1" */
	struct str answer;	/* the last one, in words */
	struct str host;	/* who gave it; empty: ourselves */
};

/* path is state_dir/queue.db; a broken one, or one of another version, is replaced. NULL: not even that. */
must_check struct rows *rows_open(const char *path);
void rows_close(struct rows *);

/* One row for each recipient; rows[i] belongs to record->recipients[i]. relay_host: see rows_set_relay. */
must_check bool rows_add(struct rows *, const struct record *, const struct row *rows);
must_check bool rows_have(struct rows *, struct str trace);
void rows_remove(struct rows *, struct str trace);
/* Writes everything of the row but n. */
must_check bool rows_update(struct rows *, struct str trace, const struct row *);
/* Rows of the message into rows[0 .. count-1] by n, texts into the arena; *notified: the delay was told. */
must_check bool rows_load(struct rows *, struct str trace, struct arena *, struct row *rows,
    size_t count, bool *notified);
must_check bool rows_set_notified(struct rows *, struct str trace);

/* All mail for elsewhere has one destination, the relay host ("": each its domain). */
void rows_set_relay(struct rows *, struct str relay_host);
/* Destination of a recipient: its domain in lower case, the relay host, or the account's address. */
void rows_put_destination(struct rows *, struct buf *out, enum target_kind, struct str address);

/* Destinations that have something due, into the arena; at most `most`. */
size_t rows_due_destinations(struct rows *, int64_t now, struct arena *, struct str *out,
    size_t most);
/* The longest waiting message for a destination with recipients due, which become UNDER_WAY. */
struct taken {
	struct str trace;
	uint32_t *n;
	size_t count;
};
must_check bool rows_take(struct rows *, struct str destination, int64_t now, size_t most,
    struct arena *, struct taken *out);
/* Nothing of the message is under way after all. */
void rows_release(struct rows *, struct str trace);
/* Copies in mailboxes that were made are to be made, or found, again. */
void rows_reopen_local(struct rows *, struct str trace, int64_t now);
/* A message of before `arrived_by` with recipients that wait after an attempt, not notified yet. */
must_check bool rows_next_unnotified(struct rows *, int64_t arrived_by, struct arena *,
    struct str *trace);
/* When the next row is due, and the next message unnotified arrived; INT64_MAX: none. */
int64_t rows_next_due(struct rows *);
int64_t rows_oldest_unnotified(struct rows *);

/* ---- what the administrator wants ---- */

/* Somebody else wrote since the last call. */
bool rows_changed_outside(struct rows *);
struct request {
	struct str verb;	/* "retry", "delete" */
	struct str trace;	/* "ALL": every message */
};
/* The oldest request, taken out. */
must_check bool rows_next_request(struct rows *, struct arena *, struct request *out);
/* All recipients waiting are due now; trace "ALL": of all messages. */
void rows_hurry(struct rows *, struct str trace, int64_t now);
