/* SPDX-License-Identifier: ISC */
/* SEARCH in messages in memory (RFC 3501 6.4.4): what rows, days, ids and headers decide; nothing is read in vain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/mime/date.h"
#include "tests/unit/maildir/asking.h"

/* ---- rows ---- */

static const struct question row_questions[] = {
	{ "ALL", "1 2 3 4" },
	{ "SEEN", "1 3" }, { "UNSEEN", "2 4" }, { "DELETED", "3" }, { "UNDELETED", "1 2 4" },
	{ "ANSWERED", "1" }, { "DRAFT", "" }, { "FLAGGED", "4" }, { "UNFLAGGED", "1 2 3" },
	{ "RECENT", "3 4" }, { "NEW", "4" }, { "OLD", "1 2" }, { "NOT OLD", "3 4" },
	{ "KEYWORD $label1", "2 4" }, { "KEYWORD $LABEL1", "2 4" }, { "UNKEYWORD $label1", "1 3" },
	{ "KEYWORD work", "4" }, { "KEYWORD nobody", "" }, { "UNKEYWORD nobody", "1 2 3 4" },
	{ "SEEN DELETED", "3" }, { "OR SEEN FLAGGED", "1 3 4" },
	{ "NOT (SEEN DELETED)", "1 2 4" }, { "NOT NOT SEEN", "1 3" },
	{ "OR (SEEN NOT DELETED) (UNSEEN RECENT)", "1 4" },
	{ "NOT OR SEEN FLAGGED", "2" }, { "ALL NOT ALL", "" },
	{ "UID 20:30", "2 3" }, { "UID 11:19", "" }, { "UID 40,10", "1 4" }, { "UID 20 SEEN", "" },
	{ "UID *", "4" }, { "NOT UID 30:*", "1 2" },
	{ "LARGER 99", "3 4" }, { "LARGER 100", "4" }, { "SMALLER 100", "1 2" },
	{ "SMALLER 101", "1 2 3" }, { "NOT LARGER 100 NOT SMALLER 100", "3" },
};

static void
flags_numbers_and_sizes_need_no_reading(void **state)
{
	static const uint32_t flags[] = { FLAG_SEEN | FLAG_ANSWERED, 0,
		FLAG_SEEN | FLAG_DELETED, FLAG_FLAGGED };

	(void)state;
	box->keywords[box->keyword_count++] = STR("$Label1");
	box->keywords[box->keyword_count++] = STR("Work");
	for (size_t i = 0; i < countof(flags); i++) {
		struct fake_message *m = add_text("\nbody\n");

		m->row.flags = flags[i];
		m->row.recent = i >= 2;
		m->row.keywords = i == 1 ? 1 : i == 3 ? 3 : 0;
		m->row.size = i < 2 ? 99 : 98 + (uint32_t)i;
		m->fault = STORE_BROKEN;
	}
	check_all(row_questions, countof(row_questions));
	for (size_t i = 0; i < countof(flags); i++)
		assert_int_equal(box->messages[i]->header_reads + box->messages[i]->body_reads, 0);
}

static const struct question day_questions[] = {
	/* Internal dates: 1 and 2 are the ends of the 14th, UTC, 3 begins the 15th. */
	{ "ON 14-Jul-2026", "1 2" }, { "ON 15-Jul-2026", "3" }, { "BEFORE 15-Jul-2026", "1 2 4 5" },
	{ "BEFORE 14-Jul-2026", "4 5" }, { "SINCE 15-Jul-2026", "3" },
	{ "SINCE 14-Jul-2026", "1 2 3" }, { "SINCE 16-Jul-2026", "" },
	{ "ON 31-Dec-1969", "5" }, { "NOT SINCE 1-Jan-1970", "5" },
	/* Sent: the day of the sender's calendar; 3 has no Date, 4 one that is none. */
	{ "SENTON 1-Mar-2026", "1" }, { "SENTON 28-Feb-2026", "2" },
	{ "SENTBEFORE 1-Mar-2026", "2 4 5" }, { "SENTSINCE 1-Mar-2026", "1 3" },
	{ "SENTON 15-Jul-2026", "3" }, { "SENTON 1-Jan-1970", "4" },
	{ "SENTBEFORE 2-Mar-2026 SENTSINCE 28-Feb-2026", "1 2" },
};

static void
a_search_ends_where_enough_is_found(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++)
		add_text(i % 2 ? "Subject: odd\n\nbody\n" : "Subject: even\n\nbody\n");
	check_extent("ALL", (struct search_extent){ 0 }, "10 20 30 40 50 60");
	check_extent("ALL", (struct search_extent){ .most = 2 }, "10 20");
	check_extent("ALL", (struct search_extent){ .most = 2, .backwards = true }, "60 50");
	check_extent("ALL", (struct search_extent){ .backwards = true }, "60 50 40 30 20 10");
	check_extent("ALL", (struct search_extent){ .above = 40 }, "50 60");
	check_extent("ALL", (struct search_extent){ .above = 45, .most = 1 }, "50");
	check_extent("ALL", (struct search_extent){ .above = 40, .backwards = true }, "60 50");
	check_extent("ALL", (struct search_extent){ .above = 39, .backwards = true }, "60 50 40");
	check_extent("ALL", (struct search_extent){ .above = 60, .backwards = true }, "");
	check_extent("ALL", (struct search_extent){ .above = UINT32_MAX }, "");
	for (size_t i = 0; i < box->count; i++)
		box->messages[i]->header_reads = box->messages[i]->body_reads = 0;
	check_extent("SUBJECT odd", (struct search_extent){ .most = 1 }, "20");
	check_extent("BODY body", (struct search_extent){ .most = 1, .backwards = true }, "60");
	check_extent("SUBJECT even", (struct search_extent){ .backwards = true, .above = 30 }, "50");
	/* And nothing beyond that was read. */
	assert_int_equal(box->messages[1]->header_reads, 1);
	assert_int_equal(box->messages[2]->header_reads, 0);
	assert_int_equal(box->messages[3]->header_reads, 1);
	assert_int_equal(box->messages[4]->body_reads, 0);
	assert_int_equal(box->messages[5]->body_reads, 1);
	box->messages[0]->row.uid = 1;
	box->messages[5]->row.uid = UINT32_MAX;
	check_extent("ALL", (struct search_extent){ .backwards = true }, "4294967295 50 40 30 20 1");
	check_extent("ALL", (struct search_extent){ .above = 50 }, "4294967295");
}

static void
an_interval_is_exact_to_the_second(void **state)
{
	const struct search_extent now = { .now = 1700000000 };

	(void)state;
	add_text("\n")->row.internal_date = now.now - 3601;
	add_text("\n")->row.internal_date = now.now - 3600;
	add_text("\n")->row.internal_date = now.now - 3599;
	add_text("\n")->row.internal_date = now.now + 3600;
	/* RFC 5032 2: both take what is exactly so old. */
	check_extent("OLDER 3600", now, "10 20");
	check_extent("YOUNGER 3600", now, "20 30 40");
	check_extent("YOUNGER 4294967295", now, "10 20 30 40");
	check_extent("OLDER 4294967295", now, "");
	check_extent("OLDER 1 YOUNGER 3600", now, "20 30");
}

static void
days_are_utc_inside_and_the_senders_own_in_date(void **state)
{
	int32_t day;

	(void)state;
	assert_true(date_parse_imap_day(STR("14-Jul-2026"), &day));
	add_text("Date: Sun, 1 Mar 2026 00:30:00 +0900\n\n")->row.internal_date = day * 86400LL;
	add_text("Date: Sat, 28 Feb 2026 23:30:00 -0800\n\n")->row.internal_date =
	    day * 86400LL + 86399;
	add_text("Subject: none\n\n")->row.internal_date = day * 86400LL + 86400;
	add_text("Date: yesterday\n\n")->row.internal_date = 0;
	add_text("Date: 1 Feb 2026 00:00 GMT\nDate: 1 Jul 2026 00:00 GMT\n\n")->row.internal_date = -1;
	check_all(day_questions, countof(day_questions));
}

/* ---- what the store keeps ---- */

#define ID(digit) digit digit digit digit digit digit digit digit digit digit digit \
	digit digit digit digit digit digit digit digit digit digit digit \
	digit digit digit digit digit digit digit digit digit digit digit

static const struct question kept_questions[] = {
	{ "SAVEDON 14-Jul-2026", "1 2" }, { "SAVEDBEFORE 15-Jul-2026", "1 2" }, { "SAVEDSINCE 15-Jul-2026", "3" },
	{ "SAVEDBEFORE 14-Jul-2026", "" }, { "NOT SAVEDON 14-Jul-2026", "3" }, { "SAVEDATESUPPORTED", "1 2 3" },
	{ "EMAILID " ID("a"), "1 3" }, { "EMAILID " ID("A"), "" }, { "EMAILID a", "" },
	{ "THREADID " ID("t"), "1 2" }, { "OR EMAILID " ID("b") " EMAILID " ID("a"), "1 2 3" },
	{ "EMAILID " ID("a") " THREADID " ID("t"), "1" }, { "NOT THREADID " ID("t"), "3" },
	{ "EMAILID " ID("a") " SUBJECT x", "3" }, { "EMAILID " ID("a") " BODY needle", "1" },
	{ "OR EMAILID " ID("b") " BODY needle", "1 2" }, { "SAVEDON 14-Jul-2026 THREADID " ID("t") " TEXT needle", "1" },
};

static void
what_the_store_keeps_is_asked_for_where_it_matters(void **state)
{
	static const char *const texts[] = { "Subject: y\n\nneedle\n", "Subject: y\n\n", "Subject: x\n\n" };
	static const char content[] = "aba", thread[] = "ttu";
	int32_t day;

	(void)state;
	assert_true(date_parse_imap_day(STR("14-Jul-2026"), &day));
	for (size_t i = 0; i < countof(texts); i++) {
		struct fake_message *m = add_text(texts[i]);

		m->saved = day * INT64_C(86400) + (int64_t)i * 43200;
		m->content_digit = content[i];
		m->thread_digit = thread[i];
	}
	check_all(kept_questions, countof(kept_questions));
	/* What its row decides needs no ids, and what the ids decide no body. */
	for (size_t i = 0; i < countof(texts); i++)
		box->messages[i]->fact_reads = box->messages[i]->body_reads = 0;
	check_found("EMAILID " ID("a") " SEEN BODY needle", "");
	assert_int_equal(box->messages[0]->fact_reads, 0);
	check_found("THREADID " ID("u") " BODY needle", "");
	assert_int_equal(box->messages[0]->body_reads, 0);
	/* One that cannot be read has none. */
	box->messages[0]->fault = STORE_GONE;
	check_found("EMAILID " ID("a"), "3");
	check_found("SAVEDON 14-Jul-2026", "2");
}

/* ---- headers ---- */

static const struct question header_questions[] = {
	{ "SUBJECT hello", "1" }, { "SUBJECT \"lo BEAUTIFUL wor\"", "1" }, { "SUBJECT \"\"", "1 2 3 5" },
	{ "SUBJECT \"beautiful  world\"", "" },
	{ "HEADER x-extra \"\"", "2" }, { "HEADER X-Extra \"wide head\"", "2" },
	{ "HEADER X-Extra \"wide\thead\"", "2" }, { "HEADER X-Ext \"\"", "" },
	{ "HEADER X-Extra second", "2" }, { "HEADER X-None \"\"", "2" }, { "HEADER X-None a", "" },
	{ "NOT HEADER x-extra \"\"", "1 3 4 5" },
	{ "SUBJECT \"회의록\"", "3" },		/* EUC-KR */
	{ "SUBJECT \"길동\"", "" },
	{ "FROM \"홍길\"", "3" },
	{ "FROM hong@example.test", "3" }, { "FROM \"<hong@\"", "3" },
	{ "TO \"ann b\"", "1" }, { "TO ann@a.test", "1 4" }, { "TO \"Ann \\\"B\\\" C\"", "4" },
	{ "TO bob@b.test", "1" }, { "CC bob@b.test", "" }, { "CC \"the group\"", "5" },
	{ "CC inner@g.test", "5" }, { "CC \"g.test, other\"", "5" },
	{ "BCC h", "5" }, { "BCC \"@\"", "5" },
	/* RFC 5051: "ü" is "U" and a mark; "ß" has no title case. */
	{ "SUBJECT \"grüß\"", "5" }, { "SUBJECT \"GRÜSS\"", "" },
	{ "SUBJECT \"gru\xcc\x88ß\"", "5" }, { "SUBJECT gru", "5" },
	/* In the order in which each could decide. */
	{ "SUBJECT hello TO bob", "1" }, { "OR SUBJECT hello FROM hong", "1 3" },
	{ "NOT (OR SUBJECT hello FROM hong)", "2 4 5" }, { "SUBJECT hello SUBJECT world", "1" },
	/* TEXT has names of fields, and the header's own line ends. */
	{ "TEXT \"subject: hello\"", "1" }, { "TEXT \"X-Extra\"", "2" }, { "TEXT x-bcc", "" },
	{ "BODY hello", "" }, { "TEXT \"\"", "1 2 3 4 5" }, { "BODY \"\"", "1 2 3 4 5" },
};

static void
header_texts_are_unfolded_and_decoded(void **state)
{
	(void)state;
	add_text("Subject: hello\n beautiful world\nTo: \"Ann B\" <ann@a.test>, bob@b.test\n\n.\n");
	add_text("X-Extra: first\nX-Extra: a wide\n\theader\nX-Extra: second\nX-None:\nSubject:\n\n");
	add_text("Subject: =?euc-kr?B?yLjAxw==?= =?euc-kr?B?t88=?=\n"
	    "From: =?utf-8?B?7ZmN6ri464+Z?= <hong@example.test>\n\n");
	add_text("To: \"Ann \\\"B\\\" C\" <ann (that one) @ a.test>\n\n");
	add_text("Subject: =?iso-8859-1?Q?Gr=FC=DFe?=\nCc: The Group: inner@g.test, other@g.test;\n"
	    "Bcc: h@h.test\n\n");
	check_all(header_questions, countof(header_questions));
}

/* ---- the work ---- */

static void
nothing_is_read_that_does_not_matter(void **state)
{
	struct fake_message *m = add_text("Subject: a\n\nbody\n");

	(void)state;
	check_found("BODY body SUBJECT a SEEN", "");
	check_found("OR UNSEEN BODY body", "1");
	check_found("OR (SUBJECT a SEEN) ALL", "1");
	assert_int_equal(m->header_reads, 0);
	check_found("BODY body SUBJECT b", "");
	check_found("OR BODY body SUBJECT a", "1");
	check_found("TEXT subject", "1");
	assert_int_equal(m->header_reads, 3);
	assert_int_equal(m->body_reads, 0);
	check_found("OR (SUBJECT a SEEN) BODY body", "1");
	assert_int_equal(m->header_reads, 3);
	assert_int_equal(m->body_reads, 1);
	check_found("TEXT body BODY BO NOT BODY none", "1");
	assert_int_equal(m->body_reads, 2);
}

static void
what_cannot_be_read_is_not_found(void **state)
{
	struct search *search;
	scoped_buf found = BUF_INIT;
	bool done;

	(void)state;
	add_text("Subject: a\n\nbody\n")->fault = STORE_GONE;
	add_text("Subject: a\n\nbody\n");
	add_text("Subject: a\n\nbody\n")->fault = STORE_BROKEN;
	check_found("NOT BODY none", "2");
	check_found("NOT SUBJECT none", "2");
	check_found("ALL", "1 2 3");
	box->messages[2]->fault = STORE_BUSY;
	search = search_new(box, key_of("BODY body"), &(struct search_extent){ 0 });
	assert_int_equal(search_step(search, &found, &done), STORE_BUSY);
	/* Where the index is at fault, nothing is said of the message. */
	box->messages[2]->fault = STORE_BROKEN;
	box->in_doubt = true;
	assert_int_equal(search_step(search, &found, &done), STORE_BROKEN);
	box->messages[2]->fault = STORE_OK;
	assert_int_equal(search_step(search, &found, &done), STORE_OK);
	assert_true(done);
	assert_int_equal(found.n, 2 * sizeof(uint32_t));
	search_free(search);
}

static void
a_slice_ends_within_a_large_message(void **state)
{
	scoped_buf text = BUF_INIT, found = BUF_INIT;
	struct search *search;
	bool done = false;
	size_t steps = 0;

	(void)state;
	put_repeated(&text, "긴 글입니다. ", 8 * 1000 * 1000);
	buf_put_z(&text, "끝");
	add_body("utf-8", "UTF-8", "8bit", buf_str(&text));
	add_text("\n끝\n");
	search = search_new(box, key_of("BODY \"끝\""), &(struct search_extent){ 0 });
	for (; !done; steps++)
		assert_int_equal(search_step(search, &found, &done), STORE_OK);
	assert_true(steps > 2);
	assert_int_equal(found.n, 2 * sizeof(uint32_t));
	assert_int_equal(box->messages[0]->body_reads, 1);
	search_free(search);
	search = search_new(box, key_of("BODY \"끝\""), &(struct search_extent){ 0 });
	assert_int_equal(search_step(search, &found, &done), STORE_OK);
	assert_false(done);
	assert_int_equal(box->open_contents, 1);
	search_free(search);
	assert_int_equal(box->open_contents, 0);
	search_free(NULL);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(flags_numbers_and_sizes_need_no_reading),
		TEST(a_search_ends_where_enough_is_found),
		TEST(an_interval_is_exact_to_the_second),
		TEST(days_are_utc_inside_and_the_senders_own_in_date),
		TEST(what_the_store_keeps_is_asked_for_where_it_matters),
		TEST(header_texts_are_unfolded_and_decoded),
		TEST(nothing_is_read_that_does_not_matter),
		TEST(what_cannot_be_read_is_not_found),
		TEST(a_slice_ends_within_a_large_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
