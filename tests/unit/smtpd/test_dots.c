/* SPDX-License-Identifier: ISC */
/* RFC 5321 4.5.3.1.6, RFC 6409 8.2, 8.3. */
/* DATA: what ends it and what does not, and what happens to the header on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtpd/dots.h"
#include "smtpd/head.h"

#define assert_str(a, b) assert_true(str_eq((a), (b)))

struct dots_case {
	struct str in;
	struct str out;		/* only where there are no faults */
	unsigned faults;
	size_t left;		/* octets behind the end; SIZE_MAX: no end in sight */
	bool mend;
};

#define CASE(in, out, faults, left) { { in, sizeof(in) - 1 }, { out, sizeof(out) - 1 }, faults, left, false }
#define MEND(in, out, faults, left) { { in, sizeof(in) - 1 }, { out, sizeof(out) - 1 }, faults, left, true }

static const struct dots_case cases[] = {
	CASE(".\r\n", "", 0, 0),
	CASE("a\r\n.\r\n", "a\r\n", 0, 0),
	CASE("a\r\n.\r\nQUIT\r\n", "a\r\n", 0, 6),
	CASE("..\r\n.\r\n", ".\r\n", 0, 0),
	CASE("..a\r\n...\r\n.\r\n", ".a\r\n..\r\n", 0, 0),
	CASE(".a\r\n.\r\n", "a\r\n", 0, 0),
	CASE("\r\n\r\n.\r\n", "\r\n\r\n", 0, 0),
	CASE("\xea\xb0\x80\r\n.\r\n", "\xea\xb0\x80\r\n", 0, 0),
	CASE("a.\r\n.\r\n", "a.\r\n", 0, 0),
	CASE("a\r\n", "a\r\n", 0, SIZE_MAX),
	CASE("a\r\n.", "a\r\n", 0, SIZE_MAX),
	CASE("a\r\n.\r", "a\r\n", 0, SIZE_MAX),
	CASE("a\0b\r\n.\r\n", "", DOTS_NUL, 0),
	/* Twenty ways to pretend an end (CVE-2023-51764 and its kin): only the last line is one. */
	CASE("a\n.\nX\r\n.\r\n", "", DOTS_BARE, 0),
	CASE("a\n.\r\nX\r\n.\r\n", "", DOTS_BARE, 0),
	CASE("a\r.\rX\r\n.\r\n", "", DOTS_BARE, 0),
	CASE("a\r.\r\nX\r\n.\r\n", "", DOTS_BARE, 0),
	CASE("a\r\n.\nX\r\n.\r\n", "", DOTS_BARE, 0),
	CASE("a\r\n.\rX\r\n.\r\n", "", DOTS_BARE, 0),
	CASE("a\r\n.\r\r\nX\r\n.\r\n", "", DOTS_BARE, 0),
	CASE("a\r\r\n.\r\nX", "", DOTS_BARE, 1),
	CASE("a\r\n\n.\r\nX\r\n.\r\n", "", DOTS_BARE, 0),
	CASE("a\n\r.\n\rX\r\n.\r\n", "", DOTS_BARE, 0),
	CASE("a\n\r\n.\n\r\nX\r\n.\r\n", "", DOTS_BARE, 0),
	CASE("a\r\n.\n\r\nX\r\n.\r\n", "", DOTS_BARE, 0),
	CASE("a\r\n\r.\r\nX\r\n.\r\n", "", DOTS_BARE, 0),
	CASE("a\r.\nX\r\n.\r\n", "", DOTS_BARE, 0),
	CASE("a\n.\rX\r\n.\r\n", "", DOTS_BARE, 0),
	CASE("a\r\n.\0\r\nX\r\n.\r\n", "", DOTS_NUL, 0),
	CASE("a\r\n\0.\r\nX\r\n.\r\n", "", DOTS_NUL, 0),
	CASE("a\r\0\n.\r\nX\r\n.\r\n", "", DOTS_BARE | DOTS_NUL, 0),
	CASE("a\r\n.\r\0\nX\r\n.\r\n", "", DOTS_BARE | DOTS_NUL, 0),
	CASE("a\n..\nX\r\n.\r\n", "", DOTS_BARE, 0),
	CASE(".\nX\r\n.\r\n", "", DOTS_BARE, 0),
	CASE(".\rX\r\n.\r\n", "", DOTS_BARE, 0),
	CASE("\n.\nX\r\n.\r\n", "", DOTS_BARE, 0),
	/* These only look like an end. */
	CASE("a\r\n. \r\nX\r\n.\r\n", "a\r\n \r\nX\r\n", 0, 0),
	CASE("a\r\n.\t\r\nX\r\n.\r\n", "a\r\n\t\r\nX\r\n", 0, 0),
	CASE("a\r\n .\r\nX\r\n.\r\n", "a\r\n .\r\nX\r\n", 0, 0),
	CASE("a\r\n.\x85.\r\n.\r\n", "a\r\n\x85.\r\n", 0, 0),
	/* Of our own users: a lone LF is a line end, and ends nothing else. */
	MEND("a\nb\r\n.\r\n", "a\r\nb\r\n", 0, 0),
	MEND("\n\n.\r\n\r\n.\r\n", "\r\n\r\n.\r\n\r\n", 0, 0),
	MEND("a\n.\nX\r\n.\r\n", "a\r\n.\r\nX\r\n", 0, 0),
	MEND("a\n.\r\nX\r\n.\r\n", "a\r\n.\r\nX\r\n", 0, 0),
	MEND("a\n..x\n.y\n...\r\n.\r\n", "a\r\n.x\r\n.y\r\n..\r\n", 0, 0),
	MEND("a\r\n.\nX\r\n.\r\n", "a\r\n\r\nX\r\n", 0, 0),
	MEND("a\n.\r\n.\r\n", "a\r\n.\r\n", 0, 0),
	MEND("a\r.\nX\r\n.\r\n", "", DOTS_BARE, 0),
	MEND("a\r\n.\r\r\n.\r\n", "", DOTS_BARE, 0),
	MEND("a\n.\rX\r\n.\r\n", "", DOTS_BARE, 0),
};

static void
check_dots(const struct dots_case *test, size_t step)
{
	struct dots dots = { .mend = test->mend };
	scoped_buf out = BUF_INIT;
	size_t used = 0;

	for (size_t at = 0; at < test->in.n && !dots_at_end(&dots); at += step)
		used += dots_take(&dots, str_sub(test->in, at, step), &out);
	if (dots.faults != test->faults || dots_at_end(&dots) != (test->left != SIZE_MAX))
		print_error("case %zu step %zu: faults %u, at %d\n", (size_t)(test - cases), step,
		    dots.faults, dots.at);
	assert_int_equal(dots.faults, test->faults);
	assert_int_equal(dots_at_end(&dots), test->left != SIZE_MAX);
	if (test->left != SIZE_MAX)
		assert_int_equal(used, test->in.n - test->left);
	if (test->faults == 0)
		assert_str(buf_str(&out), test->out);
}

static void
only_crlf_dot_crlf_ends_data(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(cases); i++)
		for (size_t step = 1; step <= cases[i].in.n; step++)
			check_dots(&cases[i], step);
}

static void
a_line_may_be_so_long_and_no_longer(void **state)
{
	for (size_t n = DOTS_LINE_MAX; n <= DOTS_LINE_MAX + 1; n++) {
		struct dots dots = DOTS_INIT;
		scoped_buf in = BUF_INIT;
		scoped_buf out = BUF_INIT;

		(void)state;
		memset(buf_room(&in, n), 'x', n);
		buf_added(&in, n);
		buf_put(&in, STR("\r\nshort\r\n.\r\n"));
		assert_int_equal(dots_take(&dots, buf_str(&in), &out), in.n);
		assert_true(dots_at_end(&dots));
		assert_int_equal(dots.faults, n > DOTS_LINE_MAX ? DOTS_LONG_LINE : 0);
	}
}

/* Quadratic work would not end within the test's time. */
static void
lone_line_ends_cost_no_more_than_others(void **state)
{
	struct dots dots = DOTS_INIT;
	scoped_buf in = BUF_INIT;
	scoped_buf out = BUF_INIT;

	(void)state;
	for (int i = 0; i < 2000000; i++)
		buf_put(&in, i & 1 ? STR("a\r") : STR("a\n"));
	assert_int_equal(dots_take(&dots, buf_str(&in), &out), in.n);
	assert_int_equal(dots.faults & DOTS_BARE, DOTS_BARE);
}

/* ---- head ---- */

struct head_case {
	const char *in;
	const char *out;
	uint32_t received;
};

static const struct head_case heads[] = {
	{ "Date: x\r\nMessage-ID: <y>\r\n\r\nbody\r\n", "Date: x\r\nMessage-ID: <y>\r\n\r\nbody\r\n", 0 },
	{ "DATE : x\r\nmessage-id:\r\n <y>\r\n\r\n", "DATE : x\r\nmessage-id:\r\n <y>\r\n\r\n", 0 },
	{ "Subject: x\r\n\r\nDate: no\r\n", "Subject: x\r\nM\r\nD\r\n\r\nDate: no\r\n", 0 },
	{ "Subject: x\r\n Date: no\r\n\r\n", "Subject: x\r\n Date: no\r\nM\r\nD\r\n\r\n", 0 },
	{ "Dated: x\r\nMessage-ID-2: y\r\n\r\n", "Dated: x\r\nMessage-ID-2: y\r\nM\r\nD\r\n\r\n", 0 },
	{ "Date: x\r\n", "Date: x\r\nM\r\n", 0 },
	{ "", "M\r\nD\r\n", 0 },
	{ "\r\nbody\r\n", "M\r\nD\r\n\r\nbody\r\n", 0 },
	{ "no header at all\r\nreally\r\n", "M\r\nD\r\n\r\nno header at all\r\nreally\r\n", 0 },
	{ "word\r\n", "M\r\nD\r\n\r\nword\r\n", 0 },
	{ " folded nothing\r\n", "M\r\nD\r\n\r\n folded nothing\r\n", 0 },
	{ "Subject: x\r\ntext\r\n", "Subject: x\r\nM\r\nD\r\ntext\r\n", 0 },
	{ "From a@b.test Sat Nov 21 18:48:32 2026\r\nDate: x\r\n\r\n",
	    "From a@b.test Sat Nov 21 18:48:32 2026\r\nDate: x\r\nM\r\n\r\n", 0 },
	{ "Received: a\r\nreceived: b\r\n\tReceived: c\r\nReceived : d\r\n\r\nReceived: e\r\n",
	    "Received: a\r\nreceived: b\r\n\tReceived: c\r\nReceived : d\r\nM\r\nD\r\n\r\nReceived: e\r\n",
	    3 },
};

static void
check_head(const struct head_case *test, size_t step)
{
	struct head head = { .add_date = STR("D\r\n"), .add_message_id = STR("M\r\n") };
	struct str in = str_of(test->in);
	scoped_buf out = BUF_INIT;

	for (size_t at = 0; at < in.n; at += step)
		head_take(&head, str_sub(in, at, step), &out);
	head_end(&head, &out);
	if (!str_eq(buf_str(&out), str_of(test->out)))
		print_error("head %zu step %zu: %.*s\n", (size_t)(test - heads), step, STR_ARG(out));
	assert_str(buf_str(&out), str_of(test->out));
	assert_int_equal(head.received, test->received);
	assert_true(head_is_over(&head));
	head_free(&head);
}

static void
what_is_missing_is_added_and_the_rest_passes(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(heads); i++)
		for (size_t step = 1; step <= strlen(heads[i].in) + 1; step++)
			check_head(&heads[i], step);
}

static void
nothing_is_added_where_nothing_was_asked_for(void **state)
{
	struct head head = HEAD_INIT;
	scoped_buf out = BUF_INIT;

	(void)state;
	head_take(&head, STR("Subject: x\r\n\r\nbody\r\n"), &out);
	head_end(&head, &out);
	assert_str(buf_str(&out), STR("Subject: x\r\n\r\nbody\r\n"));
	head_free(&head);
}

static void
the_subject_and_the_id_are_remembered_however_it_is_chopped(void **state)
{
	struct str in = STR("Received: from x\r\n\tby y\r\nSUBJECT : one\r\n two\r\nTo: a\r\n b\r\n"
	    "Message-Id: <1@x>\r\nSubject: other\r\nMessage-ID: <2@x>\r\n\r\nSubject: body\r\n");

	(void)state;
	for (size_t step = 1; step <= in.n; step++) {
		struct head head = HEAD_INIT;
		scoped_buf out = BUF_INIT;

		for (size_t at = 0; at < in.n; at += step)
			head_take(&head, str_sub(in, at, step), &out);
		head_end(&head, &out);
		assert_str(buf_str(&out), in);
		assert_str(buf_str(&head.subject), STR(" one\r\n two\r\n"));
		assert_str(buf_str(&head.message_id), STR(" <1@x>\r\n"));
		head_free(&head);
	}
}

static void
an_endless_subject_is_remembered_up_to_a_limit(void **state)
{
	struct head head = HEAD_INIT;
	scoped_buf out = BUF_INIT;

	(void)state;
	head_take(&head, STR("Subject: "), &out);
	for (int i = 0; i < 10000; i++)
		head_take(&head, STR("abc\r\n def"), &out);
	assert_int_equal(head.subject.n, HEAD_VALUE_MAX);
	head_free(&head);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_crlf_dot_crlf_ends_data),
		cmocka_unit_test(a_line_may_be_so_long_and_no_longer),
		cmocka_unit_test(lone_line_ends_cost_no_more_than_others),
		cmocka_unit_test(what_is_missing_is_added_and_the_rest_passes),
		cmocka_unit_test(nothing_is_added_where_nothing_was_asked_for),
		cmocka_unit_test(the_subject_and_the_id_are_remembered_however_it_is_chopped),
		cmocka_unit_test(an_endless_subject_is_remembered_up_to_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
