/* SPDX-License-Identifier: ISC */
/* RFC 5322 3.3, 4.2, 4.3. */
#include "tests/unit/mime/test.h"

#include "common/mime/date.h"

/* What date_put_imap prints for each; NULL where there is no date. */
static const struct {
	const char *value, *want;
} rows[] = {
	{ "Wed, 17 Jul 1996 02:44:25 -0700", "17-Jul-1996 02:44:25 -0700" },
	{ "17 Jul 1996 02:44:25 -0700 (PDT)", "17-Jul-1996 02:44:25 -0700" },
	{ "Wed,17 Jul 96 02:44 PDT", "17-Jul-1996 02:44:00 -0700" },
	{ "1 Jan 49 00:00:00 GMT", " 1-Jan-2049 00:00:00 +0000" },
	{ "1 Jan 50 00:00:00 GMT", " 1-Jan-1950 00:00:00 +0000" },
	{ "1 Jan 102 00:00:00 GMT", " 1-Jan-2002 00:00:00 +0000" },
	{ "Thu, 29 Feb 2024 23:59:60 +0900", "29-Feb-2024 23:59:59 +0900" },
	{ "Fri (day), 3\r\n (x (y)) Mar 2023 (z) 1 : 02 : 03 +0530", " 3-Mar-2023 01:02:03 +0530" },
	{ "Mon, 1 Jan 2024 00:00:00 -0000", " 1-Jan-2024 00:00:00 +0000" },
	{ "Mon, 1 Jan 2024 00:00:00 Z", " 1-Jan-2024 00:00:00 +0000" },
	{ "Mon, 1 Jan 2024 00:00:00 A", " 1-Jan-2024 00:00:00 +0000" },
	{ "Mon, 1 Jan 2024 00:00:00 KST", " 1-Jan-2024 00:00:00 +0900" },
	{ "Mon, 1 Jan 2024 00:00:00 GMT+0900", " 1-Jan-2024 00:00:00 +0900" },
	{ "Mon, 1 Jan 2024 00:00:00 +09:00", " 1-Jan-2024 00:00:00 +0900" },
	{ "Mon, 1 Jan 2024 00:00:00", " 1-Jan-2024 00:00:00 +0000" },
	{ "Mon 1 January 2024 12:00:00 +0000", " 1-Jan-2024 12:00:00 +0000" },
	{ "Monday, 01-Jan-24 12:00:00 EST", " 1-Jan-2024 12:00:00 -0500" },
	{ "Mon Jan  1 12:00:00 2024", " 1-Jan-2024 12:00:00 +0000" },
	{ "mon, 1 JAN 2024 12:00:00.123 utc", " 1-Jan-2024 12:00:00 +0000" },
	{ "1 Jan 1969 00:00:00 +0000", " 1-Jan-1969 00:00:00 +0000" },
	{ "31 Dec 9999 23:59:59 -9959", "31-Dec-9999 23:59:59 -9959" },
	{ "", NULL },
	{ "yesterday", NULL },
	{ "30 Feb 2024 00:00:00 +0000", NULL },
	{ "29 Feb 2023 00:00:00 +0000", NULL },
	{ "1 Foo 2023 00:00:00 +0000", NULL },
	{ "1 Jan 2023 24:00:00 +0000", NULL },
	{ "1 Jan 2023 12:60:00 +0000", NULL },
	{ "1 Jan 1899 12:00:00 +0000", NULL },
	{ "1 Jan 10000 12:00:00 +0000", NULL },
	{ "1 Jan 2023 4294967297:00:00 +0000", NULL },
	{ "1 Jan 2023", NULL },
};

static void
message_dates_are_understood(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		scoped_buf out = BUF_INIT;
		struct date date;
		bool is = date_parse(str_of(rows[i].value), &date);

		if (is != (rows[i].want != NULL))
			fail_msg("%s", rows[i].value);
		if (!is)
			continue;
		date_put_imap(&out, date.seconds, date.zone);
		check_str(buf_str(&out), str_of(rows[i].want), rows[i].value);
	}
}

static void
day_is_that_of_the_senders_calendar(void **state)
{
	struct date east, west;
	int32_t day;

	(void)state;
	assert_true(date_parse(STR("Tue, 2 Jan 2024 01:00:00 +0900"), &east));
	assert_true(date_parse(STR("Mon, 1 Jan 2024 08:00:00 -0800"), &west));
	assert_int_equal(east.seconds, west.seconds);
	assert_int_equal(east.seconds, 1704124800);
	assert_true(date_parse_imap_day(STR("2-Jan-2024"), &day));
	assert_int_equal(east.day, day);
	assert_int_equal(west.day, day - 1);
	assert_int_equal(date_day_of(east.seconds, 0), day - 1);
	assert_int_equal(date_day_of(-1, 0), -1);
}

static void
imap_dates_are_strict(void **state)
{
	static const char *const wrong[] = {
		"17-Jul-1996 02:44:25", "17-Jul-1996 02:44:25 0700", "17-Jul-96 02:44:25 -0700",
		"7-Jul-1996 02:44:25 -0700", "17-July-1996 02:44:25 -070", "17-Jul-1996T02:44:25 -0700",
		"17-Jul-1996 2:44:25 -07000", "32-Jul-1996 02:44:25 -0700", "",
		"17-Jul-1996 02:44:25 -0760", "17-Jul-1996 02.44.25 -0700",
	};
	static const char *const wrong_days[] = {
		"1-Feb-94", "1-2-1994", "31-Feb-1994", "001-Feb-1994", "1-Feb-1994 ", "", "-Feb-1994",
	};
	struct date date;
	int32_t day;

	(void)state;
	assert_true(date_parse_imap(STR(" 7-jul-1996 02:44:25 -0700"), &date));
	assert_int_equal(date.seconds, 836732665);
	assert_int_equal(date.zone, -420);
	for (size_t i = 0; i < countof(wrong); i++)
		if (date_parse_imap(str_of(wrong[i]), &date))
			fail_msg("%s", wrong[i]);
	assert_true(date_parse_imap_day(STR("1-Feb-1994"), &day));
	assert_int_equal(day, 8797);
	assert_true(date_parse_imap_day(STR("01-FEB-1994"), &day));
	for (size_t i = 0; i < countof(wrong_days); i++)
		if (date_parse_imap_day(str_of(wrong_days[i]), &day))
			fail_msg("%s", wrong_days[i]);
}

static void
every_day_prints_and_parses_the_same(void **state)
{
	struct buf out = BUF_INIT;

	(void)state;
	for (int64_t day = -25567; day < 100000; day += 13) {
		struct date date;

		buf_clear(&out);
		date_put_imap(&out, day * 86400 + 86399, 0);
		assert_true(date_parse_imap(buf_str(&out), &date));
		assert_int_equal(date.day, day);
		assert_int_equal(date.seconds, day * 86400 + 86399);
	}
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(message_dates_are_understood),
		cmocka_unit_test(day_is_that_of_the_senders_calendar),
		cmocka_unit_test(imap_dates_are_strict),
		cmocka_unit_test(every_day_prints_and_parses_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
