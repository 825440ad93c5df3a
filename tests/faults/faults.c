/* SPDX-License-Identifier: ISC */
/*
 * Preloaded into the daemons (LD_PRELOAD), this library counts the calls that can go wrong, and at the k-th of one
 * kind in one role fails it or kills the process; and it writes down, in one order for all processes, what
 * was written, named and synced, so that a loss of power can be replayed. All lies in one file that the first process
 * maps before any sandbox closes: afterwards only memory is touched, and fstat and fstatat are called.
 *
 * Here: the map, who a process is, and what becomes of a call. faults_calls.c are the calls, faults_record.c writes
 * down, faults_driver.c is for tests/faults/machine.py, which loads the same library.
 */
#include "tests/faults/faults.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdlib.h>

const char *const kind_names[KINDS] = {
	"write", "fsync", "rename", "link", "unlink", "ftruncate", "open", "close", "mkdir", "read",
	"mmap", "malloc",
};

/* Those whose titles begin with another's stand before it. */
const char *const role_names[] = {
	"master", "recorder", "front", "auth: hash", "auth: pam", "auth", "keeper", "queue",
	"courier", "syncer", "signer", "newborn", "other",
};
const char *const daemon_names[DAEMONS] = { "smtpd", "imapd", "pop3d" };

enum { LOOK_MS = 15 };	/* for how long nobody sees that the clock was turned */

struct control *control;
unsigned role = OTHER;

#define REAL(name) __typeof__(name) *real_##name;
REALS(REAL)

void *
find_real(void **known, const char *name)
{
	if (*known == NULL)
		*known = dlsym(RTLD_NEXT, name);
	return *known;
}

bool
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

#define FIND(name) (void)R(name);
	REALS(FIND)
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

bool
has_files(void)
{
	unsigned r = role % ROLES;

	return r != FRONT && r != HASH && r != COURIER && r != SYNCER && r != SIGNER;
}

bool
is_file(int fd)
{
	struct stat st;
	int why = errno;
	bool is = has_files() && R(fstat)(fd, &st) == 0 && S_ISREG(st.st_mode);

	errno = why;
	return is;
}

/* ---- faults ---- */

void
die(void)
{
	R(kill)(getpid(), SIGKILL);
	for (;;)
		__builtin_trap();
}

enum what
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

void
after(enum what what)
{
	if (what == KILL_AFTER)
		die();
}
