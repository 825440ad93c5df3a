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
	scoped_buf id = BUF_INIT;
	struct mailbox_info info;
	enum store_result result;

	if (arguments->name.state != NAME_GOOD)
		return finish_bad_name(s);
	if (arguments->unknown_use)
		return finish(s, "NO [USEATTR] That special use is not known here");
	result = mailbox_create_told(room_account(s), arguments->name.utf8, arguments->special_use,
	    s->arena, &info);
	if (result != STORE_OK)
		return finish_result(s, result, ABOUT_MAILBOX);
	room_changed(s);
	announce_other_name(s, &arguments->name, &arguments->name);
	/* RFC 8474 4.1 */
	put_mailbox_id(&id, info.id, info.uidvalidity);
	return finish(s, "OK [%s] CREATE completed", buf_z(&id));
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
	if (result == STORE_OK)
		announce_other_name(s, name, NULL);
	return finish_change(s, result);
}

enum next
cmd_rename(struct session *s)
{
	const struct mailbox_arguments *arguments = &s->req.mailbox;
	enum store_result result;

	if (arguments->name.state != NAME_GOOD || arguments->to.state != NAME_GOOD)
		return finish_bad_name(s);
	result = mailbox_rename(room_account(s), arguments->name.utf8, arguments->to.utf8);
	if (result == STORE_OK)
		announce_other_name(s, &arguments->name, &arguments->to);
	return finish_change(s, result);
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

struct status {
	struct mailbox_info info;
	struct deleted_sums deleted;
};

static void
put_items(const struct session *s, struct buf *out, const struct status *status, unsigned items)
{
	const struct mailbox_info *info = &status->info;
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
		{ STATUS_SIZE, "SIZE", info->bytes },
		{ STATUS_DELETED, "DELETED", status->deleted.messages },
		{ STATUS_DELETED_STORAGE, "DELETED-STORAGE", status->deleted.bytes },
		{ STATUS_APPENDLIMIT, "APPENDLIMIT", append_limit(s) },
	};
	bool first = true;

	for (size_t i = 0; i < countof(rows); i++) {
		if ((items & rows[i].item) == 0)
			continue;
		buf_printf(out, "%s%s %llu", first ? "" : " ", rows[i].word, (unsigned long long)rows[i].value);
		first = false;
	}
	if ((items & STATUS_MAILBOXID) == 0)
		return;
	if (!first)
		buf_put_c(out, ' ');
	put_mailbox_id(out, info->id, info->uidvalidity);
}

enum store_result
put_status(struct session *s, struct buf *out, struct str name, unsigned items, struct arena *arena)
{
	struct status status = { 0 };
	scoped_buf encoded = BUF_INIT;
	enum store_result result = mailbox_status(room_account(s), name, arena, &status.info);

	/* These have to be counted. */
	if (result == STORE_OK && (items & (STATUS_DELETED | STATUS_DELETED_STORAGE)) != 0)
		result = mailbox_deleted(room_account(s), name, &status.deleted);
	if (result == STORE_OK && !put_mailbox(s, &encoded, status.info.name))
		result = STORE_BAD_NAME;
	if (result != STORE_OK)
		return result;
	if (items & STATUS_HIGHESTMODSEQ)
		sync_enable(s, ENABLED_CONDSTORE);
	buf_put_z(out, "* STATUS ");
	buf_put(out, buf_str(&encoded));
	buf_put_z(out, " (");
	put_items(s, out, &status, items);
	buf_put_z(out, ")\r\n");
	return STORE_OK;
}

enum next
cmd_status(struct session *s)
{
	const struct status_arguments *arguments = &s->req.status;
	enum store_result result;

	if (arguments->name.state != NAME_GOOD)
		return finish_bad_name(s);
	result = put_status(s, out_of(s), arguments->name.utf8, arguments->items, s->arena);
	if (result == STORE_BAD_NAME)
		return finish_bad_name(s);
	return result == STORE_OK ? finish_done(s) : finish_result(s, result, ABOUT_MAILBOX);
}
