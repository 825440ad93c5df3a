/* SPDX-License-Identifier: ISC */
/* An index of an earlier version is brought up to date, with what only it knows and what was made of messages. */
#include "tests/unit/maildir/test.h"

#include <sqlite3.h>

enum { MESSAGES = 5, GONE = 3, WORDS = 30, LATEST = 5 };

/* What each version lacked, from the latest down. The texts get a mark: who sees it has them from there. */
static const char *const steps_back[] = {
	[4] = "CREATE TABLE cache (key INTEGER PRIMARY KEY, envelope TEXT, body TEXT, bodystructure TEXT, header TEXT);"
	    "INSERT INTO cache SELECT key, '(kept)' || envelope, '(body)', replace(bodystructure, 'plain', 'kept'),"
	    " 'X-Kept: yes' || char(13, 10) || header FROM texts JOIN headers USING (key);"
	    "DROP TABLE texts; DROP TABLE headers; PRAGMA user_version = 4;",
	[3] = "ALTER TABLE files DROP COLUMN no_nul; PRAGMA user_version = 3;",
	[2] = "DROP TABLE made; ALTER TABLE files DROP COLUMN saved; PRAGMA user_version = 2;",
};

/* Runs statements on the index, as a program from outside; the account is closed. The first number of the last row. */
static int64_t
on_index(struct site *s, const char *sql)
{
	char path[100];
	sqlite3_stmt *q;
	sqlite3 *db = NULL;
	int64_t out = -1;

	snprintf(path, sizeof(path), "%s/.trivet/index.db", s->path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	while (*sql != '\0') {
		assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, &sql), SQLITE_OK);
		while (sqlite3_step(q) == SQLITE_ROW)
			out = sqlite3_column_int64(q, 0);
		assert_int_equal(sqlite3_finalize(q), SQLITE_OK);
	}
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return out;
}

/* Keywords beyond the letters, modseqs and what was expunged are known to the index alone. */
struct before {
	uint64_t since;
	uint64_t modseq;
	uint32_t next;
	char id[24];
};

static struct before
furnish(struct site *s)
{
	struct before b = { 0 };
	struct mailbox *m;
	char name[8];

	for (int i = 0; i < MESSAGES; i++)
		put_mail(s->account, "INBOX");
	m = open_box(s->account, "INBOX");
	for (int i = 0; i < WORDS; i++) {
		snprintf(name, sizeof(name), "k%02d", i);
		set_flags(s, m, 1, FLAGS_ADD, 0, name);
	}
	b.since = mailbox_highest_modseq(m);
	set_flags(s, m, GONE, FLAGS_ADD, FLAG_DELETED, NULL);
	assert_ok(mailbox_expunge(m, NULL));
	b.modseq = mailbox_highest_modseq(m);
	b.next = mailbox_uid_next(m);
	snprintf(b.id, sizeof(b.id), "%.*s", STR_ARG(mailbox_id(m)));
	mailbox_close(m);
	return b;
}

static void
assert_all_there(struct site *s, struct mailbox *m, const struct before *b)
{
	struct uid_set gone;

	assert_int_equal(mailbox_exists(m), MESSAGES - 1);
	assert_int_equal(mailbox_highest_modseq(m), b->modseq);
	assert_int_equal(mailbox_uid_next(m), b->next);
	assert_str(mailbox_id(m), str_of(b->id));
	assert_int_equal(message_of(m, 1).keywords, (UINT64_C(1) << WORDS) - 1);
	assert_str(mailbox_keyword(m, 1), STR("k01"));
	assert_ok(mailbox_vanished(m, b->since, s->arena, &gone));
	assert_int_equal(gone.count, 1);
	assert_int_equal(gone.ranges[0].first, GONE);
	assert_int_equal(gone.ranges[0].last, GONE);
}

static void
assert_texts_kept(struct mailbox *m, uint32_t uid, bool kept)
{
	struct str text[TEXT_COUNT];

	assert_ok(message_texts(m, uid, (1 << TEXT_COUNT) - 1, text));
	assert_int_equal(str_starts(text[TEXT_ENVELOPE], STR("(kept)(\"Sat, 21 Nov 2026")), kept);
	assert_int_equal(str_starts(text[TEXT_BODYSTRUCTURE], STR("(\"text\" \"kept\"")), kept);
	assert_int_equal(str_starts(text[TEXT_HEADER], STR("X-Kept: yes\r\nFrom: Ann")), kept);
	assert_str(text[TEXT_BODY], kept ? STR("(\"text\" \"kept\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 8 1)") :
	    STR("(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 8 1)"));
}

/* One after the other, new ones and copies among them. */
static void
assert_goes_on(struct site *s, struct mailbox *m)
{
	struct copied copied;
	struct mailbox *other;
	uint32_t next = put_mail(s->account, "INBOX");
	struct change change;

	assert_ok(mailbox_refresh(m));
	while (mailbox_next_change(m, false, &change))
		continue;
	for (int round = 0; round < 2; round++)
		for (uint32_t uid = 1; uid <= next; uid++)
			if (uid != GONE)
				assert_texts_kept(m, uid, uid != next);
	assert_ok(mailbox_create(s->account, STR("Copies"), 0));
	assert_ok(mailbox_copy(m, &(struct uid_set){ &(struct uid_range){ 1, next }, 1 }, STR("Copies"), s->arena, &copied));
	assert_int_equal(copied.count, MESSAGES);
	set_flags(s, m, 2, FLAGS_ADD, FLAG_DELETED, NULL);
	assert_ok(mailbox_expunge(m, NULL));
	other = open_box(s->account, "Copies");
	for (uint32_t uid = 1; uid <= MESSAGES; uid++)
		assert_texts_kept(other, uid, uid != MESSAGES);
	mailbox_close(other);
}

static void
carry_over(int version)
{
	struct site *s = site_new();
	struct before b = furnish(s);
	struct mailbox *m;

	account_close(s->account);
	for (int v = LATEST - 1; v >= version; v--)
		on_index(s, steps_back[v]);
	assert_int_equal(on_index(s, "PRAGMA user_version"), version);
	s->account = open_account(s->path, "imapd", 0);
	m = open_box(s->account, "INBOX");
	assert_all_there(s, m, &b);
	assert_goes_on(s, m);
	mailbox_close(m);
	account_close(s->account);
	assert_int_equal(on_index(s, "PRAGMA user_version"), LATEST);
	assert_int_equal(on_index(s, "SELECT count(*) FROM texts"), 2 * MESSAGES - 1);
	assert_int_equal(on_index(s, "SELECT count(*) FROM texts JOIN headers USING (key) JOIN files USING (key)"),
	    2 * MESSAGES - 1);
	assert_int_equal(on_index(s, "SELECT count(*) FROM headers WHERE header IS NOT NULL"), 2 * MESSAGES - 1);
	s->account = open_account(s->path, "imapd", 0);
	site_free(s);
}

static void
an_index_of_version_4_is_carried_over_with_its_texts(void **state)
{
	(void)state;
	carry_over(4);
}

static void
an_index_of_version_3_is_carried_over_with_its_texts(void **state)
{
	(void)state;
	carry_over(3);
}

static void
an_index_of_version_2_is_carried_over_with_its_texts(void **state)
{
	(void)state;
	carry_over(2);
}

static void
one_that_is_older_or_newer_is_made_anew(void **state)
{
	static const char *const versions[] = { "PRAGMA user_version = 1", "PRAGMA user_version = 99" };

	(void)state;
	for (size_t i = 0; i < countof(versions); i++) {
		struct site *s = site_new();
		struct mailbox *m;

		(void)furnish(s);
		account_close(s->account);
		on_index(s, versions[i]);
		s->account = open_account(s->path, "imapd", 0);
		m = open_box(s->account, "INBOX");
		assert_int_equal(mailbox_exists(m), MESSAGES - 1);
		assert_texts_kept(m, 1, false);
		mailbox_close(m);
		account_close(s->account);
		assert_int_equal(on_index(s, "PRAGMA user_version"), LATEST);
		s->account = open_account(s->path, "imapd", 0);
		site_free(s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_index_of_version_4_is_carried_over_with_its_texts),
		cmocka_unit_test(an_index_of_version_3_is_carried_over_with_its_texts),
		cmocka_unit_test(an_index_of_version_2_is_carried_over_with_its_texts),
		cmocka_unit_test(one_that_is_older_or_newer_is_made_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
