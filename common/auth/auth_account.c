/* SPDX-License-Identifier: ISC */
/* What an address of ours stands for: its Maildir, its user and its limits. */
#include <stdlib.h>
#include <sys/stat.h>

#include "common/auth/auth_inside.h"
#include "common/auth/grants.h"
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
	*out = grant_of_system(s, arena, u->whole, &account);
	return USERS_OK;
}

enum users_result
auth_find_grant(struct auth *a, struct str address, struct arena *arena,
    struct keeper_grant *out)
{
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
	*out = grant_of_account(a->process->settings, arena, &account);
	return USERS_OK;
}
