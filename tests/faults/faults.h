/* SPDX-License-Identifier: ISC */
/*
 * What the files of the preloaded library share: the map that all processes have, the C library's own calls, what is to
 * become of a call, and the record. None of it is seen by the program that the library is loaded into.
 */
#pragma once

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#pragma GCC visibility push(hidden)

enum kind {
	WRITE, SYNC, RENAME, LINK, UNLINK, TRUNCATE, OPEN, CLOSE, MKDIR, READ, MMAP, MALLOC, KINDS
};

enum {
	ROLES = 16, DAEMONS = 3, MASTER = 0, FRONT = 2, HASH = 3, COURIER = 8, SYNCER = 9, SIGNER = 10,
	NEWBORN = 11, OTHER = 12, ROLE_NAMES = 13,
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

extern struct control *control;	/* NULL: not asked for */
extern unsigned role;			/* as control's: daemon * ROLES + role */
extern const char *const kind_names[KINDS];
extern const char *const role_names[];
extern const char *const daemon_names[DAEMONS];

/* ---- the C library's own ---- */

#define REALS(X) \
	X(write) X(pwrite) X(writev) X(pwritev) X(fsync) X(fdatasync) X(syncfs) X(rename) X(renameat) \
	X(renameat2) X(link) X(linkat) X(unlink) X(unlinkat) X(rmdir) X(ftruncate) X(open) X(openat) \
	X(close) X(mkdir) X(mkdirat) X(read) X(pread) X(mmap) X(fork) X(prctl) X(clock_gettime) X(syscall) \
	X(kill) X(fstat) X(fstatat) X(lseek) X(epoll_wait)
#define REAL(name) extern __typeof__(name) *real_##name;
REALS(REAL)
#undef REAL

/* Another library's constructor may have come first. */
#define R(name) ((__typeof__(real_##name))find_real((void **)(void *)&real_##name, #name))

void *find_real(void **known, const char *name);

/* ---- faults.c ---- */

/* Maps the file; made: by the driver, for the others. */
bool attach(const char *path, bool make);
/* False of a role that has no file, and perhaps may not ask what a descriptor is. */
bool has_files(void);
bool is_file(int fd);
/* What is to become of this call; of FAIL errno says why. */
enum what before(enum kind);
void after(enum what);
void die(void);

/* ---- faults_record.c; errno is left alone ---- */

bool records(void);
uint64_t record_tail(void);
void record(enum event_kind, uint64_t a, uint64_t b, uint64_t c, const struct iovec *text, int parts);
/* On the file system that is recorded? */
bool looks_at(int fd, struct stat *);
/* offset -1: where the descriptor stands, behind what was written. */
void record_write(int fd, const struct iovec *parts, int count, ssize_t n, off_t offset);
void record_name(enum event_kind, int dir, const char *path);
void record_move(int from, const char *old, int to, const char *new);
void record_open(int fd, int dir, const char *path, int flags);
void record_sync(enum event_kind, int fd, uint64_t begun);

#pragma GCC visibility pop
