/* SPDX-License-Identifier: ISC */
/* Usage against the limits; the sums are exact, being kept in the rows of the mailboxes. */
#include "maildir/private.h"

enum store_result
account_usage(struct account *a, struct usage *out)
{
	enum store_result r = index_alive(a);
	struct usage u = { .quota_bytes = a->quota_bytes, .quota_messages = a->quota_messages };
	sqlite3_stmt *q;

	if (r != STORE_OK)
		return r;
	q = index_ask(a, Q_USAGE, BIND());
	while (index_row(a, q)) {
		u.bytes = (uint64_t)sqlite3_column_int64(q, 0);
		u.messages = (uint64_t)sqlite3_column_int64(q, 1);
	}
	r = index_end(a, q);
	if (r == STORE_OK)
		*out = u;
	return r;
}

void
account_set_quota(struct account *a, uint64_t bytes, uint64_t messages)
{
	a->quota_bytes = bytes;
	a->quota_messages = messages;
}

static bool
fits(uint64_t used, uint64_t more, uint64_t limit)
{
	return limit == 0 || more == 0 || (more <= limit && used <= limit - more);
}

enum store_result
quota_check(struct account *a, uint64_t bytes, uint64_t messages)
{
	struct usage u;
	enum store_result r;

	if (a->quota_bytes == 0 && a->quota_messages == 0)
		return STORE_OK;
	r = account_usage(a, &u);
	if (r == STORE_OK && (!fits(u.bytes, bytes, u.quota_bytes) ||
	    !fits(u.messages, messages, u.quota_messages)))
		r = STORE_OVER_QUOTA;
	return r;
}
