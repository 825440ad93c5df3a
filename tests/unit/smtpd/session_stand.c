/* SPDX-License-Identifier: ISC */
/* The client: what it says is chopped, what it hears is kept; it may hang up, or stay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "tests/unit/smtpd/session_stand.h"

struct world w;

/* ---- the client ---- */

static void
client_close(void)
{
	watch_free(w.writer);
	watch_free(w.reader);
	w.writer = w.reader = NULL;
	close_fd(&w.fd);
}

static void
client_write(void *context, unsigned ready)
{
	ssize_t n = 0;

	(void)context;
	(void)ready;
	if (w.script.n > 0)
		n = send(w.fd, w.script.p, w.step < w.script.n ? w.step : w.script.n, MSG_NOSIGNAL);
	if (n > 0)
		w.script = str_from(w.script, (size_t)n);
	if (w.script.n > 0 && n >= 0)
		return;
	watch_change(w.writer, 0);
	if (!w.stays && !w.hangs_up)
		shutdown(w.fd, SHUT_WR);
}

static void
client_read(void *context, unsigned ready)
{
	ssize_t n = recv(w.fd, buf_room(&w.replies, 65536), 65536, 0);

	(void)context;
	(void)ready;
	if (n > 0)
		buf_added(&w.replies, (size_t)n);
	else
		watch_change(w.reader, 0);
	if (w.hangs_up && w.script.n == 0 &&
	    str_find(buf_str(&w.replies), STR("354 ")) < w.replies.n)
		client_close();
}

static void
stop(void *context)
{
	loop_stop(context);
}

static void
run_for(int64_t ms)
{
	struct timer *timer = timer_new(w.process.loop, stop, w.process.loop);

	timer_set(timer, ms);
	loop_run(w.process.loop);
	timer_free(timer);
}

void
talk(enum where where, struct str script, size_t step)
{
	static const struct service_door mx = { .name = "smtp", .purpose = PURPOSE_MX };
	static const struct service_door submission = { .name = "submission",
		.purpose = PURPOSE_SUBMISSION };
	struct front_connection connection = { .plaintext_login = where == AT_SUBMISSION };
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	w.process.settings = &w.settings;
	w.process.loop = loop_new();
	w.fd = ends[1];
	w.script = script;
	w.step = step;
	w.failures = 0;
	w.accepted = w.abandoned = 0;
	buf_clear(&w.replies);
	buf_clear(&w.body);
	buf_clear(&w.envelope);
	w.reader = watch_new(w.process.loop, w.fd, WATCH_READ, client_read, NULL);
	w.writer = watch_new(w.process.loop, w.fd, WATCH_WRITE, client_write, NULL);
	connection.stream = stream_new(w.process.loop, ends[0], NULL, NULL);
	connection.door = where == AT_MX || where == FROM_RELAY ? &mx : &submission;
	assert_true(net_address_parse(where >= FROM_RELAY ? STR("::ffff:192.0.2.7") :
	    STR("198.51.100.1"), &connection.peer));
	session_new(&w.process, &connection);
	loop_run(w.process.loop);
	/* What is still on its way to the client, then the end of the connection. */
	run_for(5);
	client_close();
	run_for(5);
	loop_free(w.process.loop);
}
