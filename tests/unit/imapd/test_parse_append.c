/* SPDX-License-Identifier: ISC */
/* STORE, APPEND and REPLACE: flags, dates, and the literals that follow. */
#include "tests/unit/imapd/parsing.h"

static void
store_takes_flags_both_ways(void **state)
{
	(void)state;
	good(parse_store, "a STORE 1:3 +Flags.SILENT (\\DELETED $Label1 $label1 $forwarded)");
	assert_int_equal(req.store.change, FLAGS_ADD);
	assert_true(req.store.silent);
	assert_int_equal(req.store.flags.system, FLAG_DELETED);
	assert_int_equal(req.store.flags.keyword_count, 2);
	assert_str(req.store.flags.keywords[0], "$Label1");
	assert_str(req.store.flags.keywords[1], "$forwarded");
	good(parse_store, "a STORE 1 -FLAGS \\Seen \\Answered x");
	assert_int_equal(req.store.change, FLAGS_REMOVE);
	assert_false(req.store.silent);
	assert_int_equal(req.store.flags.system, FLAG_SEEN | FLAG_ANSWERED);
	good(parse_store, "a STORE 1 FLAGS ()");
	assert_int_equal(req.store.change, FLAGS_REPLACE);
	assert_int_equal(req.store.flags.system, 0);
	BAD_ONES(parse_store, "a STORE 1", "a STORE 1 FLAGS", "a STORE 1 FLAGS ",
	    "a STORE 1 FLAGS (\\Recent)", "a STORE 1 FLAGS (\\Foo)", "a STORE 1 FLAGS (\\*)",
	    "a STORE 1 FLAGS (a", "a STORE 1 FLAGS (a ) b", "a STORE 1 *FLAGS (a)",
	    "a STORE 1 FLAGS.LOUD (a)", "a STORE 1 + FLAGS (a)", "a STORE 1 FLAGS (\"a\")",
	    "a STORE 1 FLAGS (\xc3\xa9)",
	    "a STORE 1 (UNCHANGEDSINCE) FLAGS (a)", "a STORE 1 (UNCHANGEDSINCE 5)FLAGS (a)",
	    "a STORE 1 () FLAGS (a)", "a STORE 1 (CHANGEDSINCE 5) FLAGS (a)",
	    "a STORE 1 (UNCHANGEDSINCE 5 UNCHANGEDSINCE 5) FLAGS (a)",
	    "a STORE 1 (UNCHANGEDSINCE 9223372036854775808) FLAGS (a)",
	    "a STORE 1 (UNCHANGEDSINCE -1) FLAGS (a)", "a STORE 1 (UNCHANGEDSINCE 5 FLAGS (a)");
}

static void
append_takes_name_flags_and_date(void **state)
{
	(void)state;
	good(parse_append, "a APPEND INBOX {310}\r\n");
	assert_false(req.append.has_date);
	good(parse_append, "a append \"Sent\" (\\Seen a) {310+}\r\n");
	assert_int_equal(req.append.flags.system, FLAG_SEEN);
	assert_int_equal(req.append.flags.keyword_count, 1);
	good(parse_append, "a APPEND {5}\r\nINBOX () \" 1-Jan-1970 00:00:01 +0000\" {0}\r\n");
	assert_true(req.append.has_date);
	assert_int_equal(req.append.date, 1);
	good(parse_append, "a APPEND x \"21-nov-2026 18:48:32 +0900\" {1}\r\n");
	assert_int_equal(req.append.date, 1795254512);
	good(parse_append, "a APPEND x \"29-Feb-2000 23:59:60 -0130\" {1}\r\n");
	assert_int_equal(req.append.date, 951874200);
	good(parse_append, "a APPEND x \"01-Mar-1900 00:00:00 +0000\" {1}\r\n");
	assert_int_equal(req.append.date, -2203891200);
	BAD_ONES(parse_append, "a APPEND x", "a APPEND x \"hello\"", "a APPEND x (\\Recent) {1}",
	    "a APPEND x {1} {2}", "a APPEND x {}", "a APPEND x ~", "a APPEND x CATENATE {1}",
	    "a APPEND x UTF8 {1}", "a APPEND x UTF8 ({1}", "a APPEND x UTF8 ~{1}", "a APPEND x UTF8(~{1}",
	    "a APPEND x \"29-Feb-2001 00:00:00 +0000\" {1}",
	    "a APPEND x \"0-Feb-2001 00:00:00 +0000\" {1}",
	    "a APPEND x \"1-Foo-2001 00:00:00 +0000\" {1}",
	    "a APPEND x \"01-Feb-2001 24:00:00 +0000\" {1}",
	    "a APPEND x \"01-Feb-2001 00:00:00 0000\" {1}",
	    "a APPEND x \"01-Feb-2001 00:00:00 +0060\" {1}",
	    "a APPEND x \"01-Feb-01 00:00:00 +0000\" {1}", "a APPEND x \"01-Feb-2001\" {1}");
}

/* RFC 3516 7, RFC 6855 4, RFC 3502 6.3.11 */
static void
append_goes_on_behind_a_message(void **state)
{
	struct lexer lexer;

	(void)state;
	good(parse_append, "a APPEND x (\\Draft a) \"01-Jan-1970 00:00:01 +0000\" ~{1+}\r\n");
	assert_true(req.append.binary);
	assert_false(req.append.in_utf8);
	lexer = lexer_of(arena, STR(" UTF8 (~{2}\r\n"));
	assert_int_equal(parse_append_next(&lexer, &req), PARSED);
	assert_true(req.append.binary && req.append.in_utf8);
	assert_false(req.append.has_date);
	assert_int_equal(req.append.flags.system, 0);
	assert_int_equal(req.append.flags.keyword_count, 0);
	lexer = lexer_of(arena, STR("\r\n"));
	assert_int_equal(parse_append_end(&lexer, &req), BAD);
	lexer = lexer_of(arena, STR(") (\\Seen) {2}\r\n"));
	assert_int_equal(parse_append_next(&lexer, &req), PARSED);
	assert_false(req.append.binary || req.append.in_utf8);
	assert_int_equal(req.append.flags.system, FLAG_SEEN);
	lexer = lexer_of(arena, STR(")\r\n"));
	assert_int_equal(parse_append_end(&lexer, &req), BAD);
	lexer = lexer_of(arena, STR("x {2}\r\n"));
	assert_int_equal(parse_append_next(&lexer, &req), BAD);
	lexer = lexer_of(arena, STR("\n"));
	assert_int_equal(parse_append_end(&lexer, &req), PARSED);
}

/* RFC 8508 5 */
static void
replace_takes_a_number_and_what_append_takes(void **state)
{
	(void)state;
	good(parse_replace, "a REPLACE 4 Drafts (\\Seen \\Draft) {312}\r\n");
	assert_int_equal(req.append.replaced, 4);
	assert_str(req.append.name.utf8, "Drafts");
	assert_int_equal(req.append.flags.system, FLAG_SEEN | FLAG_DRAFT);
	good(parse_replace, "a UID REPLACE * INBOX ~{3+}");
	assert_true(req.by_uid && req.append.binary);
	assert_int_equal(req.append.replaced, SEQUENCE_STAR);
	BAD_ONES(parse_replace, "a REPLACE", "a REPLACE 1", "a REPLACE x y {1}", "a REPLACE 0 y {1}",
	    "a REPLACE 1:2 y {1}", "a REPLACE 1,2 y {1}", "a REPLACE y {1}", "a REPLACE 1 y", "a REPLACE 4294967296 y {1}");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(store_takes_flags_both_ways),
		TEST(append_takes_name_flags_and_date),
		TEST(append_goes_on_behind_a_message),
		TEST(replace_takes_a_number_and_what_append_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
