/* SPDX-License-Identifier: ISC */
/*
 * Rows for who opens one message after the other: a statement for many of them, not one for each. Invariant: of an
 * index made anew nothing is kept, and what is kept is never wrong but for a name.
 */
#include "maildir/private.h"

void
rows_ahead_forget(struct account *a)
{
	struct rows_ahead *ahead = &a->rows_ahead;

	buf_free(&ahead->bytes);
	ahead->box = 0;
	ahead->count = ahead->next = 0;
}

/* Columns: key, size, internal_date, name_flags, base, no_nul. */
static void
take_row(struct rows_ahead *ahead, sqlite3_stmt *q)
{
	size_t i = ahead->count++;

	ahead->rows[i].uid = key_uid(sqlite3_column_int64(q, 0));
	ahead->rows[i].size = (uint32_t)sqlite3_column_int64(q, 1);
	ahead->rows[i].internal_date = sqlite3_column_int64(q, 2);
	ahead->rows[i].no_nul = sqlite3_column_int(q, 5) != 0;
	ahead->rows[i].letters = ahead->bytes.n;
	buf_put(&ahead->bytes, index_text(q, 3));
	ahead->rows[i].base = ahead->bytes.n;
	buf_put(&ahead->bytes, index_text(q, 4));
	ahead->rows[i].end = ahead->bytes.n;
}

static bool
read_ahead(struct account *a, uint32_t uid)
{
	struct rows_ahead *ahead = &a->rows_ahead;
	sqlite3_stmt *q = index_ask(a, Q_MESSAGE_AHEAD, BIND(V(message_key(ahead->box, uid)),
	    V(message_key(ahead->box, UINT32_MAX)), V(AHEAD_MESSAGES)));

	ahead->count = ahead->next = 0;
	buf_clear(&ahead->bytes);
	while (ahead->count < AHEAD_MESSAGES && index_row(a, q))
		take_row(ahead, q);
	if (index_end(a, q) == STORE_OK)
		return true;
	ahead->count = 0;
	return false;
}

static bool
take_ahead(struct rows_ahead *ahead, uint32_t uid, struct message_row *out)
{
	struct str bytes = buf_str(&ahead->bytes);
	size_t i;

	while (ahead->next < ahead->count && ahead->rows[ahead->next].uid < uid)
		ahead->next++;
	i = ahead->next;
	if (i == ahead->count || ahead->rows[i].uid != uid)
		return false;
	out->uid = uid;
	out->size = ahead->rows[i].size;
	out->internal_date = ahead->rows[i].internal_date;
	out->no_nul = ahead->rows[i].no_nul;
	buf_clear(&out->letters);
	buf_put(&out->letters, str_sub(bytes, ahead->rows[i].letters, ahead->rows[i].base - ahead->rows[i].letters));
	buf_clear(&out->base);
	buf_put(&out->base, str_sub(bytes, ahead->rows[i].base, ahead->rows[i].end - ahead->rows[i].base));
	return !str_has_char(buf_str(&out->base), '/');
}

enum store_result
message_get_next(struct account *a, int64_t box, uint32_t uid, struct message_row *out)
{
	struct rows_ahead *ahead = &a->rows_ahead;
	bool same = ahead->box == box && ahead->generation == a->generation;
	bool walks = same && uid > ahead->asked && uid - ahead->asked <= AHEAD_MESSAGES;

	if (!walks)
		rows_ahead_forget(a);
	ahead->box = box;
	ahead->generation = a->generation;
	ahead->asked = uid;
	if (walks && (take_ahead(ahead, uid, out) || (ahead->next == ahead->count && read_ahead(a, uid) &&
	    take_ahead(ahead, uid, out))))
		return STORE_OK;
	return message_get(a, box, uid, out);
}
