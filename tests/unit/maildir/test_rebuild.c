/* SPDX-License-Identifier: ISC */
/* The index lost, broken, or older than what clients know. */
#include "tests/unit/maildir/test.h"

struct known {
	struct message message[40];
	uint32_t exists;
	uint32_t uidvalidity;
	uint32_t uid_next;
	uint64_t modseq;
	char id[20];
	char keyword[3][20];
};

static void
look(struct account *a, const char *name, struct known *k)
{
	struct mailbox *m = open_box(a, name);

	memset(k, 0, sizeof(*k));
	k->exists = mailbox_exists(m);
	for (uint32_t i = 0; i < k->exists; i++)
		k->message[i] = message_of(m, i + 1);
	k->uidvalidity = mailbox_uidvalidity(m);
	k->uid_next = mailbox_uid_next(m);
	k->modseq = mailbox_highest_modseq(m);
	memcpy(k->id, mailbox_id(m).p, mailbox_id(m).n);
	for (size_t i = 0; i < mailbox_keyword_count(m) && i < 3; i++)
		memcpy(k->keyword[i], mailbox_keyword(m, i).p, mailbox_keyword(m, i).n);
	mailbox_close(m);
}

static void
furnish(struct site *s)
{
	struct mailbox *m;
	struct uid_set set;
	struct copied c;

	for (int i = 0; i < 30; i++)
		put_mail(s->account, "INBOX");
	m = open_box(s->account, "INBOX");
	set_flags(s, m, 3, FLAGS_ADD, FLAG_SEEN, "NonJunk");
	set_flags(s, m, 4, FLAGS_ADD, FLAG_FLAGGED, "$Forwarded");
	set_flags(s, m, 5, FLAGS_ADD, FLAG_DELETED, NULL);
	set_flags(s, m, 30, FLAGS_ADD, FLAG_DELETED, NULL);
	assert_ok(mailbox_expunge(m, NULL));
	set = one_range(s->arena, 10, 12);
	assert_ok(mailbox_move(m, &set, STR("Archive"), s->arena, &c));
	mailbox_close(m);
}

static void
compare(const struct known *before, const struct known *after)
{
	assert_int_equal(before->exists, after->exists);
	assert_int_equal(before->uidvalidity, after->uidvalidity);
	assert_string_equal(before->id, after->id);
	assert_true(after->uid_next >= before->uid_next);
	assert_true(after->modseq > before->modseq);
	assert_memory_equal(before->keyword, after->keyword, sizeof(before->keyword));
	for (uint32_t i = 0; i < before->exists; i++) {
		assert_int_equal(before->message[i].uid, after->message[i].uid);
		assert_int_equal(before->message[i].flags, after->message[i].flags);
		assert_int_equal(before->message[i].keywords, after->message[i].keywords);
		assert_int_equal(before->message[i].size, after->message[i].size);
		assert_int_equal(before->message[i].internal_date,
		    after->message[i].internal_date);
		assert_true(after->message[i].modseq > before->modseq);
	}
}

static void
a_deleted_index_comes_back_whole(void **state)
{
	struct site *s = site_new();
	struct known inbox, archive, after;
	struct mailbox_info *all;
	struct usage one, two;
	size_t count;

	(void)state;
	furnish(s);
	look(s->account, "INBOX", &inbox);
	look(s->account, "Archive", &archive);
	assert_ok(account_usage(s->account, &one));
	account_close(s->account);
	shell(s, "rm -r .trivet");
	s->account = open_account(s->path, "imapd", 0);
	look(s->account, "INBOX", &after);
	compare(&inbox, &after);
	look(s->account, "Archive", &after);
	compare(&archive, &after);
	assert_ok(account_usage(s->account, &two));
	assert_int_equal(one.bytes, two.bytes);
	assert_int_equal(one.messages, two.messages);
	assert_ok(account_list(s->account, s->arena, &all, &count));
	assert_int_equal(count, 6);
	assert_int_equal(all[1].special_use, USE_ARCHIVE);
	assert_true(all[1].subscribed);
	assert_true(put_mail(s->account, "INBOX") > inbox.uid_next);
	site_free(s);
}

static void
a_corrupt_index_is_rebuilt_under_an_open_handle(void **state)
{
	struct site *s = site_new();
	struct known before, after;
	struct mailbox *m;
	enum store_result r = STORE_BUSY;

	(void)state;
	furnish(s);
	site_reopen(s);	/* names say the flags now */
	look(s->account, "INBOX", &before);
	m = open_box(s->account, "INBOX");
	shell(s, "rm .trivet/index.db");
	for (int i = 0; i < 3 && r == STORE_BUSY; i++)
		r = mailbox_refresh(m);
	assert_ok(r);
	assert_string_equal(changes(m, false), "");
	set_flags(s, m, 1, FLAGS_ADD, FLAG_SEEN, NULL);
	put_mail(s->account, "INBOX");
	assert_ok(mailbox_refresh(m));
	assert_string_equal(changes(m, false), "E26");
	mailbox_close(m);
	account_close(s->account);
	/* Garbage over the whole file, and over its middle only. */
	shell(s, "printf 'not a database, for sure, no no no no' > .trivet/index.db");
	s->account = open_account(s->path, "imapd", 0);
	look(s->account, "INBOX", &after);
	assert_int_equal(after.exists, 26);
	account_close(s->account);
	shell(s, "dd if=/dev/zero of=.trivet/index.db bs=4096 seek=1 count=30 conv=notrunc "
	    "2>/dev/null");
	s->account = NULL;
	for (int i = 0; i < 5 && s->account == NULL; i++) {
		int fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (account_open(fd, &(struct account_options){ .address = STR("u"),
		    .daemon = "imapd" }, &s->account) != STORE_OK)
			s->account = NULL;
	}
	assert_non_null(s->account);
	for (int i = 0; i < 5; i++)
		if (mailbox_open(s->account, STR("INBOX"), MAILBOX_READ_WRITE, &m) == STORE_OK) {
			assert_int_equal(mailbox_exists(m), 26);
			mailbox_close(m);
			i = 9;
		}
	look(s->account, "INBOX", &after);
	assert_int_equal(after.uidvalidity, before.uidvalidity);
	for (uint32_t i = 0; i < before.exists; i++)
		assert_int_equal(before.message[i].uid, after.message[i].uid);
	site_free(s);
}

/* The tail of the log is lost with the power, or all of it; the files are not. */
static void
boot_uncleanly(const char *log_left)
{
	struct site *s = site_new();
	struct known before, after;

	put_mail(s->account, "INBOX");
	account_close(s->account);
	shell(s, "cp .trivet/index.db old.db");
	s->account = open_account(s->path, "imapd", 0);
	furnish(s);
	look(s->account, "INBOX", &before);
	account_close(s->account);
	shell(s, "mv old.db .trivet/index.db; printf left > .trivet/index.db-wal;"
	    "rm -f .trivet/index.db-shm");
	shell(s, "python3 -c 'import sqlite3\n"
	    "c = sqlite3.connect(\".trivet/index.db\")\n"
	    "c.execute(\"update state set value = 1 where key = \\\"boot\\\"\")\n"
	    "c.commit(); c.execute(\"pragma wal_checkpoint(truncate)\")\n'");
	shell(s, log_left);
	s->account = open_account(s->path, "imapd", 0);
	look(s->account, "INBOX", &after);
	assert_int_equal(before.exists, after.exists);
	assert_int_equal(before.uidvalidity, after.uidvalidity);
	for (uint32_t i = 0; i < before.exists; i++) {
		assert_int_equal(before.message[i].uid, after.message[i].uid);
		assert_true(after.message[i].modseq > before.modseq);
	}
	assert_true(after.uid_next >= before.uid_next);
	site_free(s);
}

static void
after_an_unclean_boot_no_uid_and_no_modseq_comes_twice(void **state)
{
	(void)state;
	boot_uncleanly("printf left > .trivet/index.db-wal");
	boot_uncleanly("rm -f .trivet/index.db-wal");
	boot_uncleanly(": > .trivet/index.db-wal");
}

/* There is one snapshot of a mailbox, and one watch, also for who opens it after a rebuild that others slept through. */
static void
a_session_hears_of_others_after_a_rebuild(void **state)
{
	struct site *s = site_new();
	struct mailbox *one, *two;

	(void)state;
	put_mail(s->account, "INBOX");
	one = open_box(s->account, "INBOX");
	shell(s, "rm .trivet/index.db");
	two = open_box(s->account, "INBOX");
	mailbox_close(two);
	usleep(50 * 1000);
	shell(s, "printf 'a: b\n\nc\n' > new/1.2.3");
	account_on_event(s->account);
	assert_ok(mailbox_refresh(one));
	assert_string_equal(changes(one, false), "E2");
	mailbox_close(one);
	site_free(s);
}

static void
a_foreign_maildir_is_taken_over(void **state)
{
	struct site *s = site_new();
	struct mailbox_info *all;
	struct known k;
	size_t count;

	(void)state;
	account_close(s->account);
	shell(s, "rm -rf .trivet .[A-Z]* trivet-mailbox; mkdir -p .Trash/cur .Trash/new .Trash/tmp;"
	    "printf 'a: b\\n\\nc\\n' > cur/1600000002.M1.h:2,S;"
	    "printf 'a: b\\n\\nc\\n' > cur/1600000001.M1.h,S=8:2,FR;"
	    "printf 'a: b\\n\\nc\\n' > new/1600000003.M1.h");
	s->account = open_account(s->path, "imapd", 0);
	assert_ok(account_list(s->account, s->arena, &all, &count));
	assert_int_equal(count, 2);
	assert_int_equal(all[1].special_use, USE_TRASH);
	look(s->account, "INBOX", &k);
	assert_int_equal(k.exists, 3);
	assert_int_equal(k.message[0].flags, FLAG_FLAGGED | FLAG_ANSWERED);
	assert_int_equal(k.message[1].flags, FLAG_SEEN);
	assert_true(k.message[2].recent);
	assert_int_equal(k.message[2].size, 11);
	site_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_deleted_index_comes_back_whole),
		cmocka_unit_test(a_corrupt_index_is_rebuilt_under_an_open_handle),
		cmocka_unit_test(after_an_unclean_boot_no_uid_and_no_modseq_comes_twice),
		cmocka_unit_test(a_session_hears_of_others_after_a_rebuild),
		cmocka_unit_test(a_foreign_maildir_is_taken_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
