/* SPDX-License-Identifier: ISC */
#include "common/daemon/keeper.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/daemon/handover.h"
#include "common/daemon/messages.h"
#include "common/daemon/process_inside.h"

enum {
	STAY_MS = 60 * 1000,		/* without a session, so that the next click finds it warm */
	ARRIVAL_MS = 10 * 1000,		/* for the front's first words */
	ARRIVAL_AGAIN_MS = 50,		/* between looks at first words that are not all there */
	WORK_SOON_MS = 200,
	LEAVE_MS = 100,
	STACK_OURS = 1024,		/* below our frame's base, for what the giving itself needs there */
	STACK_GIVEN = 256 * 1024,
};

struct lease {
	TAILQ_ENTRY(lease) entry;
	struct keeper *keeper;
	struct stream *line;	/* to the front: its end tells it that the session is over */
};

/* A session that master announced and whose front has not sent its first words yet. */
struct arrival {
	TAILQ_ENTRY(arrival) entry;
	struct keeper *keeper;
	int fd;
	struct watch *watch;
	struct timer *again;
	struct timer *patience;
	struct buf sid;
	struct buf peer;
	bool secure;
};

TAILQ_HEAD(leases, lease);
TAILQ_HEAD(arrivals, arrival);

struct keeper {
	struct process *process;
	const struct keeper_frame *frame;
	struct leases leases;
	struct arrivals arrivals;
	size_t lease_count;
	uint64_t sessions;	/* ever */
	struct watch *events;
	struct timer *work;
	struct timer *leave;
	bool rests;
	bool leaving;
	bool unusable;
};

static bool on_message(struct process *, enum role from, unsigned index, struct msg *);
static void on_peer_lost(struct process *, enum role, unsigned index);
static void on_stop(struct process *);
static void on_event(void *context, unsigned ready);
static void do_work(void *context);
static void ask_to_leave(void *context);
static bool on_session_open(struct keeper *, struct msg *);
static bool on_quota(struct keeper *, struct msg *);
static void on_arrival(void *context, unsigned ready);
static void look_again(void *context);
static void give_up_arrival(void *context);

void
keeper_run(struct process *p, const struct keeper_frame *frame)
{
	struct keeper *k = xcalloc(1, sizeof(*k));

	k->process = p;
	k->frame = frame;
	TAILQ_INIT(&k->leases);
	TAILQ_INIT(&k->arrivals);
	p->inside->frame = k;
	process_handle(p, &(struct process_handlers){ .on_message = on_message,
	    .on_peer_lost = on_peer_lost, .on_stop = on_stop });
	if (frame->event_fd >= 0)
		k->events = watch_new(p->loop, frame->event_fd, WATCH_READ, on_event, k);
	k->work = timer_new(p->loop, do_work, k);
	k->leave = timer_new(p->loop, ask_to_leave, k);
	timer_set(k->leave, STAY_MS);
	keeper_work_soon(p);
}

static bool
on_message(struct process *p, enum role from, unsigned index, struct msg *m)
{
	struct keeper *k = p->inside->frame;

	if (from == ROLE_MASTER && m->type == MSG_SESSION_OPEN)
		return on_session_open(k, m);
	if (from == ROLE_MASTER && m->type == MSG_QUOTA)
		return on_quota(k, m);
	if (k->frame->on_message != NULL)
		return k->frame->on_message(p, from, index, m);
	return false;
}

static void
on_peer_lost(struct process *p, enum role role, unsigned index)
{
	struct keeper *k = p->inside->frame;

	if (k->frame->on_peer_lost != NULL)
		k->frame->on_peer_lost(p, role, index);
}

static bool
on_quota(struct keeper *k, struct msg *m)
{
	uint64_t bytes = msg_get_u64(m);
	uint64_t messages = msg_get_u64(m);

	if (!msg_end(m))
		return false;
	k->frame->quota(k->process, bytes, messages);
	return true;
}

/* ---- the store's own needs ---- */

static void
on_event(void *context, unsigned ready)
{
	struct keeper *k = context;

	(void)ready;
	k->frame->on_event(k->process);
	keeper_work_soon(k->process);
}

/* The stack of what was done before is below us, and not needed again: the kernel takes its pages, and gives empty ones. */
static void
give_back_stack(void)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t end = ((uintptr_t)__builtin_frame_address(0) - STACK_OURS) & ~(page - 1);

	/* Parts of it may never have been used, and are not there: ENOMEM says so, and the others go all the same. */
	(void)!madvise((void *)(end - STACK_GIVEN), STACK_GIVEN, MADV_DONTNEED);
}

/* Once, until it is woken. */
static void
rest(struct keeper *k)
{
	bool rested = k->rests;

	k->rests = k->frame->rests(k->process);
	if (!k->rests || rested)
		return;
	malloc_trim(0);
	give_back_stack();
}

static void
do_work(void *context)
{
	struct keeper *k = context;
	int due;

	if (k->frame->work(k->process)) {
		timer_set(k->work, 0);
		return;
	}
	rest(k);
	due = k->frame->work_due_ms(k->process);
	if (due >= 0)
		timer_set(k->work, due);
}

void
keeper_work_soon(struct process *p)
{
	struct keeper *k = p->inside->frame;
	int due = k->frame->work_due_ms(p);

	if (due >= 0)
		timer_set(k->work, due > WORK_SOON_MS ? due : WORK_SOON_MS);
}

void
keeper_work_if_woken(struct process *p)
{
	struct keeper *k = p->inside->frame;

	if (!k->rests || k->frame->rests(p))
		return;
	k->rests = false;
	keeper_work_soon(p);
}

void
keeper_report_usage(struct process *p, uint64_t bytes, uint64_t messages,
    uint64_t quota_bytes, uint64_t quota_messages)
{
	struct buf m = BUF_INIT;

	msg_begin(&m, MSG_USAGE);
	msg_put_str(&m, p->label);
	msg_put_u64(&m, bytes);
	msg_put_u64(&m, messages);
	msg_put_u64(&m, quota_bytes);
	msg_put_u64(&m, quota_messages);
	process_send(p, ROLE_MASTER, 0, &m, -1);
}

/* ---- leaving ---- */

void
keeper_leave(struct process *p)
{
	struct keeper *k = p->inside->frame;

	if (!k->unusable)
		timer_set(k->leave, LEAVE_MS);
	k->unusable = true;
}

static bool
is_idle(const struct keeper *k)
{
	return k->lease_count == 0 && TAILQ_EMPTY(&k->arrivals) &&
	    (k->frame->is_busy == NULL || !k->frame->is_busy(k->process));
}

static void
ask_to_leave(void *context)
{
	struct keeper *k = context;
	struct buf m = BUF_INIT;

	timer_set(k->leave, k->unusable ? LEAVE_MS : STAY_MS);
	if (!is_idle(k))
		return;
	msg_begin(&m, MSG_IDLE);
	msg_put_u64(&m, k->sessions);
	process_send(k->process, ROLE_MASTER, 0, &m, -1);
}

static void
free_arrival(struct arrival *a)
{
	TAILQ_REMOVE(&a->keeper->arrivals, a, entry);
	watch_free(a->watch);
	timer_free(a->again);
	timer_free(a->patience);
	close_fd(&a->fd);
	buf_free(&a->sid);
	buf_free(&a->peer);
	free(a);
}

/* Sessions end at once; what the account had to write is written in `closing`. */
static void
on_stop(struct process *p)
{
	struct keeper *k = p->inside->frame;

	if (k->leaving)
		return;
	k->leaving = true;
	while (!TAILQ_EMPTY(&k->arrivals))
		free_arrival(TAILQ_FIRST(&k->arrivals));
	watch_free(k->events);
	k->events = NULL;
	timer_stop(k->work);
	timer_stop(k->leave);
	k->frame->closing(p);
	timer_free(k->work);
	timer_free(k->leave);
	process_end(p);
	p->inside->frame = NULL;
	free(k);
}

void
lease_free(struct lease *lease)
{
	struct keeper *k;

	if (lease == NULL)
		return;
	k = lease->keeper;
	TAILQ_REMOVE(&k->leases, lease, entry);
	k->lease_count--;
	stream_free(lease->line);
	free(lease);
	if (k->leaving)
		return;
	/* Those who try again all the time must not keep an unusable one. */
	if (!k->unusable)
		timer_set(k->leave, STAY_MS);
	keeper_work_soon(k->process);
}

/* ---- sessions arrive ---- */

static bool
on_session_open(struct keeper *k, struct msg *m)
{
	struct str sid = msg_get_str(m);
	struct str peer = msg_get_str(m);
	bool secure = msg_get_bool(m);
	struct arrival *a;

	if (!msg_end(m))
		return false;
	k->sessions++;
	/* No descriptor was left for it here: the front sees the line's end. */
	if (m->fd < 0) {
		log_error(NULL, "session.lost", KV("sid", sid), KV("why", "no free descriptor"));
		return true;
	}
	a = xcalloc(1, sizeof(*a));
	a->keeper = k;
	a->fd = msg_take_fd(m);
	buf_put(&a->sid, sid);
	buf_put(&a->peer, peer);
	a->secure = secure;
	a->watch = watch_new(k->process->loop, a->fd, WATCH_READ, on_arrival, a);
	a->again = timer_new(k->process->loop, look_again, a);
	a->patience = timer_new(k->process->loop, give_up_arrival, a);
	timer_set(a->patience, ARRIVAL_MS);
	TAILQ_INSERT_TAIL(&k->arrivals, a, entry);
	return true;
}

static void
look_again(void *context)
{
	struct arrival *a = context;

	watch_change(a->watch, WATCH_READ);
}

static void
give_up_arrival(void *context)
{
	free_arrival(context);
}

/* With the client's descriptor the line to the front only says that the session lives. */
static void
on_line(void *context, struct stream *line, enum stream_event event)
{
	(void)context;
	(void)line;
	(void)event;
}

static void
begin_session(struct arrival *a, const struct handover_words *words)
{
	struct keeper *k = a->keeper;
	struct loop *loop = k->process->loop;
	struct session_start start = { .sid = buf_str(&a->sid), .peer = buf_str(&a->peer),
	    .hello = words->hello, .secure = a->secure };
	struct lease *lease = xcalloc(1, sizeof(*lease));

	lease->keeper = k;
	TAILQ_INSERT_TAIL(&k->leases, lease, entry);
	start.over_limit = ++k->lease_count > k->process->settings->sessions_per_user;
	if (words->client_fd >= 0) {
		lease->line = stream_new(loop, a->fd, on_line, lease);
		stream_pause(lease->line);
		start.stream = stream_new(loop, words->client_fd, on_line, NULL);
	} else {
		start.stream = stream_new(loop, a->fd, on_line, NULL);
	}
	a->fd = -1;
	buf_put(stream_input(start.stream), words->early);
	start.lease = lease;
	k->frame->session(k->process, &start);
}

static void
on_arrival(void *context, unsigned ready)
{
	struct arrival *a = context;
	struct handover_words words;
	scoped_buf storage = BUF_INIT;

	(void)ready;
	switch (handover_receive(a->fd, &storage, &words)) {
	case MORE:
		/* What was looked at stays readable: to wait for the descriptor would be to spin. */
		watch_change(a->watch, 0);
		timer_set(a->again, ARRIVAL_AGAIN_MS);
		return;
	case BAD:
		log_warn(NULL, "session.lost", KV("sid", buf_str(&a->sid)));
		break;
	case PARSED:
		watch_free(a->watch);
		a->watch = NULL;
		begin_session(a, &words);
		break;
	}
	free_arrival(a);
}
