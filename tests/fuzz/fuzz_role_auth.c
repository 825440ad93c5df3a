/* SPDX-License-Identifier: ISC */
/* auth: whatever its fronts, the queue, its workers and master say (tests/fuzz/role.h has the script). */
#include "common/auth/auth_proc.h"
#include "common/auth/users.h"
#include "common/daemon/messages.h"
#include "tests/fuzz/role.h"

#include <stdlib.h>

static const struct role_kind kinds[] = {
	{ ROLE_FRONT, MSG_LOGIN }, { ROLE_FRONT, MSG_RECIPIENT },
	{ ROLE_QUEUE, MSG_RECIPIENT }, { ROLE_QUEUE, MSG_ACCOUNT_WANTED },
	{ ROLE_AUTH_HASH, MSG_HASH_ANSWER }, { ROLE_AUTH_PAM, MSG_PAM_ANSWER },
	{ ROLE_MASTER, MSG_USAGE }, { ROLE_MASTER, MSG_KEEPER_GONE },
	{ ROLE_FRONT, MSG_USAGE }, { ROLE_QUEUE, MSG_LOGIN },
};

static const struct service service = { .name = "imapd", .protocol = "imap" };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
make_users(void)
{
	struct account alice = { .address = STR("alice@example.test"), .verifier = STR("$y$any"),
		.enabled = true, .mail_dir = STR_EMPTY };
	scoped_buf path = BUF_INIT;
	char *why = NULL;
	struct users *users;

	buf_printf(&path, "%s/users.db", role_folder());
	users = users_open(buf_z(&path), USERS_WRITE, &why);
	if (users == NULL)
		fatal("%s", why);
	if (users_add_domain(users, STR("example.test")) != USERS_OK ||
	    users_add_account(users, &alice) != USERS_OK ||
	    users_add_alias(users, STR("all@example.test"), alice.address) != USERS_OK ||
	    users_add_alias(users, STR("all@example.test"), STR("far@example.net")) != USERS_OK)
		fatal("the users cannot be made");
	users_close(users);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct process *process;

	if (process == NULL) {
		process = role_process(ROLE_AUTH, &service, "default_domain = example.test");
		make_users();
		auth_roles.start(process);
	}
	role_play(process, kinds, countof(kinds), (struct str){ (const char *)data, size });
	return 0;
}
