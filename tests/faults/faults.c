/* SPDX-License-Identifier: ISC */
/*
 * Preloaded into the daemons (LD_PRELOAD), this library counts the calls that can go wrong, and at the k-th of one
 * kind in one role fails it or kills the process; and it writes down, in one order for all processes, what
 * was written, named and synced, so that a loss of power can be replayed. All lies in one file that the first process
 * maps before any sandbox closes: afterwards only memory is touched, and fstat and fstatat are called. The driver
 * (tests/faults/machine.py) loads the same library and calls what stands at the end.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind {
	WRITE, SYNC, RENAME, LINK, UNLINK, TRUNCATE, OPEN, CLOSE, MKDIR, READ, MMAP, MALLOC, KINDS
};

static const char *const kind_names[KINDS] = {
	"write", "fsync", "rename", "link", "unlink", "ftruncate", "open", "close", "mkdir", "read",
	"mmap", "malloc",
};

/* Those whose titles begin with another's stand before it. */
static const char *const role_names[] = {
	"master", "recorder", "front", "auth: hash", "auth: pam", "auth", "keeper", "queue",
	"courier", "syncer", "signer", "newborn", "other",
};
static const char *const daemon_names[] = { "smtpd", "imapd", "pop3d" };

enum {
	ROLES = 16, DAEMONS = 3, MASTER = 0, FRONT = 2, HASH = 3, COURIER = 8, SYNCER = 9, SIGNER = 10,
	NEWBORN = 11, OTHER = 12, ROLE_NAMES = 13,
	BOOT_DIGITS = 8,
	LOOK_MS = 15,		/* for how long nobody sees that the clock was turned */
};

enum what { NOTHING, FAIL, KILL_BEFORE, KILL_AFTER };

enum event_kind {
	EVENT_NONE, EVENT_WRITE, EVENT_TRUNCATE, EVENT_ENTRY, EVENT_GONE, EVENT_MOVE, EVENT_SYNC,
	EVENT_SYNCFS, EVENT_MARK
};

/* Read by machine.py, too. kind is stored last: an event that has none is not complete. */
struct event {
	uint32_t size;		/* of all, padded to eight */
	uint32_t kind;
	uint64_t a, b, c;
	uint32_t text;		/* octets that follow */
	uint32_t pad;
};

struct control {
	uint32_t role;		/* daemon * ROLES + role */
	uint32_t kind;
	uint32_t what;		/* the last that is set, the first that is cleared */
	uint32_t error;
	uint64_t at, times;	/* from this call on, so many */
	uint64_t boot;
	uint64_t seen, fired;
	int64_t master_ahead_ms, ahead_ms;
	uint64_t recording;	/* the device, 0: no */
	uint64_t tail;
	uint64_t counts[DAEMONS * ROLES][KINDS];
};

enum { LOG_AT = 64 * 1024 };
#define MAP_SIZE ((uint64_t)2 << 30)

_Static_assert(sizeof(struct control) <= LOG_AT, "the events begin behind it");

static struct control *control;
static unsigned role = OTHER;
static int boot_fd = -1;

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

/* ---- the C library's own ---- */

#define REAL(name) static __typeof__(name) *real_##name
REAL(write); REAL(pwrite); REAL(writev); REAL(pwritev); REAL(fsync); REAL(fdatasync); REAL(syncfs);
REAL(rename); REAL(renameat); REAL(renameat2); REAL(link); REAL(linkat); REAL(unlink);
REAL(unlinkat); REAL(rmdir); REAL(ftruncate); REAL(open); REAL(openat); REAL(close); REAL(mkdir);
REAL(mkdirat); REAL(read); REAL(pread); REAL(mmap); REAL(fork); REAL(prctl); REAL(clock_gettime);
REAL(syscall); REAL(kill); REAL(fstat); REAL(fstatat); REAL(lseek); REAL(epoll_wait);

/* Another library's constructor may have come first. */
#define R(name) ((__typeof__(real_##name))find((void **)(void *)&real_##name, #name))

static void *
find(void **known, const char *name)
{
	if (*known == NULL)
		*known = dlsym(RTLD_NEXT, name);
	return *known;
}

static bool
attach(const char *path, bool make)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | (make ? O_CREAT : 0), 0666);
	void *p;

	if (fd < 0 || (make && ftruncate(fd, (off_t)MAP_SIZE) < 0))
		return false;
	p = mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return false;
	control = p;
	return true;
}

static void __attribute__((constructor))
begin(void)
{
	const char *path = getenv("TRIVET_FAULTS");

	(void)R(write); (void)R(pwrite); (void)R(writev); (void)R(pwritev); (void)R(fsync); (void)R(fdatasync);
	(void)R(syncfs); (void)R(rename); (void)R(renameat); (void)R(renameat2); (void)R(link); (void)R(linkat);
	(void)R(unlink); (void)R(unlinkat); (void)R(rmdir); (void)R(ftruncate); (void)R(open); (void)R(openat);
	(void)R(close); (void)R(mkdir); (void)R(mkdirat); (void)R(read); (void)R(pread); (void)R(mmap); (void)R(fork);
	(void)R(prctl); (void)R(clock_gettime); (void)R(syscall); (void)R(kill); (void)R(fstat); (void)R(fstatat);
	(void)R(lseek); (void)R(epoll_wait);
	if (path != NULL && !attach(path, false))
		fprintf(stderr, "ERROR: %s cannot be mapped: %s\n", path, strerror(errno));
}

/* ---- who we are ---- */

static void
take_title(const char *title)
{
	for (unsigned d = 0; d < DAEMONS; d++) {
		size_t n = strlen(daemon_names[d]);

		if (strncmp(title, daemon_names[d], n) != 0 || title[n] != ':')
			continue;
		title += n + 2;
		for (unsigned r = 0; r < ROLE_NAMES; r++) {
			n = strlen(role_names[r]);
			if (strncmp(title, role_names[r], n) == 0 &&
			    (title[n] == '\0' || title[n] == ' ')) {
				role = d * ROLES + r;
				return;
			}
		}
		role = d * ROLES + OTHER;
		return;
	}
}

int
prctl(int option, ...)
{
	va_list list;
	unsigned long a[4];

	va_start(list, option);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(list, unsigned long);
	va_end(list);
	if (option == PR_SET_NAME)
		take_title((const char *)a[0]);
	return R(prctl)(option, a[0], a[1], a[2], a[3]);
}

pid_t
fork(void)
{
	pid_t pid = R(fork)();

	if (pid == 0)
		role = role / ROLES * ROLES + NEWBORN;
	return pid;
}

/* What is put off comes at once; and master, which holds back whoever died young, thinks that he was old. */
int
clock_gettime(clockid_t which, struct timespec *t)
{
	int r = R(clock_gettime)(which, t);
	int64_t ms;

	if (r != 0 || control == NULL || which == CLOCK_REALTIME)
		return r;
	ms = __atomic_load_n(&control->ahead_ms, __ATOMIC_RELAXED);
	if (role % ROLES == MASTER)
		ms += __atomic_load_n(&control->master_ahead_ms, __ATOMIC_RELAXED);
	ms += t->tv_nsec / 1000000;
	t->tv_sec += ms / 1000;
	t->tv_nsec = t->tv_nsec % 1000000 + ms % 1000 * 1000000;
	return r;
}

int
epoll_wait(int fd, struct epoll_event *events, int count, int ms)
{
	if (control != NULL && (ms < 0 || ms > LOOK_MS) && role % ROLES != OTHER)
		ms = LOOK_MS;
	return R(epoll_wait)(fd, events, count, ms);
}

/* They have no file, and perhaps may not ask what a descriptor is. */
static bool
has_files(void)
{
	unsigned r = role % ROLES;

	return r != FRONT && r != HASH && r != COURIER && r != SYNCER && r != SIGNER;
}

static bool
is_file(int fd)
{
	struct stat st;
	int why = errno;
	bool is = has_files() && R(fstat)(fd, &st) == 0 && S_ISREG(st.st_mode);

	errno = why;
	return is;
}

/* ---- faults ---- */

static void
die(void)
{
	R(kill)(getpid(), SIGKILL);
	for (;;)
		__builtin_trap();
}

/* What is to become of this call; of FAIL errno says why. */
static enum what
before(enum kind kind)
{
	enum what what;
	uint64_t n;

	if (control == NULL)
		return NOTHING;
	__atomic_fetch_add(&control->counts[role][kind], 1, __ATOMIC_RELAXED);
	what = (enum what)__atomic_load_n(&control->what, __ATOMIC_ACQUIRE);
	if (what == NOTHING || control->role != role || control->kind != kind)
		return NOTHING;
	n = __atomic_add_fetch(&control->seen, 1, __ATOMIC_RELAXED);
	if (n < control->at || n - control->at >= control->times)
		return NOTHING;
	__atomic_fetch_add(&control->fired, 1, __ATOMIC_RELAXED);
	if (what == KILL_BEFORE)
		die();
	if (what == FAIL)
		errno = (int)control->error;
	return what;
}

static void
after(enum what what)
{
	if (what == KILL_AFTER)
		die();
}

/* ---- the record ---- */

static bool
records(void)
{
	return control != NULL && __atomic_load_n(&control->recording, __ATOMIC_RELAXED) != 0 &&
	    role % ROLES != FRONT && role % ROLES != COURIER;
}

static uint64_t
record_tail(void)
{
	return __atomic_load_n(&control->tail, __ATOMIC_ACQUIRE);
}

static void
record(enum event_kind kind, uint64_t a, uint64_t b, uint64_t c, const struct iovec *text, int parts)
{
	size_t n = 0, size;
	uint64_t at;
	struct event *e;
	char *p;

	for (int i = 0; i < parts; i++)
		n += text[i].iov_len;
	size = (sizeof(*e) + n + 7) & ~(size_t)7;
	at = __atomic_fetch_add(&control->tail, size, __ATOMIC_ACQ_REL);
	if (LOG_AT + at + size > MAP_SIZE)
		die();
	e = (struct event *)(void *)((char *)control + LOG_AT + at);
	p = (char *)(e + 1);
	e->size = (uint32_t)size;
	e->a = a;
	e->b = b;
	e->c = c;
	e->text = (uint32_t)n;
	for (int i = 0; i < parts; i++) {
		memcpy(p, text[i].iov_base, text[i].iov_len);
		p += text[i].iov_len;
	}
	__atomic_store_n(&e->kind, kind, __ATOMIC_RELEASE);
}

/* On the file system that is recorded? */
static bool
looks_at(int fd, struct stat *st)
{
	return R(fstat)(fd, st) == 0 && st->st_dev == control->recording;
}

/* offset -1: where the descriptor stands, behind what was written. */
static void
record_write(int fd, const struct iovec *parts, int count, ssize_t n, off_t offset)
{
	struct iovec kept[16];
	struct stat st;
	int why = errno, used = 0;
	size_t left = (size_t)n;

	if (n > 0 && records() && looks_at(fd, &st) && S_ISREG(st.st_mode)) {
		for (; used < count && used < 16 && left > 0; used++) {
			kept[used] = parts[used];
			if (kept[used].iov_len > left)
				kept[used].iov_len = left;
			left -= kept[used].iov_len;
		}
		if (offset < 0)
			offset = R(lseek)(fd, 0, SEEK_CUR) - n;
		record(EVENT_WRITE, st.st_ino, (uint64_t)offset, 0, kept, used);
	}
	errno = why;
}

/* The folder's number, and the last part of the path. */
static bool
find_folder(int dir, const char *path, uint64_t *ino, struct iovec *name)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	struct stat st;
	int r;

	if (slash == NULL) {
		r = dir == AT_FDCWD ? R(fstatat)(dir, ".", &st, 0) : R(fstat)(dir, &st);
		slash = path - 1;
	} else {
		size_t n = (size_t)(slash - path) + (slash == path);

		if (n >= sizeof(folder))
			return false;
		memcpy(folder, path, n);
		folder[n] = '\0';
		r = R(fstatat)(dir, folder, &st, 0);
	}
	if (r != 0 || st.st_dev != control->recording)
		return false;
	*ino = st.st_ino;
	*name = (struct iovec){ (void *)(uintptr_t)(slash + 1), strlen(slash + 1) };
	return true;
}

static void
record_name(enum event_kind kind, int dir, const char *path)
{
	struct iovec name;
	struct stat st = { 0 };
	uint64_t folder;
	int why = errno;

	if (records() && find_folder(dir, path, &folder, &name) &&
	    (kind == EVENT_GONE || R(fstatat)(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0))
		record(kind, folder, st.st_ino, st.st_mode, &name, 1);
	errno = why;
}

static void
record_move(int from, const char *old, int to, const char *new)
{
	struct iovec names[3] = { [1] = { (void *)(uintptr_t)"", 1 } };
	uint64_t a, b;
	int why = errno;

	if (records() && find_folder(from, old, &a, &names[0]) && find_folder(to, new, &b, &names[2]))
		record(EVENT_MOVE, a, b, 0, names, 3);
	errno = why;
}

static void
record_open(int fd, int dir, const char *path, int flags)
{
	struct iovec name;
	uint64_t folder;
	struct stat st;
	int why = errno;

	if (fd >= 0 && (flags & (O_CREAT | O_TRUNC)) != 0 && (flags & O_TMPFILE) != O_TMPFILE &&
	    records() && looks_at(fd, &st)) {
		if ((flags & O_CREAT) != 0 && find_folder(dir, path, &folder, &name))
			record(EVENT_ENTRY, folder, st.st_ino, st.st_mode, &name, 1);
		if ((flags & O_TRUNC) != 0)
			record(EVENT_TRUNCATE, st.st_ino, 0, 0, NULL, 0);
	}
	errno = why;
}

static void
record_sync(enum event_kind kind, int fd, uint64_t begun)
{
	struct stat st;
	int why = errno;

	if (records() && looks_at(fd, &st))
		record(kind, st.st_ino, begun, 0, NULL, 0);
	errno = why;
}

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

/* ---- for the driver ---- */

bool faults_attach(const char *path);
void faults_arm(unsigned role, unsigned kind, unsigned what, unsigned error, uint64_t at,
    uint64_t times);
void faults_disarm(void);
uint64_t faults_fired(void);
void faults_clear_counts(void);
uint64_t faults_count(unsigned role, unsigned kind);
uint64_t faults_total(void);
const char *faults_kind_name(unsigned kind);
const char *faults_role_name(unsigned role);
void faults_hurry(int64_t ms, bool all);
void faults_boot(unsigned number);
void faults_record(uint64_t device);
uint64_t faults_tail(void);
void faults_mark(const char *text);

bool
faults_attach(const char *path)
{
	return attach(path, true);
}

void
faults_arm(unsigned its_role, unsigned kind, unsigned what, unsigned error, uint64_t at,
    uint64_t times)
{
	faults_disarm();
	control->role = its_role;
	control->kind = kind;
	control->error = error;
	control->at = at;
	control->times = times;
	control->seen = control->fired = 0;
	__atomic_store_n(&control->what, what, __ATOMIC_RELEASE);
}

void
faults_disarm(void)
{
	__atomic_store_n(&control->what, NOTHING, __ATOMIC_RELEASE);
}

uint64_t
faults_fired(void)
{
	return __atomic_load_n(&control->fired, __ATOMIC_ACQUIRE);
}

void
faults_clear_counts(void)
{
	memset(control->counts, 0, sizeof(control->counts));
}

uint64_t
faults_count(unsigned its_role, unsigned kind)
{
	return __atomic_load_n(&control->counts[its_role][kind], __ATOMIC_RELAXED);
}

uint64_t
faults_total(void)
{
	uint64_t n = 0;

	for (unsigned r = 0; r < DAEMONS * ROLES; r++)
		for (unsigned k = 0; k < KINDS; k++)
			n += faults_count(r, k);
	return n;
}

const char *
faults_kind_name(unsigned kind)
{
	return kind < KINDS ? kind_names[kind] : NULL;
}

const char *
faults_role_name(unsigned its_role)
{
	static char name[64];

	if (its_role / ROLES >= DAEMONS)
		return NULL;
	snprintf(name, sizeof(name), "%s: %s", daemon_names[its_role / ROLES],
	    its_role % ROLES < ROLE_NAMES ? role_names[its_role % ROLES] : "");
	return name;
}

void
faults_hurry(int64_t ms, bool all)
{
	__atomic_fetch_add(all ? &control->ahead_ms : &control->master_ahead_ms, ms, __ATOMIC_RELAXED);
}

void
faults_boot(unsigned number)
{
	control->boot = number;
}

void
faults_record(uint64_t device)
{
	__atomic_store_n(&control->recording, device, __ATOMIC_RELEASE);
}

uint64_t
faults_tail(void)
{
	return record_tail();
}

void
faults_mark(const char *text)
{
	struct iovec part = { (void *)(uintptr_t)text, strlen(text) };

	record(EVENT_MARK, 0, 0, 0, &part, 1);
}
