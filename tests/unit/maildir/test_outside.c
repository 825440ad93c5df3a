/* SPDX-License-Identifier: ISC */
/*
 * What other programs do to the files, what crashes leave, and what is planted to harm:
 * seen within two seconds, repaired, never followed.
 */
#include "tests/unit/maildir/test.h"

#include <poll.h>
#include <sys/wait.h>

#include "maildir/private.h"

/* As an idling daemon does it: waits for the account's descriptor or its work. */
static const char *
idle(struct site *s, struct mailbox *m)
{
	struct pollfd p = { .fd = account_event_fd(s->account), .events = POLLIN };
	const char *text;

	for (int i = 0; i < 20; i++) {
		if (poll(&p, 1, 100) > 0)
			account_on_event(s->account);
		while (account_work_due_ms(s->account) == 0 && account_work(s->account))
			continue;
		assert_ok(mailbox_refresh(m));
		text = changes(m, false);
		if (text[0] != '\0')
			return text;
	}
	return "";
}

/* Flags that wait for their names have them. */
static void
write_names(struct site *s)
{
	s->account->rename_due = 1;
	while (account_work(s->account))
		continue;
}

static void
a_message_dropped_into_new_is_seen(void **state)
{
	struct site *s = site_new();
	struct mailbox *m = open_box(s->account, "INBOX");
	struct content *c;
	struct str bytes;

	(void)state;
	write_file(s, "tmp/x", STR("Subject: lf\n\nhello\n"));
	shell(s, "mv tmp/x new/1700000001.M1P2.elsewhere");
	assert_string_equal(idle(s, m), "E1");
	assert_int_equal(message_of(m, 1).size, 22);
	assert_int_equal(mailbox_recent(m), 1);
	assert_int_equal(count_files(s, "new"), 0);
	assert_non_null(strstr(find_name(s, "cur", "elsewhere"),
	    "1700000001.M1P2.elsewhere,S=19,W=22,U=1:2,"));
	assert_ok(content_open(m, 1, &c));
	assert_ok(content_bytes(c, &bytes));
	assert_str(bytes, STR("Subject: lf\r\n\r\nhello\r\n"));
	content_close(c);
	/* Nothing more comes of our own renaming. */
	assert_ok(mailbox_refresh(m));
	assert_string_equal(changes(m, false), "");
	mailbox_close(m);
	site_free(s);
}

static void
a_removed_file_is_expunged_and_a_renamed_flag_taken_over(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;

	(void)state;
	for (int i = 0; i < 3; i++)
		put_mail(s->account, "INBOX");
	m = open_box(s->account, "INBOX");
	shell(s, "rm cur/*U=2:2,");
	assert_string_equal(idle(s, m), "X2");
	shell(s, "for f in cur/*U=3:2,; do mv \"$f\" \"${f}FPS\"; done");
	assert_string_equal(idle(s, m), "K F2");
	assert_int_equal(message_of(m, 2).flags, FLAG_FLAGGED | FLAG_SEEN);
	assert_int_equal(message_of(m, 2).keywords, 1);
	assert_str(mailbox_keyword(m, 0), STR("$Forwarded"));
	/* Their change and ours, at once: both hold. */
	set_flags(s, m, 3, FLAGS_ADD, FLAG_ANSWERED, NULL);
	shell(s, "for f in cur/*U=3:2,FPS; do mv \"$f\" \"${f%FPS}PS\"; done");
	assert_string_equal(idle(s, m), "F2");
	assert_int_equal(message_of(m, 2).flags, FLAG_ANSWERED | FLAG_SEEN);
	for (int i = 0; i < 100 && strstr(find_name(s, "cur", "U=3"), ":2,PRS") == NULL; i++) {
		usleep(100000);
		while (account_work(s->account))
			continue;
	}
	assert_non_null(strstr(find_name(s, "cur", "U=3"), ":2,PRS"));
	mailbox_close(m);
	site_free(s);
}

static void
changes_while_nobody_looks_are_found_at_the_next_opening(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;
	struct mailbox_info info;

	(void)state;
	for (int i = 0; i < 3; i++)
		put_mail(s->account, "INBOX");
	site_reopen(s);
	account_close(s->account);
	shell(s, "rm cur/*U=1:2,; mv cur/*U=2:2, cur/x; mv cur/x \"cur/$(ls cur | grep U=3 | "
	    "sed s/U=3:2,/U=2:2,S/)\"; printf 'a: b\\r\\n\\r\\n' > new/1.2.3");
	s->account = open_account(s->path, "imapd", 0);
	assert_ok(mailbox_status(s->account, STR("INBOX"), s->arena, &info));
	assert_int_equal(info.messages, 3);
	m = open_box(s->account, "INBOX");
	assert_int_equal(mailbox_exists(m), 3);
	assert_int_equal(message_of(m, 1).uid, 3);
	mailbox_close(m);
	site_free(s);
}

static void
clashing_and_foreign_uids_are_given_anew(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;

	(void)state;
	put_mail(s->account, "INBOX");
	put_mail(s->account, "INBOX");
	m = open_box(s->account, "INBOX");
	shell(s, "cp cur/*U=1:2, new/; cp cur/*U=2:2, cur/1.other.host,S=1,W=1,U=77:2,S");
	shell(s, "printf 'a: b\\r\\n\\r\\n' > cur/9.other.host,S=8,W=8,U=4000000000:2,S");
	assert_string_equal(idle(s, m), "E4");
	assert_int_equal(message_of(m, 4).uid, 4);
	assert_int_equal(mailbox_uid_next(m), 5);
	assert_string_equal(changes(m, false), "");
	/* The one whose S= lies is hidden, not removed. */
	shell(s, "test -f cur/1.other.host,S=1,W=1,U=77:2,S");
	mailbox_close(m);
	site_free(s);
}

static void
planted_links_pipes_and_directories_are_left_alone(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;
	struct content *c;
	struct str text[TEXT_COUNT];

	(void)state;
	put_mail(s->account, "INBOX");
	m = open_box(s->account, "INBOX");
	shell(s, "ln -s /etc/passwd cur/1.link.x:2,S; ln -s /etc/passwd new/2.link.x;"
	    "mkfifo new/3.fifo.x cur/4.fifo.x:2,; mkdir new/5.dir.x cur/6.dir.x:2,S;"
	    "ln -s /etc new/7.dirlink; touch cur/.hidden");
	assert_string_equal(idle(s, m), "");
	assert_int_equal(mailbox_exists(m), 1);
	/* In the place of a message we know. */
	shell(s, "f=$(ls cur/*U=1:2,); rm $f; ln -s /etc/passwd $f");
	assert_int_equal(content_open(m, 1, &c), STORE_BROKEN);
	assert_int_equal(message_texts(m, 9, 1, text), STORE_GONE);
	shell(s, "f=$(ls cur/*U=1:2,); rm $f; mkfifo $f");
	assert_int_equal(content_open(m, 1, &c), STORE_BROKEN);
	mailbox_close(m);
	shell(s, "mv cur cur2; ln -s /tmp cur");
	assert_int_equal(mailbox_open(s->account, STR("INBOX"), MAILBOX_READ_WRITE, &m),
	    STORE_BROKEN);
	shell(s, "rm cur; mv cur2 cur; mv .Sent s; ln -s s .Sent");
	assert_int_not_equal(mailbox_open(s->account, STR("Sent"), MAILBOX_READ_WRITE, &m),
	    STORE_OK);
	site_free(s);
}

/* Nothing is written to a file that has a name elsewhere, and all is made anew. */
static void
what_lies_in_the_place_of_our_files_is_set_aside(void **state)
{
	static const char *const planted[] = {
		"rm -rf .trivet; ln -s /nowhere .trivet", "rm -rf .trivet; mkfifo .trivet",
		"rm .trivet/index.db*; ln -s ../theirs .trivet/index.db", "rm .trivet/index.db*; ln theirs .trivet/index.db",
		"rm .trivet/index.db*; mkdir .trivet/index.db .trivet/index.db.broken",
		"rm .trivet/index.db-wal; mkfifo .trivet/index.db-wal", "rm .trivet/index.db-shm; ln theirs .trivet/index.db-shm",
		"rm -rf .trivet/index.db .trivet/lock; ln -s ../theirs .trivet/lock",
	};
	struct site *s = site_new();
	struct mailbox *m;

	(void)state;
	put_mail(s->account, "INBOX");
	put_mail(s->account, "INBOX");
	write_file(s, "theirs", STR("untouched"));
	for (size_t i = 0; i < countof(planted); i++) {
		shell(s, planted[i]);
		site_reopen(s);
		m = open_box(s->account, "INBOX");
		assert_int_equal(mailbox_exists(m), 2);
		assert_int_equal(message_of(m, 2).uid, 2);
		mailbox_close(m);
		shell(s, "test \"$(cat theirs)\" = untouched && rm -rf trivet-aside.* .trivet/trivet-aside.* "
		    ".trivet/*.broken");
	}
	site_free(s);
}

static void
a_mailbox_whose_file_became_a_directory_is_a_new_one(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;

	(void)state;
	put_mail(s->account, "INBOX");
	shell(s, "rm -rf trivet-mailbox .trivet; mkdir trivet-mailbox");
	site_reopen(s);
	m = open_box(s->account, "INBOX");
	assert_int_equal(mailbox_exists(m), 1);
	mailbox_close(m);
	shell(s, "test -f trivet-mailbox && rmdir trivet-aside.*");
	site_free(s);
}

/* Only root can make such a thing. */
static void
another_users_file_that_was_linked_here_is_no_message(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;

	(void)state;
	if (geteuid() == 0) {
		shell(s, "mkdir o; printf 'Subject: secret\n\nx\n' > o/f; chown 12345 o/f; ln o/f new/1.hard.x; "
		    "ln o/f cur/2.hard.x,S=19,W=22:2,");
		m = open_box(s->account, "INBOX");
		assert_int_equal(mailbox_exists(m), 0);
		mailbox_close(m);
	}
	site_free(s);
}

static void
what_a_dead_writer_left_is_finished(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;
	struct content *c;

	(void)state;
	for (int i = 0; i < 3; i++)
		put_mail(s->account, "INBOX");
	m = open_box(s->account, "INBOX");
	/* Died between commit and rename: the file is still in tmp/ under its prefix. */
	shell(s, "f=$(cd cur && ls | grep U=1:2,); mv cur/$f tmp/${f%%,S=*}");
	assert_ok(content_open(m, 1, &c));
	content_close(c);
	assert_int_equal(count_files(s, "tmp"), 0);
	assert_int_equal(count_files(s, "cur"), 3);
	shell(s, "f=$(cd cur && ls | grep U=2:2,); mv cur/$f tmp/${f%%,S=*}");
	assert_string_equal(idle(s, m), "");
	assert_int_equal(count_files(s, "cur"), 3);
	/* Died between an expunge's commit and the unlink. */
	shell(s, "f=$(ls cur/*U=3:2,); ln $f keep; echo $f > name");
	set_flags(s, m, 3, FLAGS_ADD, FLAG_DELETED, NULL);
	assert_ok(mailbox_expunge(m, NULL));
	assert_string_equal(changes(m, false), "X3");
	shell(s, "ln keep $(cat name)");
	assert_string_equal(idle(s, m), "");
	assert_int_equal(count_files(s, "cur"), 2);
	mailbox_close(m);
	site_free(s);
}

static void
a_lost_file_is_gone_for_readers(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;
	struct content *c;
	struct uid_set set = one_range(s->arena, 1, 9);
	struct copied copied;

	(void)state;
	put_mail(s->account, "INBOX");
	put_mail(s->account, "INBOX");
	m = open_box(s->account, "INBOX");
	shell(s, "rm cur/*U=1:2,");
	assert_int_equal(content_open(m, 1, &c), STORE_GONE);
	assert_ok(mailbox_copy(m, &set, STR("Trash"), s->arena, &copied));
	assert_int_equal(copied.count, 1);
	assert_ok(mailbox_refresh(m));
	assert_string_equal(changes(m, false), "X1");
	shell(s, "for f in cur/*U=2:2,; do printf x >> $f; done");
	assert_int_equal(content_open(m, 2, &c), STORE_GONE);
	mailbox_close(m);
	site_free(s);
}

/* As the manual says a message is restored: the old name does not matter. */
static void
what_is_put_back_is_a_message_again(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;

	(void)state;
	for (int i = 0; i < 2; i++)
		put_mail(s->account, "INBOX");
	shell(s, "mkdir backup; cp -a cur/* backup/");
	m = open_box(s->account, "INBOX");
	set_flags(s, m, 1, FLAGS_ADD, FLAG_DELETED, NULL);
	set_flags(s, m, 2, FLAGS_ADD, FLAG_DELETED, NULL);
	assert_ok(mailbox_expunge(m, NULL));
	assert_string_equal(changes(m, false), "X1 X1");
	shell(s, "cp -a backup/*U=1:2, new/");
	assert_string_equal(idle(s, m), "E1");
	usleep(200 * 1000);
	shell(s, "cp -a backup/*U=2:2, cur/");
	assert_string_equal(idle(s, m), "E2");
	assert_int_equal(message_of(m, 1).uid, 3);
	assert_int_equal(message_of(m, 2).uid, 4);
	/* Moved away and back: also where we saw it go. */
	shell(s, "mv cur/*U=3:2, away");
	assert_string_equal(idle(s, m), "X1");
	shell(s, "mv away cur/1.away.x,S=129,W=129,U=3:2,S");
	assert_string_equal(idle(s, m), "E2");
	mailbox_close(m);
	site_free(s);
}

/* Others write the fields that they know, and count for themselves. */
static void
a_name_that_is_changed_otherwise_changes_flags_too(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;

	(void)state;
	put_mail(s->account, "INBOX");
	m = open_box(s->account, "INBOX");
	set_flags(s, m, 1, FLAGS_ADD, FLAG_ANSWERED, "word");
	write_names(s);
	(void)idle(s, m);
	shell(s, "f=$(ls cur | grep U=1:2,); mv cur/$f \"cur/${f%%,S=*},U=77:2,Sa\"");
	assert_string_equal(idle(s, m), "F1");
	assert_int_equal(message_of(m, 1).flags, FLAG_SEEN);
	assert_int_equal(message_of(m, 1).keywords, 1);
	assert_non_null(strstr(find_name(s, "cur", ""), ",U=1:2,Sa"));
	assert_string_equal(idle(s, m), "");
	mailbox_close(m);
	site_free(s);
}

/* Away just when it was to be renamed, and back before anybody looked: our flags are still to be written. */
static void
a_name_that_was_away_for_a_moment_says_the_flags_in_the_end(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;

	(void)state;
	put_mail(s->account, "INBOX");
	put_mail(s->account, "INBOX");
	m = open_box(s->account, "INBOX");
	set_flags(s, m, 1, FLAGS_ADD, FLAG_ANSWERED, NULL);
	shell(s, "mkdir away; mv cur/*U=1:* away/");
	write_names(s);
	shell(s, "mv away/* cur/");
	assert_string_equal(idle(s, m), "");
	assert_int_equal(message_of(m, 1).flags, FLAG_ANSWERED);
	write_names(s);
	assert_non_null(strstr(find_name(s, "cur", ",U=1:"), ":2,R"));
	assert_string_equal(idle(s, m), "");
	mailbox_close(m);
	site_free(s);
}

static void
a_folder_lacks_directories(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;

	(void)state;
	put_mail(s->account, "Sent");
	put_mail(s->account, "Sent");
	shell(s, "rmdir .Sent/new .Sent/tmp; mkdir .Half; rm -r .Junk/cur; rm -r new tmp");
	m = open_box(s->account, "Sent");
	assert_int_equal(mailbox_exists(m), 2);
	put_mail(s->account, "Sent");
	assert_ok(mailbox_refresh(m));
	assert_string_equal(changes(m, false), "E3");
	mailbox_close(m);
	put_mail(s->account, "Junk");
	put_mail(s->account, "INBOX");
	put_mail(s->account, "Half");
	shell(s, "rm -r .Sent/cur; test -d .Half/new -a -d .Junk/cur -a -d new");
	m = open_box(s->account, "Sent");
	assert_int_equal(mailbox_exists(m), 0);
	assert_int_equal(mailbox_uid_next(m), 4);
	mailbox_close(m);
	site_free(s);
}

static const char *const odd_names[] = {
	"17.\xff\xfe\x80.h", "17.a b\tc.h", "17.new\nline.h", "-rf", "17.colon:1,x.h", "17.twice:2,F:2,S", "17.comma,,.h",
	"17.S=x,S=y.h", "17.quote'\"\\.h", "17.percent%s%n.h", "x", "17.\xea\xb0\x80.h", "999999999999999999999999.x.h",
	"17.u,U=0,S=129,W=129", "17.minus,S=-1,W=-1",
};

/* In cur/ with flags and in new/; and 255 octets long. */
static void
names_may_have_any_octets(void **state)
{
	struct site *s = site_new();
	char path[400], longest[256];
	struct mailbox *m;
	struct content *c;
	struct copied copied;
	struct uid_set all = one_range(s->arena, 1, UINT32_MAX);
	uint32_t count = countof(odd_names) + 1, validity;

	(void)state;
	for (size_t i = 0; i < countof(odd_names); i++) {
		snprintf(path, sizeof(path), "%s/%s%s", i % 2 ? "cur" : "new", odd_names[i],
		    i % 2 && strstr(odd_names[i], ":2,") == NULL ? ":2,S" : "");
		write_file(s, path, STR(MAIL));
	}
	memset(longest, 'y', sizeof(longest) - 1);
	longest[255] = '\0';
	snprintf(path, sizeof(path), "new/%s", longest);
	write_file(s, path, STR(MAIL));
	m = open_box(s->account, "INBOX");
	assert_int_equal(mailbox_exists(m), count);
	assert_int_equal(count_files(s, "new"), 0);
	for (uint32_t i = 1; i <= count; i++) {
		assert_ok(content_open(m, i, &c));
		assert_int_equal(content_size(c), sizeof(MAIL) - 1);
		content_close(c);
		set_flags(s, m, i, FLAGS_ADD, FLAG_FLAGGED, NULL);
	}
	assert_ok(mailbox_copy(m, &all, STR("Trash"), s->arena, &copied));
	assert_int_equal(copied.count, count);
	validity = mailbox_uidvalidity(m);
	mailbox_close(m);
	account_close(s->account);
	shell(s, "rm .trivet/index.db");
	s->account = open_account(s->path, "imapd", 0);
	m = open_box(s->account, "INBOX");
	assert_int_equal(mailbox_exists(m), count);
	assert_int_equal(mailbox_uidvalidity(m), validity);
	for (uint32_t i = 1; i <= count; i++) {
		assert_int_equal(message_of(m, i).uid, i);
		assert_true((message_of(m, i).flags & FLAG_FLAGGED) != 0);
		set_flags(s, m, i, FLAGS_ADD, FLAG_DELETED, NULL);
	}
	assert_ok(mailbox_expunge(m, NULL));
	assert_int_equal(count_files(s, "cur"), 0);
	mailbox_close(m);
	site_free(s);
}

/* 26 have letters; the others live in the index, also over a move; 64 is the end. */
static void
more_keywords_than_there_are_letters(void **state)
{
	struct site *s = site_new();
	struct mailbox *m = open_box(s->account, "INBOX");
	struct uid_set one = one_range(s->arena, 1, 1);
	struct stored stored;
	struct str word = STR("one-too-many");
	struct copied copied;
	char name[8];

	(void)state;
	put_mail(s->account, "INBOX");
	assert_ok(mailbox_refresh(m));
	assert_string_equal(changes(m, false), "E1");
	for (int i = 0; i < KEYWORDS_MAX; i++) {
		snprintf(name, sizeof(name), "k%d", i);
		set_flags(s, m, 1, FLAGS_ADD, 0, name);
	}
	assert_int_equal(mailbox_store(m, &one, FLAGS_ADD, &(struct flags){ 0, &word, 1 }, UINT64_MAX, s->arena, &stored),
	    STORE_TOO_LARGE);
	assert_false(mailbox_takes_keywords(m));
	mailbox_close(m);
	site_reopen(s);
	assert_non_null(strstr(find_name(s, "cur", "U=1"), ":2,abcdefghijklmnopqrstuvwxyz"));
	m = open_box(s->account, "INBOX");
	assert_true(message_of(m, 1).keywords == UINT64_MAX);
	/* A letter that somebody takes away takes away its keyword, and no other. */
	shell(s, "f=$(ls cur); mv cur/$f cur/${f%z}");
	assert_string_equal(idle(s, m), "F1");
	assert_true(message_of(m, 1).keywords == (UINT64_MAX & ~((uint64_t)1 << 25)));
	assert_ok(mailbox_move(m, &one, STR("Trash"), s->arena, &copied));
	mailbox_close(m);
	m = open_box(s->account, "Trash");
	assert_int_equal(mailbox_keyword_count(m), KEYWORDS_MAX - 1);
	assert_true(message_of(m, 1).keywords == UINT64_MAX >> 1);
	mailbox_close(m);
	site_free(s);
}

static void
as_somebody(const char *path)
{
	struct account *a;
	struct mailbox *m;
	struct content *c;
	struct str text[TEXT_COUNT];

	if (setgid(12345) != 0 || setuid(12345) != 0)
		_exit(9);
	a = open_account(path, "imapd", 0);
	m = open_box(a, "INBOX");
	/* The one that says its size is there and cannot be read; of the other nothing is known. */
	if (mailbox_exists(m) != 2)
		_exit(1);
	if (content_open(m, message_of(m, 2).uid, &c) != STORE_BROKEN ||
	    message_texts(m, message_of(m, 2).uid, 1 << TEXT_HEADER, text) != STORE_BROKEN)
		_exit(2);
	if (content_open(m, message_of(m, 1).uid, &c) != STORE_OK)
		_exit(3);
	content_close(c);
	mailbox_close(m);
	account_close(a);
	_exit(0);
}

/* Only root can make it so for another user; for others it is their own file that nobody may read. */
static void
a_file_that_may_not_be_read_harms_no_other(void **state)
{
	struct site *s = site_new();
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() == 0) {
		account_close(s->account);
		shell(s, "rm -rf .trivet; printf 'Subject: a\r\n\r\n' > cur/1.good.h,S=14,W=14:2,;"
		    "cp cur/1.good* cur/2.says.h,S=14,W=14:2,; cp cur/1.good* cur/3.not.h:2,; cp cur/1.good* new/4.not.h;"
		    "chmod 000 cur/2* cur/3* new/4*; chown -R 12345:12345 .");
		pid = fork();
		if (pid == 0)
			as_somebody(s->path);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
		shell(s, "test -e cur/3.not.h:2, -a -e new/4.not.h; chown -R 0:0 .; chmod 600 cur/* new/*");
		s->account = open_account(s->path, "imapd", 0);
	}
	site_free(s);
}

static void
without_inotify_the_directories_are_looked_at(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;

	(void)state;
	put_mail(s->account, "INBOX");
	m = open_box(s->account, "INBOX");
	close(s->account->inotify);
	s->account->inotify = -1;
	m->folder->watch_cur = m->folder->watch_new = -1;
	s->account->poll_due = 1;
	shell(s, "cp cur/*U=1:2, new/other.x.y");
	assert_string_equal(idle(s, m), "E2");
	shell(s, "rm cur/*U=1:2,");
	assert_string_equal(idle(s, m), "X1");
	set_flags(s, m, 2, FLAGS_ADD, FLAG_SEEN, NULL);
	assert_string_equal(idle(s, m), "");
	mailbox_close(m);
	site_free(s);
}

static void
files_that_nobody_finished_are_removed_after_a_while(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;

	(void)state;
	write_file(s, "tmp/1.young.x", STR("x"));
	write_file(s, "new/2.new.x", STR(MAIL));
	m = open_box(s->account, "INBOX");
	assert_int_equal(mailbox_exists(m), 1);
	assert_int_equal(count_files(s, "tmp"), 1);
	mailbox_close(m);
	site_free(s);
}

static void
only_the_owner_may_read_what_is_made(void **state)
{
	struct site *s = site_new();

	(void)state;
	put_mail(s->account, "INBOX");
	put_mail(s->account, "Sent");
	shell(s, "test -z \"$(find . -mindepth 1 -perm /077)\"");
	site_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_dropped_into_new_is_seen),
		cmocka_unit_test(a_removed_file_is_expunged_and_a_renamed_flag_taken_over),
		cmocka_unit_test(changes_while_nobody_looks_are_found_at_the_next_opening),
		cmocka_unit_test(clashing_and_foreign_uids_are_given_anew),
		cmocka_unit_test(planted_links_pipes_and_directories_are_left_alone),
		cmocka_unit_test(what_lies_in_the_place_of_our_files_is_set_aside),
		cmocka_unit_test(a_mailbox_whose_file_became_a_directory_is_a_new_one),
		cmocka_unit_test(another_users_file_that_was_linked_here_is_no_message),
		cmocka_unit_test(what_a_dead_writer_left_is_finished),
		cmocka_unit_test(a_lost_file_is_gone_for_readers),
		cmocka_unit_test(what_is_put_back_is_a_message_again),
		cmocka_unit_test(a_name_that_is_changed_otherwise_changes_flags_too),
		cmocka_unit_test(a_name_that_was_away_for_a_moment_says_the_flags_in_the_end),
		cmocka_unit_test(a_folder_lacks_directories),
		cmocka_unit_test(names_may_have_any_octets),
		cmocka_unit_test(more_keywords_than_there_are_letters),
		cmocka_unit_test(a_file_that_may_not_be_read_harms_no_other),
		cmocka_unit_test(without_inotify_the_directories_are_looked_at),
		cmocka_unit_test(files_that_nobody_finished_are_removed_after_a_while),
		cmocka_unit_test(only_the_owner_may_read_what_is_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
