/* SPDX-License-Identifier: ISC */
/* Messages opened one after the other, and which of them are files that may be sent as they are. */
#include "tests/unit/maildir/test.h"

enum { MANY = 90 };

static struct content *
open_one(struct mailbox *m, uint32_t uid)
{
	struct content *c = NULL;

	assert_ok(content_open(m, uid, &c));
	return c;
}

/* Its octets, read; NULL: it is gone. */
static const char *
text_of(struct mailbox *m, uint32_t uid)
{
	static char text[400];
	scoped_buf octets = BUF_INIT;
	struct content *c = NULL;
	enum store_result r = content_open(m, uid, &c);

	if (r == STORE_GONE)
		return NULL;
	assert_ok(r);
	assert_ok(content_read(c, 0, SIZE_MAX, &octets));
	assert_int_equal(octets.n, content_size(c));
	content_close(c);
	snprintf(text, sizeof(text), "%.*s", STR_ARG(buf_str(&octets)));
	return text;
}

/* What the file says that may be sent instead; NULL: there is none. */
static const char *
file_of(struct mailbox *m, uint32_t uid)
{
	static char text[400];
	struct content *c = open_one(m, uid);
	ssize_t n;
	int fd;

	if (!content_is_plain_file(c)) {
		content_close(c);
		return NULL;
	}
	fd = content_take_file(c, false);
	assert_true(fd >= 0);
	n = pread(fd, text, sizeof(text) - 1, 0);
	assert_int_equal(n, (ssize_t)content_size(c));
	text[n] = '\0';
	close(fd);
	/* The last one is the content's own, and outlives it. */
	fd = content_take_file(c, true);
	content_close(c);
	assert_int_equal(pread(fd, text, sizeof(text) - 1, 0), n);
	close(fd);
	return text;
}

static const char *
number_text(uint32_t n)
{
	static char text[100];

	snprintf(text, sizeof(text), "Subject: %u\r\n\r\nThis is number %u.\r\n", n, n);
	return text;
}

static struct mailbox *
with_many(struct site *s)
{
	for (uint32_t n = 1; n <= MANY; n++)
		assert_int_equal(put(s->account, "INBOX", str_of(number_text(n)), (struct flags){ 0 }), n);
	return open_box(s->account, "INBOX");
}

static void
one_after_the_other_and_in_any_order(void **state)
{
	struct site *s = site_new_in_memory();
	struct mailbox *m = with_many(s), *other;

	(void)state;
	for (uint32_t n = 1; n <= MANY; n++)
		assert_string_equal(text_of(m, n), number_text(n));
	for (uint32_t n = MANY; n > 0; n--)
		assert_string_equal(text_of(m, n), number_text(n));
	for (uint32_t n = 1; n <= MANY; n += 7)
		assert_string_equal(text_of(m, n), number_text(n));
	for (uint32_t n = 1; n <= MANY; n += n)
		assert_string_equal(text_of(m, n), number_text(n));
	/* Beyond the last, and in another mailbox under the same numbers. */
	assert_null(text_of(m, MANY + 1));
	assert_ok(mailbox_create(s->account, STR("Other"), 0));
	put(s->account, "Other", STR(MAIL), (struct flags){ 0 });
	put(s->account, "Other", STR(MAIL), (struct flags){ 0 });
	other = open_box(s->account, "Other");
	assert_string_equal(text_of(m, 1), number_text(1));
	assert_string_equal(text_of(other, 2), MAIL);
	assert_string_equal(text_of(m, 2), number_text(2));
	assert_string_equal(text_of(m, 3), number_text(3));
	assert_string_equal(text_of(other, 1), MAIL);
	mailbox_close(other);
	mailbox_close(m);
	site_free(s);
}

/* Until the file of this one has the name that its flags say. */
static void
wait_for_name(struct site *s, const char *part)
{
	for (int i = 0; i < 5000 && *find_name(s, "cur", part) == '\0'; i++) {
		while (account_work(s->account))
			continue;
		usleep(1000);
	}
	assert_string_not_equal(find_name(s, "cur", part), "");
}

static void
names_that_changed_meanwhile_are_found(void **state)
{
	struct site *s = site_new_in_memory();
	struct mailbox *m = with_many(s);
	struct site second = *s;
	struct mailbox *theirs;

	(void)state;
	second.account = open_account(s->path, "pop3d", 0);
	theirs = open_box(second.account, "INBOX");
	assert_string_equal(text_of(m, 1), number_text(1));
	assert_string_equal(text_of(m, 2), number_text(2));
	/* Another process gives one another name, removes one, and so do we. */
	set_flags(&second, theirs, 4, FLAGS_ADD, FLAG_FLAGGED, NULL);
	set_flags(&second, theirs, 5, FLAGS_ADD, FLAG_DELETED, NULL);
	assert_ok(mailbox_expunge(theirs, NULL));
	mailbox_close(theirs);
	account_close(second.account);
	set_flags(s, m, 6, FLAGS_ADD, FLAG_SEEN, NULL);
	for (uint32_t n = 3; n <= 8; n++) {
		if (n == 5)
			assert_null(text_of(m, n));
		else
			assert_string_equal(text_of(m, n), number_text(n));
	}
	set_flags(s, m, 9, FLAGS_ADD, FLAG_SEEN, NULL);
	wait_for_name(s, "U=9:2,S");
	assert_string_equal(text_of(m, 9), number_text(9));
	/* Another program, which tells nobody. */
	shell(s, "for f in cur/*U=11:*; do mv $f ${f%:*}:2,F; done; rm cur/*U=12:*");
	assert_string_equal(text_of(m, 10), number_text(10));
	assert_string_equal(text_of(m, 11), number_text(11));
	assert_null(text_of(m, 12));
	assert_string_equal(text_of(m, 13), number_text(13));
	mailbox_close(m);
	site_free(s);
}

static void
an_index_made_anew_is_asked_anew(void **state)
{
	struct site *s = site_new_in_memory();
	struct mailbox *m = with_many(s);

	(void)state;
	assert_string_equal(text_of(m, 1), number_text(1));
	assert_string_equal(text_of(m, 2), number_text(2));
	shell(s, "rm .trivet/index.db*");
	assert_string_equal(text_of(m, 3), number_text(3));
	assert_string_equal(text_of(m, 4), number_text(4));
	mailbox_close(m);
	site_free(s);
}

static void
a_file_is_sent_as_it_is_where_all_of_it_is_known(void **state)
{
	struct site *s = site_new();
	struct str found[TEXT_COUNT];
	struct mailbox *m;

	(void)state;
	put_mail(s->account, "INBOX");
	write_file(s, "cur/1700000001.a.b:2,", STR("Subject: lf\n\nHi\n"));
	write_file(s, "cur/1700000002.a.b:2,", ((struct str){ "Subject: \0\r\n\r\nHi\r\n", 18 }));
	/* Nobody has to read this one to take it in. */
	write_file(s, "cur/1700000003.a.b,S=18,W=18:2,", STR("Subject: x\r\n\r\nHi\r\n"));
	m = open_box(s->account, "INBOX");
	assert_int_equal(mailbox_exists(m), 4);
	assert_string_equal(file_of(m, 1), MAIL);
	for (uint32_t seq = 2; seq <= 4; seq++)
		assert_null(file_of(m, message_of(m, seq).uid));
	for (uint32_t seq = 2; seq <= 4; seq++)
		assert_ok(message_texts(m, message_of(m, seq).uid, 1u << TEXT_ENVELOPE, found));
	assert_null(file_of(m, message_of(m, 2).uid));
	assert_null(file_of(m, message_of(m, 3).uid));
	assert_string_equal(file_of(m, message_of(m, 4).uid), "Subject: x\r\n\r\nHi\r\n");
	mailbox_close(m);
	/* Only an index knows. */
	account_close(s->account);
	shell(s, "rm .trivet/index.db*");
	s->account = open_account(s->path, "imapd", 0);
	m = open_box(s->account, "INBOX");
	assert_null(file_of(m, 1));
	assert_ok(message_texts(m, 1, 1u << TEXT_BODY, found));
	assert_string_equal(file_of(m, 1), MAIL);
	mailbox_close(m);
	site_free(s);
}

static void
what_is_known_goes_along_with_copies(void **state)
{
	struct site *s = site_new();
	struct uid_set both = one_range(s->arena, 1, 2);
	struct copied copied;
	struct mailbox *m;

	(void)state;
	put_mail(s->account, "INBOX");
	put_mail(s->account, "INBOX");
	assert_ok(mailbox_create(s->account, STR("Other"), 0));
	m = open_box(s->account, "INBOX");
	assert_ok(mailbox_copy(m, &both, STR("Other"), s->arena, &copied));
	assert_ok(mailbox_move(m, &both, STR("Other"), s->arena, &copied));
	mailbox_close(m);
	m = open_box(s->account, "Other");
	for (uint32_t uid = 1; uid <= 4; uid++)
		assert_string_equal(file_of(m, uid), MAIL);
	mailbox_close(m);
	site_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_after_the_other_and_in_any_order),
		cmocka_unit_test(names_that_changed_meanwhile_are_found),
		cmocka_unit_test(an_index_made_anew_is_asked_anew),
		cmocka_unit_test(a_file_is_sent_as_it_is_where_all_of_it_is_known),
		cmocka_unit_test(what_is_known_goes_along_with_copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
