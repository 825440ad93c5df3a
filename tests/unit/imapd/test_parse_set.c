/* SPDX-License-Identifier: ISC */
/* Sets of numbers and of UIDs, as clients write them: RFC 9051 9, RFC 5182 2.1. */
#include "tests/unit/imapd/parsing.h"

static void
expect_set(const char *text, uint32_t max, const char *expected)
{
	scoped_buf out = BUF_INIT;
	scoped_buf command = BUF_INIT;
	struct uid_set set;

	buf_printf(&command, "a UID EXPUNGE %s", text);
	good(parse_expunge, buf_z(&command));
	set = sequence_set_resolve(&req.expunge.set, max, arena);
	for (size_t i = 0; i < set.count; i++)
		buf_printf(&out, "%s%u-%u", i ? " " : "", set.ranges[i].first, set.ranges[i].last);
	assert_string_equal(buf_z(&out), expected);
}

static void
sets_become_sorted_and_disjoint(void **state)
{
	(void)state;
	expect_set("1", 10, "1-1");
	expect_set("5,1:3,2:4", 10, "1-5");
	expect_set("9,7,1,7:7", 10, "1-1 7-7 9-9");
	expect_set("4:2", 10, "2-4");
	expect_set("*", 10, "10-10");
	expect_set("*:8", 10, "8-10");
	expect_set("12:*", 10, "10-12");
	expect_set("*:*,3", 10, "3-3 10-10");
	expect_set("1:*", 0, "");
	expect_set("*,4", 0, "4-4");
	expect_set("4294967295,1:4294967295", 10, "1-4294967295");
	expect_set("4294967295,4294967294,1", 10, "1-1 4294967294-4294967295");
	good(parse_expunge, "a UID EXPUNGE 3:9,*,4");
	assert_int_equal(sequence_set_largest(&req.expunge.set), 9);
	BAD_ONES(parse_expunge, "a UID EXPUNGE", "a UID EXPUNGE 0", "a UID EXPUNGE 1:",
	    "a UID EXPUNGE 1,", "a UID EXPUNGE ,1", "a UID EXPUNGE 1:2:3", "a UID EXPUNGE a",
	    "a UID EXPUNGE 4294967296", "a UID EXPUNGE 1 2", "a UID EXPUNGE **", "a EXPUNGE 1");
	good(parse_expunge, "a EXPUNGE");
}

static void
expect_both(const char *one, const char *other, const char *expected)
{
	scoped_buf out = BUF_INIT;
	scoped_buf command = BUF_INIT;
	struct uid_set a, b = { 0 }, both;

	buf_printf(&command, "a UID EXPUNGE %s", one);
	good(parse_expunge, buf_z(&command));
	a = sequence_set_resolve(&req.expunge.set, 10, arena);
	if (*other != '\0') {
		struct lexer lexer = lexer_of(arena, str_of(other));
		struct sequence_set second;

		assert_true(take_set(&lexer, &second));
		b = sequence_set_resolve(&second, 10, arena);
	}
	both = uid_set_both(&a, &b, arena);
	for (size_t i = 0; i < both.count; i++)
		buf_printf(&out, "%s%u-%u", i ? " " : "", both.ranges[i].first, both.ranges[i].last);
	assert_string_equal(buf_z(&out), expected);
}

static void
sets_have_what_is_in_both(void **state)
{
	(void)state;
	expect_both("1:10", "2,4:6,9:20", "2-2 4-6 9-10");
	expect_both("2,4:6,9:20", "1:10", "2-2 4-6 9-10");
	expect_both("1:3,5:7", "3:5", "3-3 5-5");
	expect_both("1:3", "4:5", "");
	expect_both("1:3", "", "");
	expect_both("1:4294967295", "4294967295", "4294967295-4294967295");
	expect_both("1,3,5,7", "1:2,5:7,9", "1-1 5-5 7-7");
}

static void
a_set_is_what_was_saved(void **state)
{
	struct uid_range one[] = { { 1, 3 }, { 9, 9 } }, other[] = { { 4, 5 }, { 20, 30 } };
	struct uid_set set;

	(void)state;
	good(parse_expunge, "a UID EXPUNGE $");
	assert_true(req.expunge.set.saved);
	assert_int_equal(req.expunge.set.count, 0);
	good(parse_expunge, "a UID EXPUNGE 7,2:3,$");
	assert_true(req.expunge.set.saved);
	assert_int_equal(req.expunge.set.count, 2);
	good(parse_copy, "a COPY $ x");
	assert_true(req.copy.set.saved);
	good(parse_expunge, "a UID EXPUNGE 1");
	assert_false(req.expunge.set.saved);
	BAD_ONES(parse_expunge, "a UID EXPUNGE $,1", "a UID EXPUNGE $:1", "a UID EXPUNGE 1:$",
	    "a UID EXPUNGE $$", "a UID EXPUNGE $x", "a EXPUNGE $");
	set = uid_set_join((struct uid_set){ one, 2 }, (struct uid_set){ other, 2 }, arena);
	assert_int_equal(set.count, 3);
	assert_int_equal(set.ranges[0].last, 5);
	assert_int_equal(set.ranges[2].first, 20);
	set = uid_set_join((struct uid_set){ 0 }, (struct uid_set){ other, 2 }, arena);
	assert_ptr_equal(set.ranges, other);
	set = uid_set_join((struct uid_set){ one, 2 }, (struct uid_set){ 0 }, arena);
	assert_ptr_equal(set.ranges, one);
}

static void
sets_have_a_limit(void **state)
{
	scoped_buf text = BUF_INIT;

	(void)state;
	buf_put_z(&text, "a UID EXPUNGE 1");
	for (int i = 1; i < SEQUENCE_RANGES_MAX; i++)
		buf_put_z(&text, ",3");
	good(parse_expunge, buf_z(&text));
	assert_int_equal(sequence_set_resolve(&req.expunge.set, 1, arena).count, 2);
	buf_put_z(&text, ",3");
	assert_int_equal(parse(parse_expunge, buf_str(&text)), BAD);
}

static void
copy_takes_a_set_and_a_name(void **state)
{
	(void)state;
	good(parse_copy, "a UID MOVE 1:* \"Outlook folder\"");
	assert_str(req.copy.to.utf8, "Outlook folder");
	assert_int_equal(req.copy.set.ranges[0].last, SEQUENCE_STAR);
	BAD_ONES(parse_copy, "a COPY 1", "a COPY x", "a COPY 1 x y");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sets_become_sorted_and_disjoint),
		TEST(sets_have_what_is_in_both),
		TEST(a_set_is_what_was_saved),
		TEST(sets_have_a_limit),
		TEST(copy_takes_a_set_and_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
