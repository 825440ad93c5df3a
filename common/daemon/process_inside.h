/* SPDX-License-Identifier: ISC */
/* What process.c, master.c and the frames share and no role sees. */
#pragma once

#include "common/base/log.h"
#include "common/daemon/process.h"

struct crowd;
struct map;

/* Told to a child when it is forked. */
struct process_birth {
	const struct service *service;
	struct settings *settings;	/* owned from here on */
	enum role role;
	unsigned index;
	const char *label;		/* keepers: the account; else NULL */
	int control;			/* channel to master */
	struct process_door *doors;	/* fronts; owned */
	size_t door_count;
	struct crowd *crowd;		/* fronts; owned */
	unsigned crowd_slot;
};

/* The life of a child: becomes the role, runs, and exits. start gets context. */
_Noreturn void process_live(const struct process_birth *,
    void (*start)(struct process *, void *context), void *context);

/* Its channels and its loop are closed: at the end, and in what the nursery forked. Settings stay. */
void process_forget(struct process *);

/* The sockets of the doors are closed; others go on listening. */
void process_close_doors(struct process *);

/* The frames put themselves before the role's handlers. */
struct process_inside {
	struct ipc *master;
	struct map *peers;
	struct process_handlers handlers;
	struct process_door *doors;
	size_t door_count;
	struct crowd *crowd;	/* fronts: their common counts */
	unsigned crowd_slot;
	bool stopping;
	bool ended;
	struct timer *last_moment;
	void *frame;	/* front.c's or keeper.c's own */
	void *login;	/* login.c's own */
	void (*on_drain)(struct process *);
	void (*on_new_log)(struct process *, int fd);	/* the recorder's: owned */
};

/* What log_level says. */
enum log_level process_log_level(const struct settings *);
