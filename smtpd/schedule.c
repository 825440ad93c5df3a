/* SPDX-License-Identifier: ISC */
/*
 * What is due, as attempts: at most destination_concurrency at once for a destination and ATTEMPTS_MAX in all. A
 * recipient taken is UNDER_WAY in its row, so nothing is taken twice; it holds its destination's slot
 * until its outcome. Local recipients take the same way, to their keepers.
 */
#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/clock.h"
#include "smtpd/queue.h"

enum {
	ATTEMPTS_MAX = 500,		/* under way at once: a descriptor each */
	RECIPIENTS_MAX = 100,		/* of one transaction (RFC 5321 4.5.3.1.8: any server takes 100) */
	ADDRESSES_MAX = 32 * 1024,	/* octets of addresses in one message to a courier */
	DESTINATIONS_AT_ONCE = 1000,	/* more than can be blocked by their own limits */
	TURNED_CLOCK_MS = 200,		/* how often a clock is looked at that a test may turn */
	LOOK_AGAIN_MS = 60 * 1000,	/* at most, whatever the rows say */
};

/* Lives as long as somebody holds a slot of it. */
struct destination {
	struct str name;
	size_t slots;
};

struct attempt {
	TAILQ_ENTRY(attempt) all;
	uint64_t number;
	struct message *message;
	struct destination *destination;
	unsigned courier;
	uint32_t *n;		/* of the recipients, in the order sent; UINT32_MAX: answered */
	size_t count;
};

struct courier {
	TAILQ_ENTRY(courier) link;
	unsigned index;
};

struct schedule {
	struct queue *queue;
	TAILQ_HEAD(, attempt) attempts;
	size_t under_way;	/* attempts, and local recipients taken */
	struct map *by_number;
	struct map *destinations;
	uint64_t last_number;
	TAILQ_HEAD(, courier) couriers;	/* who had work last stands last */
	struct timer *timer;
};

static void run(void *context);
static void serve(struct schedule *, struct str destination, int64_t now, struct arena *);
static void attempt(struct schedule *, struct message *, struct destination *,
    const struct taken *, unsigned courier);
static void finish(struct schedule *, struct attempt *);
static void tell_delays(struct schedule *, int64_t now, struct arena *);
static void set_timer(struct schedule *, int64_t now);

void
schedule_start(struct queue *q)
{
	struct schedule *s = xcalloc(1, sizeof(*s));

	q->schedule = s;
	s->queue = q;
	TAILQ_INIT(&s->attempts);
	TAILQ_INIT(&s->couriers);
	s->by_number = map_new();
	s->destinations = map_new();
	s->timer = timer_new(q->process->loop, run, s);
	schedule_soon(q);
}

void
schedule_soon(struct queue *q)
{
	if (q->schedule)
		timer_set(q->schedule->timer, 0);
}

bool
schedule_is_idle(const struct queue *q)
{
	return TAILQ_EMPTY(&q->schedule->attempts);
}

static void
run(void *context)
{
	struct schedule *s = context;
	struct arena *arena;
	struct str *due;
	int64_t now = clock_now();
	size_t count;

	if (s->queue->stopping)
		return;
	arena = arena_new();
	due = arena_array(arena, struct str, DESTINATIONS_AT_ONCE);
	count = rows_due_destinations(s->queue->rows, now, arena, due, DESTINATIONS_AT_ONCE);
	for (size_t i = 0; i < count; i++)
		serve(s, due[i], now, arena);
	tell_delays(s, now, arena);
	arena_free(arena);
	set_timer(s, now);
}

/* ---- slots ---- */

static bool
has_room(const struct schedule *s, struct str name)
{
	const struct destination *d = map_get(s->destinations, name);

	return s->under_way < ATTEMPTS_MAX &&
	    (!d || d->slots < s->queue->process->settings->destination_concurrency);
}

static struct destination *
take_slot(struct schedule *s, struct str name)
{
	struct destination *d = map_get(s->destinations, name);

	if (!d) {
		d = xcalloc(1, sizeof(*d));
		d->name = (struct str){ str_dup(name), name.n };
		(void)map_set(s->destinations, d->name, d);
	}
	d->slots++;
	s->under_way++;
	return d;
}

void
schedule_give_back(struct queue *q, struct destination *d)
{
	struct schedule *s = q->schedule;

	if (!d)
		return;
	s->under_way--;
	if (--d->slots == 0) {
		(void)map_remove(s->destinations, d->name);
		free((char *)(uintptr_t)d->name.p);
		free(d);
	}
	schedule_soon(q);
}

/* ---- attempts ---- */

/* The next courier in turn; false where there is none now. */
static bool
pick_courier(struct schedule *s, unsigned *out)
{
	struct courier *courier = TAILQ_FIRST(&s->couriers);

	if (!courier)
		return false;
	TAILQ_REMOVE(&s->couriers, courier, link);
	TAILQ_INSERT_TAIL(&s->couriers, courier, link);
	*out = courier->index;
	return true;
}

static void
deliver_local(struct schedule *s, struct message *m, struct str destination,
    const struct taken *taken)
{
	for (size_t i = 0; i < taken->count; i++) {
		struct message_recipient *r = &m->recipients[taken->n[i]];

		r->slot = take_slot(s, destination);
		r->row.last_at = clock_now();
		keepers_deliver(m, taken->n[i], true);
	}
}

/* Rows that name recipients the record does not have are not ours to act on. */
static bool
fits(const struct message *m, const struct taken *taken)
{
	for (size_t i = 0; i < taken->count; i++) {
		if (taken->n[i] >= m->record.count || m->recipients[taken->n[i]].delivery)
			return false;
		m->recipients[taken->n[i]].row.state = ROW_UNDER_WAY;
	}
	return true;
}

/* Takes what is due for one destination while there is room. */
static void
serve(struct schedule *s, struct str destination, int64_t now, struct arena *arena)
{
	bool local = str_has_char(destination, '@');
	struct message *m;
	struct taken taken;
	unsigned courier = 0;

	while (has_room(s, destination)) {
		if (!local && !pick_courier(s, &courier))
			return;
		if (!rows_take(s->queue->rows, destination, now, RECIPIENTS_MAX, arena, &taken))
			return;
		m = message_load(s->queue, taken.trace);
		if (!m)
			continue;
		if (!fits(m, &taken)) {
			log_error(&m->log, "queue_db_trouble", KV("doing", "taking"));
			queue_resync_later(s->queue);
			message_settle(m);
			continue;
		}
		if (local)
			deliver_local(s, m, destination, &taken);
		else
			attempt(s, m, take_slot(s, destination), &taken, courier);
	}
}

static bool
send_attempt(struct schedule *s, const struct attempt *a)
{
	struct message *m = a->message;
	scoped_buf message = BUF_INIT;
	int fd = body_share(&m->body);

	if (fd < 0)
		return false;
	msg_begin(&message, MSG_ATTEMPT);
	msg_put_u64(&message, a->number);
	msg_put_str(&message, m->record.trace);
	msg_put_str(&message, a->destination->name);
	msg_put_str(&message, m->record.sender);
	msg_put_bool(&message, m->record.eight_bit);
	msg_put_u64(&message, m->body.size);
	msg_put_u32(&message, (uint32_t)a->count);
	for (size_t i = 0; i < a->count; i++)
		msg_put_str(&message, m->record.recipients[a->n[i]].address);
	return process_send(s->queue->process, ROLE_COURIER, a->courier, &message, fd);
}

/* How many of the recipients taken go into one message; the others are given back at once. */
static size_t
count_fitting(const struct message *m, const struct taken *taken)
{
	size_t octets = 0, i;

	for (i = 0; i < taken->count; i++) {
		octets += m->record.recipients[taken->n[i]].address.n + 4;
		if (octets > ADDRESSES_MAX)
			break;
	}
	return i > 0 ? i : 1;
}

static void
put_back(struct message *m, const struct taken *taken, size_t from)
{
	for (size_t i = from; i < taken->count; i++) {
		struct row *row = &m->recipients[taken->n[i]].row;

		row->state = ROW_WAITING;
		if (!rows_update(m->queue->rows, m->record.trace, row))
			queue_resync_later(m->queue);
	}
}

static void
attempt(struct schedule *s, struct message *m, struct destination *destination,
    const struct taken *taken, unsigned courier)
{
	struct attempt *a = xcalloc(1, sizeof(*a));

	a->number = ++s->last_number;
	a->message = m;
	a->destination = destination;
	a->courier = courier;
	a->count = count_fitting(m, taken);
	a->n = xcalloc(a->count, sizeof(*a->n));
	put_back(m, taken, a->count);
	for (size_t i = 0; i < a->count; i++) {
		a->n[i] = taken->n[i];
		m->recipients[a->n[i]].row.last_at = clock_now();
	}
	m->under_way++;
	TAILQ_INSERT_TAIL(&s->attempts, a, all);
	(void)map_set(s->by_number, (struct str){ (const char *)&a->number, 8 }, a);
	log_info(&m->log, "attempt", KV("destination", destination->name),
	    KV("recipients", a->count), KV("courier", courier));
	if (!send_attempt(s, a))
		finish(s, a);
}

static bool
on_answer(struct attempt *a, struct msg *m)
{
	uint32_t i = msg_get_u32(m);
	uint8_t outcome = msg_get_u8(m);
	struct answer answer = { .status = msg_get_str(m) };

	answer.text = msg_get_str(m);
	answer.host = msg_get_str(m);
	answer.secure = msg_get_bool(m);
	if (!msg_end(m) || outcome > OUTCOME_FAILED)
		return false;
	if (!a)
		return true;
	if (i >= a->count || a->n[i] == UINT32_MAX)
		return false;
	answer.outcome = (enum outcome)outcome;
	answer.text = str_sub(answer.text, 0, ANSWER_TEXT_MAX);
	message_outcome(a->message, a->n[i], &answer);
	a->n[i] = UINT32_MAX;
	return true;
}

/* It is given nothing any more. */
static void
forget_courier(struct schedule *s, unsigned index)
{
	struct courier *courier, *next;

	for (courier = TAILQ_FIRST(&s->couriers); courier; courier = next) {
		next = TAILQ_NEXT(courier, link);
		if (courier->index != index)
			continue;
		TAILQ_REMOVE(&s->couriers, courier, link);
		free(courier);
	}
}

bool
schedule_on_message(struct queue *q, unsigned courier, struct msg *m)
{
	struct schedule *s = q->schedule;
	struct attempt *a;
	uint64_t number;

	if (m->type == MSG_COURIER_LEAVES) {
		forget_courier(s, courier);
		return msg_end(m);
	}
	number = msg_get_u64(m);
	a = map_get(s->by_number, (struct str){ (const char *)&number, 8 });
	if (m->bad || (a && a->courier != courier))
		return false;
	if (m->type == MSG_ATTEMPT_ANSWER)
		return on_answer(a, m);
	if (m->type != MSG_ATTEMPT_DONE || !msg_end(m))
		return false;
	if (a)
		finish(s, a);
	return true;
}

/* Who has no answer by now was cut short. */
static void
finish(struct schedule *s, struct attempt *a)
{
	struct message *m = a->message;

	for (size_t i = 0; i < a->count; i++) {
		if (a->n[i] != UINT32_MAX)
			message_interrupted(m, a->n[i]);
	}
	/* Not before, though all may have been answered: as long as it lives, an attempt holds its message. */
	m->under_way--;
	TAILQ_REMOVE(&s->attempts, a, all);
	(void)map_remove(s->by_number, (struct str){ (const char *)&a->number, 8 });
	schedule_give_back(s->queue, a->destination);
	free(a->n);
	free(a);
	message_settle(m);
}

void
schedule_on_courier(struct queue *q, unsigned index)
{
	struct courier *courier = xcalloc(1, sizeof(*courier));

	courier->index = index;
	TAILQ_INSERT_HEAD(&q->schedule->couriers, courier, link);
	schedule_soon(q);
}

void
schedule_on_courier_lost(struct queue *q, unsigned index)
{
	struct schedule *s = q->schedule;
	struct attempt *a, *next;

	forget_courier(s, index);
	for (a = TAILQ_FIRST(&s->attempts); a; a = next) {
		next = TAILQ_NEXT(a, all);
		if (a->courier == index)
			finish(s, a);
	}
}

/* ---- delays, and when to look again ---- */

static void
tell_delays(struct schedule *s, int64_t now, struct arena *arena)
{
	int64_t after = s->queue->process->settings->queue_delay_notice;
	struct message *m;
	struct str trace;

	while (after > 0 && rows_next_unnotified(s->queue->rows, now - after, arena, &trace)) {
		/* Marked first: a notice is a courtesy, one too few is better than one each second. */
		if (!rows_set_notified(s->queue->rows, trace))
			return;
		m = message_load(s->queue, trace);
		if (m) {
			m->wants_notice = true;
			message_settle(m);
		}
	}
}

static void
set_timer(struct schedule *s, int64_t now)
{
	int64_t due = rows_next_due(s->queue->rows);
	int64_t notice = s->queue->process->settings->queue_delay_notice;
	int64_t oldest = notice > 0 ? rows_oldest_unnotified(s->queue->rows) : INT64_MAX;
	int64_t ms = LOOK_AGAIN_MS;

	if (oldest != INT64_MAX && oldest + notice < due)
		due = oldest + notice;
	/* What is due and still here waits for room, and whoever makes room calls. */
	if (due > now && due - now < LOOK_AGAIN_MS / 1000)
		ms = (due - now) * 1000;
	if (clock_is_turnable())
		ms = ms < TURNED_CLOCK_MS ? ms : TURNED_CLOCK_MS;
	timer_set(s->timer, ms);
}
