/* SPDX-License-Identifier: ISC */
/*
 * The nursery: forks keepers before there is an account for them. It was forked from master at the start and has been
 * told nothing since, so a keeper begins without a trace of anybody's key, password or mail. What it forks are
 * master's children, not its own: it may die without them.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/daemon/crowd.h"
#include "common/daemon/master.h"
#include "common/daemon/messages.h"
#include "common/daemon/title.h"

static bool on_order(struct process *, enum role from, unsigned index, struct msg *);
static bool on_account(struct process *, enum role from, unsigned index, struct msg *);

void
nursery_start(struct process *p)
{
	process_handle(p, &(struct process_handlers){ .on_message = on_order });
}

/* The blank keeper's first step: it waits for its account. */
static void
wait_for_account(struct process *p, void *context)
{
	(void)context;
	title_set(p->service->name, "blank keeper", NULL);
	process_handle(p, &(struct process_handlers){ .on_message = on_account });
}

_Noreturn static void
live(struct process *p, unsigned index, int control)
{
	struct process_birth birth = { .service = p->service,
	    .settings = (struct settings *)(uintptr_t)p->settings, .role = ROLE_KEEPER,
	    .index = index, .control = control, .crowd_slot = CROWD_SLOTS };

	loop_after_fork(p->loop);
	process_forget(p);
	process_live(&birth, wait_for_account, NULL);
}

/* fork(2), but to master. There is one thread, and nothing of ours hangs on a fork. */
static pid_t
fork_to_parent(void)
{
	return (pid_t)syscall(SYS_clone, (unsigned long)(CLONE_PARENT | SIGCHLD), 0UL, 0UL, 0UL, 0UL);
}

static bool
on_order(struct process *p, enum role from, unsigned unused, struct msg *m)
{
	uint32_t index = msg_get_u32(m);
	scoped_fd control = msg_take_fd(m);
	struct buf answer = BUF_INIT;
	pid_t pid = -1;

	(void)unused;
	if (from != ROLE_MASTER || m->type != MSG_BIRTH || !msg_end(m))
		return false;
	if (control >= 0)
		pid = fork_to_parent();
	if (pid == 0)
		live(p, index, control);
	if (pid < 0)
		log_error(NULL, "nursery.fork", KV("errno", control < 0 ? EMFILE : errno));
	msg_begin(&answer, MSG_BORN);
	msg_put_u32(&answer, index);
	msg_put_u32(&answer, pid > 0 ? (uint32_t)pid : 0);
	process_send(p, ROLE_MASTER, 0, &answer, -1);
	return true;
}

/* Once: keepers_begin puts the keeper's own handlers in our place. */
static bool
on_account(struct process *p, enum role from, unsigned index, struct msg *m)
{
	struct keeper_grant grant;
	char *label;

	(void)index;
	if (from != ROLE_MASTER || m->type != MSG_ACCOUNT)
		return false;
	grant = msg_get_grant(m);
	if (!msg_end(m) || grant.uid == 0)
		return false;
	label = str_dup(grant.address);		/* as long as the process */
	p->label = str_of(label);
	title_set(p->service->name, role_name(p->role), label);
	keepers_begin(p, &grant);
	return true;
}
