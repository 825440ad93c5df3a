/* SPDX-License-Identifier: ISC */
/*
 * A mailbox's rows read from a file of theirs are the index's, or they are not taken: whatever happened to the file, to
 * the index, or to both.
 */
#include "tests/unit/maildir/test.h"

#include <signal.h>
#include <sys/resource.h>

#include "maildir/private.h"

enum { MESSAGES = 40, SEEN_MAX = 100 };

struct view {
	struct message message[SEEN_MAX];
	uint32_t exists;
	uint32_t unseen;
	uint64_t modseq;
	bool filed;	/* the rows came from a file */
};

/* As a process that begins sees it. */
static void
look(struct site *s, const char *name, struct view *v)
{
	struct mailbox *m;

	memset(v, 0, sizeof(*v));
	site_reopen(s);
	m = open_box(s->account, name);
	v->filed = m->folder->filed;
	v->exists = mailbox_exists(m);
	v->unseen = mailbox_first_unseen(m);
	v->modseq = mailbox_highest_modseq(m);
	assert_true(v->exists <= SEEN_MAX);
	for (uint32_t i = 0; i < v->exists; i++)
		v->message[i] = message_of(m, i + 1);
	/* The first to look has them. */
	for (uint32_t i = 0; i < v->exists; i++)
		v->message[i].recent = false;
	mailbox_close(m);
}

/* From a file or not, it is what the index says; afterwards there is a file again. */
static void
look_twice(struct site *s, const char *name, bool filed)
{
	struct view quick, slow;

	look(s, name, &quick);
	assert_int_equal(quick.filed, filed);
	shell(s, "rm -rf .trivet/snapshot.*");
	look(s, name, &slow);
	assert_false(slow.filed);
	quick.filed = false;
	assert_memory_equal(&quick, &slow, sizeof(quick));
}

static struct site *
furnished(void)
{
	struct site *s = site_new_in_memory();
	struct mailbox *m;

	for (int i = 0; i < MESSAGES; i++)
		put_mail(s->account, "INBOX");
	m = open_box(s->account, "INBOX");
	set_flags(s, m, 3, FLAGS_ADD, FLAG_SEEN, "NonJunk");
	set_flags(s, m, 4, FLAGS_ADD, FLAG_FLAGGED, "$Forwarded");
	mailbox_close(m);
	return s;
}

/* One that writes no such file, and leaves those that are there. */
static struct account *
open_other(struct site *s)
{
	struct account *a = NULL;
	int fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_ok(account_open(fd, &(struct account_options){ .address = STR("u@example.test"), .daemon = "pop3d",
	    .snapshot_from = UINT32_MAX }, &a));
	return a;
}

static void
change_all_kinds(struct site *s)
{
	struct account *a = open_other(s);
	struct mailbox *m = open_box(a, "INBOX");
	struct uid_set set = one_range(s->arena, 20, 22);
	struct copied c;

	put_mail(a, "INBOX");
	set_flags(s, m, 1, FLAGS_ADD, FLAG_SEEN, "a-new-word");
	set_flags(s, m, 4, FLAGS_REMOVE, FLAG_FLAGGED, NULL);
	set_flags(s, m, 7, FLAGS_ADD, FLAG_DELETED, NULL);
	set_flags(s, m, MESSAGES, FLAGS_ADD, FLAG_DELETED, NULL);
	assert_ok(mailbox_expunge(m, NULL));
	assert_ok(mailbox_move(m, &set, STR("Archive"), s->arena, &c));
	mailbox_close(m);
	account_close(a);
}

static void
what_was_written_is_read_and_what_came_since_is_added(void **state)
{
	struct site *s = furnished();
	struct view v;

	(void)state;
	look(s, "INBOX", &v);
	assert_true(v.filed);
	look_twice(s, "INBOX", true);
	change_all_kinds(s);
	look_twice(s, "INBOX", true);
	change_all_kinds(s);
	look(s, "INBOX", &v);
	assert_true(v.filed);
	assert_int_equal(v.exists, MESSAGES + 2 - 2 - 3);
	site_free(s);
}

static void
a_small_mailbox_has_no_file(void **state)
{
	struct site *s = furnished();

	(void)state;
	shell(s, "rm .trivet/snapshot.*");
	account_close(s->account);
	s->account = open_other(s);
	mailbox_close(open_box(s->account, "INBOX"));
	shell(s, "! ls .trivet/snapshot.* 2>/dev/null");
	site_free(s);
}

static void
an_older_file_or_one_of_another_mailbox_is_not_believed(void **state)
{
	struct site *s = furnished();
	struct mailbox *m;

	(void)state;
	shell(s, "cp -p .trivet/snapshot.1 kept");
	m = open_box(s->account, "INBOX");
	for (uint32_t uid = 10; uid < 20; uid++)
		set_flags(s, m, uid, FLAGS_ADD, FLAG_ANSWERED, NULL);
	mailbox_close(m);
	shell(s, "! cmp -s kept .trivet/snapshot.1 && mv kept .trivet/snapshot.1");
	look_twice(s, "INBOX", false);
	for (int i = 0; i < MESSAGES; i++)
		put_mail(s->account, "Archive");
	mailbox_close(open_box(s->account, "Archive"));
	shell(s, "cd .trivet && other=$(ls snapshot.[2-9]) && mv snapshot.1 a && mv $other snapshot.1 && mv a $other");
	look_twice(s, "INBOX", false);
	look_twice(s, "Archive", false);
	site_free(s);
}

static void
a_file_is_not_believed_by_an_index_that_was_made_anew(void **state)
{
	struct site *s = furnished();

	(void)state;
	account_close(s->account);
	shell(s, "rm .trivet/index.db*");
	s->account = open_account(s->path, "imapd", 0);
	look_twice(s, "INBOX", false);
	site_free(s);
}

/* The other way round as well: each is older than the other once. */
static void
an_index_from_a_backup_and_a_file_do_not_mislead_each_other(void **state)
{
	for (int which = 0; which < 3; which++) {
		static const char *const back[] = { "cp -a kept/index.db kept/index.db-wal .trivet/",
		    "cp -a kept/snapshot.1 .trivet/", "cp -a kept/. .trivet/" };
		struct site *s = furnished();
		struct mailbox *m;

		(void)state;
		account_close(s->account);
		shell(s, "rm -f .trivet/index.db-shm && cp -a .trivet kept");
		s->account = open_account(s->path, "imapd", 0);
		change_all_kinds(s);
		m = open_box(s->account, "INBOX");
		for (uint32_t uid = 10; uid < 20; uid++)
			set_flags(s, m, uid, FLAGS_ADD, FLAG_ANSWERED, NULL);
		mailbox_close(m);
		account_close(s->account);
		shell(s, which == 1 ? "true" : "rm .trivet/index.db*");
		shell(s, back[which]);
		s->account = open_account(s->path, "imapd", 0);
		look_twice(s, "INBOX", false);
		site_free(s);
	}
}

static void
after_an_unclean_boot_the_file_is_not_used(void **state)
{
	struct site *s = furnished();

	(void)state;
	account_close(s->account);
	shell(s, "python3 -c \"import sqlite3; c = sqlite3.connect('.trivet/index.db'); "
	    "c.execute('update state set value = 1 where key = \\'boot\\''); c.commit()\" && touch boots");
	s->account = open_account(s->path, "imapd", 0);
	look_twice(s, "INBOX", false);
	site_free(s);
}

static void
a_row_that_left_no_trace_is_noticed(void **state)
{
	static const char *const changes[] = {
		"UPDATE mailboxes SET messages = messages - 1 WHERE number = 1",
		"UPDATE mailboxes SET unseen = unseen - 1 WHERE number = 1",
		"UPDATE mailboxes SET bytes = bytes + 1 WHERE number = 1",
	};

	(void)state;
	for (size_t i = 0; i < countof(changes); i++) {
		struct site *s = furnished();
		char line[400];

		account_close(s->account);
		snprintf(line, sizeof(line), "python3 -c \"import sqlite3; c = sqlite3.connect('.trivet/index.db'); "
		    "c.executescript('''%s''')\"", changes[i]);
		shell(s, line);
		s->account = open_account(s->path, "imapd", 0);
		look_twice(s, "INBOX", false);
		site_free(s);
	}
}

/* ---- mapped, or read ---- */

static struct mailbox *
open_again(struct site *s, bool mapped)
{
	struct mailbox *m;

	site_reopen(s);
	m = open_box(s->account, "INBOX");
	assert_true(m->folder->filed);
	assert_int_equal(m->folder->map != NULL, mapped);
	return m;
}

static void
rows_that_nobody_touched_are_mapped_and_others_read_and_written_again(void **state)
{
	struct site *s = furnished();
	uint64_t boot = 1;

	(void)state;
	mailbox_close(open_again(s, true));
	shell(s, "touch .trivet/snapshot.1");
	mailbox_close(open_again(s, false));
	mailbox_close(open_again(s, true));
	/* As one that was written before the machine went down, though the index was closed by then. */
	s->account->boot ^= 1;
	mailbox_close(open_box(s->account, "Archive"));
	shell(s, "rm .trivet/snapshot.1");
	mailbox_close(open_box(s->account, "INBOX"));
	mailbox_close(open_again(s, false));
	mailbox_close(open_again(s, true));
	/* Where the kernel does not say, none is ever believed unread. */
	site_reopen(s);
	boot = (uint64_t)s->account->boot;
	s->account->boot = 0;
	shell(s, "cp -p .trivet/snapshot.1 before");
	for (int i = 0; i < 2; i++) {
		struct mailbox *m = open_box(s->account, "INBOX");

		assert_true(m->folder->filed && m->folder->map == NULL);
		mailbox_close(m);
	}
	shell(s, "cmp before .trivet/snapshot.1");
	s->account->boot = (int64_t)boot;
	look_twice(s, "INBOX", true);
	site_free(s);
}

static void
what_changes_while_it_is_mapped_does_not_reach_the_file(void **state)
{
	struct site *s = furnished();
	struct mailbox *m;

	(void)state;
	m = open_again(s, true);
	shell(s, "cp .trivet/snapshot.1 before");
	set_flags(s, m, 2, FLAGS_ADD, FLAG_DELETED, NULL);
	assert_ok(mailbox_expunge(m, NULL));
	assert_true(m->folder->map != NULL);
	/* Gone as a name, and on the disk with what was mapped of it. */
	assert_true(snapshot_files_release(s->account));
	assert_null(m->folder->map);
	shell(s, "cp before .trivet/snapshot.1");
	assert_int_equal(message_of(m, 1).uid, 1);
	put_mail(s->account, "INBOX");
	assert_ok(mailbox_refresh(m));
	mailbox_close(m);
	look_twice(s, "INBOX", true);
	m = open_again(s, true);
	put_mail(s->account, "INBOX");
	assert_ok(mailbox_refresh(m));
	assert_null(m->folder->map);	/* no room for one more */
	assert_int_equal(m->folder->count, MESSAGES + 1);
	mailbox_close(m);
	look_twice(s, "INBOX", true);
	site_free(s);
}

/* ---- damaged ---- */

static size_t
take_file(struct site *s, struct buf *out)
{
	scoped_fd dir = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;

	fd = openat(dir, ".trivet/snapshot.1", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && files_read_all(fd, 1 << 20, out));
	return out->n;
}

static bool
is_taken(struct site *s, uint32_t exists)
{
	struct mailbox *m;
	bool filed;

	m = open_box(s->account, "INBOX");
	filed = m->folder->filed;
	assert_int_equal(mailbox_exists(m), exists);
	assert_int_equal(message_of(m, 3).keywords, 1);
	m->folder->gone = true;		/* is not written anew */
	mailbox_close(m);
	return filed;
}

static void
a_file_with_one_bit_flipped_or_cut_off_is_not_taken(void **state)
{
	struct site *s = furnished();
	scoped_buf whole = BUF_INIT;
	size_t n = take_file(s, &whole);

	(void)state;
	assert_true(is_taken(s, MESSAGES));
	for (size_t bit = 0; bit < n * 8; bit++) {
		whole.p[bit / 8] ^= (char)(1 << bit % 8);
		write_file(s, ".trivet/snapshot.1", buf_str(&whole));
		assert_false(is_taken(s, MESSAGES));
		whole.p[bit / 8] ^= (char)(1 << bit % 8);
	}
	for (size_t length = 0; length < n; length++) {
		write_file(s, ".trivet/snapshot.1", str_sub(buf_str(&whole), 0, length));
		assert_false(is_taken(s, MESSAGES));
	}
	buf_put_c(&whole, '\0');
	write_file(s, ".trivet/snapshot.1", buf_str(&whole));
	assert_false(is_taken(s, MESSAGES));
	buf_cut(&whole, n);
	write_file(s, ".trivet/snapshot.1", buf_str(&whole));
	assert_true(is_taken(s, MESSAGES));
	site_free(s);
}

static void
what_lies_in_its_place_is_not_read(void **state)
{
	static const char *const things[] = { "mkdir .trivet/snapshot.1", "mkfifo .trivet/snapshot.1",
	    "ln -s /dev/zero .trivet/snapshot.1", "ln -s ../kept .trivet/snapshot.1" };
	struct site *s = furnished();

	(void)state;
	shell(s, "cp .trivet/snapshot.1 kept");
	for (size_t i = 0; i < countof(things); i++) {
		shell(s, "rm -rf .trivet/snapshot.1");
		shell(s, things[i]);
		assert_false(is_taken(s, MESSAGES));
	}
	site_free(s);
}

/* ---- being written ---- */

static void
a_writer_that_dies_or_finds_no_room_leaves_the_mailbox_as_it_is(void **state)
{
	struct site *s = furnished();
	struct rlimit before, small;
	struct mailbox *m;

	(void)state;
	/* Died before the file had its name: the index vouches for one that never was. */
	shell(s, "mv .trivet/snapshot.1 .trivet/snapshot.1.new");
	look_twice(s, "INBOX", false);
	look_twice(s, "INBOX", true);
	shell(s, "rm -f .trivet/snapshot.1 && mkdir .trivet/snapshot.1.new");
	look_twice(s, "INBOX", false);
	shell(s, "rm -rf .trivet/snapshot.*");
	/* The file cannot be longer than this. */
	m = open_box(s->account, "INBOX");
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = 200;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	mailbox_close(m);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	shell(s, "! ls .trivet/snapshot.* 2>/dev/null");
	look_twice(s, "INBOX", false);
	look_twice(s, "INBOX", true);
	site_free(s);
}

static void
what_another_changed_before_it_was_named_is_not_in_it(void **state)
{
	struct site *s = furnished();
	struct mailbox *m;

	(void)state;
	shell(s, "rm .trivet/snapshot.1");
	m = open_box(s->account, "INBOX");
	change_all_kinds(s);
	mailbox_close(m);	/* has not heard of it */
	look_twice(s, "INBOX", true);
	site_free(s);
}

static void
files_go_with_their_mailboxes_and_where_room_is_needed(void **state)
{
	struct site *s = furnished();

	(void)state;
	put_mail(s->account, "Archive");
	assert_ok(mailbox_create(s->account, STR("Short"), 0));
	put_mail(s->account, "Short");
	mailbox_close(open_box(s->account, "Short"));
	shell(s, "test $(ls .trivet/snapshot.* | wc -l) = 2");
	assert_ok(mailbox_delete(s->account, STR("Short")));
	shell(s, "test $(ls .trivet/snapshot.* | wc -l) = 1");
	shell(s, "touch .trivet/snapshot.99 .trivet/snapshot.1.new .trivet/snapshot.x");
	snapshot_files_sweep(s->account);
	shell(s, "test \"$(ls .trivet/ | grep snapshot)\" = snapshot.1");
	assert_true(snapshot_files_release(s->account));
	assert_false(snapshot_files_release(s->account));
	look_twice(s, "INBOX", false);
	site_free(s);
}

/* What could not be moved after all comes back to its number, between those that stayed. */
static void
a_message_that_came_back_to_its_number_is_in_its_place(void **state)
{
	struct site *s = furnished();
	struct mailbox *m;
	struct view v;

	(void)state;
	change_all_kinds(s);
	m = open_box(s->account, "INBOX");
	mailbox_close(m);
	account_close(s->account);
	shell(s, "python3 -c \"import sqlite3; c = sqlite3.connect('.trivet/index.db'); c.executescript('''"
	    "UPDATE mailboxes SET modseq = modseq + 1, messages = messages + 1, unseen = unseen + 1, bytes = bytes + 5 "
	    "WHERE number = 1; INSERT INTO messages SELECT key + 6, mailbox, (SELECT modseq FROM mailboxes WHERE number = 1), "
	    "0, 0, 5, internal_date, '', 0 FROM messages WHERE key = (1 << 32) + 1; "
	    "DELETE FROM expunged WHERE mailbox = 1 AND uid = 7''')\"");
	s->account = open_account(s->path, "imapd", 0);
	look(s, "INBOX", &v);
	assert_false(v.filed);
	assert_int_equal(v.message[6].uid, 7);
	for (uint32_t i = 1; i < v.exists; i++)
		assert_true(v.message[i - 1].uid < v.message[i].uid);
	look_twice(s, "INBOX", true);
	site_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read_and_what_came_since_is_added),
		cmocka_unit_test(a_small_mailbox_has_no_file),
		cmocka_unit_test(an_older_file_or_one_of_another_mailbox_is_not_believed),
		cmocka_unit_test(a_file_is_not_believed_by_an_index_that_was_made_anew),
		cmocka_unit_test(an_index_from_a_backup_and_a_file_do_not_mislead_each_other),
		cmocka_unit_test(after_an_unclean_boot_the_file_is_not_used),
		cmocka_unit_test(a_row_that_left_no_trace_is_noticed),
		cmocka_unit_test(rows_that_nobody_touched_are_mapped_and_others_read_and_written_again),
		cmocka_unit_test(what_changes_while_it_is_mapped_does_not_reach_the_file),
		cmocka_unit_test(a_file_with_one_bit_flipped_or_cut_off_is_not_taken),
		cmocka_unit_test(what_lies_in_its_place_is_not_read),
		cmocka_unit_test(a_writer_that_dies_or_finds_no_room_leaves_the_mailbox_as_it_is),
		cmocka_unit_test(what_another_changed_before_it_was_named_is_not_in_it),
		cmocka_unit_test(files_go_with_their_mailboxes_and_where_room_is_needed),
		cmocka_unit_test(a_message_that_came_back_to_its_number_is_in_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
