/* SPDX-License-Identifier: ISC */
/* The table that fronts share: connections of one address are counted over all of them, and a dead front's no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/daemon/crowd.h"

static struct net_address
address(const char *text)
{
	struct net_address a;

	assert_true(net_address_parse(str_of(text), &a));
	return a;
}

static struct net_address
numbered(unsigned n)
{
	return (struct net_address){ .bytes = { 10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n } };
}

static void
one_slot_sees_what_others_count(void **state)
{
	struct crowd *c = crowd_new();
	unsigned a = crowd_take(c), b = crowd_take(c);
	struct net_address x = address("192.0.2.1"), y = address("192.0.2.2");

	(void)state;
	assert_int_not_equal(a, b);
	crowd_add(c, a, &x);
	crowd_add(c, a, &x);
	crowd_add(c, b, &x);
	crowd_add(c, b, &y);
	assert_int_equal(crowd_elsewhere(c, a, &x), 1);
	assert_int_equal(crowd_elsewhere(c, b, &x), 2);
	assert_int_equal(crowd_elsewhere(c, CROWD_SLOTS, &x), 3);
	assert_int_equal(crowd_elsewhere(c, b, &y), 0);
	assert_int_equal(crowd_total(c), 4);
	crowd_know(c, a, &x);
	assert_int_equal(crowd_elsewhere(c, b, &x), 1);
	assert_int_equal(crowd_total(c), 4);
	crowd_leave(c, a);
	assert_int_equal(crowd_elsewhere(c, b, &x), 1);
	assert_int_equal(crowd_total(c), 3);
	crowd_free(c);
}

static void
a_dead_fronts_counts_are_over(void **state)
{
	struct crowd *c = crowd_new();
	unsigned a = crowd_take(c), b = crowd_take(c);
	struct net_address x = address("2001:db8::1"), same_net = address("2001:db8::ffff:2");
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0) {
		for (int i = 0; i < 50; i++)
			crowd_add(c, a, &x);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(crowd_elsewhere(c, b, &same_net), 50);
	crowd_give_back(c, a);
	assert_int_equal(crowd_elsewhere(c, b, &x), 0);
	assert_int_equal(crowd_total(c), 0);
	assert_int_equal(crowd_take(c), a);
	crowd_free(c);
}

static void
without_a_slot_nothing_is_counted(void **state)
{
	struct crowd *c = crowd_new();
	struct net_address x = address("192.0.2.1");

	(void)state;
	for (unsigned i = 0; i < CROWD_SLOTS; i++)
		assert_int_equal(crowd_take(c), i);
	assert_int_equal(crowd_take(c), CROWD_SLOTS);
	crowd_add(c, CROWD_SLOTS, &x);
	crowd_know(c, CROWD_SLOTS, &x);
	crowd_leave(c, CROWD_SLOTS);
	crowd_give_back(c, CROWD_SLOTS);
	assert_int_equal(crowd_total(c), 0);
	crowd_free(c);
}

/* With 2,000 there: (1 - e^(-2000/8192))^4 is 0.2 % of the strangers. */
static void
many_addresses_are_not_taken_for_one(void **state)
{
	struct crowd *c = crowd_new();
	unsigned slot = crowd_take(c), too_high = 0;
	struct net_address a;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		a = numbered(i);
		crowd_add(c, slot, &a);
	}
	for (unsigned i = 100000; i < 110000; i++) {
		a = numbered(i);
		too_high += crowd_elsewhere(c, CROWD_SLOTS, &a) > 0;
	}
	assert_true(too_high < 300);
	for (unsigned i = 0; i < 2000; i++) {
		a = numbered(i);
		assert_true(crowd_elsewhere(c, CROWD_SLOTS, &a) >= 1);
		crowd_know(c, slot, &a);
		crowd_leave(c, slot);
	}
	assert_int_equal(crowd_total(c), 0);
	crowd_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_slot_sees_what_others_count),
		cmocka_unit_test(a_dead_fronts_counts_are_over),
		cmocka_unit_test(without_a_slot_nothing_is_counted),
		cmocka_unit_test(many_addresses_are_not_taken_for_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
