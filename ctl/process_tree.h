/* SPDX-License-Identifier: ISC */
/* The processes below one, as /proc tells. */
#pragma once

#include <sys/types.h>

#include "common/base/arena.h"

struct process_node {
	pid_t pid, parent;
	struct str title;	/* the command line; no control characters, UTF-8 */
};

/* All there are at this moment, in the order of their ids; in the arena. */
struct process_node *process_list(struct arena *, size_t *count);
