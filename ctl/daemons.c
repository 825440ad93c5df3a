/* SPDX-License-Identifier: ISC */
/* Starts, finds and stops the masters of the daemons; see daemons.h. */
#include "ctl/daemons.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "common/base/clock.h"

enum { PID_TEXT_MAX = 32, SAID_MAX = 64 * 1024, KILL_WAIT_MS = 2000 };

const char *const daemon_names[DAEMON_COUNT] = { "smtpd", "imapd", "pop3d" };

static bool
read_pid(int fd, pid_t *pid)
{
	char text[PID_TEXT_MAX];
	ssize_t n = pread(fd, text, sizeof(text), 0);
	uint32_t number;

	if (n <= 0 || !str_to_u32(str_trim((struct str){ text, (size_t)n }), &number)
	    || number == 0 || number > INT32_MAX)
		return false;
	*pid = (pid_t)number;
	return true;
}

/*
 * The lock is tried only where the process exists: to take it for a moment could make a daemon that
 * is just starting believe that it runs already.
 */
bool
daemon_find(struct daemon *d, const char *name, const struct settings *settings)
{
	scoped_buf path = BUF_INIT;
	scoped_fd fd = -1;
	int pidfd;
	pid_t pid;

	*d = (struct daemon){ .name = name, .pidfd = -1 };
	buf_printf(&path, "%s/%s.pid", settings->run_dir, name);
	fd = open(buf_z(&path), O_RDONLY | O_CLOEXEC);
	if (fd < 0 || !read_pid(fd, &pid))
		return false;
	pidfd = pidfd_open(pid, 0);
	if (pidfd < 0)
		return false;
	if (flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK) {
		close(pidfd);
		return false;
	}
	d->pid = pid;
	d->pidfd = pidfd;
	return true;
}

void
daemon_forget(struct daemon *d)
{
	close_fd(&d->pidfd);
	d->pid = 0;
}

void
daemons_find(struct daemons *daemons, const struct settings *settings)
{
	for (size_t i = 0; i < DAEMON_COUNT; i++)
		(void)daemon_find(&daemons->all[i], daemon_names[i], settings);
}

void
daemons_forget(struct daemons *daemons)
{
	for (size_t i = 0; i < DAEMON_COUNT; i++)
		daemon_forget(&daemons->all[i]);
}

unsigned
daemons_running(const struct daemons *daemons)
{
	unsigned running = 0;

	for (size_t i = 0; i < DAEMON_COUNT; i++)
		running += daemons->all[i].pid != 0;
	return running;
}

char *
daemons_log_path(const struct settings *settings)
{
	scoped_buf path = BUF_INIT;

	if (settings->log_file[0] != '\0')
		return xstrdup(settings->log_file);
	buf_printf(&path, "%s/trivet.log", settings->state_dir);
	return str_dup(buf_str(&path));
}

int
daemons_open_log(const struct settings *settings)
{
	char *path = daemons_log_path(settings);
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);

	free(path);
	return fd;
}

/* Beside this program, as in the tree it was built in, else where it was installed. */
static char *
program_path(const char *name)
{
	scoped_buf path = BUF_INIT;
	char own[4096];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own));
	struct str folder = { own, n > 0 ? (size_t)n : 0 };

	folder = str_sub(folder, 0, str_last_index(folder, '/'));
	buf_printf(&path, "%.*s/%s/%s", STR_ARG(folder), name, name);
	if (n > 0 && access(buf_z(&path), X_OK) == 0)
		return str_dup(buf_str(&path));
	buf_clear(&path);
	buf_printf(&path, "%s/%s", PKGLIBEXECDIR, name);
	return str_dup(buf_str(&path));
}

/* In the child: never returns. Faults go to the pipe, as the daemon's own would. */
_Noreturn static void
become(char *program, const struct settings *settings, int ready_fd, int log_fd)
{
	char *config = xstrdup(settings->config_path), option[] = "-c";
	char *const arguments[] = { program, option, config, NULL };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char number[16];
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	snprintf(number, sizeof(number), "%d", ready_fd);
	if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(log_fd, STDOUT_FILENO) >= 0
	    && dup2(log_fd, STDERR_FILENO) >= 0 && fcntl(ready_fd, F_SETFD, 0) == 0
	    && setenv("TRIVET_READY_FD", number, 1) == 0)
		execv(program, arguments);
	dprintf(ready_fd, "%s cannot be run: %s\n", program, strerror(errno));
	_exit(127);
}

void
daemon_start(struct starting *s, const char *name, const struct settings *settings, int log_fd)
{
	char *program = program_path(name);
	int ends[2] = { -1, -1 };

	*s = (struct starting){ .name = name, .pid = -1, .fd = -1 };
	if (pipe2(ends, O_CLOEXEC) == 0) {
		fflush(NULL);
		s->pid = fork();
		if (s->pid == 0)
			become(program, settings, ends[1], log_fd);
	}
	if (s->pid < 0)
		buf_printf(&s->said, "%s cannot be started: %s", program, strerror(errno));
	free(program);
	close_fd(&ends[1]);
	if (s->pid < 0)
		close_fd(&ends[0]);
	s->fd = ends[0];
}

/* What has come on the pipe; at its end, or at a whole "ready", it is closed. */
static void
read_said(struct starting *s)
{
	ssize_t n = read(s->fd, buf_room(&s->said, 4096), 4096);

	if (n > 0)
		buf_added(&s->said, (size_t)n);
	s->ready = str_starts(buf_str(&s->said), STR("ready\n"));
	if (s->ready || n == 0 || (n < 0 && errno != EINTR) || s->said.n > SAID_MAX)
		close_fd(&s->fd);
}

static bool
wait_for_one(struct starting *s, size_t count, int timeout_ms)
{
	struct pollfd polls[DAEMON_COUNT];
	nfds_t waiting = 0;

	for (size_t i = 0; i < count; i++)
		if (s[i].fd >= 0)
			polls[waiting++] = (struct pollfd){ .fd = s[i].fd, .events = POLLIN };
	if (waiting == 0 || timeout_ms <= 0 || poll(polls, waiting, timeout_ms) == 0)
		return false;
	for (size_t i = 0; i < count; i++)
		for (nfds_t j = 0; j < waiting; j++)
			if (polls[j].revents != 0 && s[i].fd == polls[j].fd) {
				read_said(&s[i]);
				break;
			}
	return true;
}

void
daemons_wait_ready(struct starting *s, size_t count)
{
	int64_t end = clock_monotonic_ms() + DAEMON_READY_MS;

	while (wait_for_one(s, count, (int)(end - clock_monotonic_ms())))
		;
	for (size_t i = 0; i < count; i++)
		if (s[i].fd >= 0) {
			buf_printf(&s[i].said, "was not ready within %d seconds",
				DAEMON_READY_MS / 1000);
			close_fd(&s[i].fd);
		}
}

void
daemon_signal(const struct daemon *d, int signal)
{
	if (d->pidfd >= 0 && pidfd_send_signal(d->pidfd, signal, NULL, 0) != 0 && errno != ESRCH)
		fprintf(stderr, "trivet: %s: process %d cannot be sent a signal: %s\n", d->name,
			(int)d->pid, strerror(errno));
}

/* Forgets those that end within the time. */
static void
wait_for_ends(struct daemons *daemons, int64_t milliseconds)
{
	int64_t end = clock_monotonic_ms() + milliseconds;

	for (size_t i = 0; i < DAEMON_COUNT; i++) {
		struct pollfd ended = { .fd = daemons->all[i].pidfd, .events = POLLIN };
		int64_t left = end - clock_monotonic_ms();

		if (ended.fd >= 0 && poll(&ended, 1, left > 0 ? (int)left : 0) == 1)
			daemon_forget(&daemons->all[i]);
	}
}

void
daemons_stop(struct daemons *daemons)
{
	for (size_t i = 0; i < DAEMON_COUNT; i++)
		daemon_signal(&daemons->all[i], SIGTERM);
	wait_for_ends(daemons, DAEMON_STOP_MS);
	for (size_t i = 0; i < DAEMON_COUNT; i++)
		if (daemons->all[i].pid != 0) {
			fprintf(stderr, "trivet: %s: process %d did not end within %d seconds "
				"and is killed\n", daemons->all[i].name, (int)daemons->all[i].pid,
				DAEMON_STOP_MS / 1000);
			daemon_signal(&daemons->all[i], SIGKILL);
		}
	wait_for_ends(daemons, KILL_WAIT_MS);
}
