/* SPDX-License-Identifier: ISC */
/* STORE (RFC 3501 6.4.6): the flags are changed at once, the answers told in slices. */
#include "imapd/imapd.h"

static enum next
tell_stored(struct session *s)
{
	struct walk *walk = s->work.own;
	struct message message;

	for (;;) {
		if (session_must_wait(s))
			return WAIT;
		if (!walk_next(s->mailbox, walk, &message))
			return finish_done(s);
		put_flags_response(out_of(s), s->mailbox, &message);
	}
}

enum next
cmd_store(struct session *s)
{
	const struct store_arguments *arguments = &s->req.store;
	struct walk *walk = arena_one(s->arena, struct walk);
	struct uid_set uids, modified;
	enum store_result result;

	if (!walk_begin(s, &arguments->set, s->req.by_uid, walk) ||
	    !set_to_uids(s, &arguments->set, s->req.by_uid, &uids))
		return finish_bad(s, "There is no message with that number");
	if (mailbox_is_read_only(s->mailbox))
		return finish_result(s, STORE_READ_ONLY, ABOUT_MESSAGES);
	result = mailbox_store(s->mailbox, &uids, arguments->change, &arguments->flags, 0,
	    s->arena, &modified);
	if (result != STORE_OK)
		return finish_result(s, result, ABOUT_MESSAGES);
	room_flags_changed(s);
	/* New words go before the first message that has them. */
	sync_put_new_keywords(s);
	if (arguments->silent)
		return finish_done(s);
	s->work.own = walk;
	s->step = tell_stored;
	return GO;
}
