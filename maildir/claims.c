/* SPDX-License-Identifier: ISC */
/*
 * UIDs that a COPY or MOVE of many has taken: on the disk before the first name with one of them exists, and gone in the
 * transaction that adds the (last) rows. So a name with a claimed UID and no row is what one left that died - or is about to
 * get its row. What this process is about is known as live, and its files are left alone. Of another process nobody knows:
 * a scan first breaks the claim, and then removes the files; who finds its claim broken begins anew. It goes with
 * a later scan that finds no file of it. Kept among the index's own numbers as "claim MAILBOX FIRST": LAST, or -LAST where
 * it is broken.
 */
#include "maildir/private.h"

void
claim_hold(struct account *a, struct live_claim *claim, int64_t box)
{
	claim->box = box;
	claim->generation = a->generation;
	SLIST_INSERT_HEAD(&a->claims, claim, link);
}

void
claim_release(struct account *a, struct live_claim *claim)
{
	if (claim->box != 0)
		SLIST_REMOVE(&a->claims, claim, live_claim, link);
	claim->box = 0;
}

/* A rebuild gives other numbers to mailboxes, and knows of none. */
static bool
is_of(const struct account *a, const struct live_claim *claim, int64_t box)
{
	return claim->box == box && claim->generation == a->generation && !a->rebuilding;
}

bool
claims_are_live(const struct account *a, int64_t box)
{
	const struct live_claim *claim;

	SLIST_FOREACH(claim, &a->claims, link)
		if (is_of(a, claim, box))
			return true;
	return false;
}

bool
claim_is_live(const struct account *a, int64_t box, uint32_t uid)
{
	const struct live_claim *claim;

	SLIST_FOREACH(claim, &a->claims, link)
		if (is_of(a, claim, box) && uid >= claim->first && uid <= claim->last)
			return true;
	return false;
}

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
claim_check(struct account *a, int64_t box, uint32_t first, bool *good)
{
	scoped_buf key = BUF_INIT;
	int64_t last;
	enum store_result r;

	put_claim(&key, box, first);
	r = state_get(a, buf_z(&key), &last);
	*good = r == STORE_OK && last > 0;
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
	struct claim claim;
	struct str key;
	int64_t last;
	sqlite3_stmt *q;

	buf_clear(out);
	put_bounds(&from, &to, box);
	q = index_ask(a, Q_STATE_RANGE, BIND(V(buf_str(&from)), V(buf_str(&to))));
	while (index_row(a, q)) {
		key = index_text(q, 0);
		last = sqlite3_column_int64(q, 1);
		claim = (struct claim){ .last = (uint32_t)(last < 0 ? -last : last), .broken = last < 0 };
		if (str_to_u32(str_from(key, from.n), &claim.first) && !claim_is_live(a, box, claim.first))
			buf_put(out, (struct str){ (const char *)&claim, sizeof(claim) });
	}
	return index_end(a, q);
}

struct claim *
claims_find(struct buf *claims, uint32_t uid)
{
	struct claim *all = (struct claim *)(void *)claims->p;

	for (size_t i = 0; i < claims->n / sizeof(*all); i++)
		if (uid >= all[i].first && uid <= all[i].last)
			return &all[i];
	return NULL;
}

enum store_result
claims_break(struct account *a, int64_t box, const struct buf *claims)
{
	enum store_result r = STORE_OK;
	struct claim claim;

	for (size_t i = 0; r == STORE_OK && i < claims->n; i += sizeof(claim)) {
		scoped_buf key = BUF_INIT;

		memcpy(&claim, claims->p + i, sizeof(claim));
		put_claim(&key, box, claim.first);
		if (!claim.broken)
			r = state_put(a, buf_z(&key), -(int64_t)claim.last);
	}
	return r;
}

enum store_result
claims_drop_broken(struct account *a, int64_t box, const struct buf *claims)
{
	enum store_result r = STORE_OK;
	struct claim claim;

	for (size_t i = 0; r == STORE_OK && i < claims->n; i += sizeof(claim)) {
		memcpy(&claim, claims->p + i, sizeof(claim));
		if (claim.broken && !claim.seen)
			r = claim_drop(a, box, claim.first);
	}
	return r;
}

enum store_result
claims_drop(struct account *a, int64_t box)
{
	scoped_buf from = BUF_INIT, to = BUF_INIT;

	put_bounds(&from, &to, box);
	return index_do(a, Q_STATE_DROP, BIND(V(buf_str(&from)), V(buf_str(&to))));
}
