/* SPDX-License-Identifier: ISC */
/*
 * A thin coat over libevent's core: reading and writing are two events, so that turning one
 * on or off is one system call. No event is ever made active by hand: what is to
 * happen "later" is a timer of 0 ms, which cannot starve the descriptors.
 */
#include "common/net/loop.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/queue.h>

struct on_signal {
	TAILQ_ENTRY(on_signal) all;
	struct event event;
	loop_call *call;
	void *context;
};

struct loop {
	struct event_base *base;
	TAILQ_HEAD(, on_signal) signals;
	bool stopping;
};

struct timer {
	struct event event;
	loop_call *call;
	void *context;
};

struct watch {
	struct event reads, writes;
	unsigned wanted;
	watch_call *call;
	void *context;
};

/* The environment must not choose the kernel interface of a daemon. */
struct loop *
loop_new(void)
{
	struct loop *loop = xcalloc(1, sizeof(*loop));
	struct event_config *config = event_config_new();

	if (config == NULL)
		fatal("out of memory for the event loop");
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
	loop->base = event_base_new_with_config(config);
	event_config_free(config);
	if (loop->base == NULL)
		fatal("cannot make an event loop");
	TAILQ_INIT(&loop->signals);
	/* OpenSSL writes with write(2), where MSG_NOSIGNAL cannot be said. */
	signal(SIGPIPE, SIG_IGN);
	return loop;
}

void
loop_free(struct loop *loop)
{
	struct on_signal *s;

	if (loop == NULL)
		return;
	while ((s = TAILQ_FIRST(&loop->signals)) != NULL) {
		TAILQ_REMOVE(&loop->signals, s, all);
		event_del(&s->event);
		free(s);
	}
	event_base_free(loop->base);
	free(loop);
}

void
loop_run(struct loop *loop)
{
	while (!loop->stopping)
		if (event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0)
			fatal("the event loop failed");
	loop->stopping = false;
}

void
loop_stop(struct loop *loop)
{
	loop->stopping = true;
	event_base_loopbreak(loop->base);
}

bool
loop_is_stopping(const struct loop *loop)
{
	return loop->stopping;
}

void
loop_after_fork(struct loop *loop)
{
	if (event_reinit(loop->base) != 0)
		fatal("cannot renew the event loop after a fork");
}

struct event_base *
loop_base(struct loop *loop)
{
	return loop->base;
}

static void
assign(struct event *event, struct event_base *base, int fd, short what,
    event_callback_fn callback, void *arg)
{
	if (event_assign(event, base, fd, what, callback, arg) != 0)
		fatal("cannot set up an event on descriptor %d", fd);
}

static void
add(struct event *event, const struct timeval *after)
{
	if (event_add(event, after) != 0)
		fatal("cannot wait for descriptor %d", (int)event_get_fd(event));
}

static void
on_timeout(int fd, short what, void *arg)
{
	struct timer *timer = arg;

	(void)fd;
	(void)what;
	timer->call(timer->context);
}

struct timer *
timer_new(struct loop *loop, loop_call *call, void *context)
{
	struct timer *timer = xcalloc(1, sizeof(*timer));

	timer->call = call;
	timer->context = context;
	assign(&timer->event, loop->base, -1, 0, on_timeout, timer);
	return timer;
}

void
timer_set(struct timer *timer, int64_t ms)
{
	struct timeval after;

	if (ms < 0)
		ms = 0;
	after = (struct timeval){ ms / 1000, ms % 1000 * 1000 };
	add(&timer->event, &after);
}

void
timer_stop(struct timer *timer)
{
	event_del(&timer->event);
}

void
timer_free(struct timer *timer)
{
	if (timer == NULL)
		return;
	event_del(&timer->event);
	free(timer);
}

static void
on_ready(int fd, short what, void *arg)
{
	struct watch *watch = arg;

	(void)fd;
	watch->call(watch->context, what & EV_READ ? WATCH_READ : WATCH_WRITE);
}

struct watch *
watch_new(struct loop *loop, int fd, unsigned wanted, watch_call *call, void *context)
{
	struct watch *watch = xcalloc(1, sizeof(*watch));

	watch->call = call;
	watch->context = context;
	assign(&watch->reads, loop->base, fd, EV_READ | EV_PERSIST, on_ready, watch);
	assign(&watch->writes, loop->base, fd, EV_WRITE | EV_PERSIST, on_ready, watch);
	watch_change(watch, wanted);
	return watch;
}

static void
turn(struct event *event, bool on)
{
	if (on)
		add(event, NULL);
	else
		event_del(event);
}

void
watch_change(struct watch *watch, unsigned wanted)
{
	unsigned changed = watch->wanted ^ wanted;

	watch->wanted = wanted;
	if (changed & WATCH_READ)
		turn(&watch->reads, wanted & WATCH_READ);
	if (changed & WATCH_WRITE)
		turn(&watch->writes, wanted & WATCH_WRITE);
}

void
watch_free(struct watch *watch)
{
	if (watch == NULL)
		return;
	watch_change(watch, 0);
	free(watch);
}

static void
on_arrival(int number, short what, void *arg)
{
	struct on_signal *s = arg;

	(void)number;
	(void)what;
	s->call(s->context);
}

void
loop_on_signal(struct loop *loop, int number, loop_call *call, void *context)
{
	struct on_signal *s = xcalloc(1, sizeof(*s));

	s->call = call;
	s->context = context;
	assign(&s->event, loop->base, number, EV_SIGNAL | EV_PERSIST, on_arrival, s);
	add(&s->event, NULL);
	TAILQ_INSERT_TAIL(&loop->signals, s, all);
}
