/* SPDX-License-Identifier: ISC */
/*
 * Gathers lines for a moment, then writes them with one call. Invariants: no line is torn or forged by bytes
 * that a subverted process puts into the pipe; a log that cannot be written (a full disk) loses lines,
 * which are counted and told of when it can be again, and nothing else happens.
 */
#include "common/daemon/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/daemon/process_inside.h"

enum {
	PIPE_BYTES = 1024 * 1024,	/* what an ordinary user may ask for */
	BEHIND_BYTES = PIPE_BYTES / 2,	/* more of it used, and lines are only written down */
	READ_BYTES = 64 * 1024,
	GATHER_MS = 20,			/* a line waits so long for company */
	LAST_WORDS_MS = 500,		/* when master died: for what the others still say */
};

struct recorder {
	struct process *process;
	const struct recorder_reader *reader;	/* NULL: none */
	struct recorder_files files;
	struct watch *watch;
	struct timer *gather;
	struct buf in;		/* the beginning of a line */
	struct buf out;		/* lines to be written */
	enum log_level level;	/* of the file */
	uint64_t unwritten;	/* lines, since the log could be written last */
	bool torn;		/* the file ends within a line */
	bool behind;		/* no time for the reader */
	uint64_t passed_over;
};

/* ---- the others' side ---- */

static int sink_fd = STDERR_FILENO;
static uint64_t sink_lost;	/* lines, since the last one that went through */

bool
recorder_pipe(int ends[2])
{
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return false;
	/* A smaller one works as well, it only fills sooner. */
	if (fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES) < 0)
		log_debug(NULL, "log.pipe", KV("errno", errno));
	return true;
}

int
recorder_open_log(const struct settings *settings)
{
	if (settings->log_file[0] == '\0')
		return -1;
	return open(settings->log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

static void
sink_line(struct str line)
{
	uint64_t lost = sink_lost;

	if (lost > 0) {
		sink_lost = 0;
		log_warn(NULL, "log.lost", KV("n", lost));	/* comes here again */
		if (sink_lost > 0) {
			sink_lost = lost + 1;
			return;
		}
	}
	if (write(sink_fd, line.p, line.n) != (ssize_t)line.n)
		sink_lost++;
}

void
recorder_use(int fd)
{
	sink_fd = fd;
	log_set_sink(sink_line);
}

int
recorder_used(void)
{
	return sink_fd;
}

/* ---- the recorder ---- */

static struct recorder *self;	/* for its own lines: the log's sink has no context */

static void on_readable(void *context, unsigned ready);
static void on_gathered(void *context);
static void on_new_log(struct process *, int fd);
static void on_reload(struct process *);
static void on_stop(struct process *);

static const struct process_handlers handlers = { .on_reload = on_reload, .on_stop = on_stop };

static void
keep_own_line(struct str line)
{
	buf_put(&self->out, line);
	timer_set(self->gather, GATHER_MS);
}

void
recorder_start(struct process *p, void *context)
{
	struct recorder *r = xcalloc(1, sizeof(*r));

	r->process = p;
	r->reader = p->service->trace;
	r->files = *(const struct recorder_files *)context;
	r->level = process_log_level(p->settings);
	r->gather = timer_new(p->loop, on_gathered, r);
	r->watch = watch_new(p->loop, r->files.pipe, WATCH_READ, on_readable, r);
	p->state = r;
	p->inside->on_new_log = on_new_log;
	self = r;
	log_set_sink(keep_own_line);
	/* RLIMIT_FSIZE: a log that may not grow is a full disk. */
	signal(SIGXFSZ, SIG_IGN);
	process_handle(p, &handlers);
	if (r->reader != NULL)
		r->reader->start(p);
}

/* ---- writing ---- */

static uint64_t
count_lines(struct str text)
{
	uint64_t n = 0;

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '\n';
	return n;
}

/* What does not go into the file is counted. */
static bool
put(struct recorder *r, struct str text)
{
	ssize_t n = write(r->files.log, text.p, text.n);
	size_t done = n > 0 ? (size_t)n : 0;

	if (done == text.n)
		return true;
	if (done > 0)
		r->torn = text.p[done - 1] != '\n';
	r->unwritten += count_lines(str_from(text, done));
	return false;
}

/* "log.lost", at the beginning of a line whatever stands there. False: there is still no room. */
static bool
tell_unwritten(struct recorder *r)
{
	uint64_t n = r->unwritten;
	struct buf waiting = r->out;
	bool told;

	r->out = BUF_INIT;
	if (r->torn)
		buf_put_c(&r->out, '\n');
	log_warn(NULL, "log.lost", KV("n", n), KV("why", "the log could not be written"));
	told = put(r, buf_str(&r->out));
	buf_free(&r->out);
	r->out = waiting;
	r->unwritten = told ? 0 : n;
	if (told)
		r->torn = false;
	return told;
}

static void
write_out(struct recorder *r)
{
	if (r->out.n == 0)
		return;
	if (r->unwritten > 0 && !tell_unwritten(r))
		r->unwritten += count_lines(buf_str(&r->out));
	else
		(void)put(r, buf_str(&r->out));
	buf_clear(&r->out);
	buf_shrink(&r->out, READ_BYTES);
}

/* ---- reading ---- */

static void
show_reader(struct recorder *r, const struct log_line *line)
{
	if (r->behind)
		r->passed_over++;
	else if (line->level <= LOG_LEVEL_INFO)
		r->reader->line(r->process, line);
}

static void
take_line(struct recorder *r, struct str line)
{
	struct log_line parsed;
	bool ours = log_parse_line(line, &parsed);

	if (ours && r->reader != NULL)
		show_reader(r, &parsed);
	if (ours && parsed.level > r->level)
		return;
	/* No control byte comes out of log.c; who writes one has been taken over. */
	for (size_t i = 0; i < line.n; i++)
		buf_put_c(&r->out, ascii_is_control(line.p[i]) ? '?' : line.p[i]);
	buf_put_c(&r->out, '\n');
}

static void
take_lines(struct recorder *r)
{
	struct str rest = buf_str(&r->in);
	size_t end;

	while ((end = str_index(rest, '\n')) < rest.n) {
		take_line(r, str_sub(rest, 0, end));
		rest = str_from(rest, end + 1);
	}
	/* Longer than any line of ours. */
	if (rest.n >= LOG_LINE_MAX) {
		take_line(r, rest);
		rest = STR_EMPTY;
	}
	buf_take(&r->in, r->in.n - rest.n);
}

/* As much as is there, at most twice what the pipe holds: the loop has others to serve. */
static void
read_pipe(struct recorder *r)
{
	ssize_t n = 0;

	for (size_t all = 0; all < 2 * PIPE_BYTES; all += (size_t)n) {
		n = read(r->files.pipe, buf_room(&r->in, READ_BYTES), READ_BYTES);
		if (n <= 0)
			break;
		buf_added(&r->in, (size_t)n);
		take_lines(r);
		write_out(r);
	}
	if (n == 0)	/* nobody is left who could write */
		watch_change(r->watch, 0);
}

static void
on_readable(void *context, unsigned ready)
{
	struct recorder *r = context;

	(void)ready;
	watch_change(r->watch, 0);
	timer_set(r->gather, GATHER_MS);
}

static void
tell_passed_over(struct recorder *r)
{
	uint64_t n = r->passed_over;

	r->passed_over = 0;
	if (n > 0)
		r->reader->passed_over(r->process, n);
}

static void
on_gathered(void *context)
{
	struct recorder *r = context;
	int waiting = 0;

	/* The log comes first: who reads along must not make it lose lines. */
	r->behind = ioctl(r->files.pipe, FIONREAD, &waiting) == 0 && waiting > BEHIND_BYTES;
	watch_change(r->watch, WATCH_READ);
	read_pipe(r);
	if (!r->behind && r->reader != NULL)
		tell_passed_over(r);
	write_out(r);
}

/* ---- master's words ---- */

static void
on_new_log(struct process *p, int fd)
{
	struct recorder *r = p->state;

	write_out(r);
	close(r->files.log);
	r->files.log = fd;
	r->torn = false;
}

static void
on_reload(struct process *p)
{
	struct recorder *r = p->state;

	r->level = process_log_level(p->settings);
}

/* master died, and the others end with it: until nobody can write any more, or nobody does. */
static void
hear_last_words(struct recorder *r)
{
	struct pollfd ready = { .fd = r->files.pipe, .events = POLLIN };

	while (poll(&ready, 1, LAST_WORDS_MS) > 0 && (ready.revents & POLLIN))
		read_pipe(r);
}

static void
on_stop(struct process *p)
{
	struct recorder *r = p->state;

	read_pipe(r);
	if (!p->inside->stopping)
		hear_last_words(r);
	if (r->reader != NULL) {
		tell_passed_over(r);
		r->reader->stop(p);
	}
	write_out(r);
	recorder_use(r->files.log);
	watch_free(r->watch);
	timer_free(r->gather);
	buf_free(&r->in);
	buf_free(&r->out);
	free(r);
	process_end(p);
}

/* ---- the end ---- */

void
recorder_copy_rest(const struct recorder_files *files)
{
	struct pollfd room = { .fd = files->log, .events = POLLOUT };
	char lines[READ_BYTES];
	ssize_t n;

	while ((n = read(files->pipe, lines, sizeof(lines))) > 0) {
		if (poll(&room, 1, 0) <= 0 || write(files->log, lines, (size_t)n) != n)
			return;
	}
}
