/* SPDX-License-Identifier: ISC */
/* RFC 5321 4.1.3, 4.5.3.1.2, 4.5.3.1.3, RFC 6409 4.2. */
/* Lines, verbs, paths and parameters: what is taken, what is refused and with which code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "smtpd/line.h"
#include "smtpd/parse_command.h"

#define assert_str(a, b) assert_true(str_eq((a), (b)))

/* ---- lines ---- */

static void
a_line_ends_at_crlf_however_it_is_chopped(void **state)
{
	const struct str all = STR("NOOP\r\nQUIT\r\n");

	(void)state;
	for (size_t cut = 0; cut < 6; cut++) {
		struct line line = { 0 };

		assert_int_equal(line_next(&line, str_sub(all, 0, cut), 100), LINE_MORE);
		assert_int_equal(line.consumed, 0);
		assert_int_equal(line_next(&line, all, 100), LINE_GOT);
		assert_str(line.text, STR("NOOP"));
		assert_int_equal(line.consumed, 6);
	}
}

static void
a_lone_cr_lf_or_nul_is_no_line(void **state)
{
	const struct str bad[] = {
		STR("NOOP\nQUIT\r\n"), STR("NO\rOP\r\n"), STR("NOOP\r\r\n"), STR("NO\0OP\r\n"),
		STR("\n"),
	};

	(void)state;
	for (size_t i = 0; i < countof(bad); i++) {
		struct line line = { 0 };

		assert_int_equal(line_next(&line, bad[i], 100), LINE_BARE);
	}
}

static void
too_long_a_line_is_swallowed_to_its_end(void **state)
{
	struct line line = { 0 };
	enum line_result result;

	(void)state;
	assert_int_equal(line_next(&line, STR("12345\r\n"), 5), LINE_GOT);
	assert_int_equal(line_next(&line, STR("123456\r\n"), 5), LINE_TOO_LONG);
	assert_int_equal(line.consumed, 8);
	for (int i = 0; i < 1000; i++) {
		result = line_next(&line, STR("aaaaaaaaaa"), 5);
		assert_int_equal(result, LINE_MORE);
		assert_int_equal(line.consumed, 10);
	}
	assert_int_equal(line_next(&line, STR("a\r"), 5), LINE_MORE);
	assert_int_equal(line.consumed, 1);
	assert_int_equal(line_next(&line, STR("\r\nNOOP\r\n"), 5), LINE_TOO_LONG);
	assert_int_equal(line.consumed, 2);
	assert_int_equal(line_next(&line, STR("NOOP\r\n"), 5), LINE_GOT);
	assert_str(line.text, STR("NOOP"));
}

/* ---- verbs ---- */

static void
verbs_are_words(void **state)
{
	struct str verb, arguments;

	(void)state;
	assert_true(parse_verb(STR("mail FROM:<a@b> "), &verb, &arguments));
	assert_str(verb, STR("mail"));
	assert_str(arguments, STR("FROM:<a@b>"));
	assert_true(parse_verb(STR("DATA"), &verb, &arguments));
	assert_int_equal(arguments.n, 0);
	assert_false(parse_verb(STR(""), &verb, &arguments));
	assert_false(parse_verb(STR(" NOOP"), &verb, &arguments));
	assert_false(parse_verb(STR("Host: x"), &verb, &arguments));
	assert_false(parse_verb(STR("NOOP\x80"), &verb, &arguments));
}

/* ---- paths ---- */

struct path_case {
	const char *text;
	const char *address;	/* NULL: refused */
	enum path_fault fault;
};

static const struct path_case paths[] = {
	{ "<a@b.test>", "a@b.test", PATH_FINE },
	{ "<A.B@EXAMPLE.Test>", "A.B@example.test", PATH_FINE },
	{ "<>", "", PATH_FINE },
	{ "<PostMaster>", "postmaster", PATH_FINE },
	{ "<\"postmaster\">", "postmaster", PATH_FINE },
	{ "<user+tag@b.test>", "user+tag@b.test", PATH_FINE },
	{ "<a@localhost>", "a@localhost", PATH_FINE },
	{ "<a@xn--bcher-kva.test>", "a@xn--bcher-kva.test", PATH_FINE },
	/* Quotes that are not needed say nothing (RFC 5321 4.1.2). */
	{ "<\"user\"@b.test>", "user@b.test", PATH_FINE },
	{ "<\"us\\er\"@b.test>", "user@b.test", PATH_FINE },
	/* What is in them is never a domain or a route. */
	{ "<\"a@other.test\"@b.test>", "\"a@other.test\"@b.test", PATH_FINE },
	{ "<\"a b\"@b.test>", "\"a b\"@b.test", PATH_FINE },
	{ "<\"a\\\"b\"@b.test>", "\"a\\\"b\"@b.test", PATH_FINE },
	{ "<\"@x:y>\"@b.test>", "\"@x:y>\"@b.test", PATH_FINE },
	{ "<\"\"@b.test>", "\"\"@b.test", PATH_FINE },
	{ "<user%other.test@b.test>", "user%other.test@b.test", PATH_FINE },
	{ "<other.test!user@b.test>", "other.test!user@b.test", PATH_FINE },
	/* A source route is dropped. */
	{ "<@b.test:user@other.test>", "user@other.test", PATH_FINE },
	{ "<@b.test,@c.test:user@other.test>", "user@other.test", PATH_FINE },
	{ "<a@[192.0.2.1]>", "a@[192.0.2.1]", PATH_FINE },
	{ "<a@[IPv6:2001:DB8::1]>", "a@[IPv6:2001:db8::1]", PATH_FINE },
	{ "<a@[IPv6:::ffff:192.0.2.1]>", "a@[192.0.2.1]", PATH_FINE },
	{ "<a>", NULL, PATH_NO_DOMAIN },
	{ "<\"\">", NULL, PATH_NO_DOMAIN },
	{ "a@b.test", NULL, PATH_SYNTAX },
	{ "", NULL, PATH_SYNTAX },
	{ "<", NULL, PATH_SYNTAX },
	{ "<a@b.test", NULL, PATH_SYNTAX },
	{ "<a@b.test>x", NULL, PATH_SYNTAX },
	{ "<a@>", NULL, PATH_SYNTAX },
	{ "<@b.test>", NULL, PATH_SYNTAX },
	{ "<a@b@c>", NULL, PATH_SYNTAX },
	{ "<.a@b.test>", NULL, PATH_SYNTAX },
	{ "<a.@b.test>", NULL, PATH_SYNTAX },
	{ "<a..b@b.test>", NULL, PATH_SYNTAX },
	{ "<a b@b.test>", NULL, PATH_SYNTAX },
	{ "<a;|$(x)@b.test>", NULL, PATH_SYNTAX },
	{ "<a@b..test>", NULL, PATH_SYNTAX },
	{ "<a@-b.test>", NULL, PATH_SYNTAX },
	{ "<a@b-.test>", NULL, PATH_SYNTAX },
	{ "<a@b.test.>", NULL, PATH_SYNTAX },
	{ "<a@[300.0.2.1]>", NULL, PATH_SYNTAX },
	{ "<a@[2001:db8::1]>", NULL, PATH_SYNTAX },
	{ "<a@[IPv6:192.0.2.1]>", NULL, PATH_SYNTAX },
	{ "<a@[[192.0.2.1]]>", NULL, PATH_SYNTAX },
	{ "<a@[192.0.2.1>", NULL, PATH_SYNTAX },
	{ "<\"a@b.test>", NULL, PATH_SYNTAX },
	{ "<\"a\\", NULL, PATH_SYNTAX },
	{ "<\"a\x01\"@b.test>", NULL, PATH_SYNTAX },
	{ "<@b.test user@other.test>", NULL, PATH_SYNTAX },
	{ "<\xea\xb0\x80@b.test>", NULL, PATH_NOT_ASCII },
	{ "<a@\xea\xb0\x80.test>", NULL, PATH_NOT_ASCII },
	{ "<\"\xea\xb0\x80\"@b.test>", NULL, PATH_NOT_ASCII },
};

static void
paths_are_taken_and_refused(void **state)
{
	struct arena *arena = arena_new();

	(void)state;
	for (size_t i = 0; i < countof(paths); i++) {
		struct str rest = str_of(paths[i].text);
		struct path path;
		enum path_fault fault = parse_path(&rest, BRACKETS_NEEDED, arena, &path);

		if (fault != paths[i].fault)
			print_error("%s: fault %d\n", paths[i].text, fault);
		assert_int_equal(fault, paths[i].fault);
		if (fault != PATH_FINE)
			continue;
		assert_int_equal(rest.n, 0);
		if (!str_eq(path.address, str_of(paths[i].address)))
			print_error("%s: %.*s\n", paths[i].text, STR_ARG(path.address));
		assert_str(path.address, str_of(paths[i].address));
	}
	arena_free(arena);
}

static enum path_fault
fault_of(const char *format, int n)
{
	struct arena *arena = arena_new();
	scoped_buf text = BUF_INIT;
	struct path path;
	struct str rest;
	enum path_fault fault;

	for (const char *p = format; *p != '\0'; p++)
		for (int i = 0; i < (*p == '*' ? n : 1); i++)
			buf_put_c(&text, *p == '*' ? 'x' : *p);
	rest = buf_str(&text);
	fault = parse_path(&rest, BRACKETS_NEEDED, arena, &path);
	arena_free(arena);
	return fault;
}

static void
paths_have_lengths(void **state)
{
	(void)state;
	assert_int_equal(fault_of("<*@b.test>", 64), PATH_FINE);
	assert_int_equal(fault_of("<*@b.test>", 65), PATH_TOO_LONG);
	assert_int_equal(fault_of("<\"*\"@b.test>", 64), PATH_FINE);
	assert_int_equal(fault_of("<\"*\"@b.test>", 65), PATH_TOO_LONG);
	assert_int_equal(fault_of("<a@*>", 252), PATH_FINE);
	assert_int_equal(fault_of("<a@*>", 253), PATH_TOO_LONG);
	assert_int_equal(fault_of("<a@*>", 100000), PATH_TOO_LONG);
	assert_int_equal(fault_of("<@*:a@b>", 1000), PATH_FINE);
	assert_int_equal(fault_of("<@*:a@b>", 2000), PATH_TOO_LONG);
}

static void
brackets_may_be_missing_at_submission_only(void **state)
{
	struct arena *arena = arena_new();
	struct request request;
	const char *why = NULL;

	(void)state;
	assert_int_equal(parse_mail(STR("FROM:a@b.test SIZE=5"), PURPOSE_SUBMISSION, arena, &request,
	    &why), PARSED);
	assert_str(request.mail.path.address, STR("a@b.test"));
	assert_int_equal(request.mail.size, 5);
	assert_int_equal(parse_mail(STR("FROM:a@b.test"), PURPOSE_MX, arena, &request, &why), BAD);
	assert_string_equal(why, "501 5.1.7 Bad sender address syntax");
	arena_free(arena);
}

/* ---- arguments ---- */

struct line_case {
	parse_arguments *parse;
	const char *text;
	const char *code;	/* NULL: taken */
};

static const struct line_case lines[] = {
	{ parse_mail, "FROM:<a@b.test>", NULL },
	{ parse_mail, "from: <a@b.test>", NULL },
	{ parse_mail, "FROM:<a@b.test> SIZE=100 BODY=8BITMIME", NULL },
	{ parse_mail, "FROM:<a@b.test>   body=7bit", NULL },
	{ parse_mail, "FROM:<> AUTH=<>", NULL },
	{ parse_mail, "FROM:<> SIZE=99999999999999999999", NULL },
	{ parse_mail, "FROM:<a@b.test> SIZE=1 SIZE=2", "501 5.5.4" },
	{ parse_mail, "FROM:<a@b.test> SIZE=", "501 5.5.4" },
	{ parse_mail, "FROM:<a@b.test> SIZE", "501 5.5.4" },
	{ parse_mail, "FROM:<a@b.test> SIZE=-1", "501 5.5.4" },
	{ parse_mail, "FROM:<a@b.test> SIZE=999999999999999999999", "501 5.5.4" },
	{ parse_mail, "FROM:<a@b.test> BODY=BINARYMIME", "501 5.5.4" },
	{ parse_mail, "FROM:<a@b.test> =x", "501 5.5.4" },
	{ parse_mail, "FROM:<a@b.test> SMTPUTF8", "555 5.5.4" },
	{ parse_mail, "FROM:<a@b.test> RET=HDRS", "555 5.5.4" },
	{ parse_mail, "FROM:<a@b.test>SIZE=1", "501 5.1.7" },
	{ parse_mail, "FROM <a@b.test>", "501 5.5.4" },
	{ parse_mail, "TO:<a@b.test>", "501 5.5.4" },
	{ parse_mail, "", "501 5.5.4" },
	{ parse_mail, "FROM:<a>", "553 5.1.3" },
	{ parse_mail, "FROM:<\xea\xb0\x80@b.test>", "553 5.6.7" },
	{ parse_rcpt, "TO:<a@b.test>", NULL },
	{ parse_rcpt, "to: <a@b.test>", NULL },
	{ parse_rcpt, "TO:<postmaster>", NULL },
	{ parse_rcpt, "TO:<>", "501 5.1.3" },
	{ parse_rcpt, "TO:<\"\">", "553 5.1.3" },
	{ parse_rcpt, "TO:<a@b.test> NOTIFY=NEVER", "555 5.5.4" },
	{ parse_rcpt, "TO:<a@b.test> <c@d.test>", "501 5.5.4" },
	{ parse_hello, "mx.example.test", NULL },
	{ parse_hello, "[192.0.2.1]", NULL },
	{ parse_hello, "[IPv6:2001:db8::1]", NULL },
	{ parse_hello, "", "501 5.5.4" },
	{ parse_hello, "a b", "501 5.5.4" },
	{ parse_hello, "a\x1b[31m", "501 5.5.4" },
	{ parse_nothing, "", NULL },
	{ parse_nothing, "x", "501 5.5.4" },
	{ parse_anything, "x y z", NULL },
	{ parse_auth, "PLAIN", NULL },
	{ parse_auth, "PLAIN =", NULL },
	{ parse_auth, "", "501 5.5.4" },
	{ parse_auth, "PLAIN a b", "501 5.5.4" },
};

static void
arguments_are_taken_and_refused(void **state)
{
	struct arena *arena = arena_new();

	(void)state;
	for (size_t i = 0; i < countof(lines); i++) {
		struct request request;
		const char *why = NULL;
		enum parse result = lines[i].parse(str_of(lines[i].text), PURPOSE_MX, arena,
		    &request, &why);

		if ((result == PARSED) != (lines[i].code == NULL) ||
		    (why != NULL && !str_starts(str_of(why), str_of(lines[i].code))))
			print_error("\"%s\": %s\n", lines[i].text, why ? why : "taken");
		assert_int_equal(result, lines[i].code == NULL ? PARSED : BAD);
		if (result == BAD)
			assert_true(str_starts(str_of(why), str_of(lines[i].code)));
	}
	arena_free(arena);
}

static void
users_machines_call_themselves_anything(void **state)
{
	const char *const names[] = { "DESKTOP-AB12CD3", "127.0.0.1", "[127.0.0.1]", "my pc", "a_b!" };
	struct arena *arena = arena_new();
	struct request request;
	const char *why;

	(void)state;
	for (size_t i = 0; i < countof(names); i++)
		assert_int_equal(parse_hello(str_of(names[i]), PURPOSE_SUBMISSION, arena, &request,
		    &why), PARSED);
	arena_free(arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_ends_at_crlf_however_it_is_chopped),
		cmocka_unit_test(a_lone_cr_lf_or_nul_is_no_line),
		cmocka_unit_test(too_long_a_line_is_swallowed_to_its_end),
		cmocka_unit_test(verbs_are_words),
		cmocka_unit_test(paths_are_taken_and_refused),
		cmocka_unit_test(paths_have_lengths),
		cmocka_unit_test(brackets_may_be_missing_at_submission_only),
		cmocka_unit_test(arguments_are_taken_and_refused),
		cmocka_unit_test(users_machines_call_themselves_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
