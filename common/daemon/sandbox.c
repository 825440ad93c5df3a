/* SPDX-License-Identifier: ISC */
/*
 * Closing the walls: capabilities, Landlock, then seccomp, which shuts the door behind the others. What the kernel's
 * Landlock does not have is masked out of what we ask for; seccomp carries it. landlock(7), seccomp(2).
 */
#include "common/daemon/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/daemon/escape.h"
#include "common/daemon/sandbox_inside.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

/* The kernel's names and numbers: the header of the system that we are built on may be older than its kernel. */
enum fs_right {
	FS_EXECUTE = 1 << 0, FS_WRITE_FILE = 1 << 1, FS_READ_FILE = 1 << 2, FS_READ_DIR = 1 << 3,
	FS_REMOVE_DIR = 1 << 4, FS_REMOVE_FILE = 1 << 5, FS_MAKE_CHAR = 1 << 6, FS_MAKE_DIR = 1 << 7,
	FS_MAKE_REG = 1 << 8, FS_MAKE_SOCK = 1 << 9, FS_MAKE_FIFO = 1 << 10, FS_MAKE_BLOCK = 1 << 11,
	FS_MAKE_SYM = 1 << 12,
	FS_REFER = 1 << 13,	/* ABI 2: to move and link between folders; without it, never */
	FS_TRUNCATE = 1 << 14,	/* ABI 3 */
	FS_IOCTL_DEV = 1 << 15,	/* ABI 5 */
	FS_ABI_1 = FS_REFER - 1,
	FS_OF_FILES = FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE,
	FS_OF_FOLDERS = FS_OF_FILES | FS_READ_DIR | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR |
	    FS_MAKE_REG | FS_MAKE_SOCK | FS_REFER,
};
enum net_right { NET_BIND_TCP = 1 << 0, NET_CONNECT_TCP = 1 << 1 };	/* ABI 4 */
enum scope { SCOPE_ABSTRACT_SOCKETS = 1 << 0, SCOPE_SIGNALS = 1 << 1 };	/* ABI 6 */

enum {
	ABI_REFER = 2, ABI_TRUNCATE = 3, ABI_NET = 4, ABI_IOCTL = 5, ABI_SCOPE = 6,
	CREATE_RULESET_VERSION = 1,
	RULE_PATH_BENEATH = 1,
	PLACES_MAX = 16,
};

struct ruleset {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

struct path_beneath {
	uint64_t allowed;
	int32_t parent;
} __attribute__((packed));

struct place {
	int fd;
	bool ours;		/* the descriptor: closed when the rule is made */
	enum sandbox_access access;
};

static struct sandbox_options options;
static struct place places[PLACES_MAX];
static size_t place_count;
static bool closed;

void
sandbox_set(const struct sandbox_options *o)
{
	options = *o;
}

const struct sandbox_options *
sandbox_options(void)
{
	return &options;
}

/* ---- what it may reach ---- */

static bool
needs_no_places(void)
{
	return closed || (options.off && !options.escapes);
}

static void
add_place(int fd, bool ours, enum sandbox_access access)
{
	if (place_count == countof(places))
		fatal("the sandbox has too many places");
	places[place_count++] = (struct place){ fd, ours, access };
}

void
sandbox_allow(int fd, enum sandbox_access access)
{
	if (!needs_no_places())
		add_place(fd, false, access);
}

void
sandbox_allow_path(const char *path, enum sandbox_access access)
{
	int flags = access == SANDBOX_FOLDER || access == SANDBOX_TREE ? O_PATH | O_DIRECTORY : O_PATH;
	int fd;

	if (needs_no_places())
		return;
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && access == SANDBOX_WRITE)
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* What is not there cannot be used, and who needs it will say so. */
	if (fd >= 0)
		add_place(fd, true, access);
	else
		log_debug(NULL, "sandbox.place", KV("path", path), KV("errno", errno));
}

void
sandbox_allow_database(const char *path, enum sandbox_access access)
{
	scoped_buf wal = BUF_INIT, index = BUF_INIT;
	char *real = realpath(path, NULL);	/* where SQLite follows a link, too */

	buf_printf(&wal, "%s-wal", real != NULL ? real : path);
	buf_printf(&index, "%s-shm", real != NULL ? real : path);
	free(real);
	sandbox_allow_path(path, access);
	sandbox_allow_path(buf_z(&wal), access);
	sandbox_allow_path(buf_z(&index), SANDBOX_WRITE);
}

/* ---- Landlock ---- */

/* 0: none. */
static unsigned
landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);

	if (abi < 0)
		return 0;
	if (options.landlock_most > 0 && (unsigned)abi > options.landlock_most)
		return options.landlock_most;
	return (unsigned)abi;
}

static uint64_t
fs_rights(unsigned abi)
{
	uint64_t rights = FS_ABI_1;

	if (abi >= ABI_REFER)
		rights |= FS_REFER;
	if (abi >= ABI_TRUNCATE)
		rights |= FS_TRUNCATE;
	if (abi >= ABI_IOCTL)
		rights |= FS_IOCTL_DEV;
	return rights;
}

static struct ruleset
rules_of(enum role role, unsigned abi)
{
	struct ruleset r = { .fs = fs_rights(abi) };

	if (abi >= ABI_NET)
		r.net = role == ROLE_COURIER ? NET_BIND_TCP : NET_BIND_TCP | NET_CONNECT_TCP;
	if (abi >= ABI_SCOPE)
		r.scoped = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS;
	return r;
}

static uint64_t
rights_of(enum sandbox_access access)
{
	switch (access) {
	case SANDBOX_READ:
		return FS_READ_FILE;
	case SANDBOX_WRITE:
		return FS_OF_FILES;
	case SANDBOX_TREE:
		return FS_READ_FILE | FS_READ_DIR;
	case SANDBOX_FOLDER:
		return FS_OF_FOLDERS;
	}
	return 0;
}

static bool
has_folder(void)
{
	for (size_t i = 0; i < place_count; i++)
		if (places[i].access == SANDBOX_FOLDER)
			return true;
	return false;
}

static void
close_landlock(enum role role)
{
	unsigned abi = landlock_abi();
	struct ruleset rules = rules_of(role, abi);
	int set;

	/* Mail is written in tmp/ and moved to cur/: ABI 1 cannot allow that. sandbox_announce has told. */
	if (abi == 0 || (abi < ABI_REFER && has_folder()))
		return;
	set = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
	if (set < 0)
		fatal("Landlock makes no ruleset: errno %d", errno);
	for (size_t i = 0; i < place_count; i++) {
		struct path_beneath rule = { rights_of(places[i].access) & rules.fs, places[i].fd };

		if (syscall(SYS_landlock_add_rule, set, RULE_PATH_BENEATH, &rule, 0) != 0)
			fatal("Landlock takes no rule: errno %d", errno);
	}
	if (syscall(SYS_landlock_restrict_self, set, 0) != 0)
		fatal("Landlock does not close: errno %d", errno);
	close(set);
}

/* ---- closing ---- */

/* Root without them is an ordinary user who owns root's files. */
static void
drop_capabilities(enum role role)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct kept[_LINUX_CAPABILITY_U32S_3] = { 0 };

	/* Its keepers become their accounts' users. */
	if (role == ROLE_NURSERY && geteuid() == 0)
		kept[0].effective = kept[0].permitted = 1u << CAP_SETUID | 1u << CAP_SETGID;
	if (syscall(SYS_capset, &header, kept) != 0)
		fatal("cannot drop capabilities: errno %d", errno);
}

/* Passwords, keys, other people's words: nobody of our user looks into it, and no core file gets them. */
static bool
holds_secrets(enum role role)
{
	return role == ROLE_FRONT || role == ROLE_AUTH || role == ROLE_AUTH_HASH || role == ROLE_SIGNER;
}

static bool
kernel_has_filters(void)
{
	/* seccomp(2): a pointer to nothing is EFAULT where filters are known. */
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL) != 0 && errno == EFAULT;
}

static void
close_walls(enum role role)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		fatal("no_new_privs: errno %d", errno);
	drop_capabilities(role);
	if (holds_secrets(role) && prctl(PR_SET_DUMPABLE, 0) != 0)
		fatal("PR_SET_DUMPABLE: errno %d", errno);
	/* Its keepers close this wall, when they know where. */
	if (role != ROLE_NURSERY)
		close_landlock(role);
	for (size_t i = 0; i < place_count; i++)
		if (places[i].ours)
			close(places[i].fd);
	place_count = 0;
	if (sandbox_filter_is_known() && kernel_has_filters() && !sandbox_filter_install(role))
		fatal("seccomp does not close: errno %d", errno);
}

static void
close_nothing(enum role role)
{
	(void)role;
}

void
sandbox_close(enum role role)
{
	if (closed || role == ROLE_MASTER || role == ROLE_AUTH_PAM)
		return;
#ifdef WITH_SANITIZERS
	/* Their reports are made of /proc/self and the programs' files; nothing can be written all the same. */
	sandbox_allow_path("/", SANDBOX_TREE);
#endif
	closed = role != ROLE_NURSERY;	/* the keepers that it forks are still to close theirs */
	if (options.escapes)
		escape_run(role, options.off ? close_nothing : close_walls);
	if (!options.off)
		close_walls(role);
}

/* ---- the log ---- */

void
sandbox_announce(void)
{
	unsigned abi = landlock_abi();

	if (options.off) {
		log_warn(NULL, "sandbox.off", KV("why", "--no-sandbox was given: every process can reach "
		    "whatever its user can; for debugging only"));
		return;
	}
	if (abi < ABI_REFER)
		log_warn(NULL, "sandbox.no_landlock", KV("abi", abi), KV("why", abi == 0 ?
		    "this kernel has no Landlock: processes can open what their user can; use Linux 5.19 or later, with "
		    "landlock in lsm=" : "this kernel's Landlock cannot hold keepers and queue; use Linux 5.19 or later"));
	if (!sandbox_filter_is_known())
		log_warn(NULL, "sandbox.no_seccomp", KV("why", "no filter of system calls was written for this processor"));
	else if (!kernel_has_filters())
		log_warn(NULL, "sandbox.no_seccomp", KV("why", "this kernel takes no filters of system calls"));
	log_info(NULL, "sandbox", KV("landlock_abi", abi));
}
