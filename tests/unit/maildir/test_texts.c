/* SPDX-License-Identifier: ISC */
/* message_texts: what the index keeps of a message, read ahead or one by one, and made anew where it is of no use. */
#include "tests/unit/maildir/test.h"

#include <sqlite3.h>

/* A walk reads ahead; among them one with a header too long to be kept, and one expunged. */
static void
texts_of_one_after_the_other_are_each_its_own(void **state)
{
	struct site *s = site_new();
	struct mailbox *m;
	struct str text[TEXT_COUNT];
	scoped_buf mail = BUF_INIT, subject = BUF_INIT;
	uint32_t uid;

	(void)state;
	for (uid = 1; uid <= 70; uid++) {
		buf_clear(&mail);
		buf_printf(&mail, "Subject: number %u\r\n", uid);
		for (int i = 0; uid == 40 && i < 1000; i++)
			buf_put_z(&mail, "X-Long: to be or not\r\n");
		buf_put_z(&mail, "\r\nbody\r\n");
		put(s->account, "INBOX", buf_str(&mail), (struct flags){ 0 });
	}
	m = open_box(s->account, "INBOX");
	set_flags(s, m, 50, FLAGS_ADD, FLAG_DELETED, NULL);
	for (int round = 0; round < 3; round++) {
		if (round == 1)
			assert_ok(mailbox_expunge(m, NULL));
		for (uid = 1; uid <= 70; uid += round < 2 ? 1 : 7) {
			if (uid == 50 && round > 0) {
				assert_int_equal(message_texts(m, uid, 1 << TEXT_ENVELOPE | 1 << TEXT_HEADER, text), STORE_GONE);
				continue;
			}
			buf_clear(&subject);
			buf_printf(&subject, "number %u", uid);
			assert_ok(message_texts(m, uid, 1 << TEXT_ENVELOPE | 1 << TEXT_HEADER, text));
			assert_true(str_find(text[TEXT_ENVELOPE], buf_str(&subject)) < text[TEXT_ENVELOPE].n);
			assert_true(str_find(text[TEXT_HEADER], buf_str(&subject)) < text[TEXT_HEADER].n);
			assert_true(text[TEXT_HEADER].n > 10000 || uid != 40);
		}
	}
	mailbox_close(m);
	site_free(s);
}

static void
a_structure_that_is_none_is_made_anew_for_body(void **state)
{
	struct site *s = site_new();
	struct str text[TEXT_COUNT];
	struct mailbox *m;
	char path[100];
	sqlite3 *db = NULL;

	(void)state;
	put_mail(s->account, "INBOX");
	account_close(s->account);
	snprintf(path, sizeof(path), "%s/.trivet/index.db", s->path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "UPDATE texts SET bodystructure = '(\"text\" ('", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	s->account = open_account(s->path, "imapd", 0);
	m = open_box(s->account, "INBOX");
	assert_ok(message_texts(m, 1, 1 << TEXT_BODY, text));
	assert_str(text[TEXT_BODY], STR("(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 8 1)"));
	assert_ok(message_texts(m, 1, 1 << TEXT_BODYSTRUCTURE, text));
	assert_true(str_starts(text[TEXT_BODYSTRUCTURE], STR("(\"text\" \"plain\"")));
	mailbox_close(m);
	site_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_of_one_after_the_other_are_each_its_own),
		cmocka_unit_test(a_structure_that_is_none_is_made_anew_for_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
