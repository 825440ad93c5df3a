/* SPDX-License-Identifier: ISC */
/*
 * The event loop: one per process, over libevent. Callbacks run one after the other
 * and must not block (a keeper may, on its own account's disk).
 */
#pragma once

#include "common/base/defs.h"

struct loop;
struct event_base;

struct loop *loop_new(void);
void loop_free(struct loop *);
/* Runs until loop_stop. */
void loop_run(struct loop *);
void loop_stop(struct loop *);
/* Since loop_stop: who has several things to tell tells no more. */
bool loop_is_stopping(const struct loop *);
/* After a fork, before anything else is done with the loop. */
void loop_after_fork(struct loop *);
/* For libraries that plug into libevent themselves. */
struct event_base *loop_base(struct loop *);

typedef void loop_call(void *context);

/* A clock of one's own: calls once after `ms`; setting it again moves it. Takes NULL in _free. */
struct timer;
struct timer *timer_new(struct loop *, loop_call *, void *context);
void timer_set(struct timer *, int64_t ms);
void timer_stop(struct timer *);
void timer_free(struct timer *);

enum { WATCH_READ = 1, WATCH_WRITE = 2 };

/* Calls while fd is ready for what is wanted (level triggered). Does not own fd. */
struct watch;
typedef void watch_call(void *context, unsigned ready);
struct watch *watch_new(struct loop *, int fd, unsigned wanted, watch_call *, void *context);
void watch_change(struct watch *, unsigned wanted);
void watch_free(struct watch *);

/* Calls on each arrival of the signal, from the loop. Lives as long as the loop. */
void loop_on_signal(struct loop *, int signal, loop_call *, void *context);
