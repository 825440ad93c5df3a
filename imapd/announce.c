/* SPDX-License-Identifier: ISC */
/*
 * LIST lines that no LIST asked for: the mailbox that is selected (RFC 9051 6.3.2), and how one is called that the client
 * named otherwise than we keep its name (6.3.4 to 6.3.6, 6.3.9.7). Only for those who enabled IMAP4rev2.
 */
#include "imapd/imapd.h"

/* The declaration that there will be mailboxes below it (RFC 9051 6.3.4) is no part of the name. */
static struct str
without_separator(struct str sent)
{
	return sent.n > 0 && sent.p[sent.n - 1] == '/' ? str_sub(sent, 0, sent.n - 1) : sent;
}

/* attributes: each with a blank before it. old: empty, or what the client called it. */
static void
put_line(struct session *s, struct str attributes, struct str name, struct str old)
{
	struct buf *out = out_of(s);
	scoped_buf was = BUF_INIT;

	if ((old.n > 0 && !put_mailbox(s, &was, old)) || !put_list_line(s, "LIST", attributes, name))
		return;
	if (old.n > 0) {
		buf_put_z(out, " (\"OLDNAME\" (");
		buf_put(out, buf_str(&was));
		buf_put_z(out, "))");
	}
	buf_put_z(out, "\r\n");
}

static bool
find(struct session *s, struct str name, struct mailbox_info *out)
{
	struct account *a = room_account(s);
	struct mailbox_info *infos;
	size_t count;

	if ((account_keeps(a, name) ? account_list_kept(a, s->arena, &infos, &count) :
	    account_list(a, s->arena, &infos, &count)) != STORE_OK)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!str_eq(infos[i].name, name))
			continue;
		*out = infos[i];
		return true;
	}
	return false;
}

static struct str
old_of(struct str name, struct str sent)
{
	struct str old = without_separator(sent);

	return str_eq(old, name) ? STR_EMPTY : old;
}

void
announce_mailbox(struct session *s, struct str name, struct str sent)
{
	scoped_buf attributes = BUF_INIT;
	struct mailbox_info info;

	/* What cannot be looked up now is told by the client's own LIST. */
	if (!(s->enabled & ENABLED_REV2) || !find(s, name, &info))
		return;
	buf_put_z(&attributes, info.has_children ? " \\HasChildren" : " \\HasNoChildren");
	if (info.subscribed)
		buf_put_z(&attributes, " \\Subscribed");
	put_special_use(&attributes, info.special_use);
	put_line(s, buf_str(&attributes), name, old_of(name, sent));
}

void
announce_other_name(struct session *s, const struct mailbox_name *named, const struct mailbox_name *is)
{
	struct str name, to;

	if (!(s->enabled & ENABLED_REV2))
		return;
	name = mailbox_kept_name(named->utf8, s->arena);
	to = is != NULL ? mailbox_kept_name(is->utf8, s->arena) : name;
	if (old_of(name, named->sent).n == 0 && (is == NULL || old_of(to, is->sent).n == 0))
		return;
	if (is == NULL)
		put_line(s, STR(" \\NonExistent"), name, without_separator(named->sent));
	else
		announce_mailbox(s, to, named->sent);
}
