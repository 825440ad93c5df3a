/* SPDX-License-Identifier: ISC */
/* The keeper's side: one account, opened once, and its sessions. */
#include <stdlib.h>

#include "pop3d/pop3d.h"

/* sessions comes first: session.c takes the process's state for the list it is in. */
struct keeper_state {
	struct sessions sessions;
	struct account *account;	/* NULL unless opened is STORE_OK */
	enum store_result opened;
};

static void begin(struct process *, const struct session_start *);
static void on_event(struct process *);
static bool work(struct process *);
static int work_due_ms(struct process *);
static bool rests(struct process *);
static void on_quota(struct process *, uint64_t bytes, uint64_t messages);
static void closing(struct process *);

static struct keeper_frame frame = {
	.session = begin, .on_event = on_event, .work = work, .work_due_ms = work_due_ms,
	.rests = rests, .quota = on_quota, .closing = closing,
};

struct account *
pop3_account(struct process *p)
{
	struct keeper_state *k = p->state;

	return k->account;
}

void
pop3_keeper_start(struct process *p, const struct keeper_grant *grant, int maildir_fd)
{
	struct keeper_state *k = xcalloc(1, sizeof(*k));
	struct account_options options = { .address = grant->address, .daemon = "pop3d",
	    .quota_bytes = grant->quota_bytes, .quota_messages = grant->quota_messages,
	    .undelete_days = p->settings->undelete_days };

	TAILQ_INIT(&k->sessions);
	p->state = k;
	k->opened = account_open(maildir_fd, &options, &k->account);
	frame.event_fd = k->opened == STORE_OK ? account_event_fd(k->account) : -1;
	keeper_run(p, &frame);
}

static enum next
greet(struct session *s)
{
	struct keeper_state *k = s->process->state;

	/* The next login finds a new keeper, which tries again. */
	if (k->opened != STORE_OK) {
		respond_store(s, k->opened);
		keeper_leave(s->process);
		return session_end(s);
	}
	if (!mail_open(s))
		return session_end(s);
	respond_ok(s, "logged in, %u messages", s->count);
	s->step = &step_command;
	return GO;
}

static const struct step step_greet = { "greet", greet };

static void
begin(struct process *p, const struct session_start *start)
{
	struct keeper_state *k = p->state;
	struct session *s = session_new(p, &k->sessions, start->stream, start->sid, start->peer);

	s->lease = start->lease;
	s->secure = start->secure;
	s->state = TRANSACTION;
	s->step = &step_greet;
	if (start->over_limit) {
		respond_error(s, "[SYS/TEMP] too many sessions of this account, close one first");
		session_end(s);
		session_free(s);
		return;
	}
	session_run(s);
}

static void
on_event(struct process *p)
{
	if (pop3_account(p) != NULL)
		account_on_event(pop3_account(p));
}

static bool
work(struct process *p)
{
	return pop3_account(p) != NULL && account_work(pop3_account(p));
}

static int
work_due_ms(struct process *p)
{
	return pop3_account(p) != NULL ? account_work_due_ms(pop3_account(p)) : -1;
}

static bool
rests(struct process *p)
{
	return pop3_account(p) != NULL && account_rests(pop3_account(p));
}

static void
on_quota(struct process *p, uint64_t bytes, uint64_t messages)
{
	if (pop3_account(p) != NULL)
		account_set_quota(pop3_account(p), bytes, messages);
}

static void
closing(struct process *p)
{
	struct keeper_state *k = p->state;
	struct session *s;

	while ((s = TAILQ_FIRST(&k->sessions)) != NULL) {
		respond_error(s, "[SYS/TEMP] the server is being stopped");
		session_end(s);
		session_free(s);
	}
	if (k->account != NULL)
		account_close(k->account);
	free(k);
	p->state = NULL;
}
