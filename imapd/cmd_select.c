/* SPDX-License-Identifier: ISC */
/*
 * SELECT EXAMINE (RFC 3501 6.3.1, 6.3.2), UNSELECT (RFC 3691), and how a client that was here before
 * catches up in its SELECT (RFC 7162 3.2.5): first what it has to forget, then what it has to look at anew.
 */
#include "imapd/imapd.h"

/* What a client that comes back is told, in slices. */
struct resync {
	struct uid_set vanished;
	size_t told;			/* ranges of it */
	struct walk changed;
};

static enum next tell_resync(struct session *);

void
leave_mailbox(struct session *s)
{
	mailbox_close(s->mailbox);
	s->mailbox = NULL;
	saved_clear(s);
	s->state = USER;
}

static void
put_mailbox_state(struct session *s)
{
	uint32_t unseen = mailbox_first_unseen(s->mailbox);
	scoped_buf id = BUF_INIT;

	sync_put_keywords(s);
	untagged(s, "%u EXISTS", mailbox_exists(s->mailbox));
	if (sync_tells_recent(s))
		untagged(s, "%u RECENT", mailbox_recent(s->mailbox));
	/* RFC 9051 appendix E, 11: not there either. */
	if (unseen != 0 && !(s->enabled & ENABLED_REV2))
		untagged(s, "OK [UNSEEN %u] The first unseen message", unseen);
	untagged(s, "OK [UIDVALIDITY %u] UIDs are good while this is so",
	    mailbox_uidvalidity(s->mailbox));
	untagged(s, "OK [UIDNEXT %u] The next UID", mailbox_uid_next(s->mailbox));
	/* RFC 7162 3.1.2.1: not every client says first that it wants to know. */
	sync_put_modseq(s);
	/* RFC 8474 4.2 */
	put_mailbox_id(&id, mailbox_id(s->mailbox), mailbox_uidvalidity(s->mailbox));
	untagged(s, "OK [%s] Its id", buf_z(&id));
}

static enum next
finish_select(struct session *s)
{
	return finish(s, "OK [%s] %s completed",
	    mailbox_is_read_only(s->mailbox) ? "READ-ONLY" : "READ-WRITE", s->command->name);
}

/* ---- QRESYNC ---- */

/* 0 where there is no such message. */
static uint32_t
uid_at(const struct session *s, uint32_t seq)
{
	struct message message;

	return mailbox_message(s->mailbox, seq, &message) ? message.uid : 0;
}

/*
 * The largest of these uids whose message has the number the client knows; 0: none. Two messages never come nearer to
 * each other than their numbers are: once a uid is larger than the client knows, so are all that follow.
 */
static uint32_t
matched_in_run(const struct session *s, uint32_t seq, uint32_t uid, uint32_t n)
{
	uint32_t low = 0, high = n, middle, is;

	while (low < high) {
		middle = low + (high - low) / 2;
		is = uid_at(s, seq + middle);
		if (is != 0 && is <= uid + middle)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && uid_at(s, seq + low - 1) == uid + low - 1 ? uid + low - 1 : 0;
}

/* RFC 7162 3.2.5.2: up to this uid the client knows what is gone; 0: nothing is known. */
static uint32_t
matched_uid(const struct session *s, const struct resync_arguments *resync)
{
	const struct sequence_range *seqs = resync->known_seqs.ranges, *uids = resync->known_uids.ranges;
	uint32_t largest = 0, matched, seq_at = 0, uid_at_range = 0;

	/* Both have as many numbers: they end together. */
	for (size_t i = 0, k = 0; i < resync->known_seqs.count;) {
		uint32_t seq = seqs[i].first + seq_at, uid = uids[k].first + uid_at_range;
		uint32_t seqs_left = seqs[i].last - seq, uids_left = uids[k].last - uid;
		uint32_t n = (seqs_left < uids_left ? seqs_left : uids_left) + 1;

		matched = matched_in_run(s, seq, uid, n);
		largest = matched > largest ? matched : largest;
		seq_at = seqs_left + 1 == n ? 0 : seq_at + n;
		uid_at_range = uids_left + 1 == n ? 0 : uid_at_range + n;
		i += seqs_left + 1 == n;
		k += uids_left + 1 == n;
	}
	return largest;
}

/* RFC 7162 3.2.5.1. All at once, so that what others do while it is told changes nothing of it. */
static enum store_result
find_resync(struct session *s, struct resync *out)
{
	const struct resync_arguments *arguments = &s->req.select.resync;
	const struct uid_range all = { 1, mailbox_uid_next(s->mailbox) - 1 };
	struct uid_set known = { &all, 1 }, vanished, changed;
	struct uid_range unknown;
	uint64_t since = arguments->modseq;
	enum store_result result;

	/* RFC 7162 3.2.5: the client is told nothing, and sees why. */
	if (arguments->uidvalidity != mailbox_uidvalidity(s->mailbox))
		return STORE_OK;
	if (arguments->has_uids)
		known = sequence_set_resolve(&arguments->uids, UINT32_MAX, s->arena);
	/* One that was never told is no point in time: what came after it cannot be known, so all is told. */
	if (since > mailbox_highest_modseq(s->mailbox))
		since = 0;
	result = mailbox_vanished(s->mailbox, since, s->arena, &vanished);
	if (result != STORE_OK)
		return result;
	vanished = uid_set_both(&vanished, &known, s->arena);
	unknown = (struct uid_range){ matched_uid(s, arguments) + 1, UINT32_MAX };
	out->vanished = uid_set_both(&vanished, &(struct uid_set){ &unknown, 1 }, s->arena);
	mailbox_changed(s->mailbox, since, s->arena, &changed);
	changed = uid_set_both(&changed, &known, s->arena);
	out->changed = walk_of(&changed);
	return STORE_OK;
}

static enum next
tell_resync(struct session *s)
{
	struct resync *resync = s->work.own;
	struct message message;

	if (sync_put_vanished(s, &resync->vanished, &resync->told) == WAIT)
		return WAIT;
	for (;;) {
		if (session_must_wait(s))
			return WAIT;
		if (!walk_next(s->mailbox, &resync->changed, &message))
			return finish_select(s);
		if (!message.gone)
			put_flags_response(s, &message);
	}
}

/* ---- the commands ---- */

static enum next
select_mailbox(struct session *s, enum mailbox_access access)
{
	const struct select_arguments *arguments = &s->req.select;
	struct resync *resync = arena_one(s->arena, struct resync);
	enum store_result result;

	if (arguments->qresync && !(s->enabled & ENABLED_QRESYNC))
		return finish_bad(s, "QRESYNC wants ENABLE QRESYNC first");
	/* RFC 3501 6.3.1: what was selected is left first, and stays so if this fails. */
	if (s->mailbox != NULL)
		untagged(s, "OK [CLOSED] What was selected is not any more");	/* RFC 7162 3.2.11 */
	leave_mailbox(s);
	if (arguments->name.state != NAME_GOOD)
		return finish_bad_name(s);
	result = mailbox_open(room_account(s), arguments->name.utf8, access, &s->mailbox);
	if (result != STORE_OK) {
		s->mailbox = NULL;
		return finish_result(s, result, ABOUT_MAILBOX);
	}
	if (arguments->qresync)
		result = find_resync(s, resync);
	if (result != STORE_OK) {
		leave_mailbox(s);
		return finish_result(s, result, ABOUT_MAILBOX);
	}
	s->state = SELECTED;
	s->work.refreshed = true;	/* it is as new as can be */
	log_debug(&s->log, "select", KV("mailbox", arguments->name.utf8));
	if (arguments->condstore)
		sync_enable(s, ENABLED_CONDSTORE);
	put_mailbox_state(s);
	announce_mailbox(s, mailbox_name(s->mailbox), arguments->name.sent);
	if (!arguments->qresync)
		return finish_select(s);
	s->work.own = resync;
	s->step = tell_resync;
	return GO;
}

enum next
cmd_select(struct session *s)
{
	/* Opening makes messages lose \Recent for others, so those may want to know. */
	return select_mailbox(s, MAILBOX_READ_WRITE);
}

enum next
cmd_examine(struct session *s)
{
	return select_mailbox(s, MAILBOX_READ_ONLY);
}

enum next
cmd_unselect(struct session *s)
{
	leave_mailbox(s);
	return finish_done(s);
}
