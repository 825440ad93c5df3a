/* SPDX-License-Identifier: ISC */
/* RFC 5321 4.5.2, 4.5.3.1.5, RFC 3463 2, RFC 3464 2.3.1, 2.3.3, 2.3.9, RFC 3834 3.1.7, 5. */
/* The pure pieces of the sending half: replies, dots, retry times, records, checksums, bounces, fingerprints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "smtpd/bounce.h"
#include "smtpd/checksum.h"
#include "smtpd/fingerprint.h"
#include "smtpd/parse_reply.h"
#include "smtpd/retry.h"
#include "smtpd/stuff.h"

#define assert_str(a, b) assert_true(str_eq((a), (b)))

/* ---- replies ---- */

static void
a_reply_may_have_several_lines(void **state)
{
	struct str input = STR("250-first\r\n250-SECOND 1\r\n250 last\r\n220 next\r\n");
	struct str lines, text;
	struct reply reply;
	const char *why;
	size_t used;

	(void)state;
	assert_int_equal(parse_reply(input, &reply, &used, &why), PARSED);
	assert_int_equal(reply.code, 250);
	assert_str(str_from(input, used), STR("220 next\r\n"));
	lines = reply.lines;
	assert_true(reply_next_line(&lines, &text));
	assert_str(text, STR("first"));
	assert_true(reply_next_line(&lines, &text));
	assert_str(text, STR("SECOND 1"));
	assert_true(reply_next_line(&lines, &text));
	assert_str(text, STR("last"));
	assert_false(reply_next_line(&lines, &text));
}

static void
a_reply_is_waited_for_to_its_end(void **state)
{
	static const char *const texts[] = { "", "2", "250", "250 ok", "250-ok\r\n", "250-a\r\n250 b\r" };
	struct reply reply;
	const char *why;
	size_t used;

	(void)state;
	for (size_t i = 0; i < countof(texts); i++)
		assert_int_equal(parse_reply(str_of(texts[i]), &reply, &used, &why), MORE);
	assert_int_equal(parse_reply(STR("250\r\n"), &reply, &used, &why), PARSED);
	assert_int_equal(parse_reply(STR("250 bare\n"), &reply, &used, &why), PARSED);
}

static void
what_is_no_reply_is_refused(void **state)
{
	static const char *const texts[] = {
		"hello\r\n", "25\r\n", "150 early\r\n", "650 x\r\n", "250+x\r\n", "250-a\r\n251 b\r\n",
		"\r\n", "2x0 a\r\n",
	};
	struct reply reply;
	const char *why;
	size_t used;

	(void)state;
	for (size_t i = 0; i < countof(texts); i++)
		assert_int_equal(parse_reply(str_of(texts[i]), &reply, &used, &why), BAD);
}

static void
a_reply_has_limits(void **state)
{
	scoped_buf text = BUF_INIT;
	struct reply reply;
	const char *why;
	size_t used;

	(void)state;
	buf_put(&text, STR("250 "));
	for (int i = 0; i < REPLY_LINE_MAX; i++)
		buf_put_c(&text, 'x');
	assert_int_equal(parse_reply(buf_str(&text), &reply, &used, &why), BAD);
	buf_clear(&text);
	while (text.n <= REPLY_MAX)
		buf_put(&text, STR("250-more\r\n"));
	assert_int_equal(parse_reply(buf_str(&text), &reply, &used, &why), BAD);
}

static struct str
status_of(const char *text)
{
	struct reply reply;
	const char *why;
	size_t used;

	assert_int_equal(parse_reply(str_of(text), &reply, &used, &why), PARSED);
	return reply_status(&reply);
}

static void
enhanced_codes_are_of_the_replys_class(void **state)
{
	scoped_buf out = BUF_INIT;
	struct reply reply;
	const char *why;
	size_t used;

	(void)state;
	assert_str(status_of("550 5.1.1 no\r\n"), STR("5.1.1"));
	assert_str(status_of("550 5.7.509 no\r\n"), STR("5.7.509"));
	assert_str(status_of("550-5.1.10 no\r\n550 more\r\n"), STR("5.1.10"));
	assert_str(status_of("550 4.1.1 no\r\n"), STR(""));
	assert_str(status_of("550 5.1 no\r\n"), STR(""));
	assert_str(status_of("550 5.1.1. no\r\n"), STR(""));
	assert_str(status_of("550 5.1.1111 no\r\n"), STR(""));
	assert_str(status_of("550 5.1.1.1 no\r\n"), STR(""));
	assert_str(status_of("550\r\n"), STR(""));
	assert_int_equal(parse_reply(STR("550-5.1.1 no\r\n550 \x01\xff way\r\n"), &reply, &used, &why),
	    PARSED);
	reply_put_text(&out, &reply, 500);
	assert_str(buf_str(&out), STR("550 5.1.1 no ?? way"));
	buf_clear(&out);
	reply_put_text(&out, &reply, 10);
	assert_int_equal(out.n, 10);
}

/* ---- dots ---- */

static void
stuff_in_pieces(struct str text, size_t piece, struct buf *out)
{
	struct stuffing s = { 0 };

	for (; text.n > 0; text = str_from(text, piece))
		stuff_put(&s, out, str_sub(text, 0, piece));
	stuff_end(&s, out);
}

static void
dots_are_doubled_and_lines_end_in_crlf(void **state)
{
	static const struct { const char *in, *out; } rows[] = {
		{ "", ".\r\n" },
		{ "a\r\n", "a\r\n.\r\n" },
		{ "a", "a\r\n.\r\n" },
		{ ".\r\n..\r\na.\r\n", "..\r\n...\r\na.\r\n.\r\n" },
		{ "a\nb\rc\r", "a\r\nb\r\nc\r\n.\r\n" },
		{ "a\n.\nb", "a\r\n..\r\nb\r\n.\r\n" },
		{ "\r\n\r\n", "\r\n\r\n.\r\n" },
		{ "\r\r\n", "\r\n\r\n.\r\n" },
		{ "a\r\n.\r\rb", "a\r\n..\r\n\r\nb\r\n.\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		for (size_t piece = 1; piece < 8; piece++) {
			scoped_buf out = BUF_INIT;

			stuff_in_pieces(str_of(rows[i].in), piece, &out);
			assert_str(buf_str(&out), str_of(rows[i].out));
		}
	}
}

/* ---- when to try again ---- */

static void
retries_follow_their_list_until_the_end(void **state)
{
	uint32_t times[] = { 300, 900, 1800 };
	struct settings s = { .queue_retry = { times, 3 }, .queue_lifetime = 10000 };

	(void)state;
	assert_int_equal(retry_next(&s, 1000, 1000, 1001, 1), 1300);
	assert_int_equal(retry_next(&s, 1000, 1300, 1301, 2), 2200);
	assert_int_equal(retry_next(&s, 1000, 2200, 2201, 3), 4000);
	assert_int_equal(retry_next(&s, 1000, 4000, 4001, 4), 5800);
	/* The last one is at the very end; after it there is none. */
	assert_int_equal(retry_next(&s, 1000, 10500, 10501, 9), 11000);
	assert_int_equal(retry_next(&s, 1000, 11000, 11000, 10), 0);
	/* An attempt that took longer than the pause. */
	assert_int_equal(retry_next(&s, 1000, 1000, 5000, 1), 5001);
}

static void
a_mailbox_of_ours_is_tried_again_after_seconds(void **state)
{
	uint32_t times[] = { 300, 900, 1800 };
	struct settings s = { .queue_retry = { times, 3 }, .queue_lifetime = 10000 };

	(void)state;
	assert_int_equal(retry_next_local(&s, 1000, 1000, 1001, 1), 1005);
	assert_int_equal(retry_next_local(&s, 1000, 1005, 1006, 2), 1015);
	assert_int_equal(retry_next_local(&s, 1000, 1015, 1016, 3), 1035);
	/* Never later than others, and as long as they. */
	assert_int_equal(retry_next_local(&s, 1000, 4000, 4001, 10), 5800);
	assert_int_equal(retry_next_local(&s, 1000, 10500, 10501, UINT32_MAX), 11000);
	assert_int_equal(retry_next_local(&s, 1000, 11000, 11000, 1), 0);
	/* An attempt that took longer than the pause. */
	assert_int_equal(retry_next_local(&s, 1000, 1000, 1100, 1), 1101);
}

/* ---- records ---- */

static void
a_record_is_read_as_it_was_written(void **state)
{
	struct record_recipient to[] = {
		{ TARGET_LOCAL, STR("Info@example.test"), STR("user1@example.test") },
		{ TARGET_REMOTE, STR("x@b.test"), STR("x@b.test") },
	};
	struct record record = { .trace = STR("abcdefghijklmnop"), .sender = STR("s@example.test"),
		.credential = CREDENTIAL_ACCOUNT, .account = STR("user1@example.test"),
		.peer = STR("192.0.2.1"), .arrived = 1795000000, .eight_bit = true,
		.recipients = to, .count = 2 }, read;
	struct arena *arena = arena_new();
	scoped_buf text = BUF_INIT;

	(void)state;
	record_put(&text, &record);
	assert_true(record_get(buf_str(&text), arena, &read));
	assert_str(read.trace, record.trace);
	assert_str(read.sender, record.sender);
	assert_int_equal(read.credential, CREDENTIAL_ACCOUNT);
	assert_int_equal(read.arrived, 1795000000);
	assert_true(read.eight_bit);
	assert_int_equal(read.count, 2);
	assert_str(read.recipients[0].given, to[0].given);
	assert_int_equal(read.recipients[1].kind, TARGET_REMOTE);
	/* Cut anywhere, or with something behind it, it is none. */
	for (size_t n = 0; n < text.n; n++)
		assert_false(record_get(str_sub(buf_str(&text), 0, n), arena, &read));
	buf_put_c(&text, 0);
	assert_false(record_get(buf_str(&text), arena, &read));
	arena_free(arena);
}

static void
the_checksum_is_crc32c(void **state)
{
	(void)state;
	assert_int_equal(checksum_add(0, STR("123456789")), 0xe3069283u);
	assert_int_equal(checksum_add(checksum_add(0, STR("1234567")), STR("89")), 0xe3069283u);
	assert_int_equal(checksum_add(0, STR("")), 0);
}

static void
the_processor_counts_the_checksum_alike(void **state)
{
	char bytes[100];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 37 + 11);
	for (size_t from = 0; from < 9; from++)
		for (size_t n = 0; n + from <= sizeof(bytes); n++) {
			struct str part = { bytes + from, n };

			assert_int_equal(checksum_add(7, part), checksum_add_plainly(7, part));
		}
}

static void
fingerprint_of(const char *sender, const char *text, size_t piece, char out[FINGERPRINT_SIZE])
{
	struct record record = { .trace = STR("abcdefghijklmnop"), .sender = str_of(sender),
		.account = STR_EMPTY, .peer = STR_EMPTY };
	struct fingerprint *f = fingerprint_new(&record);
	struct str rest = str_of(text);

	for (; rest.n > 0; rest = str_from(rest, piece))
		fingerprint_add(f, str_sub(rest, 0, piece));
	fingerprint_end(f, out);
}

static void
a_message_is_known_again_whatever_our_trace_line_says(void **state)
{
	char a[FINGERPRINT_SIZE], b[FINGERPRINT_SIZE];

	(void)state;
	fingerprint_of("s@x", "Received: one;\r\n\tat 1\r\nSubject: a\r\n\r\nb\r\n", 100, a);
	for (size_t piece = 1; piece < 30; piece++) {
		fingerprint_of("s@x", "Received: two two\r\n at 2\r\n\tx\r\nSubject: a\r\n\r\nb\r\n",
		    piece, b);
		assert_memory_equal(a, b, FINGERPRINT_SIZE);
	}
	fingerprint_of("s@x", "Received: one\r\nSubject: a\r\n\r\nc\r\n", 100, b);
	assert_memory_not_equal(a, b, FINGERPRINT_SIZE);
	fingerprint_of("t@x", "Received: one;\r\n\tat 1\r\nSubject: a\r\n\r\nb\r\n", 100, b);
	assert_memory_not_equal(a, b, FINGERPRINT_SIZE);
}

/* ---- bounces ---- */

static bool
holds(const struct buf *text, const char *needle)
{
	return str_find(buf_str(text), str_of(needle)) < text->n;
}

static const struct bounce_recipient nobody = {
	.given = { "nobody@b.test", 13 }, .address = { "nobody@b.test", 13 },
	.status = { "5.1.1", 5 }, .answer = { "550 5.1.1 No such user", 22 },
	.host = { "mx.b.test[192.0.2.9]", 20 }, .last_at = 1795000100,
};

static struct bounce
usual_bounce(void)
{
	return (struct bounce){
		.kind = BOUNCE_FAILED, .hostname = STR("mail.example.test"),
		.id = STR("aaaabbbbccccdddd"), .to = STR("s@example.test"),
		.trace = STR("abcdefghijklmnop"), .arrived = 1795000000, .now = 1795000200,
		.until = 1795432000, .recipients = &nobody, .count = 1,
		.header = STR("Subject: hello\r\nFrom: s@example.test\r\n"),
	};
}

static void
a_bounce_says_what_happened_in_words_and_fields(void **state)
{
	struct bounce b = usual_bounce();
	scoped_buf out = BUF_INIT;

	(void)state;
	bounce_put(&out, &b);
	assert_true(holds(&out, "To: <s@example.test>\r\n"));
	assert_true(holds(&out, "Auto-Submitted: auto-replied\r\n"));
	assert_true(holds(&out, "report-type=delivery-status"));
	assert_true(holds(&out, "There is no such mailbox."));
	assert_true(holds(&out, "The mail server mx.b.test[192.0.2.9] said: 550 5.1.1 No such user\r\n"));
	assert_true(holds(&out, "Final-Recipient: rfc822;nobody@b.test\r\nAction: failed\r\n"
	    "Status: 5.1.1\r\nRemote-MTA: dns;mx.b.test\r\n"
	    "Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n"));
	assert_true(holds(&out, "\r\nSubject: hello\r\nFrom: s@example.test\r\n\r\n--=_aaaabbbbccccdddd--"));
	assert_false(holds(&out, "Original-Recipient"));
	assert_false(holds(&out, "8bit"));
	/* Every line ends in CRLF. */
	for (size_t i = 0; i < out.n; i++)
		assert_true(out.p[i] != '\n' || (i > 0 && out.p[i - 1] == '\r'));
}

static void
a_delay_says_how_long_it_will_be_tried(void **state)
{
	struct bounce b = usual_bounce();
	struct bounce_recipient r = nobody;
	scoped_buf out = BUF_INIT;

	(void)state;
	r.status = STR("5.4.1");	/* whatever it was: a delay is of class 4 */
	r.given = STR("alias@example.test");
	b.kind = BOUNCE_DELAYED;
	b.now = b.arrived + 4 * 3600;
	b.recipients = &r;
	b.header = STR("Subject: \xec\x95\x88\r\n");
	bounce_put(&out, &b);
	assert_true(holds(&out, "waiting for 4 hours"));
	assert_true(holds(&out, "Action: delayed\r\nStatus: 4.4.1\r\n"));
	assert_true(holds(&out, "Will-Retry-Until: "));
	assert_true(holds(&out, "Original-Recipient: rfc822;alias@example.test\r\n"));
	assert_true(holds(&out, "Content-Transfer-Encoding: 8bit\r\n"));
}

static void
strangers_words_add_no_line_to_a_bounce(void **state)
{
	struct bounce b = usual_bounce();
	struct bounce_recipient r = nobody;
	scoped_buf out = BUF_INIT;

	(void)state;
	r.answer = STR("550 x\r\nStatus: 2.0.0\r\n\r\n--=_aaaabbbbccccdddd");
	r.given = STR("a\r\nBcc: x@y@b.test");
	r.host = STR("h\r\nX: y");
	b.to = STR("s@x>\r\nCc: <c@d");
	b.recipients = &r;
	bounce_put(&out, &b);
	assert_false(holds(&out, "\nStatus: 2.0.0"));
	assert_false(holds(&out, "\nBcc:"));
	assert_false(holds(&out, "\nX: y"));
	assert_false(holds(&out, "\nCc:"));
}

static void
spans_are_told_in_their_largest_unit(void **state)
{
	static const struct { int64_t seconds; const char *text; } rows[] = {
		{ 0, "0 seconds" }, { 1, "1 second" }, { 90, "90 seconds" }, { 60, "1 minute" },
		{ 1740, "29 minutes" }, { 3600, "1 hour" }, { 14460, "4 hours" },
		{ 86400, "1 day" }, { 432000, "5 days" }, { -5, "0 seconds" },
	};

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		scoped_buf out = BUF_INIT;

		bounce_put_span(&out, rows[i].seconds);
		assert_str(buf_str(&out), str_of(rows[i].text));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reply_may_have_several_lines),
		cmocka_unit_test(a_reply_is_waited_for_to_its_end),
		cmocka_unit_test(what_is_no_reply_is_refused),
		cmocka_unit_test(a_reply_has_limits),
		cmocka_unit_test(enhanced_codes_are_of_the_replys_class),
		cmocka_unit_test(dots_are_doubled_and_lines_end_in_crlf),
		cmocka_unit_test(retries_follow_their_list_until_the_end),
		cmocka_unit_test(a_mailbox_of_ours_is_tried_again_after_seconds),
		cmocka_unit_test(a_record_is_read_as_it_was_written),
		cmocka_unit_test(the_checksum_is_crc32c),
		cmocka_unit_test(the_processor_counts_the_checksum_alike),
		cmocka_unit_test(a_message_is_known_again_whatever_our_trace_line_says),
		cmocka_unit_test(a_bounce_says_what_happened_in_words_and_fields),
		cmocka_unit_test(a_delay_says_how_long_it_will_be_tried),
		cmocka_unit_test(strangers_words_add_no_line_to_a_bounce),
		cmocka_unit_test(spans_are_told_in_their_largest_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
