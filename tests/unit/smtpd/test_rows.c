/* SPDX-License-Identifier: ISC */
/* queue.db: what is due, and who is told of a delay; and what an answer may not have been heard of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "smtpd/rows.h"
#include "smtpd/unanswered.h"
#include "tests/unit/smtpd/journal_stand.h"

/* ---- rows ---- */

static struct rows *
open_rows(struct fixture *f)
{
	scoped_buf path = BUF_INIT;

	buf_printf(&path, "%s/queue.db", f->dir);
	return rows_open(buf_z(&path));
}

static void
add(struct rows *rows, const char *trace, int64_t next_at)
{
	struct record record = record_named(trace);
	struct row list[countof(recipients)] = { 0 };

	for (uint32_t i = 0; i < countof(recipients); i++) {
		list[i].n = i;
		list[i].next_at = next_at;
	}
	assert_true(rows_add(rows, &record, list));
}

static void
what_is_due_is_taken_once_and_together(void **state)
{
	struct rows *rows = open_rows(*state);
	struct arena *arena = arena_new();
	struct taken taken;
	struct str due[10];

	rows_set_relay(rows, STR(""));
	add(rows, "aaaaaaaaaaaaaaaa", 100);
	add(rows, "bbbbbbbbbbbbbbbb", 50);
	assert_int_equal(rows_due_destinations(rows, 49, arena, due, 10), 0);
	assert_int_equal(rows_due_destinations(rows, 60, arena, due, 10), 2);
	assert_int_equal(rows_next_due(rows), 50);
	assert_false(rows_take(rows, STR("b.test"), 49, 100, arena, &taken));
	assert_true(rows_take(rows, STR("b.test"), 100, 100, arena, &taken));
	assert_str(taken.trace, STR("bbbbbbbbbbbbbbbb"));
	assert_int_equal(taken.count, 2);	/* x@B.test and y@b.test: one domain */
	assert_int_equal(taken.n[0], 1);
	assert_true(rows_take(rows, STR("b.test"), 100, 1, arena, &taken));
	assert_str(taken.trace, STR("aaaaaaaaaaaaaaaa"));
	assert_int_equal(taken.count, 1);
	assert_true(rows_take(rows, STR("b.test"), 100, 100, arena, &taken));
	assert_false(rows_take(rows, STR("b.test"), 100, 100, arena, &taken));
	assert_true(rows_take(rows, STR("a@example.test"), 100, 100, arena, &taken));
	rows_release(rows, STR("bbbbbbbbbbbbbbbb"));
	assert_true(rows_take(rows, STR("b.test"), 100, 100, arena, &taken));
	arena_free(arena);
	rows_close(rows);
}

static void
a_relay_host_is_the_destination_of_everything_remote(void **state)
{
	struct rows *rows = open_rows(*state);
	struct arena *arena = arena_new();
	struct str due[10];

	add(rows, "aaaaaaaaaaaaaaaa", 100);
	rows_set_relay(rows, STR("Relay.test:25"));
	add(rows, "bbbbbbbbbbbbbbbb", 100);
	assert_int_equal(rows_due_destinations(rows, 100, arena, due, 10), 2);
	assert_true(str_eq(due[0], STR("relay.test:25")) || str_eq(due[1], STR("relay.test:25")));
	rows_set_relay(rows, STR(""));
	assert_int_equal(rows_due_destinations(rows, 100, arena, due, 10), 2);
	assert_true(str_eq(due[0], STR("b.test")) || str_eq(due[1], STR("b.test")));
	arena_free(arena);
	rows_close(rows);
}

static void
a_broken_database_is_made_anew(void **state)
{
	struct fixture *f = *state;
	struct rows *rows = open_rows(f);
	scoped_buf path = BUF_INIT;
	scoped_fd fd = -1;

	add(rows, "aaaaaaaaaaaaaaaa", 100);
	assert_true(rows_have(rows, STR("aaaaaaaaaaaaaaaa")));
	rows_close(rows);
	buf_printf(&path, "%s/queue.db", f->dir);
	fd = open(buf_z(&path), O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(write(fd, "this is no database at all, but long enough", 43), 43);
	buf_put_z(&path, "-wal");	/* which would make it whole again */
	assert_int_equal(unlink(buf_z(&path)), 0);
	rows = open_rows(f);
	assert_non_null(rows);
	assert_false(rows_have(rows, STR("aaaaaaaaaaaaaaaa")));
	rows_close(rows);
}

static void
only_who_was_tried_and_has_a_sender_is_told_of_a_delay(void **state)
{
	struct rows *rows = open_rows(*state);
	struct arena *arena = arena_new();
	struct row tried = { .n = 1, .attempts = 1, .next_at = 500 };
	struct str trace;

	add(rows, "aaaaaaaaaaaaaaaa", 100);
	assert_false(rows_next_unnotified(rows, 5000, arena, &trace));
	assert_true(rows_update(rows, STR("aaaaaaaaaaaaaaaa"), &tried));
	assert_false(rows_next_unnotified(rows, 999, arena, &trace));
	assert_true(rows_next_unnotified(rows, 1000, arena, &trace));
	assert_int_equal(rows_oldest_unnotified(rows), 1000);
	assert_true(rows_set_notified(rows, trace));
	assert_false(rows_next_unnotified(rows, 5000, arena, &trace));
	arena_free(arena);
	rows_close(rows);
}

/* ---- what may not have been heard ---- */

static void
only_what_may_not_have_been_heard_is_known_again(void **state)
{
	struct unanswered *u = unanswered_new();
	scoped_buf trace = BUF_INIT;

	(void)state;
	unanswered_add(u, "fingerprint-one.", STR("aaaaaaaaaaaaaaaa"));
	assert_true(unanswered_take(u, "fingerprint-one.", &trace));
	assert_str(buf_str(&trace), STR("aaaaaaaaaaaaaaaa"));
	assert_false(unanswered_take(u, "fingerprint-one.", &trace));	/* once */
	unanswered_told(u, 3, "fingerprint-two.", STR("bbbbbbbbbbbbbbbb"));
	assert_false(unanswered_take(u, "fingerprint-two.", &trace));
	unanswered_front_lost(u, 4);
	assert_false(unanswered_take(u, "fingerprint-two.", &trace));
	unanswered_front_lost(u, 3);
	assert_true(unanswered_take(u, "fingerprint-two.", &trace));
	unanswered_free(u);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_folder(what_is_due_is_taken_once_and_together),
		with_folder(a_relay_host_is_the_destination_of_everything_remote),
		with_folder(a_broken_database_is_made_anew),
		with_folder(only_who_was_tried_and_has_a_sender_is_told_of_a_delay),
		cmocka_unit_test(only_what_may_not_have_been_heard_is_known_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
