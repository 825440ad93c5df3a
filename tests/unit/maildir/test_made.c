/* SPDX-License-Identifier: ISC */
/*
 * What is made of a message when it is asked for: EMAILID and THREADID (RFC 8474 5.1, 5.2), previews (RFC 8970 3.2); and
 * when it came (RFC 8514 3). They outlive the index.
 */
#include "tests/unit/maildir/test.h"

#include <sqlite3.h>

#include "common/base/clock.h"

struct facts {
	char email[FACT_ID_LENGTH + 1];
	char thread[FACT_ID_LENGTH + 1];
	char preview[1000];
	unsigned slices;
};

static void
copy(char *to, size_t room, struct str from)
{
	assert_true(from.n < room);
	memcpy(to, from.p, from.n);
	to[from.n] = '\0';
}

static struct facts
facts_of(struct mailbox *m, uint32_t uid)
{
	struct facts all = { 0 };
	struct str out[FACT_COUNT];
	bool done = false;

	while (!done) {
		assert_ok(message_facts(m, uid, (1u << FACT_COUNT) - 1, 0, out, &done));
		all.slices++;
	}
	copy(all.email, sizeof(all.email), out[FACT_EMAILID]);
	copy(all.thread, sizeof(all.thread), out[FACT_THREADID]);
	copy(all.preview, sizeof(all.preview), out[FACT_PREVIEW]);
	return all;
}

static int64_t
saved_of(struct mailbox *m, uint32_t uid)
{
	int64_t saved = -1;

	assert_ok(message_saved(m, uid, &saved));
	return saved;
}

/* Runs statements on the index, as a program from outside; the account is closed. */
static int64_t
on_index(struct site *s, const char *sql)
{
	char path[100];
	sqlite3_stmt *q = NULL;
	sqlite3 *db = NULL;
	int64_t out = -1;

	snprintf(path, sizeof(path), "%s/.trivet/index.db", s->path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (strncmp(sql, "SELECT", 6) == 0) {
		assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_step(q), SQLITE_ROW);
		out = sqlite3_column_int64(q, 0);
		sqlite3_finalize(q);
	} else {
		assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	}
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return out;
}

static void
lose_index(struct site *s)
{
	account_close(s->account);
	shell(s, "rm -r .trivet");
	s->account = open_account(s->path, "imapd", 0);
}

/* ---- ids ---- */

static void
copies_and_a_rebuilt_index_have_the_same_ids(void **state)
{
	struct site *s = site_new_in_memory();
	struct facts first, copied, moved, again, other;
	struct mailbox *inbox, *archive;
	struct copied c;
	struct uid_set set;
	uint32_t uid = put_mail(s->account, "INBOX");

	(void)state;
	inbox = open_box(s->account, "INBOX");
	first = facts_of(inbox, uid);
	assert_int_equal(first.email[0], 'M');
	assert_int_equal(first.thread[0], 'T');
	set = one_range(s->arena, uid, uid);
	assert_ok(mailbox_copy(inbox, &set, STR("Archive"), s->arena, &c));
	archive = open_box(s->account, "Archive");
	copied = facts_of(archive, c.to[0]);
	assert_string_equal(first.email, copied.email);
	assert_string_equal(first.thread, copied.thread);
	assert_string_equal(first.preview, copied.preview);
	assert_ok(mailbox_move(inbox, &set, STR("Trash"), s->arena, &c));
	mailbox_close(inbox);
	inbox = open_box(s->account, "Trash");
	moved = facts_of(inbox, c.to[0]);
	assert_string_equal(first.email, moved.email);
	mailbox_close(inbox);
	mailbox_close(archive);
	/* The same octets, with another internal date: RFC 8474 5.1 */
	uid = put(s->account, "INBOX", STR(MAIL "more\r\n"), (struct flags){ 0 });
	inbox = open_box(s->account, "INBOX");
	other = facts_of(inbox, uid);
	assert_string_not_equal(first.email, other.email);
	assert_string_equal(first.thread, other.thread);
	mailbox_close(inbox);
	lose_index(s);
	inbox = open_box(s->account, "INBOX");
	again = facts_of(inbox, message_of(inbox, 1).uid);
	assert_string_equal(other.email, again.email);
	mailbox_close(inbox);
	archive = open_box(s->account, "Archive");
	again = facts_of(archive, message_of(archive, 1).uid);
	assert_string_equal(first.email, again.email);
	assert_string_equal(first.thread, again.thread);
	assert_string_equal(first.preview, again.preview);
	mailbox_close(archive);
	site_free(s);
}

static uint32_t
put_at(struct site *s, int64_t date)
{
	struct append *p = NULL;
	struct appended done = { 0 };

	assert_ok(append_begin(s->account, &(struct append_options){ .mailbox = STR("INBOX"),
	    .internal_date = date }, &p));
	assert_ok(append_write(p, STR(MAIL)));
	assert_ok(append_publish(p, true, &done));
	return done.uid;
}

static void
the_same_octets_of_another_date_are_another_email(void **state)
{
	struct site *s = site_new_in_memory();
	uint32_t one = put_at(s, 1700000000), two = put_at(s, 1700000001), three = put_at(s, 1700000000);
	struct mailbox *m = open_box(s->account, "INBOX");
	struct facts a = facts_of(m, one), b = facts_of(m, two), c = facts_of(m, three);

	(void)state;
	assert_string_not_equal(a.email, b.email);
	assert_string_equal(a.email, c.email);
	assert_string_equal(a.thread, b.thread);
	mailbox_close(m);
	site_free(s);
}

static void
messages_that_name_each_other_are_one_thread(void **state)
{
	static const char *const mails[] = {
		"Message-ID: <a@x>\r\n\r\nroot\r\n",
		"Message-ID: <b@x>\r\nIn-Reply-To: < a@x>\r\n\r\nchild\r\n",
		"Message-ID: <c@x>\r\nReferences: <a@x>\r\n <b@x>\r\nIn-Reply-To: <b@x>\r\n\r\ngrandchild\r\n",
		"Message-ID: <d@x>\r\n\r\nanother\r\n",
		"Subject: no id\r\n\r\none\r\n",
		"Subject: no id\r\n\r\ntwo\r\n",
	};
	struct site *s = site_new_in_memory();
	struct facts all[countof(mails)];
	struct mailbox *m;
	uint32_t uids[countof(mails)];

	(void)state;
	for (size_t i = 0; i < countof(mails); i++)
		uids[i] = put(s->account, "INBOX", str_of(mails[i]), (struct flags){ 0 });
	m = open_box(s->account, "INBOX");
	for (size_t i = 0; i < countof(mails); i++)
		all[i] = facts_of(m, uids[i]);
	assert_string_equal(all[0].thread, all[1].thread);
	assert_string_equal(all[0].thread, all[2].thread);
	for (size_t i = 3; i < countof(mails); i++)
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(all[i].thread, all[j].thread);
	mailbox_close(m);
	site_free(s);
}

static void
a_long_message_is_hashed_in_slices(void **state)
{
	enum { MEGABYTES = 48 };
	struct site *s = site_new_in_memory();
	scoped_buf mail = BUF_INIT;
	struct mailbox *m;
	struct facts one, two;
	uint32_t uid;

	(void)state;
	buf_put_z(&mail, "Subject: long\r\n\r\n");
	for (size_t i = 0; i < (size_t)MEGABYTES << 20; i += 64)
		buf_put(&mail, STR("0123456789012345678901234567890123456789012345678901234567890\r\n\r"));
	uid = put(s->account, "INBOX", buf_str(&mail), (struct flags){ 0 });
	m = open_box(s->account, "INBOX");
	one = facts_of(m, uid);
	assert_true(one.slices > 1);
	two = facts_of(m, uid);
	assert_int_equal(two.slices, 1);
	assert_string_equal(one.email, two.email);
	mailbox_close(m);
	site_free(s);
}

/* ---- what is kept ---- */

static void
nothing_is_made_of_what_only_what_is_kept_was_asked_for(void **state)
{
	struct site *s = site_new_in_memory();
	uint32_t uid = put_mail(s->account, "INBOX");
	struct mailbox *m = open_box(s->account, "INBOX");
	struct str out[FACT_COUNT];
	bool done;

	(void)state;
	assert_ok(message_facts(m, uid, 1u << FACT_PREVIEW, 1u << FACT_PREVIEW, out, &done));
	assert_true(done);
	assert_null(out[FACT_PREVIEW].p);
	assert_string_equal(facts_of(m, uid).preview, "Hi Bob");
	assert_ok(message_facts(m, uid, 1u << FACT_PREVIEW, 1u << FACT_PREVIEW, out, &done));
	assert_true(done);
	assert_str(out[FACT_PREVIEW], STR("Hi Bob"));
	mailbox_close(m);
	site_free(s);
}

static void
what_is_kept_goes_with_its_message(void **state)
{
	struct site *s = site_new_in_memory();
	struct mailbox *m;
	struct copied c;
	struct uid_set set = one_range(s->arena, 1, UINT32_MAX);
	struct facts other;

	(void)state;
	for (int i = 0; i < 20; i++)
		put_mail(s->account, "INBOX");
	m = open_box(s->account, "INBOX");
	for (uint32_t i = 1; i <= 20; i++)
		(void)facts_of(m, message_of(m, i).uid);
	assert_ok(mailbox_copy(m, &set, STR("Archive"), s->arena, &c));
	mailbox_close(m);
	account_close(s->account);
	assert_int_equal(on_index(s, "SELECT count(*) FROM made WHERE preview = 'Hi Bob'"), 40);
	/* Somebody worked on it: what cannot be is made again. */
	on_index(s, "UPDATE made SET email = 'NIL', thread = '(' || thread, preview = CAST(x'ff0a' AS TEXT)");
	s->account = open_account(s->path, "imapd", 0);
	m = open_box(s->account, "INBOX");
	other = facts_of(m, message_of(m, 1).uid);
	assert_int_equal(strlen(other.email), FACT_ID_LENGTH);
	assert_int_equal(strlen(other.thread), FACT_ID_LENGTH);
	assert_string_equal(other.preview, "Hi Bob");
	set_flags(s, m, message_of(m, 1).uid, FLAGS_ADD, FLAG_DELETED, NULL);
	assert_ok(mailbox_expunge(m, NULL));
	set = one_range(s->arena, 1, 15);
	assert_ok(mailbox_move(m, &set, STR("Trash"), s->arena, &c));
	mailbox_close(m);
	assert_ok(mailbox_delete(s->account, STR("Archive")));
	account_close(s->account);
	assert_int_equal(on_index(s, "SELECT count(*) FROM made"), 19);
	assert_int_equal(on_index(s, "SELECT count(*) FROM made WHERE key NOT IN (SELECT key FROM files)"), 0);
	s->account = open_account(s->path, "imapd", 0);
	site_free(s);
}

/* ---- save dates ---- */

static void
a_message_is_saved_when_it_comes_into_its_mailbox(void **state)
{
	struct site *s = site_new_in_memory();
	struct mailbox *m, *trash;
	struct copied c;
	struct uid_set one = one_range(s->arena, 1, 1), two = one_range(s->arena, 2, 2);
	int64_t begin = clock_now(), first;

	(void)state;
	assert_int_equal(put_at(s, 1000000000), 1);
	assert_int_equal(put_at(s, 1000000000), 2);
	m = open_box(s->account, "INBOX");
	first = saved_of(m, 1);
	assert_true(first >= begin && first <= clock_now());
	/* As if it had come long ago. */
	mailbox_close(m);
	account_close(s->account);
	on_index(s, "UPDATE files SET saved = 1500000000");
	s->account = open_account(s->path, "imapd", 0);
	m = open_box(s->account, "INBOX");
	assert_int_equal(saved_of(m, 1), 1500000000);
	assert_ok(mailbox_copy(m, &one, STR("Trash"), s->arena, &c));
	assert_ok(mailbox_move(m, &two, STR("Trash"), s->arena, &c));
	assert_int_equal(saved_of(m, 1), 1500000000);
	trash = open_box(s->account, "Trash");
	assert_int_equal(mailbox_exists(trash), 2);
	for (uint32_t i = 1; i <= 2; i++)
		assert_true(saved_of(trash, i) >= begin && saved_of(trash, i) <= clock_now());
	/* A move that begins in the mailbox where it ends. */
	assert_ok(mailbox_move(m, &one, STR("INBOX"), s->arena, &c));
	assert_ok(mailbox_refresh(m));
	(void)changes(m, false);
	assert_true(saved_of(m, c.to[0]) >= begin);
	assert_int_equal(message_saved(m, 77, &first), STORE_GONE);
	mailbox_close(m);
	mailbox_close(trash);
	site_free(s);
}

static void
names_tell_when_it_was_saved_and_else_their_last_change(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;
	int64_t begin = clock_now();

	(void)state;
	/* Put here by others: the time in its name is of another place. */
	shell(s, "printf 'a: b\r\n\r\nc\r\n' > new/1600000001.M1.h; printf 'a: b\r\n\r\nd\r\n' > new/hello");
	m = open_box(s->account, "INBOX");
	assert_int_equal(mailbox_exists(m), 2);
	assert_true(saved_of(m, 1) >= begin - 1 && saved_of(m, 1) <= clock_now() + 1);
	assert_true(saved_of(m, 2) >= begin - 1 && saved_of(m, 2) <= clock_now() + 1);
	mailbox_close(m);
	/* The index is made anew: its name is all there is. */
	lose_index(s);
	m = open_box(s->account, "INBOX");
	for (uint32_t i = 1; i <= 2; i++) {
		int64_t saved = saved_of(m, message_of(m, i).uid);

		assert_true(saved == 1600000001 || (saved >= begin - 1 && saved <= clock_now() + 1));
	}
	mailbox_close(m);
	site_free(s);
}

/* ---- sums, and what was made ---- */

static void
deleted_messages_are_summed_up(void **state)
{
	struct site *s = site_new_in_memory();
	struct deleted_sums sums;
	struct mailbox *m;

	(void)state;
	for (int i = 0; i < 4; i++)
		put_mail(s->account, "INBOX");
	assert_ok(mailbox_deleted(s->account, STR("INBOX"), &sums));
	assert_int_equal(sums.messages + sums.bytes, 0);
	m = open_box(s->account, "INBOX");
	set_flags(s, m, 1, FLAGS_ADD, FLAG_DELETED | FLAG_SEEN, NULL);
	set_flags(s, m, 2, FLAGS_ADD, FLAG_SEEN, NULL);
	set_flags(s, m, 4, FLAGS_ADD, FLAG_DELETED, NULL);
	mailbox_close(m);
	assert_ok(mailbox_deleted(s->account, STR("INBOX"), &sums));
	assert_int_equal(sums.messages, 2);
	assert_int_equal(sums.bytes, 2 * (sizeof(MAIL) - 1));
	assert_int_equal(mailbox_deleted(s->account, STR("none"), &sums), STORE_NO_SUCH);
	site_free(s);
}

static void
a_new_mailbox_is_told_with_its_identity(void **state)
{
	struct site *s = site_new_in_memory();
	struct mailbox_info made, status;

	(void)state;
	assert_ok(mailbox_create_told(s->account, STR("a/b"), USE_MEMOS | USE_SNOOZED, s->arena, &made));
	assert_ok(mailbox_status(s->account, STR("a/b"), s->arena, &status));
	assert_str(made.id, status.id);
	assert_str(made.name, STR("a/b"));
	assert_int_equal(made.uidvalidity, status.uidvalidity);
	assert_int_equal(status.special_use, USE_MEMOS | USE_SNOOZED);
	assert_int_equal(mailbox_create_told(s->account, STR("a/b"), 0, s->arena, &made), STORE_EXISTS);
	lose_index(s);
	assert_ok(mailbox_status(s->account, STR("a/b"), s->arena, &made));
	assert_str(made.id, status.id);
	assert_int_equal(made.special_use, USE_MEMOS | USE_SNOOZED);
	site_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_and_a_rebuilt_index_have_the_same_ids),
		cmocka_unit_test(the_same_octets_of_another_date_are_another_email),
		cmocka_unit_test(messages_that_name_each_other_are_one_thread),
		cmocka_unit_test(a_long_message_is_hashed_in_slices),
		cmocka_unit_test(nothing_is_made_of_what_only_what_is_kept_was_asked_for),
		cmocka_unit_test(what_is_kept_goes_with_its_message),
		cmocka_unit_test(a_message_is_saved_when_it_comes_into_its_mailbox),
		cmocka_unit_test(names_tell_when_it_was_saved_and_else_their_last_change),
		cmocka_unit_test(deleted_messages_are_summed_up),
		cmocka_unit_test(a_new_mailbox_is_told_with_its_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
