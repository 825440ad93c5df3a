/* SPDX-License-Identifier: ISC */
/* Several messages in one append, one in another's place, binary ones: RFC 3502 6.3.11, RFC 8508 3.4, RFC 3516 4.4. */
#include "tests/unit/maildir/test.h"

static struct append *
begin(struct site *s, const char *mailbox)
{
	struct append *p = NULL;

	assert_ok(append_begin(s->account, &(struct append_options){ .mailbox = str_of(mailbox) }, &p));
	return p;
}

static uint32_t
count_of(struct site *s, const char *mailbox)
{
	struct mailbox_info info;

	assert_ok(mailbox_status(s->account, str_of(mailbox), s->arena, &info));
	return info.messages;
}

static void
each_message_has_flags_date_and_octets_of_its_own(void **state)
{
	const struct str words[] = { STR("one"), STR("Two"), STR("ONE") };
	struct site *s = site_new();
	struct append *p = begin(s, "INBOX");
	struct appended done;
	struct mailbox *m;
	struct str text[TEXT_COUNT];

	(void)state;
	put(s->account, "INBOX", STR(MAIL), (struct flags){ .keywords = &words[1], .keyword_count = 1 });
	assert_ok(append_write(p, STR("Subject: a\r\n\r\n")));
	assert_ok(append_next(p, &(struct append_options){ .internal_date = 86400,
	    .flags = { FLAG_SEEN, words, 2 } }));
	assert_ok(append_write(p, STR("Subject: b\n\nb")));
	assert_ok(append_next(p, &(struct append_options){ .flags = { FLAG_DRAFT, &words[2], 1 } }));
	assert_ok(append_write(p, STR("Subject: c\r\n\r\n")));
	assert_ok(append_publish(p, true, &done));
	assert_int_equal(done.uid, 2);
	assert_int_equal(done.count, 3);
	m = open_box(s->account, "INBOX");
	assert_int_equal(mailbox_exists(m), 4);
	assert_int_equal(message_of(m, 2).flags, 0);
	assert_int_equal(message_of(m, 3).flags, FLAG_SEEN);
	assert_int_equal(message_of(m, 3).internal_date, 86400);
	assert_int_equal(message_of(m, 3).size, 15);
	assert_int_equal(message_of(m, 4).flags, FLAG_DRAFT);
	assert_int_equal(mailbox_keyword_count(m), 2);
	assert_int_equal(message_of(m, 3).keywords, 3);
	assert_str(mailbox_keyword(m, (size_t)__builtin_ctzll(message_of(m, 4).keywords)), STR("one"));
	for (uint32_t uid = 2; uid <= 4; uid++) {
		assert_ok(message_texts(m, uid, 1 << TEXT_ENVELOPE, text));
		assert_int_equal(text[TEXT_ENVELOPE].p[6], 'a' + (int)uid - 2);
		assert_int_equal(message_of(m, uid).modseq, message_of(m, 2).modseq);
	}
	assert_int_equal(count_files(s, "tmp"), 0);
	assert_int_equal(count_files(s, "cur"), 4);
	mailbox_close(m);
	site_free(s);
}

/* More than are synced singly, and more texts than wait for the commit. */
static void
many_are_published_at_once(void **state)
{
	enum { MANY = 40, OCTETS = 100 * 1000 };
	struct site *s = site_new_in_memory();
	struct append *p = begin(s, "Archive");
	struct appended done;
	struct mailbox *m;
	struct str text[TEXT_COUNT];
	char *line = malloc(OCTETS);

	(void)state;
	memset(line, 'x', OCTETS);
	for (int i = 0; i < MANY; i++) {
		if (i > 0)
			assert_ok(append_next(p, &(struct append_options){ .size = OCTETS }));
		assert_ok(append_write(p, STR("Subject: ")));
		assert_ok(append_write(p, (struct str){ line, OCTETS }));
		assert_ok(append_write(p, STR("\r\n\r\nbody\r\n")));
	}
	assert_int_equal(count_of(s, "Archive"), 0);
	assert_ok(append_publish(p, true, &done));
	assert_int_equal(done.count, MANY);
	m = open_box(s->account, "Archive");
	assert_int_equal(mailbox_exists(m), MANY);
	for (uint32_t uid = 1; uid <= MANY; uid++) {
		assert_ok(message_texts(m, uid, 1 << TEXT_ENVELOPE, text));
		assert_true(text[TEXT_ENVELOPE].n > OCTETS);
	}
	mailbox_close(m);
	free(line);
	site_free(s);
}

static void
all_or_none(void **state)
{
	struct site *s = site_new();
	struct append *p;
	struct appended done;
	const struct append_options another = { .size = 10 };

	(void)state;
	/* The quota is for the sum: as announced, and as it was written. */
	account_set_quota(s->account, 30, 0);
	p = begin(s, "INBOX");
	assert_ok(append_write(p, STR("0123456789")));
	assert_ok(append_next(p, &another));
	assert_ok(append_write(p, STR("0123456789")));
	assert_int_equal(append_next(p, &(struct append_options){ .size = 11 }), STORE_OVER_QUOTA);
	append_abandon(p);
	p = begin(s, "INBOX");
	assert_ok(append_write(p, STR("0123456789")));
	assert_ok(append_next(p, &another));
	assert_ok(append_write(p, STR("0123456789 and eleven")));
	assert_int_equal(append_publish(p, true, &done), STORE_OVER_QUOTA);
	append_abandon(p);
	/* Too many messages. */
	account_set_quota(s->account, 0, 1);
	p = begin(s, "INBOX");
	assert_ok(append_write(p, STR("x")));
	assert_int_equal(append_next(p, &another), STORE_OVER_QUOTA);
	append_abandon(p);
	/* A keyword that is none. */
	account_set_quota(s->account, 0, 0);
	p = begin(s, "INBOX");
	assert_ok(append_write(p, STR("x")));
	assert_int_equal(append_next(p, &(struct append_options){ .flags = { 0, &STR("a b"), 1 } }),
	    STORE_BAD_NAME);
	append_abandon(p);
	assert_int_equal(count_of(s, "INBOX"), 0);
	assert_int_equal(count_files(s, "tmp"), 0);
	assert_int_equal(count_files(s, "cur"), 0);
	site_free(s);
}

/* ---- one in another's place ---- */

static struct append *
replace(struct site *s, struct mailbox *m, uint32_t uid, const char *to)
{
	struct append *p = NULL;

	assert_ok(append_begin(s->account, &(struct append_options){ .mailbox = str_of(to),
	    .replaces = m, .replaced_uid = uid }, &p));
	return p;
}

static void
the_new_one_comes_and_the_old_one_goes(void **state)
{
	struct site *s = site_new();
	struct mailbox *m, *other;
	struct append *p;
	struct appended done;
	struct change change;

	(void)state;
	put(s->account, "Drafts", STR(MAIL), (struct flags){ .system = FLAG_DRAFT });
	put_mail(s->account, "Drafts");
	m = open_box(s->account, "Drafts");
	other = open_box(s->account, "Drafts");
	p = replace(s, m, 1, "Drafts");
	assert_ok(append_write(p, STR("Subject: new\r\n\r\n")));
	assert_ok(append_publish(p, true, &done));
	assert_int_equal(done.uid, 3);
	assert_int_equal(count_files(s, ".Drafts/cur"), 2);
	assert_ok(mailbox_refresh(other));
	assert_true(mailbox_next_change(other, false, &change));
	assert_int_equal(change.kind, CHANGE_EXPUNGED);
	assert_int_equal(change.uid, 1);
	assert_true(mailbox_next_change(other, false, &change));
	assert_int_equal(change.kind, CHANGE_EXISTS);
	assert_int_equal(message_of(other, 2).uid, 3);
	assert_int_equal(message_of(other, 2).flags, 0);
	/* Into another mailbox. */
	p = replace(s, m, 2, "Sent");
	assert_ok(append_write(p, STR("Subject: sent\r\n\r\n")));
	assert_ok(append_publish(p, true, &done));
	assert_int_equal(count_of(s, "Drafts"), 1);
	assert_int_equal(count_of(s, "Sent"), 1);
	assert_int_equal(count_files(s, ".Drafts/cur"), 1);
	mailbox_close(other);
	mailbox_close(m);
	site_free(s);
}

static void
what_is_refused_leaves_the_old_one(void **state)
{
	const uint64_t one = sizeof(MAIL) - 1;
	struct site *s = site_new();
	struct mailbox *m, *only;
	struct append *p;
	struct appended done;
	struct change change;
	struct append_options options = { .mailbox = STR("Drafts"), .replaced_uid = 1 };

	(void)state;
	put_mail(s->account, "Drafts");
	m = options.replaces = open_box(s->account, "Drafts");
	/* Only the difference counts. */
	account_set_quota(s->account, one + 1, 1);
	options.size = one + 2;
	assert_int_equal(append_begin(s->account, &options, &p), STORE_OVER_QUOTA);
	options.size = one + 1;
	assert_ok(append_begin(s->account, &options, &p));
	assert_ok(append_write(p, STR(MAIL "xx")));
	assert_int_equal(append_publish(p, true, &done), STORE_OVER_QUOTA);
	append_abandon(p);
	p = replace(s, m, 1, "Drafts");
	assert_ok(append_write(p, STR(MAIL "x")));
	assert_ok(append_publish(p, true, &done));
	assert_int_equal(count_of(s, "Drafts"), 1);
	/* There is no such message, no such mailbox, no right to. */
	options.size = 0;
	assert_int_equal(append_begin(s->account, &options, &p), STORE_GONE);
	options.replaced_uid = 2;
	options.mailbox = STR("Nowhere");
	assert_int_equal(append_begin(s->account, &options, &p), STORE_NO_SUCH);
	assert_ok(mailbox_open(s->account, STR("Drafts"), MAILBOX_READ_ONLY, &only));
	options.replaces = only;
	options.mailbox = STR("Drafts");
	assert_int_equal(append_begin(s->account, &options, &p), STORE_READ_ONLY);
	mailbox_close(only);
	/* Somebody expunged it while it came. */
	p = replace(s, m, 2, "Drafts");
	assert_ok(append_write(p, STR("x")));
	assert_ok(mailbox_refresh(m));
	while (mailbox_next_change(m, false, &change))
		continue;
	set_flags(s, m, 2, FLAGS_ADD, FLAG_DELETED, NULL);
	assert_ok(mailbox_expunge(m, NULL));
	assert_int_equal(append_publish(p, true, &done), STORE_GONE);
	append_abandon(p);
	assert_int_equal(count_of(s, "Drafts"), 0);
	assert_int_equal(count_files(s, ".Drafts/tmp") + count_files(s, ".Drafts/cur"), 0);
	mailbox_close(m);
	site_free(s);
}

/* ---- binary ---- */

static void
binary_parts_come_in_base64(void **state)
{
	static const struct str header = STR("Content-Transfer-Encoding: binary\r\n\r\n");
	static const size_t sizes[] = { 4, 200 * 1000 };	/* in memory, and in a file already */
	struct site *s = site_new_in_memory();
	struct append *p;
	struct appended done;
	struct mailbox *m;
	struct content *c;
	struct str bytes, text[TEXT_COUNT];
	char *zeros = calloc(1, sizes[1]);

	(void)state;
	for (uint32_t i = 0; i < countof(sizes); i++) {
		assert_ok(append_begin(s->account, &(struct append_options){ .mailbox = STR("INBOX"),
		    .binary = true }, &p));
		assert_ok(append_write(p, header));
		assert_ok(append_write(p, (struct str){ zeros, sizes[i] }));
		assert_ok(append_publish(p, true, &done));
		m = open_box(s->account, "INBOX");
		assert_ok(content_open(m, i + 1, &c));
		assert_ok(content_bytes(c, &bytes));
		assert_true(str_starts(bytes, STR("Content-Transfer-Encoding: base64\r\n\r\nAAAA")));
		assert_int_equal(content_size(c), message_of(m, i + 1).size);
		assert_true(content_size(c) > header.n + sizes[i] / 3 * 4);
		content_close(c);
		assert_ok(message_texts(m, i + 1, 1 << TEXT_BODY, text));
		assert_true(str_find(text[TEXT_BODY], STR("\"base64\"")) < text[TEXT_BODY].n);
		mailbox_close(m);
	}
	assert_ok(append_begin(s->account, &(struct append_options){ .mailbox = STR("INBOX"),
	    .binary = true }, &p));
	assert_ok(append_write(p, STR("\r\n\0\r\n")));
	assert_int_equal(append_publish(p, true, &done), STORE_NOT_ALLOWED);
	append_abandon(p);
	assert_int_equal(count_of(s, "INBOX"), 2);
	free(zeros);
	site_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_message_has_flags_date_and_octets_of_its_own),
		cmocka_unit_test(many_are_published_at_once),
		cmocka_unit_test(all_or_none),
		cmocka_unit_test(the_new_one_comes_and_the_old_one_goes),
		cmocka_unit_test(what_is_refused_leaves_the_old_one),
		cmocka_unit_test(binary_parts_come_in_base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
