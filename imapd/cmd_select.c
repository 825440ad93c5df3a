/* SPDX-License-Identifier: ISC */
/* SELECT EXAMINE CLOSE (RFC 3501 6.3.1, 6.3.2, 6.4.2) and UNSELECT (RFC 3691). */
#include "imapd/imapd.h"

static void
leave(struct session *s)
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
	untagged(s, "%u RECENT", mailbox_recent(s->mailbox));
	if (unseen != 0)
		untagged(s, "OK [UNSEEN %u] The first unseen message", unseen);
	untagged(s, "OK [UIDVALIDITY %u] UIDs are good while this is so",
	    mailbox_uidvalidity(s->mailbox));
	untagged(s, "OK [UIDNEXT %u] The next UID", mailbox_uid_next(s->mailbox));
	/* RFC 8474 4.2 */
	put_mailbox_id(&id, mailbox_id(s->mailbox), mailbox_uidvalidity(s->mailbox));
	untagged(s, "OK [%s] Its id", buf_z(&id));
}

static enum next
select_mailbox(struct session *s, enum mailbox_access access)
{
	const struct mailbox_name *name = &s->req.mailbox.name;
	enum store_result result;

	/* RFC 3501 6.3.1: what was selected is left first, and stays so if this fails. */
	leave(s);
	if (name->state != NAME_GOOD)
		return finish_bad_name(s);
	result = mailbox_open(room_account(s), name->utf8, access, &s->mailbox);
	if (result != STORE_OK) {
		s->mailbox = NULL;
		return finish_result(s, result, ABOUT_MAILBOX);
	}
	s->state = SELECTED;
	s->work.refreshed = true;	/* it is as new as can be */
	log_debug(&s->log, "select", KV("mailbox", name->utf8));
	put_mailbox_state(s);
	return finish(s, "OK [%s] %s completed",
	    mailbox_is_read_only(s->mailbox) ? "READ-ONLY" : "READ-WRITE", s->command->name);
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

/* RFC 3501 6.4.2: expunges, and tells nothing of it. */
enum next
cmd_close(struct session *s)
{
	enum store_result result = STORE_OK;

	if (!mailbox_is_read_only(s->mailbox)) {
		result = mailbox_expunge(s->mailbox, NULL);
		room_changed(s);
	}
	leave(s);
	if (result != STORE_OK && result != STORE_GONE)
		return finish_result(s, result, ABOUT_MAILBOX);
	return finish_done(s);
}

enum next
cmd_unselect(struct session *s)
{
	leave(s);
	return finish_done(s);
}
