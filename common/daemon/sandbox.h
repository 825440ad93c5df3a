/* SPDX-License-Identifier: ISC */
/*
 * The walls around a process (DESIGN.md 2): no new privileges, no capabilities, Landlock for what it may reach
 * in the file system, seccomp for what it may ask of the kernel. They close once, before the process reads its
 * first message, and never open again. What each role may do: sandbox_calls.c, and trivet(8).
 */
#pragma once

#include "common/daemon/process.h"

enum sandbox_access {
	SANDBOX_READ,		/* a file */
	SANDBOX_WRITE,		/* a file: read and written */
	SANDBOX_TREE,		/* a folder: reading in it and below */
	SANDBOX_FOLDER,		/* a folder: everything that ordinary files in it and below ask for */
};

/* For all roles, before any is forked; by the daemon's command line. */
struct sandbox_options {
	bool off;		/* --no-sandbox, for debuggers: no walls at all */
	unsigned landlock_most;	/* --landlock-abi: use no more than this ABI has; 0: all that we know */
	bool escapes;		/* --escape-attempts: closing the walls tries to get out of them, and exits */
};
void sandbox_set(const struct sandbox_options *);	/* tests that play a role: off */
const struct sandbox_options *sandbox_options(void);
/* master's, once: the log says what this kernel can do for us, and warns of what it cannot. */
void sandbox_announce(void);

/*
 * What this process may reach when its walls are closed. The descriptor stays the caller's. By path: what is
 * there now, whatever gets that name later; a file to be written is made (0600) where it is missing.
 */
void sandbox_allow(int fd, enum sandbox_access);
void sandbox_allow_path(const char *path, enum sandbox_access);
/* A database of SQLite's in WAL mode: it and the two files beside it. Reading takes the index of the WAL, too. */
void sandbox_allow_database(const char *path, enum sandbox_access);
/* Closes the walls of this role; again: does nothing. A kernel that has no such walls leaves it outside. */
void sandbox_close(enum role);
