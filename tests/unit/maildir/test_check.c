/* SPDX-License-Identifier: ISC */
/* account_check: each damage is found and named, put right on demand, and nothing is touched before. */
#include "tests/unit/maildir/test.h"

struct seen {
	unsigned count[FOUND_KINDS];
	unsigned repaired[FOUND_KINDS];
	unsigned later[FOUND_KINDS];
	struct check_result result;
};

static void
on_found(void *context, const struct finding *f)
{
	struct seen *s = context;

	if (getenv("TRIVET_TEST_LOG") != NULL)
		fprintf(stderr, "kind %d uid %u %.*s %.*s is %llu should %llu%s%s\n", f->kind, f->uid,
		    STR_ARG(f->file), STR_ARG(f->detail), (unsigned long long)f->is,
		    (unsigned long long)f->should, f->later ? " later" : "", f->repaired ? " repaired" : "");
	s->count[f->kind]++;
	s->repaired[f->kind] += f->repaired;
	s->later[f->kind] += f->later;
}

static struct seen
check(const char *path, bool repair)
{
	struct seen seen = { 0 };
	struct account_options options = { .address = STR("u@example.test"), .daemon = "trivet" };
	struct check_options check = { .repair = repair, .found = on_found, .context = &seen };
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_ok(account_check(fd, &options, &check, &seen.result));
	return seen;
}

static void
assert_clean(const char *path)
{
	struct seen s = check(path, false);

	assert_int_equal(s.result.faults + s.result.later + s.result.repaired, 0);
}

/* Everything in the account's directory as one text, but for the databases, which SQLite puts in order when it closes them. */
static char *
inventory(struct site *s)
{
	char path[300], *text = calloc(1, 65536);
	FILE *f;

	snprintf(path, sizeof(path), "cd %s && find . -not -name '*.db*' -type f -exec sha256sum {} + | sort;"
	    "cd %s && find . -not -name '*.db-*' | sort", s->path, s->path);
	f = popen(path, "r");
	assert_non_null(f);
	assert_true(fread(text, 1, 65535, f) > 0);
	pclose(f);
	return text;
}

/* Ten messages in INBOX, two in Archive, some flags and a keyword; closed. */
static struct site *
furnished(void)
{
	struct site *s = site_new();
	struct mailbox *m;

	for (int i = 0; i < 10; i++)
		put_mail(s->account, "INBOX");
	put_mail(s->account, "Archive");
	put_mail(s->account, "Archive");
	m = open_box(s->account, "INBOX");
	set_flags(s, m, 2, FLAGS_ADD, FLAG_SEEN | FLAG_FLAGGED, "NonJunk");
	mailbox_close(m);
	account_close(s->account);
	s->account = NULL;
	return s;
}

static void
finish(struct site *s)
{
	assert_clean(s->path);
	s->account = open_account(s->path, "imapd", 0);
	site_free(s);
}

static void
index_sql(struct site *s, const char *sql)
{
	char command[900];

	snprintf(command, sizeof(command), "python3 -c 'import sqlite3\nc = sqlite3.connect(\".trivet/index.db\")\n"
	    "c.executescript(\"\"\"%s\"\"\")\nc.commit()\n'", sql);
	shell(s, command);
}

/* Damage is told and left alone, then repaired; `messages` are left in INBOX. */
static struct seen
see_and_repair(struct site *s, enum finding_kind kind, unsigned count)
{
	char *before = inventory(s), *after;
	struct seen told = check(s->path, false), done;

	after = inventory(s);
	assert_string_equal(before, after);
	free(before);
	free(after);
	assert_int_equal(told.count[kind], count);
	assert_int_equal(told.repaired[kind], 0);
	done = check(s->path, true);
	assert_int_equal(done.repaired[kind], count);
	assert_int_equal(done.result.faults, 0);
	assert_clean(s->path);
	return told;
}

static uint32_t
messages_in(struct site *s, const char *name)
{
	struct mailbox_info info;

	s->account = open_account(s->path, "imapd", 0);
	assert_ok(mailbox_status(s->account, str_of(name), s->arena, &info));
	account_close(s->account);
	s->account = NULL;
	return info.messages;
}

static void
a_whole_account_has_no_findings_and_is_not_touched(void **state)
{
	struct site *s = furnished();
	char *before = inventory(s), *after;
	struct seen seen = check(s->path, false);

	(void)state;
	after = inventory(s);
	assert_string_equal(before, after);
	free(before);
	free(after);
	assert_int_equal(seen.result.mailboxes, 6);
	assert_int_equal(seen.result.messages, 12);
	assert_int_equal(seen.result.bytes, 12 * (sizeof(MAIL) - 1));
	assert_int_equal(seen.result.faults + seen.result.notes + seen.result.later, 0);
	finish(s);
}

/* A look within the same tick of the clock as a change is not the last one. */
static void
let_it_settle(struct site *s)
{
	usleep(50 * 1000);
	messages_in(s, "INBOX");
}

static void
a_new_file_is_for_the_next_session_unless_nobody_would_see_it(void **state)
{
	struct site *s = furnished();
	struct seen seen;

	(void)state;
	shell(s, "printf 'a: b\\n\\nc\\n' > new/1700000000.x.y");
	seen = see_and_repair(s, FOUND_FILE_NEW, 1);
	assert_int_equal(seen.later[FOUND_FILE_NEW], 1);
	assert_int_equal(messages_in(s, "INBOX"), 11);
	/* The directory's time is set back: by it nobody would look. */
	let_it_settle(s);
	shell(s, "touch -r cur stamp; printf 'a: b\\n\\nc\\n' > cur/1700000001.x.y:2,S; touch -r stamp cur; rm stamp");
	seen = see_and_repair(s, FOUND_FILE_NEW, 1);
	assert_int_equal(seen.later[FOUND_FILE_NEW], 0);
	assert_int_equal(messages_in(s, "INBOX"), 12);
	finish(s);
}

static void
a_lost_file_takes_its_message_along(void **state)
{
	struct site *s = furnished();
	struct seen seen;

	(void)state;
	let_it_settle(s);
	shell(s, "touch -r cur stamp; rm cur/*,U=3:*; touch -r stamp cur; rm stamp");
	seen = see_and_repair(s, FOUND_FILE_MISSING, 1);
	assert_int_equal(seen.result.faults, 1);
	assert_int_equal(messages_in(s, "INBOX"), 9);
	finish(s);
}

static void
what_a_torn_or_changed_file_has_becomes_a_new_message(void **state)
{
	struct site *s = furnished();
	struct mailbox *m;

	(void)state;
	shell(s, "f=$(ls cur/*,U=3:*); printf 'Subject: tor' > $f");
	see_and_repair(s, FOUND_FILE_SIZE, 1);
	/* As long as before, with bare LFs now. */
	shell(s, "f=$(ls cur/*,U=4:*); tr '\\r' ' ' < $f > x; cat x > $f; rm x");
	see_and_repair(s, FOUND_FILE_WIRE, 1);
	shell(s, "echo torn > cur/1700000002.a.b,S=900,W=900,U=77:2,");
	see_and_repair(s, FOUND_FILE_SIZE, 1);
	s->account = open_account(s->path, "imapd", 0);
	m = open_box(s->account, "INBOX");
	assert_int_equal(mailbox_exists(m), 11);
	assert_int_equal(mailbox_seq_of_uid(m, 3), 0);
	assert_int_equal(mailbox_seq_of_uid(m, 4), 0);
	assert_int_equal(mailbox_seq_of_uid(m, 77), 0);
	assert_true(message_of(m, 9).uid > 10);
	assert_int_equal(message_of(m, 9).size, 12);
	mailbox_close(m);
	account_close(s->account);
	finish(s);
}

static void
wrong_sums_are_counted_anew(void **state)
{
	struct site *s = furnished();
	struct usage usage;

	(void)state;
	index_sql(s, "update mailboxes set messages = 99, unseen = 3, bytes = 12345 where name = \\\"INBOX\\\"");
	see_and_repair(s, FOUND_COUNTS, 3);
	s->account = open_account(s->path, "imapd", 0);
	assert_ok(account_usage(s->account, &usage));
	assert_int_equal(usage.bytes, 12 * (sizeof(MAIL) - 1));
	assert_int_equal(usage.messages, 12);
	account_close(s->account);
	finish(s);
}

static void
the_next_uid_is_raised_above_all_and_its_reserve_above_it(void **state)
{
	struct site *s = furnished();

	(void)state;
	index_sql(s, "update mailboxes set uid_next = 4 where name = \\\"INBOX\\\"");
	see_and_repair(s, FOUND_UID_NEXT, 1);
	shell(s, "sed -i 's/^uid_reserve .*/uid_reserve 5/' trivet-mailbox");
	see_and_repair(s, FOUND_UID_NEXT, 1);
	s->account = open_account(s->path, "imapd", 0);
	assert_true(put_mail(s->account, "INBOX") > 10);
	account_close(s->account);
	finish(s);
}

static void
flags_in_names_follow_the_rows(void **state)
{
	struct site *s = furnished();

	(void)state;
	index_sql(s, "update messages set flags = 16 where key % 4294967296 = 5 and mailbox ="
	    " (select number from mailboxes where name = \\\"INBOX\\\");"
	    "update mailboxes set unseen = unseen - 1 where name = \\\"INBOX\\\"");
	see_and_repair(s, FOUND_FILE_FLAGS, 1);
	assert_string_not_equal(find_name(s, "cur", ",U=5:2,S"), "");
	finish(s);
}

static void
a_lost_or_broken_identity_comes_back_from_the_index(void **state)
{
	struct site *s = furnished();
	struct mailbox_info before, after;

	(void)state;
	s->account = open_account(s->path, "imapd", 0);
	assert_ok(mailbox_status(s->account, STR("Archive"), s->arena, &before));
	account_close(s->account);
	shell(s, "rm .Archive/trivet-mailbox");
	see_and_repair(s, FOUND_CONTROL_MISSING, 1);
	shell(s, "echo rubbish > .Archive/trivet-mailbox");
	see_and_repair(s, FOUND_CONTROL_BAD, 1);
	shell(s, "sed -i /subscribed/d .Archive/trivet-mailbox");
	see_and_repair(s, FOUND_CONTROL_DIFFERS, 1);
	s->account = open_account(s->path, "imapd", 0);
	assert_ok(mailbox_status(s->account, STR("Archive"), s->arena, &after));
	account_close(s->account);
	assert_int_equal(before.uidvalidity, after.uidvalidity);
	assert_str(before.id, after.id);
	assert_true(before.subscribed && !after.subscribed);
	/* Another mailbox's, of when nobody knows: what it is now is neither of them, with its messages. */
	shell(s, "sed -i 's/^uidvalidity .*/uidvalidity 77/; s/^id ./id 7/' .Archive/trivet-mailbox");
	see_and_repair(s, FOUND_CONTROL_DIFFERS, 1);
	s->account = open_account(s->path, "imapd", 0);
	assert_ok(mailbox_status(s->account, STR("Archive"), s->arena, &after));
	account_close(s->account);
	assert_int_not_equal(after.uidvalidity, before.uidvalidity);
	assert_int_not_equal(after.uidvalidity, 77);
	assert_int_equal(after.messages, 2);
	finish(s);
}

static void
a_damaged_or_missing_index_is_made_anew(void **state)
{
	struct site *s = furnished();

	(void)state;
	shell(s, "rm .trivet/index.db*");
	see_and_repair(s, FOUND_INDEX_MISSING, 1);
	assert_int_equal(messages_in(s, "INBOX"), 10);
	shell(s, "dd if=/dev/zero of=.trivet/index.db bs=4096 seek=2 count=4 conv=notrunc 2>/dev/null");
	see_and_repair(s, FOUND_INDEX_DAMAGED, 1);
	assert_int_equal(messages_in(s, "INBOX"), 10);
	shell(s, "echo no database at all, never was one > .trivet/index.db; rm -f .trivet/index.db-*");
	see_and_repair(s, FOUND_INDEX_DAMAGED, 1);
	assert_int_equal(messages_in(s, "INBOX"), 10);
	finish(s);
}

static void
rows_that_belong_to_nothing_go(void **state)
{
	struct site *s = furnished();

	(void)state;
	index_sql(s, "insert into files (key, base, saved) values (99 * 4294967296 + 1, \\\"x\\\", null);"
	    "insert into messages values (98 * 4294967296 + 1, 98, 1, 0, 0, 1, 1, \\\"\\\", 0);"
	    "insert into expunged (mailbox, modseq, uid, base) values (97, 1, 1, \\\"y\\\")");
	see_and_repair(s, FOUND_INDEX_ROWS, 1);
	index_sql(s, "insert into made (key, preview) values (96 * 4294967296 + 1, \\\"z\\\")");
	see_and_repair(s, FOUND_INDEX_ROWS, 1);
	/* A message with half a row is taken in anew. */
	index_sql(s, "delete from files where key % 4294967296 = 6");
	check(s->path, true);
	assert_clean(s->path);
	assert_int_equal(messages_in(s, "INBOX"), 10);
	finish(s);
}

static void
a_damaged_search_database_is_thrown_away(void **state)
{
	struct site *s = furnished();

	(void)state;
	shell(s, "echo this is no database either, or is it > .trivet/search.db");
	see_and_repair(s, FOUND_SEARCH_DAMAGED, 1);
	assert_int_not_equal(access(s->path, F_OK), -1);
	assert_string_equal(find_name(s, ".trivet", "search.db"), "");
	finish(s);
}

static void
links_and_strangers_are_told_and_left_alone(void **state)
{
	struct site *s = furnished();
	struct seen seen;

	(void)state;
	shell(s, "ln -s /etc/passwd cur/1700000009.a.b,S=1,W=1:2,; mkdir cur/folder; mkfifo new/pipe;"
	    "mkdir mbsync; touch .dovecot.sieve subscriptions");
	seen = check(s->path, true);
	assert_int_equal(seen.count[FOUND_FILE_FOREIGN], 3);
	assert_int_equal(seen.repaired[FOUND_FILE_FOREIGN], 0);
	assert_int_equal(seen.result.faults, 3);
	assert_int_equal(seen.count[FOUND_NOT_OURS], 3);
	shell(s, "test -L cur/1700000009.a.b,S=1,W=1:2, && test -d cur/folder && test -p new/pipe &&"
	    "rm -r cur/17000000* cur/folder new/pipe; ls mbsync .dovecot.sieve subscriptions > /dev/null");
	finish(s);
}

static void
folders_made_and_removed_outside_are_told(void **state)
{
	struct site *s = furnished();
	struct seen seen;

	(void)state;
	shell(s, "mkdir -p .New/cur .New/new .New/tmp; rm -r .Junk; printf 'a: b\\n\\n' > .New/new/1.2.3");
	seen = check(s->path, false);
	assert_int_equal(seen.later[FOUND_FOLDER_NEW], 1);
	assert_int_equal(seen.count[FOUND_FOLDER_GONE], 1);
	assert_int_equal(seen.result.faults, 0);
	check(s->path, true);
	assert_clean(s->path);
	assert_int_equal(messages_in(s, "New"), 1);
	finish(s);
}

/* A delivery that is cut off between its row and its name. */
static void
an_unfinished_delivery_is_finished(void **state)
{
	struct site *s = furnished();

	(void)state;
	shell(s, "f=$(ls cur | grep ,U=7:); mv cur/$f tmp/${f%%,S=*}; ls tmp | grep -q .");
	see_and_repair(s, FOUND_FILE_UNFINISHED, 1);
	assert_int_equal(messages_in(s, "INBOX"), 10);
	assert_int_equal(count_files(s, "tmp"), 0);
	finish(s);
}

static void
a_recount_finds_what_was_wrong(void **state)
{
	struct site *s = furnished();
	struct usage before, now;

	(void)state;
	index_sql(s, "update mailboxes set bytes = bytes + 1000, messages = messages - 1");
	s->account = open_account(s->path, "imapd", 0);
	assert_ok(account_recount(s->account, &before, &now));
	assert_int_equal(now.bytes, 12 * (sizeof(MAIL) - 1));
	assert_int_equal(now.messages, 12);
	assert_int_equal(before.bytes, now.bytes + 6000);
	assert_ok(account_recount(s->account, &before, &now));
	assert_int_equal(before.bytes, now.bytes);
	assert_int_equal(before.messages, now.messages);
	account_close(s->account);
	finish(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_account_has_no_findings_and_is_not_touched),
		cmocka_unit_test(a_new_file_is_for_the_next_session_unless_nobody_would_see_it),
		cmocka_unit_test(a_lost_file_takes_its_message_along),
		cmocka_unit_test(what_a_torn_or_changed_file_has_becomes_a_new_message),
		cmocka_unit_test(wrong_sums_are_counted_anew),
		cmocka_unit_test(the_next_uid_is_raised_above_all_and_its_reserve_above_it),
		cmocka_unit_test(flags_in_names_follow_the_rows),
		cmocka_unit_test(a_lost_or_broken_identity_comes_back_from_the_index),
		cmocka_unit_test(a_damaged_or_missing_index_is_made_anew),
		cmocka_unit_test(rows_that_belong_to_nothing_go),
		cmocka_unit_test(a_damaged_search_database_is_thrown_away),
		cmocka_unit_test(links_and_strangers_are_told_and_left_alone),
		cmocka_unit_test(folders_made_and_removed_outside_are_told),
		cmocka_unit_test(an_unfinished_delivery_is_finished),
		cmocka_unit_test(a_recount_finds_what_was_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
