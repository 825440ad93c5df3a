/* SPDX-License-Identifier: ISC */
/* One account, one process: every operation once, and what it leaves on disk. */
#include "tests/unit/maildir/test.h"

static void
a_new_account_has_its_default_folders(void **state)
{
	struct site *s = site_new();
	struct mailbox_info *all;
	size_t count;

	(void)state;
	assert_ok(account_list(s->account, s->arena, &all, &count));
	assert_int_equal(count, 6);
	assert_str(all[0].name, STR("INBOX"));
	assert_str(all[1].name, STR("Archive"));
	assert_int_equal(all[1].special_use, USE_ARCHIVE);
	for (size_t i = 0; i < count; i++)
		assert_true(all[i].subscribed && all[i].selectable && !all[i].has_children);
	site_free(s);
}

static void
append_gives_ascending_uids_and_names_that_say_all(void **state)
{
	struct site *s = site_new();
	struct str words[] = { STR("$Forwarded"), STR("NonJunk") };
	struct mailbox *m;
	struct message message;
	const char *name;

	(void)state;
	assert_int_equal(put_mail(s->account, "INBOX"), 1);
	assert_int_equal(put(s->account, "inbox", STR(MAIL),
	    (struct flags){ FLAG_SEEN | FLAG_FLAGGED, words, 2 }), 2);
	m = open_box(s->account, "INBOX");
	assert_int_equal(mailbox_exists(m), 2);
	assert_int_equal(mailbox_recent(m), 2);
	assert_int_equal(mailbox_first_unseen(m), 1);
	assert_int_equal(mailbox_uid_next(m), 3);
	message = message_of(m, 2);
	assert_int_equal(message.uid, 2);
	assert_int_equal(message.size, sizeof(MAIL) - 1);
	assert_int_equal(message.flags, FLAG_SEEN | FLAG_FLAGGED);
	assert_int_equal(message.keywords, 3);
	assert_int_equal(message.internal_date, 1700000000);
	assert_str(mailbox_keyword(m, 0), STR("$Forwarded"));
	name = find_name(s, "cur", "U=2");
	assert_non_null(strstr(name, ":2,FPSa"));
	assert_int_equal(count_files(s, "tmp"), 0);
	mailbox_close(m);
	m = open_box(s->account, "INBOX");
	assert_int_equal(mailbox_recent(m), 0);
	mailbox_close(m);
	site_free(s);
}

static void
texts_and_content_come_back(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;
	struct str text[TEXT_COUNT], bytes;
	struct content *c;
	scoped_buf part = BUF_INIT;

	(void)state;
	put_mail(s->account, "INBOX");
	m = open_box(s->account, "INBOX");
	for (int again = 0; again < 2; again++) {
		assert_ok(message_texts(m, 1, (1 << TEXT_COUNT) - 1, text));
		assert_true(str_starts(text[TEXT_ENVELOPE],
		    STR("(\"Sat, 21 Nov 2026 18:48:32 +0000\" \"hello\"")));
		assert_true(str_starts(text[TEXT_BODYSTRUCTURE], STR("(\"text\" \"plain\"")) ||
		    str_starts(text[TEXT_BODYSTRUCTURE], STR("(\"TEXT\" \"PLAIN\"")));
		assert_true(str_ends(text[TEXT_HEADER], STR("<1@a.test>\r\n\r\n")));
	}
	assert_ok(content_open(m, 1, &c));
	assert_int_equal(content_size(c), sizeof(MAIL) - 1);
	assert_ok(content_read(c, sizeof(MAIL) - 1 - 8, 100, &part));
	assert_str(buf_str(&part), STR("Hi Bob\r\n"));
	assert_ok(content_bytes(c, &bytes));
	assert_str(bytes, STR(MAIL));
	content_close(c);
	assert_int_equal(message_texts(m, 7, 1, text), STORE_GONE);
	assert_int_equal(content_open(m, 7, &c), STORE_GONE);
	mailbox_close(m);
	site_free(s);
}

static void
bare_line_feeds_are_sent_as_crlf(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;
	struct content *c;
	struct str bytes;
	scoped_buf part = BUF_INIT;

	(void)state;
	put(s->account, "INBOX", STR("Subject: x\n\na\r\nb\n"), (struct flags){ 0 });
	m = open_box(s->account, "INBOX");
	assert_int_equal(message_of(m, 1).size, 20);
	assert_ok(content_open(m, 1, &c));
	assert_ok(content_read(c, 12, 4, &part));
	assert_str(buf_str(&part), STR("\r\na\r"));
	assert_ok(content_bytes(c, &bytes));
	assert_str(bytes, STR("Subject: x\r\n\r\na\r\nb\r\n"));
	content_close(c);
	assert_non_null(strstr(find_name(s, "cur", "U=1"), ",S=17,W=20,"));
	mailbox_close(m);
	site_free(s);
}

static void
a_large_message_goes_through_its_file(void **state)
{
	struct site *s = site_new();
	struct append *p;
	struct appended done;
	struct mailbox *m;
	struct content *c;
	struct str bytes, text[TEXT_COUNT];
	char line[1000];

	(void)state;
	memset(line, 'x', sizeof(line));
	line[998] = '\r';
	line[999] = '\n';
	assert_ok(append_begin(s->account, &(struct append_options){ .mailbox = STR("INBOX") }, &p));
	assert_ok(append_write(p, STR("Subject: big\r\n\r\n")));
	for (int i = 0; i < 300; i++)
		assert_ok(append_write(p, (struct str){ line, sizeof(line) }));
	assert_ok(append_prepare(p));
	assert_ok(append_publish(p, false, &done));
	m = open_box(s->account, "INBOX");
	assert_int_equal(message_of(m, 1).size, 300016);
	assert_ok(content_open(m, 1, &c));
	assert_ok(content_bytes(c, &bytes));
	assert_int_equal(bytes.n, 300016);
	content_close(c);
	assert_ok(message_texts(m, 1, 1 << TEXT_ENVELOPE, text));
	assert_true(str_starts(text[TEXT_ENVELOPE], STR("(NIL \"big\"")));
	mailbox_close(m);
	site_free(s);
}

static void
abandoned_appends_leave_nothing(void **state)
{
	struct site *s = site_new();
	struct append *p;
	struct usage usage;

	(void)state;
	assert_ok(append_begin(s->account, &(struct append_options){ .mailbox = STR("INBOX") }, &p));
	assert_ok(append_write(p, STR(MAIL)));
	assert_ok(append_prepare(p));
	assert_int_equal(count_files(s, "tmp"), 1);
	append_abandon(p);
	append_abandon(NULL);
	assert_int_equal(count_files(s, "tmp"), 0);
	assert_ok(account_usage(s->account, &usage));
	assert_int_equal(usage.messages, 0);
	assert_int_equal(append_begin(s->account,
	    &(struct append_options){ .mailbox = STR("Nowhere") }, &p), STORE_NO_SUCH);
	site_free(s);
}

static uint32_t
deliver_again(struct site *s, const char *recipient, bool retry, bool renew, bool *was_there)
{
	struct append *p;
	struct appended done;

	assert_ok(append_begin(s->account, &(struct append_options){ .mailbox = STR("Lists/c"),
	    .trace = STR("abcdefghijklmnop"), .recipient = str_of(recipient),
	    .may_create = true, .retry = retry, .renew = renew }, &p));
	assert_ok(append_write(p, STR(MAIL)));
	assert_ok(append_publish(p, true, &done));
	*was_there = done.was_there;
	return done.uid;
}

static uint32_t
deliver(struct site *s, const char *recipient, bool retry, bool *was_there)
{
	return deliver_again(s, recipient, retry, false, was_there);
}

/* Where its file system could not be synced, a delivery is made anew; not what was read and removed meanwhile. */
static void
what_was_expunged_does_not_come_back_when_copies_are_made_anew(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;
	bool there;
	uint32_t kept, gone;

	(void)state;
	gone = deliver(s, "a@b", false, &there);
	kept = deliver(s, "c@b", false, &there);
	m = open_box(s->account, "Lists/c");
	set_flags(s, m, gone, FLAGS_ADD, FLAG_DELETED, NULL);
	assert_ok(mailbox_expunge(m, NULL));
	assert_int_equal(deliver_again(s, "a@b", true, true, &there), gone);
	assert_true(there);
	assert_int_equal(deliver_again(s, "c@b", true, true, &there), kept);
	assert_true(there);
	mailbox_close(m);
	assert_int_equal(count_files(s, ".Lists.c/cur"), 1);
	site_free(s);
}

/* The power took the file, not the row, and the next look let go of the row: nobody expunged that. */
static void
a_delivery_whose_file_was_lost_comes_back(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;
	uint32_t lost;
	bool there;

	(void)state;
	lost = deliver(s, "a@b", false, &there);
	account_close(s->account);
	shell(s, "rm .Lists.c/cur/*");
	s->account = open_account(s->path, "imapd", 0);
	m = open_box(s->account, "Lists/c");
	assert_int_equal(mailbox_exists(m), 0);
	assert_true(deliver_again(s, "a@b", true, true, &there) > lost);
	assert_false(there);
	assert_int_equal(deliver_again(s, "a@b", true, true, &there), lost + 1);
	assert_true(there);
	mailbox_close(m);
	assert_int_equal(count_files(s, ".Lists.c/cur"), 1);
	site_free(s);
}

static void
a_delivery_is_published_once(void **state)
{
	struct site *s = site_new();
	bool there;

	(void)state;
	assert_int_equal(deliver(s, "a@b", false, &there), 1);
	assert_false(there);
	assert_int_equal(deliver(s, "a@b", true, &there), 1);
	assert_true(there);
	assert_int_equal(deliver(s, "c@b", true, &there), 2);
	assert_false(there);
	account_close(s->account);
	shell(s, "rm .trivet/index.db*");
	s->account = open_account(s->path, "imapd", 0);
	assert_int_equal(deliver(s, "a@b", true, &there), 1);
	assert_true(there);
	assert_int_equal(count_files(s, ".Lists.c/cur"), 2);
	assert_int_equal(count_files(s, ".Lists.c/tmp"), 0);
	site_free(s);
}

/* A kill between the row and the name leaves the file in tmp/. */
static void
a_delivery_cut_off_is_finished_by_the_next(void **state)
{
	struct site *s = site_new();
	bool there;

	(void)state;
	assert_int_equal(deliver(s, "a@b", false, &there), 1);
	shell(s, "cd .Lists.c/cur && for f in *; do mv $f ../tmp/${f%%,S=*}; done");
	assert_int_equal(count_files(s, ".Lists.c/cur"), 0);
	site_reopen(s);
	assert_int_equal(deliver(s, "a@b", true, &there), 1);
	assert_true(there);
	assert_int_equal(count_files(s, ".Lists.c/cur"), 1);
	assert_int_equal(count_files(s, ".Lists.c/tmp"), 0);
	shell(s, "rm .Lists.c/cur/*");		/* by another program; that is no fault */
	assert_int_equal(deliver(s, "a@b", true, &there), 1);
	assert_true(there);
	site_free(s);
}

static void
store_changes_flags_and_later_names(void **state)
{
	struct site *s = site_new();
	struct mailbox *m, *other;
	struct uid_set set;
	struct stored stored;
	uint64_t modseq;

	(void)state;
	put_mail(s->account, "INBOX");
	put_mail(s->account, "INBOX");
	m = open_box(s->account, "INBOX");
	other = open_box(s->account, "INBOX");
	modseq = mailbox_highest_modseq(m);
	set_flags(s, m, 2, FLAGS_ADD, FLAG_SEEN, "Work");
	assert_int_equal(message_of(m, 2).flags, FLAG_SEEN);
	assert_int_equal(message_of(m, 2).keywords, 1);
	assert_true(message_of(m, 2).modseq > modseq);
	assert_string_equal(changes(m, false), "K");
	assert_string_equal(changes(other, false), "K F2");
	set = one_range(s->arena, 1, 2);
	assert_ok(mailbox_store(m, &set, FLAGS_ADD, &(struct flags){ .system = FLAG_DELETED },
	    modseq, s->arena, &stored));
	assert_int_equal(stored.modified.count, 1);
	assert_true(uid_set_has(&stored.modified, 2));
	assert_int_equal(message_of(m, 1).flags, FLAG_DELETED);
	assert_int_equal(message_of(m, 2).flags, FLAG_SEEN);
	set_flags(s, m, 2, FLAGS_REMOVE, FLAG_SEEN, "work");
	assert_int_equal(message_of(m, 2).flags, 0);
	assert_int_equal(message_of(m, 2).keywords, 0);
	set_flags(s, m, 2, FLAGS_REPLACE, FLAG_DRAFT | FLAG_ANSWERED, "Work");
	assert_true(account_work_due_ms(s->account) >= 0);
	usleep(350000);
	account_work(s->account);
	assert_non_null(strstr(find_name(s, "cur", "U=1"), ":2,T"));
	assert_non_null(strstr(find_name(s, "cur", "U=2"), ":2,DRa"));
	mailbox_close(other);
	mailbox_close(m);
	site_reopen(s);
	m = open_box(s->account, "INBOX");
	assert_int_equal(message_of(m, 2).flags, FLAG_DRAFT | FLAG_ANSWERED);
	mailbox_close(m);
	site_free(s);
}

static bool
has_keyword(struct mailbox *m, uint32_t seq, const char *name)
{
	struct message message = message_of(m, seq);

	for (size_t k = 0; k < mailbox_keyword_count(m); k++)
		if (str_eq(mailbox_keyword(m, k), str_of(name)))
			return (message.keywords >> k & 1) != 0;
	return false;
}

/* RFC 9979 3.2, 4, 5 */
static void
keywords_that_exclude_each_other_are_never_together(void **state)
{
	struct site *s = site_new();
	const struct str both[] = { STR("$hasnoattachment"), STR("$HasAttachment"), STR("$memo") };
	uint32_t uid = put(s->account, "INBOX", STR(MAIL), (struct flags){ FLAG_FLAGGED, both, 3 });
	struct mailbox *m = open_box(s->account, "INBOX");
	struct uid_set set = one_range(s->arena, uid, uid);
	struct str colour = STR("$MailFlagBit1");
	struct stored stored;

	(void)state;
	assert_true(has_keyword(m, 1, "$hasnoattachment") && has_keyword(m, 1, "$memo"));
	assert_false(has_keyword(m, 1, "$HasAttachment"));
	assert_ok(mailbox_store(m, &set, FLAGS_ADD, &(struct flags){ 0, &both[1], 1 }, UINT64_MAX, s->arena, &stored));
	assert_true(stored.took_more);
	assert_true(has_keyword(m, 1, "$HasAttachment") && has_keyword(m, 1, "$memo"));
	assert_false(has_keyword(m, 1, "$hasnoattachment"));
	set_flags(s, m, uid, FLAGS_ADD, 0, "$hasmemo");
	assert_true(has_keyword(m, 1, "$hasmemo"));
	assert_false(has_keyword(m, 1, "$memo"));
	/* The colours of a flag go with it; of one that stays they do not. */
	assert_ok(mailbox_store(m, &set, FLAGS_ADD, &(struct flags){ 0, &colour, 1 }, UINT64_MAX, s->arena, &stored));
	assert_false(stored.took_more);
	set_flags(s, m, uid, FLAGS_REMOVE, FLAG_SEEN, NULL);
	assert_true(has_keyword(m, 1, "$MailFlagBit1"));
	assert_ok(mailbox_store(m, &set, FLAGS_REMOVE, &(struct flags){ .system = FLAG_FLAGGED }, UINT64_MAX, s->arena,
	    &stored));
	assert_true(stored.took_more);
	assert_false(has_keyword(m, 1, "$MailFlagBit1"));
	assert_true(has_keyword(m, 1, "$hasmemo"));
	assert_ok(mailbox_store(m, &set, FLAGS_REMOVE, &(struct flags){ .system = FLAG_FLAGGED }, UINT64_MAX, s->arena,
	    &stored));
	assert_false(stored.took_more);
	mailbox_close(m);
	site_free(s);
}

static void
keywords_have_limits(void **state)
{
	struct site *s = site_new();
	struct uid_set set;
	struct stored stored;
	struct mailbox *m;
	char name[20];
	struct str word;

	(void)state;
	put_mail(s->account, "INBOX");
	m = open_box(s->account, "INBOX");
	for (int i = 0; i < KEYWORDS_MAX; i++) {
		snprintf(name, sizeof(name), "word%d", i);
		set_flags(s, m, 1, FLAGS_ADD, 0, name);
	}
	assert_false(mailbox_takes_keywords(m));
	set = one_range(s->arena, 1, 1);
	word = STR("onemore");
	assert_int_equal(mailbox_store(m, &set, FLAGS_ADD, &(struct flags){ 0, &word, 1 }, UINT64_MAX,
	    s->arena, &stored), STORE_TOO_LARGE);
	assert_true(~message_of(m, 1).keywords == 0);
	mailbox_close(m);
	site_reopen(s);
	assert_non_null(strstr(find_name(s, "cur", "U=1"), ":2,abcdefghijklmnopqrstuvwxyz"));
	m = open_box(s->account, "INBOX");
	assert_true(~message_of(m, 1).keywords == 0);
	assert_str(mailbox_keyword(m, 63), STR("word63"));
	mailbox_close(m);
	site_free(s);
}

static void
expunge_is_told_one_by_one(void **state)
{
	struct site *s = site_new();
	struct mailbox *m, *other;
	struct change c;
	struct uid_set set;
	struct usage usage;

	(void)state;
	for (int i = 0; i < 5; i++)
		put_mail(s->account, "INBOX");
	m = open_box(s->account, "INBOX");
	other = open_box(s->account, "INBOX");
	set_flags(s, m, 2, FLAGS_ADD, FLAG_DELETED, NULL);
	set_flags(s, m, 4, FLAGS_ADD, FLAG_DELETED, NULL);
	set_flags(s, m, 5, FLAGS_ADD, FLAG_DELETED, NULL);
	set = one_range(s->arena, 1, 4);
	assert_ok(mailbox_expunge(m, &set));
	assert_string_equal(changes(m, true), "");
	assert_int_equal(mailbox_exists(m), 5);
	assert_int_equal(message_of(m, 5).uid, 5);
	assert_string_equal(changes(m, false), "X2 X3");
	assert_int_equal(mailbox_exists(m), 3);
	assert_int_equal(message_of(m, 2).uid, 3);
	assert_int_equal(mailbox_seq_of_uid(m, 5), 3);
	assert_int_equal(mailbox_seq_of_uid(m, 4), 0);
	assert_int_equal(mailbox_seq_from_uid(m, 4), 3);
	assert_int_equal(mailbox_seq_from_uid(m, 6), 4);
	/* The other view still has all, and learns of new mail while expunges wait. */
	assert_int_equal(put_mail(s->account, "INBOX"), 6);
	assert_ok(mailbox_refresh(other));
	assert_string_equal(changes(other, true), "F5 E6");
	assert_int_equal(mailbox_seq_of_uid(other, 6), 6);
	assert_true(mailbox_next_change(other, false, &c));
	assert_int_equal(c.kind, CHANGE_EXPUNGED);
	assert_int_equal(c.uid, 2);
	assert_int_equal(mailbox_seq_of_uid(other, 5), 4);
	assert_string_equal(changes(other, false), "X3");
	assert_int_equal(mailbox_exists(other), 4);
	assert_ok(mailbox_refresh(m));
	assert_string_equal(changes(m, false), "E4");
	assert_ok(account_usage(s->account, &usage));
	assert_int_equal(usage.messages, 4);
	assert_int_equal(usage.bytes, 4 * (sizeof(MAIL) - 1));
	assert_int_equal(count_files(s, "cur"), 4);
	mailbox_close(other);
	mailbox_close(m);
	site_free(s);
}

static void
read_only_handles_change_nothing(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;
	struct uid_set set = one_range(s->arena, 1, 9);
	struct stored stored;
	struct copied copied;

	(void)state;
	put_mail(s->account, "INBOX");
	assert_ok(mailbox_open(s->account, STR("INBOX"), MAILBOX_READ_ONLY, &m));
	assert_true(mailbox_is_read_only(m));
	assert_int_equal(mailbox_recent(m), 1);
	assert_int_equal(mailbox_store(m, &set, FLAGS_ADD, &(struct flags){ .system = FLAG_SEEN },
	    UINT64_MAX, s->arena, &stored), STORE_READ_ONLY);
	assert_int_equal(mailbox_expunge(m, NULL), STORE_READ_ONLY);
	assert_int_equal(mailbox_move(m, &set, STR("Trash"), s->arena, &copied), STORE_READ_ONLY);
	assert_ok(mailbox_copy(m, &set, STR("Trash"), s->arena, &copied));
	mailbox_close(m);
	m = open_box(s->account, "INBOX");
	assert_int_equal(mailbox_recent(m), 1);
	mailbox_close(m);
	site_free(s);
}

static void
copies_are_links_with_flags_and_texts(void **state)
{
	struct site *s = site_new();
	struct str word = STR("Work");
	struct mailbox *m, *trash;
	struct uid_set set;
	struct copied c;
	struct str text[TEXT_COUNT];
	struct stat st;
	char path[500];

	(void)state;
	put_mail(s->account, "INBOX");
	put(s->account, "INBOX", STR(MAIL), (struct flags){ FLAG_SEEN, &word, 1 });
	put(s->account, "Trash", STR(MAIL), (struct flags){ .system = 0 });
	m = open_box(s->account, "INBOX");
	set = one_range(s->arena, 1, UINT32_MAX);
	assert_int_equal(mailbox_copy(m, &set, STR("None"), s->arena, &c), STORE_NO_SUCH);
	assert_ok(mailbox_copy(m, &set, STR("Trash"), s->arena, &c));
	assert_int_equal(c.count, 2);
	assert_int_equal(c.from[1], 2);
	assert_int_equal(c.to[1], 3);
	trash = open_box(s->account, "Trash");
	assert_int_equal(c.uidvalidity, mailbox_uidvalidity(trash));
	assert_int_equal(mailbox_exists(trash), 3);
	assert_int_equal(message_of(trash, 3).flags, FLAG_SEEN);
	assert_int_equal(message_of(trash, 3).keywords, 1);
	assert_int_equal(message_of(trash, 3).internal_date, 1700000000);
	assert_ok(message_texts(trash, 3, 1, text));
	snprintf(path, sizeof(path), "%s/.Trash/cur/%s", s->path, find_name(s, ".Trash/cur", "U=3"));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(count_files(s, ".Trash/tmp"), 0);
	assert_ok(mailbox_copy(m, &set, STR("INBOX"), s->arena, &c));
	assert_int_equal(c.to[0], 3);
	assert_string_equal(changes(m, false), "E4");
	mailbox_close(trash);
	mailbox_close(m);
	site_free(s);
}

static void
a_move_is_seen_from_both_sides(void **state)
{
	struct site *s = site_new();
	struct mailbox *m, *trash;
	struct uid_set set;
	struct copied c;
	char unique[40];

	(void)state;
	for (int i = 0; i < 3; i++)
		put_mail(s->account, "INBOX");
	snprintf(unique, sizeof(unique), "%.27s", find_name(s, "cur", "U=2"));
	m = open_box(s->account, "INBOX");
	trash = open_box(s->account, "Trash");
	set = one_range(s->arena, 1, 2);
	assert_ok(mailbox_move(m, &set, STR("Trash"), s->arena, &c));
	assert_int_equal(c.count, 2);
	assert_string_equal(changes(m, false), "X1 X1");
	assert_ok(mailbox_refresh(trash));
	assert_string_equal(changes(trash, false), "E2");
	assert_int_equal(count_files(s, "cur"), 1);
	assert_int_equal(count_files(s, ".Trash/cur"), 2);
	assert_non_null(strstr(find_name(s, ".Trash/cur", "U=2"), unique));
	set = one_range(s->arena, 1, 1);
	assert_ok(mailbox_move(trash, &set, STR("Trash"), s->arena, &c));
	assert_int_equal(c.to[0], 3);
	assert_string_equal(changes(trash, false), "X1 E2");
	mailbox_close(trash);
	mailbox_close(m);
	site_free(s);
}

static void
quota_is_kept_and_freed(void **state)
{
	struct site *s = site_new();
	struct append *p;
	struct appended done;
	struct mailbox *m;
	struct uid_set set = one_range(s->arena, 1, 9);
	struct copied c;
	uint64_t one = sizeof(MAIL) - 1;

	(void)state;
	account_set_quota(s->account, 2 * one, 0);
	put_mail(s->account, "INBOX");
	assert_int_equal(append_begin(s->account, &(struct append_options){
	    .mailbox = STR("INBOX"), .size = one + 1 }, &p), STORE_OVER_QUOTA);
	assert_ok(append_begin(s->account, &(struct append_options){
	    .mailbox = STR("INBOX") }, &p));
	assert_ok(append_write(p, STR(MAIL)));
	assert_ok(append_write(p, STR("x")));
	assert_int_equal(append_prepare(p), STORE_OVER_QUOTA);
	assert_int_equal(append_publish(p, true, &done), STORE_OVER_QUOTA);
	append_abandon(p);
	put_mail(s->account, "INBOX");
	m = open_box(s->account, "INBOX");
	assert_int_equal(mailbox_copy(m, &set, STR("Trash"), s->arena, &c), STORE_OVER_QUOTA);
	assert_int_equal(count_files(s, ".Trash/tmp"), 0);
	assert_ok(mailbox_move(m, &set, STR("Trash"), s->arena, &c));
	mailbox_close(m);
	account_set_quota(s->account, 0, 2);
	assert_int_equal(append_begin(s->account, &(struct append_options){
	    .mailbox = STR("INBOX") }, &p), STORE_OVER_QUOTA);
	m = open_box(s->account, "Trash");
	set_flags(s, m, 1, FLAGS_ADD, FLAG_DELETED, NULL);
	assert_ok(mailbox_expunge(m, NULL));
	mailbox_close(m);
	put_mail(s->account, "INBOX");
	site_free(s);
}

static void
status_says_what_select_would(void **state)
{
	struct site *s = site_new();
	struct mailbox_info info;

	(void)state;
	put_mail(s->account, "INBOX");
	put(s->account, "INBOX", STR(MAIL), (struct flags){ .system = FLAG_SEEN });
	assert_ok(mailbox_status(s->account, STR("Inbox"), s->arena, &info));
	assert_int_equal(info.messages, 2);
	assert_int_equal(info.unseen, 1);
	assert_int_equal(info.recent, 2);
	assert_int_equal(info.uid_next, 3);
	assert_int_equal(info.bytes, 2 * (sizeof(MAIL) - 1));
	assert_int_equal(info.id.n, 16);
	assert_int_equal(mailbox_status(s->account, STR("x"), s->arena, &info), STORE_NO_SUCH);
	site_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_account_has_its_default_folders),
		cmocka_unit_test(append_gives_ascending_uids_and_names_that_say_all),
		cmocka_unit_test(texts_and_content_come_back),
		cmocka_unit_test(bare_line_feeds_are_sent_as_crlf),
		cmocka_unit_test(a_large_message_goes_through_its_file),
		cmocka_unit_test(abandoned_appends_leave_nothing),
		cmocka_unit_test(a_delivery_whose_file_was_lost_comes_back),
		cmocka_unit_test(a_delivery_is_published_once),
		cmocka_unit_test(what_was_expunged_does_not_come_back_when_copies_are_made_anew),
		cmocka_unit_test(a_delivery_cut_off_is_finished_by_the_next),
		cmocka_unit_test(store_changes_flags_and_later_names),
		cmocka_unit_test(keywords_that_exclude_each_other_are_never_together),
		cmocka_unit_test(keywords_have_limits),
		cmocka_unit_test(expunge_is_told_one_by_one),
		cmocka_unit_test(read_only_handles_change_nothing),
		cmocka_unit_test(copies_are_links_with_flags_and_texts),
		cmocka_unit_test(a_move_is_seen_from_both_sides),
		cmocka_unit_test(quota_is_kept_and_freed),
		cmocka_unit_test(status_says_what_select_would),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
