/* SPDX-License-Identifier: ISC */
/* What auth's own files share. */
#pragma once

#include <sys/queue.h>

#include "common/auth/pam_worker.h"
#include "common/auth/users.h"
#include "common/daemon/keeper.h"
#include "common/daemon/login.h"
#include "common/net/rate.h"

enum {
	LOGINS_MAX = 10000,		/* questions at once; more are answered UNAVAILABLE */
	CHECKS_MAX = 2000,		/* of them with the hash workers: what takes longer than a client waits helps nobody */
	WRONG_DELAY_MS = 1000,		/* "wrong" is said at a multiple of this after the check began */
	SID_MAX = 64,			/* octets; a front says no longer ones */
	ROOMS_MAX = 10000,		/* recipients that wait for a keeper's word; more are answered without */
	CROWD_DELAY_MS = 3000,		/* before a password is looked at where many were wrong lately */
	CACHE_MAX = 20000,		/* verified credentials remembered */
	CACHE_MS = 10 * 60 * 1000,
	ROOM_PATIENCE_MS = 2000,	/* for a keeper to say how full its account is */
	ADDRESSES_REMEMBERED = 100000,
};

struct map;

TAILQ_HEAD(logins, login);
TAILQ_HEAD(rooms, room);

struct auth {
	struct process *process;
	struct users *users;
	dev_t users_device;
	ino_t users_inode;
	struct ticket_keys *ticket_keys;
	/* auth_login.c */
	struct logins logins;
	size_t login_count;
	size_t check_count;		/* logins that a hash worker has */
	struct map *jobs;		/* number to login */
	uint64_t last_job;
	unsigned hash_workers[64];
	size_t hash_worker_count;
	size_t next_hash_worker;
	unsigned pam_worker;
	bool has_pam_worker;
	struct ipc *names;		/* to it, for auth_names.c; NULL: none yet */
	struct rate *failures;
	struct map *verified;		/* keyed hash of name, password and verifier to its end */
	unsigned char verified_key[32];
	/* auth_recipient.c */
	struct map *usage;		/* address to struct room_usage, of live keepers */
	struct rooms rooms;		/* questions that wait for one */
	size_t room_count;
	unsigned queue;
};

/* auth_account.c: what an address of ours stands for. Views live in the arena. */
must_check enum users_result auth_find_grant(struct auth *, struct str address, struct arena *,
    struct keeper_grant *out);
must_check char *auth_open_users(struct auth *);
/* Before the walls close: it may be read, and opened again. */
void auth_allow_users(struct auth *);
/* Does state_dir/users.db name another file than when it was opened first? */
bool auth_users_are_others(const struct auth *);

/* auth_login.c */
void auth_login_init(struct auth *);
bool auth_on_login(struct auth *, unsigned front, struct msg *);
bool auth_on_hash_answer(struct auth *, struct msg *);
bool auth_on_pam_answer(struct auth *, struct msg *);
void auth_on_worker(struct auth *, enum role, unsigned index);
void auth_on_worker_lost(struct auth *, enum role, unsigned index);
void auth_login_free(struct auth *);

/* auth_recipient.c */
void auth_recipient_init(struct auth *);
bool auth_on_recipient(struct auth *, enum role from, unsigned index, struct msg *);
bool auth_on_account_wanted(struct auth *, unsigned queue, struct msg *);
bool auth_on_usage(struct auth *, struct msg *);
bool auth_on_keeper_gone(struct auth *, struct msg *);
void auth_recipient_free(struct auth *);

/* auth_names.c */
/* system_account_find, by the pam worker; USERS_BUSY where there is none, or no answer in time. */
must_check enum users_result auth_system_account(struct auth *, struct str name, struct arena *,
    struct system_account *out);
/* The worker's: fd (owned) is a channel of auth's, *names the one it has. */
void auth_names_serve(struct process *, struct ipc **names, int fd);

/* auth_workers.c */
void auth_hash_start(struct process *);
void auth_pam_start(struct process *);
