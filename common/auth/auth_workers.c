/* SPDX-License-Identifier: ISC */
/*
 * auth's workers. `hash` computes one password hash after the other, one worker per core. `pam`
 * forks a process for each question, a few at once, each with a time limit: modules of PAM run
 * programs and open files, so nothing of ours lies in that process.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/auth/auth_inside.h"
#include "common/auth/pam_worker.h"
#include "common/auth/password.h"
#include "common/base/log.h"
#include "common/daemon/messages.h"
#include "common/daemon/title.h"

enum {
	PAM_AT_ONCE = 8,
	PAM_WAITING = 200,	/* more are answered UNAVAILABLE */
	PAM_MS = 30 * 1000,	/* for one question */
};

/* ---- hash ---- */

static bool
on_hash(struct process *p, enum role from, unsigned index, struct msg *m)
{
	uint64_t job = msg_get_u64(m);
	struct str verifier = msg_get_str(m);
	struct str password = msg_get_str(m);
	struct buf answer = BUF_INIT;

	if (from != ROLE_AUTH || m->type != MSG_HASH || !msg_end(m))
		return false;
	msg_begin(&answer, MSG_HASH_ANSWER);
	msg_put_u64(&answer, job);
	msg_put_bool(&answer, password_verify(verifier, password));
	process_send(p, ROLE_AUTH, index, &answer, -1);
	return true;
}

void
auth_hash_start(struct process *p)
{
	process_handle(p, &(struct process_handlers){ .on_message = on_hash });
}

/* ---- pam ---- */

struct pam_job {
	TAILQ_ENTRY(pam_job) entry;
	struct pam_worker *worker;
	unsigned auth;
	uint64_t number;
	char *service;
	char *user;
	char *password;
	char *peer;
	pid_t pid;		/* 0: waits for its turn */
	int answer_fd;
	struct watch *watch;
	struct timer *patience;
};

TAILQ_HEAD(pam_jobs, pam_job);

struct pam_worker {
	struct process *process;
	struct pam_jobs jobs;
	size_t running;
	size_t count;
	struct ipc *names;	/* of auth's, for who wants to know a system account */
};

static void start_next(struct pam_worker *);
static void on_pam_done(void *context, unsigned ready);

static void
free_job(struct pam_job *j)
{
	TAILQ_REMOVE(&j->worker->jobs, j, entry);
	j->worker->count--;
	if (j->pid > 0) {
		j->worker->running--;
		/* What its modules started, too. */
		kill(-j->pid, SIGKILL);
		kill(j->pid, SIGKILL);
		while (waitpid(j->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	watch_free(j->watch);
	timer_free(j->patience);
	close_fd(&j->answer_fd);
	explicit_bzero(j->password, strlen(j->password));
	free(j->service);
	free(j->user);
	free(j->password);
	free(j->peer);
	free(j);
}

static void
answer_job(struct pam_job *j, enum login_result result)
{
	struct pam_worker *w = j->worker;
	struct buf m = BUF_INIT;

	msg_begin(&m, MSG_PAM_ANSWER);
	msg_put_u64(&m, j->number);
	msg_put_u8(&m, (uint8_t)result);
	process_send(w->process, ROLE_AUTH, j->auth, &m, -1);
	free_job(j);
	start_next(w);
}

static void
on_pam_late(void *context)
{
	struct pam_job *j = context;

	log_error(NULL, "pam.late", KV("service", j->service), KV("seconds", PAM_MS / 1000));
	answer_job(j, LOGIN_UNAVAILABLE);
}

static void
on_pam_done(void *context, unsigned ready)
{
	struct pam_job *j = context;
	unsigned char answer = PAM_ANSWER_LATER;

	(void)ready;
	if (read(j->answer_fd, &answer, 1) != 1)
		answer = PAM_ANSWER_LATER;
	answer_job(j, answer == PAM_ANSWER_YES ? LOGIN_OK :
	    answer == PAM_ANSWER_NO ? LOGIN_WRONG : LOGIN_UNAVAILABLE);
}

_Noreturn static void
ask_pam(const struct pam_job *j, int fd)
{
	unsigned char answer;

	struct pam_job *other;

	process_became_helper(fd);
	setpgid(0, 0);
	TAILQ_FOREACH(other, &j->worker->jobs, entry)
		if (other != j)
			explicit_bzero(other->password, strlen(other->password));
	title_set(j->worker->process->service->name, "auth: pam", "question");
	answer = (unsigned char)pam_check(j->service, j->user, j->password, j->peer);
	_exit(write(fd, &answer, 1) == 1 ? 0 : 1);
}

static void
start_job(struct pam_job *j)
{
	struct loop *loop = j->worker->process->loop;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
		log_error(NULL, "pam.socketpair", KV("errno", errno));
		answer_job(j, LOGIN_UNAVAILABLE);
		return;
	}
	j->pid = fork();
	if (j->pid == 0)
		ask_pam(j, ends[1]);
	close(ends[1]);
	j->answer_fd = ends[0];
	/* Whoever is first: a group of its own before anybody signals it. */
	if (j->pid > 0)
		setpgid(j->pid, j->pid);
	if (j->pid < 0) {
		log_error(NULL, "pam.fork", KV("errno", errno));
		j->pid = 0;
		answer_job(j, LOGIN_UNAVAILABLE);
		return;
	}
	j->worker->running++;
	j->watch = watch_new(loop, j->answer_fd, WATCH_READ, on_pam_done, j);
	j->patience = timer_new(loop, on_pam_late, j);
	timer_set(j->patience, PAM_MS);
}

static void
start_next(struct pam_worker *w)
{
	struct pam_job *j;

	if (w->running >= PAM_AT_ONCE)
		return;
	TAILQ_FOREACH(j, &w->jobs, entry)
		if (j->pid == 0)
			break;
	if (j != NULL)
		start_job(j);
}

static bool
on_names(struct process *p, struct msg *m)
{
	struct pam_worker *w = p->state;

	if (!msg_end(m))
		return false;
	/* Out of descriptors: auth asks again. */
	if (m->fd >= 0)
		auth_names_serve(p, &w->names, msg_take_fd(m));
	return true;
}

static bool
on_pam(struct process *p, enum role from, unsigned index, struct msg *m)
{
	struct pam_worker *w = p->state;
	struct pam_job *j;
	struct str user, peer, password;

	if (from == ROLE_AUTH && m->type == MSG_NAMES)
		return on_names(p, m);
	j = xcalloc(1, sizeof(*j));
	j->worker = w;
	j->auth = index;
	j->answer_fd = -1;
	j->number = msg_get_u64(m);
	user = msg_get_str(m);
	peer = msg_get_str(m);
	password = msg_get_str(m);
	j->user = str_dup(user);
	j->peer = str_dup(peer);
	j->password = str_dup(password);
	/* Ours, not the message's: what auth could be made to say picks no other service. */
	j->service = xstrdup(p->settings->pam_service);
	TAILQ_INSERT_TAIL(&w->jobs, j, entry);
	w->count++;
	if (from != ROLE_AUTH || m->type != MSG_PAM || !msg_end(m)) {
		free_job(j);
		return false;
	}
	/* For PAM a NUL is the end: what follows it would not count. */
	if (str_has_char(user, '\0') || str_has_char(password, '\0'))
		answer_job(j, LOGIN_WRONG);
	else if (w->count > PAM_WAITING)
		answer_job(j, LOGIN_UNAVAILABLE);
	else
		start_next(w);
	return true;
}

static void
on_pam_stop(struct process *p)
{
	struct pam_worker *w = p->state;

	while (!TAILQ_EMPTY(&w->jobs))
		free_job(TAILQ_FIRST(&w->jobs));
	ipc_free(w->names);
	free(w);
	p->state = NULL;
	process_end(p);
}

void
auth_pam_start(struct process *p)
{
	struct pam_worker *w = xcalloc(1, sizeof(*w));

	w->process = p;
	TAILQ_INIT(&w->jobs);
	p->state = w;
	process_handle(p, &(struct process_handlers){ .on_message = on_pam,
	    .on_stop = on_pam_stop });
}
