/* SPDX-License-Identifier: ISC */
/* RFC 5322 2.1, 2.2, 2.2.3, 2.3, 3.5, 3.6.8, 4.5. */
#include "tests/unit/mime/test.h"

#include "common/mime/header.h"

static const struct str crlf = STR("From someone@example.test Mon Jan  1 00:00:00 2024\r\n"
    "Received: from a\r\n\tby b;\r\n Mon\r\n"
    "SUBJECT : folded\r\n  value \r\n"
    "no colon here\r\n"
    "two words: no field\r\n"
    "X-Empty:\r\n"
    "To: a@b\r\n"
    " \r\n"
    "subject: second\r\n"
    "\r\n"
    "Body: not a field\r\n");

static void
fields_are_found_in_order_and_junk_is_passed_over(void **state)
{
	static const char *const names[] = { "Received", "SUBJECT", "X-Empty", "To", "subject" };
	struct header_walk walk = header_walk(crlf);
	struct header_field field;
	size_t n = 0;

	(void)state;
	while (header_next(&walk, &field)) {
		assert_true(n < countof(names));
		check_str(field.name, str_of(names[n]), "name");
		n++;
	}
	assert_int_equal(n, countof(names));
	assert_true(header_find(crlf, STR("Subject"), &field));
	check_str(field.value, STR("folded\r\n  value"), "the first counts");
	check_str(field.raw, STR("SUBJECT : folded\r\n  value \r\n"), "raw");
	assert_false(header_find(crlf, STR("Body"), &field));
	assert_true(header_find(crlf, STR("to"), &field));
	check_str(field.raw, STR("To: a@b\r\n \r\n"), "a line of blanks folds");
}

static void
the_end_is_behind_the_blank_line(void **state)
{
	static const struct {
		struct str message;
		size_t end;
	} rows[] = {
		{ STR("A: b\r\n\r\nbody"), 8 },
		{ STR("A: b\n\nbody"), 6 },
		{ STR("A: b\r\n\nbody"), 7 },
		{ STR("\r\nbody"), 2 },
		{ STR("\nbody"), 1 },
		{ STR(""), 0 },
		{ STR("A: b"), 4 },
		{ STR("A: b\r\n"), 6 },
		{ STR("A: b\r\n \r\nC: d\r\n\r\n"), 17 },
	};

	(void)state;
	for (size_t i = 0; i < countof(rows); i++)
		assert_int_equal(header_end(rows[i].message), rows[i].end);
}

static void
unfolding_keeps_the_white_space(void **state)
{
	scoped_buf out = BUF_INIT;

	(void)state;
	header_put_unfolded(&out, STR("a\r\n\tb\n c\0d\re"));
	check_str(buf_str(&out), STR("a\tb cde"), "unfolded");
}

static void
picked(struct str header, enum header_pick pick, struct str want)
{
	static const struct str names[] = { STR("subject"), STR("X-EMPTY"), STR("Absent") };
	scoped_buf out = BUF_INIT;

	header_put_fields(&out, header, pick, names, countof(names));
	check_str(buf_str(&out), want, "picked");
}

static void
picked_fields_stand_as_in_the_message(void **state)
{
	(void)state;
	picked(crlf, HEADER_ONLY, STR("SUBJECT : folded\r\n  value \r\nX-Empty:\r\n"
	    "subject: second\r\n\r\n"));
	picked(crlf, HEADER_ALL_BUT, STR("Received: from a\r\n\tby b;\r\n Mon\r\n"
	    "To: a@b\r\n \r\n\r\n"));
	picked(STR("Subject: x\r\nTo: y\r\n"), HEADER_ONLY, STR("Subject: x\r\n"));
	picked(STR("To: y\n\nb"), HEADER_ONLY, STR("\n"));
	picked(STR("\r\nbody"), HEADER_ONLY, STR("\r\n"));
	picked(STR(""), HEADER_ONLY, STR(""));
}

static void
fields_beyond_the_limit_are_not_seen(void **state)
{
	struct header_walk walk;
	struct header_field field;
	scoped_buf header = BUF_INIT;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < HEADER_FIELDS_MAX + 100; i++)
		buf_put(&header, STR("A: b\r\n"));
	buf_put(&header, STR("\r\n"));
	walk = header_walk(buf_str(&header));
	while (header_next(&walk, &field))
		n++;
	assert_int_equal(n, HEADER_FIELDS_MAX);
	assert_int_equal(header_end(buf_str(&header)), header.n);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_found_in_order_and_junk_is_passed_over),
		cmocka_unit_test(the_end_is_behind_the_blank_line),
		cmocka_unit_test(unfolding_keeps_the_white_space),
		cmocka_unit_test(picked_fields_stand_as_in_the_message),
		cmocka_unit_test(fields_beyond_the_limit_are_not_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
