/* SPDX-License-Identifier: ISC */
/* A front's questions: who is this, does this recipient exist; and the hand-over of a session to its keeper. */
#pragma once

#include "common/daemon/process.h"
#include "common/net/stream.h"

enum login_result {
	LOGIN_OK,
	LOGIN_WRONG,		/* no such user, wrong password, disabled: never told apart */
	LOGIN_UNAVAILABLE,	/* passes, try again */
	LOGIN_TOO_MANY,		/* too many wrong ones lately from this address */
};

enum recipient_result {
	RECIPIENT_OK,		/* targets follow */
	RECIPIENT_NO_SUCH,	/* our domain, no such address */
	RECIPIENT_NOT_OURS,	/* another domain */
	RECIPIENT_FULL,		/* the mailbox is full; its target follows, for what cannot be refused */
	RECIPIENT_UNAVAILABLE,	/* passes, try again */
};

enum target_kind { TARGET_LOCAL, TARGET_REMOTE };

/* One final recipient behind an address, aliases expanded. */
struct target {
	enum target_kind kind;
	struct str address;	/* LOCAL: the account's address, its key */
};

/* ---- asking (at most one question of a session in flight) ---- */

struct question;

struct login_question {
	struct str sid;
	const struct net_address *peer;
	bool secure;
	struct str authzid;	/* may be empty */
	struct str authcid;
	struct str password;	/* wiped by the caller */
};

/*
 * address: the account's canonical one. keeper_fd: with LOGIN_OK in imapd and pop3d the stream to the keeper, owned by
 * the callee; else -1. Never called from inside login_ask. Slow on purpose after wrong passwords.
 */
typedef void login_answered(void *context, enum login_result, struct str address, int keeper_fd);
struct question *login_ask(struct process *, const struct login_question *, login_answered *,
    void *context);

typedef void recipient_answered(void *context, enum recipient_result, const struct target *,
    size_t count);
/* size: octets that are to come, 0 where nobody said; RECIPIENT_FULL tells that they do not fit. */
struct question *recipient_ask(struct process *, struct str address, uint64_t size,
    recipient_answered *, void *context);

/* The asker is gone: no call any more. Takes NULL. */
void question_cancel(struct question *);

/* Feed every message of the process here first (front.h does); true: it was ours (*ok false: it was bad). */
bool login_on_message(struct process *, enum role from, struct msg *, bool *ok);
/* Every peer that comes or goes: questions open when auth dies are answered UNAVAILABLE. */
void login_on_peer(struct process *, enum role, unsigned index);
void login_on_peer_lost(struct process *, enum role, unsigned index);
/* At the end of the process. */
void login_forget(struct process *);

/* ---- handing over ---- */

/*
 * Gives the session to the keeper: plaintext: the client's descriptor itself; TLS: bytes are pumped from now on.
 * Takes over both; `ended` is called once when the session is over.
 */
struct handover;
struct handover *handover_new(struct process *, struct stream *client, int keeper_fd,
    struct str sid, struct str hello, loop_call *ended, void *context);
/* Ends it now (the daemon stops); `ended` is not called. */
void handover_free(struct handover *);
