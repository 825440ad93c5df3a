/* SPDX-License-Identifier: ISC */
/*
 * What we know may be older than what clients were told: the machine went down, or a backup was put back. Then no UID
 * and no modseq is given out that may have been given before (RFC 3501 2.3.1.1, RFC 7162 3.1): numbering goes on above
 * the reserve in trivet-mailbox; and where that is a copy too, so far above that nothing given since the copy was made
 * can be there. A copy is known by what the file says of itself (files_identity).
 *
 *   index      trivet-mailbox   numbering goes on            UIDs in names of files without a row
 *   ours       ours             where it was                 new ones
 *   ours       a copy           where it was; the file is written anew
 *   a copy     ours             above the reserve            are believed: this mailbox gave them
 *   a copy     a copy           far above                    new ones: nobody knows which mailbox gave them
 *   lost       ours             above the reserve            are believed
 *   lost       a copy           under a new UIDVALIDITY: the files may be those of two mailboxes of this name
 *
 * A mere move of the account thus leaves clients what they have; they look at all flags once.
 */
#include "common/base/clock.h"
#include "maildir/private.h"

enum { UIDVALIDITY_JUMP = 1 << 16 };

/* 2^40; IMAP's go up to 2^63 - 1. */
static const uint64_t modseq_jump = (uint64_t)1 << 40;

static uint64_t
larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Where many folders are made at once, theirs run ahead of the clock; and nobody knows of those that were lost. */
static enum store_result
jump_validity(struct account *a, uint32_t above, uint32_t *out)
{
	int64_t last;
	enum store_result r = state_get(a, "uidvalidity", &last);
	uint64_t next;

	if (r != STORE_OK)
		return r;
	next = larger(above, larger((uint64_t)last, (uint64_t)clock_now())) + UIDVALIDITY_JUMP;
	if (next > UINT32_MAX)
		return STORE_FULL;
	*out = (uint32_t)next;
	return state_put(a, "uidvalidity", (int64_t)next);
}

enum store_result
renew_validities(struct account *a)
{
	return jump_validity(a, 0, &(uint32_t){ 0 });
}

enum store_result
renew_validity(struct account *a, struct box *b)
{
	enum store_result r = jump_validity(a, b->uidvalidity, &b->uidvalidity);

	return r == STORE_OK ? index_do(a, Q_BOX_IDENTITY, BIND(V(str_of(b->id)), V(b->uidvalidity),
	    V(b->number))) : r;
}

static enum store_result
jump(struct account *a, struct box *b, uint64_t *uid_next, uint64_t *modseq)
{
	uint64_t before = *uid_next;
	/* Else another UIDVALIDITY, under which no number was ever given. */
	bool room = before + UID_JUMP + UID_RESERVE_STEP < UINT32_MAX;
	enum store_result r = room ? STORE_OK : renew_validity(a, b);

	if (room)
		*uid_next += UID_JUMP;
	*modseq += modseq_jump;
	if (r == STORE_OK)
		log_warn(&a->log, "numbers-jump", KV("mailbox", buf_str(&b->name)), KV("uidvalidity", b->uidvalidity),
		    KV("from", before), KV("to", *uid_next), KV("why", "trivet-mailbox is a copy, from a backup or "
		    "another place: UIDs go on far above those that may have been given since it was made"));
	return r;
}

enum store_result
renew_box(struct account *a, struct box *b, const struct control *c)
{
	uint64_t uid_next = larger(b->uid_next, larger(b->uid_reserve, c->uid_reserve));
	uint64_t modseq = larger(b->modseq, larger(b->modseq_reserve, c->modseq_reserve));
	enum store_result r = STORE_OK;

	if (c->copied)
		r = jump(a, b, &uid_next, &modseq);
	if (r == STORE_OK && uid_next + UID_RESERVE_STEP > UINT32_MAX) {
		log_error(&a->log, "uids-used-up", KV("mailbox", buf_str(&b->name)));
		uid_next = UINT32_MAX - UID_RESERVE_STEP;
	}
	if (r == STORE_OK)
		r = box_renew(a, b, (uint32_t)uid_next, modseq + 1);
	if (r == STORE_OK)
		r = index_do(a, Q_MESSAGES_TOUCH, BIND(V((int64_t)b->modseq), V(message_key(b->number, 0)),
		    V(message_key(b->number, UINT32_MAX))));
	if (r == STORE_OK)
		r = snapshot_file_drop(a, b->number);
	return r == STORE_OK ? vanished_forget(a, b) : r;
}

/* ---- all mailboxes of an account ---- */

static bool
is_of(const struct control *c, const struct box *b)
{
	return str_eq(str_of(c->id), str_of(b->id)) && c->uidvalidity == b->uidvalidity;
}

/*
 * The directory is another mailbox's than the index thinks, which is a copy from before a folder was deleted and made
 * again, say. The file is the mailbox; but where it is a copy as well, nobody can say whose messages these are, and it
 * becomes a new one.
 */
static enum store_result
part(struct account *a, const struct box *b, const struct place *place, const struct control *c)
{
	enum store_result r = tree_drop_box(a, b->number);

	log_warn(&a->log, "mailbox-parted", KV("mailbox", buf_str(&b->name)), KV("id", str_of(c->id)),
	    KV("index_id", str_of(b->id)), KV("copied", c->copied));
	if (r == STORE_OK && c->copied && !files_set_aside(&a->log, place->dir, "trivet-mailbox"))
		r = STORE_BROKEN;
	return r;
}

static enum store_result
renew_one(struct account *a, int64_t number, const struct place *place, enum renew_why why, enum scan_mode *mode)
{
	scoped_box b = BOX_NONE;
	scoped_control c = { 0 };
	enum store_result r = box_get(a, number, &b), known;

	if (r != STORE_OK)
		return r;
	known = control_read(&a->log, place->dir, &c);
	if (known == STORE_OK && why == RENEW_COPY && !is_of(&c, &b)) {
		r = part(a, &b, place, &c);
		return r == STORE_OK ? STORE_NO_SUCH : r;
	}
	/* One that is missing, or cannot be read, says no more than one of a backup. */
	if (known != STORE_OK || !is_of(&c, &b)) {
		c.uid_reserve = 0;
		c.modseq_reserve = 0;
		c.copied = true;
	}
	*mode = why == RENEW_COPY && c.copied ? SCAN_ALWAYS : SCAN_TRUST_UIDS;
	/* What an old index claimed has long been somebody's. */
	r = why == RENEW_COPY ? claims_drop(a, number) : STORE_OK;
	return r == STORE_OK ? renew_box(a, &b, &c) : r;
}

static enum store_result
renew_mailbox(struct account *a, int64_t number, enum renew_why why)
{
	scoped_box box = BOX_NONE;
	scoped_place place = PLACE_CLOSED;
	enum scan_mode mode = SCAN_ALWAYS;
	enum store_result r = box_get(a, number, &box), done;

	if (r == STORE_OK)
		r = place_open(a, buf_str(&box.name), &place);
	/* First, so that what is found without a number gets one that nobody ever had. */
	if (r == STORE_OK)
		r = txn_begin(a);
	if (r != STORE_OK)
		return r;
	done = renew_one(a, number, &place, why, &mode);
	r = txn_end(a, done == STORE_NO_SUCH ? STORE_OK : done);
	if (r == STORE_OK && done == STORE_OK)
		r = scan_mailbox(a, number, &place, mode);
	return r;
}

/* From now on; and folders may have come and gone since. */
static enum store_result
believe_index(struct account *a)
{
	enum store_result r = txn_begin(a);

	if (r == STORE_OK) {
		a->root_mtime = 0;
		r = state_put(a, "root_mtime", 0);
		if (r == STORE_OK)
			r = renew_validities(a);
		if (r == STORE_OK)
			r = index_note_file(a);
		r = txn_end(a, r);
	}
	return r;
}

enum store_result
renew_account(struct account *a, enum renew_why why)
{
	scoped_buf numbers = BUF_INIT;
	enum store_result r = box_numbers(a, &numbers);
	int64_t number;

	if (why == RENEW_BOOT)
		log_warn(&a->log, "unclean-boot");
	else
		log_warn(&a->log, "index-copied", KV("why", "index.db is a copy, from a backup or another place: it may "
		    "be older than what clients were told, who will look at all flags again"));
	for (size_t i = 0; r == STORE_OK && i < numbers.n; i += sizeof(number)) {
		memcpy(&number, numbers.p + i, sizeof(number));
		r = renew_mailbox(a, number, why);
		/* Broken: logged. The other mailboxes go on. */
		if (r == STORE_GONE || r == STORE_NO_SUCH || r == STORE_BROKEN)
			r = STORE_OK;
	}
	return r == STORE_OK && why == RENEW_COPY ? believe_index(a) : r;
}

/* ---- one trivet-mailbox ---- */

/* The index is ours: it knows the numbers. What people may write there, or wished back, is taken. */
static enum store_result
take_control(struct account *a, int64_t number, const struct place *place)
{
	scoped_box b = BOX_NONE;
	scoped_control c = { 0 };
	enum store_result r = box_get(a, number, &b), known;

	if (r != STORE_OK)
		return r;
	known = control_read(&a->log, place->dir, &c);
	log_warn(&a->log, "mailbox-file-changed", KV("mailbox", buf_str(&b.name)), KV("there", known == STORE_OK),
	    KV("same", known == STORE_OK && is_of(&c, &b)), KV("why", "trivet-mailbox is not the one that was written "
	    "last: numbers and keywords go on by the index"));
	if (known == STORE_OK && is_of(&c, &b)) {
		b.subscribed = c.subscribed;
		b.special_use = c.special_use;
	}
	/* The messages may have come with it, and the directory's time too. */
	touch_note(a, number, 0);
	r = index_do(a, Q_BOX_MTIMES, BIND(V(0), V(0), V(number)));
	return r == STORE_OK ? box_save_settings(a, &b) : r;
}

enum store_result
renew_control(struct account *a, int64_t number, const struct place *place)
{
	scoped_box b = BOX_NONE;
	enum store_result r = box_get(a, number, &b);

	if (r != STORE_OK || b.control == files_identity(place->dir, "trivet-mailbox"))
		return r;
	r = txn_begin(a);
	return r == STORE_OK ? txn_end(a, take_control(a, number, place)) : r;
}
