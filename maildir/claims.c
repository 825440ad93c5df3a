/* SPDX-License-Identifier: ISC */
/*
 * UIDs that a COPY or MOVE of many has taken: committed before the first name with one of them exists, and gone in the
 * transaction that adds the rows. So a name with a claimed UID and no row is what one left that died, and nobody
 * was told of it. Kept among the index's own numbers as "claim MAILBOX FIRST": LAST.
 */
#include "maildir/private.h"

static void
put_key(struct buf *out, int64_t box)
{
	buf_put_z(out, "claim ");
	buf_put_u64(out, (uint64_t)box);
}

static void
put_claim(struct buf *out, int64_t box, uint32_t first)
{
	put_key(out, box);
	buf_put_c(out, ' ');
	buf_put_u64(out, first);
}

enum store_result
claim_make(struct account *a, int64_t box, uint32_t first, uint32_t last)
{
	scoped_buf key = BUF_INIT;

	put_claim(&key, box, first);
	return state_put(a, buf_z(&key), last);
}

enum store_result
claim_check(struct account *a, int64_t box, uint32_t first, bool *there)
{
	scoped_buf key = BUF_INIT;
	int64_t last;
	enum store_result r;

	put_claim(&key, box, first);
	r = state_get(a, buf_z(&key), &last);
	*there = r == STORE_OK && last != 0;
	return r;
}

enum store_result
claim_drop(struct account *a, int64_t box, uint32_t first)
{
	scoped_buf key = BUF_INIT;

	put_claim(&key, box, first);
	return index_do(a, Q_STATE_DROP, BIND(V(buf_str(&key)), V(buf_str(&key))));
}

/* All keys of one mailbox lie between its number with ' ' and with the character behind that. */
static void
put_bounds(struct buf *from, struct buf *to, int64_t box)
{
	put_key(from, box);
	put_key(to, box);
	buf_put_c(from, ' ');
	buf_put_c(to, ' ' + 1);
}

enum store_result
claims_get(struct account *a, int64_t box, struct buf *out)
{
	scoped_buf from = BUF_INIT, to = BUF_INIT;
	struct uid_range range;
	struct str key;
	sqlite3_stmt *q;

	buf_clear(out);
	put_bounds(&from, &to, box);
	q = index_ask(a, Q_STATE_RANGE, BIND(V(buf_str(&from)), V(buf_str(&to))));
	while (index_row(a, q)) {
		key = index_text(q, 0);
		range.last = (uint32_t)sqlite3_column_int64(q, 1);
		if (str_to_u32(str_from(key, from.n), &range.first))
			buf_put(out, (struct str){ (const char *)&range, sizeof(range) });
	}
	return index_end(a, q);
}

bool
claims_have(const struct buf *claims, uint32_t uid)
{
	struct uid_range range;

	for (size_t i = 0; i < claims->n; i += sizeof(range)) {
		memcpy(&range, claims->p + i, sizeof(range));
		if (uid >= range.first && uid <= range.last)
			return true;
	}
	return false;
}

enum store_result
claims_drop(struct account *a, int64_t box)
{
	scoped_buf from = BUF_INIT, to = BUF_INIT;

	put_bounds(&from, &to, box);
	return index_do(a, Q_STATE_DROP, BIND(V(buf_str(&from)), V(buf_str(&to))));
}
