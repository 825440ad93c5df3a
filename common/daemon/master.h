/* SPDX-License-Identifier: ISC */
/* master's own file set: the children, who is joined with whom, and the keepers. */
#pragma once

#include <sys/queue.h>
#include <sys/types.h>

#include "common/daemon/keeper.h"
#include "common/daemon/messages.h"
#include "common/daemon/process_inside.h"
#include "common/daemon/recorder.h"

struct master;

struct child {
	TAILQ_ENTRY(child) entry;
	TAILQ_ENTRY(child) blank_entry;
	bool blank;		/* a keeper without an account, in master.blank */
	struct master *master;
	enum role role;
	unsigned index;
	pid_t pid;		/* 0: the nursery has not told yet */
	struct ipc *ipc;
	char *label;		/* keepers: the account; NULL: a blank one */
	int64_t born_ms;
	bool ready;
	unsigned crowd_slot;	/* fronts: where it counts */
	bool draining;		/* a front that has been replaced, or its signer: not restarted */
	struct child *partner;	/* a front's signer, a signer's front */
	bool broke_rules;	/* sent rubbish: it gets no time to end by itself */
	struct timer *grace;	/* after its channel was closed: runs out, and it is killed */
	bool leaving;		/* a keeper told to go, or about to be dead: what comes for its account waits */
	uint64_t sessions;	/* given to a keeper, ever */
	uint64_t quota_bytes;	/* as it was told last */
	uint64_t quota_messages;
	unsigned told_auth;	/* index + 1 of the auth that knows its usage; 0: none */
	unsigned joined_queue;	/* index + 1 of the queue it has a channel to; 0: none */
	struct wishes *wishes;	/* for after a leaving keeper */
};

TAILQ_HEAD(children, child);

struct master_role {
	enum role role;
	unsigned count;		/* how many of it there are to be */
	unsigned failures;	/* deaths in a row, for the back-off */
	int64_t not_before_ms;	/* the back-off: none is forked until then */
};

struct master {
	const struct service *service;
	struct settings *settings;
	struct loop *loop;
	struct children children;
	struct children blank;	/* keepers that wait for an account */
	struct map *keepers;	/* address to child */
	struct map *pids;	/* pid to child */
	struct crowd *crowd;
	struct master_role roles[ROLE_COUNT];
	unsigned next_index[ROLE_COUNT];
	struct process_door *doors;
	size_t door_count;
	struct timer *restart;
	struct timer *blanks;	/* are there enough? */
	struct timer *last_moment;
	bool started;		/* everybody was ready once */
	bool stopping;
	struct recorder_files files;	/* of the log: the recorder's */
	int log_pipe;		/* the end for all others */
	int ready_fd;		/* where `trivet start` waits, or -1 */
	int pid_fd;		/* the pid file, locked; no child has it */
	uid_t uid;		/* what keepers become; (uid_t)-1: stay */
	gid_t gid;		/* and all others */
	uid_t uids[ROLE_COUNT];	/* what the others become: users of their own where there are */
};

/* service.c: how many of each role these settings ask for. */
void master_count_roles(struct master *);

/* master_children.c */
struct child *master_fork(struct master *, enum role, const char *label,
    void (*start)(struct process *, void *), void *context);
void master_free_child(struct child *);
/* Takes a process on, and its end of the channel to it; joins it with nobody. label is copied. */
struct child *master_adopt(struct master *, enum role, unsigned index, pid_t, int fd,
    const char *label);
/* A child of the nursery is known by its number from here on. */
void master_note_pid(struct child *, pid_t);
void master_send(struct child *, struct buf *message, int fd);
/* Gives both a channel to each other. */
void master_join(struct child *, struct child *);
struct child *master_find(struct master *, enum role, unsigned index);
/* The first of a role that is not draining. */
struct child *master_first(struct master *, enum role);
/* By its number; NULL: there is none. */
struct child *master_child_of(const struct master *, pid_t);
/* The children as master knows them, and all that the loop turns for. */
void master_free_loop(struct master *);

/* master.c */
/* What master hears from its children. */
extern const struct ipc_handlers master_child_handlers;
/* What a child of any role but keeper begins with; context: the master. */
void master_start_role(struct process *, void *context);
/* A child whose process is not there (any more): whatever waited for it is told. Frees it. */
void master_bury(struct child *, int status);
/* Is it dead, though nobody noticed? Then it has been buried (and freed). */
bool master_bury_dead(struct child *);
/* Forks what there are too few of, now or when its back-off is over; context: the master. */
void master_start_missing(void *context);
/* A message without fields; fd >= 0: owned. */
void master_send_word(struct child *, enum message_type, int fd);
void master_kill(struct child *);
_Noreturn void master_run(struct master *);

/* master_escapes.c: --escape-attempts. */
_Noreturn void master_try_escapes(struct master *);
/* master_reload.c: SIGHUP; context: the master. */
void master_reload(void *context);

/* owners.c: all do nothing where nobody becomes anybody. */
/* After uid, gid and the counts of roles are known; user: the name of uid. */
void owners_find(struct master *, const char *user);
/* What the roles have in state_dir is theirs from here on. */
void owners_give(const struct master *);
/* A child's: for good. */
void owners_become(const struct master *, enum role);

/* doors.c */
struct process_door *doors_bind(const struct service *, const struct settings *,
    const struct process_door *keep, size_t keep_count, size_t *count, char **why);
/* After a reload: closes what is no longer wanted, opens what is new; false (logged): all stays. */
must_check bool doors_rebind(struct master *, const struct settings *fresh);
void doors_close(struct process_door *, size_t count);

/* master_signers.c: each front has a signer, and that signer no other front. */
/* After some were forked: joins those that have nobody yet. */
void signers_join(struct master *);
/* New fronts get new signers, with the key of today; who serves a front goes on until that ends. */
void signers_on_reload(struct master *);
/* A front or a signer is dead. */
void signers_on_death(struct child *);
bool signers_on_failed(struct child *front, struct msg *);

/* master_nursery.c: keepers that wait for an account. */
/* A keeper for this account (uid and gid are final); NULL: none can be had now. */
struct child *nursery_take(struct master *, const struct keeper_grant *);
/* Soon as many wait as are to. */
void nursery_fill(struct master *);
bool nursery_on_born(struct child *nursery, struct msg *);
/* The nursery is dead and freed: who was to be born is not. */
void nursery_on_death(struct master *);
/* A keeper died that had no account. */
void nursery_on_blank_death(struct master *);
void nursery_on_timer(void *master);

/* nursery.c: the nursery itself. */
void nursery_start(struct process *);

/* master_keepers.c */
/* In the new process: becomes this account's keeper. */
void keepers_begin(struct process *, const struct keeper_grant *);
bool keepers_on_session_wanted(struct master *, struct msg *);
bool keepers_on_keeper_wanted(struct master *, struct msg *);
bool keepers_on_idle(struct child *, struct msg *);
void keepers_on_death(struct child *);
