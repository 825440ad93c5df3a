/* SPDX-License-Identifier: ISC */
#include "maildir/index_vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/id.h"
#include "maildir/files.h"
#include "maildir/index_memory.h"
#include "maildir/index_wal.h"

static const char door[] = "/trivet-account";

static sqlite3_vfs vfs;

/* Splits "/trivet-account/FD/rest"; false: not a path of ours. */
static bool
split(const char *path, int *dir, const char **rest)
{
	struct str s = str_of(path), number;
	uint32_t fd;

	if (!str_starts(s, STR("/trivet-account/")))
		return false;
	s = str_from(s, sizeof(door));
	if (!str_cut(&s, '/', &number) || !str_to_u32(number, &fd) || s.n == 0)
		return false;
	*dir = (int)fd;
	*rest = s.p;
	return true;
}

static int
open_beneath(const char *path, int flags, int mode)
{
	const char *rest;
	struct stat st;
	int dir, fd;

	if (!split(path, &dir, &rest))
		return open(path, flags, mode);
	/* SQLite would let everybody read it. */
	fd = files_open(dir, rest, flags, (mode_t)mode & 0600);
	/* Nor is anything written to that is linked here from elsewhere. */
	if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink <= 1))
		return fd;
	close(fd);
	errno = ELOOP;
	return -1;
}

static int
stat_beneath(const char *path, struct stat *st)
{
	const char *rest;
	int dir, why;
	bool ok;

	if (!split(path, &dir, &rest))
		return stat(path, st);
	scoped_fd fd = files_open(dir, rest, O_PATH, 0);
	if (fd < 0)
		return -1;
	ok = fstat(fd, st) == 0;
	why = errno;
	close_fd(&fd);
	errno = why;
	return ok ? 0 : -1;
}

/* SQLite asks this only to follow links in the path itself, and ours has none. */
static int
lstat_beneath(const char *path, struct stat *st)
{
	if (!str_starts(str_of(path), str_of(door)))
		return lstat(path, st);
	errno = ENOENT;
	return -1;
}

static int
access_beneath(const char *path, int mode)
{
	const char *rest;
	struct stat st;
	int dir;

	if (!split(path, &dir, &rest))
		return access(path, mode);
	return stat_beneath(path, &st);
}

static int
parent_beneath(int dir, const char *rest, const char **name)
{
	struct str s = str_of(rest);
	size_t slash = str_last_index(s, '/');
	scoped_buf parent = BUF_INIT;

	*name = slash == s.n ? rest : rest + slash + 1;
	buf_put(&parent, slash == s.n ? STR(".") : str_sub(s, 0, slash));
	return files_open_dir(dir, buf_z(&parent));
}

static int
unlink_beneath(const char *path)
{
	const char *rest, *name;
	int dir, result, why;

	if (!split(path, &dir, &rest))
		return unlink(path);
	scoped_fd parent = parent_beneath(dir, rest, &name);
	if (parent < 0)
		return -1;
	result = unlinkat(parent, name, 0);
	why = errno;
	close_fd(&parent);
	errno = why;
	return result;
}

static int
open_directory(const char *path, int *fd)
{
	struct str s = str_of(path);
	const char *rest, *name;
	scoped_buf plain = BUF_INIT;
	int dir;

	if (split(path, &dir, &rest)) {
		*fd = parent_beneath(dir, rest, &name);
	} else {
		buf_put(&plain, str_sub(s, 0, str_last_index(s, '/')));
		*fd = open(plain.n == 0 ? "/" : buf_z(&plain), O_RDONLY | O_CLOEXEC);
	}
	return *fd >= 0 ? SQLITE_OK : SQLITE_CANTOPEN;
}

/*
 * SQLite takes EIO for a corrupt file, and a corrupt index is made anew: flags that are in no name yet would be lost
 * by a fault that may pass. index.c decides when one does not.
 */
static ssize_t
read_at(int fd, void *p, size_t n, off_t offset)
{
	ssize_t got = pread(fd, p, n, offset);

	if (got < 0 && errno == EIO)
		errno = EREMOTEIO;
	return got;
}

static int
random_bytes(sqlite3_vfs *unused, int n, char *out)
{
	(void)unused;
	id_random_bytes(out, (size_t)n);
	return n;
}

void
store_preload(void)
{
	index_memory_install();
	/* Pages one by one: of those that SQLite takes in a block none is ever given back, and there are many keepers. */
	(void)sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
	(void)sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
	if (sqlite3_initialize() != SQLITE_OK)
		fatal("SQLite cannot begin");
}

void
index_vfs_install(void)
{
	static const struct {
		const char *name;
		sqlite3_syscall_ptr call;
	} calls[] = {
		{ "open", (sqlite3_syscall_ptr)open_beneath },
		{ "stat", (sqlite3_syscall_ptr)stat_beneath },
		{ "lstat", (sqlite3_syscall_ptr)lstat_beneath },
		{ "access", (sqlite3_syscall_ptr)access_beneath },
		{ "unlink", (sqlite3_syscall_ptr)unlink_beneath },
		{ "pread", (sqlite3_syscall_ptr)read_at },
		{ "pread64", (sqlite3_syscall_ptr)read_at },
		{ "openDirectory", (sqlite3_syscall_ptr)open_directory },
	};
	sqlite3_vfs *standard = sqlite3_vfs_find(NULL);

	if (vfs.zName != NULL)
		return;
	if (standard == NULL)
		fatal("SQLite has no file system layer");
	for (size_t i = 0; i < countof(calls); i++)
		if (standard->xSetSystemCall(standard, calls[i].name, calls[i].call) != SQLITE_OK)
			fatal("SQLite does not know the call %s", calls[i].name);
	index_wal_put_over(&vfs, standard);
	vfs.zName = "trivet";
	vfs.xRandomness = random_bytes;
	if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK)
		fatal("SQLite does not take a file system layer");
}

void
index_vfs_put_path(struct buf *out, int dirfd, const char *name)
{
	buf_printf(out, "%s/%d/.trivet/%s", door, dirfd, name);
}
