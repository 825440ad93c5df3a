/* SPDX-License-Identifier: ISC */
#include "common/auth/grants.h"

static struct str
usual_maildir(const struct settings *s, struct arena *arena, struct str address)
{
	size_t at = str_last_index(address, '@');

	return arena_printf(arena, "%s/%.*s/%.*s", s->mail_dir, STR_ARG(str_from(address, at + 1)),
		STR_ARG(str_sub(address, 0, at)));
}

/* %u and %h of the setting pam_mail_dir. */
static struct str
expand(struct arena *arena, const char *pattern, const struct system_account *account)
{
	scoped_buf out = BUF_INIT;

	for (const char *p = pattern; *p != '\0'; p++) {
		if (*p == '%' && p[1] == 'u') {
			buf_put(&out, account->name);
			p++;
		} else if (*p == '%' && p[1] == 'h') {
			buf_put(&out, account->home);
			p++;
		} else {
			buf_put_c(&out, *p);
		}
	}
	return arena_str(arena, buf_str(&out));
}

static void
take_quota(struct keeper_grant *g, const struct users_quota *quota)
{
	if (quota->has_octets)
		g->quota_bytes = quota->octets;
	if (quota->has_messages)
		g->quota_messages = quota->messages;
}

struct keeper_grant
grant_of_account(const struct settings *s, struct arena *arena, const struct account *a)
{
	struct keeper_grant g = { .address = a->address, .maildir = a->mail_dir, .uid = (uid_t)-1,
		.gid = (gid_t)-1, .quota_bytes = s->default_quota,
		.quota_messages = s->default_quota_messages };

	take_quota(&g, &a->domain_quota);
	take_quota(&g, &a->quota);
	if (g.maildir.n == 0)
		g.maildir = usual_maildir(s, arena, a->address);
	return g;
}

struct keeper_grant
grant_of_system(const struct settings *s, struct arena *arena, struct str address,
	const struct system_account *account)
{
	struct keeper_grant g = { .address = address, .uid = (uid_t)-1, .gid = (gid_t)-1,
		.quota_bytes = s->default_quota, .quota_messages = s->default_quota_messages };

	/* Below mail_dir all is the daemons' own, and out of the account's reach. */
	if (s->pam_mail_dir[0] == '\0') {
		g.maildir = usual_maildir(s, arena, address);
		return g;
	}
	g.maildir = expand(arena, s->pam_mail_dir, account);
	g.uid = account->uid;
	g.gid = account->gid;
	return g;
}
