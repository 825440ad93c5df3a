/* SPDX-License-Identifier: ISC */
/*
 * What an account stands for: its Maildir, the user its files belong to, its limits. The same for auth, which
 * lets people in, and for trivet(8). Asks nobody.
 */
#pragma once

#include "common/auth/pam_worker.h"
#include "common/auth/users.h"
#include "common/daemon/keeper.h"
#include "common/daemon/settings.h"

/*
 * uid and gid are -1 where the files are the daemons' own. A limit is the account's own, else its domain's, else
 * the site's. Views live as long as the arena, and the account.
 */
struct keeper_grant grant_of_account(const struct settings *, struct arena *, const struct account *);
/* An account of the machine, by the address it has here. */
struct keeper_grant grant_of_system(const struct settings *, struct arena *, struct str address,
	const struct system_account *);
