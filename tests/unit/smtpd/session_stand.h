/* SPDX-License-Identifier: ISC */
/*
 * A session of smtpd over a socket pair, the client and the other processes being played: session_fakes.c stands
 * where common/daemon and smtpd/submit.c would, session_stand.c is the client.
 */
#pragma once

#include "smtpd/smtpd.h"

enum where { AT_MX, AT_SUBMISSION, AT_SUBMISSION_PLAIN, FROM_RELAY, FROM_RELAY_AT_SUBMISSION };

struct world {
	struct settings settings;
	struct process process;
	/* what the fakes answer */
	enum submit_result submit_result;
	int64_t submit_ms;
	uint32_t failures;
	/* what came of it */
	unsigned accepted;
	unsigned abandoned;
	struct buf body;	/* of the last one handed in */
	struct buf envelope;	/* "sender > recipient recipient", credential */
	/* the client */
	int fd;
	size_t step;		/* octets it sends at a time */
	struct str script;
	bool hangs_up;		/* closes when all is sent and 354 has come */
	bool stays;		/* sends no end */
	struct watch *writer;
	struct watch *reader;
	struct buf replies;
};

extern struct world w;

/* Runs a session to its end, the client sending step octets at a time; the replies are in w.replies then. */
void talk(enum where, struct str script, size_t step);
