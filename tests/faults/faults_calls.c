/* SPDX-License-Identifier: ISC */
/* The calls that can go wrong, in the C library's place: each asks what is to become of it, and is recorded. */
#include "tests/faults/faults.h"

#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>

enum { BOOT_DIGITS = 8 };

static int boot_fd = -1;

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

/* ---- octets ---- */

ssize_t
write(int fd, const void *p, size_t n)
{
	struct iovec part = { (void *)(uintptr_t)p, n };
	enum what w = control != NULL && is_file(fd) ? before(WRITE) : NOTHING;
	ssize_t r;

	if (w == FAIL)
		return -1;
	r = R(write)(fd, p, n);
	if (control != NULL && control->recording != 0 && has_files())
		record_write(fd, &part, 1, r, -1);
	after(w);
	return r;
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t offset)
{
	struct iovec part = { (void *)(uintptr_t)p, n };
	enum what w = before(WRITE);
	ssize_t r;

	if (w == FAIL)
		return -1;
	r = R(pwrite)(fd, p, n, offset);
	record_write(fd, &part, 1, r, offset);
	after(w);
	return r;
}

ssize_t pwrite64(int, const void *, size_t, off_t) __attribute__((alias("pwrite")));

ssize_t
writev(int fd, const struct iovec *parts, int count)
{
	enum what w = control != NULL && is_file(fd) ? before(WRITE) : NOTHING;
	ssize_t r;

	if (w == FAIL)
		return -1;
	r = R(writev)(fd, parts, count);
	if (control != NULL && control->recording != 0 && has_files())
		record_write(fd, parts, count, r, -1);
	after(w);
	return r;
}

ssize_t
pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
	enum what w = before(WRITE);
	ssize_t r;

	if (w == FAIL)
		return -1;
	r = R(pwritev)(fd, parts, count, offset);
	record_write(fd, parts, count, r, offset);
	after(w);
	return r;
}

ssize_t pwritev64(int, const struct iovec *, int, off_t) __attribute__((alias("pwritev")));

/* The next start finds another boot's id. */
static void
turn_boot(int fd, char *p, ssize_t n)
{
	char digits[BOOT_DIGITS + 1];

	if (fd != boot_fd || control == NULL || control->boot == 0 || n < BOOT_DIGITS)
		return;
	boot_fd = -1;
	snprintf(digits, sizeof(digits), "%08x", (unsigned)control->boot);
	memcpy(p, digits, BOOT_DIGITS);
}

ssize_t
read(int fd, void *p, size_t n)
{
	enum what w = control != NULL && is_file(fd) ? before(READ) : NOTHING;
	ssize_t r;

	if (w == FAIL)
		return -1;
	r = R(read)(fd, p, n);
	turn_boot(fd, p, r);
	after(w);
	return r;
}

ssize_t
__read_chk(int fd, void *p, size_t n, size_t room)
{
	if (n > room)
		abort();
	return read(fd, p, n);
}

ssize_t
pread(int fd, void *p, size_t n, off_t offset)
{
	enum what w = before(READ);
	ssize_t r;

	if (w == FAIL)
		return -1;
	r = R(pread)(fd, p, n, offset);
	if (offset == 0)
		turn_boot(fd, p, r);
	after(w);
	return r;
}

ssize_t pread64(int, void *, size_t, off_t) __attribute__((alias("pread")));

ssize_t
__pread_chk(int fd, void *p, size_t n, off_t offset, size_t room)
{
	if (n > room)
		abort();
	return pread(fd, p, n, offset);
}

ssize_t __pread64_chk(int, void *, size_t, off_t, size_t) __attribute__((alias("__pread_chk")));

int
ftruncate(int fd, off_t size)
{
	enum what w = before(TRUNCATE);
	struct stat st;
	int r;

	if (w == FAIL)
		return -1;
	r = R(ftruncate)(fd, size);
	if (r == 0 && records() && looks_at(fd, &st))
		record(EVENT_TRUNCATE, st.st_ino, (uint64_t)size, 0, NULL, 0);
	after(w);
	return r;
}

int ftruncate64(int, off_t) __attribute__((alias("ftruncate")));

/* ---- syncs ---- */

static int
sync_with(int (*real)(int), enum event_kind kind, int fd)
{
	enum what w = before(SYNC);
	uint64_t begun = control != NULL ? record_tail() : 0;
	int r;

	if (w == FAIL)
		return -1;
	r = real(fd);
	if (r == 0)
		record_sync(kind, fd, begun);
	after(w);
	return r;
}

int
fsync(int fd)
{
	return sync_with(R(fsync), EVENT_SYNC, fd);
}

int
fdatasync(int fd)
{
	return sync_with(R(fdatasync), EVENT_SYNC, fd);
}

int
syncfs(int fd)
{
	return sync_with(R(syncfs), EVENT_SYNCFS, fd);
}

/* ---- names ---- */

int
renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
	enum what w = before(RENAME);
	int r;

	if (w == FAIL)
		return -1;
	r = flags == 0 ? R(renameat)(from, old, to, new) :
	    R(renameat2)(from, old, to, new, flags);
	if (r == 0)
		record_move(from, old, to, new);
	after(w);
	return r;
}

int
renameat(int from, const char *old, int to, const char *new)
{
	return renameat2(from, old, to, new, 0);
}

int
rename(const char *old, const char *new)
{
	return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0);
}

int
linkat(int from, const char *old, int to, const char *new, int flags)
{
	enum what w = before(LINK);
	int r;

	if (w == FAIL)
		return -1;
	r = R(linkat)(from, old, to, new, flags);
	if (r == 0)
		record_name(EVENT_ENTRY, to, new);
	after(w);
	return r;
}

int
link(const char *old, const char *new)
{
	return linkat(AT_FDCWD, old, AT_FDCWD, new, 0);
}

int
unlinkat(int dir, const char *path, int flags)
{
	enum what w = before(UNLINK);
	int r;

	if (w == FAIL)
		return -1;
	r = R(unlinkat)(dir, path, flags);
	if (r == 0)
		record_name(EVENT_GONE, dir, path);
	after(w);
	return r;
}

int
unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int
rmdir(const char *path)
{
	return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int
mkdirat(int dir, const char *path, mode_t mode)
{
	enum what w = before(MKDIR);
	int r;

	if (w == FAIL)
		return -1;
	r = R(mkdirat)(dir, path, mode);
	if (r == 0)
		record_name(EVENT_ENTRY, dir, path);
	after(w);
	return r;
}

int
mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

/* ---- descriptors ---- */

static int
opened(enum what w, int fd, int dir, const char *path, int flags)
{
	record_open(fd, dir, path, flags);
	if (fd >= 0 && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0)
		boot_fd = fd;
	after(w);
	return fd;
}

static int
open_at(int dir, const char *path, int flags, mode_t mode)
{
	enum what w = before(OPEN);

	if (w == FAIL)
		return -1;
	return opened(w, R(openat)(dir, path, flags, mode), dir, path, flags);
}

static mode_t
mode_of(int flags, va_list list)
{
	return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(list, mode_t) : 0;
}

int
openat(int dir, const char *path, int flags, ...)
{
	va_list list;
	mode_t mode;

	va_start(list, flags);
	mode = mode_of(flags, list);
	va_end(list);
	return open_at(dir, path, flags, mode);
}

int openat64(int, const char *, int, ...) __attribute__((alias("openat")));

int
open(const char *path, int flags, ...)
{
	va_list list;
	mode_t mode;

	va_start(list, flags);
	mode = mode_of(flags, list);
	va_end(list);
	return open_at(AT_FDCWD, path, flags, mode);
}

int open64(const char *, int, ...) __attribute__((alias("open")));

int
__open_2(const char *path, int flags)
{
	return open_at(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *, int) __attribute__((alias("__open_2")));

int
__openat_2(int dir, const char *path, int flags)
{
	return open_at(dir, path, flags, 0);
}

int __openat64_2(int, const char *, int) __attribute__((alias("__openat_2")));

long
syscall(long number, ...)
{
	enum what w = NOTHING;
	va_list list;
	long a[6], r;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_openat2 && (w = before(OPEN)) == FAIL)
		return -1;
	r = R(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (number == SYS_openat2)	/* struct open_how begins with the flags */
		return opened(w, (int)r, (int)a[0], (const char *)a[1], (int)*(uint64_t *)a[2]);
	return r;
}

/* Closed all the same, as Linux does. */
int
close(int fd)
{
	enum what w = before(CLOSE);
	int r = R(close)(fd);

	if (w == FAIL) {
		errno = (int)control->error;
		return -1;
	}
	after(w);
	return r;
}

/* ---- memory ---- */

void *
mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
	enum what w = before(MMAP);
	void *p;

	if (w == FAIL)
		return MAP_FAILED;
	p = R(mmap)(at, n, protection, flags, fd, offset);
	after(w);
	return p;
}

void *mmap64(void *, size_t, int, int, int, off_t) __attribute__((alias("mmap")));

void *
malloc(size_t n)
{
	enum what w = before(MALLOC);
	void *p = w == FAIL ? NULL : __libc_malloc(n);

	after(w);
	return p;
}

void *
calloc(size_t n, size_t size)
{
	enum what w = before(MALLOC);
	void *p = w == FAIL ? NULL : __libc_calloc(n, size);

	after(w);
	return p;
}

void *
realloc(void *old, size_t n)
{
	enum what w = before(MALLOC);
	void *p = w == FAIL ? NULL : __libc_realloc(old, n);

	after(w);
	return p;
}
