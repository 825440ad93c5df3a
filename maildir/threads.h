/* SPDX-License-Identifier: ISC */
/*
 * THREAD's trees (RFC 5256 3; REFS as in draft-ietf-morg-inthread: without joining by
 * subject, threads by their newest message). Messages come in by their sequence numbers; then some steps.
 * Pure; O(n log n), and climbing to see whether a link would make a loop is limited.
 */
#pragma once

#include "maildir/sorting.h"
#include "maildir/store.h"

enum {
	THREADS_CLIMB_MAX = 1000,	/* a reply to one with so many above it begins a thread */
	THREADS_NODES_MAX = 4 << 20,	/* messages, and ids that they refer to */
	THREADS_BYTES_MAX = 256 << 20,	/* subjects */
};

struct threads;

struct threads *threads_new(enum thread_kind);
/* Takes NULL. */
void threads_free(struct threads *);
/* False: over a limit. */
must_check bool threads_add(struct threads *, const struct message *, const struct sorting *);
/* True while there is more to do. */
bool threads_step(struct threads *);
/* After that. Lives until threads_free. */
struct thread_list threads_list(const struct threads *);
