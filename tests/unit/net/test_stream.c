/* SPDX-License-Identifier: ISC */
/* Streams, plain and in TLS: octets both ways, limits, half an end, and what breaks one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <errno.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/net/stream.h"
#include "tests/unit/net/peers.h"

static void
bytes_come_and_go(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, PLAIN);
	say(&p.a, "hello");
	run_until(&p, p.b.in.n == 5);
	assert_true(str_eq(buf_str(&p.b.in), STR("hello")));
	say(&p.b, "yes");
	run_until(&p, p.a.in.n == 3);
	pair_close(&p);
}

static void
handler_is_not_called_from_inside_a_call(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, PLAIN);
	say(&p.a, "x");
	stream_poke(p.a.stream);
	stream_free(p.b.stream);
	p.b.stream = NULL;
	say(&p.a, "into the void");
	assert_int_equal(p.a.calls, 0);
	assert_false(p.a.seen[STREAM_BROKEN]);
	run_until(&p, p.a.seen[STREAM_BROKEN]);
	assert_non_null(strstr(stream_error(p.a.stream), "write"));
	pair_close(&p);
}

static void
ten_megabytes_both_ways(void **state, enum kind kind)
{
	enum { MUCH = 10 * 1024 * 1024 };
	struct pair p;

	(void)state;
	pair_open(&p, kind);
	p.a.to_send = p.b.to_send = MUCH;
	produce(&p.a);
	produce(&p.b);
	run_until(&p, p.a.received == MUCH && p.b.received == MUCH);
	assert_false(p.a.garbled || p.b.garbled);
	assert_true(p.a.most_output < STREAM_HIGH_WATER + 2 * PIECE);
	assert_int_equal(stream_output(p.a.stream)->cap, 0);
	assert_int_equal(stream_input(p.a.stream)->cap, 0);
	pair_close(&p);
}

static void
ten_megabytes_both_ways_plain(void **state)
{
	ten_megabytes_both_ways(state, PLAIN);
}

static void
ten_megabytes_both_ways_in_tls(void **state)
{
	ten_megabytes_both_ways(state, TLS);
}

static void
reading_stops_at_the_limit_and_loses_no_wakeup(void **state, enum kind kind)
{
	enum { MUCH = 300 * 1000, LIMIT = 5000 };
	struct pair p;

	(void)state;
	pair_open(&p, kind);
	p.b.keeps = true;
	stream_set_input_limit(p.b.stream, LIMIT);
	p.a.to_send = MUCH;
	produce(&p.a);
	for (size_t got = 0; got < MUCH; got += LIMIT) {
		run_until(&p, stream_input(p.b.stream)->n == LIMIT);
		run_ms(&p, 2);
		assert_int_equal(stream_input(p.b.stream)->n, LIMIT);
		take_all(&p.b);
		stream_resume(p.b.stream);
	}
	assert_int_equal(p.b.received, MUCH);
	assert_false(p.b.garbled);
	pair_close(&p);
}

static void
input_limit_plain(void **state)
{
	reading_stops_at_the_limit_and_loses_no_wakeup(state, PLAIN);
}

static void
input_limit_in_tls(void **state)
{
	reading_stops_at_the_limit_and_loses_no_wakeup(state, TLS);
}

static void
output_is_full_above_high_water_and_drained_below_low(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, PLAIN);
	stream_pause(p.b.stream);
	while (!stream_is_full(p.a.stream)) {
		say(&p.a, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
	}
	run_ms(&p, 5);
	assert_false(p.a.seen[STREAM_DRAINED]);
	stream_resume(p.b.stream);
	run_until(&p, p.a.seen[STREAM_DRAINED]);
	assert_true(stream_output(p.a.stream)->n < STREAM_LOW_WATER);
	pair_close(&p);
}

static void
full_output_sent_within_the_flush_is_drained_too(void **state)
{
	struct pair p;
	int big = 4 * STREAM_HIGH_WATER;

	(void)state;
	pair_open(&p, PLAIN);
	setsockopt(stream_fd(p.a.stream), SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big));
	setsockopt(stream_fd(p.a.stream), SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	memset(buf_room(stream_output(p.a.stream), STREAM_HIGH_WATER), 'x', STREAM_HIGH_WATER);
	buf_added(stream_output(p.a.stream), STREAM_HIGH_WATER);
	assert_true(stream_is_full(p.a.stream));
	stream_flush(p.a.stream);
	assert_false(p.a.seen[STREAM_DRAINED]);
	run_until(&p, p.a.seen[STREAM_DRAINED]);
	pair_close(&p);
}

static void
half_close_still_answers(void **state, enum kind kind)
{
	struct pair p;

	(void)state;
	pair_open(&p, kind);
	say(&p.a, "last words");
	stream_shut_output(p.a.stream);
	run_until(&p, p.b.seen[STREAM_EOF]);
	assert_int_equal(p.b.in.n, 10);
	assert_string_equal(stream_error(p.b.stream), "");
	assert_false(p.b.seen[STREAM_BROKEN]);
	say(&p.b, "answer");
	run_until(&p, p.a.in.n == 6);
	stream_finish(p.b.stream);
	p.b.stream = NULL;
	run_until(&p, p.a.seen[STREAM_EOF]);
	assert_false(p.a.seen[STREAM_BROKEN]);
	pair_close(&p);
}

static void
half_close_plain(void **state)
{
	half_close_still_answers(state, PLAIN);
}

static void
half_close_in_tls(void **state)
{
	half_close_still_answers(state, TLS);
}

static void
cut_tls_is_an_end_that_is_noted_and_still_takes_output(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, TLS);
	say(&p.a, "bye");
	run_until(&p, p.b.in.n == 3);
	shutdown(stream_fd(p.a.stream), SHUT_WR);
	run_until(&p, p.b.seen[STREAM_EOF]);
	assert_non_null(strstr(stream_error(p.b.stream), "goodbye"));
	say(&p.b, "answer");
	run_until(&p, p.a.in.n == 6);
	assert_false(p.b.seen[STREAM_BROKEN]);
	pair_close(&p);
}

static void
garbage_in_tls_breaks(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, TLS);
	assert_int_equal(write(stream_fd(p.a.stream), "plain text, no record", 21), 21);
	run_until(&p, p.b.seen[STREAM_BROKEN]);
	assert_int_not_equal(strlen(stream_error(p.b.stream)), 0);
	assert_int_equal(p.b.in.n, 0);
	say(&p.b, "nobody hears this");
	assert_int_equal(stream_output(p.b.stream)->n, 0);
	pair_close(&p);
}

static void
tls_says_what_it_is(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, TLS);
	assert_true(stream_is_secure(p.b.stream));
	assert_true(str_starts(stream_tls_info(p.b.stream), STR("TLSv1.3 TLS_")));
	pair_close(&p);
}

/* The classic injection: a command in the same segment as STARTTLS. */
static void
plaintext_before_tls_is_thrown_away(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, PLAIN);
	p.b.keeps = true;
	say(&p.a, "STARTTLS\r\nEVIL\r\n");
	run_until(&p, stream_input(p.b.stream)->n == 16);
	say(&p.b, "220 Ready\r\n");
	stream_accept_tls(p.b.stream, server_context());
	assert_int_equal(stream_input(p.b.stream)->n, 0);
	run_until(&p, p.a.in.n == 11);
	stream_connect_tls(p.a.stream, client_context(), "mail.example.test");
	run_until(&p, p.a.seen[STREAM_SECURE] && p.b.seen[STREAM_SECURE]);
	assert_int_equal(stream_input(p.b.stream)->n, 0);
	say(&p.a, "good");
	run_until(&p, stream_input(p.b.stream)->n == 4);
	pair_close(&p);
}

static void
request_right_behind_the_handshake_is_read(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, PLAIN);
	stream_accept_tls(p.b.stream, server_context());
	stream_connect_tls(p.a.stream, client_context(), NULL);
	buf_put_z(stream_output(p.a.stream), "at once");
	stream_flush(p.a.stream);
	run_until(&p, p.b.in.n == 7);
	pair_close(&p);
}

static void
plain_output_leaves_before_tls_begins(void **state)
{
	enum { MUCH = 1024 * 1024 };
	struct pair p;

	(void)state;
	pair_open(&p, PLAIN);
	p.b.to_send = MUCH;
	stream_pause(p.a.stream);
	memset(buf_room(stream_output(p.b.stream), MUCH), 'p', MUCH);
	buf_added(stream_output(p.b.stream), MUCH);
	stream_flush(p.b.stream);
	stream_accept_tls(p.b.stream, server_context());
	stream_resume(p.a.stream);
	run_until(&p, p.a.received == MUCH);
	stream_connect_tls(p.a.stream, client_context(), NULL);
	run_until(&p, p.a.seen[STREAM_SECURE] && p.b.seen[STREAM_SECURE]);
	pair_close(&p);
}

static void
no_handshake_with_plain_talk(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, PLAIN);
	stream_accept_tls(p.b.stream, server_context());
	say(&p.a, "GET / HTTP/1.1\r\n\r\n");
	run_until(&p, p.b.seen[STREAM_BROKEN]);
	assert_non_null(strstr(stream_error(p.b.stream), "handshake"));
	assert_false(stream_is_secure(p.b.stream));
	pair_close(&p);
}

static void
client_gone_in_the_handshake(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, PLAIN);
	stream_accept_tls(p.b.stream, server_context());
	stream_free(p.a.stream);
	p.a.stream = NULL;
	run_until(&p, p.b.seen[STREAM_BROKEN]);
	assert_false(p.b.seen[STREAM_EOF]);
	pair_close(&p);
}

static void
silence_is_told_and_bytes_start_it_anew(void **state)
{
	struct pair p;
	int64_t begun;

	(void)state;
	pair_open(&p, PLAIN);
	begun = clock_monotonic_ms();
	stream_set_idle_ms(p.b.stream, 400);	/* a busy machine may take long to look at us */
	run_ms(&p, 100);
	say(&p.a, "x");
	run_until(&p, p.b.seen[STREAM_IDLE]);
	assert_true(clock_monotonic_ms() - begun >= 498);
	stream_set_idle_ms(p.b.stream, 0);
	p.b.seen[STREAM_IDLE] = false;
	run_ms(&p, 450);
	assert_false(p.b.seen[STREAM_IDLE]);
	pair_close(&p);
}

static void
handler_may_free_the_stream(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, PLAIN);
	p.b.frees = true;
	say(&p.a, "x");
	stream_shut_output(p.a.stream);
	run_until(&p, p.b.stream == NULL);
	assert_int_equal(p.b.calls, 1);
	pair_close(&p);
}

static void
finish_sends_what_is_left(void **state, enum kind kind)
{
	enum { MUCH = 2 * 1024 * 1024 };
	struct pair p;

	(void)state;
	pair_open(&p, kind);
	stream_pause(p.b.stream);
	say(&p.b, "unread by the one that ends");
	memset(buf_room(stream_output(p.a.stream), MUCH), 'p', MUCH);
	buf_added(stream_output(p.a.stream), MUCH);
	p.a.calls = 0;
	stream_finish(p.a.stream);
	p.a.stream = NULL;
	run_ms(&p, 5);
	stream_resume(p.b.stream);
	run_until(&p, p.b.seen[STREAM_EOF]);
	assert_int_equal(p.b.received, MUCH);
	assert_string_equal(stream_error(p.b.stream), "");
	assert_int_equal(p.a.calls, 0);
	pair_close(&p);
}

static void
finish_plain(void **state)
{
	finish_sends_what_is_left(state, PLAIN);
}

static void
finish_in_tls(void **state)
{
	finish_sends_what_is_left(state, TLS);
}

static void
finish_inside_the_handler(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, PLAIN);
	p.b.finishes = true;
	say(&p.a, "QUIT");
	run_until(&p, p.a.seen[STREAM_EOF]);
	assert_int_equal(p.a.in.n, 3);
	pair_close(&p);
}

static void
pipes_are_streams_too(void **state)
{
	struct pair p;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	pair_open_with(&p, ends[1], ends[0]);
	stream_pause(p.a.stream);
	p.a.to_send = 1000 * 1000;
	produce(&p.a);
	run_until(&p, p.b.received == 1000 * 1000);
	assert_false(p.b.garbled);
	stream_finish(p.a.stream);
	p.a.stream = NULL;
	run_until(&p, p.b.seen[STREAM_EOF]);
	pair_close(&p);
}

static void
detached_descriptor_keeps_its_unread_input(void **state)
{
	struct pair p;
	struct buf input = BUF_INIT;
	char c;
	int fd;

	(void)state;
	pair_open(&p, PLAIN);
	p.b.keeps = true;
	say(&p.a, "rest");
	run_until(&p, stream_input(p.b.stream)->n == 4);
	fd = stream_detach(p.b.stream, &input);
	p.b.stream = NULL;
	assert_true(str_eq(buf_str(&input), STR("rest")));
	buf_free(&input);
	say(&p.a, "!");
	assert_int_equal(read(fd, &c, 1), 1);
	close(fd);
	pair_close(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_come_and_go),
		cmocka_unit_test(handler_is_not_called_from_inside_a_call),
		cmocka_unit_test(ten_megabytes_both_ways_plain),
		cmocka_unit_test(ten_megabytes_both_ways_in_tls),
		cmocka_unit_test(input_limit_plain),
		cmocka_unit_test(input_limit_in_tls),
		cmocka_unit_test(output_is_full_above_high_water_and_drained_below_low),
		cmocka_unit_test(full_output_sent_within_the_flush_is_drained_too),
		cmocka_unit_test(half_close_plain),
		cmocka_unit_test(half_close_in_tls),
		cmocka_unit_test(cut_tls_is_an_end_that_is_noted_and_still_takes_output),
		cmocka_unit_test(garbage_in_tls_breaks),
		cmocka_unit_test(tls_says_what_it_is),
		cmocka_unit_test(plaintext_before_tls_is_thrown_away),
		cmocka_unit_test(request_right_behind_the_handshake_is_read),
		cmocka_unit_test(plain_output_leaves_before_tls_begins),
		cmocka_unit_test(no_handshake_with_plain_talk),
		cmocka_unit_test(client_gone_in_the_handshake),
		cmocka_unit_test(silence_is_told_and_bytes_start_it_anew),
		cmocka_unit_test(handler_may_free_the_stream),
		cmocka_unit_test(finish_plain),
		cmocka_unit_test(finish_in_tls),
		cmocka_unit_test(finish_inside_the_handler),
		cmocka_unit_test(pipes_are_streams_too),
		cmocka_unit_test(detached_descriptor_keeps_its_unread_input),
	};

	return cmocka_run_group_tests(tests, contexts_make, contexts_free);
}
