/* SPDX-License-Identifier: ISC */
/*
 * A role of a daemon without its daemon: role.c stands in for common/daemon/process.c. The role's handlers
 * get what a script says that its peers sent: any types in any order with any fields, well-formed or not.
 * What the role sends goes nowhere; only the number it asks with is remembered, so that a script can answer.
 *
 * A script is lines, a letter and what belongs to it; unknown lines are passed over:
 *	m K INDEX	a message of kind K of the target's table, from peer INDEX (0-3); its fields follow:
 *	1 N, 4 N, 8 N	a number of so many octets
 *	b N		a truth
 *	s TEXT		a string
 *	l N		a string of N letters
 *	i N		a string: an id, new with each run
 *	q N		the number, of 8 octets, that the role sent last but N
 *	x TEXT		octets as they are
 *	f TEXT		a file with this text comes with it, or a socket with these octets;  c TEXT	a socket
 *	p ROLE INDEX TEXT	a peer is there, with this label
 *	g ROLE INDEX	a peer is gone
 *	w		the loop turns
 */
#pragma once

#include "common/daemon/process_inside.h"

enum { ROLE_PEERS = 4, ROLE_ASKED = 8, ROLE_TURNS_MAX = 20 };

struct role_kind {
	enum role from;
	uint16_t type;
	bool line;	/* what comes with it is a socket: its sender is master, which is not fuzzed */
};

/*
 * A process that lives as long as the program, with a folder of its own in memory for state_dir and mail_dir;
 * more: further lines of settings. The caller starts the role in it.
 */
struct process *role_process(enum role, const struct service *, const char *more);
/* The folder; removed at exit. */
const char *role_folder(void);
/* Removes a folder with all that is in it; false: errno says why. */
bool role_remove(const char *path);
/* Plays the script, then takes all peers away and turns the loop. */
void role_play(struct process *, const struct role_kind *kinds, size_t count, struct str script);
