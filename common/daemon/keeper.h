/* SPDX-License-Identifier: ISC */
/*
 * The keeper's frame: one process for one account, given that account's directory. Sessions arrive
 * from the front; what the store wants to have done in between is done here. The daemon adds the protocol.
 */
#pragma once

#include <sys/types.h>

#include "common/daemon/process.h"
#include "common/net/stream.h"

struct keeper_grant {
	struct str address;
	struct str maildir;	/* absolute path */
	uid_t uid;		/* (uid_t)-1: stay who we are */
	gid_t gid;
	uint64_t quota_bytes;
	uint64_t quota_messages;
};

void msg_put_grant(struct buf *, const struct keeper_grant *);
/* Views into the message. */
struct keeper_grant msg_get_grant(struct msg *);

/* A session that has logged in. All views live until the call returns. */
struct session_start {
	struct str sid;
	struct str peer;	/* the client's address, text */
	struct str hello;	/* from the front: imapd: the tag of the command that logged in */
	bool secure;		/* the client's side is TLS */
	bool over_limit;	/* more than sessions_per_user: say so and end */
	struct stream *stream;	/* owned by the session; input that came early is in it. No handler yet */
	struct lease *lease;	/* owned by the session: lease_free when it ends */
};

void lease_free(struct lease *);

struct keeper_frame {
	/* Called with each new session. */
	void (*session)(struct process *, const struct session_start *);
	/* account_event_fd and what to call; see maildir/store.h. */
	int event_fd;
	void (*on_event)(struct process *);
	bool (*work)(struct process *);
	int (*work_due_ms)(struct process *);
	/* After work: is nothing to be done for a while? Then memory is given back: there are many keepers. */
	bool (*rests)(struct process *);
	/* The account's limits changed since it was opened. */
	void (*quota)(struct process *, uint64_t bytes, uint64_t messages);
	/* Role's own messages (from ROLE_QUEUE). May be NULL. */
	bool (*on_message)(struct process *, enum role from, unsigned index, struct msg *);
	void (*on_peer_lost)(struct process *, enum role, unsigned index);
	/* The keeper ends: idle for a minute, or SIGTERM. End sessions (BYE), close the account. */
	void (*closing)(struct process *);
	/* Is there something under way besides sessions (deliveries)? May be NULL. */
	bool (*is_busy)(struct process *);
};

/* Called once by keeper_start. The frame must outlive the process. */
void keeper_run(struct process *, const struct keeper_frame *);
/* The account cannot be used: asks to end as soon as nothing is under way, so that a new keeper tries again. */
void keeper_leave(struct process *);
/* After anything that may have changed the store: has the work done soon. */
void keeper_work_soon(struct process *);
/* After what may have woken an account that rested: then work is due again. */
void keeper_work_if_woken(struct process *);
/* Tells auth what the account holds now. */
void keeper_report_usage(struct process *, uint64_t bytes, uint64_t messages,
    uint64_t quota_bytes, uint64_t quota_messages);
