/* SPDX-License-Identifier: ISC */
/*
 * Who each role is when root started us: a user of its own where the system has one by the name USER-ROLE
 * (trivet-front), else the user of the setting. All have that user's group. What a role owns in state_dir is made
 * and given to it here, by root, before it is forked: so the folder itself belongs to none of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <dirent.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/daemon/master.h"

static const char *const suffixes[ROLE_COUNT] = {
	[ROLE_RECORDER] = "recorder", [ROLE_FRONT] = "front", [ROLE_AUTH] = "auth",
	[ROLE_AUTH_HASH] = "hash", [ROLE_QUEUE] = "queue", [ROLE_COURIER] = "courier",
	[ROLE_SYNCER] = "syncer", [ROLE_SIGNER] = "signer",
};

static bool
is_used(const struct master *m, enum role role)
{
	return m->roles[role].count > 0 && suffixes[role] != NULL;
}

void
owners_find(struct master *m, const char *user)
{
	scoped_buf missing = BUF_INIT;

	for (enum role role = 0; role < ROLE_COUNT; role++) {
		scoped_buf name = BUF_INIT;
		const struct passwd *entry;

		m->uids[role] = m->uid;
		if (m->uid == (uid_t)-1 || !is_used(m, role))
			continue;
		buf_printf(&name, "%s-%s", user, suffixes[role]);
		entry = getpwnam(buf_z(&name));
		if (entry != NULL && entry->pw_uid != 0) {
			m->uids[role] = entry->pw_uid;
			continue;
		}
		if (missing.n > 0)
			buf_put_c(&missing, ' ');
		buf_put_z(&missing, buf_z(&name));
	}
	if (missing.n > 0)
		log_info(NULL, "users.shared", KV("missing", buf_str(&missing)), KV("why",
		    "these roles run as the user of the setting; for a user each: useradd --system --no-create-home "
		    "--shell /usr/sbin/nologin NAME"));
}

void
owners_become(const struct master *m, enum role role)
{
	if (m->uid == (uid_t)-1)
		return;
	if (setgroups(0, NULL) != 0 || setresgid(m->gid, m->gid, m->gid) != 0 ||
	    setresuid(m->uids[role], m->uids[role], m->uids[role]) != 0)
		fatal("cannot become user id %u: errno %d", (unsigned)m->uids[role], errno);
}

/* ---- what they own ---- */

static bool
is_ours(const struct master *m, uid_t uid)
{
	if (uid == 0)
		return true;
	for (enum role role = 0; role < ROLE_COUNT; role++)
		if (m->uids[role] == uid)
			return true;
	return false;
}

/*
 * Only a plain file or a folder with one name, opened without following a link: the folder may be somebody else's
 * who would like root to give away another file.
 */
static bool
give_fd(const struct master *m, int fd, enum role role)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return false;
	if (st.st_uid == m->uids[role] && st.st_gid == m->gid)
		return true;
	if (!S_ISDIR(st.st_mode) && (!S_ISREG(st.st_mode) || st.st_nlink != 1))
		return false;
	if (!is_ours(m, st.st_uid))
		log_info(NULL, "owner.changed", KV("role", role_name(role)), KV("from", (uint64_t)st.st_uid));
	return fchown(fd, m->uids[role], m->gid) == 0;
}

static void
give_file(const struct master *m, int folder, const char *name, enum role role, bool make)
{
	int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	scoped_fd fd = openat(folder, name, make ? flags | O_CREAT : flags, 0600);

	if (fd < 0 && errno == ENOENT && !make)
		return;
	if (fd < 0 || !give_fd(m, fd, role))
		log_error(NULL, "owner.kept", KV("name", name), KV("role", role_name(role)), KV("errno", errno));
}

static void
give_database(const struct master *m, int folder, const char *name, enum role role)
{
	scoped_buf wal = BUF_INIT, index = BUF_INIT;

	buf_printf(&wal, "%s-wal", name);
	buf_printf(&index, "%s-shm", name);
	give_file(m, folder, name, role, true);
	give_file(m, folder, buf_z(&wal), role, true);
	give_file(m, folder, buf_z(&index), role, true);
}

/* Its files are given with it, once: those that come are made by who it belongs to. */
static void
give_folder(const struct master *m, int parent, const char *name, enum role role)
{
	struct dirent *entry;
	struct stat st;
	DIR *list;
	int fd;

	(void)mkdirat(parent, name, 0700);	/* a fault shows when it is opened */
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) != 0 || (list = fdopendir(fd)) == NULL) {
		log_error(NULL, "owner.kept", KV("name", name), KV("role", role_name(role)), KV("errno", errno));
		close_fd(&fd);
		return;
	}
	while (st.st_uid != m->uids[role] && (entry = readdir(list)) != NULL)
		if (entry->d_name[0] != '.')
			give_file(m, fd, entry->d_name, role, false);
	if (!give_fd(m, fd, role))
		log_error(NULL, "owner.kept", KV("name", name), KV("role", role_name(role)), KV("errno", errno));
	closedir(list);
}

/* Where the roles are different users, their group must come through to what they own. */
static void
open_way(const struct master *m, int folder)
{
	struct stat st;
	bool alone = true;

	for (enum role role = 0; role < ROLE_COUNT; role++)
		alone &= m->uids[role] == m->uid;
	if (alone || fstat(folder, &st) != 0 || (st.st_gid == m->gid && (st.st_mode & 050) == 050))
		return;
	if (fchown(folder, (uid_t)-1, m->gid) != 0 || fchmod(folder, (st.st_mode & 07777) | 050) != 0)
		log_error(NULL, "owner.kept", KV("name", m->settings->state_dir), KV("errno", errno));
}

void
owners_give(const struct master *m)
{
	scoped_fd folder = -1;
	struct stat st;

	if (m->uid == (uid_t)-1)
		return;
	/* One that is not there is told of by who needs it. */
	folder = open(m->settings->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return;
	open_way(m, folder);
	if (fstatat(folder, "users.db", &st, AT_SYMLINK_NOFOLLOW) == 0)
		give_database(m, folder, "users.db", ROLE_AUTH);
	for (size_t i = 0; i < m->service->belonging_count; i++) {
		const struct service_belonging *b = &m->service->belongings[i];

		if (b->kind == BELONGING_FOLDER)
			give_folder(m, folder, b->name, b->role);
		else
			give_database(m, folder, b->name, b->role);
	}
}
