/* SPDX-License-Identifier: ISC */
/* Octets of files among the bytes of a stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "tests/unit/net/peers.h"

enum { FILE_OCTETS = 3 * 1000 * 1000 };

/* All of them hold the pattern from its begin. */
static int
make_file(size_t n)
{
	int fd = memfd_create("octets", MFD_CLOEXEC);
	struct buf octets = BUF_INIT;

	for (size_t i = 0; i < n; i++)
		buf_put_c(&octets, pattern(i));
	assert_true(fd >= 0);
	assert_int_equal(write(fd, octets.p, octets.n), (ssize_t)n);
	buf_free(&octets);
	return fd;
}

static int
another(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	assert_true(copy >= 0);
	return copy;
}

static void
put_pattern(struct peer *peer, size_t from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_put_c(stream_output(peer->stream), pattern(from + i));
}

/* Bytes and ranges in turn, as they stand in the pattern. */
static void
tell_all(struct peer *peer, int file)
{
	static const size_t ends[] = { 10, 60 * 1000, 60 * 1000 + 1, 70 * 1000, 70 * 1000, 80 * 1000, 80 * 1000 + 5,
		FILE_OCTETS, FILE_OCTETS + 100 };
	size_t at = 0;

	for (size_t i = 0; i < countof(ends); at = ends[i++]) {
		if (i % 2 == 0)
			put_pattern(peer, at, ends[i] - at);
		else
			stream_put_file(peer->stream, another(file), at, ends[i] - at);
	}
	assert_true(stream_is_full(peer->stream));
	stream_flush(peer->stream);
}

static void
ranges_go_between_bytes(struct pair *p)
{
	int file = make_file(FILE_OCTETS);

	tell_all(&p->a, file);
	run_until(p, p->b.received == FILE_OCTETS + 100);
	run_ms(p, 2);
	assert_int_equal(p->b.received, FILE_OCTETS + 100);
	assert_false(p->b.garbled);
	assert_false(stream_is_full(p->a.stream));
	assert_true(p->a.seen[STREAM_DRAINED]);
	assert_false(p->a.seen[STREAM_BROKEN]);
	assert_int_equal(stream_output(p->a.stream)->n, 0);
	close(file);
}

static void
ranges_between_bytes_plain(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, PLAIN);
	ranges_go_between_bytes(&p);
	pair_close(&p);
}

static void
ranges_between_bytes_in_tls(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, TLS);
	ranges_go_between_bytes(&p);
	pair_close(&p);
}

static void
connect_tcp(int ends[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &n), 0);
	ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(ends[0], (struct sockaddr *)&a, n), 0);
	ends[1] = accept(listener, NULL, NULL);
	assert_true(ends[1] >= 0);
	close(listener);
}

static void
ranges_between_bytes_by_tcp(void **state)
{
	struct pair p;
	int ends[2];

	(void)state;
	connect_tcp(ends);
	pair_open_with(&p, ends[0], ends[1]);
	ranges_go_between_bytes(&p);
	pair_close(&p);
}

static void
ranges_between_bytes_in_a_pipe(void **state)
{
	struct pair p;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	pair_open_with(&p, ends[1], ends[0]);
	stream_pause(p.a.stream);
	ranges_go_between_bytes(&p);
	pair_close(&p);
}

/* The kernel sends no file to what appends: as with a kind of socket or file system that knows no such thing. */
static void
ranges_are_read_where_the_kernel_sends_none(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, PLAIN);
	assert_int_equal(fcntl(stream_fd(p.a.stream), F_SETFL, O_NONBLOCK | O_APPEND), 0);
	ranges_go_between_bytes(&p);
	pair_close(&p);
}

static void
a_slow_reader_makes_it_full_and_costs_no_memory(void **state)
{
	struct pair p;
	int file = make_file(FILE_OCTETS);

	(void)state;
	pair_open(&p, PLAIN);
	stream_pause(p.b.stream);
	stream_put_file(p.a.stream, another(file), 0, FILE_OCTETS);
	stream_flush(p.a.stream);
	run_ms(&p, 20);
	assert_true(stream_is_full(p.a.stream));
	assert_false(p.a.seen[STREAM_DRAINED]);
	assert_true(stream_output(p.a.stream)->cap < STREAM_LOW_WATER);
	/* What is said meanwhile keeps its place. */
	put_pattern(&p.a, FILE_OCTETS, 50);
	stream_flush(p.a.stream);
	stream_resume(p.b.stream);
	run_until(&p, p.b.received == FILE_OCTETS + 50);
	assert_true(p.a.seen[STREAM_DRAINED]);
	assert_false(p.b.garbled);
	close(file);
	pair_close(&p);
}

static void
many_small_files_make_it_full(void **state)
{
	struct pair p;
	int file = make_file(1000);

	(void)state;
	pair_open(&p, PLAIN);
	for (int i = 0; i < STREAM_FILES_MAX; i++) {
		assert_false(stream_is_full(p.a.stream));
		stream_put_file(p.a.stream, another(file), 0, 10);
	}
	assert_true(stream_is_full(p.a.stream));
	stream_flush(p.a.stream);
	assert_false(stream_is_full(p.a.stream));
	run_until(&p, p.b.received == STREAM_FILES_MAX * 10);
	close(file);
	pair_close(&p);
}

static void
nothing_follows_a_file_that_is_shorter_than_promised(void **state, enum kind kind)
{
	struct pair p;
	int file = make_file(100 * 1000);

	(void)state;
	pair_open(&p, kind);
	put_pattern(&p.a, 0, 10);
	stream_put_file(p.a.stream, another(file), 10, 200 * 1000);
	put_pattern(&p.a, 200 * 1000, 100);
	stream_flush(p.a.stream);
	run_until(&p, p.a.seen[STREAM_BROKEN]);
	assert_true(stream_lacks_file(p.a.stream));
	assert_non_null(strstr(stream_error(p.a.stream), "shorter"));
	assert_int_equal(stream_output(p.a.stream)->n, 0);
	run_until(&p, p.b.received == 100 * 1000);
	run_ms(&p, 5);
	assert_int_equal(p.b.received, 100 * 1000);
	assert_false(p.b.garbled);
	close(file);
	pair_close(&p);
}

static void
a_short_file_plain(void **state)
{
	nothing_follows_a_file_that_is_shorter_than_promised(state, PLAIN);
}

static void
a_short_file_in_tls(void **state)
{
	nothing_follows_a_file_that_is_shorter_than_promised(state, TLS);
}

static void
a_file_that_cannot_be_read_breaks(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, PLAIN);
	stream_put_file(p.a.stream, open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), 0, 10);
	stream_flush(p.a.stream);
	run_until(&p, p.a.seen[STREAM_BROKEN]);
	assert_true(stream_lacks_file(p.a.stream));
	assert_non_null(strstr(stream_error(p.a.stream), "directory"));
	pair_close(&p);
}

static void
a_reader_that_left_is_no_fault_of_the_file(void **state)
{
	struct pair p;
	int file = make_file(100 * 1000);

	(void)state;
	pair_open(&p, PLAIN);
	stream_free(p.b.stream);
	p.b.stream = NULL;
	stream_put_file(p.a.stream, another(file), 0, 100 * 1000);
	stream_flush(p.a.stream);
	run_until(&p, p.a.seen[STREAM_BROKEN]);
	assert_false(stream_lacks_file(p.a.stream));
	close(file);
	pair_close(&p);
}

static bool
is_closed(int fd)
{
	return fcntl(fd, F_GETFD) < 0;
}

static void
files_are_closed_with_the_stream(void **state)
{
	struct pair p;
	int first = make_file(FILE_OCTETS), second = another(first), third = another(first);

	(void)state;
	pair_open(&p, PLAIN);
	stream_pause(p.b.stream);
	stream_put_file(p.a.stream, first, 0, FILE_OCTETS);
	put_pattern(&p.a, 0, 10);
	stream_put_file(p.a.stream, second, 0, FILE_OCTETS);
	stream_flush(p.a.stream);
	/* Nothing of it: it is not kept either. */
	stream_put_file(p.a.stream, third, 5, 0);
	assert_true(is_closed(third));
	run_ms(&p, 5);
	assert_false(is_closed(first) || is_closed(second));
	stream_free(p.a.stream);
	p.a.stream = NULL;
	assert_true(is_closed(first) && is_closed(second));
	pair_close(&p);
}

static void
a_broken_stream_throws_files_away(void **state)
{
	struct pair p;
	int waiting = make_file(FILE_OCTETS), late = another(waiting);

	(void)state;
	pair_open(&p, PLAIN);
	stream_pause(p.b.stream);
	stream_put_file(p.a.stream, waiting, 0, FILE_OCTETS);
	stream_flush(p.a.stream);
	stream_free(p.b.stream);
	p.b.stream = NULL;
	run_until(&p, p.a.seen[STREAM_BROKEN]);
	assert_true(is_closed(waiting));
	stream_put_file(p.a.stream, late, 0, 10);
	assert_true(is_closed(late));
	assert_false(stream_is_full(p.a.stream));
	pair_close(&p);
}

static void
finish_sends_files_that_wait(void **state)
{
	struct pair p;
	int file = make_file(FILE_OCTETS);

	(void)state;
	pair_open(&p, PLAIN);
	tell_all(&p.a, file);
	stream_finish(p.a.stream);
	p.a.stream = NULL;
	run_until(&p, p.b.seen[STREAM_EOF]);
	assert_int_equal(p.b.received, FILE_OCTETS + 100);
	assert_false(p.b.garbled);
	close(file);
	pair_close(&p);
}

static void
a_file_before_tls_leaves_in_the_clear(void **state)
{
	struct pair p;
	int file = make_file(1000);

	(void)state;
	pair_open(&p, PLAIN);
	put_pattern(&p.b, 0, 10);
	stream_put_file(p.b.stream, another(file), 10, 990);
	stream_accept_tls(p.b.stream, server_context());
	run_until(&p, p.a.received == 1000);
	assert_false(p.a.garbled);
	stream_connect_tls(p.a.stream, client_context(), "mail.example.test");
	run_until(&p, p.a.seen[STREAM_SECURE] && p.b.seen[STREAM_SECURE]);
	close(file);
	pair_close(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_between_bytes_plain),
		cmocka_unit_test(ranges_between_bytes_in_tls),
		cmocka_unit_test(ranges_between_bytes_by_tcp),
		cmocka_unit_test(ranges_between_bytes_in_a_pipe),
		cmocka_unit_test(ranges_are_read_where_the_kernel_sends_none),
		cmocka_unit_test(a_slow_reader_makes_it_full_and_costs_no_memory),
		cmocka_unit_test(many_small_files_make_it_full),
		cmocka_unit_test(a_short_file_plain),
		cmocka_unit_test(a_short_file_in_tls),
		cmocka_unit_test(a_file_that_cannot_be_read_breaks),
		cmocka_unit_test(a_reader_that_left_is_no_fault_of_the_file),
		cmocka_unit_test(files_are_closed_with_the_stream),
		cmocka_unit_test(a_broken_stream_throws_files_away),
		cmocka_unit_test(finish_sends_files_that_wait),
		cmocka_unit_test(a_file_before_tls_leaves_in_the_clear),
	};

	return cmocka_run_group_tests(tests, contexts_make, contexts_free);
}
