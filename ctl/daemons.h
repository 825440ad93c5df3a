/* SPDX-License-Identifier: ISC */
/*
 * The three daemons of one configuration, seen from outside: a daemon runs while its pid file
 * is locked; it says "ready" or why not on a pipe. Nothing else is kept, so any trivet(8)
 * can take over from any other.
 */
#pragma once

#include <sys/types.h>

#include "common/daemon/settings.h"

enum { DAEMON_COUNT = 3, DAEMON_READY_MS = 10000, DAEMON_STOP_MS = 10000 };

extern const char *const daemon_names[DAEMON_COUNT];

/* A process of a daemon's master; pidfd never means another process that got the number later. */
struct daemon {
	const char *name;
	pid_t pid;	/* 0: does not run */
	int pidfd;	/* -1: does not run */
};

struct daemons {
	struct daemon all[DAEMON_COUNT];
};

/* Finds what runs. */
void daemons_find(struct daemons *, const struct settings *);
void daemons_forget(struct daemons *);
bool daemon_find(struct daemon *, const char *name, const struct settings *);
void daemon_forget(struct daemon *);
unsigned daemons_running(const struct daemons *);

/* Where the daemons' standard error goes: the log. -1 with errno. */
int daemons_open_log(const struct settings *);
/* In heap: the path of that. */
char *daemons_log_path(const struct settings *);

/* A daemon that was started and has not said yet whether it is ready. */
struct starting {
	const char *name;
	pid_t pid;
	int fd;		/* -1: it has */
	struct buf said;
	bool ready;
};

/*
 * Starts the program in a session of its own; where that fails, s->said tells at once. What it
 * writes to standard error goes to log_fd. daemons_wait_ready must follow.
 */
void daemon_start(struct starting *s, const char *name, const struct settings *,
	int log_fd);
/* Waits until each has spoken or DAEMON_READY_MS are over; then s->ready or s->said tells. */
void daemons_wait_ready(struct starting *, size_t count);

/* SIGTERM, and SIGKILL to those that do not end in time (told on standard error). */
void daemons_stop(struct daemons *);
void daemon_signal(const struct daemon *, int signal);
