/* SPDX-License-Identifier: ISC */
/* POP3's command lines: where they end, and what stands in them (RFC 1939 3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pop3d/parse_command.h"

static void
lines_end_at_lf_and_are_bounded(void **state)
{
	struct str line;
	size_t used;

	(void)state;
	assert_int_equal(parse_line(STR("STAT\r\nLIST"), 20, &line, &used), PARSED);
	assert_true(str_eq(line, STR("STAT")));
	assert_int_equal(used, 6);
	assert_int_equal(parse_line(STR("STAT\nLIST"), 20, &line, &used), PARSED);
	assert_true(str_eq(line, STR("STAT")));
	assert_int_equal(parse_line(STR("\r\n"), 20, &line, &used), PARSED);
	assert_int_equal(line.n, 0);
	assert_int_equal(parse_line(STR("STAT"), 20, &line, &used), MORE);
	assert_int_equal(parse_line(STR("STAT"), 4, &line, &used), BAD);
	assert_int_equal(parse_line(STR("STATS\r\n"), 4, &line, &used), BAD);
}

static void
arguments_are_what_the_row_says(void **state)
{
	static const struct {
		enum arguments arguments;
		const char *rest;
		bool good;
		uint32_t message, lines;
	} rows[] = {
		{ NOTHING, "", true, 0, 0 },
		{ NOTHING, "1", false, 0, 0 },
		{ NOTHING, " ", true, 0, 0 },
		{ MESSAGE, "7", true, 7, 0 },
		{ MESSAGE, " 7 ", true, 7, 0 },
		{ MESSAGE, "0", false, 0, 0 },
		{ MESSAGE, "", false, 0, 0 },
		{ MESSAGE, "7 8", false, 0, 0 },
		{ MESSAGE, "-1", false, 0, 0 },
		{ MESSAGE, "4294967296", false, 0, 0 },
		{ OPTIONAL_MESSAGE, "", true, 0, 0 },
		{ OPTIONAL_MESSAGE, "3", true, 3, 0 },
		{ OPTIONAL_MESSAGE, "x", false, 0, 0 },
		{ MESSAGE_AND_LINES, "3 0", true, 3, 0 },
		{ MESSAGE_AND_LINES, "3 10", true, 3, 10 },
		{ MESSAGE_AND_LINES, "3", false, 0, 0 },
		{ MESSAGE_AND_LINES, "3 4 5", false, 0, 0 },
		{ TEXT, "", false, 0, 0 },
		{ TEXT, "a b  c", true, 0, 0 },
		{ OPTIONAL_TEXT, "", true, 0, 0 },
	};
	struct request request;
	const char *why;

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		why = NULL;
		assert_int_equal(parse_arguments(rows[i].arguments, str_of(rows[i].rest), &request,
		    &why), rows[i].good);
		if (rows[i].good) {
			assert_int_equal(request.message, rows[i].message);
			assert_int_equal(request.lines, rows[i].lines);
		} else {
			assert_non_null(why);
		}
	}
	assert_true(parse_arguments(TEXT, STR(" my pass word "), &request, &why));
	assert_true(str_eq(request.text, STR(" my pass word ")));
}

static void
the_verb_ends_at_the_first_blank(void **state)
{
	struct str rest;

	(void)state;
	assert_true(str_eq(parse_verb(STR("PASS  a b"), &rest), STR("PASS")));
	assert_true(str_eq(rest, STR(" a b")));
	assert_true(str_eq(parse_verb(STR("STAT"), &rest), STR("STAT")));
	assert_int_equal(rest.n, 0);
	assert_int_equal(parse_verb(STR(""), &rest).n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_end_at_lf_and_are_bounded),
		cmocka_unit_test(arguments_are_what_the_row_says),
		cmocka_unit_test(the_verb_ends_at_the_first_blank),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
