/* SPDX-License-Identifier: ISC */
/* What SORT and THREAD compare, and the orders and trees that come of it: RFC 5256 2.1, 2.2, 3; RFC 5957 3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/arena.h"
#include "maildir/sorted.h"
#include "maildir/threads.h"

static struct arena *arena;

static int
set_up(void **state)
{
	(void)state;
	arena = arena_new();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

static struct sorting
sorting_of(const char *header)
{
	struct buf record = BUF_INIT;
	struct sorting s;

	sorting_put(&record, str_of(header), 1000);
	assert_true(sorting_read(arena_str(arena, buf_str(&record)), &s));
	buf_free(&record);
	return s;
}

static void
check_text(const struct sorting *s, enum sorting_text text, const char *want)
{
	if (!str_eq(s->text[text], str_of(want)))
		fail_msg("got \"%.*s\", want \"%s\"", STR_ARG(s->text[text]), want);
}

/* ---- what is compared ---- */

static void
texts_are_folded_and_of_the_first_address(void **state)
{
	struct sorting s = sorting_of("From: =?utf-8?Q?J=C3=BCrgen_?= <Bob@A.test>, x@y.test\r\n"
	    "To: Friends: Carl <carl@a.test>, d@a.test;\r\nCc: (no name) Ed@A.test\r\n"
	    "Subject: Re: [list] Fwd: =?euc-kr?B?yLjAxw==?= (fwd)\r\n\r\n");

	(void)state;
	check_text(&s, SORTING_FROM, "BOB");
	check_text(&s, SORTING_DISPLAY_FROM, "JU\xcc\x88RGEN");
	check_text(&s, SORTING_TO, "FRIENDS");
	check_text(&s, SORTING_DISPLAY_TO, "FRIENDS");
	check_text(&s, SORTING_CC, "ED");
	check_text(&s, SORTING_SUBJECT, "회의");
	assert_true(s.is_reply);
	s = sorting_of("From: Ann@A.test\r\n\r\n");
	check_text(&s, SORTING_DISPLAY_FROM, "ANN@A.TEST");
	check_text(&s, SORTING_TO, "");
	check_text(&s, SORTING_SUBJECT, "");
	assert_false(s.is_reply);
}

/* RFC 5255 4.6: they are sorted by themselves, behind all others. */
static void
what_cannot_be_converted_comes_last(void **state)
{
	struct sorting s = sorting_of("Subject: =?utf-8?Q?Caf=E9?=\r\nFrom: \"=?utf-8?Q?=FF?=\" <a@b>\r\n\r\n");

	(void)state;
	check_text(&s, SORTING_SUBJECT, "\xff""Caf\xef\xbf\xbd");
	check_text(&s, SORTING_DISPLAY_FROM, "\xff\xef\xbf\xbd");
	check_text(&s, SORTING_FROM, "A");
	assert_true(str_cmp(s.text[SORTING_SUBJECT], STR("\xf4\x8f\xbf\xbf")) > 0);
}

static void
without_a_date_arrival_counts(void **state)
{
	struct sorting s = sorting_of("Date: Thu, 1 Jan 1970 01:00:00 +0100\r\n\r\n");

	(void)state;
	assert_int_equal(s.sent, 0);
	assert_int_equal(s.sent_day, 0);
	s = sorting_of("Date: Thu, 1 Jan 1970 00:30:00 +0100\r\n\r\n");
	assert_int_equal(s.sent, -1800);
	assert_int_equal(s.sent_day, 0);
	s = sorting_of("Date: soon\r\n\r\n");
	assert_int_equal(s.sent, 1000);
	s = sorting_of("Date: Fri, 31 Dec 9999 23:59:59 +0000\r\n\r\n");
	assert_int_equal(s.sent_day, 2932896);
}

static void
message_ids_are_compared_without_quoting(void **state)
{
	struct sorting a = sorting_of("Message-ID: <a.b@c>\r\n\r\n");
	struct sorting b = sorting_of("Message-ID: comment <\"a.b\"@c>\r\n\r\n");
	struct sorting none = sorting_of("Message-ID: nothing <> here\r\n\r\n");

	(void)state;
	assert_true(a.id == b.id && a.id != 0);
	assert_true(none.id == 0);
}

static void
references_are_limited_and_else_the_reply_counts(void **state)
{
	scoped_buf header = BUF_INIT;
	struct sorting s = sorting_of("References: <1@a>\r\n\t<2@a> junk <3@a\r\n\r\n");

	(void)state;
	assert_int_equal(s.reference_count, 2);
	assert_true(sorting_reference(&s, 0) == sorting_of("Message-ID: <1@a>\r\n\r\n").id);
	s = sorting_of("In-Reply-To: Your mail <2@a> of today <3@a>\r\n\r\n");
	assert_int_equal(s.reference_count, 1);
	assert_true(sorting_reference(&s, 0) == sorting_of("Message-ID: <2@a>\r\n\r\n").id);
	buf_put_z(&header, "References:");
	for (int i = 0; i < 300; i++)
		buf_printf(&header, " <%d@a>\r\n", i);
	buf_put_z(&header, "\r\n");
	s = sorting_of(buf_z(&header));
	assert_int_equal(s.reference_count, SORTING_REFERENCES_MAX);
	assert_true(sorting_reference(&s, 0) == sorting_of("Message-ID: <0@a>\r\n\r\n").id);
	assert_true(sorting_reference(&s, 99) == sorting_of("Message-ID: <299@a>\r\n\r\n").id);
}

static void
long_texts_are_cut_between_characters(void **state)
{
	scoped_buf header = BUF_INIT;
	struct sorting s;

	(void)state;
	buf_put_z(&header, "Subject: x");
	for (int i = 0; i < 1000; i++)
		buf_put_z(&header, "회");
	buf_put_z(&header, "\r\n\r\n");
	s = sorting_of(buf_z(&header));
	assert_int_equal(s.text[SORTING_SUBJECT].n, 1000);
	assert_int_equal(s.text[SORTING_SUBJECT].p[999], "회"[2]);
}

static void
a_damaged_record_is_none(void **state)
{
	scoped_buf record = BUF_INIT;
	struct sorting s;

	(void)state;
	sorting_put(&record, STR("From: a@b\r\nReferences: <1@a>\r\n\r\n"), 0);
	for (size_t n = 0; n < record.n; n++)
		assert_false(sorting_read(str_sub(buf_str(&record), 0, n), &s));
	assert_true(sorting_read(buf_str(&record), &s));
}

/* ---- SORT ---- */

struct mail {
	const char *header;
	uint32_t size;
	int64_t arrival;
};

static struct str
sorted_uids(const struct mail *mails, size_t count, const struct sort_criterion *by, size_t criteria)
{
	struct sorted *s = sorted_new(by, criteria);
	scoped_buf out = BUF_INIT;

	for (size_t i = 0; i < count; i++) {
		struct sorting record = sorting_of(mails[i].header);

		assert_true(sorted_add(s, &(struct message){ .uid = (uint32_t)i + 1,
		    .size = mails[i].size, .internal_date = mails[i].arrival }, &record));
	}
	while (sorted_step(s))
		continue;
	for (size_t i = 0; i < sorted_count(s); i++)
		buf_printf(&out, "%s%u", i ? " " : "", sorted_uid(s, i));
	sorted_free(s);
	return arena_str(arena, buf_str(&out));
}

static void
criteria_count_in_their_order(void **state)
{
	static const struct mail mails[] = {
		{ "From: zoe@a\r\nSubject: b\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\n", 10, 5 },
		{ "From: Ann <x@a>\r\nSubject: Re: A\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n\r\n", 30, 4 },
		{ "From: bob@a\r\nSubject: a\r\nDate: Thu, 19 Nov 2026 10:00:00 +0000\r\n\r\n", 20, 4 },
		{ "Subject: B\r\n\r\n", 20, 3 },
	};
	static const struct {
		struct sort_criterion by[2];
		size_t count;
		const char *want;
	} questions[] = {
		{ { { SORT_ARRIVAL, false } }, 1, "4 2 3 1" },
		{ { { SORT_ARRIVAL, true } }, 1, "1 2 3 4" },
		{ { { SORT_SIZE, false } }, 1, "1 3 4 2" },
		{ { { SORT_SUBJECT, false }, { SORT_DATE, false } }, 2, "3 2 4 1" },
		{ { { SORT_SUBJECT, true }, { SORT_SIZE, true } }, 2, "4 1 2 3" },
		{ { { SORT_FROM, false } }, 1, "4 3 2 1" },
		{ { { SORT_DISPLAY_FROM, false } }, 1, "4 2 3 1" },
		{ { { SORT_DATE, false } }, 1, "4 3 2 1" },
		{ { { SORT_TO, true } }, 1, "1 2 3 4" },
	};

	(void)state;
	for (size_t i = 0; i < countof(questions); i++) {
		struct str got = sorted_uids(mails, countof(mails), questions[i].by, questions[i].count);

		if (!str_eq(got, str_of(questions[i].want)))
			fail_msg("%zu: got %.*s, want %s", i, STR_ARG(got), questions[i].want);
	}
}

static void
many_are_merged_in_steps(void **state)
{
	const struct sort_criterion by[] = { { SORT_SIZE, false } };
	struct sorted *s = sorted_new(by, 1);
	uint32_t last_size = 0, last_uid = 0;
	const size_t count = 10 * SORTED_RUN + 17;

	(void)state;
	assert_false(sorted_needs_record(s));
	for (size_t i = 0; i < count; i++)
		assert_true(sorted_add(s, &(struct message){ .uid = (uint32_t)i + 1,
		    .size = (uint32_t)(i * 7919 % 1000) }, NULL));
	while (sorted_step(s))
		continue;
	for (size_t i = 0; i < count; i++) {
		const uint32_t uid = sorted_uid(s, i), size = (uint32_t)((uid - 1) * UINT64_C(7919) % 1000);

		assert_true(size > last_size || (size == last_size && uid > last_uid));
		last_size = size;
		last_uid = uid;
	}
	sorted_free(s);
}

static void
none_at_all_are_sorted_too(void **state)
{
	const struct sort_criterion by[] = { { SORT_SUBJECT, false } };

	(void)state;
	assert_int_equal(sorted_uids(NULL, 0, by, 1).n, 0);
}

/* ---- THREAD ---- */

static void
put_tree(struct buf *out, const struct thread_list *list, uint32_t n)
{
	const struct thread_node *node = &list->nodes[n];

	if (node->uid != 0)
		buf_put_u64(out, node->uid);
	if (node->child == THREAD_NONE)
		return;
	if (node->uid != 0)
		buf_put_c(out, ' ');
	if (node->uid != 0 && list->nodes[node->child].next == THREAD_NONE) {
		put_tree(out, list, node->child);
		return;
	}
	for (uint32_t c = node->child; c != THREAD_NONE; c = list->nodes[c].next) {
		buf_put_c(out, '(');
		put_tree(out, list, c);
		buf_put_c(out, ')');
	}
}

/* Each mail: "id|references|subject", sent one minute after the other and come the other way round. */
static void
check_threads(enum thread_kind kind, const char *const *mails, const char *want)
{
	struct threads *t = threads_new(kind);
	scoped_buf out = BUF_INIT;
	struct thread_list list;

	for (unsigned i = 0; mails[i] != NULL; i++) {
		struct str rest = str_of(mails[i]), id = STR_EMPTY, references = STR_EMPTY, word;
		scoped_buf header = BUF_INIT;
		struct sorting s;

		str_cut(&rest, '|', &id);
		str_cut(&rest, '|', &references);
		buf_printf(&header, "Date: Sat, 21 Nov 2026 10:%02u:00 +0000\r\nSubject: %.*s\r\n", i,
		    STR_ARG(rest));
		if (id.n > 0)
			buf_printf(&header, "Message-ID: <%.*s>\r\n", STR_ARG(id));
		buf_put_z(&header, "References:");
		while (str_word(&references, &word))
			buf_printf(&header, " <%.*s>", STR_ARG(word));
		buf_put_z(&header, "\r\n\r\n");
		s = sorting_of(buf_z(&header));
		assert_true(threads_add(t, &(struct message){ .uid = i + 1,
		    .internal_date = 1000 - (int64_t)i }, &s));
	}
	while (threads_step(t))
		continue;
	list = threads_list(t);
	for (uint32_t n = list.first; n != THREAD_NONE; n = list.nodes[n].next) {
		buf_put_c(&out, '(');
		put_tree(&out, &list, n);
		buf_put_c(&out, ')');
	}
	threads_free(t);
	if (!str_eq(buf_str(&out), str_of(want)))
		fail_msg("%s ...\n got: %s\nwant: %s", mails[0], buf_z(&out), want);
}

#define MAILS(...) ((const char *const[]){ __VA_ARGS__ __VA_OPT__(,) NULL })

static void
replies_hang_below_what_they_answer(void **state)
{
	(void)state;
	check_threads(THREAD_REFERENCES, MAILS("a||x", "b|a|x", "c|a b|x", "d|a|x"), "(1 (2 3)(4))");
	check_threads(THREAD_REFERENCES, MAILS("c|a b|x", "b|a|x", "a||x"), "(3 2 1)");
	check_threads(THREAD_REFERENCES, MAILS("a||x", "b||y"), "(1)(2)");
	check_threads(THREAD_REFERENCES, MAILS("a||x"), "(1)");
	check_threads(THREAD_REFERENCES, MAILS(NULL), "");
	/* The example of RFC 5256 4: a thread with two branches at its second message. */
	check_threads(THREAD_REFERENCES, MAILS("r||s", "2||q", "3||x", "4|3 6|x", "5||t", "6|3|x", "7|3 6 44|x",
	    "44|3 6|x", "96|3 6 44 7|x", "23|3 6 4|x"), "(1)(2)(3 6 (4 10)(8 7 9))(5)");
}

static void
missing_ones_hold_siblings_together_only_at_the_top(void **state)
{
	(void)state;
	check_threads(THREAD_REFERENCES, MAILS("b|a|x", "c|a|y"), "((1)(2))");
	check_threads(THREAD_REFERENCES, MAILS("b|a|x"), "(1)");
	check_threads(THREAD_REFERENCES, MAILS("a||x", "c|a b|x", "d|a b|x"), "(1 (2)(3))");
	check_threads(THREAD_REFERENCES, MAILS("z|1 2 3 4 5|x", "y|1 2 3 4 5|y", "x|1 2|z"), "((1)(2)(3))");
}

static void
references_that_lie_make_no_loop(void **state)
{
	(void)state;
	check_threads(THREAD_REFERENCES, MAILS("a|b|x", "b|a|y"), "(2 1)");
	check_threads(THREAD_REFERENCES, MAILS("a|a|x"), "(1)");
	check_threads(THREAD_REFERENCES, MAILS("a|a b a|x", "b|a b|y"), "(1)(2)");
}

static void
a_second_message_of_one_id_stands_alone(void **state)
{
	(void)state;
	check_threads(THREAD_REFERENCES, MAILS("a||x", "a||y", "b|a|z"), "(1 3)(2)");
	check_threads(THREAD_REFERENCES, MAILS("||x", "||y"), "(1)(2)");
}

static void
its_own_references_count_more_than_those_of_others(void **state)
{
	(void)state;
	/* c says b is below a; b itself says it is below z. */
	check_threads(THREAD_REFERENCES, MAILS("a||1", "z||2", "c|a b|3", "b|z|4"), "(1)(2 4 3)");
}

static void
one_subject_is_one_thread(void **state)
{
	(void)state;
	check_threads(THREAD_REFERENCES, MAILS("a||plan", "b||Re: plan", "c||Fwd: plan"), "(1 (2)(3))");
	check_threads(THREAD_REFERENCES, MAILS("b||Re: plan", "a||plan"), "(2 1)");
	check_threads(THREAD_REFERENCES, MAILS("a||plan", "b||plan"), "((1)(2))");
	check_threads(THREAD_REFERENCES, MAILS("a||Re: plan", "b||Re: plan"), "((1)(2))");
	check_threads(THREAD_REFERENCES, MAILS("a||plan", "b||plan", "c||plan"), "((1)(2)(3))");
	check_threads(THREAD_REFERENCES, MAILS("b|a|plan", "c|a|plan", "e|d|Re: plan", "f|d|plan"), "((1)(2)(3)(4))");
	check_threads(THREAD_REFERENCES, MAILS("b|a|plan", "c|a|plan", "d||plan"), "((1)(2)(3))");
	check_threads(THREAD_REFERENCES, MAILS("a||", "b||"), "(1)(2)");
	check_threads(THREAD_REFS, MAILS("a||plan", "b||Re: plan"), "(2)(1)");
}

static void
refs_puts_the_thread_with_the_newest_last(void **state)
{
	(void)state;
	/* What came last was sent first. */
	check_threads(THREAD_REFS, MAILS("a||1", "b||2", "c||3"), "(3)(2)(1)");
	check_threads(THREAD_REFS, MAILS("n|o|1", "b||2", "c||3", "o||4"), "(3)(2)(4 1)");
}

static void
ordered_subject_has_no_grandchildren(void **state)
{
	(void)state;
	check_threads(THREAD_ORDEREDSUBJECT, MAILS("a||b", "b||a", "c||Re: b", "d||B", "e||Re: a"), "(1 (3)(4))(2 5)");
	check_threads(THREAD_ORDEREDSUBJECT, MAILS("a||", "b||"), "(1 2)");
}

static void
a_chain_of_any_length_ends(void **state)
{
	const size_t count = 20000;
	struct threads *t = threads_new(THREAD_REFERENCES);
	size_t seen = 0;
	struct thread_list list;

	(void)state;
	for (size_t i = 0; i < count; i++) {
		scoped_buf header = BUF_INIT;
		struct sorting s;

		/* The last comes first, so that chains grow at their heads. */
		buf_printf(&header, "Message-ID: <%zu@a>\r\nReferences: <%zu@a>\r\n\r\n", count - i,
		    count - i - 1);
		s = sorting_of(buf_z(&header));
		assert_true(threads_add(t, &(struct message){ .uid = (uint32_t)i + 1 }, &s));
	}
	while (threads_step(t))
		continue;
	list = threads_list(t);
	for (uint32_t n = list.first; n != THREAD_NONE; n = list.nodes[n].child)
		seen++;
	assert_int_equal(seen, count);
	threads_free(t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(texts_are_folded_and_of_the_first_address),
		TEST(what_cannot_be_converted_comes_last),
		TEST(without_a_date_arrival_counts),
		TEST(message_ids_are_compared_without_quoting),
		TEST(references_are_limited_and_else_the_reply_counts),
		TEST(long_texts_are_cut_between_characters),
		TEST(a_damaged_record_is_none),
		TEST(criteria_count_in_their_order),
		TEST(many_are_merged_in_steps),
		TEST(none_at_all_are_sorted_too),
		TEST(replies_hang_below_what_they_answer),
		TEST(missing_ones_hold_siblings_together_only_at_the_top),
		TEST(references_that_lie_make_no_loop),
		TEST(a_second_message_of_one_id_stands_alone),
		TEST(its_own_references_count_more_than_those_of_others),
		TEST(one_subject_is_one_thread),
		TEST(refs_puts_the_thread_with_the_newest_last),
		TEST(ordered_subject_has_no_grandchildren),
		TEST(a_chain_of_any_length_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
