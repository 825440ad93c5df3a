/* SPDX-License-Identifier: ISC */
/*
 * The other processes, as a session sees them: user1 and user2 are ours, and what is handed in is kept in w. Each
 * answers in a turn of the loop of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/smtpd/session_stand.h"

/* ---- fakes: common/daemon ---- */

struct question {
	struct timer *timer;
	login_answered *login;
	recipient_answered *recipient;
	void *context;
	enum login_result login_result;
	enum recipient_result recipient_result;
	struct target target;
	struct buf address;
};

static void
question_end(struct question *q)
{
	timer_free(q->timer);
	buf_free(&q->address);
	free(q);
}

void
question_cancel(struct question *q)
{
	if (q != NULL)
		question_end(q);
}

static void
question_answer(void *context)
{
	struct question *q = context;
	struct question copy = *q;

	q->address = BUF_INIT;
	question_end(q);
	copy.target.address = buf_str(&copy.address);
	if (copy.login != NULL)
		copy.login(copy.context, copy.login_result, STR("user1@example.test"), -1);
	else
		copy.recipient(copy.context, copy.recipient_result, &copy.target,
		    copy.recipient_result == RECIPIENT_OK);
	buf_free(&copy.address);
}

static struct question *
question_new(void *context)
{
	struct question *q = xcalloc(1, sizeof(*q));

	q->context = context;
	q->timer = timer_new(w.process.loop, question_answer, q);
	timer_set(q->timer, 0);
	return q;
}

struct question *
login_ask(struct process *process, const struct login_question *login, login_answered *answered,
    void *context)
{
	struct question *q = question_new(context);

	(void)process;
	q->login = answered;
	q->login_result = LOGIN_WRONG;
	if (str_eq(login->authcid, STR("user1")) && str_eq(login->password, STR("secret")))
		q->login_result = LOGIN_OK;
	if (str_eq(login->authcid, STR("later")))
		q->login_result = LOGIN_UNAVAILABLE;
	return q;
}

struct question *
recipient_ask(struct process *process, struct str address, uint64_t size,
    recipient_answered *answered, void *context)
{
	struct question *q = question_new(context);

	(void)process;
	(void)size;
	q->recipient = answered;
	q->recipient_result = RECIPIENT_NOT_OURS;
	buf_put(&q->address, address);
	if (str_ends(address, STR("@example.test")))
		q->recipient_result = RECIPIENT_NO_SUCH;
	if (str_eq(address, STR("user1@example.test")) ||
	    str_eq(address, STR("user2@example.test")) || str_eq(address, STR("postmaster")))
		q->recipient_result = RECIPIENT_OK;
	if (str_eq(address, STR("alias@example.test"))) {
		q->recipient_result = RECIPIENT_OK;
		buf_clear(&q->address);
		buf_put_z(&q->address, "user1@example.test");
	}
	if (str_eq(address, STR("full@example.test")))
		q->recipient_result = RECIPIENT_FULL;
	if (str_eq(address, STR("later@example.test")))
		q->recipient_result = RECIPIENT_UNAVAILABLE;
	return q;
}

void
front_run(struct process *process, const struct front_frame *frame)
{
	(void)process;
	(void)frame;
}

void
front_leave(struct process *process, void *place)
{
	(void)place;
	loop_stop(process->loop);
}

struct tls_context *
front_tls(struct process *process)
{
	(void)process;
	return NULL;
}

uint32_t
front_failures(struct process *process, const struct net_address *peer)
{
	(void)process;
	(void)peer;
	return w.failures;
}

void
front_count_failure(struct process *process, const struct net_address *peer)
{
	(void)process;
	(void)peer;
	w.failures++;
}

/* ---- fakes: smtpd/submit.h ---- */

struct submission {
	struct timer *timer;
	submit_answered *answered;
	void *context;
};

static void
submission_end(void *context)
{
	struct submission sub = *(struct submission *)context;

	free(context);
	timer_free(sub.timer);
	if (w.submit_result == SUBMIT_OK)
		w.accepted++;
	sub.answered(sub.context, w.submit_result);
}

struct submission *
submit_begin(struct process *process, const struct envelope *envelope,
    const struct credential *credential, const struct submit_options *options,
    submit_drained *drained, void *context)
{
	struct submission *sub = xcalloc(1, sizeof(*sub));

	(void)drained;
	(void)context;
	assert_int_equal(options->trace.n, 16);
	sub->timer = timer_new(process->loop, submission_end, sub);
	buf_clear(&w.body);
	buf_clear(&w.envelope);
	buf_put(&w.envelope, envelope->sender);
	buf_put_z(&w.envelope, " >");
	for (size_t i = 0; i < envelope->count; i++) {
		buf_put_c(&w.envelope, ' ');
		buf_put(&w.envelope, envelope->recipients[i].given);
		for (size_t t = 0; t < envelope->recipients[i].target_count; t++)
			buf_put_z(&w.envelope, envelope->recipients[i].targets[t].kind ==
			    TARGET_LOCAL ? "/local" : "/remote");
	}
	buf_printf(&w.envelope, ", %d %d", (int)credential->kind, (int)envelope->eight_bit);
	return sub;
}

void
submit_write(struct submission *sub, struct str bytes)
{
	assert_non_null(sub);
	buf_put(&w.body, bytes);
}

bool
submit_is_full(struct submission *sub)
{
	(void)sub;
	return false;
}

void
submit_end(struct submission *sub, submit_answered *answered, void *context)
{
	sub->answered = answered;
	sub->context = context;
	timer_set(sub->timer, w.submit_ms);
}

void
submit_abandon(struct submission *sub)
{
	if (sub == NULL)
		return;
	w.abandoned++;
	timer_free(sub->timer);
	free(sub);
}

bool
submit_on_message(struct process *process, enum role from, struct msg *m, bool *ok)
{
	(void)process;
	(void)from;
	(void)m;
	(void)ok;
	return false;
}

void
submit_on_drained(struct process *process, enum role role)
{
	(void)process;
	(void)role;
}

void
submit_on_peer_lost(struct process *process, enum role role)
{
	(void)process;
	(void)role;
}
