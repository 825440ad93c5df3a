/* SPDX-License-Identifier: ISC */
/* Messages between processes, with descriptors; questions and their answers; and a session that is handed over. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/daemon/handover.h"
#include "common/daemon/ipc.h"

struct end {
	struct loop *loop;
	struct ipc *ipc;
	unsigned received;
	unsigned closed;
	unsigned drained;
	uint64_t sum;
	int fd;
	bool refuse;
	bool free_in_handler;
};

static bool
on_received(void *context, struct ipc *ipc, struct msg *m)
{
	struct end *e = context;
	uint64_t n = msg_get_u64(m);
	struct str text = msg_get_str(m);

	if (e->refuse || !msg_end(m) || text.n > 60000)
		return false;
	e->received++;
	e->sum += n;
	if (m->fd >= 0)
		e->fd = msg_take_fd(m);
	if (e->free_in_handler) {
		ipc_free(ipc);
		e->ipc = NULL;
	}
	if (n == 0)
		loop_stop(e->loop);
	return true;
}

static void
on_closed(void *context, struct ipc *ipc)
{
	struct end *e = context;

	e->closed++;
	ipc_free(ipc);
	e->ipc = NULL;
	loop_stop(e->loop);
}

static void
on_drained(void *context, struct ipc *ipc)
{
	struct end *e = context;

	(void)ipc;
	e->drained++;
}

static const struct ipc_handlers handlers = { on_received, on_closed, on_drained };

static void
make_pair(struct loop *loop, struct end *a, struct end *b)
{
	int ends[2];

	assert_true(ipc_pair(ends));
	*a = (struct end){ .loop = loop, .fd = -1 };
	*b = (struct end){ .loop = loop, .fd = -1 };
	a->ipc = ipc_new(loop, ends[0], &handlers, a);
	b->ipc = ipc_new(loop, ends[1], &handlers, b);
}

static void
send_number(struct end *e, uint64_t n, struct str text, int fd)
{
	struct buf m = BUF_INIT;

	msg_begin(&m, 7);
	msg_put_u64(&m, n);
	msg_put_str(&m, text);
	ipc_send(e->ipc, &m, fd);
	assert_int_equal(m.n, 0);
}

static void
messages_arrive_in_order_with_their_descriptor(void **state)
{
	struct loop *loop = loop_new();
	struct end a, b;
	static char big[60000];
	int pipe_ends[2];
	char c = 0;

	(void)state;
	make_pair(loop, &a, &b);
	assert_int_equal(pipe(pipe_ends), 0);
	for (uint64_t i = 1; i <= 100; i++)
		send_number(&a, i, (struct str){ big, sizeof(big) }, -1);
	assert_true(ipc_is_full(a.ipc));
	send_number(&a, 0, STR("last"), pipe_ends[0]);
	loop_run(loop);
	assert_int_equal(b.received, 101);
	assert_int_equal(b.sum, 5050);
	assert_int_equal(a.drained, 1);
	assert_true(b.fd >= 0);
	assert_int_equal(write(pipe_ends[1], "x", 1), 1);
	assert_int_equal(read(b.fd, &c, 1), 1);
	assert_int_equal(c, 'x');
	close(b.fd);
	close(pipe_ends[1]);
	ipc_free(a.ipc);
	ipc_free(b.ipc);
	loop_free(loop);
}

static void
a_bad_message_ends_only_its_channel(void **state)
{
	struct loop *loop = loop_new();
	struct end a, b;

	(void)state;
	make_pair(loop, &a, &b);
	b.refuse = true;
	send_number(&a, 1, STR(""), -1);
	loop_run(loop);
	assert_int_equal(b.closed, 1);
	assert_null(b.ipc);
	loop_run(loop);
	assert_int_equal(a.closed, 1);
	loop_free(loop);
}

static void
a_handler_may_free_its_channel(void **state)
{
	struct loop *loop = loop_new();
	struct end a, b;

	(void)state;
	make_pair(loop, &a, &b);
	b.free_in_handler = true;
	send_number(&a, 1, STR(""), -1);
	send_number(&a, 2, STR(""), -1);
	loop_run(loop);
	assert_int_equal(b.received, 1);
	assert_int_equal(a.closed, 1);
	loop_free(loop);
}

/* One that fails at once says why and exits; who was about to write to it still hears that. */
static void
last_words_are_heard_by_who_could_not_answer(void **state)
{
	struct loop *loop = loop_new();
	struct end a, b;

	(void)state;
	make_pair(loop, &a, &b);
	send_number(&b, 0, STR("unread"), -1);
	send_number(&a, 5, STR("why"), -1);
	assert_false(ipc_is_left(b.ipc));
	ipc_free(a.ipc);
	assert_true(ipc_is_left(b.ipc));
	send_number(&b, 0, STR("in vain"), -1);
	send_number(&b, 0, STR("in vain"), -1);
	loop_run(loop);
	assert_int_equal(b.sum, 5);
	assert_int_equal(b.closed, 1);
	loop_free(loop);
}

static void
the_rest_can_be_heard_at_once(void **state)
{
	struct loop *loop = loop_new();
	struct end a, b;

	(void)state;
	make_pair(loop, &a, &b);
	send_number(&b, 1, STR("unread"), -1);
	for (uint64_t i = 1; i <= 40; i++)
		send_number(&a, i, STR(""), -1);
	ipc_free(a.ipc);
	ipc_hear_rest(b.ipc);
	assert_int_equal(b.received, 40);
	assert_int_equal(b.closed, 0);
	loop_run(loop);
	assert_int_equal(b.closed, 1);
	loop_free(loop);
}

static void
nothing_is_told_after_the_loop_was_stopped(void **state)
{
	struct loop *loop = loop_new();
	struct end a, b;

	(void)state;
	make_pair(loop, &a, &b);
	send_number(&a, 0, STR("stops the loop"), -1);
	send_number(&a, 7, STR(""), -1);
	loop_run(loop);
	assert_int_equal(b.received, 1);
	assert_int_equal(b.sum, 0);
	ipc_free(a.ipc);
	ipc_free(b.ipc);
	loop_free(loop);
}

/* Out of descriptors a process loses what would have come, not all it has. */
static void
a_message_comes_without_the_descriptor_that_had_no_place(void **state)
{
	struct loop *loop = loop_new();
	struct rlimit was, none;
	struct end a, b;
	int pipe_ends[2], spare;

	(void)state;
	make_pair(loop, &a, &b);
	assert_int_equal(pipe(pipe_ends), 0);
	spare = dup(0);
	assert_true(spare >= 0);
	close(spare);
	send_number(&a, 0, STR(""), dup(pipe_ends[0]));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = (rlim_t)spare;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	loop_run(loop);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_int_equal(b.received, 1);
	assert_int_equal(b.fd, -1);
	assert_int_equal(b.closed, 0);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	ipc_free(a.ipc);
	ipc_free(b.ipc);
	loop_free(loop);
}

static void
getters_stop_at_the_first_fault(void **state)
{
	struct buf b = BUF_INIT;
	struct msg m;

	(void)state;
	msg_begin(&b, 3);
	msg_put_u8(&b, 200);
	msg_put_u32(&b, 70000);
	msg_put_str(&b, STR("text"));
	msg_put_bool(&b, true);
	assert_true(msg_parse(buf_str(&b), &m));
	assert_int_equal(m.type, 3);
	assert_int_equal(msg_get_u8(&m), 200);
	assert_int_equal(msg_get_u32(&m), 70000);
	assert_true(str_eq(msg_get_str(&m), STR("text")));
	assert_true(msg_get_bool(&m));
	assert_true(msg_end(&m));
	/* Too much left. */
	assert_true(msg_parse(buf_str(&b), &m));
	assert_int_equal(msg_get_u8(&m), 200);
	assert_false(msg_end(&m));
	/* Every shorter packet is bad. */
	for (size_t n = 0; n < b.n; n++) {
		bool whole = msg_parse(str_sub(buf_str(&b), 0, n), &m);

		assert_int_equal(whole, n >= 2);
		msg_get_u8(&m);
		msg_get_u32(&m);
		msg_get_str(&m);
		msg_get_bool(&m);
		assert_false(msg_end(&m));
	}
	buf_free(&b);
}

static void
handover_carries_words_and_descriptor(void **state)
{
	struct handover_words words = { .hello = STR("a1"), .early = STR("b NOOP\r\n") }, got;
	scoped_buf storage = BUF_INIT;
	int ends[2], pipe_ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	assert_int_equal(pipe(pipe_ends), 0);
	assert_int_equal(handover_receive(ends[1], &storage, &got), MORE);
	words.client_fd = pipe_ends[0];
	assert_true(handover_send(ends[0], &words));
	assert_int_equal(handover_receive(ends[1], &storage, &got), PARSED);
	assert_true(str_eq(got.hello, STR("a1")));
	assert_true(str_eq(got.early, STR("b NOOP\r\n")));
	assert_true(got.client_fd >= 0);
	close(got.client_fd);
	assert_int_equal(write(ends[0], "\xff\xff\xff\xff\xff\xff\xff\xff", 8), 8);
	assert_int_equal(handover_receive(ends[1], &storage, &got), BAD);
	close(ends[0]);
	close(ends[1]);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

static void
handover_half_said_by_who_left_is_bad(void **state)
{
	scoped_buf storage = BUF_INIT;
	struct handover_words got;
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	assert_int_equal(write(ends[0], "\2\0\0", 3), 3);
	assert_int_equal(handover_receive(ends[1], &storage, &got), MORE);
	close(ends[0]);
	assert_int_equal(handover_receive(ends[1], &storage, &got), BAD);
	close(ends[1]);
}

/* A client that sent much before it had its answer. */
static void
handover_carries_a_full_input(void **state)
{
	static char early[64 * 1024];
	struct handover_words words = { .hello = STR("a1"), .early = { early, sizeof(early) } }, got;
	scoped_buf storage = BUF_INIT;
	int ends[2], pipe_ends[2];

	(void)state;
	memset(early, 'e', sizeof(early));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	assert_int_equal(pipe(pipe_ends), 0);
	words.client_fd = pipe_ends[0];
	assert_true(handover_send(ends[0], &words));
	assert_int_equal(handover_receive(ends[1], &storage, &got), PARSED);
	assert_int_equal(got.early.n, sizeof(early));
	assert_memory_equal(got.early.p, early, sizeof(early));
	assert_true(got.client_fd >= 0);
	close(got.client_fd);
	close(ends[0]);
	close(ends[1]);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

/* The other side's answer is there before the question: nobody has to run meanwhile. */
static bool
ask_with_answer(const char *answer, size_t n, bool leaves, unsigned *closed, struct buf *out)
{
	struct end e = { .loop = loop_new() };
	struct buf m = BUF_INIT;
	int ends[2];
	bool done;

	assert_true(ipc_pair(ends));
	e.ipc = ipc_new(e.loop, ends[0], &handlers, &e);
	if (n > 0)
		assert_int_equal(send(ends[1], answer, n, 0), (ssize_t)n);
	if (leaves)
		close(ends[1]);
	msg_begin(&m, 7);
	done = ipc_ask(e.ipc, &m, 30, out);
	assert_int_equal(e.closed, 0);
	if (!done)
		loop_run(e.loop);
	*closed = e.closed;
	ipc_free(e.ipc);
	loop_free(e.loop);
	if (!leaves)
		close(ends[1]);
	return done;
}

static void
an_answer_is_waited_for_and_none_ends_the_channel(void **state)
{
	static char large[IPC_ANSWER_MAX + 1];
	scoped_buf out = BUF_INIT;
	unsigned closed;

	(void)state;
	assert_true(ask_with_answer("yes", 3, false, &closed, &out));
	assert_int_equal(closed, 0);
	assert_true(str_eq(buf_str(&out), STR("yes")));
	assert_false(ask_with_answer("", 0, false, &closed, &out));
	assert_int_equal(closed, 1);
	assert_false(ask_with_answer("", 0, true, &closed, &out));
	assert_int_equal(closed, 1);
	assert_false(ask_with_answer(large, sizeof(large), false, &closed, &out));
	assert_int_equal(closed, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_arrive_in_order_with_their_descriptor),
		cmocka_unit_test(a_bad_message_ends_only_its_channel),
		cmocka_unit_test(a_handler_may_free_its_channel),
		cmocka_unit_test(last_words_are_heard_by_who_could_not_answer),
		cmocka_unit_test(the_rest_can_be_heard_at_once),
		cmocka_unit_test(nothing_is_told_after_the_loop_was_stopped),
		cmocka_unit_test(a_message_comes_without_the_descriptor_that_had_no_place),
		cmocka_unit_test(an_answer_is_waited_for_and_none_ends_the_channel),
		cmocka_unit_test(getters_stop_at_the_first_fault),
		cmocka_unit_test(handover_carries_words_and_descriptor),
		cmocka_unit_test(handover_half_said_by_who_left_is_bad),
		cmocka_unit_test(handover_carries_a_full_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
