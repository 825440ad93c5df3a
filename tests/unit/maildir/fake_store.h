/* SPDX-License-Identifier: ISC */
/*
 * As much of a store as search asks for, in memory: it counts what is read, and fails
 * when told to.
 */
#pragma once

#include "maildir/store.h"

enum { FAKE_MESSAGES_MAX = 700 };

struct fake_message {
	struct message row;		/* .seq and .size are set by fake_add */
	struct buf bytes;
	enum store_result fault;	/* of reading it */
	unsigned header_reads, body_reads, fact_reads;
	int64_t saved;
	char content_digit, thread_digit;	/* of which its ids are */
	char email_id[FACT_ID_LENGTH], thread_id[FACT_ID_LENGTH];
};

struct mailbox {
	struct fake_message *messages[FAKE_MESSAGES_MAX];
	size_t count;
	struct str keywords[KEYWORDS_MAX];
	size_t keyword_count;
	unsigned open_contents;
	bool in_doubt;
};

struct mailbox *fake_new(void);
void fake_free(struct mailbox *);
/* Takes the bytes over. Uids are 10, 20, 30 ... until the caller sets another. */
struct fake_message *fake_add(struct mailbox *, struct buf bytes);
