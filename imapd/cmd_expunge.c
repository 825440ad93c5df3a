/* SPDX-License-Identifier: ISC */
/*
 * EXPUNGE (RFC 3501 6.4.3) and UID EXPUNGE (RFC 4315 2.1). The end of the command tells
 * what went.
 */
#include "imapd/imapd.h"

enum next
cmd_expunge(struct session *s)
{
	struct uid_set uids = { 0 };
	enum store_result result;

	if (s->req.by_uid && !set_to_uids(s, &s->req.expunge.set, true, &uids))
		return finish_bad(s, "That is no set of UIDs");
	if (mailbox_is_read_only(s->mailbox))
		return finish_result(s, STORE_READ_ONLY, ABOUT_MESSAGES);
	result = mailbox_expunge(s->mailbox, s->req.by_uid ? &uids : NULL);
	if (result != STORE_OK)
		return finish_result(s, result, ABOUT_MESSAGES);
	room_changed(s);
	return finish_done(s);
}
