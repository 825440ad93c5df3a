/* SPDX-License-Identifier: ISC */
/*
 * `--escape-attempts`: each role, started as ever, tries to get out of its walls in every way on the list, and a
 * table says what came of it. Nothing is served meanwhile, and nothing is harmed where a way is open: what is
 * reached for are decoys, or is only opened.
 */
#pragma once

#include "common/daemon/process.h"

/* What is out of bounds. Paths. */
struct escape_targets {
	const char *other_mail;		/* a message of another account */
	const char *other_empty;	/* an empty file of it */
	const char *other_folder;	/* its Maildir, which is not empty */
	const char *other_socket;	/* a socket that listens there */
	const char *own_folder;		/* the keeper's Maildir */
	const char *users;
	const char *key;
	const char *log;
	const char *state;		/* state_dir */
	pid_t victim;			/* a process of our user */
};

/* master's, before it forks who is to try. The strings stay. */
void escape_set(const char *daemon, const struct escape_targets *);
/* In the role's process: tries each in a child that closes its walls first, prints, exits: 0 if all was refused. */
_Noreturn void escape_run(enum role, void (*close_walls)(enum role));
