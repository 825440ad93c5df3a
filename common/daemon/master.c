/* SPDX-License-Identifier: ISC */
/*
 * master: forks the others, joins them, starts them again. It never sees a byte from the
 * network and holds no secret: what it forks starts clean.
 */
#include "common/daemon/crowd.h"
#include "common/daemon/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/daemon/messages.h"
#include "common/daemon/sandbox.h"
#include "common/daemon/signer.h"
#include "common/daemon/title.h"

enum {
	LIVED_LONG_MS = 10000,		/* a death after this is not one of a row */
	BACK_OFF_FIRST_MS = 100,	/* doubled with each further death, up to: */
	BACK_OFF_MOST_MS = 1000,	/* whoever dies, its service is back within two seconds */
	STOP_MS = 7000,			/* then what still lives is killed */
	GRACE_MS = 5000,		/* to exit, once it closed its channel */
};

static void on_child_signal(void *context);
static void on_terminate(void *context);
static bool on_message(void *context, struct ipc *, struct msg *);
static void on_closed(void *context, struct ipc *);

const struct ipc_handlers master_child_handlers = { .received = on_message, .closed = on_closed };

/* ---- roles ---- */

void
master_start_role(struct process *p, void *context)
{
	struct master *m = context;

	switch (p->role) {
	case ROLE_RECORDER: recorder_start(p, &m->files); break;
	case ROLE_FRONT: p->service->front_start(p); break;
	case ROLE_AUTH: p->service->auth->start(p); break;
	case ROLE_AUTH_HASH: p->service->auth->hash_start(p); break;
	case ROLE_AUTH_PAM: p->service->auth->pam_start(p); break;
	case ROLE_QUEUE: p->service->queue_start(p); break;
	case ROLE_COURIER: p->service->courier_start(p); break;
	case ROLE_SIGNER:
		signer_start(p);
		owners_become(m, p->role);
		break;
	case ROLE_SYNCER: p->service->syncer_start(p); break;
	case ROLE_NURSERY: nursery_start(p); break;
	case ROLE_MASTER: case ROLE_KEEPER: case ROLE_COUNT:
		fatal("nobody starts a %s this way", role_name(p->role));
	}
}

static unsigned
count_of(struct master *m, enum role role)
{
	struct child *c;
	unsigned n = 0;

	TAILQ_FOREACH(c, &m->children, entry)
		if (c->role == role && !c->draining)
			n++;
	return n;
}

/* False: none could be forked now. */
static bool
start_missing_of(struct master *m, enum role role)
{
	while (count_of(m, role) < m->roles[role].count)
		if (master_fork(m, role, NULL, master_start_role, m) == NULL)
			return false;
	return true;
}

/* Each role waits for its own back-off only. */
void
master_start_missing(void *context)
{
	struct master *m = context;
	int64_t now = clock_monotonic_ms(), next = INT64_MAX;

	if (m->stopping)
		return;
	for (enum role role = 0; role < ROLE_COUNT; role++) {
		struct master_role *r = &m->roles[role];

		if (count_of(m, role) >= r->count)
			continue;
		if (r->not_before_ms <= now && !start_missing_of(m, role))
			r->not_before_ms = now + BACK_OFF_MOST_MS;
		if (r->not_before_ms > now && r->not_before_ms < next)
			next = r->not_before_ms;
	}
	signers_join(m);
	nursery_fill(m);
	if (next != INT64_MAX)
		timer_set(m->restart, next - now);
}

/* ---- their words ---- */

static void
tell_starter(struct master *m, struct str text)
{
	if (m->ready_fd < 0)
		return;
	if (write(m->ready_fd, text.p, text.n) < 0)
		log_warn(NULL, "master.ready", KV("errno", errno));
	close_fd(&m->ready_fd);
}

/* One account's keeper is not the service: neither waited for nor a reason to give up. */
static void
look_whether_all_are_ready(struct master *m)
{
	struct child *c;

	if (m->started || m->stopping)
		return;
	for (enum role role = 0; role < ROLE_COUNT; role++)
		if (count_of(m, role) < m->roles[role].count)
			return;
	TAILQ_FOREACH(c, &m->children, entry)
		if (!c->ready && c->role != ROLE_KEEPER)
			return;
	m->started = true;
	log_info(NULL, "ready", KV("pid", (int)getpid()));
	tell_starter(m, STR("ready\n"));
}

/* At the first start the administrator is told and nothing is left running. */
static void
give_up_start(struct master *m, struct str why)
{
	scoped_buf text = BUF_INIT;

	buf_printf(&text, "%s: %.*s\n", m->service->name, STR_ARG(why));
	tell_starter(m, buf_str(&text));
	fputs(buf_z(&text), stderr);
	on_terminate(m);
}

static bool
on_failed(struct child *from, struct msg *msg)
{
	struct str why = msg_get_str(msg);

	if (!msg_end(msg))
		return false;
	if (!from->master->started && from->role != ROLE_KEEPER)
		give_up_start(from->master, why);
	return true;
}

/* The only thing a keeper's words may cause elsewhere: that auth knows how full the account is. */
static bool
on_usage(struct child *from, struct msg *msg)
{
	struct child *auth = master_first(from->master, ROLE_AUTH);
	struct buf m = BUF_INIT;
	struct str address = msg_get_str(msg);
	uint64_t numbers[4];

	for (size_t i = 0; i < countof(numbers); i++)
		numbers[i] = msg_get_u64(msg);
	if (!msg_end(msg) || from->label == NULL || !str_eq(address, str_of(from->label)))
		return false;
	if (auth == NULL)
		return true;
	msg_begin(&m, MSG_USAGE);
	msg_put_str(&m, address);
	for (size_t i = 0; i < countof(numbers); i++)
		msg_put_u64(&m, numbers[i]);
	master_send(auth, &m, -1);
	return true;
}

static bool
run_message(struct child *from, struct msg *msg)
{
	if (msg->type == MSG_READY) {
		from->ready = true;
		if (from->role == ROLE_RECORDER)
			recorder_use(from->master->log_pipe);
		look_whether_all_are_ready(from->master);
		return true;
	}
	if (msg->type == MSG_FAILED)
		return on_failed(from, msg);
	if (from->role == ROLE_FRONT && msg->type == MSG_SIGNER_FAILED)
		return signers_on_failed(from, msg);
	if (from->role == ROLE_AUTH && msg->type == MSG_SESSION_WANTED)
		return keepers_on_session_wanted(from->master, msg);
	if (from->role == ROLE_AUTH && msg->type == MSG_KEEPER_WANTED)
		return keepers_on_keeper_wanted(from->master, msg);
	if (from->role == ROLE_NURSERY && msg->type == MSG_BORN)
		return nursery_on_born(from, msg);
	if (from->role == ROLE_KEEPER && msg->type == MSG_IDLE)
		return keepers_on_idle(from, msg);
	if (from->role == ROLE_KEEPER && msg->type == MSG_USAGE)
		return on_usage(from, msg);
	return false;
}

static bool
on_message(void *context, struct ipc *ipc, struct msg *msg)
{
	struct child *from = context;

	(void)ipc;
	if (run_message(from, msg))
		return true;
	from->broke_rules = true;
	return false;
}

void
master_kill(struct child *c)
{
	if (c->pid <= 0)	/* whoever it is finds its channel closed */
		return;
	log_warn(NULL, "process.kill", KV("role", role_name(c->role)), KV("pid", (int)c->pid));
	kill(c->pid, SIGKILL);
}

static void
kill_late(void *context)
{
	master_kill(context);
}

/* A child that sent rubbish, or one that is about to exit: it closes its channel first. */
static void
on_closed(void *context, struct ipc *ipc)
{
	struct child *c = context;

	(void)ipc;
	ipc_free(c->ipc);
	c->ipc = NULL;
	c->leaving = c->role == ROLE_KEEPER;
	if (c->broke_rules) {
		master_kill(c);
		return;
	}
	c->grace = timer_new(c->master->loop, kill_late, c);
	timer_set(c->grace, GRACE_MS);
}

/* ---- deaths ---- */

static int64_t
back_off(struct master *m, const struct child *c)
{
	struct master_role *r = &m->roles[c->role];
	int64_t wait = BACK_OFF_FIRST_MS;

	if (clock_monotonic_ms() - c->born_ms > LIVED_LONG_MS)
		r->failures = 0;
	if (r->failures++ == 0)
		return 0;
	for (unsigned i = 1; i < r->failures && wait < BACK_OFF_MOST_MS; i++)
		wait *= 2;
	return wait < BACK_OFF_MOST_MS ? wait : BACK_OFF_MOST_MS;
}

void
master_send_word(struct child *c, enum message_type word, int fd)
{
	struct buf m = BUF_INIT;

	msg_begin(&m, word);
	master_send(c, &m, fd);
}

/* The recorder goes last: it hears what the others have to say to their end. */
static void
end_with_recorder(struct master *m)
{
	struct child *c = TAILQ_FIRST(&m->children);

	if (c == NULL)
		loop_stop(m->loop);
	else if (c->role == ROLE_RECORDER && TAILQ_NEXT(c, entry) == NULL)
		master_send_word(c, MSG_STOP, -1);
}

void
master_bury(struct child *c, int status)
{
	struct master *m = c->master;
	bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	bool restart = !m->stopping && !c->draining && c->role != ROLE_KEEPER;
	bool was_nursery;
	int64_t wait = restart ? back_off(m, c) : 0;

	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		log_error(NULL, "sandbox.violation", KV("role", role_name(c->role)), KV("label", str_of(c->label)),
		    KV("pid", (int)c->pid), KV("why", "it asked the kernel for what its walls forbid, and was ended: a "
		    "fault of ours, or somebody got in. The kernel's log (journalctl -k, dmesg) has the number of the call "
		    "as syscall=; please report it"));
	if (!clean)
		log_error(NULL, "process.died", KV("role", role_name(c->role)),
		    KV("label", str_of(c->label)), KV("pid", (int)c->pid),
		    KV("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
		    KV("status", WIFEXITED(status) ? WEXITSTATUS(status) : -1),
		    KV("restart_ms", wait));
	if (c->role == ROLE_KEEPER && c->label == NULL)
		nursery_on_blank_death(m);
	else if (c->role == ROLE_KEEPER)
		keepers_on_death(c);
	signers_on_death(c);
	crowd_give_back(m->crowd, c->crowd_slot);
	if (restart)
		m->roles[c->role].not_before_ms = clock_monotonic_ms() + wait;
	was_nursery = c->role == ROLE_NURSERY;
	master_free_child(c);
	if (was_nursery)
		nursery_on_death(m);
	if (restart && m->started)
		timer_set(m->restart, 0);
	else if (restart)
		give_up_start(m, STR("one of its processes died at the start; the log says which"));
	if (m->stopping)
		end_with_recorder(m);
}

bool
master_bury_dead(struct child *c)
{
	int status;

	if (c->pid <= 0 || waitpid(c->pid, &status, WNOHANG) != c->pid)
		return false;
	master_bury(c, status);
	return true;
}

static void
on_child_signal(void *context)
{
	struct master *m = context;
	struct child *c;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		c = master_child_of(m, pid);
		if (c == NULL)
			continue;
		/* Why it failed, or whom it let in. A keeper's last words are in the log. */
		if (c->ipc != NULL && c->role != ROLE_KEEPER)
			ipc_hear_rest(c->ipc);
		master_bury(c, status);
	}
	look_whether_all_are_ready(m);
}

/* ---- signals from the administrator ---- */

static void
kill_rest(void *context)
{
	struct master *m = context;
	struct child *c;

	TAILQ_FOREACH(c, &m->children, entry)
		master_kill(c);
}

static void
on_terminate(void *context)
{
	struct master *m = context;
	struct child *c;

	if (m->stopping)
		return;
	m->stopping = true;
	log_info(NULL, "stop");
	TAILQ_FOREACH(c, &m->children, entry)
		if (c->role != ROLE_RECORDER)
			master_send_word(c, MSG_STOP, -1);
	timer_set(m->last_moment, STOP_MS);
	end_with_recorder(m);
}

_Noreturn void
master_run(struct master *m)
{
	title_set(m->service->name, "master", m->settings->config_path);
	sandbox_announce();
	TAILQ_INIT(&m->children);
	TAILQ_INIT(&m->blank);
	m->loop = loop_new();
	m->keepers = map_new();
	m->pids = map_new();
	m->crowd = crowd_new();
	m->restart = timer_new(m->loop, master_start_missing, m);
	m->blanks = timer_new(m->loop, nursery_on_timer, m);
	m->last_moment = timer_new(m->loop, kill_rest, m);
	if (sandbox_options()->escapes)
		master_try_escapes(m);
	loop_on_signal(m->loop, SIGCHLD, on_child_signal, m);
	loop_on_signal(m->loop, SIGTERM, on_terminate, m);
	loop_on_signal(m->loop, SIGINT, on_terminate, m);
	loop_on_signal(m->loop, SIGHUP, master_reload, m);
	master_start_missing(m);
	loop_run(m->loop);
	master_free_loop(m);
	crowd_free(m->crowd);
	doors_close(m->doors, m->door_count);
	settings_free(m->settings);
	log_info(NULL, "stopped");
	recorder_copy_rest(&m->files);
	exit(m->started ? 0 : 1);
}
