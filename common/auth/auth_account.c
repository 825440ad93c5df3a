/* SPDX-License-Identifier: ISC */
/* What an address of ours stands for: its Maildir, its user and its limits. */
#include <stdlib.h>
#include <sys/stat.h>

#include "common/auth/auth_inside.h"
#include "common/daemon/sandbox.h"

static enum users_result
system_exists(void *context, struct str name)
{
	struct arena *arena = arena_new();
	struct system_account account;
	enum users_result found = auth_system_account(context, name, arena, &account);

	arena_free(arena);
	return found;
}

static void
put_users_path(const struct auth *a, struct buf *path)
{
	buf_printf(path, "%s/users.db", a->process->settings->state_dir);
}

char *
auth_open_users(struct auth *a)
{
	const struct settings *s = a->process->settings;
	scoped_buf path = BUF_INIT;
	struct users *fresh;
	char *why = NULL;

	put_users_path(a, &path);
	fresh = users_open(buf_z(&path), USERS_READ, &why);
	if (fresh == NULL)
		return why;
	users_close(a->users);
	a->users = fresh;
	if (s->pam_service[0])
		users_set_system(fresh, str_of(s->pam_domain), system_exists, a);
	return NULL;
}

void
auth_allow_users(struct auth *a)
{
	scoped_buf path = BUF_INIT;
	struct stat st;

	put_users_path(a, &path);
	if (stat(buf_z(&path), &st) == 0) {
		a->users_device = st.st_dev;
		a->users_inode = st.st_ino;
	}
	sandbox_allow_database(buf_z(&path), SANDBOX_READ);
}

bool
auth_users_are_others(const struct auth *a)
{
	scoped_buf path = BUF_INIT;
	struct stat st;

	put_users_path(a, &path);
	return stat(buf_z(&path), &st) == 0 &&
	    (st.st_dev != a->users_device || st.st_ino != a->users_inode);
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

static struct str
usual_maildir(const struct settings *s, struct arena *arena, const struct user_address *u)
{
	return arena_printf(arena, "%s/%.*s/%.*s", s->mail_dir, STR_ARG(u->domain),
	    STR_ARG(u->local));
}

static enum users_result
find_system_grant(struct auth *a, const struct user_address *u, struct arena *arena,
    struct keeper_grant *out)
{
	const struct settings *s = a->process->settings;
	struct system_account account;
	enum users_result result;

	if (s->pam_service[0] == '\0' || !str_eq_nocase(u->domain, str_of(s->pam_domain)))
		return USERS_NO_SUCH;
	result = auth_system_account(a, u->local, arena, &account);
	if (result != USERS_OK)
		return result;
	*out = (struct keeper_grant){ .address = u->whole, .uid = (uid_t)-1, .gid = (gid_t)-1,
	    .quota_bytes = s->default_quota, .quota_messages = s->default_quota_messages };
	/* Below mail_dir all is the daemons' own, and out of the account's reach. */
	if (s->pam_mail_dir[0] == '\0') {
		out->maildir = usual_maildir(s, arena, u);
		return USERS_OK;
	}
	out->maildir = expand(arena, s->pam_mail_dir, &account);
	out->uid = account.uid;
	out->gid = account.gid;
	return USERS_OK;
}

enum users_result
auth_find_grant(struct auth *a, struct str address, struct arena *arena,
    struct keeper_grant *out)
{
	const struct settings *s = a->process->settings;
	struct user_address u;
	struct account account;
	enum users_result result;
	const char *why;

	if (!user_address_normalise(address, arena, &u, &why))
		return USERS_NO_SUCH;
	result = users_find_account(a->users, u.whole, arena, &account);
	/* A database that cannot be read does not make a system account out of one of its own. */
	if (result == USERS_NO_SUCH || result == USERS_NOT_OURS)
		return find_system_grant(a, &u, arena, out);
	if (result != USERS_OK)
		return result;
	*out = (struct keeper_grant){ .address = account.address, .uid = (uid_t)-1,
	    .gid = (gid_t)-1,
	    .quota_bytes = account.has_quota_octets ? account.quota_octets : s->default_quota,
	    .quota_messages = account.has_quota_messages ? account.quota_messages :
	    s->default_quota_messages };
	out->maildir = account.mail_dir.n ? account.mail_dir : usual_maildir(s, arena, &u);
	return USERS_OK;
}
