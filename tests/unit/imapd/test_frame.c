/* SPDX-License-Identifier: ISC */
/* Where commands end: lines, literals, limits, APPEND's message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "imapd/frame.h"

static const struct frame_limits small = { .line = 200, .literal = 100, .command = 400 };

/* What the connection still has to give. */
static struct str input;
static struct frame frame;

static void
begin(const char *text)
{
	input = str_of(text);
	frame = (struct frame){ 0 };
}

/* The next answer that is not about skipping; what it consumed is in `taken`. */
static struct str taken;

static enum framed
next(void)
{
	enum framed answer;

	do {
		answer = frame_next(&frame, &small, input);
		taken = str_sub(input, 0, frame.consumed);
		input = str_from(input, frame.consumed);
	} while (answer == FRAME_SKIPPED);
	return answer;
}

#define assert_str(a, text) assert_true(str_eq((a), str_of(text)))

static void
expect_command(const char *text)
{
	assert_int_equal(next(), FRAME_COMMAND);
	assert_str(taken, text);
}

static void
expect_bad(const char *tag, const char *why)
{
	assert_int_equal(next(), FRAME_BAD);
	assert_str(frame.tag, tag);
	assert_string_equal(frame.why, why);
}

static void
pipelined_lines_are_commands_in_order(void **state)
{
	(void)state;
	begin("a NOOP\r\nb NOOP\n\r\nc");
	expect_command("a NOOP\r\n");
	assert_str(frame.tag, "a");
	expect_command("b NOOP\n");
	expect_command("\r\n");
	assert_str(frame.tag, "");
	assert_int_equal(next(), FRAME_MORE);
	assert_int_equal(frame.consumed, 0);
}

static void
a_synchronising_literal_is_asked_for_once(void **state)
{
	(void)state;
	begin("a LOGIN {5}\r\n");
	assert_int_equal(next(), FRAME_GO_AHEAD);
	assert_int_equal(next(), FRAME_MORE);
	input = STR("a LOGIN {5}\r\na{9}\n {3}\r\n");
	assert_int_equal(next(), FRAME_GO_AHEAD);
	input = STR("a LOGIN {5}\r\na{9}\n {3}\r\npw!\r\n");
	expect_command("a LOGIN {5}\r\na{9}\n {3}\r\npw!\r\n");
}

static void
a_non_synchronising_literal_is_part_of_the_command(void **state)
{
	(void)state;
	begin("a LOGIN {5+}\r\nalice {0+}\r\n\r\nb NOOP\r\n");
	expect_command("a LOGIN {5+}\r\nalice {0+}\r\n\r\n");
	expect_command("b NOOP\r\n");
}

static void
braces_that_announce_nothing_are_text(void **state)
{
	(void)state;
	begin("a X {5\r\nb X 5}\r\nc X {}\r\nd X {+}\r\ne X {5} \r\nf X {5}}\r\n");
	expect_command("a X {5\r\n");
	expect_command("b X 5}\r\n");
	expect_command("c X {}\r\n");
	expect_command("d X {+}\r\n");
	expect_command("e X {5} \r\n");
	expect_command("f X {5}}\r\n");
}

static void
the_message_of_append_is_left_to_the_session(void **state)
{
	(void)state;
	begin("a append {5+}\r\nINBOX (\\Seen) {999999}\r\nmessage\r\nb NOOP\r\n");
	assert_int_equal(next(), FRAME_APPEND);
	assert_str(taken, "a append {5+}\r\nINBOX (\\Seen) {999999}\r\n");
	assert_str(frame.tag, "a");
	assert_int_equal(frame.literal, 999999);
	assert_true(frame.waits);
	input = str_from(input, 7);
	frame_append_received(&frame);
	assert_int_equal(next(), FRAME_APPENDED);
	expect_command("b NOOP\r\n");
}

static void
a_refused_append_that_waits_is_over(void **state)
{
	(void)state;
	begin("a APPEND x {10}\r\nb NOOP\r\n");
	assert_int_equal(next(), FRAME_APPEND);
	frame_append_refused(&frame);
	expect_command("b NOOP\r\n");
}

static void
a_refused_append_that_does_not_wait_is_skipped(void **state)
{
	(void)state;
	begin("a APPEND x {8+}\r\nc NOOP\r\n (\\Seen) {8+}\r\nd NOOP\r\n\r\nb NOOP\r\n");
	assert_int_equal(next(), FRAME_APPEND);
	assert_false(frame.waits);
	frame_append_refused(&frame);
	expect_command("b NOOP\r\n");
}

static void
take_message(size_t n)
{
	input = str_from(input, n);
	frame_append_received(&frame);
}

/* RFC 3502 6.3.11 */
static void
messages_of_one_append_come_one_after_the_other(void **state)
{
	(void)state;
	begin("a APPEND x {2+}\r\nhi (\\Seen) {8}\r\nd NOOP\r\n \"date\" {2+}\r\nyo)\r\nb NOOP\r\n");
	assert_int_equal(next(), FRAME_APPEND);
	take_message(2);
	assert_int_equal(next(), FRAME_APPEND_NEXT);
	assert_str(taken, " (\\Seen) {8}\r\n");
	assert_int_equal(frame.literal, 8);
	assert_true(frame.waits);
	take_message(8);
	assert_int_equal(next(), FRAME_APPEND_NEXT);
	assert_false(frame.waits);
	take_message(2);
	assert_int_equal(next(), FRAME_APPENDED);
	assert_str(taken, ")\r\n");
	expect_command("b NOOP\r\n");
}

static void
a_refused_second_message_is_skipped_with_all_that_follows(void **state)
{
	(void)state;
	begin("a APPEND x {2+}\r\nhi {8+}\r\nd NOOP\r\n {3+}\r\nc\r\n\r\nb NOOP\r\n");
	assert_int_equal(next(), FRAME_APPEND);
	take_message(2);
	assert_int_equal(next(), FRAME_APPEND_NEXT);
	frame_append_refused(&frame);
	expect_command("b NOOP\r\n");
}

static void
a_line_after_a_message_has_limits_too(void **state)
{
	scoped_buf text = BUF_INIT;

	(void)state;
	buf_put_z(&text, "a APPEND x {2+}\r\nhi (");
	for (int i = 0; i < 300; i++)
		buf_put_c(&text, 'x');
	buf_put_z(&text, ") {8+}\r\nz NOOP\r\n\r\nb NOOP\r\n");
	begin(buf_z(&text));
	assert_int_equal(next(), FRAME_APPEND);
	take_message(2);
	expect_bad("", "the line after a message is too long");
	expect_command("b NOOP\r\n");
	begin("a APPEND x {2+}\r\nhi {99999999999999999999}\r\nb NOOP\r\n");
	assert_int_equal(next(), FRAME_APPEND);
	take_message(2);
	expect_bad("", "the literal is too large");
	expect_command("b NOOP\r\n");
}

/* RFC 8508 5 */
static void
the_message_of_replace_is_left_to_the_session(void **state)
{
	static const char *const lines[] = {
		"a REPLACE 12 INBOX {9}\r\n", "a replace * INBOX (\\Seen) ~{9}\r\n",
		"a UID REPLACE 4294967295 {1+}\r\nx {9}\r\n", "a uid replace x \"a b\" UTF8 (~{9+}\r\n",
	};

	(void)state;
	for (size_t i = 0; i < countof(lines); i++) {
		begin(lines[i]);
		assert_int_equal(next(), FRAME_APPEND);
		assert_str(taken, lines[i]);
		assert_int_equal(frame.literal, 9);
	}
	begin("a REPLACE 1 {999}\r\n");
	expect_bad("a", "the literal is too large");
	begin("a UID APPEND INBOX {999}\r\n");
	expect_bad("a", "the literal is too large");
}

static void
a_line_over_the_limit_is_refused_with_its_tag_and_skipped(void **state)
{
	scoped_buf text = BUF_INIT;

	(void)state;
	buf_put_z(&text, "a X ");
	for (int i = 0; i < 300; i++)
		buf_put_c(&text, 'x');
	begin(buf_z(&text));
	expect_bad("a", "the line is too long");
	assert_int_equal(next(), FRAME_MORE);
	buf_put_z(&text, " {8+}\r\nz NOOP\r\n yy {7}\r\nb NOOP\r\n");
	begin(buf_z(&text));
	expect_bad("a", "the line is too long");
	expect_command("b NOOP\r\n");
	input = str_sub(buf_str(&text), 4, 260);
	expect_bad("", "the line is too long");
}

static void
many_literals_are_one_command_too_long(void **state)
{
	scoped_buf text = BUF_INIT;

	(void)state;
	buf_put_z(&text, "a X");
	for (int i = 0; i < 100; i++)
		buf_put_z(&text, " {2+}\r\nxx");
	buf_put_z(&text, "\r\nb NOOP\r\n");
	begin(buf_z(&text));
	expect_bad("a", "the command is too long");
	expect_command("b NOOP\r\n");
}

static void
a_literal_over_the_limit_is_refused(void **state)
{
	(void)state;
	begin("a LOGIN {101}\r\nb NOOP\r\n");
	expect_bad("a", "the literal is too large");
	assert_true(frame.waits);
	expect_command("b NOOP\r\n");
	begin("a LOGIN {1000000+}\r\nb NOOP\r\n");
	expect_bad("a", "the literal is too large");
	assert_false(frame.waits);
	assert_false(frame.lost);
	assert_int_equal(frame.literal, 1000000);
	assert_int_equal(next(), FRAME_MORE);
	assert_int_equal(input.n, 0);
}

static void
a_literal_beyond_all_numbers_loses_the_connection(void **state)
{
	(void)state;
	begin("a LOGIN {99999999999999999999+}\r\n");
	expect_bad("a", "the literal is too large");
	assert_true(frame.lost);
	begin("a LOGIN {99999999999999999999}\r\nb NOOP\r\n");
	expect_bad("a", "the literal is too large");
	assert_false(frame.lost);
	expect_command("b NOOP\r\n");
}

static void
tags_are_recognised_only_if_they_are_tags(void **state)
{
	static const struct {
		const char *line;
		const char *tag;
	} rows[] = {
		{ "A1 X\r\n", "A1" }, { "a]. X\r\n", "a]." }, { "a+ X\r\n", "" }, { " X\r\n", "" },
		{ "a\"b X\r\n", "" }, { "DONE\r\n", "DONE" }, { "\xc3\xa9 X\r\n", "" },
	};

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		begin(rows[i].line);
		assert_int_equal(next(), FRAME_COMMAND);
		assert_str(frame.tag, rows[i].tag);
	}
}

/* A megabyte octet by octet: quadratic work would take minutes. */
static void
octets_that_come_singly_cost_linear_time(void **state)
{
	enum { OCTETS = 1 << 20 };
	const struct frame_limits wide = { .line = OCTETS, .literal = OCTETS, .command = OCTETS };
	char *text = xmalloc(OCTETS);
	int64_t before = clock_monotonic_ms();

	(void)state;
	memset(text, 'x', OCTETS);
	text[OCTETS - 1] = '\n';
	frame = (struct frame){ 0 };
	for (size_t n = 1; n < OCTETS; n++)
		assert_int_equal(frame_next(&frame, &wide, (struct str){ text, n }), FRAME_MORE);
	assert_int_equal(frame_next(&frame, &wide, (struct str){ text, OCTETS }), FRAME_COMMAND);
	assert_true(clock_monotonic_ms() - before < 5000);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pipelined_lines_are_commands_in_order),
		cmocka_unit_test(a_synchronising_literal_is_asked_for_once),
		cmocka_unit_test(a_non_synchronising_literal_is_part_of_the_command),
		cmocka_unit_test(braces_that_announce_nothing_are_text),
		cmocka_unit_test(the_message_of_append_is_left_to_the_session),
		cmocka_unit_test(a_refused_append_that_waits_is_over),
		cmocka_unit_test(a_refused_append_that_does_not_wait_is_skipped),
		cmocka_unit_test(messages_of_one_append_come_one_after_the_other),
		cmocka_unit_test(a_refused_second_message_is_skipped_with_all_that_follows),
		cmocka_unit_test(a_line_after_a_message_has_limits_too),
		cmocka_unit_test(the_message_of_replace_is_left_to_the_session),
		cmocka_unit_test(a_line_over_the_limit_is_refused_with_its_tag_and_skipped),
		cmocka_unit_test(many_literals_are_one_command_too_long),
		cmocka_unit_test(a_literal_over_the_limit_is_refused),
		cmocka_unit_test(a_literal_beyond_all_numbers_loses_the_connection),
		cmocka_unit_test(tags_are_recognised_only_if_they_are_tags),
		cmocka_unit_test(octets_that_come_singly_cost_linear_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
