/* SPDX-License-Identifier: ISC */
/* What becomes of the journal's segments: done, moved, synced with the mailboxes, or damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "smtpd/frame.h"
#include "tests/unit/smtpd/journal_stand.h"

static void
a_full_segment_is_followed_by_another_and_dropped_when_settled(void **state)
{
	struct fixture *f = *state;
	char trace[] = "aaaaaaaaaaaaaaaa";
	scoped_buf body = BUF_INIT;

	fill(&body, 250000);
	for (int i = 0; i < 100; i++) {
		trace[0] = (char)('a' + i % 26);
		trace[1] = (char)('a' + i / 26);
		commit(f, trace, buf_str(&body));
		if (i > 0)	/* the first stays for days */
			journal_done(f->journal, str_of(trace), NULL, 0, false);
	}
	assert_true(count_files(f, "journal") >= 3);
	assert_int_equal(count_live(f), 1);
	run_for(f, 2500);
	reopen(f);
	assert_int_equal(count_live(f), 1);
	/* Nor does it keep for ever what came after it. */
	for (int i = 0; i < 300; i++) {
		trace[0] = (char)('a' + i % 26);
		trace[1] = (char)('a' + i / 26);
		trace[2] = 'b';
		commit(f, trace, buf_str(&body));
		journal_done(f->journal, str_of(trace), NULL, 0, false);
		if (i % 100 == 99)
			run_for(f, 2500);
	}
	assert_true(count_files(f, "journal") <= 8);
	assert_int_equal(read_back(f, "aaaaaaaaaaaaaaaa", &body), 500000);
	reopen(f);
	assert_int_equal(count_live(f), 1);
}

/* Its new record would lie behind the mark, and be found by the next process. */
static void
what_is_done_while_it_waits_to_be_moved_stays_done(void **state)
{
	struct fixture *f = *state;
	char trace[] = "aaaaaaaaaaaaaaaa";

	for (char c = 'a'; c < 'e'; c++) {
		trace[0] = c;
		commit(f, trace, STR("x\r\n"));
		reopen(f);
	}
	f->done_then = "aaaaaaaaaaaaaaaa";	/* in the very turn in which the oldest segment is cleared */
	run_for(f, 2500);
	assert_int_equal(count_live(f), 3);
	reopen(f);
	assert_int_equal(count_live(f), 3);
}

static const uint32_t first_recipient[] = { 0 };

static void
what_is_delivered_stays_until_the_mailboxes_are_synced(void **state)
{
	struct fixture *f = *state;

	commit(f, "aaaaaaaaaaaaaaaa", STR("x\r\n"));
	commit(f, "bbbbbbbbbbbbbbbb", STR("y\r\n"));
	journal_add_system(f->journal, open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	journal_done(f->journal, STR("aaaaaaaaaaaaaaaa"), first_recipient, 1, true);
	assert_int_equal(count_live(f), 1);
	reopen(f);
	assert_int_equal(count_live(f), 2);	/* one for the sake of its mailbox alone */
	assert_int_equal(f->found_only, 1);
	journal_add_system(f->journal, open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	journal_done(f->journal, STR("aaaaaaaaaaaaaaaa"), first_recipient, 1, true);
	run_for(f, 2500);
	assert_int_equal(f->syncs[SYNC_MAIL], 1);
	reopen(f);
	assert_int_equal(count_live(f), 1);
	assert_int_equal(f->found_only, 0);
}

static void
a_failed_sync_of_the_mailboxes_has_them_written_anew(void **state)
{
	struct fixture *f = *state;
	struct arena *arena = arena_new();
	struct record record;
	struct body body;
	bool renew;

	commit(f, "aaaaaaaaaaaaaaaa", STR("x\r\n"));
	assert_int_equal(count_live(f), 1);
	journal_add_system(f->journal, open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	journal_done(f->journal, STR("aaaaaaaaaaaaaaaa"), first_recipient, 1, true);
	f->fails[SYNC_MAIL] = true;
	f->found = 0;
	run_for(f, 2500);
	assert_int_equal(f->found, 1);
	assert_true(journal_read(f->journal, STR("aaaaaaaaaaaaaaaa"), arena, &record, &body, &renew));
	assert_true(renew);
	body_free(&body);
	arena_free(arena);
}

static void
after_an_unclean_boot_copies_are_written_anew(void **state)
{
	struct fixture *f = *state;
	struct arena *arena = arena_new();
	scoped_buf boot = BUF_INIT;
	struct record record;
	struct body body;
	bool renew;

	commit(f, "aaaaaaaaaaaaaaaa", STR("x\r\n"));
	journal_done(f->journal, STR("aaaaaaaaaaaaaaaa"), first_recipient, 1, true);
	buf_printf(&boot, "%s/journal/boot", f->dir);
	for (int i = 0; i < 2; i++) {
		reopen(f);
		assert_int_equal(count_live(f), 1);
		assert_true(journal_read(f->journal, STR("aaaaaaaaaaaaaaaa"), arena, &record, &body, &renew));
		assert_int_equal(renew, i);
		body_free(&body);
		if (i == 0)
			assert_int_equal(unlink(buf_z(&boot)), 0);
	}
	arena_free(arena);
}

static void
a_large_body_that_is_damaged_is_seen_after_an_unclean_boot(void **state)
{
	struct fixture *f = *state;
	scoped_buf large = BUF_INIT, path = BUF_INIT;
	scoped_fd fd = -1;

	fill(&large, 300000);
	commit(f, "aaaaaaaaaaaaaaaa", buf_str(&large));
	buf_printf(&path, "%s/spool/aaaaaaaaaaaaaaaa", f->dir);
	fd = open(buf_z(&path), O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "?", 1, 1000), 1);
	reopen(f);
	assert_int_equal(count_live(f), 1);	/* the machine was up all the time: not looked at */
	buf_clear(&path);
	buf_printf(&path, "%s/journal/boot", f->dir);
	assert_int_equal(unlink(buf_z(&path)), 0);
	reopen(f);
	assert_int_equal(count_live(f), 0);
}

static void
a_damaged_segment_loses_what_is_damaged_alone(void **state)
{
	struct fixture *f = *state;
	scoped_buf got = BUF_INIT;
	scoped_fd fd = -1;

	commit(f, "aaaaaaaaaaaaaaaa", STR("first\r\n"));
	commit(f, "bbbbbbbbbbbbbbbb", STR("second\r\n"));
	commit(f, "cccccccccccccccc", STR("third\r\n"));
	fd = open_segment(f, O_RDWR);
	assert_int_equal(pwrite(fd, "?", 1, FRAME_HEADER + 3), 1);
	assert_int_equal(read_back(f, "aaaaaaaaaaaaaaaa", &got), SIZE_MAX);
	reopen(f);
	assert_int_equal(count_live(f), 2);
	assert_int_equal(read_back(f, "cccccccccccccccc", &got), 7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_folder(a_full_segment_is_followed_by_another_and_dropped_when_settled),
		with_folder(what_is_done_while_it_waits_to_be_moved_stays_done),
		with_folder(what_is_delivered_stays_until_the_mailboxes_are_synced),
		with_folder(a_failed_sync_of_the_mailboxes_has_them_written_anew),
		with_folder(after_an_unclean_boot_copies_are_written_anew),
		with_folder(a_large_body_that_is_damaged_is_seen_after_an_unclean_boot),
		with_folder(a_damaged_segment_loses_what_is_damaged_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
