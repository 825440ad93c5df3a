/* SPDX-License-Identifier: ISC */
/* RFC 8970 3.3: what a person reads first, on one line, whatever the message is made of. */
#include "tests/unit/mime/test.h"

#include "common/base/utf8.h"
#include "common/mime/preview.h"

static void
expect_with(void (*put)(struct buf *, struct str), const char *text, const char *want)
{
	scoped_buf out = BUF_INIT;

	buf_put_z(&out, "before");
	put(&out, str_of(text));
	if (!str_eq(str_from(buf_str(&out), 6), str_of(want)))
		fail_msg("%s\n got: %s\nwant: %s", text, buf_z(&out) + 6, want);
}

#define PLAIN(text, want) expect_with(preview_put_plain, (text), (want))
#define HTML(text, want) expect_with(preview_put_html, (text), (want))
#define MAIL(text, want) expect_with(preview_put, (text), (want))

static size_t
characters(struct str s)
{
	size_t n = 0;
	uint32_t c;

	while (utf8_next(&s, &c))
		n++;
	assert_int_equal(s.n, 0);
	return n;
}

static void
white_space_becomes_one_blank(void **state)
{
	(void)state;
	PLAIN("", "");
	PLAIN(" \r\n\t\r\n", "");
	PLAIN("  Hi\r\n\r\n\tBob, \x01 how are\xC2\xA0\xE3\x80\x80you?\r\n", "Hi Bob, how are you?");
	PLAIN("a\xE2\x80\x8B" "b\xEF\xBB\xBF" "c\xC2\xAD" "d", "abcd");
	PLAIN("\xE2\x80\x8C \xE2\x80\x8C \xE2\x80\x8C", "");
	PLAIN("\xD9\x85\xDB\x8C\xE2\x80\x8C\xD8\xAE", "\xD9\x85\xDB\x8C\xE2\x80\x8C\xD8\xAE");
	/* Marks that turn what stands around them. */
	PLAIN("x\xE2\x80\xAEtxt.exe", "xtxt.exe");
	PLAIN("bad \xFF octets", "bad \xEF\xBF\xBD octets");
}

static void
it_ends_at_200_characters(void **state)
{
	scoped_buf text = BUF_INIT, out = BUF_INIT;

	(void)state;
	for (int i = 0; i < 500; i++)
		buf_put_z(&text, "\xEA\xB0\x80\xEB\x82\x98 ");
	preview_put_plain(&out, buf_str(&text));
	assert_true(characters(buf_str(&out)) <= PREVIEW_CHARACTERS_MAX);
	assert_true(characters(buf_str(&out)) >= PREVIEW_CHARACTERS_MAX - 1);
	assert_false(str_ends(buf_str(&out), STR(" ")));
	buf_clear(&out);
	buf_clear(&text);
	for (int i = 0; i < 300; i++)
		buf_put_z(&text, "\xF0\x9F\x98\x80");
	preview_put_html(&out, buf_str(&text));
	assert_int_equal(characters(buf_str(&out)), PREVIEW_CHARACTERS_MAX);
	assert_int_equal(out.n, 4 * PREVIEW_CHARACTERS_MAX);
}

static void
quotes_rulers_and_signatures_are_left_out(void **state)
{
	(void)state;
	PLAIN("> old\r\n> text\r\n\r\nNew text\r\n", "New text");
	PLAIN("On Monday Bob wrote:\r\n\r\n> old\r\n\r\nYes.\r\n", "Yes.");
	PLAIN("My list:\r\n- one\r\n", "My list: - one");
	PLAIN("Yes.\r\n\r\n-- \r\nAnn\r\n", "Yes.");
	PLAIN("=====\r\nNews\r\n-----\r\nof today\r\n", "News of today");
	/* Where there is nothing else it is better than nothing. */
	PLAIN("> only\r\n> > this\r\n", "only this");
	PLAIN("-- \r\nAnn\r\n", "");
	PLAIN("-----BEGIN PGP MESSAGE-----\r\n\r\nhQEMA\r\n", "");
	PLAIN("-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\nHello\r\n", "Hello");
}

static void
markup_is_not_read(void **state)
{
	(void)state;
	HTML("<p>Hi <b>Bo</b>b</p><p>How are you?</p>", "Hi Bob How are you?");
	HTML("<html><head><title>T</title><style>p { color: red }</style>"
	    "<script>if (a < b) alert('<p>')</script></head><body>text</body></html>", "text");
	HTML("a<!-- no --->b<!--[if mso]><table><![endif]-->c<![if !mso]>d<![endif]><?xml x?>e", "abcde");
	HTML("<a href=\"x>y\" title='it>'>link</a>", "link");
	HTML("<td>one</td><td>two</td><br/>three<BR>four", "one two three four");
	HTML("1 < 2 & 3 > 2 <3", "1 < 2 & 3 > 2 <3");
	HTML("<p>shown<style>never closed", "shown");
	HTML("shown<!-- never closed", "shown");
	HTML("shown<a href=\"never closed", "shown");
	HTML("<p title=\"it's\">shown", "shown");
	HTML("<o:p>&nbsp;</o:p>", "");
	HTML("<x-very-long-name-of-a-tag-that-nobody-knows>a</x-very-long-name-of-a-tag-that-nobody-knows>b", "ab");
	HTML("<", "<");
	HTML("a</", "a");
	HTML("</p", "");
	/* What was written before. */
	HTML("Yes.<blockquote type=cite>Will you? <blockquote>x</blockquote>y</blockquote>Ann", "Yes. Ann");
	HTML("<blockquote>only this</blockquote>", "only this");
	HTML("</blockquote></blockquote>text", "text");
}

static void
entities_become_characters(void **state)
{
	(void)state;
	HTML("a&amp;b&lt;c&gt;d&quot;e&apos;f&nbsp;g", "a&b<c>d\"e'f g");
	HTML("&auml;&Ouml;&szlig;&eacute;&euro;&hellip;", "\xC3\xA4\xC3\x96\xC3\x9F\xC3\xA9\xE2\x82\xAC\xE2\x80\xA6");
	HTML("&#65;&#x42;&#x1F600;&#146;", "AB\xF0\x9F\x98\x80\xE2\x80\x99");
	HTML("&#0;&#xD800;&#x110000;&#99999999;x", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDx");
	HTML("&zwnj;&nbsp;&zwnj;&nbsp;Hello", "Hello");
	HTML("AT&T &unknown; &; &#; &#x; &#12a; &amp", "AT&T &unknown; &; &#; &#x; &#12a; &amp");
}

static void
the_first_text_is_taken(void **state)
{
	(void)state;
	MAIL("Subject: x\r\n\r\nHello\r\n", "Hello");
	MAIL("Subject: x\r\n\r\n", "");
	MAIL("Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
	    "<p>Gr=C3=BC=C3=9Fe</p>\r\n", "Gr\xC3\xBC\xC3\x9F" "e");
	MAIL("Content-Type: text/plain; charset=euc-kr\r\nContent-Transfer-Encoding: base64\r\n\r\nvsiz5w==\r\n",
	    "\xEC\x95\x88\xEB\x85\x95");
	MAIL("Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>rich\r\n"
	    "--b\r\n\r\nplain\r\n--b--\r\n", "plain");
	MAIL("Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\n \r\n--b\r\nContent-Type: text/html\r\n\r\n"
	    "<p>rich\r\n--b--\r\n", "rich");
	MAIL("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png\r\n\r\nPNG\r\n"
	    "--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nfile\r\n"
	    "--b\r\nContent-Type: text/html\r\n\r\n<b>text</b>\r\n--b\r\n\r\nfooter\r\n--b--\r\n", "text");
	/* Nothing that can be read, and nothing that somebody else wrote. */
	MAIL("Content-Type: image/png\r\n\r\nPNG\r\n", "");
	MAIL("Content-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR\r\n", "");
	MAIL("Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner\r\n", "");
	MAIL("Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\nContent-Type: application/pgp-encrypted\r\n\r\n"
	    "Version: 1\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\nxx\r\n--b--\r\n", "");
}

static void
only_some_texts_are_looked_into(void **state)
{
	scoped_buf mail = BUF_INIT, out = BUF_INIT;

	(void)state;
	buf_put_z(&mail, "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
	for (int i = 0; i < PREVIEW_TEXTS_MAX; i++)
		buf_put_z(&mail, "--b\r\n\r\n \r\n");
	buf_put_z(&mail, "--b\r\n\r\nfar down\r\n--b--\r\n");
	preview_put(&out, buf_str(&mail));
	assert_int_equal(out.n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(white_space_becomes_one_blank),
		cmocka_unit_test(it_ends_at_200_characters),
		cmocka_unit_test(quotes_rulers_and_signatures_are_left_out),
		cmocka_unit_test(markup_is_not_read),
		cmocka_unit_test(entities_become_characters),
		cmocka_unit_test(the_first_text_is_taken),
		cmocka_unit_test(only_some_texts_are_looked_into),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
