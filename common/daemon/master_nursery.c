/* SPDX-License-Identifier: ISC */
/*
 * master's side of the nursery: so many keepers wait without an account that a login needs no fork. A blank one is
 * given its account by a message, and is another keeper from then on. Its channel is there before it is: what is
 * sent to one that is still being born waits for it. Where there is no nursery, master, which holds no secret
 * either, forks the keeper itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/map.h"
#include "common/daemon/master.h"
#include "common/daemon/messages.h"

enum {
	BLANKS = 4,
	AFTER_DEATH_MS = 1000,	/* a blank one died: the next may, too */
};

static struct child *
conceive(struct master *m)
{
	struct child *nursery = master_first(m, ROLE_NURSERY), *c;
	struct buf order = BUF_INIT;
	int ends[2];

	if (nursery == NULL || nursery->ipc == NULL || ipc_is_left(nursery->ipc))
		return NULL;
	if (!ipc_pair(ends)) {
		log_error(NULL, "nursery.pair", KV("errno", errno));
		return NULL;
	}
	c = master_adopt(m, ROLE_KEEPER, m->next_index[ROLE_KEEPER]++, 0, ends[0], NULL);
	c->blank = true;
	TAILQ_INSERT_TAIL(&m->blank, c, blank_entry);
	msg_begin(&order, MSG_BIRTH);
	msg_put_u32(&order, c->index);
	master_send(nursery, &order, ends[1]);
	return c;
}

/* One that lives, or may be being born. */
static struct child *
first_blank(struct master *m)
{
	struct child *c;

	TAILQ_FOREACH(c, &m->blank, blank_entry)
		if (c->ipc != NULL && !ipc_is_left(c->ipc))
			return c;
	return NULL;
}

static void
start_forked(struct process *p, void *context)
{
	keepers_begin(p, context);
}

struct child *
nursery_take(struct master *m, const struct keeper_grant *grant)
{
	char *label = str_dup(grant->address);
	struct child *c = first_blank(m);
	struct keeper_grant copy = *grant;
	struct buf message = BUF_INIT;

	if (c == NULL)
		c = conceive(m);
	if (c == NULL) {
		c = master_fork(m, ROLE_KEEPER, label, start_forked, &copy);
		free(label);
		return c;
	}
	TAILQ_REMOVE(&m->blank, c, blank_entry);
	c->blank = false;
	c->label = label;
	msg_begin(&message, MSG_ACCOUNT);
	msg_put_grant(&message, grant);
	master_send(c, &message, -1);
	timer_set(m->blanks, 0);	/* the next one, when this login has had what it needs */
	return c;
}

void
nursery_fill(struct master *m)
{
	struct child *c;
	unsigned count = 0;

	TAILQ_FOREACH(c, &m->blank, blank_entry)
		count++;
	while (!m->stopping && count < BLANKS && conceive(m) != NULL)
		count++;
}

void
nursery_on_timer(void *context)
{
	nursery_fill(context);
}

/* A pid that is not, or no more, a child of ours is of one that died at once. */
static bool
is_our_child(pid_t pid)
{
	siginfo_t info;

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

bool
nursery_on_born(struct child *nursery, struct msg *msg)
{
	struct master *m = nursery->master;
	uint32_t index = msg_get_u32(msg), pid = msg_get_u32(msg);
	struct child *c = master_find(m, ROLE_KEEPER, index);

	if (!msg_end(msg) || c == NULL || c->pid != 0 || pid > INT32_MAX)
		return false;
	if (pid == 0 || !is_our_child((pid_t)pid))
		master_bury(c, pid == 0 ? 1 << 8 : 0);
	else
		master_note_pid(c, (pid_t)pid);
	return true;
}

static struct child *
find_unborn(struct master *m)
{
	struct child *c;

	TAILQ_FOREACH(c, &m->children, entry)
		if (c->role == ROLE_KEEPER && c->pid == 0)
			return c;
	return NULL;
}

/* One that was born and not told of finds its channel closed, and ends. */
void
nursery_on_death(struct master *m)
{
	struct child *c;

	while ((c = find_unborn(m)) != NULL)
		master_bury(c, 0);
}

void
nursery_on_blank_death(struct master *m)
{
	timer_set(m->blanks, AFTER_DEATH_MS);
}
