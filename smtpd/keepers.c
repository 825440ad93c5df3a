/* SPDX-License-Identifier: ISC */
/*
 * The queue's side of local delivery: a door for each account that something is for, deliveries going through
 * it. Steps of a delivery:
 *
 *	WAITING		for the keeper, or for its turn (IN_FLIGHT_MAX at a keeper)
 *	PREPARING	the keeper writes its copy
 *	PREPARED	written, invisible; waits for the commit
 *	PUBLISHING	the keeper makes it visible
 *
 * A keeper that dies takes nothing along: its deliveries go back to WAITING once, as retries, which the store
 * never doubles.
 */
#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/clock.h"
#include "smtpd/queue.h"

enum {
	IN_FLIGHT_MAX = 32,		/* descriptors on their way to one keeper */
	KEEPER_WAIT_MS = 30 * 1000,	/* for a keeper to be there */
	ASK_AGAIN_MS = 500,		/* a question may have crossed the old keeper's death */
	SWEEP_MS = 100,
};

enum step { WAITING, PREPARING, PREPARED, PUBLISHING };

struct delivery {
	TAILQ_ENTRY(delivery) link;	/* in its door's list for the step */
	uint64_t number;
	struct message *message;
	uint32_t n;
	struct door *door;
	enum step step;
	bool retry;		/* may have been published before */
	bool again;		/* its keeper died once */
};

TAILQ_HEAD(deliveries, delivery);

struct door {
	TAILQ_ENTRY(door) all;
	struct buf address;
	bool present;
	unsigned index;		/* of the keeper, where present */
	bool synced_by_us;	/* the keeper told its file system, and leaves syncing it to us */
	bool asked;
	int64_t asked_at;	/* first */
	int64_t asked_last;
	struct deliveries waiting;
	struct deliveries in_flight;
	size_t in_flight_count;
};

struct keepers {
	struct queue *queue;
	TAILQ_HEAD(, door) all;
	unsigned held;		/* lists are being walked: no door is freed */
	unsigned auth;		/* index of the auth there is */
	struct map *by_address;
	struct map *by_number;	/* deliveries */
	uint64_t last_number;
	struct timer *sweep;
	bool sweeping;		/* the timer is set: not again, or it would never come */
};

static struct door *door_of(struct keepers *, struct str address);
static struct door *door_of_keeper(struct keepers *, unsigned index);
static void door_let_go(struct keepers *, struct door *);
static void move_on(struct keepers *, struct door *);
static void ask(struct keepers *, struct door *);
static void lose_keeper(struct keepers *, struct door *);
static void tidy(struct keepers *);
static void on_verdict(struct keepers *, struct delivery *, enum verdict);
static void conclude(struct keepers *, struct delivery *, enum verdict);
static void delivery_free(struct keepers *, struct delivery *);
static void fail_waiting(struct keepers *, struct door *, enum verdict);
static void sweep(void *context);

void
keepers_start(struct queue *q)
{
	q->keepers = xcalloc(1, sizeof(*q->keepers));
	q->keepers->queue = q;
	TAILQ_INIT(&q->keepers->all);
	q->keepers->by_address = map_new();
	q->keepers->by_number = map_new();
	q->keepers->sweep = timer_new(q->process->loop, sweep, q->keepers);
}

static struct str
number_key(const uint64_t *number)
{
	return (struct str){ (const char *)number, sizeof(*number) };
}

/* ---- going through the door ---- */

void
keepers_deliver(struct message *m, uint32_t n, bool retry)
{
	struct keepers *k = m->queue->keepers;
	struct delivery *d = xcalloc(1, sizeof(*d));

	d->number = ++k->last_number;
	d->message = m;
	d->n = n;
	d->retry = retry;
	d->door = door_of(k, m->record.recipients[n].address);
	(void)map_set(k->by_number, number_key(&d->number), d);
	TAILQ_INSERT_TAIL(&d->door->waiting, d, link);
	m->recipients[n].delivery = d;
	m->under_way++;
	move_on(k, d->door);
}

static void
set_step(struct delivery *d, enum step step)
{
	d->message->prepared -= d->step == PREPARED;
	d->message->publishing -= d->step == PUBLISHING;
	d->message->prepared += step == PREPARED;
	d->message->publishing += step == PUBLISHING;
	if ((d->step == WAITING) != (step == WAITING)) {
		struct door *door = d->door;

		TAILQ_REMOVE(step == WAITING ? &door->in_flight : &door->waiting, d, link);
		TAILQ_INSERT_TAIL(step == WAITING ? &door->waiting : &door->in_flight, d, link);
		door->in_flight_count += step == WAITING ? -(size_t)1 : 1;
	}
	d->step = step;
}

static bool
send_prepare(struct keepers *k, struct delivery *d)
{
	struct message *m = d->message;
	scoped_buf message = BUF_INIT;
	struct str octets = STR_EMPTY;
	int fd = -1;

	if (!body_is_short(&m->body, DELIVER_INLINE_MAX, &octets)) {
		fd = body_share(&m->body);
		if (fd < 0)
			return false;
	}
	msg_begin(&message, MSG_DELIVER_PREPARE);
	msg_put_u64(&message, d->number);
	msg_put_str(&message, m->record.trace);
	msg_put_str(&message, m->record.sender);
	msg_put_u64(&message, m->body.size);
	msg_put_u64(&message, (uint64_t)m->record.arrived);
	msg_put_u8(&message, !d->retry ? AGAIN_NO : m->renew ? AGAIN_RENEW : AGAIN_RETRY);
	msg_put_str(&message, octets);
	return process_send(k->queue->process, ROLE_KEEPER, d->door->index, &message, fd);
}

/* For messages that name nothing but the delivery. */
static void
send_short(struct keepers *k, const struct delivery *d, enum smtpd_message_type type)
{
	scoped_buf message = BUF_INIT;

	msg_begin(&message, (uint16_t)type);
	msg_put_u64(&message, d->number);
	(void)process_send(k->queue->process, ROLE_KEEPER, d->door->index, &message, -1);
}

/* Lets as many through as may be; asks for the keeper where there is none. Who still waits is looked at again. */
static void
move_on(struct keepers *k, struct door *door)
{
	struct delivery *d;

	if (!TAILQ_EMPTY(&door->waiting) && !k->sweeping) {
		k->sweeping = true;
		timer_set(k->sweep, SWEEP_MS);
	}
	if (!door->present) {
		if (!TAILQ_EMPTY(&door->waiting) && !door->asked)
			ask(k, door);
		return;
	}
	while (door->in_flight_count < IN_FLIGHT_MAX && (d = TAILQ_FIRST(&door->waiting))) {
		if (!send_prepare(k, d))
			return;		/* the sweep, or the keeper's loss, goes on from here */
		set_step(d, PREPARING);
	}
}

static void
ask(struct keepers *k, struct door *door)
{
	scoped_buf message = BUF_INIT;

	door->asked_last = clock_monotonic_ms();
	if (!door->asked)
		door->asked_at = door->asked_last;
	door->asked = true;
	msg_begin(&message, MSG_ACCOUNT_WANTED);
	msg_put_str(&message, buf_str(&door->address));
	(void)process_send(k->queue->process, ROLE_AUTH, k->auth, &message, -1);
}

void
keepers_publish(struct message *m)
{
	for (size_t n = 0; n < m->record.count; n++) {
		struct delivery *d = m->recipients[n].delivery;

		if (d && d->step == PREPARED) {
			set_step(d, PUBLISHING);
			send_short(m->queue->keepers, d, MSG_DELIVER_PUBLISH);
		}
	}
}

void
keepers_abandon(struct message *m)
{
	struct keepers *k = m->queue->keepers;

	for (size_t n = 0; n < m->record.count; n++) {
		struct delivery *d = m->recipients[n].delivery;
		struct door *door = d ? d->door : NULL;

		if (!d)
			continue;
		if (d->step != WAITING)
			send_short(k, d, MSG_DELIVER_ABANDON);
		delivery_free(k, d);
		move_on(k, door);
		door_let_go(k, door);
	}
}

/* ---- what keepers and auth say ---- */

static bool
on_keeper_message(struct keepers *k, struct msg *m)
{
	uint64_t number = msg_get_u64(m);
	uint8_t verdict = msg_get_u8(m);
	struct delivery *d;

	if (!msg_end(m) || verdict > VERDICT_REFUSED)
		return false;
	d = map_get(k->by_number, number_key(&number));
	if (!d)
		return true;	/* abandoned meanwhile */
	if (m->type == MSG_DELIVER_VERDICT && d->step == PREPARING)
		on_verdict(k, d, (enum verdict)verdict);
	else if (m->type == MSG_DELIVERED && d->step == PUBLISHING)
		conclude(k, d, (enum verdict)verdict);
	else
		return false;
	return true;
}

static bool
on_files(struct keepers *k, unsigned index, struct msg *m)
{
	struct door *door = door_of_keeper(k, index);
	int fd = msg_take_fd(m);

	if (fd < 0 || !msg_end(m) || !door) {
		close_fd(&fd);
		return false;
	}
	door->synced_by_us = true;
	journal_add_system(k->queue->journal, fd);
	return true;
}

bool
keepers_on_message(struct queue *q, enum role from, unsigned index, struct msg *m)
{
	struct str address;
	struct door *door;
	uint8_t result;

	if (from == ROLE_KEEPER && m->type == MSG_DELIVER_FILES)
		return on_files(q->keepers, index, m);
	if (from == ROLE_KEEPER)
		return on_keeper_message(q->keepers, m);
	address = msg_get_str(m);
	result = msg_get_u8(m);
	if (!msg_end(m))
		return false;
	door = map_get(q->keepers->by_address, address);
	if (door) {
		door->asked = false;
		fail_waiting(q->keepers, door,
		    result == RECIPIENT_NO_SUCH ? VERDICT_REFUSED : VERDICT_TRY_LATER);
	}
	return true;
}

/* The delivery is over: what came of it goes to the message, which may end with it. */
static void
conclude(struct keepers *k, struct delivery *d, enum verdict verdict)
{
	struct message *m = d->message;
	struct message_recipient *r = &m->recipients[d->n];
	struct door *door = d->door;
	uint32_t n = d->n;
	struct answer answer = { .outcome = OUTCOME_SENT, .status = STR("2.1.5"),
	    .text = STR_EMPTY, .host = STR_EMPTY };

	if (verdict != VERDICT_OK) {
		answer = message_verdict_answer(verdict);
		log_info(&m->log, "verdict", KV("to", m->record.recipients[n].address),
		    KV("status", answer.status), KV("answer", answer.text));
	}
	r->delivered = verdict == VERDICT_OK && door->synced_by_us;
	delivery_free(k, d);
	move_on(k, door);
	door_let_go(k, door);
	if (!m->committed) {
		r->verdict = verdict;
		intake_on_verdict(m->intake);
		return;
	}
	/* After the commit a full mailbox is a reason to wait for bounces only: nobody hears of theirs. */
	if (verdict == VERDICT_FULL && m->record.credential == CREDENTIAL_INTERNAL)
		answer.outcome = OUTCOME_DEFERRED;
	message_outcome(m, n, &answer);
	if (m->intake)
		intake_on_published(m->intake);
	else
		message_settle(m);
}

static void
on_verdict(struct keepers *k, struct delivery *d, enum verdict verdict)
{
	struct message *m = d->message;

	if (verdict != VERDICT_OK) {
		conclude(k, d, verdict);
		return;
	}
	set_step(d, PREPARED);
	if (m->committed)
		keepers_publish(m);
	else
		intake_on_verdict(m->intake);
}

static void
delivery_free(struct keepers *k, struct delivery *d)
{
	struct message *m = d->message;

	if (d->step == WAITING) {
		TAILQ_REMOVE(&d->door->waiting, d, link);
	} else {
		TAILQ_REMOVE(&d->door->in_flight, d, link);
		d->door->in_flight_count--;
	}
	m->prepared -= d->step == PREPARED;
	m->publishing -= d->step == PUBLISHING;
	m->under_way--;
	m->recipients[d->n].delivery = NULL;
	(void)map_remove(k->by_number, number_key(&d->number));
	free(d);
}

/* Each conclusion may end other deliveries of the same message, never add one: so the list is looked at anew. */
static void
fail_waiting(struct keepers *k, struct door *door, enum verdict verdict)
{
	k->held++;
	door->asked = true;	/* not again for each of them */
	while (!door->present && !TAILQ_EMPTY(&door->waiting))
		conclude(k, TAILQ_FIRST(&door->waiting), verdict);
	door->asked = false;
	k->held--;
	tidy(k);
}

/* ---- doors ---- */

static struct door *
door_of(struct keepers *k, struct str address)
{
	struct door *door = map_get(k->by_address, address);

	if (door)
		return door;
	door = xcalloc(1, sizeof(*door));
	buf_put(&door->address, address);
	TAILQ_INIT(&door->waiting);
	TAILQ_INIT(&door->in_flight);
	TAILQ_INSERT_TAIL(&k->all, door, all);
	(void)map_set(k->by_address, address, door);
	return door;
}

/* Frees a door that nobody stands at. */
static void
door_let_go(struct keepers *k, struct door *door)
{
	if (k->held > 0 || door->present || !TAILQ_EMPTY(&door->waiting) || !TAILQ_EMPTY(&door->in_flight))
		return;
	TAILQ_REMOVE(&k->all, door, all);
	(void)map_remove(k->by_address, buf_str(&door->address));
	buf_free(&door->address);
	free(door);
}

static void
tidy(struct keepers *k)
{
	struct door *door, *next;

	for (door = TAILQ_FIRST(&k->all); door && k->held == 0; door = next) {
		next = TAILQ_NEXT(door, all);
		door_let_go(k, door);
	}
}

void
keepers_on_peer(struct queue *q, enum role role, unsigned index, struct str label)
{
	struct keepers *k = q->keepers;
	struct door *door;

	if (role == ROLE_KEEPER) {
		door = door_of(k, label);
		if (door->present)	/* a new one came before the old one's end was seen */
			lose_keeper(k, door);
		door->present = true;
		door->asked = false;
		door->synced_by_us = false;
		door->index = index;
		move_on(k, door);
		return;
	}
	if (role != ROLE_AUTH)
		return;
	k->auth = index;
	TAILQ_FOREACH(door, &k->all, all) {	/* the old one took our questions with it */
		door->asked = false;
		move_on(k, door);
	}
}

static struct door *
door_of_keeper(struct keepers *k, unsigned index)
{
	struct door *door;

	TAILQ_FOREACH(door, &k->all, all) {
		if (door->present && door->index == index)
			return door;
	}
	return NULL;
}

static void
lose_keeper(struct keepers *k, struct door *door)
{
	struct delivery *d, *next;

	k->held++;
	door->present = false;
	for (d = TAILQ_FIRST(&door->in_flight); d; d = next) {
		next = TAILQ_NEXT(d, link);
		if (d->again)
			continue;
		d->again = d->retry = true;
		log_info(&d->message->log, "interrupted",
		    KV("to", d->message->record.recipients[d->n].address));
		set_step(d, WAITING);
	}
	/* What a second keeper died of waits for the schedule. */
	while ((d = TAILQ_FIRST(&door->in_flight)))
		conclude(k, d, VERDICT_TRY_LATER);
	move_on(k, door);
	k->held--;
}

void
keepers_on_peer_lost(struct queue *q, enum role role, unsigned index)
{
	struct door *door = role == ROLE_KEEPER ? door_of_keeper(q->keepers, index) : NULL;

	if (door)
		lose_keeper(q->keepers, door);
	tidy(q->keepers);
}

static void
sweep(void *context)
{
	struct keepers *k = context;
	struct door *door;
	int64_t now = clock_monotonic_ms();
	bool waits = false;

	k->sweeping = true;
	k->held++;
	TAILQ_FOREACH(door, &k->all, all) {
		waits |= !TAILQ_EMPTY(&door->waiting);
		if (!door->asked || door->present)
			move_on(k, door);
		else if (now - door->asked_at > KEEPER_WAIT_MS)
			fail_waiting(k, door, VERDICT_TRY_LATER);
		else if (now - door->asked_last > ASK_AGAIN_MS)
			ask(k, door);
	}
	k->held--;
	tidy(k);
	k->sweeping = waits;
	if (waits)
		timer_set(k->sweep, SWEEP_MS);
}
