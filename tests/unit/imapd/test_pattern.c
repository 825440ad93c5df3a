/* SPDX-License-Identifier: ISC */
/* LIST's patterns: said by examples, and the same as the plainest definition for all short ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imapd/pattern.h"

static bool
says(const char *pattern, const char *name)
{
	return pattern_matches(str_of(pattern), str_of(name), false);
}

static void
percent_stops_at_the_separator(void **state)
{
	(void)state;
	assert_true(says("*", "a/b"));
	assert_true(says("%", "ab"));
	assert_false(says("%", "a/b"));
	assert_true(says("%/%", "a/b"));
	assert_true(says("a*c", "a/b/c"));
	assert_false(says("a%c", "a/b/c"));
	assert_true(says("*%c", "a/b/c"));
	assert_false(says("", "a"));
	assert_true(says("", ""));
	assert_true(says("%", ""));
}

static void
inbox_is_one_name_in_any_case(void **state)
{
	(void)state;
	assert_true(pattern_matches(STR("in%"), STR("INBOX"), true));
	assert_false(pattern_matches(STR("in%"), STR("INBOX"), false));
}

/* What the words of RFC 3501 6.3.8 say, without any thought of time. */
static bool
plainly(struct str pattern, struct str name)
{
	if (pattern.n == 0)
		return name.n == 0;
	if (pattern.p[0] == '*' || pattern.p[0] == '%') {
		if (plainly(str_from(pattern, 1), name))
			return true;
		return name.n > 0 && (pattern.p[0] == '*' || name.p[0] != '/') &&
		    plainly(pattern, str_from(name, 1));
	}
	return name.n > 0 && name.p[0] == pattern.p[0] &&
	    plainly(str_from(pattern, 1), str_from(name, 1));
}

/* The number's digits to the base of the alphabet's size, as letters. */
static struct str
word(const char *alphabet, size_t base, size_t number, size_t length, char *room)
{
	for (size_t i = 0; i < length; i++, number /= base)
		room[i] = alphabet[number % base];
	return (struct str){ room, length };
}

static size_t
power(size_t base, size_t n)
{
	return n == 0 ? 1 : base * power(base, n - 1);
}

static void
all_short_ones_match_as_defined(void **state)
{
	char pattern_room[6], name_room[6];

	(void)state;
	for (size_t p = 0; p <= 5; p++)
		for (size_t i = 0; i < power(4, p); i++)
			for (size_t n = 0; n <= 5; n++)
				for (size_t k = 0; k < power(2, n); k++) {
					struct str pattern = word("a/*%", 4, i, p, pattern_room);
					struct str name = word("a/", 2, k, n, name_room);

					assert_int_equal(pattern_matches(pattern, name, false),
					    plainly(pattern, name));
				}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percent_stops_at_the_separator),
		cmocka_unit_test(inbox_is_one_name_in_any_case),
		cmocka_unit_test(all_short_ones_match_as_defined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
