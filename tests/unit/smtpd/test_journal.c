/* SPDX-License-Identifier: ISC */
/* The journal: what is committed is found again, octet for octet; what is not, or cannot be synced, is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/smtpd/journal_stand.h"

static void
committed_messages_are_found_again_octet_for_octet(void **state)
{
	struct fixture *f = *state;
	scoped_buf middle = BUF_INIT, large = BUF_INIT, got = BUF_INIT;

	fill(&middle, 200000);
	fill(&large, 700000);
	commit(f, "aaaaaaaaaaaaaaaa", STR("small\r\n"));
	commit(f, "bbbbbbbbbbbbbbbb", buf_str(&middle));
	commit(f, "cccccccccccccccc", STR(""));
	commit(f, "dddddddddddddddd", buf_str(&large));
	assert_int_equal(count_files(f, "spool"), 1);
	assert_int_equal(body_memory(), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(count_live(f), 4);
		assert_int_equal(read_back(f, "bbbbbbbbbbbbbbbb", &got), middle.n);
		assert_memory_equal(got.p, middle.p, middle.n);
		buf_clear(&got);
		assert_int_equal(read_back(f, "dddddddddddddddd", &got), large.n);
		assert_memory_equal(got.p, large.p, large.n);
		buf_clear(&got);
		assert_int_equal(read_back(f, "cccccccccccccccc", &got), 0);
		reopen(f);
	}
	journal_done(f->journal, STR("bbbbbbbbbbbbbbbb"), NULL, 0, true);
	journal_done(f->journal, STR("dddddddddddddddd"), NULL, 0, true);
	assert_int_equal(count_live(f), 2);
	assert_int_equal(read_back(f, "bbbbbbbbbbbbbbbb", &got), SIZE_MAX);
	run_for(f, 2200);
	assert_int_equal(count_files(f, "spool"), 0);
	reopen(f);
	assert_int_equal(count_live(f), 2);
}

static void
all_that_arrived_during_a_flush_shares_the_next_one(void **state)
{
	struct fixture *f = *state;
	struct body bodies[20];
	char trace[] = "aaaaaaaaaaaaaaaa";

	commit(f, "zzzzzzzzzzzzzzzz", STR("first\r\n"));
	f->syncs[SYNC_JOURNAL] = f->answers = f->kept = 0;
	f->wanted = countof(bodies);
	f->hold = true;
	for (size_t i = 0; i < countof(bodies); i++) {
		trace[0] = (char)('a' + i);
		bodies[i] = BODY_INIT;
		journal_commit(write_entry(f, trace, STR("x\r\n"), &bodies[i]), on_committed, f);
		if (i == 0)
			run_for(f, 20);		/* its flush runs now, and takes its time */
	}
	f->hold = false;
	timer_set(f->timer, 0);
	loop_run(f->loop);
	assert_int_equal(f->kept, countof(bodies));
	assert_int_equal(f->syncs[SYNC_JOURNAL], 2);
	for (size_t i = 0; i < countof(bodies); i++)
		body_free(&bodies[i]);
	assert_int_equal(count_live(f), countof(bodies) + 1);
}

static struct journal_entry *
write_large(struct fixture *f, const char *trace, struct body *out)
{
	scoped_buf large = BUF_INIT;

	fill(&large, 300000);
	*out = BODY_INIT;
	return write_entry(f, trace, buf_str(&large), out);
}

static void
large_bodies_share_the_sync_of_their_names(void **state)
{
	struct fixture *f = *state;
	struct body bodies[6];
	char trace[] = "aaaaaaaaaaaaaaaa";
	unsigned body_syncs = 0;

	run_for(f, 20);		/* a segment is made at the start */
	memset(f->syncs, 0, sizeof(f->syncs));
	f->wanted = countof(bodies);
	f->hold = true;
	for (size_t i = 0; i < countof(bodies); i++) {
		trace[0] = (char)('a' + i);
		journal_commit(write_large(f, trace, &bodies[i]), on_committed, f);
	}
	f->hold = false;
	timer_set(f->timer, 0);
	loop_run(f->loop);
	assert_int_equal(f->kept, countof(bodies));
	assert_int_equal(f->syncs[SYNC_SPOOL], 2);
	for (int lane = SYNC_BODY; lane <= SYNC_LAST_BODY; lane++)
		body_syncs += f->syncs[lane];
	assert_int_equal(body_syncs, countof(bodies));
	for (size_t i = 0; i < countof(bodies); i++)
		body_free(&bodies[i]);
	assert_int_equal(count_live(f), countof(bodies));
}

/* Its syncs begin with its last octet: they may be over when the commit comes, well or not. */
static void
a_large_body_that_was_not_synced_is_refused(void **state)
{
	struct fixture *f = *state;
	struct body body;
	struct journal_entry *e;

	for (int lane = SYNC_SPOOL; lane < SYNC_LANES; lane++) {
		f->answers = f->kept = 0;
		f->wanted = 1;
		f->fails[lane] = true;
		e = write_large(f, "aaaaaaaaaaaaaaaa", &body);
		for (int i = SYNC_BODY; i <= SYNC_LAST_BODY; i++)
			f->fails[i] = lane >= SYNC_BODY;
		run_for(f, 20);
		memset(f->fails, 0, sizeof(f->fails));
		if (lane == SYNC_MAIL) {	/* none of its affair */
			journal_abandon(e);
			body_free(&body);
			continue;
		}
		journal_commit(e, on_committed, f);
		assert_int_equal(f->answers, 0);
		loop_run(f->loop);
		assert_int_equal(f->answers, 1);
		assert_int_equal(f->kept, 0);
		body_free(&body);
	}
	assert_int_equal(count_files(f, "spool"), 0);
	assert_int_equal(count_live(f), 0);
}

static void
a_large_body_abandoned_while_it_is_synced_is_gone(void **state)
{
	struct fixture *f = *state;
	struct body early, late;
	struct journal_entry *first = write_large(f, "aaaaaaaaaaaaaaaa", &early);
	struct journal_entry *second = write_large(f, "bbbbbbbbbbbbbbbb", &late);

	f->answers = 0;
	journal_abandon(first);
	body_free(&early);
	journal_commit(second, on_committed, f);
	journal_abandon(second);
	body_free(&late);
	run_for(f, 50);
	assert_int_equal(f->answers, 0);
	assert_int_equal(count_files(f, "spool"), 0);
	assert_int_equal(count_live(f), 0);
}

static void
leave_by_crash(struct fixture *f, const char *trace)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct record record = record_named(trace);
		struct journal_entry *e = journal_begin(f->journal, &record);
		scoped_buf large = BUF_INIT;

		fill(&large, 300000);
		_exit(journal_append(e, buf_str(&large)) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void
what_was_not_committed_is_swept(void **state)
{
	struct fixture *f = *state;
	struct body body = BODY_INIT;
	struct journal_entry *open_one = write_entry(f, "aaaaaaaaaaaaaaaa", STR("never\r\n"), &body);

	assert_int_equal(count_live(f), 0);
	journal_abandon(open_one);
	body_free(&body);
	commit(f, "bbbbbbbbbbbbbbbb", STR("kept\r\n"));
	leave_by_crash(f, "cccccccccccccccc");
	assert_int_equal(count_files(f, "spool"), 1);
	reopen(f);
	assert_int_equal(count_files(f, "spool"), 0);
	assert_int_equal(count_live(f), 1);
	/* And its name is free again. */
	commit(f, "cccccccccccccccc", STR("anew\r\n"));
	assert_int_equal(count_live(f), 2);
}

static void
abandoned_while_committing_is_not_told(void **state)
{
	struct fixture *f = *state;
	struct body waiting = BODY_INIT, flushed = BODY_INIT;
	struct journal_entry *e = write_entry(f, "aaaaaaaaaaaaaaaa", STR("x\r\n"), &waiting);

	journal_commit(e, on_committed, f);
	journal_abandon(e);
	commit(f, "bbbbbbbbbbbbbbbb", STR("y\r\n"));
	f->answers = 0;
	f->hold = true;
	e = write_entry(f, "cccccccccccccccc", STR("z\r\n"), &flushed);
	journal_commit(e, on_committed, f);
	run_for(f, 20);
	journal_abandon(e);
	f->hold = false;
	timer_set(f->timer, 0);
	run_for(f, 20);
	assert_int_equal(f->answers, 0);
	assert_int_equal(count_live(f), 1);
	reopen(f);
	assert_int_equal(count_live(f), 1);
	body_free(&waiting);
	body_free(&flushed);
}

static void
a_failed_flush_moves_everything_to_another_segment(void **state)
{
	struct fixture *f = *state;
	scoped_buf got = BUF_INIT;

	commit(f, "aaaaaaaaaaaaaaaa", STR("earlier\r\n"));
	f->fail_next = 1;
	commit(f, "bbbbbbbbbbbbbbbb", STR("its flush fails\r\n"));	/* and the second one does not */
	run_for(f, 100);
	assert_int_equal(count_files(f, "journal"), 1);
	reopen(f);
	assert_int_equal(count_live(f), 2);
	assert_int_equal(read_back(f, "aaaaaaaaaaaaaaaa", &got), 9);
}

static void
a_disk_that_fails_again_and_again_gets_no_promise(void **state)
{
	struct fixture *f = *state;

	commit(f, "aaaaaaaaaaaaaaaa", STR("earlier\r\n"));
	f->fails[SYNC_JOURNAL] = true;
	assert_false(try_commit(f, "bbbbbbbbbbbbbbbb", STR("no\r\n")));
	f->fails[SYNC_JOURNAL] = false;
	commit(f, "cccccccccccccccc", STR("yes\r\n"));
	assert_int_equal(count_live(f), 2);
}

static void
without_room_for_a_segment_nothing_is_kept_until_there_is(void **state)
{
	struct fixture *f = *state;

	f->fails[SYNC_SPOOL] = true;
	assert_false(try_commit(f, "aaaaaaaaaaaaaaaa", STR("no\r\n")));
	assert_false(try_commit(f, "bbbbbbbbbbbbbbbb", STR("at once\r\n")));
	f->fails[SYNC_SPOOL] = false;
	run_for(f, 1100);
	commit(f, "cccccccccccccccc", STR("yes\r\n"));
	assert_int_equal(count_live(f), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_folder(committed_messages_are_found_again_octet_for_octet),
		with_folder(all_that_arrived_during_a_flush_shares_the_next_one),
		with_folder(large_bodies_share_the_sync_of_their_names),
		with_folder(a_large_body_that_was_not_synced_is_refused),
		with_folder(a_large_body_abandoned_while_it_is_synced_is_gone),
		with_folder(what_was_not_committed_is_swept),
		with_folder(abandoned_while_committing_is_not_told),
		with_folder(a_failed_flush_moves_everything_to_another_segment),
		with_folder(a_disk_that_fails_again_and_again_gets_no_promise),
		with_folder(without_room_for_a_segment_nothing_is_kept_until_there_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
