/* SPDX-License-Identifier: ISC */
/*
 * What the files of `trivet why` share: the events of one message, or of one connection that handed none in,
 * as trace.db has them, and what came of each recipient. All of it lies in one arena.
 */
#pragma once

#include <sqlite3.h>

#include "common/base/arena.h"
#include "ctl/ctl.h"

struct why_field {
	struct str key;
	struct str value;
};

struct why_event {
	int64_t id;
	int64_t at_ms;
	struct str word;
	struct str trace;	/* empty: of the connection */
	struct str a, b;	/* what it is found by */
	const struct why_field *fields;
	size_t field_count;
};

enum why_state {
	WHY_ASKED,		/* RCPT was accepted, nothing came of it here */
	WHY_REFUSED,		/* at RCPT */
	WHY_ON_ITS_WAY,
	WHY_WAITING,		/* for next_at_ms */
	WHY_DELIVERED,		/* into a mailbox here */
	WHY_RELAYED,		/* another server took it */
	WHY_FAILED,
	WHY_EXPIRED,
	WHY_REMOVED,
	WHY_STATE_COUNT
};

struct why_recipient {
	struct str address;	/* where it goes in the end */
	struct str given;	/* in RCPT; empty: not known */
	enum why_state state;
	struct str host, status, answer;	/* who said what last; may be empty */
	struct str folder, uid;
	uint32_t attempts;
	int64_t next_at_ms;
	bool secure;
	bool told;		/* the sender got a report */
};

/* A message, or (trace empty) a connection. */
struct why_story {
	struct str trace, sid;
	const struct why_event *events;	/* of the message and of its connection, in their order */
	size_t count;
	struct why_recipient *recipients;
	size_t recipient_count;
	const struct why_event *connected, *hello, *secure, *login;	/* NULL: there was none */
	const struct why_event *headers, *submitted, *sender;
	const struct why_event *refusal;	/* why nothing was taken, where there is one such reason */
};

/* ---- why_facts.c ---- */

/* The value of a key; empty where there is none. */
struct str why_value(const struct why_event *, const char *key);
uint64_t why_number(const struct why_event *, const char *key);
bool why_is(const struct why_event *, const char *word);
/* What the database has of the message with this trace, or else of this connection. False after telling why not. */
must_check bool why_load(sqlite3 *, struct arena *, struct str trace, struct str sid, struct why_story *);
/* Does it say anything that the connection's messages do not say themselves? */
bool why_is_worth_telling(const struct why_story *);
const char *why_state_word(enum why_state);

/* ---- why_words.c ---- */

void why_print(const struct why_story *);
json_t *why_json(const struct why_story *);
