/* SPDX-License-Identifier: ISC */
/*
 * Transactions of the index. Invariant: none outlives the public function that began it, and where one cannot be ended
 * the index is closed, so that nobody is kept out and nobody is shown what never was.
 */
#include "maildir/private.h"

enum store_result
txn_begin(struct account *a)
{
	enum store_result r = index_alive(a);

	if (r == STORE_OK && a->rebuilding)
		return STORE_OK;
	return r == STORE_OK ? index_do(a, Q_BEGIN, BIND()) : r;
}

/* Not in a transaction. SQLite does this when the statement is made, so it cannot be kept. */
static enum store_result
set_syncs(struct account *a, bool on)
{
	int code = sqlite3_exec(a->db, on ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", NULL,
	    NULL, NULL);

	a->syncs = on && code == SQLITE_OK;
	return code == SQLITE_OK ? STORE_OK : index_failed(a, code, "synchronous");
}

static void
stop_syncs(struct account *a)
{
	if (a->syncs && a->db != NULL)
		(void)!set_syncs(a, false);
	a->syncs = false;
}

enum store_result
txn_begin_durable(struct account *a)
{
	enum store_result r = index_alive(a);

	if (r == STORE_OK && !a->rebuilding)
		r = set_syncs(a, true);
	if (r == STORE_OK)
		r = txn_begin(a);
	if (r != STORE_OK)
		stop_syncs(a);
	return r;
}

enum store_result
txn_commit(struct account *a)
{
	enum store_result r;

	if (a->rebuilding)
		return STORE_OK;
	r = index_do(a, Q_COMMIT, BIND());
	if (r != STORE_OK) {
		txn_rollback(a);
		return r;
	}
	a->unreadable_since = 0;
	stop_syncs(a);
	return STORE_OK;
}

void
txn_rollback(struct account *a)
{
	if (a->rebuilding || a->db == NULL)
		return;
	/*
	 * Some failures have ended the transaction already. One that stayed open would keep everybody else out, and
	 * show us what never was.
	 */
	if (!sqlite3_get_autocommit(a->db) && index_do(a, Q_ROLLBACK, BIND()) != STORE_OK &&
	    !sqlite3_get_autocommit(a->db))
		index_close(a);
	stop_syncs(a);
}

enum store_result
txn_end(struct account *a, enum store_result r)
{
	if (r == STORE_OK)
		return txn_commit(a);
	txn_rollback(a);
	return r;
}
