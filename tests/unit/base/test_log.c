/* SPDX-License-Identifier: ISC */
/* What the log writes is read back as it was; what is no line of ours is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/log_parse.h"

#define assert_str(a, b) assert_true(str_eq((a), (b)))

static struct buf written;

static void
keep(struct str line)
{
	buf_clear(&written);
	buf_put(&written, line);
}

/* The line that was written last, without its end. */
static struct log_line
last_line(void)
{
	struct log_line line;
	struct str text = buf_str(&written);

	assert_true(str_ends(text, STR("\n")));
	assert_int_equal(str_index(text, '\n'), text.n - 1);
	assert_true(text.n <= LOG_LINE_MAX);
	assert_true(log_parse_line(str_sub(text, 0, text.n - 1), &line));
	return line;
}

static void
assert_value(struct str pairs, const char *key, struct str expected)
{
	scoped_buf value = BUF_INIT;

	assert_true(log_parse_find(pairs, str_of(key), &value));
	assert_str(buf_str(&value), expected);
}

static void
values_come_back_as_they_were(void **state)
{
	static const char hard[] = "a=\"b\" \\x41 \\\\ \t\r\n\0\x7f \xec\x95\x88 end";
	struct str value = { hard, sizeof(hard) - 1 };
	struct log_line line;
	struct log log = { 0 };

	(void)state;
	log_add_field(&log, KV("sid", STR("abc")));
	log_warn(&log, "what.happened", KV("hard", value), KV("empty", ""), KV("n", -7),
	    KV("plain", "x@y.test"));
	line = last_line();
	assert_int_equal(line.level, LOG_LEVEL_WARN);
	assert_str(line.process, STR("smtpd[queue]"));
	assert_str(line.event, STR("what.happened"));
	assert_value(line.pairs, "sid", STR("abc"));
	assert_value(line.pairs, "hard", value);
	assert_value(line.pairs, "empty", STR_EMPTY);
	assert_value(line.pairs, "n", STR("-7"));
	assert_value(line.pairs, "plain", STR("x@y.test"));
	log_free(&log);
}

static void
an_event_without_pairs_is_a_line(void **state)
{
	struct log_line line;
	scoped_buf value = BUF_INIT;

	(void)state;
	log_error(NULL, "stop");
	line = last_line();
	assert_str(line.event, STR("stop"));
	assert_int_equal(line.pairs.n, 0);
	assert_false(log_parse_find(line.pairs, STR("x"), &value));
}

static void
a_long_value_is_cut_with_dots(void **state)
{
	char bytes[3000];
	struct str text = { bytes, sizeof(bytes) };
	scoped_buf value = BUF_INIT;

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	bytes[5] = ' ';
	log_warn(NULL, "long", KV("text", text), KV("after", "1"));
	assert_true(log_parse_find(last_line().pairs, STR("text"), &value));
	assert_int_equal(value.n, 1024 + 3);
	assert_true(str_ends(buf_str(&value), STR("xxx...")));
	assert_value(last_line().pairs, "after", STR("1"));
}

static void
a_line_is_never_longer_than_a_pipe_takes_at_once(void **state)
{
	char control[2000];
	struct str text = { control, sizeof(control) };
	struct log log = { 0 };
	scoped_buf value = BUF_INIT;

	(void)state;
	memset(control, 1, sizeof(control));
	log_add_field(&log, KV("much", text));
	log_add_field(&log, KV("sid", "abc"));
	log_warn(&log, "much", KV("one", text), KV("two", "2"), KV("three", "3"));
	assert_value(last_line().pairs, "sid", STR("abc"));
	assert_value(last_line().pairs, "two", STR("2"));
	assert_value(last_line().pairs, "cut", STR("1"));
	assert_false(log_parse_find(last_line().pairs, STR("one"), &value));
	log_free(&log);
}

static void
what_is_no_line_of_ours_is_none(void **state)
{
	static const char *const lines[] = {
		"", "x", "2026-11-21T18:48:32.123Z", "2026-11-21T18:48:32.123Z INFO",
		"2026-11-21T18:48:32.123Z INFO smtpd[front]", "2026-11-21T18:48:32.123Z INFO  login",
		"2026-11-21T18:48:32.123Z LOUD smtpd login", "2026-13-21T18:48:32.123Z INFO smtpd login",
		"2026-11-21T18:48:32Z INFO smtpd login", "2026-11-21 18:48:32.123Z INFO smtpd login",
		"==12== ERROR: something else",
	};
	struct log_line line;

	(void)state;
	for (size_t i = 0; i < countof(lines); i++)
		assert_false(log_parse_line(str_of(lines[i]), &line));
	assert_true(log_parse_line(STR("2026-11-21T18:48:32.123Z INFO smtpd login x=1"), &line));
	assert_int_equal(line.at_ms, 1795286912123);
}

static void
broken_pairs_end_the_walk(void **state)
{
	static const char *const broken[] = { "no pair", "=x", " ", "a b=c" };
	scoped_buf value = BUF_INIT;
	struct str key, pairs;

	(void)state;
	for (size_t i = 0; i < countof(broken); i++) {
		pairs = str_of(broken[i]);
		assert_false(log_parse_next(&pairs, &key, &value));
		assert_int_equal(pairs.n, 0);
	}
	pairs = STR("a=\"never closed \\");
	assert_true(log_parse_next(&pairs, &key, &value));
	assert_str(buf_str(&value), STR("never closed "));
	assert_false(log_parse_next(&pairs, &key, &value));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_come_back_as_they_were),
		cmocka_unit_test(an_event_without_pairs_is_a_line),
		cmocka_unit_test(a_long_value_is_cut_with_dots),
		cmocka_unit_test(a_line_is_never_longer_than_a_pipe_takes_at_once),
		cmocka_unit_test(what_is_no_line_of_ours_is_none),
		cmocka_unit_test(broken_pairs_end_the_walk),
	};
	int failed;

	log_set_sink(keep);
	log_set_name("smtpd", "queue");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	buf_free(&written);
	return failed;
}
