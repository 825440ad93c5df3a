/* SPDX-License-Identifier: ISC */
/*
 * master's children: forked with nothing of master's but what each is given, joined with those that they talk to,
 * found by their role or their number.
 */
#include "common/daemon/crowd.h"
#include "common/daemon/master.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/daemon/messages.h"

/* Who talks to whom, besides master with all. */
static const enum role pairs[][2] = {
	{ ROLE_FRONT, ROLE_AUTH }, { ROLE_AUTH, ROLE_AUTH_HASH }, { ROLE_AUTH, ROLE_AUTH_PAM },
	{ ROLE_FRONT, ROLE_QUEUE }, { ROLE_QUEUE, ROLE_AUTH }, { ROLE_QUEUE, ROLE_COURIER },
	{ ROLE_QUEUE, ROLE_KEEPER }, { ROLE_QUEUE, ROLE_SYNCER },
};

static bool
are_pair(enum role a, enum role b)
{
	for (size_t i = 0; i < countof(pairs); i++)
		if ((pairs[i][0] == a && pairs[i][1] == b) ||
		    (pairs[i][0] == b && pairs[i][1] == a))
			return true;
	return false;
}

void
master_send(struct child *c, struct buf *message, int fd)
{
	if (c->ipc != NULL) {
		ipc_send(c->ipc, message, fd);
		return;
	}
	close_fd(&fd);
	buf_wipe(message);
}

static void
introduce(struct child *to, const struct child *peer, int fd)
{
	struct buf m = BUF_INIT;

	msg_begin(&m, MSG_PEER);
	msg_put_u8(&m, (uint8_t)peer->role);
	msg_put_u32(&m, peer->index);
	msg_put_str(&m, str_of(peer->label));
	master_send(to, &m, fd);
}

void
master_join(struct child *a, struct child *b)
{
	int ends[2];

	if (!ipc_pair(ends)) {
		log_error(NULL, "master.join", KV("errno", errno));
		return;
	}
	introduce(a, b, ends[0]);
	introduce(b, a, ends[1]);
}

struct child *
master_find(struct master *m, enum role role, unsigned index)
{
	struct child *c;

	TAILQ_FOREACH(c, &m->children, entry)
		if (c->role == role && c->index == index)
			return c;
	return NULL;
}

struct child *
master_first(struct master *m, enum role role)
{
	struct child *c;

	TAILQ_FOREACH(c, &m->children, entry)
		if (c->role == role && !c->draining)
			return c;
	return NULL;
}

static struct str
key_of_pid(const pid_t *pid)
{
	return (struct str){ (const char *)pid, sizeof(*pid) };
}

struct child *
master_child_of(const struct master *m, pid_t pid)
{
	return map_get(m->pids, key_of_pid(&pid));
}

void
master_free_child(struct child *c)
{
	if (c->partner != NULL)
		c->partner->partner = NULL;
	TAILQ_REMOVE(&c->master->children, c, entry);
	if (c->blank)
		TAILQ_REMOVE(&c->master->blank, c, blank_entry);
	map_remove(c->master->pids, key_of_pid(&c->pid));
	ipc_free(c->ipc);
	timer_free(c->grace);
	free(c->label);
	free(c);
}

void
master_free_loop(struct master *m)
{
	struct child *c;

	while ((c = TAILQ_FIRST(&m->children)) != NULL)
		master_free_child(c);
	map_free(m->keepers);
	map_free(m->pids);
	timer_free(m->restart);
	timer_free(m->blanks);
	timer_free(m->last_moment);
	loop_free(m->loop);
}

/* The child's way to its own life: nothing of master's is kept but what it was given. */
static void
forget_master(struct master *m, struct process_birth *birth)
{
	loop_after_fork(m->loop);
	master_free_loop(m);
	close_fd(&m->ready_fd);
	close_fd(&m->pid_fd);
	if (birth->role == ROLE_RECORDER) {
		recorder_use(m->files.log);
		close(m->log_pipe);
	} else {
		recorder_use(m->log_pipe);
		close(m->files.pipe);
		if (m->files.log != STDERR_FILENO)
			close(m->files.log);
	}
	if (birth->role == ROLE_FRONT) {
		birth->doors = m->doors;
		birth->door_count = m->door_count;
		birth->crowd = m->crowd;
	} else {
		crowd_free(m->crowd);
		doors_close(m->doors, m->door_count);
	}
	/* A supervisor may signal the whole group: master alone decides, and tells us. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
}

/*
 * PAM's modules need what master has; keepers, whom the nursery forks, change by themselves, to their
 * account's user, and signers when they have read the key.
 */
static void
drop_privileges(const struct master *m, enum role role)
{
	if (role != ROLE_AUTH_PAM && role != ROLE_KEEPER && role != ROLE_SIGNER &&
	    role != ROLE_NURSERY)
		owners_become(m, role);
}

void
master_note_pid(struct child *c, pid_t pid)
{
	c->pid = pid;
	map_set(c->master->pids, key_of_pid(&c->pid), c);
}

struct child *
master_adopt(struct master *m, enum role role, unsigned index, pid_t pid, int fd,
    const char *label)
{
	struct child *c = xcalloc(1, sizeof(*c));

	c->master = m;
	c->role = role;
	c->index = index;
	c->crowd_slot = CROWD_SLOTS;
	c->label = label ? xstrdup(label) : NULL;
	c->born_ms = clock_monotonic_ms();
	c->ipc = ipc_new(m->loop, fd, &master_child_handlers, c);
	if (pid > 0)
		master_note_pid(c, pid);
	/* Keepers may be many; who is looked for stands before them. */
	if (role == ROLE_KEEPER)
		TAILQ_INSERT_TAIL(&m->children, c, entry);
	else
		TAILQ_INSERT_HEAD(&m->children, c, entry);
	return c;
}

struct child *
master_fork(struct master *m, enum role role, const char *label,
    void (*start)(struct process *, void *), void *context)
{
	unsigned index = m->next_index[role]++;
	struct process_birth birth;
	struct child *c, *other;
	unsigned slot;
	int ends[2];
	pid_t pid;

	if (!ipc_pair(ends)) {
		log_error(NULL, "master.fork", KV("errno", errno));
		return NULL;
	}
	slot = role == ROLE_FRONT ? crowd_take(m->crowd) : CROWD_SLOTS;
	pid = fork();
	if (pid < 0) {
		crowd_give_back(m->crowd, slot);
		log_error(NULL, "master.fork", KV("role", role_name(role)), KV("errno", errno));
		close(ends[0]);
		close(ends[1]);
		return NULL;
	}
	if (pid == 0) {
		close(ends[0]);
		birth = (struct process_birth){ .service = m->service, .settings = m->settings,
		    .role = role, .index = index, .label = label, .control = ends[1],
		    .crowd_slot = slot };
		forget_master(m, &birth);
		drop_privileges(m, role);
		process_live(&birth, start, context);
	}
	close(ends[1]);
	c = master_adopt(m, role, index, pid, ends[0], label);
	c->crowd_slot = slot;
	/* A draining front has sessions that still need its peers. */
	TAILQ_FOREACH(other, &m->children, entry)
		if (are_pair(role, other->role) && role != ROLE_KEEPER && other->role != ROLE_KEEPER)
			master_join(c, other);
	log_debug(NULL, "process.start", KV("role", role_name(role)), KV("index", index),
	    KV("pid", (int)pid));
	return c;
}
