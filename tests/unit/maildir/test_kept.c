/* SPDX-License-Identifier: ISC */
/* What is expunged and kept: where it goes, what of it stays, how it comes back and when it ends. */
#include "common/base/clock.h"
#include "tests/unit/maildir/test.h"

enum { DAYS = 3 };

static struct account *
open_with(const char *path, const char *daemon, uint32_t days, uint64_t quota)
{
	struct account *a = NULL;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_ok(account_open(fd, &(struct account_options){ .address = STR("u@example.test"),
	    .daemon = daemon, .undelete_days = days, .quota_bytes = quota }, &a));
	return a;
}

static struct site *
site_with(uint32_t days)
{
	struct site *s = site_new();

	account_close(s->account);
	s->account = open_with(s->path, "imapd", days, 0);
	return s;
}

static void
reopen(struct site *s, uint32_t days)
{
	account_close(s->account);
	s->account = open_with(s->path, "imapd", days, 0);
}

static void
expunge_uids(struct site *s, const char *name, uint32_t first, uint32_t last)
{
	struct mailbox *m = open_box(s->account, name);
	struct uid_set set = one_range(s->arena, first, last);
	struct stored stored;

	assert_ok(mailbox_store(m, &set, FLAGS_ADD, &(struct flags){ .system = FLAG_DELETED }, UINT64_MAX, s->arena,
	    &stored));
	assert_ok(mailbox_expunge(m, &set));
	mailbox_close(m);
}

static uint32_t
exists_in(struct site *s, const char *name)
{
	struct mailbox_info info = { 0 };
	enum store_result r = mailbox_status(s->account, str_of(name), s->arena, &info);

	return r == STORE_OK ? info.messages : 0;
}

static void
work_all(struct site *s)
{
	/* The sweep comes some seconds after the opening. */
	for (int i = 0; i < 1000 && account_work_due_ms(s->account) >= 0 &&
	    account_work_due_ms(s->account) < 1000; i++)
		(void)account_work(s->account);
}

static struct undelete_result
put_back(struct site *s, const char *mailbox, int64_t since, bool dry)
{
	struct undelete_result out;

	assert_ok(account_undelete(s->account, &(struct undelete_options){ .mailbox = str_of(mailbox),
	    .since = since, .dry_run = dry }, &out));
	return out;
}

static void
where_nothing_is_kept_nothing_is_left_on_disk(void **state)
{
	struct site *s = site_with(0);
	struct mailbox_info *all;
	struct mailbox *m;
	size_t count;

	(void)state;
	put_mail(s->account, "INBOX");
	expunge_uids(s, "INBOX", 1, 1);
	assert_int_equal(count_files(s, "cur"), 0);
	shell(s, "test ! -e trivet-deleted");
	assert_int_equal(account_kept_name(s->account).n, 0);
	assert_ok(account_list_kept(s->account, s->arena, &all, &count));
	assert_int_equal(count, 0);
	assert_int_equal(mailbox_open(s->account, STR("Recently Deleted/INBOX"), MAILBOX_READ_WRITE, &m),
	    STORE_NO_SUCH);
	assert_ok(mailbox_create(s->account, STR("Recently Deleted/Mine"), 0));
	site_free(s);
}

static void
expunged_mail_keeps_flags_keywords_date_and_octets_and_costs_no_quota(void **state)
{
	struct site *s = site_with(DAYS);
	struct mailbox *m;
	struct message message;
	struct usage usage;
	struct content *c;
	struct str bytes;

	(void)state;
	put_mail(s->account, "INBOX");
	put_mail(s->account, "INBOX");
	m = open_box(s->account, "INBOX");
	set_flags(s, m, 2, FLAGS_ADD, FLAG_SEEN | FLAG_FLAGGED, "later");
	set_flags(s, m, 2, FLAGS_ADD, 0, "$Forwarded");
	mailbox_close(m);
	expunge_uids(s, "INBOX", 1, 2);
	assert_ok(account_usage(s->account, &usage));
	assert_int_equal(usage.bytes + usage.messages, 0);
	assert_ok(mailbox_open(s->account, STR("Recently Deleted/INBOX"), MAILBOX_READ_WRITE, &m));
	assert_true(mailbox_is_read_only(m));
	assert_int_equal(mailbox_exists(m), 2);
	for (uint32_t seq = 1; seq <= 2; seq++) {
		message = message_of(m, seq);
		assert_int_equal(message.internal_date, 1700000000);
		assert_int_equal(message.size, sizeof(MAIL) - 1);
		assert_int_equal(message.flags & FLAG_DELETED, 0);
		assert_ok(content_open(m, message.uid, &c));
		assert_ok(content_bytes(c, &bytes));
		assert_str(bytes, STR(MAIL));
		content_close(c);
	}
	assert_true(message_of(m, 1).flags == 0 || message_of(m, 2).flags == 0);
	message = message_of(m, message_of(m, 1).flags != 0 ? 1 : 2);
	assert_int_equal(message.flags, FLAG_SEEN | FLAG_FLAGGED);
	assert_int_equal(__builtin_popcountll(message.keywords), 2);
	mailbox_close(m);
	site_free(s);
}

static void
letters_of_two_mailboxes_of_one_name_are_told_apart(void **state)
{
	struct site *s = site_with(DAYS);
	struct mailbox *m;
	uint64_t bits = 0;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_ok(mailbox_create(s->account, STR("Work"), 0));
		put_mail(s->account, "Work");
		m = open_box(s->account, "Work");
		set_flags(s, m, 1, FLAGS_ADD, 0, i == 0 ? "first" : "second");	/* both are letter a */
		mailbox_close(m);
		if (i == 0)
			expunge_uids(s, "Work", 1, 1);
		assert_ok(mailbox_delete(s->account, STR("Work")));
	}
	assert_ok(mailbox_open(s->account, STR("Recently Deleted/Work"), MAILBOX_READ_WRITE, &m));
	assert_int_equal(mailbox_exists(m), 2);
	bits = message_of(m, 1).keywords | message_of(m, 2).keywords;
	assert_int_equal(__builtin_popcountll(bits), 2);
	assert_int_equal(mailbox_keyword_count(m), 2);
	mailbox_close(m);
	site_free(s);
}

static void
a_deleted_tree_is_kept_folder_by_folder_and_comes_back(void **state)
{
	struct site *s = site_with(DAYS);
	struct mailbox_info *all;
	struct undelete_result done;
	struct mailbox *m;
	size_t count;

	(void)state;
	assert_ok(mailbox_create(s->account, STR("Work/2026"), 0));
	for (int i = 0; i < 450; i++)
		put_mail(s->account, "Work");
	put_mail(s->account, "Work/2026");
	m = open_box(s->account, "Work");
	set_flags(s, m, 7, FLAGS_ADD, FLAG_ANSWERED, NULL);	/* its file does not say so yet */
	mailbox_close(m);
	assert_ok(mailbox_delete(s->account, STR("Work/2026")));
	assert_ok(mailbox_delete(s->account, STR("Work")));
	work_all(s);
	assert_ok(account_list_kept(s->account, s->arena, &all, &count));
	assert_int_equal(count, 4);	/* the top, INBOX, and these */
	assert_str(all[2].name, STR("Recently Deleted/Work"));
	assert_int_equal(exists_in(s, "Recently Deleted/Work"), 450);
	shell(s, "! ls trivet-deleted | grep arriving");
	done = put_back(s, "Work", 0, true);
	assert_int_equal(done.messages, 451);
	assert_int_equal(exists_in(s, "Work"), 0);
	done = put_back(s, "Work", 0, false);
	assert_int_equal(done.messages, 451);
	assert_int_equal(done.left, 0);
	assert_int_equal(exists_in(s, "Work"), 450);
	assert_int_equal(exists_in(s, "Work/2026"), 1);
	assert_int_equal(exists_in(s, "Recently Deleted/Work"), 0);
	m = open_box(s->account, "Work");
	count = 0;
	for (uint32_t seq = 1; seq <= 450; seq++)
		count += message_of(m, seq).flags == FLAG_ANSWERED;
	assert_int_equal(count, 1);
	mailbox_close(m);
	assert_int_equal(put_back(s, "", 0, false).messages, 0);
	site_free(s);
}

/* What cannot be kept now is kept later, and removed never. */
static void
a_deleted_mailbox_waits_until_it_can_be_kept(void **state)
{
	struct site *s = site_with(DAYS);

	(void)state;
	shell(s, "mkdir trivet-deleted && touch trivet-deleted/.Work");
	assert_ok(mailbox_create(s->account, STR("Work"), 0));
	assert_ok(mailbox_create(s->account, STR("Other"), 0));
	put_mail(s->account, "Work");
	put_mail(s->account, "Other");
	assert_ok(mailbox_delete(s->account, STR("Work")));
	assert_ok(mailbox_delete(s->account, STR("Other")));
	work_all(s);
	assert_int_equal(exists_in(s, "Recently Deleted/Other"), 1);
	shell(s, "ls trivet-deleted/arriving-*/.Work/cur | grep -q S=");
	shell(s, "rm trivet-deleted/.Work");
	assert_int_equal(exists_in(s, "Recently Deleted/Work"), 1);
	shell(s, "! ls trivet-deleted | grep arriving");
	site_free(s);
}

/* Its process died when the directory was out of sight: before the row was gone, or after. */
static void
a_delete_that_was_cut_off_keeps_the_messages(void **state)
{
	struct site *s = site_with(DAYS);
	struct mailbox_info *all;
	size_t count;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_ok(mailbox_create(s->account, STR("Work"), 0));
		put_mail(s->account, "Work");
		shell(s, "mkdir -p trivet-deleted/deleting-a && mv .Work trivet-deleted/deleting-a/");
		if (i == 0)	/* nobody has looked: it may come back */
			shell(s, "ls trivet-deleted/deleting-a/.Work/cur | grep -q S=");
		assert_ok(account_list(s->account, s->arena, &all, &count));
		assert_int_equal(exists_in(s, "Work"), 0);
		assert_int_equal(exists_in(s, "Recently Deleted/Work"), (uint32_t)i + 1);
		shell(s, "! ls trivet-deleted | grep -e arriving -e deleting");
	}
	site_free(s);
}

static void
what_comes_back_has_new_uids_and_goes_again_as_often_as_wanted(void **state)
{
	struct site *s = site_with(DAYS);
	struct mailbox *m;
	uint32_t last = 0;

	(void)state;
	put_mail(s->account, "INBOX");
	for (int round = 0; round < 5; round++) {
		m = open_box(s->account, "INBOX");
		assert_int_equal(mailbox_exists(m), 1);
		assert_true(message_of(m, 1).uid > last);
		last = message_of(m, 1).uid;
		set_flags(s, m, last, FLAGS_ADD, 0, "word");
		mailbox_close(m);
		expunge_uids(s, "INBOX", last, last);
		if (round % 2 == 0)	/* with and without having been numbered there */
			assert_int_equal(exists_in(s, "Recently Deleted/INBOX"), 1);
		assert_int_equal(put_back(s, "INBOX", 0, false).messages, 1);
	}
	m = open_box(s->account, "INBOX");
	assert_int_equal(__builtin_popcountll(message_of(m, 1).keywords), 1);
	mailbox_close(m);
	assert_int_equal(count_files(s, "cur"), 1);
	assert_int_equal(count_files(s, "trivet-deleted/cur"), 0);
	site_free(s);
}

static void
copies_back_are_all_or_none_and_within_the_quota(void **state)
{
	struct site *s = site_with(DAYS);
	struct mailbox *m;
	struct uid_set set = one_range(s->arena, 1, UINT32_MAX);
	struct copied c;
	struct usage usage;

	(void)state;
	for (int i = 0; i < 3; i++)
		put_mail(s->account, "Archive");
	expunge_uids(s, "Archive", 1, 3);
	assert_int_equal(mailbox_create(s->account, STR("Recently Deleted"), 0), STORE_NOT_ALLOWED);
	account_set_quota(s->account, 2 * (sizeof(MAIL) - 1), 0);
	assert_ok(mailbox_open(s->account, STR("Recently Deleted/Archive"), MAILBOX_READ_ONLY, &m));
	assert_int_equal(mailbox_exists(m), 3);
	assert_int_equal(mailbox_copy(m, &set, STR("INBOX"), s->arena, &c), STORE_OVER_QUOTA);
	assert_int_equal(exists_in(s, "INBOX"), 0);
	assert_int_equal(count_files(s, "tmp"), 0);
	assert_int_equal(mailbox_copy(m, &set, STR("Nowhere"), s->arena, &c), STORE_NO_SUCH);
	assert_int_equal(mailbox_copy(m, &set, STR("Recently Deleted/INBOX"), s->arena, &c), STORE_NOT_ALLOWED);
	assert_int_equal(mailbox_move(m, &set, STR("INBOX"), s->arena, &c), STORE_READ_ONLY);
	set = one_range(s->arena, message_of(m, 1).uid, message_of(m, 2).uid);
	assert_ok(mailbox_copy(m, &set, STR("INBOX"), s->arena, &c));
	assert_int_equal(c.count, 2);
	assert_int_equal(c.to[0], 1);
	assert_int_equal(mailbox_exists(m), 3);
	mailbox_close(m);
	assert_ok(account_usage(s->account, &usage));
	assert_int_equal(usage.messages, 2);
	/* Two fit no more, one neither: what has no room stays. */
	assert_int_equal(put_back(s, "", 0, false).left, 3);
	account_set_quota(s->account, 3 * (sizeof(MAIL) - 1), 0);
	assert_int_equal(put_back(s, "", 0, false).messages, 1);
	assert_int_equal(exists_in(s, "Recently Deleted/Archive"), 2);
	site_free(s);
}

/* Killed between the row and the file: the next look at the folder keeps it. */
static void
a_file_left_by_a_crash_is_kept_and_one_put_back_by_hand_is_a_message(void **state)
{
	struct site *s = site_with(DAYS);
	char name[300];

	(void)state;
	put_mail(s->account, "INBOX");
	put_mail(s->account, "INBOX");
	snprintf(name, sizeof(name), "%s", find_name(s, "cur", ",U=1:2,"));
	shell(s, "cp -a cur save");
	expunge_uids(s, "INBOX", 1, 1);
	assert_int_equal(count_files(s, "trivet-deleted/cur"), 1);
	/* As it was before the rename, ctime included. */
	shell(s, "mv trivet-deleted/cur/* cur/$(ls save | grep ,U=1:)");
	assert_int_equal(exists_in(s, "INBOX"), 1);
	assert_int_equal(count_files(s, "trivet-deleted/cur"), 1);
	assert_int_equal(count_files(s, "cur"), 1);
	/* Days later somebody brings it from a backup: it is wanted. */
	shell(s, "sleep 3.2; mv save/*,U=1:* cur/; rm -r save");
	assert_int_equal(exists_in(s, "INBOX"), 2);
	assert_int_equal(count_files(s, "trivet-deleted/cur"), 1);
	site_free(s);
}

/* The source's file of a move that died is no expunged message: it is in the target. */
static void
what_a_move_left_behind_is_not_kept(void **state)
{
	struct site *s = site_with(DAYS);
	struct uid_set set = one_range(s->arena, 1, 1);
	struct mailbox *m;
	struct copied c;

	(void)state;
	put_mail(s->account, "INBOX");
	shell(s, "mkdir save; cp -al cur/* save/");
	m = open_box(s->account, "INBOX");
	assert_ok(mailbox_move(m, &set, STR("Archive"), s->arena, &c));
	mailbox_close(m);
	shell(s, "mv save/* cur/; rmdir save");
	assert_int_equal(exists_in(s, "INBOX"), 0);
	assert_int_equal(exists_in(s, "Archive"), 1);
	shell(s, "test ! -e trivet-deleted || test -z \"$(find trivet-deleted -type f -name '*:2,*')\"");
	site_free(s);
}

static void
age(struct site *s, const char *dir, int days)
{
	char command[400];

	snprintf(command, sizeof(command), "cd %s && for f in *; do"
	    " t=$(echo $f | sed 's/.*,D=\\([0-9]*\\).*/\\1/'); mv $f $(echo $f | sed \"s/,D=$t/,D=$((t - %d * 86400))/\");"
	    " done", dir, days);
	shell(s, command);
}

/* Deleting a mailbox has it done at once. */
static void
sweep_now(struct site *s)
{
	assert_ok(mailbox_create(s->account, STR("x"), 0));
	assert_ok(mailbox_delete(s->account, STR("x")));
	do
		usleep(1000);
	while (account_work(s->account) || account_work_due_ms(s->account) == 0);
}

static void
what_is_too_old_goes_and_nothing_else(void **state)
{
	struct site *s = site_with(DAYS);

	(void)state;
	for (int i = 0; i < 6; i++)
		put_mail(s->account, i < 3 ? "INBOX" : "Archive");
	expunge_uids(s, "INBOX", 1, 2);
	expunge_uids(s, "Archive", 1, 1);
	age(s, "trivet-deleted/cur", DAYS + 1);
	age(s, "trivet-deleted/.Archive/cur", DAYS - 1);
	expunge_uids(s, "INBOX", 3, 3);
	assert_int_equal(put_back(s, "", clock_now() - 60, true).messages, 1);
	assert_int_equal(put_back(s, "", 0, true).messages, 4);
	reopen(s, DAYS);
	sweep_now(s);
	assert_int_equal(count_files(s, "trivet-deleted/cur"), 1);
	assert_int_equal(count_files(s, "trivet-deleted/.Archive/cur"), 1);
	/* Off: nothing is kept any longer. */
	reopen(s, 0);
	sweep_now(s);
	assert_int_equal(count_files(s, "trivet-deleted/cur"), 0);
	assert_int_equal(count_files(s, "trivet-deleted/.Archive/cur"), 0);
	assert_int_equal(exists_in(s, "Archive"), 2);
	site_free(s);
}

/* Or a small box, filled and emptied again and again, would fill the disk. */
static void
no_more_is_kept_than_the_account_may_hold(void **state)
{
	struct site *s = site_with(DAYS);

	(void)state;
	account_set_quota(s->account, 4 * (sizeof(MAIL) - 1), 0);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 4; i++)
			put_mail(s->account, "INBOX");
		expunge_uids(s, "INBOX", 1, UINT32_MAX);
		if (round < 2)
			age(s, "trivet-deleted/cur", 1);
	}
	assert_int_equal(account_work_due_ms(s->account), 0);
	while (account_work(s->account) || account_work_due_ms(s->account) == 0)
		continue;
	assert_int_equal(count_files(s, "trivet-deleted/cur"), 4);
	assert_int_equal(put_back(s, "", clock_now() - 60, true).messages, 4);
	account_set_quota(s->account, 0, 0);
	sweep_now(s);
	assert_int_equal(count_files(s, "trivet-deleted/cur"), 4);
	site_free(s);
}

static void
what_is_planted_in_its_place_makes_way(void **state)
{
	struct site *s = site_with(DAYS);

	(void)state;
	shell(s, "mkdir outside && ln -s outside trivet-deleted");
	put_mail(s->account, "INBOX");
	expunge_uids(s, "INBOX", 1, 1);
	assert_int_equal(count_files(s, "trivet-deleted/cur"), 1);
	shell(s, "test ! -L trivet-deleted && test -z \"$(ls outside)\"");
	site_free(s);
}

static void
a_mailbox_of_that_name_goes_before_what_is_kept(void **state)
{
	struct site *s = site_with(0);
	struct mailbox *m;

	(void)state;
	assert_ok(mailbox_create(s->account, STR("Recently Deleted/INBOX"), 0));
	put_mail(s->account, "Recently Deleted/INBOX");
	put_mail(s->account, "INBOX");
	reopen(s, DAYS);
	expunge_uids(s, "INBOX", 1, 1);
	assert_ok(mailbox_open(s->account, STR("Recently Deleted/INBOX"), MAILBOX_READ_WRITE, &m));
	assert_false(mailbox_is_read_only(m));
	mailbox_close(m);
	assert_ok(mailbox_rename(s->account, STR("Recently Deleted/INBOX"), STR("Mine")));
	assert_int_equal(exists_in(s, "Recently Deleted/INBOX"), 1);
	assert_int_equal(exists_in(s, "Mine"), 1);
	assert_int_equal(mailbox_create(s->account, STR("Recently Deleted/INBOX"), 0), STORE_NOT_ALLOWED);
	site_free(s);
}

/* A session that looks while more is put there, by this process and another. */
static void
a_view_of_what_is_kept_sees_what_comes(void **state)
{
	struct site *s = site_with(DAYS);
	struct account *pop;
	struct mailbox *m, *theirs;

	(void)state;
	for (int i = 0; i < 3; i++)
		put_mail(s->account, "INBOX");
	expunge_uids(s, "INBOX", 1, 1);
	assert_ok(mailbox_open(s->account, STR("Recently Deleted/INBOX"), MAILBOX_READ_ONLY, &m));
	assert_int_equal(mailbox_exists(m), 1);
	pop = open_with(s->path, "pop3d", DAYS, 0);
	assert_ok(mailbox_open(pop, STR("INBOX"), MAILBOX_READ_WRITE, &theirs));
	set_flags(s, theirs, 2, FLAGS_ADD, FLAG_DELETED, NULL);
	assert_ok(mailbox_expunge(theirs, NULL));
	mailbox_close(theirs);
	account_close(pop);
	account_on_event(s->account);
	assert_ok(mailbox_refresh(m));
	assert_string_equal(changes(m, false), "E2");
	expunge_uids(s, "INBOX", 3, 3);
	account_on_event(s->account);
	assert_ok(mailbox_refresh(m));
	assert_string_equal(changes(m, false), "E3");
	assert_int_equal(put_back(s, "", 0, false).messages, 3);
	account_on_event(s->account);
	assert_ok(mailbox_refresh(m));
	assert_string_equal(changes(m, false), "X1 X1 X1");
	mailbox_close(m);
	site_free(s);
}

static void
on_found(void *context, const struct finding *f)
{
	(void)f;
	++*(int *)context;
}

static struct check_result
check(struct site *s, bool repair)
{
	int found = 0, fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct check_result out;

	assert_ok(account_check(fd, &(struct account_options){ .address = STR("u"), .daemon = "trivet" },
	    &(struct check_options){ .repair = repair, .found = on_found, .context = &found }, &out));
	assert_int_equal(out.faults + out.repaired + out.notes + out.later, found);
	return out;
}

static void
what_is_kept_is_checked_too(void **state)
{
	struct site *s = site_with(DAYS);

	(void)state;
	for (int i = 0; i < 3; i++)
		put_mail(s->account, "INBOX");
	expunge_uids(s, "INBOX", 1, 3);
	assert_int_equal(check(s, false).faults, 0);
	assert_int_equal(exists_in(s, "Recently Deleted/INBOX"), 3);
	assert_int_equal(check(s, false).faults, 0);
	account_close(s->account);
	shell(s, "f=$(ls trivet-deleted/cur/* | head -1); echo more >> $f");
	assert_int_equal(check(s, false).faults, 1);
	assert_int_equal(check(s, true).repaired, 1);
	assert_int_equal(check(s, false).faults, 0);
	/* What has no time in its name is given one, so that it has an end and comes back. */
	s->account = open_with(s->path, "imapd", DAYS, 0);
	assert_int_equal(put_back(s, "", 0, true).messages, 2);
	sweep_now(s);
	assert_int_equal(put_back(s, "", 0, true).messages, 3);
	assert_int_equal(exists_in(s, "Recently Deleted/INBOX"), 3);
	site_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_nothing_is_kept_nothing_is_left_on_disk),
		cmocka_unit_test(expunged_mail_keeps_flags_keywords_date_and_octets_and_costs_no_quota),
		cmocka_unit_test(letters_of_two_mailboxes_of_one_name_are_told_apart),
		cmocka_unit_test(a_deleted_tree_is_kept_folder_by_folder_and_comes_back),
		cmocka_unit_test(a_deleted_mailbox_waits_until_it_can_be_kept),
		cmocka_unit_test(a_delete_that_was_cut_off_keeps_the_messages),
		cmocka_unit_test(what_comes_back_has_new_uids_and_goes_again_as_often_as_wanted),
		cmocka_unit_test(copies_back_are_all_or_none_and_within_the_quota),
		cmocka_unit_test(a_file_left_by_a_crash_is_kept_and_one_put_back_by_hand_is_a_message),
		cmocka_unit_test(what_a_move_left_behind_is_not_kept),
		cmocka_unit_test(what_is_too_old_goes_and_nothing_else),
		cmocka_unit_test(no_more_is_kept_than_the_account_may_hold),
		cmocka_unit_test(what_is_planted_in_its_place_makes_way),
		cmocka_unit_test(a_mailbox_of_that_name_goes_before_what_is_kept),
		cmocka_unit_test(a_view_of_what_is_kept_sees_what_comes),
		cmocka_unit_test(what_is_kept_is_checked_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
