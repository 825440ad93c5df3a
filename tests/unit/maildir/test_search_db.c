/* SPDX-License-Identifier: ISC */
/* search.db in a real account: a search, and an order, finds with it what reading the messages finds. */
#include "maildir/search_db.h"
#include "tests/unit/maildir/search_site.h"

enum { MESSAGES = 600, KEYS = 100 };

/* Keys alone, negated, and joined: first all by reading, then all with the index. */
static void
answers_are_those_of_reading(void **state)
{
	static struct search_key keys[KEYS], others[KEYS], joined[KEYS];
	static struct buf read[KEYS], filtered[KEYS];
	size_t differ = 0;

	(void)state;
	fill(MESSAGES);
	for (size_t i = 0; i < KEYS; i++) {
		some_key(&keys[i]);
		some_key(&others[i]);
		joined[i] = keys[i];
		if (i % 4 == 1)
			joined[i] = (struct search_key){ .kind = SEARCH_NOT, .first = &keys[i] };
		keys[i].next = i % 4 >= 2 ? &others[i] : NULL;
		if (i % 4 >= 2)
			joined[i] = (struct search_key){ .kind = i % 4 == 2 ? SEARCH_AND : SEARCH_OR,
				.first = &keys[i] };
		find(&joined[i], &read[i]);
	}
	build();
	assert_int_equal(number("SELECT count(*) FROM messages"), MESSAGES);
	assert_int_equal(number("SELECT count(*) FROM blocks"), MESSAGES / 256);
	for (size_t i = 0; i < KEYS; i++) {
		find(&joined[i], &filtered[i]);
		if (!str_eq(buf_str(&read[i]), buf_str(&filtered[i]))) {
			print_error("%zu: kind %d field %.*s text \"%.*s\": %zu read, %zu filtered\n", i,
			    keys[i].kind, STR_ARG(keys[i].field), STR_ARG(keys[i].text),
			    read[i].n / 4, filtered[i].n / 4);
			differ++;
		}
		buf_free(&read[i]);
		buf_free(&filtered[i]);
	}
	assert_int_equal(differ, 0);
}

static void
sent_dates_come_from_it(void **state)
{
	scoped_buf read = BUF_INIT, known = BUF_INIT;
	struct search_key key = { .kind = SEARCH_SENTSINCE, .day = 20773 };

	(void)state;
	fill(300);
	find(&key, &read);
	assert_null(search_db(site->account, false));	/* for a day alone none is made */
	(void)count_found(SEARCH_BODY, "", "a");
	build();
	find(&key, &known);
	assert_true(read.n > 0 && read.n < 300 * sizeof(uint32_t));
	assert_str(buf_str(&read), buf_str(&known));
}

static void
what_is_new_or_gone_counts_at_once(void **state)
{
	struct mailbox *m;

	(void)state;
	fill(300);
	(void)count_found(SEARCH_BODY, "", "회의");
	build();
	assert_int_equal(count_found(SEARCH_BODY, "", "Hi Bob"), 0);
	put_mail(site->account, "INBOX");
	assert_int_equal(count_found(SEARCH_BODY, "", "Hi Bob"), 1);
	build();
	assert_int_equal(count_found(SEARCH_BODY, "", "Hi Bob"), 1);
	m = open_box(site->account, "INBOX");
	set_flags(site, m, 301, FLAGS_ADD, FLAG_DELETED, NULL);
	assert_ok(mailbox_expunge(m, NULL));
	mailbox_close(m);
	assert_int_equal(count_found(SEARCH_BODY, "", "Hi Bob"), 0);
	build();
	assert_int_equal(number("SELECT count(*) FROM messages"), 300);
}

static void
expunge_all(void)
{
	struct mailbox *m = open_box(site->account, "INBOX");

	set_flags(site, m, 1, FLAGS_ADD, FLAG_DELETED, NULL);
	for (uint32_t uid = 2; uid <= 3000; uid += 500) {
		struct uid_set set = one_range(site->arena, uid, uid + 499);
		struct stored stored;

		assert_ok(mailbox_store(m, &set, FLAGS_ADD, &(struct flags){ .system = FLAG_DELETED }, UINT64_MAX,
		    site->arena, &stored));
	}
	assert_ok(mailbox_expunge(m, NULL));
	mailbox_close(m);
}

/* Grams of the expunged pile up, until the mailbox is taken in anew. */
static void
of_what_is_gone_nothing_stays(void **state)
{
	(void)state;
	fill(40);
	for (int i = 0; i < 2520; i++)
		add(STR("Subject: short\r\n\r\nshort\r\n"));
	(void)count_found(SEARCH_BODY, "", "회의");
	build();
	assert_int_equal(number("SELECT count(*) FROM blocks"), 10);
	expunge_all();
	put_mail(site->account, "INBOX");
	build();
	assert_int_equal(number("SELECT count(*) FROM blocks"), 0);
	assert_int_equal(number("SELECT count(*) FROM grams"), 0);
	assert_int_equal(number("SELECT count(*) FROM messages"), 1);
	assert_int_equal(number("SELECT held FROM boxes"), 1);
	assert_int_equal(count_found(SEARCH_BODY, "", "Hi Bob"), 1);
	assert_int_equal(count_found(SEARCH_BODY, "", "회의"), 0);
}

/* One with more text than is kept, one with more than is looked at, one without any. */
static void
size_does_not_matter(void **state)
{
	scoped_buf large = BUF_INIT, huge = BUF_INIT;

	(void)state;
	buf_put_z(&large, "Subject: large\r\n\r\n");
	for (unsigned i = 0; i < 20000; i++)
		buf_printf(&large, "%u\r\n", i * 7);
	buf_put_z(&large, "the very end");
	buf_put_z(&huge, "Subject: huge\r\n\r\n");
	for (unsigned i = 0; i < 200000; i++)
		buf_printf(&huge, "%u\r\n", i * 7);
	buf_put_z(&huge, "the very end");
	fill(300);
	put(site->account, "INBOX", buf_str(&large), (struct flags){ 0 });
	put(site->account, "INBOX", buf_str(&huge), (struct flags){ 0 });
	put(site->account, "INBOX", STR("Subject: none\r\n\r\n"), (struct flags){ 0 });
	put(site->account, "INBOX", STR(""), (struct flags){ 0 });
	fill(300);
	assert_int_equal(count_found(SEARCH_BODY, "", "the very end"), 2);
	build();
	assert_int_equal(count_found(SEARCH_BODY, "", "the very end"), 2);
	assert_int_equal(count_found(SEARCH_BODY, "", "the very middle"), 0);
	assert_int_equal(count_found(SEARCH_HEADER, "Subject", "e"), count_found(SEARCH_HEADER, "subject", "E"));
}

/* What is read of the few lines is what is read of all; and without either. */
static void
a_brief_record_answers_as_the_header_does(void **state)
{
	static const char *const names[] = { "From", "TO", "cc", "Subject", "Message-ID" };
	static const char *const texts[] = { "", "a", "e", "회의", "test", "example", "nothing at all" };
	size_t counts[countof(names)][countof(texts)];

	(void)state;
	fill(300);
	for (size_t round = 0; round < 3; round++) {
		if (round > 0)
			build();
		if (round == 2)
			assert_int_equal(sqlite3_exec(search_db(site->account, true)->db,
			    "DELETE FROM briefs", NULL, NULL, NULL), SQLITE_OK);
		for (size_t n = 0; n < countof(names); n++)
			for (size_t t = 0; t < countof(texts); t++) {
				const size_t count = count_found(SEARCH_HEADER, names[n], texts[t]);

				if (round == 0)
					counts[n][t] = count;
				assert_int_equal(count, counts[n][t]);
			}
	}
}

static void
order(const struct sort_criterion *by, size_t criteria, struct buf *out)
{
	struct mailbox *m = open_box(site->account, "INBOX");
	struct search_key all = { .kind = SEARCH_ALL };
	scoped_buf uids = BUF_INIT;
	struct order *o;
	const uint32_t *sorted;
	bool done = false;
	size_t count;

	find(&all, &uids);
	o = order_sort(m, (const uint32_t *)(const void *)uids.p, uids.n / sizeof(uint32_t), by, criteria);
	while (!done)
		assert_ok(order_step(o, &done));
	sorted = order_uids(o, &count);
	buf_clear(out);
	buf_put(out, (struct str){ (const char *)sorted, count * sizeof(*sorted) });
	order_free(o);
	mailbox_close(m);
}

static void
order_is_the_same_from_headers_and_from_it(void **state)
{
	static const struct sort_criterion by[][2] = {
		{ { SORT_SUBJECT, false }, { SORT_DATE, true } },
		{ { SORT_DISPLAY_FROM, true }, { SORT_TO, false } },
		{ { SORT_DATE, false }, { SORT_SIZE, false } },
	};
	struct buf before[countof(by)] = { 0 };

	(void)state;
	fill(700);
	for (size_t i = 0; i < countof(by); i++)
		order(by[i], 2, &before[i]);
	build();
	assert_int_equal(number("SELECT count(*) FROM messages"), 700);
	for (size_t i = 0; i < countof(by); i++) {
		scoped_buf after = BUF_INIT;

		order(by[i], 2, &after);
		assert_int_equal(after.n, 700 * sizeof(uint32_t));
		assert_str(buf_str(&after), buf_str(&before[i]));
		buf_free(&before[i]);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(answers_are_those_of_reading),
		TEST(sent_dates_come_from_it),
		TEST(what_is_new_or_gone_counts_at_once),
		TEST(of_what_is_gone_nothing_stays),
		TEST(size_does_not_matter),
		TEST(a_brief_record_answers_as_the_header_does),
		TEST(order_is_the_same_from_headers_and_from_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
