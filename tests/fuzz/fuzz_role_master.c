/* SPDX-License-Identifier: ISC */
/*
 * master's part that auth and keepers reach: what they want of keepers. master.c is stood in for:
 * a fork only puts a child into the list, so that any wishes meet any states of keepers. "g 5 N" is a keeper's death.
 */
#include <stdlib.h>
#include <unistd.h>

#include "common/base/map.h"
#include "common/daemon/master.h"
#include "common/daemon/messages.h"
#include "tests/fuzz/role.h"

enum { KEEPERS_AT_ONCE = 100 };

static const struct role_kind kinds[] = {
	{ ROLE_AUTH, MSG_SESSION_WANTED }, { ROLE_AUTH, MSG_KEEPER_WANTED },
	{ ROLE_KEEPER, MSG_IDLE },
};

static struct master master;
static struct child others[2];		/* an auth and a front */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- what master.c is to master_keepers.c ---- */

static bool
on_received(void *context, struct ipc *ipc, struct msg *m)
{
	(void)context;
	(void)ipc;
	(void)m;
	return true;
}

static void
on_closed(void *context, struct ipc *ipc)
{
	(void)context;
	(void)ipc;
}

static const struct ipc_handlers handlers = { .received = on_received, .closed = on_closed };

/* Every third one is dead at once: its side of the channel is closed. */
struct child *
nursery_take(struct master *m, const struct keeper_grant *grant)
{
	struct child *c;
	int ends[2];

	if (grant->uid == 0)
		fatal("a process that nobody may have");
	if (map_count(m->keepers) >= KEEPERS_AT_ONCE || !ipc_pair(ends))
		return NULL;
	c = xcalloc(1, sizeof(*c));
	c->master = m;
	c->role = ROLE_KEEPER;
	c->index = m->next_index[ROLE_KEEPER]++;
	c->label = str_dup(grant->address);
	c->ipc = ipc_new(m->loop, ends[0], &handlers, c);
	c->pid = ends[1];
	if (c->index % 3 == 2) {
		close(ends[1]);
		c->pid = -1;
	}
	TAILQ_INSERT_TAIL(&m->children, c, entry);
	return c;
}

void
master_send(struct child *c, struct buf *message, int fd)
{
	(void)c;
	close_fd(&fd);
	buf_wipe(message);
}

void
master_join(struct child *a, struct child *b)
{
	(void)a;
	(void)b;
}

struct child *
master_first(struct master *m, enum role role)
{
	(void)m;
	return role == ROLE_AUTH ? &others[0] : NULL;
}

struct child *
master_find(struct master *m, enum role role, unsigned index)
{
	struct child *c;

	if (role == ROLE_FRONT)
		return index == 0 ? &others[1] : NULL;
	TAILQ_FOREACH(c, &m->children, entry)
		if (c->role == role && c->index == index)
			return c;
	return NULL;
}

bool
master_bury_dead(struct child *c)
{
	(void)c;
	return false;
}

/* ---- ---- */

static void
die(struct child *c)
{
	int other = c->pid;

	keepers_on_death(c);
	TAILQ_REMOVE(&c->master->children, c, entry);
	ipc_free(c->ipc);
	close_fd(&other);
	free(c->label);
	free(c);
}

static bool
on_message(struct process *p, enum role from, unsigned index, struct msg *m)
{
	struct child *keeper;

	(void)p;
	if (m->type == MSG_SESSION_WANTED)
		return from == ROLE_AUTH && keepers_on_session_wanted(&master, m);
	if (m->type == MSG_KEEPER_WANTED)
		return from == ROLE_AUTH && keepers_on_keeper_wanted(&master, m);
	keeper = master_find(&master, ROLE_KEEPER, index);
	return keeper == NULL || keepers_on_idle(keeper, m);
}

static void
on_peer_lost(struct process *p, enum role role, unsigned index)
{
	struct child *c = role == ROLE_KEEPER ? master_find(&master, role, index) : NULL;

	(void)p;
	if (c != NULL)
		die(c);
}

static struct process *
make(void)
{
	struct process *process = role_process(ROLE_MASTER, NULL, "");

	process_handle(process, &(struct process_handlers){ .on_message = on_message,
	    .on_peer_lost = on_peer_lost });
	master.loop = process->loop;
	master.uid = (uid_t)-1;
	master.keepers = map_new();
	TAILQ_INIT(&master.children);
	others[0].master = others[1].master = &master;
	return process;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct process *process;

	if (process == NULL)
		process = make();
	master.next_index[ROLE_KEEPER] = 0;
	role_play(process, kinds, countof(kinds), (struct str){ (const char *)data, size });
	/* A death may bring a new one, for those who waited; it has no more who wait. */
	while (!TAILQ_EMPTY(&master.children))
		die(TAILQ_FIRST(&master.children));
	if (map_count(master.keepers) != 0)
		fatal("a keeper is remembered that is gone");
	return 0;
}
