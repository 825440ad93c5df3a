/* SPDX-License-Identifier: ISC */
#include "common/daemon/login.h"

#include <stdlib.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/map.h"
#include "common/daemon/messages.h"
#include "common/daemon/process_inside.h"

enum {
	ANSWER_MS = 60 * 1000,	/* auth's own limits are below this */
	TARGETS_MAX = 1000,
};

struct question {
	TAILQ_ENTRY(question) entry;
	struct desk *desk;
	uint64_t number;
	unsigned auth;		/* whom it was asked */
	struct timer *patience;
	login_answered *login;		/* one of the two */
	recipient_answered *recipient;
	void *context;
	struct buf address;
};

TAILQ_HEAD(questions, question);

struct desk {
	struct process *process;
	struct questions open;
	struct map *by_number;
	uint64_t last_number;
	unsigned auth;		/* index of the auth there is */
	bool has_auth;
};

static void give_up(void *context);

static struct desk *
desk_of(struct process *p)
{
	struct desk *d = p->inside->login;

	if (d == NULL) {
		d = p->inside->login = xcalloc(1, sizeof(*d));
		d->process = p;
		d->by_number = map_new();
		TAILQ_INIT(&d->open);
	}
	return d;
}

static struct str
key_of(const uint64_t *number)
{
	return (struct str){ (const char *)number, sizeof(*number) };
}

static struct question *
ask(struct desk *d, void *context)
{
	struct question *q = xcalloc(1, sizeof(*q));

	q->desk = d;
	q->number = ++d->last_number;
	q->auth = d->auth;
	q->context = context;
	q->patience = timer_new(d->process->loop, give_up, q);
	timer_set(q->patience, d->has_auth ? ANSWER_MS : 0);
	TAILQ_INSERT_TAIL(&d->open, q, entry);
	map_set(d->by_number, key_of(&q->number), q);
	return q;
}

void
question_cancel(struct question *q)
{
	if (q == NULL)
		return;
	TAILQ_REMOVE(&q->desk->open, q, entry);
	map_remove(q->desk->by_number, key_of(&q->number));
	timer_free(q->patience);
	buf_free(&q->address);
	free(q);
}

static void
answer_login(struct question *q, enum login_result result, int fd)
{
	login_answered *call = q->login;
	void *context = q->context;
	struct buf address = q->address;

	q->address = BUF_INIT;
	question_cancel(q);
	call(context, result, buf_str(&address), fd);
	buf_free(&address);
}

static void
answer_recipient(struct question *q, enum recipient_result result, const struct target *targets,
    size_t count)
{
	recipient_answered *call = q->recipient;
	void *context = q->context;

	question_cancel(q);
	call(context, result, targets, count);
}

static void
give_up(void *context)
{
	struct question *q = context;

	if (q->login != NULL)
		answer_login(q, LOGIN_UNAVAILABLE, -1);
	else
		answer_recipient(q, RECIPIENT_UNAVAILABLE, NULL, 0);
}

struct question *
login_ask(struct process *p, const struct login_question *ask_for, login_answered *answered,
    void *context)
{
	struct desk *d = desk_of(p);
	struct question *q = ask(d, context);
	scoped_buf peer = BUF_INIT;
	struct buf m = BUF_INIT;

	q->login = answered;
	net_address_put(&peer, ask_for->peer);
	msg_begin(&m, MSG_LOGIN);
	msg_put_u64(&m, q->number);
	msg_put_str(&m, ask_for->sid);
	msg_put_str(&m, buf_str(&peer));
	msg_put_bool(&m, ask_for->secure);
	msg_put_str(&m, ask_for->authzid);
	msg_put_str(&m, ask_for->authcid);
	msg_put_str(&m, ask_for->password);
	if (!process_send(p, ROLE_AUTH, d->auth, &m, -1))
		timer_set(q->patience, 0);
	return q;
}

struct question *
recipient_ask(struct process *p, struct str address, uint64_t size, recipient_answered *answered,
    void *context)
{
	struct desk *d = desk_of(p);
	struct question *q = ask(d, context);
	struct buf m = BUF_INIT;

	q->recipient = answered;
	msg_begin(&m, MSG_RECIPIENT);
	msg_put_u64(&m, q->number);
	msg_put_str(&m, address);
	msg_put_u64(&m, size);
	if (!process_send(p, ROLE_AUTH, d->auth, &m, -1))
		timer_set(q->patience, 0);
	return q;
}

/* ---- answers ---- */

static bool
on_login_answer(struct desk *d, struct msg *m)
{
	uint64_t number = msg_get_u64(m);
	uint8_t result = msg_get_u8(m);
	struct str address = msg_get_str(m);
	struct question *q;

	if (!msg_end(m) || result > LOGIN_TOO_MANY)
		return false;
	q = map_get(d->by_number, key_of(&number));
	if (q == NULL || q->login == NULL)
		return true;
	buf_put(&q->address, address);
	/* In imapd and pop3d the keeper's stream follows, from master. */
	if (result != LOGIN_OK || d->process->service->queue_start != NULL)
		answer_login(q, result, -1);
	return true;
}

/* A session may come before auth's answer does: they are two channels. */
static bool
on_session(struct desk *d, struct msg *m)
{
	uint64_t number = msg_get_u64(m);
	struct str address = msg_get_str(m);
	struct question *q;
	int fd;

	if (!msg_end(m))
		return false;
	q = map_get(d->by_number, key_of(&number));
	if (q == NULL || q->login == NULL)
		return true;
	buf_clear(&q->address);
	buf_put(&q->address, address);
	fd = msg_take_fd(m);
	answer_login(q, fd >= 0 ? LOGIN_OK : LOGIN_UNAVAILABLE, fd);
	return true;
}

static bool
on_recipient_answer(struct desk *d, struct msg *m)
{
	uint64_t number = msg_get_u64(m);
	uint8_t result = msg_get_u8(m);
	uint32_t count = msg_get_u32(m);
	struct arena *arena;
	struct target *targets;
	struct question *q;
	bool good;

	if (m->bad || result > RECIPIENT_UNAVAILABLE || count > TARGETS_MAX)
		return false;
	arena = arena_new();
	targets = arena_array(arena, struct target, count);
	for (uint32_t i = 0; i < count; i++) {
		uint8_t kind = msg_get_u8(m);

		targets[i].kind = kind == TARGET_LOCAL ? TARGET_LOCAL : TARGET_REMOTE;
		targets[i].address = msg_get_str(m);
	}
	good = msg_end(m);
	q = map_get(d->by_number, key_of(&number));
	if (good && q != NULL && q->recipient != NULL)
		answer_recipient(q, result, targets, count);
	arena_free(arena);
	return good;
}

bool
login_on_message(struct process *p, enum role from, struct msg *m, bool *ok)
{
	struct desk *d = desk_of(p);

	if (from == ROLE_AUTH && m->type == MSG_LOGIN_ANSWER)
		*ok = on_login_answer(d, m);
	else if (from == ROLE_AUTH && m->type == MSG_RECIPIENT_ANSWER)
		*ok = on_recipient_answer(d, m);
	else if (from == ROLE_MASTER && m->type == MSG_SESSION)
		*ok = on_session(d, m);
	else
		return false;
	return true;
}

void
login_on_peer(struct process *p, enum role role, unsigned index)
{
	struct desk *d = desk_of(p);

	if (role != ROLE_AUTH)
		return;
	d->auth = index;
	d->has_auth = true;
}

void
login_on_peer_lost(struct process *p, enum role role, unsigned index)
{
	struct desk *d = desk_of(p);
	struct question *q, *next;

	if (role != ROLE_AUTH)
		return;
	d->has_auth = process_has_peer(p, ROLE_AUTH, d->auth);
	/* Its successor may have been met before its end was seen: that one knows nothing of these. */
	for (q = TAILQ_FIRST(&d->open); q != NULL; q = next) {
		next = TAILQ_NEXT(q, entry);
		if (q->auth == index)
			timer_set(q->patience, 0);
	}
}

void
login_forget(struct process *p)
{
	struct desk *d = p->inside->login;

	if (d == NULL)
		return;
	while (!TAILQ_EMPTY(&d->open))
		question_cancel(TAILQ_FIRST(&d->open));
	map_free(d->by_number);
	free(d);
	p->inside->login = NULL;
}
