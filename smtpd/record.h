/* SPDX-License-Identifier: ISC */
/* What the journal keeps of a message besides its octets: the envelope and who handed it in. Pure. */
#pragma once

#include "common/base/arena.h"
#include "smtpd/submit.h"

enum { FINGERPRINT_SIZE = 16 };

/* A final recipient: what is tried, retried and reported by itself. */
struct record_recipient {
	enum target_kind kind;
	struct str given;	/* as in RCPT */
	struct str address;	/* LOCAL: the account's; REMOTE: where to send */
};

struct record {
	struct str trace;
	struct str sender;
	enum credential_kind credential;
	struct str account;
	struct str peer;
	int64_t arrived;	/* clock_now at MAIL */
	bool eight_bit;
	const struct record_recipient *recipients;
	size_t count;
	/* Set by the journal, not part of the text: */
	uint64_t size;		/* octets of the body */
	char fingerprint[FINGERPRINT_SIZE];	/* see fingerprint.h; zeros: none */
};

void record_put(struct buf *out, const struct record *);
/* Views into text, recipients in the arena. False: not a record. */
must_check bool record_get(struct str text, struct arena *, struct record *out);
