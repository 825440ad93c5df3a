/* SPDX-License-Identifier: ISC */
/*
 * The index made anew from the files: names have the UIDs and flags, trivet-mailbox has the
 * rest, and what was given out since is below its reserves.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "maildir/private.h"

/* Kept for whoever wants to know what happened; the one before it is not. */
static enum store_result
move_aside(struct account *a)
{
	for (size_t i = 0; i < countof(index_files); i++)
		if (files_is_planted(a->ours, index_files[i]) &&
		    !files_set_aside(&a->log, a->ours, index_files[i]))
			return files_failed(&a->log, "move aside", str_of(index_files[i]));
	if (files_is_planted(a->ours, "index.db.broken"))
		(void)!files_set_aside(&a->log, a->ours, "index.db.broken");
	if (renameat(a->ours, "index.db", a->ours, "index.db.broken") != 0 && errno != ENOENT)
		return files_failed(&a->log, "move aside", STR("index.db"));
	/* A log of another database would be played into the new one. */
	unlinkat(a->ours, "index.db-wal", 0);
	unlinkat(a->ours, "index.db-shm", 0);
	return STORE_OK;
}

enum store_result
rebuild_index(struct account *a)
{
	int64_t start = clock_monotonic_ms();
	bool first = faccessat(a->dir, "trivet-mailbox", F_OK, AT_SYMLINK_NOFOLLOW) != 0;
	enum store_result r = move_aside(a);

	if (r == STORE_OK)
		r = index_create(a);
	if (r == STORE_OK) {
		a->rebuilding = true;
		r = tree_sync(a);
		a->rebuilding = false;
		r = txn_end(a, r);
	}
	a->generation++;
	if (r == STORE_OK && !first)
		log_warn(&a->log, "index-rebuilt", KV("ms", clock_monotonic_ms() - start));
	return r;
}

/* The file was synced before any number below its reserves was given out; the row that says the same may be lost. */
static enum store_result
believe_reserves(struct account *a, const struct place *place, struct box *box)
{
	scoped_control c = { 0 };
	enum store_result r = control_read(&a->log, place->dir, &c);

	if (r != STORE_OK)
		return r;
	if (c.uid_reserve > box->uid_reserve)
		box->uid_reserve = c.uid_reserve;
	if (c.modseq_reserve > box->modseq_reserve)
		box->modseq_reserve = c.modseq_reserve;
	return index_do(a, Q_BOX_RESERVE, BIND(V(box->uid_reserve),
	    V((int64_t)box->modseq_reserve), V(box->number)));
}

static enum store_result
renew_box(struct account *a, int64_t number, const struct place *place)
{
	scoped_box box = BOX_NONE;
	uint64_t modseq;
	enum store_result r = box_get(a, number, &box);

	if (r == STORE_OK)
		r = believe_reserves(a, place, &box);
	if (r != STORE_OK)
		return r;
	if (box.uid_next < box.uid_reserve)
		box.uid_next = box.uid_reserve;
	box.modseq = box.modseq_reserve;
	r = box_take_modseq(a, &box, &modseq);
	if (r == STORE_OK)
		r = index_do(a, Q_MESSAGES_TOUCH, BIND(V((int64_t)modseq),
		    V(message_key(number, 0)), V(message_key(number, UINT32_MAX))));
	if (r == STORE_OK)
		r = vanished_forget(a, &box);
	return r == STORE_OK ? box_save_counts(a, &box) : r;
}

enum store_result
rebuild_after_boot(struct account *a)
{
	scoped_buf numbers = BUF_INIT;
	enum store_result r = box_numbers(a, &numbers);
	int64_t number;

	log_warn(&a->log, "unclean-boot");
	for (size_t i = 0; r == STORE_OK && i < numbers.n; i += sizeof(number)) {
		scoped_box box = BOX_NONE;
		scoped_place place = PLACE_CLOSED;

		memcpy(&number, numbers.p + i, sizeof(number));
		r = box_get(a, number, &box);
		if (r == STORE_OK)
			r = place_open(a, buf_str(&box.name), &place);
		/* First, so that what is found without a number gets one that nobody ever had. */
		if (r == STORE_OK)
			r = txn_begin(a);
		if (r == STORE_OK)
			r = txn_end(a, renew_box(a, number, &place));
		if (r == STORE_OK)
			r = scan_mailbox(a, number, &place, SCAN_TRUST_UIDS);
		/* Broken: logged. The other mailboxes go on. */
		if (r == STORE_GONE || r == STORE_NO_SUCH || r == STORE_BROKEN)
			r = STORE_OK;
	}
	return r;
}
