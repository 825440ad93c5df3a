/* SPDX-License-Identifier: ISC */
/* "$" (RFC 5182 2.1, 2.5, 4), over a view in which message n has the uid 10 n. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "imapd/imapd.h"

static struct session s;
static struct arena *arena;

uint32_t
mailbox_seq_of_uid(const struct mailbox *m, uint32_t uid)
{
	(void)m;
	return uid / 10;
}

static int
set_up(void **state)
{
	(void)state;
	s = (struct session){ 0 };
	arena = arena_new();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	saved_clear(&s);
	arena_free(arena);
	return 0;
}

/* The messages first, first + step ... */
static bool
save_some(uint32_t first, uint32_t step, size_t count)
{
	uint32_t *uids = arena_array(arena, uint32_t, count);

	for (size_t i = 0; i < count; i++)
		uids[i] = 10 * (first + step * (uint32_t)i);
	return saved_set(&s, uids, count);
}

static void
it_is_empty_until_something_is_saved(void **state)
{
	(void)state;
	assert_int_equal(saved_uids(&s).count, 0);
	assert_true(save_some(1, 1, 3));
	assert_int_equal(saved_uids(&s).count, 1);
	assert_true(save_some(1, 1, 0));
	assert_int_equal(saved_uids(&s).count, 0);
	assert_true(save_some(1, 1, 3));
	saved_clear(&s);
	assert_int_equal(saved_uids(&s).count, 0);
}

static void
neighbours_are_one_range(void **state)
{
	static const uint32_t uids[] = { 10, 20, 30, 50, 70, 80 };
	struct uid_set set;

	(void)state;
	assert_true(saved_set(&s, uids, countof(uids)));
	set = saved_uids(&s);
	assert_int_equal(set.count, 3);
	assert_int_equal(set.ranges[0].first, 10);
	assert_int_equal(set.ranges[0].last, 30);
	assert_int_equal(set.ranges[1].first, 50);
	assert_int_equal(set.ranges[1].last, 50);
	assert_int_equal(set.ranges[2].last, 80);
}

/* RFC 5182 2.5, 4: what is refused leaves nothing saved. */
static void
it_has_a_limit(void **state)
{
	(void)state;
	assert_true(save_some(1, 2, SAVED_RANGES_MAX));
	assert_int_equal(saved_uids(&s).count, SAVED_RANGES_MAX);
	assert_false(save_some(1, 2, SAVED_RANGES_MAX + 1));
	assert_int_equal(saved_uids(&s).count, 0);
	assert_true(save_some(1, 1, 10 * SAVED_RANGES_MAX));
	assert_int_equal(saved_uids(&s).count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_empty_until_something_is_saved),
		TEST(neighbours_are_one_range),
		TEST(it_has_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
