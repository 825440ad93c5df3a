/* SPDX-License-Identifier: ISC */
/* The spool and queue.db: what is committed is found again, what is torn is not; rows and what is due. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "smtpd/journal.h"
#include "smtpd/rows.h"
#include "smtpd/unanswered.h"

#define assert_str(a, b) assert_true(str_eq((a), (b)))

static const struct record_recipient recipients[] = {
	{ TARGET_LOCAL, { "a@example.test", 14 }, { "a@example.test", 14 } },
	{ TARGET_REMOTE, { "x@b.test", 8 }, { "x@B.test", 8 } },
	{ TARGET_REMOTE, { "y@b.test", 8 }, { "y@b.test", 8 } },
};

struct fixture {
	char dir[64];
	struct loop *loop;
	struct journal *journal;
	unsigned found;
	bool committed;
};

static struct record
record_named(const char *trace)
{
	return (struct record){ .trace = str_of(trace), .sender = STR("s@example.test"),
	    .account = STR_EMPTY, .peer = STR("192.0.2.1"), .arrived = 1000,
	    .recipients = recipients, .count = countof(recipients) };
}

static int
begin(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	strncpy(f->dir, "/tmp/trivet-journal-XXXXXX", sizeof(f->dir) - 1);
	if (!mkdtemp(f->dir))
		return 1;
	f->loop = loop_new();
	f->journal = journal_open(f->loop, f->dir);
	*state = f;
	return f->journal ? 0 : 1;
}

static void
remove_all(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		scoped_buf path = BUF_INIT;

		buf_printf(&path, "%s/%s", dir, e->d_name);
		if (e->d_name[0] != '.' && unlink(buf_z(&path)) < 0)
			remove_all(buf_z(&path));
	}
	if (d)
		closedir(d);
	(void)rmdir(dir);
}

static int
end(void **state)
{
	struct fixture *f = *state;

	journal_close(f->journal);
	loop_free(f->loop);
	remove_all(f->dir);
	free(f);
	return 0;
}

static void
on_committed(void *context, bool ok)
{
	struct fixture *f = context;

	f->committed = ok;
	loop_stop(f->loop);
}

static struct journal_entry *
write_entry(struct fixture *f, const char *trace, struct str body)
{
	struct record record = record_named(trace);
	struct journal_entry *e = journal_begin(f->journal, &record);

	for (; body.n > 0; body = str_from(body, 1000))
		assert_true(journal_append(e, str_sub(body, 0, 1000)));
	assert_true(journal_finish(e));
	return e;
}

static void
commit(struct fixture *f, const char *trace, struct str body)
{
	f->committed = false;
	journal_commit(write_entry(f, trace, body), on_committed, f);
	loop_run(f->loop);
	assert_true(f->committed);
}

static void
on_found(void *context, const struct record *record)
{
	struct fixture *f = context;

	assert_int_equal(record->count, countof(recipients));
	f->found++;
}

static unsigned
count_live(struct fixture *f)
{
	f->found = 0;
	assert_true(journal_replay(f->journal, on_found, f));
	return f->found;
}

static void
reopen(struct fixture *f)
{
	journal_close(f->journal);
	f->journal = journal_open(f->loop, f->dir);
	assert_non_null(f->journal);
}

static void
committed_messages_are_found_again_octet_for_octet(void **state)
{
	struct fixture *f = *state;
	struct arena *arena = arena_new();
	scoped_buf big = BUF_INIT;
	struct record record;
	struct spooled spooled;
	char *got;

	for (int i = 0; i < 200000; i++)
		buf_put_c(&big, (char)(i * 7 + i / 256));
	commit(f, "aaaaaaaaaaaaaaaa", STR("small\r\n"));
	commit(f, "bbbbbbbbbbbbbbbb", buf_str(&big));
	commit(f, "cccccccccccccccc", STR(""));
	reopen(f);
	assert_int_equal(count_live(f), 3);
	assert_true(journal_read(f->journal, STR("bbbbbbbbbbbbbbbb"), arena, &record, &spooled));
	assert_str(record.sender, STR("s@example.test"));
	assert_int_equal(spooled.size, big.n);
	got = xmalloc(big.n);
	assert_int_equal(pread(spooled.fd, got, big.n, (off_t)spooled.offset), big.n);
	assert_memory_equal(got, big.p, big.n);
	free(got);
	close(spooled.fd);
	journal_done(f->journal, STR("bbbbbbbbbbbbbbbb"));
	assert_int_equal(count_live(f), 2);
	assert_false(journal_read(f->journal, STR("bbbbbbbbbbbbbbbb"), arena, &record, &spooled));
	arena_free(arena);
}

static void
leave_by_crash(struct fixture *f, const char *trace)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)write_entry(f, trace, STR("left by a crash\r\n"));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void
what_was_not_committed_is_swept(void **state)
{
	struct fixture *f = *state;
	struct journal_entry *open_one = write_entry(f, "aaaaaaaaaaaaaaaa", STR("never\r\n"));
	struct spooled spooled;

	/* Keepers may read it already. */
	assert_true(journal_entry_open(open_one, &spooled));
	close(spooled.fd);
	assert_int_equal(count_live(f), 0);
	journal_abandon(open_one);
	commit(f, "bbbbbbbbbbbbbbbb", STR("kept\r\n"));
	leave_by_crash(f, "cccccccccccccccc");
	reopen(f);
	assert_int_equal(count_live(f), 1);
	/* And its name is free again. */
	commit(f, "cccccccccccccccc", STR("anew\r\n"));
	assert_int_equal(count_live(f), 2);
}

static void
abandoned_while_committing_is_not_told(void **state)
{
	struct fixture *f = *state;
	struct journal_entry *e = write_entry(f, "aaaaaaaaaaaaaaaa", STR("x\r\n"));

	journal_commit(e, on_committed, f);
	journal_abandon(e);
	commit(f, "bbbbbbbbbbbbbbbb", STR("y\r\n"));
	assert_int_equal(count_live(f), 1);
}

static void
damage(struct fixture *f, const char *name, off_t at, bool cut)
{
	scoped_buf path = BUF_INIT;
	scoped_fd fd = -1;
	char c = 0;

	buf_printf(&path, "%s/spool/%s", f->dir, name);
	fd = open(buf_z(&path), O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	if (cut) {
		assert_int_equal(ftruncate(fd, at), 0);
		return;
	}
	assert_int_equal(pread(fd, &c, 1, at), 1);
	c = (char)~c;
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
}

static void
a_torn_file_is_never_taken_for_a_message(void **state)
{
	struct fixture *f = *state;
	static const struct { off_t at; bool cut; } rows[] = {
		{ 0, false }, { 20, false }, { 45, false }, { 57, false }, { 70, false },
		{ 100, false }, { 0, true }, { 30, true }, { 64, true }, { 90, true },
	};

	for (size_t i = 0; i < countof(rows); i++) {
		commit(f, "aaaaaaaaaaaaaaaa", STR("a body of some length\r\n"));
		damage(f, "aaaaaaaaaaaaaaaa", rows[i].at, rows[i].cut);
		assert_int_equal(count_live(f), 0);
		journal_done(f->journal, STR("aaaaaaaaaaaaaaaa"));
	}
}

static void
after_an_unclean_boot_bodies_are_compared(void **state)
{
	struct fixture *f = *state;
	scoped_buf boot = BUF_INIT;
	struct stat st;

	commit(f, "aaaaaaaaaaaaaaaa", STR("a body of some length\r\n"));
	commit(f, "bbbbbbbbbbbbbbbb", STR("another\r\n"));
	buf_printf(&boot, "%s/spool/aaaaaaaaaaaaaaaa", f->dir);
	assert_int_equal(stat(buf_z(&boot), &st), 0);
	damage(f, "aaaaaaaaaaaaaaaa", st.st_size - 5, false);
	reopen(f);
	assert_int_equal(count_live(f), 2);	/* the machine was up all the time: not looked at */
	buf_clear(&boot);
	buf_printf(&boot, "%s/spool/boot", f->dir);
	assert_int_equal(unlink(buf_z(&boot)), 0);
	reopen(f);
	assert_int_equal(count_live(f), 1);
}

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

#define with_folder(test) cmocka_unit_test_setup_teardown(test, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_folder(committed_messages_are_found_again_octet_for_octet),
		with_folder(what_was_not_committed_is_swept),
		with_folder(abandoned_while_committing_is_not_told),
		with_folder(a_torn_file_is_never_taken_for_a_message),
		with_folder(after_an_unclean_boot_bodies_are_compared),
		with_folder(what_is_due_is_taken_once_and_together),
		with_folder(a_relay_host_is_the_destination_of_everything_remote),
		with_folder(a_broken_database_is_made_anew),
		with_folder(only_who_was_tried_and_has_a_sender_is_told_of_a_delay),
		cmocka_unit_test(only_what_may_not_have_been_heard_is_known_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
