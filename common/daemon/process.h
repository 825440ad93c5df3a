/* SPDX-License-Identifier: ISC */
/*
 * The processes of a daemon: which there are, and how one talks to another. master forks them,
 * joins each pair that needs it by a channel, and joins them anew when one was restarted: so a role's
 * code only says process_send(role, index) and gets on_message; it never opens anything.
 */
#pragma once

#include "common/daemon/ipc.h"
#include "common/daemon/settings.h"
#include "common/net/loop.h"

enum role {
	ROLE_MASTER,
	ROLE_RECORDER,		/* writes the log; started first */
	ROLE_FRONT,
	ROLE_AUTH,
	ROLE_AUTH_HASH,		/* auth's worker: password hashes */
	ROLE_AUTH_PAM,		/* auth's worker: forks one process per question; keeps its privileges */
	ROLE_KEEPER,
	ROLE_QUEUE,
	ROLE_COURIER,
	ROLE_SYNCER,		/* the queue's: what blocks for long on the way to the disk */
	ROLE_SIGNER,		/* one for each front: holds the private key */
	ROLE_NURSERY,		/* forks keepers before anybody needs them; never held a secret */
	ROLE_COUNT
};

const char *role_name(enum role);

struct service;

struct process {
	const struct service *service;
	const struct settings *settings;	/* replaced before on_reload */
	struct loop *loop;
	enum role role;
	unsigned index;		/* a number that no other process of its role ever had */
	struct str label;	/* keepers: the account's address; empty while blank */
	void *state;		/* the role's own */
	struct process_inside *inside;
};

/*
 * What a role answers to. on_message returns false for a message that breaks the rules between us: its
 * sender's channel is then ended. NULL rows are allowed.
 */
struct process_handlers {
	bool (*on_message)(struct process *, enum role from, unsigned index, struct msg *);
	/* A channel to this peer is there (again). Of a keeper, label is its account's address. */
	void (*on_peer)(struct process *, enum role, unsigned index, struct str label);
	void (*on_peer_lost)(struct process *, enum role, unsigned index);
	void (*on_drained)(struct process *, enum role, unsigned index);
	void (*on_reload)(struct process *);
	/* A successor, begun with the new settings, is there: end with what is under way. Not for fronts. */
	void (*on_drain)(struct process *);
	/* SIGTERM: say goodbye and process_end soon (5 s at most); NULL: process_end at once. */
	void (*on_stop)(struct process *);
};

/*
 * The role cannot do its work: tells the administrator through master (at start `trivet start` shows the text; later the log),
 * and ends this process. What, where, what to do.
 */
_Noreturn void process_fail(struct process *, const char *format, ...) printf_like(2, 3);

/*
 * For a process that a role forks for one job, called there first: keeps only the standard descriptors,
 * the log and `keep`, takes signals as usual, and ends when the role's process does.
 */
void process_became_helper(int keep);

/*
 * Ends the process as its role ends: after SIGTERM, when drained, when master is gone. None of its
 * handlers is called any more, whatever still lies in the channels: its state may be freed.
 */
void process_end(struct process *);

/* Called once by the role's start function. */
void process_handle(struct process *, const struct process_handlers *);
/* False (message dropped, fd closed) where there is no such peer now. fd -1: none; else owned. */
bool process_send(struct process *, enum role to, unsigned index, struct buf *message, int fd);
/*
 * Sends and waits for the answer, ms at most: the process does nothing else meanwhile. For a peer that only
 * answers (signers). False: no answer, and the channel has been ended.
 */
bool process_ask(struct process *, enum role to, unsigned index, struct buf *message, int64_t ms,
    struct buf *answer);
/* The peers of a role, one after the other; begin with *at 0. False: no more. */
bool process_next_peer(const struct process *, enum role, size_t *at, unsigned *index);
bool process_has_peer(const struct process *, enum role, unsigned index);
bool process_is_full(const struct process *, enum role, unsigned index);
/* The fronts' listening sockets, one for each address of each door, in order. */
struct process_door {
	int fd;			/* owned by the process */
	unsigned door;		/* index into service.doors */
	struct net_address address;
};
const struct process_door *process_doors(const struct process *, size_t *count);

/* ---- what a daemon is ---- */

enum door_kind { DOOR_STARTTLS, DOOR_TLS };

struct service_door {
	const char *name;	/* "submission" */
	size_t setting;		/* offsetof(struct settings, ..._listen) */
	enum door_kind kind;
	unsigned purpose;	/* the daemon's own number */
};

struct keeper_grant;
struct recorder_reader;

/* auth and its workers, from common/auth: handed in, because this shelf does not know that one. */
struct auth_roles {
	void (*start)(struct process *);
	void (*hash_start)(struct process *);
	void (*pam_start)(struct process *);
};

/* What a role has in state_dir: master gives it to the role's user. users.db is auth's anyway. */
struct service_belonging {
	enum role role;
	enum belonging_kind { BELONGING_DATABASE, BELONGING_FOLDER } kind;
	const char *name;
};

struct service {
	const char *name;	/* "imapd" */
	const char *protocol;	/* "imap": PAM, ALPN, logs */
	const struct service_door *doors;
	size_t door_count;
	const struct auth_roles *auth;
	/* Each sets up its role and returns; the loop then runs. */
	void (*front_start)(struct process *);
	void (*keeper_start)(struct process *, const struct keeper_grant *, int maildir_fd);
	void (*queue_start)(struct process *);		/* smtpd only, else NULL */
	void (*courier_start)(struct process *);	/* smtpd only, else NULL */
	const struct recorder_reader *trace;		/* smtpd only, else NULL */
	void (*syncer_start)(struct process *);		/* smtpd only, else NULL */
	unsigned syncers;				/* how many of them */
	const struct service_belonging *belongings;	/* smtpd only */
	size_t belonging_count;
};

/* main() of all three daemons: `NAME [-c CONFIG]`, in the foreground. */
int service_main(const struct service *, int argc, char **argv);
