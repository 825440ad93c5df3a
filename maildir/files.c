/* SPDX-License-Identifier: ISC */
#include "maildir/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/id.h"

enum {
	BENEATH_TRIES = 20,	/* openat2 says EAGAIN when a rename ran past it */
	PIECE = 64 * 1024,	/* compared at a time */
	TIMES_APART = 60,	/* seconds; our own renames and links come sooner after the writing */
	TREE_DEPTH_MAX = 3,	/* a mailbox is cur/, new/, tmp/ and their files */
};

enum store_result
files_failed(const struct log *log, const char *doing, struct str path)
{
	int why = errno;

	if (why == ENOENT)
		return STORE_GONE;
	log_error(log, "store-file", KV("doing", doing), KV("path", path), KV("errno", why),
	    KV("why", strerror(why)));
	switch (why) {
	case ENOSPC:
	case EDQUOT:
		return STORE_FULL;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return STORE_BUSY;
	case EROFS:
		return STORE_READ_ONLY;
	default:
		return STORE_BROKEN;
	}
}

int
files_open(int dir, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
		.mode = (flags & O_CREAT) != 0 ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd = -1;

	if ((flags & O_PATH) == 0)
		how.flags |= O_NONBLOCK;
	for (int i = 0; i < BENEATH_TRIES; i++) {
		fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return (int)fd;
}

int
files_open_dir(int dir, const char *path)
{
	return files_open(dir, path, O_RDONLY | O_DIRECTORY, 0);
}

/*
 * A file with a second name may be somebody else's that was linked here: it is ours if it belongs to us, or to
 * whom the directory belongs.
 */
static bool
is_ours(int dir, const struct stat *file)
{
	struct stat st;

	if (!S_ISREG(file->st_mode))
		return false;
	return file->st_nlink <= 1 || file->st_uid == geteuid() ||
	    (fstat(dir, &st) == 0 && file->st_uid == st.st_uid);
}

/* To open some devices is to do something: so it is looked at first, and again, as it may be another one by then. */
int
files_open_measured(int dir, const char *name, uint64_t *size)
{
	struct stat st;
	int fd;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return -1;
	fd = S_ISREG(st.st_mode) ? files_open(dir, name, O_RDONLY | O_NOCTTY, 0) : -1;
	if (fd >= 0 && fstat(fd, &st) == 0 && is_ours(dir, &st)) {
		*size = (uint64_t)st.st_size;
		return fd;
	}
	if (fd < 0 && S_ISREG(st.st_mode))
		return -1;
	close_fd(&fd);
	errno = S_ISLNK(st.st_mode) ? ELOOP : EINVAL;
	return -1;
}

int
files_open_message(int dir, const char *name)
{
	uint64_t size;

	return files_open_measured(dir, name, &size);
}

bool
files_is_planted(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    (!S_ISREG(st.st_mode) || st.st_nlink > 1);
}

/* Links, pipes, sockets and devices hold nothing, and the sandbox lets nobody make one, by a rename neither. */
bool
files_set_aside(const struct log *log, int dir, const char *name)
{
	scoped_buf to = BUF_INIT;
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
		buf_put_z(&to, "trivet-aside.");
		id_put_new(&to);
	}
	if (to.n > 0 ? renameat2(dir, name, dir, buf_z(&to), RENAME_NOREPLACE) != 0 : unlinkat(dir, name, 0) != 0)
		return false;
	log_warn(log, "set-aside", KV("file", name), KV("as", buf_str(&to)), KV("removed", to.n == 0),
	    KV("why", "something that is not ours was in its place"));
	return true;
}

int
files_make_dir(int dir, const char *path)
{
	int fd = files_open_dir(dir, path);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	/* Plain names only, so mkdirat has no link to follow. */
	if (mkdirat(dir, path, 0700) != 0 && errno != EEXIST)
		return -1;
	return files_open_dir(dir, path);
}

bool
files_stat(int dir, const char *name, uint64_t *size, int64_t *mtime)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	if (!is_ours(dir, &st)) {
		errno = EINVAL;
		return false;
	}
	*size = (uint64_t)st.st_size;
	*mtime = (int64_t)st.st_mtim.tv_sec;
	return true;
}

int64_t
files_mtime_ns(int dir)
{
	struct stat st;

	if (fstat(dir, &st) != 0)
		return 0;
	return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

int64_t
files_identity(int dir, const char *name)
{
	struct statx st;

	if (statx(dir, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &st) != 0 ||
	    (st.stx_mask & STATX_INO) == 0)
		return 0;
	if ((st.stx_mask & STATX_BTIME) != 0 && st.stx_btime.tv_sec > 0)
		return st.stx_btime.tv_sec * 1000000000 + st.stx_btime.tv_nsec;
	return -(int64_t)(st.stx_ino & INT64_MAX);
}

bool
files_times_set(int dir, const char *name)
{
	struct stat st;
	int64_t apart;

	if (fstatat(dir, name, &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	apart = st.st_ctim.tv_sec - st.st_mtim.tv_sec;
	return apart > TIMES_APART || apart < -TIMES_APART;
}

bool
files_read_all(int fd, size_t limit, struct buf *out)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return false;
	if ((uint64_t)st.st_size > limit) {
		errno = EFBIG;
		return false;
	}
	return files_read_at(fd, 0, (size_t)st.st_size, out);
}

bool
files_read_at(int fd, uint64_t from, size_t n, struct buf *out)
{
	ssize_t got;

	while (n > 0) {
		got = pread(fd, buf_room(out, n), n, (off_t)from);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return false;
		if (got == 0)
			break;
		buf_added(out, (size_t)got);
		from += (uint64_t)got;
		n -= (size_t)got;
	}
	return true;
}

bool
files_same(int one, int other)
{
	scoped_buf a = BUF_INIT, b = BUF_INIT;
	struct stat st, st_other;
	uint64_t at = 0;

	if (fstat(one, &st) != 0 || fstat(other, &st_other) != 0 || st.st_size != st_other.st_size)
		return false;
	for (; at < (uint64_t)st.st_size; at += a.n) {
		buf_clear(&a);
		buf_clear(&b);
		if (!files_read_at(one, at, PIECE, &a) || !files_read_at(other, at, PIECE, &b) || a.n == 0 ||
		    !str_eq(buf_str(&a), buf_str(&b)))
			return false;
	}
	return true;
}

bool
files_write(int fd, struct str bytes)
{
	ssize_t done;

	while (bytes.n > 0) {
		done = write(fd, bytes.p, bytes.n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return false;
		bytes = str_from(bytes, (size_t)done);
	}
	return true;
}

bool
files_list(int dir, files_see *see, void *arg)
{
	int fd = files_open_dir(dir, ".");
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool ok;

	if (d == NULL) {
		close_fd(&fd);
		return false;
	}
	for (errno = 0; (entry = readdir(d)) != NULL; errno = 0) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (!see(arg, str_of(entry->d_name)))
			break;
	}
	ok = entry != NULL || errno == 0;
	closedir(d);
	return ok;
}

struct removal {
	int dir;
	int depth;
};

static bool remove_below(int dir, const char *name, int depth);

static bool
remove_one(void *arg, struct str name)
{
	const struct removal *r = arg;

	(void)remove_below(r->dir, name.p, r->depth);
	return true;
}

static bool
remove_below(int dir, const char *name, int depth)
{
	struct removal r = { .depth = depth + 1 };

	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return true;
	if ((errno != EISDIR && errno != EPERM) || depth >= TREE_DEPTH_MAX)
		return false;
	r.dir = files_open_dir(dir, name);
	if (r.dir < 0)
		return false;
	(void)!files_list(r.dir, remove_one, &r);
	close_fd(&r.dir);
	return unlinkat(dir, name, AT_REMOVEDIR) == 0;
}

bool
files_remove_tree(int dir, const char *name)
{
	return remove_below(dir, name, 0);
}
