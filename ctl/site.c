/* SPDX-License-Identifier: ISC */
/* The site a command works on: its configuration, its folders and its users.db. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "ctl/ctl.h"

bool
ctl_read_settings(struct ctl *ctl)
{
	char *why = NULL;

	if (ctl->settings != NULL)
		return true;
	ctl->settings = settings_read(ctl->config_path, &why);
	if (ctl->settings == NULL) {
		ctl_fail("%s", why);
		free(why);
		return false;
	}
	/* What is written into users.db carries the daemons' time. */
	if (ctl->settings->test_clock[0] != '\0'
	    && !clock_turn_by_file(ctl->settings->test_clock)) {
		ctl_fail("cannot map %s (setting test_clock in %s): %s",
			ctl->settings->test_clock, ctl->settings->config_path, strerror(errno));
		return false;
	}
	return true;
}

/* mkdir -p, the last one with this mode and owner; a folder that exists is left as it is. */
static bool
make_folder(const char *path, uid_t uid, gid_t gid)
{
	char *part = xstrdup(path);
	bool made = false;

	for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(part, 0755);	/* a fault shows at the last one */
		*slash = '/';
	}
	free(part);
	made = mkdir(path, 0750) == 0;
	if (!made && errno != EEXIST)
		return false;
	if (!made || uid == (uid_t)-1)
		return true;
	return chown(path, uid, gid) == 0;
}

bool
ctl_find_daemon_user(struct ctl *ctl, uid_t *uid, gid_t *gid)
{
	const struct settings *settings = ctl->settings;
	const char *name = settings->user[0] != '\0' ? settings->user : "trivet";
	const struct passwd *entry;

	*uid = (uid_t)-1;
	*gid = (gid_t)-1;
	if (geteuid() != 0 || strcmp(name, "root") == 0)
		return true;
	entry = getpwnam(name);
	if (entry == NULL) {
		ctl_fail("there is no user %s (setting user in %s): make it with "
			"\"useradd --system %s\", or name another one", name,
			settings->config_path, name);
		return false;
	}
	*uid = entry->pw_uid;
	*gid = entry->pw_gid;
	return true;
}

bool
ctl_make_folders(struct ctl *ctl)
{
	const struct {
		const char *setting, *path;
	} folders[] = {
		{ "state_dir", ctl->settings->state_dir },
		{ "mail_dir", ctl->settings->mail_dir },
	};
	uid_t uid;
	gid_t gid;

	if (!ctl_find_daemon_user(ctl, &uid, &gid))
		return false;
	for (size_t i = 0; i < countof(folders); i++)
		if (!make_folder(folders[i].path, uid, gid)) {
			ctl_fail("cannot make the folder %s (setting %s in %s): %s",
				folders[i].path, folders[i].setting, ctl->settings->config_path,
				strerror(errno));
			return false;
		}
	return true;
}

bool
ctl_open_users(struct ctl *ctl, enum users_mode mode)
{
	struct str path;
	char *why = NULL;

	if (!ctl_read_settings(ctl) || (mode == USERS_WRITE && !ctl_make_folders(ctl)))
		return false;
	path = arena_printf(ctl->arena, "%s/users.db", ctl->settings->state_dir);
	ctl->users = users_open(path.p, mode, &why);
	if (ctl->users == NULL)
		ctl_fail("%s", why);
	free(why);
	return ctl->users != NULL;
}

int
ctl_begin_list(struct ctl *ctl, struct str *domain)
{
	if (!ctl_take_options(ctl, NULL, 0, 0, 1))
		return CTL_USAGE;
	if (!ctl_open_users(ctl, USERS_READ))
		return CTL_FAILED;
	*domain = ctl->word_count > 0 ? str_of(ctl->words[0]) : STR_EMPTY;
	return CTL_OK;
}

int
ctl_users_fail(enum users_result result, const char *name)
{
	switch (result) {
	case USERS_NO_SUCH:
		return ctl_fail("%s: there is no such address; \"trivet user list\" and "
			"\"trivet alias list\" show all", name);
	case USERS_NOT_OURS:
		return ctl_fail("%s: its domain is not one of this site; \"trivet domain add "
			"DOMAIN\" makes it so", name);
	case USERS_EXISTS:
		return ctl_fail("%s: is there already", name);
	case USERS_IN_USE:
		return ctl_fail("%s: still has accounts or aliases; delete those first", name);
	case USERS_INVALID:
		return ctl_fail("%s: is no valid name or value", name);
	case USERS_TOO_MANY:
		return ctl_fail("%s: would lead to more than %d addresses or more than %d steps",
			name, (int)USERS_TARGETS_MAX, (int)USERS_ALIAS_DEPTH);
	case USERS_BUSY:
		return ctl_fail("%s: users.db is locked by another program; try again", name);
	case USERS_OK:
	case USERS_BROKEN:
		break;
	}
	return ctl_fail("%s: users.db failed; the line above says how", name);
}

const char *
ctl_full_address(struct ctl *ctl, const char *text)
{
	if (strchr(text, '@') != NULL || ctl->settings->default_domain[0] == '\0')
		return text;
	return arena_printf(ctl->arena, "%s@%s", text, ctl->settings->default_domain).p;
}

struct str
ctl_mail_dir(struct ctl *ctl, const struct account *account)
{
	size_t at = str_last_index(account->address, '@');

	if (account->mail_dir.n > 0)
		return account->mail_dir;
	return arena_printf(ctl->arena, "%s/%.*s/%.*s", ctl->settings->mail_dir,
		STR_ARG(str_from(account->address, at + 1)),
		STR_ARG(str_sub(account->address, 0, at)));
}
