/* SPDX-License-Identifier: ISC */
/*
 * CREATE DELETE RENAME SUBSCRIBE UNSUBSCRIBE STATUS: RFC 3501 6.3.3 to 6.3.7, 6.3.10; RFC
 * 6154 3.
 */
#include "imapd/imapd.h"

static enum next
finish_change(struct session *s, enum store_result result)
{
	if (result != STORE_OK)
		return finish_result(s, result, ABOUT_MAILBOX);
	room_changed(s);
	return finish_done(s);
}

enum next
cmd_create(struct session *s)
{
	const struct mailbox_arguments *arguments = &s->req.mailbox;

	if (arguments->name.state != NAME_GOOD)
		return finish_bad_name(s);
	if (arguments->unknown_use)
		return finish(s, "NO [USEATTR] That special use is not known here");
	return finish_change(s, mailbox_create(room_account(s), arguments->name.utf8,
	    arguments->special_use));
}

enum next
cmd_delete(struct session *s)
{
	const struct mailbox_name *name = &s->req.mailbox.name;
	enum store_result result;

	if (name->state != NAME_GOOD)
		return finish_bad_name(s);
	result = mailbox_delete(room_account(s), name->utf8);
	/* Whoever deletes the mailbox it has selected stays, with none selected. */
	if (result == STORE_OK && s->mailbox != NULL && mailbox_account(s->mailbox) == room_account(s) &&
	    str_eq(mailbox_name(s->mailbox), name->utf8)) {
		mailbox_close(s->mailbox);
		s->mailbox = NULL;
		s->state = USER;
	}
	return finish_change(s, result);
}

enum next
cmd_rename(struct session *s)
{
	const struct mailbox_arguments *arguments = &s->req.mailbox;

	if (arguments->name.state != NAME_GOOD || arguments->to.state != NAME_GOOD)
		return finish_bad_name(s);
	return finish_change(s, mailbox_rename(room_account(s), arguments->name.utf8,
	    arguments->to.utf8));
}

enum next
cmd_subscribe(struct session *s)
{
	if (s->req.mailbox.name.state != NAME_GOOD)
		return finish_bad_name(s);
	return finish_change(s, mailbox_subscribe(room_account(s), s->req.mailbox.name.utf8,
	    true));
}

enum next
cmd_unsubscribe(struct session *s)
{
	if (s->req.mailbox.name.state != NAME_GOOD)
		return finish_bad_name(s);
	return finish_change(s, mailbox_subscribe(room_account(s), s->req.mailbox.name.utf8,
	    false));
}

/* ---- STATUS ---- */

static void
put_item(struct buf *out, bool *first, const char *word, uint64_t value)
{
	buf_printf(out, "%s%s ", *first ? "" : " ", word);
	buf_put_u64(out, value);
	*first = false;
}

bool
put_status(struct session *s, const struct mailbox_info *info, unsigned items)
{
	const struct {
		enum status_item item;
		const char *word;
		uint64_t value;
	} rows[] = {
		{ STATUS_MESSAGES, "MESSAGES", info->messages },
		{ STATUS_RECENT, "RECENT", info->recent },
		{ STATUS_UIDNEXT, "UIDNEXT", info->uid_next },
		{ STATUS_UIDVALIDITY, "UIDVALIDITY", info->uidvalidity },
		{ STATUS_UNSEEN, "UNSEEN", info->unseen },
		{ STATUS_HIGHESTMODSEQ, "HIGHESTMODSEQ", info->highest_modseq },
	};
	scoped_buf name = BUF_INIT;
	struct buf *out = out_of(s);
	bool first = true;

	if (!put_mailbox(&name, info->name))
		return false;
	if (items & STATUS_HIGHESTMODSEQ)
		sync_enable(s, ENABLED_CONDSTORE);
	buf_put_z(out, "* STATUS ");
	buf_put(out, buf_str(&name));
	buf_put_z(out, " (");
	for (size_t i = 0; i < countof(rows); i++)
		if (items & rows[i].item)
			put_item(out, &first, rows[i].word, rows[i].value);
	buf_put_z(out, ")\r\n");
	return true;
}

enum next
cmd_status(struct session *s)
{
	const struct status_arguments *arguments = &s->req.status;
	struct mailbox_info info;
	enum store_result result;

	if (arguments->name.state != NAME_GOOD)
		return finish_bad_name(s);
	result = mailbox_status(room_account(s), arguments->name.utf8, s->arena, &info);
	if (result != STORE_OK)
		return finish_result(s, result, ABOUT_MAILBOX);
	if (!put_status(s, &info, arguments->items))
		return finish_bad_name(s);
	return finish_done(s);
}
