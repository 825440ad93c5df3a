/* SPDX-License-Identifier: ISC */
/*
 * What each role may ask of the kernel: groups of rows, and the groups of each role. Whatever stands in no row ends
 * the process (SIGSYS, which master tells of). A row with an errno is for what a library tries in passing and can
 * do without. Nobody may start a program or a thread, make memory executable, or signal anyone but itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/daemon/sandbox_inside.h"

#define CALL(name) { .number = SYS_##name }
#define REFUSED(name, why) { .number = SYS_##name, .refuse = (why) }
#define IF(name, ...) { .number = SYS_##name, .arguments = { __VA_ARGS__ } }
#define REFUSED_IF(name, why, ...) { .number = SYS_##name, .refuse = (why), .arguments = { __VA_ARGS__ } }
/* Tests of an argument, counted from 0. */
#define IS(i, v) { .test = TEST_BITS, .index = (i), .mask = UINT32_MAX, .value = (uint32_t)(v) }
#define IS_WITHOUT(i, v, ignored) { .test = TEST_BITS, .index = (i), .mask = ~(uint32_t)(ignored), .value = (uint32_t)(v) }
#define HAS_NOT(i, bits) { .test = TEST_BITS, .index = (i), .mask = (uint32_t)(bits), .value = 0 }
#define NO_POINTER(i) { .test = TEST_NULL, .index = (i) }
#define SELF(i) { .test = TEST_SELF, .index = (i) }
#define ANY_SOCKET_FLAG (SOCK_NONBLOCK | SOCK_CLOEXEC)
#define GROUP(rows) { rows, countof(rows) }
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

/* Descriptors that are there already, memory, time, and the end: no way to anything new. */
static const struct sandbox_call everybody_rows[] = {
	CALL(read), CALL(write), CALL(readv), CALL(writev), CALL(pread64), CALL(close), CALL(lseek),
	CALL(recvmsg), CALL(sendmsg), CALL(recvfrom), CALL(shutdown),
	IF(sendto, NO_POINTER(4)),
	CALL(epoll_pwait), CALL(epoll_ctl), CALL(ppoll), CALL(timerfd_settime),
#ifdef SYS_epoll_wait
	CALL(epoll_wait), CALL(poll),
#endif
	CALL(fstat),
	IF(fcntl, IS(1, F_GETFD)), IF(fcntl, IS(1, F_SETFD)), IF(fcntl, IS(1, F_GETFL)),
	/* Not O_ASYNC, whose signal may go to somebody else. */
	IF(fcntl, IS(1, F_SETFL), HAS_NOT(2, O_ASYNC)), IF(fcntl, IS(1, F_DUPFD_CLOEXEC)),
	IF(ioctl, IS(1, FIONREAD)),
	REFUSED_IF(ioctl, ENOTTY, IS(1, TCGETS)),	/* stdio asks what its descriptor is */
	IF(mmap, HAS_NOT(2, PROT_EXEC)), IF(mprotect, HAS_NOT(2, PROT_EXEC)),
	CALL(munmap), CALL(mremap), CALL(madvise), CALL(brk), CALL(futex),
	IF(prctl, IS(0, PR_SET_NAME)), REFUSED_IF(prctl, EINVAL, IS(0, PR_SET_VMA)),
	CALL(clock_gettime), CALL(clock_getres), CALL(clock_nanosleep), CALL(nanosleep), CALL(gettimeofday),
	CALL(getrandom), CALL(sysinfo), CALL(uname), CALL(getrusage), CALL(sched_yield), CALL(sched_getaffinity),
	CALL(getpid), CALL(gettid), CALL(getppid), CALL(getuid), CALL(geteuid), CALL(getgid), CALL(getegid),
	IF(prlimit64, IS(0, 0), NO_POINTER(2)),
	CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(sigaltstack), CALL(restart_syscall),
	IF(kill, SELF(0)), IF(tgkill, SELF(0)),
	CALL(exit), CALL(exit_group),
#ifdef SYS_time
	CALL(time),
#endif
};
static const struct sandbox_group everybody = GROUP(everybody_rows);

/* For roles without files. Libraries look for some in passing (time zones, character sets) and go on without. */
static const struct sandbox_call no_files_rows[] = {
	REFUSED(openat, EACCES), REFUSED(readlinkat, EACCES), REFUSED(faccessat, EACCES),
	IF(newfstatat, HAS_NOT(3, ~(uint32_t)AT_EMPTY_PATH)), REFUSED(newfstatat, EACCES),
#ifdef SYS_open
	REFUSED(open, EACCES), REFUSED(access, EACCES), REFUSED(stat, EACCES), REFUSED(lstat, EACCES),
	REFUSED(readlink, EACCES),
#endif
};
static const struct sandbox_group no_files = GROUP(no_files_rows);

/* To look at what Landlock lets be opened. Names and sizes of others are seen by who may see them, nothing more. */
static const struct sandbox_call looks_rows[] = {
	CALL(newfstatat), CALL(statx), CALL(fstatfs), CALL(faccessat), CALL(faccessat2), CALL(readlinkat),
	CALL(getdents64), CALL(fadvise64),
	IF(fcntl, IS(1, F_SETLK)), IF(fcntl, IS(1, F_SETLKW)), IF(fcntl, IS(1, F_GETLK)),
#ifdef SYS_open
	CALL(access), CALL(stat), CALL(lstat), CALL(readlink),
#endif
};
static const struct sandbox_group looks = GROUP(looks_rows);

/* Landlock decides which; before its ABI 3 it does not see O_TRUNC, which whoever only reads must not have. */
static const struct sandbox_call reads_rows[] = {
	IF(openat, HAS_NOT(2, O_TRUNC)),
	CALL(ftruncate), CALL(pwrite64),	/* of the index of a WAL: descriptors open for writing */
	REFUSED(fchown, EPERM), CALL(fchmod),
#ifdef SYS_unlink
	REFUSED(unlink, EACCES),
#endif
	REFUSED(unlinkat, EACCES),
};
static const struct sandbox_group reads = GROUP(reads_rows);

/* SQLite's, where its files are there already, and lie in a folder that is not ours to change. */
static const struct sandbox_call writes_rows[] = {
	CALL(openat), CALL(ftruncate), CALL(pwrite64), CALL(pwritev), CALL(preadv),
	CALL(fsync), CALL(fdatasync), CALL(fallocate), CALL(sync_file_range), CALL(copy_file_range), CALL(sendfile),
	CALL(fchmod), REFUSED(fchown, EPERM), CALL(flock),
	/* Landlock decides. By path nothing else of a file is changed: not its mode, nor its owner or length. */
	CALL(unlinkat),
#ifdef SYS_unlink
	CALL(unlink),
#endif
};
static const struct sandbox_group writes = GROUP(writes_rows);

/* Makes, moves and removes: Landlock decides where. */
static const struct sandbox_call rearranges_rows[] = {
	CALL(openat2), CALL(mkdirat), CALL(linkat), CALL(renameat2),
#ifdef SYS_renameat
	CALL(renameat),
#endif
	IF(utimensat, NO_POINTER(1)),	/* of a descriptor */
	CALL(umask), CALL(syncfs),
};
static const struct sandbox_group rearranges = GROUP(rearranges_rows);

/* A channel of its own to `auth: pam`. */
static const struct sandbox_call auth_rows[] = {
	IF(socketpair, IS(0, AF_UNIX)), CALL(setsockopt),
};
static const struct sandbox_group auth = GROUP(auth_rows);

static const struct sandbox_call front_rows[] = {
	CALL(accept4), CALL(getsockname), CALL(getpeername), CALL(setsockopt), CALL(getsockopt),
};
static const struct sandbox_group front = GROUP(front_rows);

/* Sessions come as descriptors; the one socket of its own is where other daemons tell it of changes. */
static const struct sandbox_call keeper_rows[] = {
	CALL(getsockopt), CALL(setsockopt), CALL(getsockname),
	IF(socket, IS(0, AF_UNIX), IS_WITHOUT(1, SOCK_DGRAM, ANY_SOCKET_FLAG)),
	CALL(bind), CALL(sendto), CALL(epoll_create1),
	CALL(inotify_init1), CALL(inotify_add_watch), CALL(inotify_rm_watch),
};
static const struct sandbox_group keeper = GROUP(keeper_rows);

/*
 * Forks keepers, as master's children, and whatever a keeper does before it closes its own walls: it becomes its
 * account's user, and takes hold of its Maildir.
 */
static const struct sandbox_call nursery_rows[] = {
	IF(clone, IS(0, CLONE_PARENT | SIGCHLD)), CALL(tgkill),
	CALL(pipe2), CALL(eventfd2), CALL(timerfd_create), IF(socketpair, IS(0, AF_UNIX)),	/* for a loop */
	CALL(setgroups), CALL(setresuid), CALL(setresgid), CALL(capset),
	IF(prctl, IS(0, PR_SET_NO_NEW_PRIVS)),
	CALL(landlock_create_ruleset), CALL(landlock_add_rule), CALL(landlock_restrict_self),
	IF(seccomp, IS(0, SECCOMP_SET_MODE_FILTER)),
#ifdef SYS_mkdir
	CALL(mkdir),
#endif
};
static const struct sandbox_group nursery = GROUP(nursery_rows);

static const struct sandbox_call queue_rows[] = {
	CALL(memfd_create),
	IF(fcntl, IS(1, F_ADD_SEALS)), IF(fcntl, IS(1, F_GET_SEALS)),
};
static const struct sandbox_group queue = GROUP(queue_rows);

static const struct sandbox_call syncer_rows[] = {
	CALL(fdatasync), CALL(fsync), CALL(syncfs), CALL(pwrite64),
};
static const struct sandbox_group syncer = GROUP(syncer_rows);

/* To other servers, never from them: it may not listen. Netlink tells which addresses are ours. */
static const struct sandbox_call courier_rows[] = {
	IF(socket, IS(0, AF_INET), IS_WITHOUT(1, SOCK_STREAM, ANY_SOCKET_FLAG)),
	IF(socket, IS(0, AF_INET), IS_WITHOUT(1, SOCK_DGRAM, ANY_SOCKET_FLAG)),
	IF(socket, IS(0, AF_INET6), IS_WITHOUT(1, SOCK_STREAM, ANY_SOCKET_FLAG)),
	IF(socket, IS(0, AF_INET6), IS_WITHOUT(1, SOCK_DGRAM, ANY_SOCKET_FLAG)),
	IF(socket, IS(0, AF_NETLINK), IS(2, NETLINK_ROUTE)),
	CALL(connect), CALL(bind), CALL(sendto),
	CALL(getsockname), CALL(getpeername), CALL(setsockopt), CALL(getsockopt),
	REFUSED(socket, EAFNOSUPPORT),	/* libraries try other families */
};
static const struct sandbox_group courier = GROUP(courier_rows);

/*
 * A build with the address sanitizer: it reads /proc/self, maps what it likes, and its search for leaks at the end
 * forks a thread that traces us.
 */
#ifdef WITH_SANITIZERS
static const struct sandbox_call sanitizer_rows[] = {
	CALL(openat), CALL(readlinkat), CALL(newfstatat), CALL(pread64), CALL(mmap), CALL(mprotect), CALL(clone),
	CALL(ptrace), CALL(wait4), CALL(prctl), CALL(getdents64), CALL(set_robust_list), CALL(process_vm_readv),
	CALL(fcntl), CALL(ioctl), CALL(kill), CALL(tgkill), CALL(gettid), CALL(arch_prctl), CALL(dup), CALL(prlimit64),
#ifdef SYS_open
	CALL(open), CALL(readlink), CALL(stat), CALL(pipe), CALL(dup2), CALL(getdents),
#endif
};
static const struct sandbox_group sanitizer = GROUP(sanitizer_rows);
#define SANITIZER &sanitizer,	/* first: what it allows no later row refuses */
#else
#define SANITIZER
#endif

const struct sandbox_group *const sandbox_groups[ROLE_COUNT][SANDBOX_GROUPS] = {
	[ROLE_RECORDER] = { SANITIZER &everybody, &looks, &writes },
	[ROLE_FRONT] = { SANITIZER &everybody, &front, &no_files },
	[ROLE_AUTH] = { SANITIZER &everybody, &auth, &looks, &reads },
	[ROLE_AUTH_HASH] = { SANITIZER &everybody, &no_files },
	[ROLE_KEEPER] = { SANITIZER &everybody, &keeper, &looks, &writes, &rearranges },
	[ROLE_NURSERY] = { SANITIZER &everybody, &nursery, &keeper, &looks, &writes, &rearranges },
	[ROLE_QUEUE] = { SANITIZER &everybody, &queue, &looks, &writes, &rearranges },
	[ROLE_COURIER] = { SANITIZER &everybody, &courier, &no_files },
	[ROLE_SYNCER] = { SANITIZER &everybody, &syncer, &no_files },
	[ROLE_SIGNER] = { SANITIZER &everybody, &no_files },
};
