/* SPDX-License-Identifier: ISC */
/*
 * The machine's own accounts. pam_check runs PAM's modules, which block, open files and start
 * programs: it is called only in a process that was forked for this one question and that
 * somebody times.
 */
#pragma once

#include <sys/types.h>

#include "common/auth/users.h"

enum { SYSTEM_NAME_MAX = 256 };		/* octets */

enum pam_answer { PAM_ANSWER_YES, PAM_ANSWER_NO, PAM_ANSWER_LATER };

struct system_account {
	struct str name;
	struct str home;
	uid_t uid;
	gid_t gid;
};

/*
 * May this user in, by pam_authenticate and pam_acct_mgmt of the service? All NUL-terminated;
 * remote_host may be "". PAM_ANSWER_LATER: a module or the service file failed (logged).
 */
must_check enum pam_answer pam_check(const char *service, const char *user,
	const char *password, const char *remote_host);
/*
 * USERS_NO_SUCH where there is no such name, or where it is root's (no mail is kept as root);
 * USERS_BROKEN (logged) where the machine cannot tell now.
 */
must_check enum users_result system_account_find(struct str name, struct arena *,
	struct system_account *out);
