/* SPDX-License-Identifier: ISC */
/* RFC 2231 6, RFC 5322 3.6.1 to 3.6.5, RFC 3501 7.4.2. */
/* Texts as the grammar of RFC 3501 9 wants them, written down by hand. */
#include "tests/unit/mime/test.h"

#include "common/mime/render.h"

static const struct {
	const char *what;
	struct str header;
	const char *want;
} envelopes[] = {
	{ "RFC 3501 8", STR("Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"
	    "From: Terry Gray <gray@cac.washington.edu>\r\n"
	    "Subject: IMAP4rev1 WG mtg summary and minutes\r\n"
	    "To: imap@cac.washington.edu\r\n"
	    "cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n"
	    "Message-Id: <B27397-0100000@cac.washington.edu>\r\n\r\n"),
	    "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev1 WG mtg summary and minutes\" "
	    "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
	    "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
	    "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
	    "((NIL NIL \"imap\" \"cac.washington.edu\")) "
	    "((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")"
	    "(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL "
	    "\"<B27397-0100000@cac.washington.edu>\")" },
	{ "nothing", STR(""), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)" },
	{ "present but empty", STR("Subject:\r\nFrom: a@b\r\nSender: \r\nTo:\r\n\r\n"),
	    "(NIL \"\" ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) "
	    "NIL NIL NIL NIL NIL)" },
	{ "own sender and reply-to",
	    STR("From: a@b\nSender: c@d\nReply-To: \"E\" <e@f>\nIn-Reply-To: <x@y>\n\n"),
	    "(NIL NIL ((NIL NIL \"a\" \"b\")) ((NIL NIL \"c\" \"d\")) ((\"E\" NIL \"e\" \"f\")) "
	    "NIL NIL NIL \"<x@y>\" NIL)" },
	{ "groups and routes", STR("To: g: a@b;\r\nCc: undisclosed:;\r\nBcc: <@r:c@d>\r\n\r\n"),
	    "(NIL NIL NIL NIL NIL ((NIL NIL \"g\" NIL)(NIL NIL \"a\" \"b\")(NIL NIL NIL NIL)) "
	    "((NIL NIL \"undisclosed\" NIL)(NIL NIL NIL NIL)) ((NIL \"@r\" \"c\" \"d\")) NIL NIL)" },
	{ "quotes, folds, 8-bit", STR("Subject: a \"b\" c\\d\r\n  e\r\n"
	    "From: \"\\\"x\\\" \\\\y\" <a@b>\r\nMessage-ID: \xc8\xab\r\n\r\n"),
	    "(NIL \"a \\\"b\\\" c\\\\d  e\" ((\"\\\"x\\\" \\\\y\" NIL \"a\" \"b\")) "
	    "((\"\\\"x\\\" \\\\y\" NIL \"a\" \"b\")) ((\"\\\"x\\\" \\\\y\" NIL \"a\" \"b\")) "
	    "NIL NIL NIL NIL {2}\r\n\xc8\xab)" },
	{ "raw Korean", STR("Subject: 홍\r\nTo: 길 <a@b>\r\n\r\n"),
	    "(NIL {3}\r\n홍 NIL NIL NIL (({3}\r\n길 NIL \"a\" \"b\")) NIL NIL NIL NIL)" },
	{ "several fields", STR("To: a@b\r\nSubject: 1\r\nTo: c@d\r\nSubject: 2\r\n\r\n"),
	    "(NIL \"1\" NIL NIL NIL ((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\")) NIL NIL NIL NIL)" },
	{ "NUL", STR("Subject: a\0b\r\n\r\n"), "(NIL \"ab\" NIL NIL NIL NIL NIL NIL NIL NIL)" },
};

static void
envelopes_follow_the_grammar(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(envelopes); i++) {
		scoped_buf out = BUF_INIT;

		render_envelope(&out, envelopes[i].header);
		check_str(buf_str(&out), str_of(envelopes[i].want), envelopes[i].what);
	}
}

#define PLAIN "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" "
#define NO_EXTENSION " NIL NIL NIL NIL)"
#define NO_ENVELOPE "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"

static const struct {
	const char *what;
	struct str message;
	const char *body, *structure;
} bodies[] = {
	{ "plain", STR("Subject: x\r\n\r\nhello\r\n"), PLAIN "7 1)", PLAIN "7 1" NO_EXTENSION },
	{ "basic with everything", STR("Content-Type: IMAGE/png; name=\"a b.png\"; x=\r\n"
	    "Content-Transfer-Encoding: BASE64\r\nContent-ID: <i@d>\r\n"
	    "Content-Description: it's \"it\"\r\nContent-MD5: abc=\r\n"
	    "Content-Disposition: attachment; filename*=utf-8''%ED%99%8D.png; size=3\r\n"
	    "Content-Language: ko, en\r\nContent-Location: http://a.test/\r\n\r\nAAAA"),
	    "(\"image\" \"png\" (\"name\" \"a b.png\" \"x\" \"\") \"<i@d>\" \"it's \\\"it\\\"\" "
	    "\"base64\" 4)",
	    "(\"image\" \"png\" (\"name\" \"a b.png\" \"x\" \"\") \"<i@d>\" \"it's \\\"it\\\"\" "
	    "\"base64\" 4 \"abc=\" (\"attachment\" (\"filename*\" \"utf-8''%ED%99%8D.png\" "
	    "\"size\" \"3\")) (\"ko\" \"en\") \"http://a.test/\")" },
	{ "disposition alone", STR("Content-Type: a/b\r\nContent-Disposition: inline\r\n\r\n"),
	    "(\"a\" \"b\" NIL NIL NIL \"7bit\" 0)",
	    "(\"a\" \"b\" NIL NIL NIL \"7bit\" 0 NIL (\"inline\" NIL) NIL NIL)" },
	{ "multipart", STR("Content-Type: multipart/mixed; boundary=\"=_b\"\r\n"
	    "Content-Language: ko\r\n\r\n--=_b\r\n\r\none\r\n--=_b\r\n"
	    "Content-Type: text/plain; charset=us-ascii; name=cc.diff\r\n"
	    "Content-Description: Compiler diff\r\n\r\ntwo\r\n\r\n--=_b--\r\n"),
	    "(" PLAIN "3 0)(\"text\" \"plain\" (\"charset\" \"us-ascii\" \"name\" \"cc.diff\") NIL "
	    "\"Compiler diff\" \"7bit\" 5 1) \"mixed\")",
	    "(" PLAIN "3 0" NO_EXTENSION "(\"text\" \"plain\" (\"charset\" \"us-ascii\" \"name\" "
	    "\"cc.diff\") NIL \"Compiler diff\" \"7bit\" 5 1" NO_EXTENSION
	    " \"mixed\" (\"boundary\" \"=_b\") NIL (\"ko\") NIL)" },
	{ "message within", STR("Content-Type: message/rfc822\r\n\r\n"
	    "Subject: inner\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n"
	    "--b\r\n\r\nx\r\n--b--\r\n"),
	    "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 84 "
	    "(NIL \"inner\" NIL NIL NIL NIL NIL NIL NIL NIL) (" PLAIN "1 0) \"alternative\") 7)",
	    "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 84 "
	    "(NIL \"inner\" NIL NIL NIL NIL NIL NIL NIL NIL) (" PLAIN "1 0" NO_EXTENSION
	    " \"alternative\" (\"boundary\" \"b\") NIL NIL NIL) 7" NO_EXTENSION },
	{ "digest", STR("Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n\r\nx\r\n--b--"),
	    "((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 3 " NO_ENVELOPE " " PLAIN "1 0) 1) "
	    "\"digest\")",
	    "((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 3 " NO_ENVELOPE " " PLAIN "1 0" NO_EXTENSION
	    " 1" NO_EXTENSION " \"digest\" (\"boundary\" \"b\") NIL NIL NIL)" },
	{ "multipart without parts", STR("Content-Type: multipart/mixed\r\n\r\nx\r\n"),
	    "(" PLAIN "3 1) \"mixed\")",
	    "(" PLAIN "3 1" NO_EXTENSION " \"mixed\" NIL NIL NIL NIL)" },
	{ "html without charset, 8-bit name", STR("Content-Type: text/html; name=\"홍\"\r\n\r\nx\n"),
	    "(\"text\" \"html\" (\"name\" {3}\r\n홍 \"charset\" \"us-ascii\") NIL NIL \"7bit\" 2 1)",
	    "(\"text\" \"html\" (\"name\" {3}\r\n홍 \"charset\" \"us-ascii\") NIL NIL \"7bit\" 2 1"
	    NO_EXTENSION },
	{ "joined pieces", STR("Content-Type: a/b; name*0=\"one \"; name*1=two\r\n\r\n"),
	    "(\"a\" \"b\" (\"name\" \"one two\") NIL NIL \"7bit\" 0)",
	    "(\"a\" \"b\" (\"name\" \"one two\") NIL NIL \"7bit\" 0" NO_EXTENSION },
};

static void
body_structures_follow_the_grammar(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(bodies); i++) {
		struct arena *arena = arena_new();
		const struct part *root = part_parse(arena, bodies[i].message);
		scoped_buf out = BUF_INIT;

		render_bodystructure(&out, root, bodies[i].message);
		check_str(buf_str(&out), str_of(bodies[i].structure), bodies[i].what);
		arena_free(arena);
	}
}

static void
a_body_is_its_structure_without_extension_data(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(bodies); i++) {
		scoped_buf out = BUF_INIT;

		assert_true(render_body(&out, str_of(bodies[i].structure)));
		check_str(buf_str(&out), str_of(bodies[i].body), bodies[i].what);
	}
}

/* Whatever lies in an index: cut anywhere it is no structure, and nothing comes of it. */
static void
what_is_no_structure_has_no_body(void **state)
{
	static const char *const wrong[] = {
		"", "NIL", "()", "(())", ")", " ", "(\"a\"", "((\"a\" \"b\")", "(\"a\" \"b\" NIL NIL NIL \"7bit\" 0 NIL",
		"(\"a\" \"b\" NIL NIL NIL \"7bit\" 0 NIL NIL NIL NIL) ", "(\"a\" \"b\" NIL NIL NIL \"7bit\" 0  NIL)",
		"(\"a\" \"b\" NIL NIL NIL {5}\r\n7bit", "(\"a\" \"b\" NIL NIL NIL {4294967295}\r\n7bit 0)",
		"(\"a\" \"b\" NIL NIL NIL {}\r\n 0)", "(\"a\" \"b\" NIL NIL NIL {1 0)", "(\"a\" \"\\",
		"(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 84 (NIL) 7)",
	};
	scoped_buf out = BUF_INIT, deep = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < countof(wrong); i++)
		assert_false(render_body(&out, str_of(wrong[i])));
	for (size_t i = 0; i < countof(bodies); i++)
		for (size_t n = 0; n < strlen(bodies[i].structure); n++)
			assert_false(render_body(&out, str_sub(str_of(bodies[i].structure), 0, n)));
	for (size_t i = 0; i < 1000000; i++)
		buf_put_c(&deep, '(');
	assert_false(render_body(&out, buf_str(&deep)));
	assert_int_equal(out.n, 0);
}

static void
text_stays_bounded(void **state)
{
	struct arena *arena = arena_new();
	scoped_buf message = BUF_INIT, out = BUF_INIT;

	(void)state;
	buf_put_z(&message, "Content-Type: multipart/digest; boundary=b\r\n\r\n");
	while (message.n < 30 * 1024 * 1024) {
		buf_put_z(&message, "--b\r\n\r\nFrom: ");
		for (size_t i = 0; i < 1000; i++)
			buf_put_z(&message, "a,");
		buf_put_z(&message, "\r\nSubject: ");
		for (size_t i = 0; i < 1000; i++)
			buf_put_z(&message, "\"\"\"\"\"");
		buf_put_z(&message, "\r\n\r\n");
	}
	render_bodystructure(&out, part_parse(arena, buf_str(&message)), buf_str(&message));
	assert_true(out.n < 8 * 1024 * 1024);
	assert_true(arena_used(arena) < 16 * 1024 * 1024);
	arena_free(arena);
}

static void
strings_take_the_form_they_need(void **state)
{
	scoped_buf out = BUF_INIT;

	(void)state;
	render_string(&out, (struct str){ 0 });
	render_string(&out, STR(""));
	render_string(&out, STR("a\r\nb"));
	render_string(&out, STR("\0x\0\xff\0"));
	render_string(&out, STR("tab\there"));
	check_str(buf_str(&out), STR("NIL\"\"{4}\r\na\r\nb{2}\r\nx\xff\"tab\there\""), "strings");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(envelopes_follow_the_grammar),
		cmocka_unit_test(body_structures_follow_the_grammar),
		cmocka_unit_test(a_body_is_its_structure_without_extension_data),
		cmocka_unit_test(what_is_no_structure_has_no_body),
		cmocka_unit_test(text_stays_bounded),
		cmocka_unit_test(strings_take_the_form_they_need),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
