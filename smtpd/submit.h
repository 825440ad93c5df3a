/* SPDX-License-Identifier: ISC */
/*
 * submit(envelope, credential, options, body): the one door for everything that hands in mail. A front
 * uses the functions below, which stream the body to the queue as it comes; inside the queue
 * the same door takes a body in memory (intake_submit of smtpd/queue.h). Accepted means: in the journal and the
 * journal on disk; local copies are visible already where their keepers were quick.
 */
#pragma once

#include "common/daemon/login.h"
#include "common/daemon/process.h"

/* One recipient of the envelope and what it came to: its targets, as recipient_ask gave them. */
struct envelope_recipient {
	struct str given;		/* the address of RCPT TO, without brackets */
	const struct target *targets;	/* at least one; the same one twice gets one copy */
	size_t target_count;
};

struct envelope {
	struct str sender;		/* without brackets; empty: the null sender */
	const struct envelope_recipient *recipients;
	size_t count;
	bool eight_bit;			/* BODY=8BITMIME */
	uint64_t size;			/* octets to come as declared, 0: not known */
};

/* By what right it was handed in. Kept in the queue's row. */
enum credential_kind {
	CREDENTIAL_NONE,	/* a stranger, to our own recipients or relay_domains */
	CREDENTIAL_ACCOUNT,	/* logged in as .account */
	CREDENTIAL_NETWORK,	/* from one of relay_networks */
	CREDENTIAL_INTERNAL,	/* made by the server: a bounce */
};

struct credential {
	enum credential_kind kind;
	struct str account;	/* ACCOUNT: its address */
	struct str peer;	/* the client's address, text; empty: INTERNAL */
};

struct submit_options {
	struct str trace;	/* ID_LENGTH characters of id_put_new, new for each message */
	struct str sid;		/* for the log; may be empty */
	struct str hello;	/* for the log; may be empty */
};

enum submit_result {
	SUBMIT_OK,
	SUBMIT_TRY_LATER,	/* could not be kept now: 451 4.3.0 */
	SUBMIT_NO_ROOM,		/* the disk is full: 452 4.3.1 */
	SUBMIT_FULL,		/* every recipient is over quota: 552 5.2.2 */
	SUBMIT_REFUSED,		/* every recipient is refused, 554 5.7.1 */
	SUBMIT_TOO_LARGE,	/* more octets than message_size_limit: 552 5.3.4 */
};

enum {
	SUBMIT_CHUNK = 32 * 1024,	/* octets of body in one message */
	SUBMIT_TARGETS_MAX = 10000,	/* of one envelope, aliases expanded; more is refused */
	SUBMIT_SENDER_MAX = 1024,	/* octets of an address */
};

struct submission;

/* There is room again. */
typedef void submit_drained(void *context, struct submission *);
/* The submission has been freed already. */
typedef void submit_answered(void *context, enum submit_result);

/*
 * Copies what it needs. Never fails: what goes wrong is told by submit_end. body bytes are the message as it is to
 * lie in the mailbox below Return-Path and Delivered-To: our Received line first, CRLF line ends, no dots.
 */
struct submission *submit_begin(struct process *, const struct envelope *,
    const struct credential *, const struct submit_options *, submit_drained *, void *context);
void submit_write(struct submission *, struct str bytes);
/* The queue does not keep up: write no more until `drained`. */
bool submit_is_full(struct submission *);
/* The body is complete. Calls `answered` once, never from inside; until then it may still be abandoned. */
void submit_end(struct submission *, submit_answered *, void *context);
/* The client left, or its data was bad: no call any more. Takes NULL. */
void submit_abandon(struct submission *);

/* A front feeds these from its frame: every peer, message and loss. on_message true: it was ours (*ok false: bad). */
void submit_on_peer(struct process *, enum role, unsigned index);
bool submit_on_message(struct process *, enum role from, struct msg *, bool *ok);
void submit_on_drained(struct process *, enum role);
void submit_on_peer_lost(struct process *, enum role);

/* ---- the other rooms of smtpd, for main.c's struct service ---- */

void queue_start(struct process *);
void courier_start(struct process *);
void syncer_start(struct process *);
void deliver_keeper_start(struct process *, const struct keeper_grant *, int maildir_fd);
