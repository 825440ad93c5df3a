/* SPDX-License-Identifier: ISC */
/*
 * Whole conversations with a session (RFC 5321 4.2.5): what is answered, what is handed in, and that no refused command
 * colours what comes after it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/smtpd/session_stand.h"

#define assert_str(a, b) assert_true(str_eq((a), (b)))

/* "220 250 550/5.1.1 ...": of each reply's last line the code, and for refusals the enhanced one. */
static void
put_codes(struct buf *out)
{
	struct str rest = buf_str(&w.replies), line, code, enhanced;

	while (str_cut(&rest, '\n', &line)) {
		if (line.n < 4 || line.p[3] != ' ')
			continue;
		if (out->n > 0)
			buf_put_c(out, ' ');
		code = str_sub(line, 0, 3);
		buf_put(out, code);
		if (code.p[0] != '4' && code.p[0] != '5')
			continue;
		rest = rest.n > 0 ? rest : STR_EMPTY;
		line = str_from(line, 4);
		if (str_cut(&line, ' ', &enhanced) && enhanced.n > 0 && ascii_is_digit(enhanced.p[0])) {
			buf_put_c(out, '/');
			buf_put(out, enhanced);
		}
	}
}

/* ---- conversations ---- */

#define HI "EHLO c.test\r\n"
#define LOGIN "AUTH PLAIN AHVzZXIxAHNlY3JldA==\r\n"
#define MESSAGE "Subject: x\r\n\r\nbody\r\n.\r\n"
#define GOOD "MAIL FROM:<a@b.test>\r\nRCPT TO:<user1@example.test>\r\nDATA\r\n" MESSAGE

static const struct conversation {
	enum where where;
	const char *say;
	const char *hear;
} conversations[] = {
	{ AT_MX, HI GOOD "QUIT\r\n", "220 250 250 250 354 250 221" },
	{ AT_MX, "helo c.test\r\nmail from: <a@b.test>\r\nrcpt to:<user1@example.test>\r\ndata\r\n" MESSAGE,
	    "220 250 250 250 354 250" },
	{ AT_MX, HI GOOD GOOD, "220 250 250 250 354 250 250 250 354 250" },
	{ AT_MX, HI "NOOP x\r\nRSET\r\nVRFY user1\r\nEXPN all\r\nHELP\r\nFOO\r\nQUIT\r\n",
	    "220 250 250 250 252 502/5.5.1 214 500/5.5.2 221" },
	/* Order. */
	{ AT_MX, "MAIL FROM:<a@b.test>\r\n", "220 503/5.5.1" },
	{ AT_MX, HI "RCPT TO:<user1@example.test>\r\nDATA\r\n", "220 250 503/5.5.1 503/5.5.1" },
	{ AT_MX, HI "MAIL FROM:<a@b.test>\r\nMAIL FROM:<c@b.test>\r\nDATA\r\n",
	    "220 250 250 503/5.5.1 554/5.5.1" },
	{ AT_MX, HI "MAIL FROM:<a@b.test>\r\nRSET\r\nRCPT TO:<user1@example.test>\r\n",
	    "220 250 250 250 503/5.5.1" },
	{ AT_MX, HI "MAIL FROM:<a@b.test>\r\n" HI "RCPT TO:<user1@example.test>\r\n",
	    "220 250 250 250 503/5.5.1" },
	/* Arguments. */
	{ AT_MX, "EHLO\r\nEHLO a b\r\nQUIT x\r\n", "220 501/5.5.4 501/5.5.4 501/5.5.4" },
	{ AT_MX, HI "MAIL FROM:<a@b.test> SIZE=1001\r\n", "220 250 552/5.3.4" },
	{ AT_MX, HI "MAIL FROM:<a@b.test> SIZE=1000\r\n", "220 250 250" },
	{ AT_MX, HI "MAIL FROM:<a@b.test> RET=FULL\r\n", "220 250 555/5.5.4" },
	/* Lines. */
	{ AT_MX, HI "NOOP\nNOOP\r\n", "220 250 500/5.5.2" },
	{ AT_MX, HI "NO\rOP\r\nNOOP\r\n", "220 250 500/5.5.2" },
	{ AT_MX, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "220 421/4.7.0" },
	/* Recipients. */
	{ AT_MX, HI "MAIL FROM:<>\r\nRCPT TO:<nobody@example.test>\r\nRCPT TO:<full@example.test>\r\n"
	    "RCPT TO:<later@example.test>\r\nRCPT TO:<x@other.test>\r\nRCPT TO:<postmaster>\r\n"
	    "RCPT TO:<alias@example.test>\r\n",
	    "220 250 250 550/5.1.1 452/4.2.2 451/4.3.0 550/5.7.1 250 250" },
	{ AT_MX, HI "MAIL FROM:<>\r\nRCPT TO:<user1@example.test>\r\nRCPT TO:<user2@example.test>\r\n"
	    "RCPT TO:<alias@example.test>\r\nRCPT TO:<postmaster>\r\n", "220 250 250 250 250 250 452/4.5.3" },
	/* Never a relay. */
	{ AT_MX, HI "MAIL FROM:<user1@example.test>\r\nRCPT TO:<@example.test:x@other.test>\r\n"
	    "RCPT TO:<x%other.test@example.test>\r\nRCPT TO:<other.test!x@example.test>\r\n"
	    "RCPT TO:<\"x@other.test\"@example.test>\r\nRCPT TO:<x@[127.0.0.1]>\r\n"
	    "RCPT TO:<x@example.test.other.test>\r\nRCPT TO:<x@EXAMPLE.TEST@other.test>\r\n",
	    "220 250 250 550/5.7.1 550/5.1.1 550/5.1.1 550/5.1.1 550/5.7.1 550/5.7.1 501/5.1.3" },
	{ AT_MX, HI "MAIL FROM:<>\r\nRCPT TO:<x@relayed.test>\r\n", "220 250 250 250" },
	{ FROM_RELAY, HI "MAIL FROM:<a@b.test>\r\nRCPT TO:<x@other.test>\r\nRCPT TO:<nobody@example.test>\r\n",
	    "220 250 250 250 550/5.1.1" },
	{ FROM_RELAY_AT_SUBMISSION, HI "MAIL FROM:<a@b.test>\r\nRCPT TO:<x@other.test>\r\n",
	    "220 250 250 250" },
	/* Logging in. */
	{ AT_MX, HI LOGIN, "220 250 503/5.5.1" },
	{ AT_SUBMISSION, HI "MAIL FROM:<user1@example.test>\r\nRCPT TO:<user1@example.test>\r\n",
	    "220 250 530/5.7.0 503/5.5.1" },
	{ AT_SUBMISSION_PLAIN, HI LOGIN, "220 250 538/5.7.11" },
	{ AT_SUBMISSION, HI LOGIN "MAIL FROM:<user1@example.test>\r\nRCPT TO:<x@other.test>\r\n",
	    "220 250 235 250 250" },
	{ AT_SUBMISSION, HI "AUTH PLAIN\r\nAHVzZXIxAHNlY3JldA==\r\n" LOGIN, "220 250 334 235 503/5.5.1" },
	{ AT_SUBMISSION, HI "AUTH LOGIN\r\ndXNlcjE=\r\nc2VjcmV0\r\n", "220 250 334 334 235" },
	{ AT_SUBMISSION, HI "AUTH LOGIN dXNlcjE=\r\nc2VjcmV0\r\n", "220 250 334 235" },
	{ AT_SUBMISSION, HI "AUTH PLAIN AHVzZXIxAHdyb25n\r\nMAIL FROM:<user1@example.test>\r\n",
	    "220 250 535/5.7.8 530/5.7.0" },
	{ AT_SUBMISSION, HI "AUTH PLAIN AHVzZXIxAHdyb25n\r\nAUTH PLAIN AHVzZXIxAHdyb25n\r\n"
	    "AUTH PLAIN AHVzZXIxAHdyb25n\r\nNOOP\r\n", "220 250 535/5.7.8 535/5.7.8 535/5.7.8 421/4.7.0" },
	{ AT_SUBMISSION, HI "AUTH PLAIN AGxhdGVyAHg=\r\n", "220 250 454/4.7.0" },
	{ AT_SUBMISSION, HI "AUTH CRAM-MD5\r\n" LOGIN, "220 250 504/5.5.4 235" },
	{ AT_SUBMISSION, HI "AUTH PLAIN\r\n*\r\nAUTH PLAIN !\r\nAUTH PLAIN\r\n!\r\nNOOP\r\n",
	    "220 250 334 501/5.7.0 501/5.5.2 334 501/5.5.2 250" },
	{ AT_SUBMISSION, "AUTH PLAIN x\r\n", "220 503/5.5.1" },
	/* Whose the sender is. */
	{ AT_SUBMISSION, HI LOGIN "MAIL FROM:<USER1@example.test>\r\nRSET\r\nMAIL FROM:<alias@example.test>\r\n"
	    "RSET\r\nMAIL FROM:<>\r\nRSET\r\nMAIL FROM:<user2@example.test>\r\nMAIL FROM:<x@other.test>\r\n"
	    "MAIL FROM:<nobody@example.test>\r\nMAIL FROM:<later@example.test>\r\n",
	    "220 250 235 250 250 250 250 250 250 553/5.7.1 553/5.7.1 553/5.7.1 451/4.3.0" },
	/* Data. */
	{ AT_MX, HI "MAIL FROM:<>\r\nRCPT TO:<user1@example.test>\r\nDATA\r\na\n.\nMAIL FROM:<evil@b.test>\r\n.\r\n"
	    "NOOP\r\n", "220 250 250 250 354 550/5.6.11 250" },
	{ AT_MX, HI "MAIL FROM:<>\r\nRCPT TO:<user1@example.test>\r\nDATA\r\na\r\n.\r\r\n.\r\nRCPT TO:<user1@example.test>\r\n",
	    "220 250 250 250 354 550/5.6.11 503/5.5.1" },
	{ AT_MX, HI "MAIL FROM:<>\r\nRCPT TO:<user1@example.test>\r\nDATA\r\nno end", "220 250 250 250 354" },
};

static void
conversations_are_answered_however_they_are_chopped(void **state)
{
	const size_t steps[] = { 1, 7, 100000 };

	(void)state;
	for (size_t i = 0; i < countof(conversations); i++) {
		for (size_t step = 0; step < countof(steps); step++) {
			scoped_buf codes = BUF_INIT;

			talk(conversations[i].where, str_of(conversations[i].say), steps[step]);
			put_codes(&codes);
			if (!str_eq(buf_str(&codes), str_of(conversations[i].hear)))
				print_error("%s\nby %zu: %s\nnot: %s\n", conversations[i].say, steps[step],
				    buf_z(&codes), conversations[i].hear);
			assert_str(buf_str(&codes), str_of(conversations[i].hear));
		}
	}
}

/* Whatever went wrong before, a good message goes through as if it had been the first. */
static void
no_refused_command_colours_the_next(void **state)
{
	const char *const before[] = {
		"", "FOO\r\n", "NOOP\r\n", "MAIL FROM:<bad\r\n", "MAIL FROM:<c@d.test> SIZE=5000\r\n",
		"MAIL FROM:<c@d.test> BODY=8BITMIME X=Y\r\n", "RCPT TO:<user2@example.test>\r\n", "DATA\r\n",
		"VRFY \xea\xb0\x80\r\n", "EXPN x\r\n", "AUTH PLAIN x\r\n", "STARTTLS\r\n", "HELO\r\n",
		"MAIL FROM:<c@d.test> BODY=8BITMIME SIZE=9\r\nRSET\r\n",
		"MAIL FROM:<c@d.test> BODY=8BITMIME\r\nRCPT TO:<user2@example.test>\r\nEHLO c.test\r\n",
		"MAIL FROM:<c@d.test>\r\nRCPT TO:<user2@example.test>\r\nRCPT TO:<x@other.test>\r\nRSET\r\n",
		"MAIL FROM:<c@d.test>\r\nRCPT TO:<user2@example.test>\r\nDATA x\r\nRSET\r\n",
		"MAIL FROM:<c@d.test>\r\nRCPT TO:<user2@example.test>\r\nDATA\r\nReceived: a\r\nDate: b\nc\r\n.\r\n",
		"MAIL FROM:<c@d.test>\r\nRCPT TO:<user2@example.test>\r\nDATA\r\nReceived: a\r\nDate: b\r\n\r.\r\n.\r\n",
		"MAIL FROM:<c@d.test> BODY=8BITMIME\r\nRCPT TO:<user2@example.test>\r\nDATA\r\nx\r\n.\r\n",
	};

	(void)state;
	for (size_t i = 0; i < countof(before); i++) {
		scoped_buf script = BUF_INIT;

		buf_put_z(&script, HI);
		buf_put_z(&script, before[i]);
		buf_put_z(&script, GOOD);
		talk(AT_MX, buf_str(&script), 100000);
		assert_str(buf_str(&w.envelope), STR("a@b.test > user1@example.test/local, 0 0"));
		assert_true(str_starts(buf_str(&w.body), STR("Received: from c.test ([198.51.100.1])\r\n")));
		assert_true(str_ends(buf_str(&w.body), STR("+0000\r\nSubject: x\r\n\r\nbody\r\n")));
		assert_true(w.accepted >= 1);
	}
}

static void
what_is_handed_in_is_what_was_said(void **state)
{
	(void)state;
	talk(AT_SUBMISSION, STR(HI LOGIN "MAIL FROM:<alias@example.test> BODY=8BITMIME\r\n"
	    "RCPT TO:<\"user2\"@EXAMPLE.test>\r\nRCPT TO:<x@other.test>\r\nDATA\r\n"
	    "Bcc: y\r\n\r\n..dot\r\n.\r\n"), 100000);
	assert_str(buf_str(&w.envelope),
	    STR("alias@example.test > user2@example.test/local x@other.test/remote, 1 1"));
	/* RFC 6409 8: what is missing is added, nothing else is touched. */
	assert_true(str_starts(buf_str(&w.body), STR("Received: by mail.example.test (Trivet) with ESMTPA\r\n")));
	assert_true(str_find(buf_str(&w.body), STR("\r\nBcc: y\r\nMessage-ID: <")) < w.body.n);
	assert_true(str_find(buf_str(&w.body), STR("\r\nDate: ")) < w.body.n);
	assert_true(str_ends(buf_str(&w.body), STR("\r\n\r\n.dot\r\n")));
	assert_true(str_find(buf_str(&w.body), STR("other.test")) == w.body.n);
}

static void
put_lines(struct buf *out, const char *line, int count)
{
	for (int i = 0; i < count; i++)
		buf_put_z(out, line);
}

static void
assert_codes(const char *wanted)
{
	scoped_buf codes = BUF_INIT;

	put_codes(&codes);
	if (!str_eq(buf_str(&codes), str_of(wanted)))
		print_error("%s\nnot: %s\n", buf_z(&codes), wanted);
	assert_str(buf_str(&codes), str_of(wanted));
}

static void
too_large_a_message_is_read_to_its_end_and_refused(void **state)
{
	for (int lines = 100; lines <= 101; lines++) {
		scoped_buf script = BUF_INIT;

		(void)state;
		buf_put_z(&script, HI "MAIL FROM:<>\r\nRCPT TO:<user1@example.test>\r\nDATA\r\n");
		put_lines(&script, "12345678\r\n", lines);
		buf_put_z(&script, ".\r\nNOOP\r\n");
		talk(AT_MX, buf_str(&script), 100000);
		assert_codes(lines == 100 ? "220 250 250 250 354 250 250" :
		    "220 250 250 250 354 552/5.3.4 250");
		assert_int_equal(w.accepted, lines == 100);
		assert_int_equal(w.abandoned, lines != 100);
	}
}

static void
a_loop_ends(void **state)
{
	for (int hops = 50; hops <= 51; hops++) {
		scoped_buf script = BUF_INIT;

		(void)state;
		buf_put_z(&script, HI "MAIL FROM:<>\r\nRCPT TO:<user1@example.test>\r\nDATA\r\n");
		put_lines(&script, "Received: x\r\n", hops);
		buf_put_z(&script, "\r\n.\r\n");
		talk(AT_MX, buf_str(&script), 100000);
		assert_codes(hops == 50 ? "220 250 250 250 354 250" : "220 250 250 250 354 554/5.4.6");
		assert_int_equal(w.accepted, hops == 50);
	}
}

static void
the_queues_word_is_passed_on(void **state)
{
	static const char *const hear[] = {
		[SUBMIT_OK] = "220 250 250 250 354 250",
		[SUBMIT_TRY_LATER] = "220 250 250 250 354 451/4.3.0",
		[SUBMIT_NO_ROOM] = "220 250 250 250 354 452/4.3.1",
		[SUBMIT_FULL] = "220 250 250 250 354 552/5.2.2",
		[SUBMIT_REFUSED] = "220 250 250 250 354 554/5.7.1",
		[SUBMIT_TOO_LARGE] = "220 250 250 250 354 552/5.3.4",
	};

	(void)state;
	for (int i = SUBMIT_OK; i <= SUBMIT_TOO_LARGE; i++) {
		w.submit_result = (enum submit_result)i;
		talk(AT_MX, STR(HI GOOD), 100000);
		assert_codes(hear[i]);
	}
	w.submit_result = SUBMIT_OK;
}

static void
after_the_dot_the_client_may_go(void **state)
{
	(void)state;
	w.submit_ms = 50;
	w.hangs_up = true;
	talk(AT_MX, STR(HI GOOD), 100000);
	assert_int_equal(w.accepted, 1);
	assert_int_equal(w.abandoned, 0);
	talk(AT_MX, STR(HI "MAIL FROM:<>\r\nRCPT TO:<user1@example.test>\r\nDATA\r\nx\r\n.\r"), 100000);
	assert_int_equal(w.accepted, 0);
	assert_int_equal(w.abandoned, 1);
	w.hangs_up = false;
	w.submit_ms = 0;
}

static void
patience_has_an_end(void **state)
{
	scoped_buf script = BUF_INIT;

	(void)state;
	put_lines(&script, "FOO\r\n", 25);
	talk(AT_MX, buf_str(&script), 100000);
	assert_int_equal(str_find(buf_str(&w.replies), STR("421 4.7.0")) < w.replies.n, true);
	assert_true(str_ends(buf_str(&w.replies), STR("Too many errors\r\n")));
	buf_clear(&script);
	buf_put_z(&script, HI "MAIL FROM:<>\r\n");
	put_lines(&script, "RCPT TO:<nobody@example.test>\r\n", 15);
	talk(AT_MX, buf_str(&script), 100000);
	assert_codes("220 250 250 550/5.1.1 550/5.1.1 550/5.1.1 550/5.1.1 550/5.1.1 550/5.1.1 550/5.1.1 "
	    "550/5.1.1 550/5.1.1 550/5.1.1 550/5.1.1 421/4.7.0");
	/* Not for those whom we know. */
	talk(FROM_RELAY, buf_str(&script), 100000);
	assert_true(str_ends(buf_str(&w.replies), STR("550 5.1.1 No such user here\r\n")));
}

static void
a_line_may_be_so_long(void **state)
{
	for (int n = LINE_COMMAND_MAX - 5; n <= LINE_COMMAND_MAX - 4; n++) {
		scoped_buf script = BUF_INIT;

		(void)state;
		buf_put_z(&script, "NOOP ");
		put_lines(&script, "x", n);
		buf_put_z(&script, "\r\nNOOP\r\n");
		talk(AT_MX, buf_str(&script), 100000);
		assert_codes(n == LINE_COMMAND_MAX - 5 ? "220 250 250" : "220 500/5.5.2 250");
	}
}

static void
megabytes_without_a_line_end_cost_nothing(void **state)
{
	scoped_buf script = BUF_INIT;

	(void)state;
	memset(buf_room(&script, 8 << 20), 'x', 8 << 20);
	buf_added(&script, 8 << 20);
	buf_put_z(&script, "\r\nNOOP\r\n");
	talk(AT_MX, buf_str(&script), 100000);
	assert_codes("220 500/5.5.2 250");
}

static void
a_silent_client_is_sent_away(void **state)
{
	(void)state;
	w.stays = true;
	w.settings.login_timeout = 1;
	talk(AT_MX, STR(HI), 100000);
	assert_codes("220 250 421/4.4.2");
	w.settings.login_timeout = 60;
	w.settings.smtp_timeout = 1;
	talk(AT_MX, STR(HI "MAIL FROM:<>\r\nRCPT TO:<user1@example.test>\r\nDATA\r\nx"), 100000);
	assert_codes("220 250 250 250 354 421/4.4.2");
	assert_int_equal(w.abandoned, 1);
	w.settings.smtp_timeout = 300;
	w.stays = false;
}

static int
set_up(void **state)
{
	static const char *relay_domains[] = { "relayed.test" };
	static struct net_network relay;

	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	w.settings.hostname = "mail.example.test";
	w.settings.message_size_limit = 1000;
	w.settings.recipient_limit = 3;
	w.settings.smtp_timeout = 300;
	w.settings.login_timeout = 60;
	w.settings.login_failures = 3;
	w.settings.login_failures_per_minute = 20;
	w.settings.relay_domains = (struct setting_list){ relay_domains, 1 };
	if (!net_network_parse(STR("192.0.2.0/24"), &relay))
		return 1;
	w.settings.relay_networks = (struct setting_networks){ &relay, 1 };
	w.fd = -1;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	buf_free(&w.body);
	buf_free(&w.envelope);
	buf_free(&w.replies);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conversations_are_answered_however_they_are_chopped),
		cmocka_unit_test(no_refused_command_colours_the_next),
		cmocka_unit_test(what_is_handed_in_is_what_was_said),
		cmocka_unit_test(too_large_a_message_is_read_to_its_end_and_refused),
		cmocka_unit_test(a_loop_ends),
		cmocka_unit_test(the_queues_word_is_passed_on),
		cmocka_unit_test(after_the_dot_the_client_may_go),
		cmocka_unit_test(patience_has_an_end),
		cmocka_unit_test(a_line_may_be_so_long),
		cmocka_unit_test(megabytes_without_a_line_end_cost_nothing),
		cmocka_unit_test(a_silent_client_is_sent_away),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
