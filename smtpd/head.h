/* SPDX-License-Identifier: ISC */
/*
 * A message's header section on its way through: counts Received fields, sees whether Date and
 * Message-ID are there, can add what is missing at its end (RFC 6409 8.2, 8.3), and remembers what the
 * log is to say of the message. Everything else passes untouched. Pure and incremental: any chopping gives the same result.
 */
#pragma once

#include "common/base/buf.h"

enum { HEAD_VALUE_MAX = 2048 };

struct head {
	enum head_at { HEAD_AT_START, HEAD_AT_LINE, HEAD_AT_TEXT, HEAD_AT_BODY } at;
	uint32_t received;	/* Received fields seen */
	bool has_date;
	bool has_message_id;
	struct str add_date;	/* whole lines with CRLF to add where the field is missing; empty: do not */
	struct str add_message_id;	/* both live as long as the head */
	struct buf held;	/* the beginning of a line, until it is known what it is */
	enum head_keep { HEAD_KEEP_NOTHING, HEAD_KEEP_ID, HEAD_KEEP_SUBJECT } keep;	/* of the field that comes */
	struct buf message_id;	/* the first field's value as it stands, HEAD_VALUE_MAX octets at most */
	struct buf subject;	/* likewise */
};
#define HEAD_INIT ((struct head){ 0 })

/* Appends the octets that may pass now. After head_is_over it copies only: the caller need not come by here. */
void head_take(struct head *, struct str bytes, struct buf *out);
bool head_is_over(const struct head *);
/* The message has ended: passes what was held, and ends the header section if it has not ended. */
void head_end(struct head *, struct buf *out);
void head_free(struct head *);
