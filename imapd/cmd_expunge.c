/* SPDX-License-Identifier: ISC */
/*
 * EXPUNGE (RFC 3501 6.4.3), UID EXPUNGE (RFC 4315 2.1) and CLOSE (RFC 3501 6.4.2), in slices. The end of the command tells
 * what went; of a CLOSE there is nobody to tell.
 */
#include "imapd/imapd.h"

static enum next
end_expunge(struct session *s, enum store_result result)
{
	expunging_free(s->work.expunging);
	s->work.expunging = NULL;
	/* What went before it failed is gone. */
	room_changed(s);
	if (s->req.command == COMMAND_CLOSE) {
		leave_mailbox(s);
		if (result != STORE_OK && result != STORE_GONE)
			return finish_result(s, result, ABOUT_MAILBOX);
	} else if (result != STORE_OK) {
		return finish_result(s, result, ABOUT_MESSAGES);
	}
	return finish_done(s);
}

static enum next
expunge_slice(struct session *s)
{
	uint32_t so_far, all;
	bool done = false;
	enum store_result result;

	if (session_must_wait(s))
		return WAIT;
	result = expunging_step(s->work.expunging, &done);
	if (done)
		return end_expunge(s, result);
	expunging_progress(s->work.expunging, &so_far, &all);
	session_progress(s, so_far, all);
	return GO;
}

static enum next
begin_expunge(struct session *s, const struct uid_set *only)
{
	enum store_result result = expunging_begin(s->mailbox, only, &s->work.expunging);

	if (result != STORE_OK) {
		s->work.expunging = NULL;
		return end_expunge(s, result);
	}
	s->step = expunge_slice;
	return GO;
}

enum next
cmd_expunge(struct session *s)
{
	struct uid_set uids = { 0 };

	if (s->req.by_uid && !set_to_uids(s, &s->req.expunge.set, true, &uids))
		return finish_bad(s, "That is no set of UIDs");
	if (mailbox_is_read_only(s->mailbox))
		return finish_result(s, STORE_READ_ONLY, ABOUT_MESSAGES);
	return begin_expunge(s, s->req.by_uid ? &uids : NULL);
}

/* RFC 3501 6.4.2: expunges, and tells nothing of it; RFC 7162 3.2.8: nor the modseq it has now. */
enum next
cmd_close(struct session *s)
{
	if (!mailbox_is_read_only(s->mailbox))
		return begin_expunge(s, NULL);
	leave_mailbox(s);
	return finish_done(s);
}
