/* SPDX-License-Identifier: ISC */
/*
 * What the files of the queue's process share. A message's way:
 *
 *	intake.c	octets come in; verdicts; commit; answer
 *	message.c	one message in memory while something is under way; what came of each recipient
 *	keepers.c	local deliveries, by the accounts' keepers
 *	schedule.c	what is due, in attempts by the couriers
 *	report.c	bounces and delay notices, which come in again as submissions
 *
 * A message at rest is a record in the journal and rows of queue.db; in memory, its place in the journal.
 */
#pragma once

#include "common/base/log.h"
#include "common/base/map.h"
#include "smtpd/journal.h"
#include "smtpd/messages.h"
#include "smtpd/rows.h"
#include "smtpd/submit.h"
#include "smtpd/unanswered.h"

struct queue {
	struct process *process;
	struct syncs *syncs;
	struct journal *journal;
	struct rows *rows;
	struct map *messages;		/* trace -> struct message */
	struct intakes *intakes;
	struct unanswered *unanswered;
	struct keepers *keepers;
	struct schedule *schedule;
	struct timer *poll;		/* what `trivet queue` asked for */
	struct timer *resync;		/* queue.db failed: compare it with the journal again */
	bool started;			/* the journal has been read */
	bool stopping;
};

/* queue.db did not take a row: messages at rest may be missing in it. */
void queue_resync_later(struct queue *);

/* ---- message.c ---- */

struct message_recipient {
	struct row row;			/* texts in the message's arena */
	struct delivery *delivery;	/* under way at a keeper */
	struct destination *slot;	/* taken by the schedule, given back with the outcome */
	enum verdict verdict;		/* before the commit, without a delivery: what the keeper said */
	bool failed;			/* to be told to the sender; DONE after that */
	bool delivered;			/* to a mailbox whose file system is still to be synced */
};

struct message {
	struct queue *queue;
	struct arena *arena;
	struct record record;
	struct message_recipient *recipients;	/* record.count */
	struct log log;
	struct journal_entry *entry;	/* until committed */
	struct body body;		/* complete at the end of the data */
	bool renew;			/* copies that are there may be damaged */
	size_t under_way;		/* deliveries, and attempts; of these: */
	size_t prepared;		/* deliveries that wait for the commit */
	size_t publishing;		/* deliveries that are being made visible */
	struct intake *intake;		/* somebody waits for the answer */
	struct report *report;		/* a bounce or notice is being handed in */
	bool committed;
	bool has_rows;
	bool wants_notice;
	bool removed;			/* by the administrator: nothing is tried or told any more */
};

/* Copies the record. The trace must not be active. */
struct message *message_new(struct queue *, const struct record *);
/* Not settled, not committed: as if it had never been. Deliveries are abandoned. */
void message_free(struct message *);
/* The active one, or from journal and rows. NULL: there is no such message (its rows are removed). */
struct message *message_load(struct queue *, struct str trace);
/* Its rows are in queue.db from now on (or will be after a resync). */
void message_need_rows(struct message *);
/* What came of recipient n, after the commit. The caller counts under_way, and calls message_settle at the end. */
void message_outcome(struct message *, uint32_t n, const struct answer *);
/* The keeper's verdict as an outcome (not for VERDICT_OK, which is no outcome yet). */
struct answer message_verdict_answer(enum verdict);
/* The attempt was cut short by us: again soon. */
void message_interrupted(struct message *, uint32_t n);
/* If nothing is under way: tells failures, ends the message, or puts it to rest. May free it. */
void message_settle(struct message *);
/* The administrator wants it gone. */
void message_remove(struct message *);

/* ---- intake.c ---- */

void intake_start(struct queue *);
bool intake_on_message(struct queue *, unsigned front, struct msg *);
void intake_on_front_lost(struct queue *, unsigned front);
/* The submit() of the queue's own process: body in memory. Answers from the loop; never refused by quota. */
void intake_submit(struct queue *, const struct envelope *, const struct credential *,
    const struct submit_options *, struct str body, submit_answered *, void *context);
/* A keeper gave its verdict; a keeper made its copy visible, or failed to. May free intake and message. */
void intake_on_verdict(struct intake *);
void intake_on_published(struct intake *);

/* ---- keepers.c ---- */

void keepers_start(struct queue *);
/* Has recipient n (LOCAL) delivered: its verdict first; published when the message is committed. */
void keepers_deliver(struct message *, uint32_t n, bool retry);
/* The message is committed now: what is prepared is published. */
void keepers_publish(struct message *);
/* Forgets all deliveries of the message. */
void keepers_abandon(struct message *);
bool keepers_on_message(struct queue *, enum role from, unsigned index, struct msg *);
void keepers_on_peer(struct queue *, enum role, unsigned index, struct str label);
void keepers_on_peer_lost(struct queue *, enum role, unsigned index);

/* ---- schedule.c ---- */

void schedule_start(struct queue *);
/* Something may be due, or there is room again. */
void schedule_soon(struct queue *);
void schedule_give_back(struct queue *, struct destination *);
bool schedule_on_message(struct queue *, unsigned courier, struct msg *);
void schedule_on_courier(struct queue *, unsigned courier);
void schedule_on_courier_lost(struct queue *, unsigned courier);
bool schedule_is_idle(const struct queue *);

/* ---- report.c ---- */

/* Tells the sender what failed; those recipients are DONE after that, or wait where it could not be told. */
void report_failures(struct message *);
void report_delay(struct message *);
