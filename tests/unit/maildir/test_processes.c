/* SPDX-License-Identifier: ISC */
/* Several processes, and several accounts, at once. */
#include "tests/unit/maildir/test.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

enum { WRITERS = 4, EACH = 25 };

static pid_t
start(void (*run)(const char *path, int number), const char *path, int number)
{
	pid_t pid = fork();

	if (pid == 0) {
		run(path, number);
		_exit(0);
	}
	return pid;
}

static void
wait_for(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void
deliver_many(const char *path, int number)
{
	static const char *const daemons[] = { "smtpd", "pop3d", "a", "b" };
	struct account *a = open_account(path, daemons[number], 0);
	uint32_t last = 0, uid;

	for (int i = 0; i < EACH; i++) {
		uid = put_mail(a, "INBOX");
		if (uid <= last)
			_exit(1);
		last = uid;
	}
	account_close(a);
}

static void
four_writers_give_each_uid_once(void **state)
{
	struct site *s = site_new();
	pid_t pids[WRITERS];
	struct mailbox *m;
	uint32_t last = 0;

	(void)state;
	account_close(s->account);
	shell(s, "rm -r .trivet");	/* and all of them find no index */
	for (int i = 0; i < WRITERS; i++)
		pids[i] = start(deliver_many, s->path, i);
	for (int i = 0; i < WRITERS; i++)
		wait_for(pids[i]);
	s->account = open_account(s->path, "imapd", 0);
	m = open_box(s->account, "INBOX");
	assert_int_equal(mailbox_exists(m), WRITERS * EACH);
	for (uint32_t i = 1; i <= WRITERS * EACH; i++) {
		assert_true(message_of(m, i).uid > last);
		last = message_of(m, i).uid;
	}
	assert_int_equal(count_files(s, "cur"), WRITERS * EACH);
	assert_int_equal(count_files(s, "tmp"), 0);
	mailbox_close(m);
	site_free(s);
}

static void
a_reader_learns_of_deliveries_by_the_socket(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;
	struct pollfd p;
	uint32_t seen = 0;
	pid_t pid;

	(void)state;
	account_close(s->account);
	pid = start(deliver_many, s->path, 0);
	s->account = open_account(s->path, "imapd", 0);
	m = open_box(s->account, "INBOX");
	seen = mailbox_exists(m);
	p = (struct pollfd){ .fd = account_event_fd(s->account), .events = POLLIN };
	while (seen < EACH) {
		assert_int_equal(poll(&p, 1, 5000), 1);
		account_on_event(s->account);
		assert_ok(mailbox_refresh(m));
		(void)changes(m, false);
		assert_true(mailbox_exists(m) >= seen);
		seen = mailbox_exists(m);
		for (uint32_t i = 1; i <= seen; i++)
			assert_int_equal(message_of(m, i).uid, i);
	}
	wait_for(pid);
	mailbox_close(m);
	site_free(s);
}

static void
move_back_and_forth(const char *path, int number)
{
	struct account *a = open_account(path, number ? "smtpd" : "pop3d", 0);
	struct arena *arena = arena_new();
	struct mailbox *m = open_box(a, number ? "INBOX" : "Trash");
	struct uid_set set = one_range(arena, 1, UINT32_MAX);
	struct copied c;
	struct change change;

	for (int i = 0; i < 30; i++) {
		if (mailbox_move(m, &set, number ? STR("Trash") : STR("INBOX"), arena, &c) !=
		    STORE_OK)
			_exit(1);
		if (mailbox_refresh(m) != STORE_OK)
			_exit(2);
		while (mailbox_next_change(m, false, &change))
			continue;
		usleep(1000);
	}
	mailbox_close(m);
	arena_free(arena);
	account_close(a);
}

static void
messages_moved_by_two_are_neither_lost_nor_doubled(void **state)
{
	struct site *s = site_new();
	struct mailbox_info one, two;
	pid_t first, second;

	(void)state;
	for (int i = 0; i < 10; i++)
		put_mail(s->account, "INBOX");
	account_close(s->account);
	first = start(move_back_and_forth, s->path, 0);
	second = start(move_back_and_forth, s->path, 1);
	wait_for(first);
	wait_for(second);
	s->account = open_account(s->path, "imapd", 0);
	assert_ok(mailbox_status(s->account, STR("INBOX"), s->arena, &one));
	assert_ok(mailbox_status(s->account, STR("Trash"), s->arena, &two));
	assert_int_equal(one.messages + two.messages, 10);
	assert_int_equal(count_files(s, "cur"), one.messages);
	assert_int_equal(count_files(s, ".Trash/cur"), two.messages);
	site_free(s);
}

static void
deliver_for_ever(const char *path, int number)
{
	struct account *a = open_account(path, "smtpd", 0);

	(void)number;
	for (;;)
		put_mail(a, "INBOX");
}

static void
a_killed_writer_leaves_a_store_that_works(void **state)
{
	struct site *s = site_new();
	uint32_t before = 0;
	struct mailbox *m;
	int status;
	pid_t pid;

	(void)state;
	for (int round = 0; round < 5; round++) {
		account_close(s->account);
		pid = start(deliver_for_ever, s->path, 0);
		usleep(20000 + (useconds_t)round * 3000);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		s->account = open_account(s->path, "imapd", 0);
		m = open_box(s->account, "INBOX");
		assert_true(mailbox_exists(m) >= before);
		before = mailbox_exists(m);
		for (uint32_t i = 1; i <= before; i++) {
			struct content *c;

			assert_ok(content_open(m, message_of(m, i).uid, &c));
			content_close(c);
		}
		assert_int_equal(count_files(s, "cur"), before);
		mailbox_close(m);
	}
	site_free(s);
}

static void
several_accounts_live_in_one_process(void **state)
{
	struct site *one = site_new(), *two = site_new();
	struct account *again = open_account(one->path, "pop3d", 0);
	struct mailbox *m = open_box(one->account, "INBOX");

	(void)state;
	assert_int_equal(put_mail(again, "INBOX"), 1);
	assert_int_equal(put_mail(two->account, "INBOX"), 1);
	assert_ok(mailbox_refresh(m));
	assert_string_equal(changes(m, false), "E1");
	account_close(again);
	assert_int_equal(put_mail(one->account, "INBOX"), 2);
	mailbox_close(m);
	site_free(one);
	site_free(two);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(four_writers_give_each_uid_once),
		cmocka_unit_test(a_reader_learns_of_deliveries_by_the_socket),
		cmocka_unit_test(messages_moved_by_two_are_neither_lost_nor_doubled),
		cmocka_unit_test(a_killed_writer_leaves_a_store_that_works),
		cmocka_unit_test(several_accounts_live_in_one_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
