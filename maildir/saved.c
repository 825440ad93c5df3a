/* SPDX-License-Identifier: ISC */
/*
 * Save dates (RFC 8514): when a message came into the mailbox that it is in. The name of its file says so by its first
 * field, except of what was moved here, or put here by others: then the row does.
 */
#include "maildir/private.h"

static int64_t
internal_date(const struct folder *f, uint32_t uid)
{
	size_t at = folder_position(f, uid);

	return at < f->count && f->rows[at].uid == uid ? f->rows[at].internal_date : 0;
}

enum store_result
message_saved(struct mailbox *m, uint32_t uid, int64_t *out)
{
	struct account *a = m->folder->account;
	enum store_result r = folder_ready(m->folder);
	int64_t saved = 0;
	bool found = false;
	sqlite3_stmt *q;

	if (r != STORE_OK)
		return r;
	q = index_ask(a, Q_SAVED_GET, BIND(V(message_key(m->folder->box.number, uid))));
	while (index_row(a, q)) {
		found = true;
		saved = sqlite3_column_int64(q, 0);
		/* An index of before there were save dates may have a name that says none. */
		if (saved == 0 && !file_name_time(index_text(q, 1), &saved))
			saved = internal_date(m->folder, uid);
	}
	r = index_end(a, q);
	if (r == STORE_OK && found)
		*out = saved;
	return r != STORE_OK ? r : found ? STORE_OK : STORE_GONE;
}
