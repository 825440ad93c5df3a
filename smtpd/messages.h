/* SPDX-License-Identifier: ISC */
/* smtpd's own messages between its processes: who sends each, and its fields in order. */
#pragma once

#include "common/base/str.h"
#include "common/daemon/messages.h"

enum smtpd_message_type {
	/*
	 * front -> queue: one submission, in this order; `submission` is the front's number. smtpd/submit.c
	 * speaks the front's side, smtpd/intake.c the queue's.
	 */
	MSG_SUBMIT_BEGIN = MSG_SMTPD,	/* u64 submission, str trace, str sid, str hello, u8 credential_kind, str account, str peer, str sender, bool eight_bit, u64 size */
	MSG_SUBMIT_RECIPIENTS,	/* u64 submission, u32 count, count * (str given, u8 target_kind, str address); repeated */
	MSG_SUBMIT_BYTES,	/* u64 submission, str bytes; repeated */
	MSG_SUBMIT_END,		/* u64 submission */
	MSG_SUBMIT_ABANDON,	/* u64 submission: the client left; may cross the answer */
	MSG_SUBMIT_SEVERAL,	/* str message, repeated: any of these, one after the other */
	/* queue -> front; may come before END where the submission has failed already */
	MSG_SUBMIT_ANSWER,	/* u64 submission, u8 submit_result */

	/*
	 * queue -> keeper, one delivery: PREPARE, then PUBLISH or ABANDON. The message is `body`, or where that
	 * is longer than DELIVER_INLINE_MAX, what the descriptor holds.
	 */
	MSG_DELIVER_PREPARE,	/* u64 delivery, str trace, str sender, u64 size, u64 arrived, u8 again, str body; fd */
	MSG_DELIVER_PUBLISH,	/* u64 delivery */
	MSG_DELIVER_ABANDON,	/* u64 delivery */
	/*
	 * keeper -> queue. FILES comes before the first verdict: the descriptor of a file without a name on the
	 * mailbox's file system, opened before anything was written there. Whoever cannot make one says
	 * nothing and syncs by itself.
	 */
	MSG_DELIVER_FILES,	/* fd */
	MSG_DELIVER_VERDICT,	/* u64 delivery, u8 verdict */
	MSG_DELIVERED,		/* u64 delivery, u8 verdict: OK: visible; on disk when FILES is synced */

	/*
	 * queue -> courier: one transaction with one destination, a domain or "[address]" (of no weight where
	 * relay_host is set). The descriptor holds the message.
	 */
	MSG_ATTEMPT,		/* u64 job, str trace, str destination, str sender, bool eight_bit, u64 size, u32 count, count * str address; fd */
	/* courier -> queue: one for each recipient, in any order, then DONE */
	MSG_ATTEMPT_ANSWER,	/* u64 job, u32 n (0 .. count-1), u8 outcome, str status, str reply, str host, bool secure */
	MSG_ATTEMPT_DONE,	/* u64 job */
	/* courier -> queue: no more attempts to me, I end with the last one */
	MSG_COURIER_LEAVES,

	/* queue -> syncer, answered in the order asked; see smtpd/sync.h. same: the descriptor of the last time */
	MSG_SYNC,		/* u64 number, u8 kind, u64 size, bool same; fd unless same */
	/* syncer -> queue */
	MSG_SYNCED,		/* u64 number, u32 errno or 0 */
};

/* What the keeper may know of a delivery already. */
enum again {
	AGAIN_NO,		/* the first time */
	AGAIN_RETRY,		/* may have been published before */
	AGAIN_RENEW,		/* and what is there may be damaged: its file is written anew */
};

/* What a keeper says of a delivery. */
enum verdict {
	VERDICT_OK,
	VERDICT_FULL,		/* over quota */
	VERDICT_TRY_LATER,
	VERDICT_NO_ROOM,	/* the disk is full: later */
	VERDICT_REFUSED,	/* no such account (any more), or larger than the store takes */
};

/* What came of an attempt for one recipient. */
enum outcome {
	OUTCOME_SENT,		/* the other side took it */
	OUTCOME_DEFERRED,	/* passes, try again */
	OUTCOME_FAILED,		/* will not change */
};

struct answer {
	enum outcome outcome;
	struct str status;	/* "5.1.1" (RFC 3463) */
	struct str text;	/* the other side's reply with its code, or our own words */
	struct str host;	/* who said it; empty: this host */
	bool secure;		/* over TLS */
};

enum {
	/* Octets of text of the other side that are kept; longer is cut. */
	ANSWER_TEXT_MAX = 500,
	/* Octets of a message that go along in PREPARE itself. */
	DELIVER_INLINE_MAX = 64 * 1024,
};
