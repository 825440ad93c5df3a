/* SPDX-License-Identifier: ISC */
/*
 * GETQUOTA GETQUOTAROOT (RFC 9208, RFC 2087): one root for the whole account. STORAGE
 * counts units of 1024 octets, rounded so that "full" never looks like room. Without limits
 * the list is empty.
 */
#include "imapd/imapd.h"

static const char root_name[] = "User quota";

static void
put_resource(struct buf *out, const char *name, uint64_t used, uint64_t limit)
{
	if (limit == 0)
		return;
	if (out->n > 0)
		buf_put_c(out, ' ');
	buf_printf(out, "%s %llu %llu", name, (unsigned long long)used, (unsigned long long)limit);
}

static void
put_quota(struct session *s, const struct usage *usage)
{
	scoped_buf resources = BUF_INIT;

	put_resource(&resources, "STORAGE", (usage->bytes + 1023) / 1024,
	    usage->quota_bytes > 0 && usage->quota_bytes < 1024 ? 1 : usage->quota_bytes / 1024);
	put_resource(&resources, "MESSAGE", usage->messages, usage->quota_messages);
	untagged(s, "QUOTA \"%s\" (%s)", root_name, buf_z(&resources));
}

enum next
cmd_getquota(struct session *s)
{
	struct usage usage;
	enum store_result result;

	if (!str_eq(s->req.quota.root, str_of(root_name)))
		return finish(s, "NO [NONEXISTENT] There is no such quota root");
	result = account_usage(room_account(s), &usage);
	if (result != STORE_OK)
		return finish_result(s, result, ABOUT_MAILBOX);
	put_quota(s, &usage);
	return finish_done(s);
}

/* RFC 9208 4.1.2: the mailbox need not exist. */
enum next
cmd_getquotaroot(struct session *s)
{
	struct buf *out = out_of(s);
	scoped_buf name = BUF_INIT;
	struct usage usage;
	enum store_result result;

	if (s->req.mailbox.name.state != NAME_GOOD ||
	    !put_mailbox(s, &name, s->req.mailbox.name.utf8))
		return finish_bad_name(s);
	result = account_usage(room_account(s), &usage);
	if (result != STORE_OK)
		return finish_result(s, result, ABOUT_MAILBOX);
	buf_put_z(out, "* QUOTAROOT ");
	buf_put(out, buf_str(&name));
	/* What is kept counts nowhere. */
	if (account_keeps(room_account(s), s->req.mailbox.name.utf8)) {
		buf_put_z(out, "\r\n");
		return finish_done(s);
	}
	buf_printf(out, " \"%s\"\r\n", root_name);
	put_quota(s, &usage);
	return finish_done(s);
}
