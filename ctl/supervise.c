/* SPDX-License-Identifier: ISC */
/*
 * Watches the masters by their pidfds, so it does not matter who started them: a supervisor that
 * was killed and started again finds and keeps those that run.
 */
#include "ctl/supervise.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"

enum {
	LIVED_LONG_MS = 60 * 1000,
	PAUSE_FIRST_MS = 100,		/* doubled where one dies young, up to: */
	PAUSE_LONGEST_MS = 1000,	/* of one that was ready: it is to serve again within two seconds */
	HOPELESS_LONGEST_MS = 60 * 1000,	/* of one that does not even become ready */
};

struct watched {
	struct daemon *daemon;
	int64_t started_ms;	/* when it was last seen to begin */
	int64_t due_ms;		/* when to start it again, where it does not run */
	int64_t pause_ms;
};

struct supervisor {
	struct ctl *ctl;
	struct watched all[DAEMON_COUNT];
	int signal_fd;
	bool ending;
};

int
supervise_signals(void)
{
	sigset_t taken;

	sigemptyset(&taken);
	sigaddset(&taken, SIGTERM);
	sigaddset(&taken, SIGINT);
	sigaddset(&taken, SIGHUP);
	sigaddset(&taken, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &taken, NULL) != 0)
		return -1;
	return signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* It will be started again after a pause, longer each time it dies young. */
static void
on_end(struct watched *w, int64_t longest)
{
	int64_t now = clock_monotonic_ms();

	if (now - w->started_ms > LIVED_LONG_MS || w->pause_ms == 0)
		w->pause_ms = PAUSE_FIRST_MS;
	else
		w->pause_ms = w->pause_ms * 2 < longest ? w->pause_ms * 2 : longest;
	w->due_ms = now + w->pause_ms;
	fprintf(stderr, "trivet: %s has ended; it is started again in %d ms\n", w->daemon->name,
		(int)w->pause_ms);
	daemon_forget(w->daemon);
}

static void
start_again(struct supervisor *s, struct watched *w)
{
	const char *name = w->daemon->name;
	struct starting starting;

	w->started_ms = clock_monotonic_ms();
	if (!daemon_find(w->daemon, name, s->ctl->settings)) {
		daemon_start(&starting, name, s->ctl->settings, STDERR_FILENO);
		daemons_wait_ready(&starting, 1);
		if (!starting.ready)
			fprintf(stderr, "trivet: %s: %.*s\n", name,
				STR_ARG(str_trim(buf_str(&starting.said))));
		buf_free(&starting.said);
		(void)daemon_find(w->daemon, name, s->ctl->settings);
	}
	if (w->daemon->pid == 0)
		on_end(w, HOPELESS_LONGEST_MS);
	else
		fprintf(stderr, "trivet: %s runs again, process %d\n", name,
			(int)w->daemon->pid);
}

static void
take_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;

	while (read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			s->ending = true;
		for (size_t i = 0; info.ssi_signo == SIGHUP && i < DAEMON_COUNT; i++)
			daemon_signal(s->all[i].daemon, SIGHUP);
	}
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/* Milliseconds to the next start, -1 where none is due. */
static int
next_due(const struct supervisor *s)
{
	int64_t now = clock_monotonic_ms(), least = -1, left;

	for (size_t i = 0; i < DAEMON_COUNT; i++) {
		if (s->all[i].daemon->pid != 0)
			continue;
		left = s->all[i].due_ms > now ? s->all[i].due_ms - now : 0;
		if (least < 0 || left < least)
			least = left;
	}
	return (int)least;
}

static void
wait_and_act(struct supervisor *s)
{
	struct pollfd polls[DAEMON_COUNT + 1];

	for (size_t i = 0; i < DAEMON_COUNT; i++)
		polls[i] = (struct pollfd){ .fd = s->all[i].daemon->pidfd, .events = POLLIN };
	polls[DAEMON_COUNT] = (struct pollfd){ .fd = s->signal_fd, .events = POLLIN };
	if (poll(polls, countof(polls), next_due(s)) < 0)
		return;
	if (polls[DAEMON_COUNT].revents != 0)
		take_signals(s);
	for (size_t i = 0; i < DAEMON_COUNT; i++) {
		struct watched *w = &s->all[i];

		if (w->daemon->pid != 0 && polls[i].revents != 0)
			on_end(w, PAUSE_LONGEST_MS);
		else if (w->daemon->pid == 0 && !s->ending && clock_monotonic_ms() >= w->due_ms)
			start_again(s, w);
	}
}

int
supervise(struct ctl *ctl, struct daemons *daemons, int signal_fd)
{
	struct supervisor s = { .ctl = ctl, .signal_fd = signal_fd };

	for (size_t i = 0; i < DAEMON_COUNT; i++)
		s.all[i] = (struct watched){ .daemon = &daemons->all[i],
			.started_ms = clock_monotonic_ms() };
	while (!s.ending)
		wait_and_act(&s);
	/* One that took longer to start than we waited for it ends as well. */
	for (size_t i = 0; i < DAEMON_COUNT; i++)
		if (daemons->all[i].pid == 0)
			(void)daemon_find(&daemons->all[i], daemons->all[i].name, ctl->settings);
	daemons_stop(daemons);
	return daemons_running(daemons) == 0 ? CTL_OK : CTL_FAILED;
}
