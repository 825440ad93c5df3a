/* SPDX-License-Identifier: ISC */
/* From words to requests: heads, strings, logins and the names of mailboxes; what must be refused. */
#include "tests/unit/imapd/parsing.h"

/* ---- heads and strings ---- */

static void
head_knows_tag_word_and_uid(void **state)
{
	(void)state;
	good(parse_nothing, "a.1 noop\r\n");
	assert_str(req.tag, "a.1");
	assert_str(req.word, "NOOP");
	assert_false(req.by_uid);
	good(parse_expunge, "a uid expunge 1:3\n");
	assert_str(req.word, "EXPUNGE");
	assert_true(req.by_uid);
	good(parse_nothing, "a NOOP  \r\n");
	BAD_ONES(parse_nothing, "", "\r\n", " NOOP", "a", "a ", "a  NOOP", "a+ NOOP", "a NOOP x",
	    "a UID", "a UID NOOP", "a UID LOGIN x y", "a NO\rOP", "a \xc3\xa9");
}

static void
bad_says_what_was_expected_and_where(void **state)
{
	(void)state;
	assert_int_equal(parse(parse_login, STR("a LOGIN bob")), BAD);
	assert_string_equal(why,
	    "a space and another argument was expected at octet 12 of the command");
	assert_int_equal(parse(parse_fetch, STR("a FETCH x FLAGS")), BAD);
	assert_string_equal(why, "a message number or \"*\" was expected at octet 9 of the command");
	assert_str(req.tag, "a");
}

static void
strings_come_as_atoms_quoted_and_literals(void **state)
{
	(void)state;
	good(parse_login, "a LOGIN bob]@x.test \"s\\\"e\\\\c r\xc3\xa9t\"\r\n");
	assert_str(req.login.user, "bob]@x.test");
	assert_str(req.login.password, "s\"e\\c r\xc3\xa9t");
	good(parse_login, "a LOGIN {3}\r\nb\n\" {0+}\n\r\n");
	assert_str(req.login.user, "b\n\"");
	assert_str(req.login.password, "");
	BAD_ONES(parse_login, "a LOGIN", "a LOGIN a", "a LOGIN a ", "a LOGIN a b c",
	    "a LOGIN \"a b", "a LOGIN \"a\\b\" c", "a LOGIN \"a\rb\" c", "a LOGIN \"a\\",
	    "a LOGIN {9}\r\nx y", "a LOGIN {1} x y", "a LOGIN {1+", "a LOGIN {-1}\r\nx y",
	    "a LOGIN a(b c", "a LOGIN \xc3\xa9 c", "a LOGIN (a) c");
	assert_int_equal(parse(parse_login, (struct str){ "a LOGIN \"a\0\" b", 15 }), BAD);
	assert_int_equal(parse(parse_login, (struct str){ "a LOGIN {1}\r\n\0 b", 16 }), BAD);
}

static void
a_wipe_reaches_the_password(void **state)
{
	struct lexer lexer = lexer_of(arena, STR("a LOGIN bob \"se\\\"cret\"\r\n"));

	(void)state;
	assert_int_equal(parse_head(&lexer, &req), PARSED);
	assert_int_equal(parse_login(&lexer, &req), PARSED);
	lexer_wipe(&lexer);
	for (size_t i = 0; i < req.login.password.n; i++)
		assert_int_equal(req.login.password.p[i], 0);
}

static void
authenticate_takes_an_initial_response(void **state)
{
	(void)state;
	good(parse_authenticate, "21 authenticate plain\r\n");
	assert_str(req.authenticate.mechanism, "PLAIN");
	assert_false(req.authenticate.has_initial);
	good(parse_authenticate, "a AUTHENTICATE PLAIN AGJvYgBz+/==\r\n");
	assert_true(req.authenticate.has_initial);
	assert_str(req.authenticate.initial, "AGJvYgBz+/==");
	good(parse_authenticate, "a AUTHENTICATE EXTERNAL =\r\n");
	assert_true(req.authenticate.has_initial);
	assert_str(req.authenticate.initial, "");
	BAD_ONES(parse_authenticate, "a AUTHENTICATE", "a AUTHENTICATE PLAIN a b",
	    "a AUTHENTICATE PLAIN \"a\"");
}

static void
id_has_pairs_or_nil(void **state)
{
	scoped_buf text = BUF_INIT;

	(void)state;
	good(parse_id, "a ID NIL");
	assert_int_equal(req.id.count, 0);
	good(parse_id, "a ID ()");
	good(parse_id, "a ID (\"name\" \"x\" \"os\" nil)");
	assert_int_equal(req.id.count, 2);
	assert_str(req.id.pairs[0].value, "x");
	assert_str(req.id.pairs[1].field, "os");
	assert_true(req.id.pairs[1].is_nil);
	BAD_ONES(parse_id, "a ID", "a ID (", "a ID (\"a\")", "a ID (a \"b\")", "a ID (\"a\" \"b\"",
	    "a ID (\"a\" \"b\" )");
	buf_put_z(&text, "a ID (\"k\" NIL");
	for (int i = 0; i < ID_PAIRS_MAX; i++)
		buf_put_z(&text, " \"k\" NIL");
	buf_put_z(&text, ")");
	assert_int_equal(parse(parse_id, buf_str(&text)), BAD);
}

static void
enable_and_getquota_take_their_words(void **state)
{
	(void)state;
	good(parse_enable, "a ENABLE CONDSTORE UTF8=ACCEPT");
	assert_int_equal(req.enable.count, 2);
	assert_str(req.enable.words[1], "UTF8=ACCEPT");
	BAD_ONES(parse_enable, "a ENABLE", "a ENABLE \"x\"");
	good(parse_getquota, "a GETQUOTA \"\"");
	assert_str(req.quota.root, "");
	BAD_ONES(parse_getquota, "a GETQUOTA", "a GETQUOTA a b");
}

/* ---- mailboxes ---- */

static void
names_are_decoded_and_inbox_is_in_capitals(void **state)
{
	(void)state;
	good(parse_mailbox, "a DELETE inbox");
	assert_str(req.mailbox.name.utf8, "INBOX");
	good(parse_mailbox, "a DELETE InBox/&wtzV2A-");
	assert_str(req.mailbox.name.utf8, "INBOX/\uc2dc\ud5d8");
	assert_str(req.mailbox.name.sent, "InBox/&wtzV2A-");
	good(parse_mailbox, "a DELETE inboxes");
	assert_str(req.mailbox.name.utf8, "inboxes");
	good(parse_mailbox, "a DELETE {6}\r\na b\\c\"");
	assert_str(req.mailbox.name.utf8, "a b\\c\"");
}

/* RFC 4466 2.1, RFC 7162 7. */
static void
select_takes_parameters(void **state)
{
	(void)state;
	good(parse_select, "a SELECT inbox");
	assert_str(req.select.name.utf8, "INBOX");
	assert_false(req.select.condstore);
	assert_false(req.select.qresync);
	good(parse_select, "a EXAMINE \"a\" (condstore)");
	assert_true(req.select.condstore);
	good(parse_select, "a SELECT a (QRESYNC (67890007 20050715194045000) CONDSTORE)");
	assert_true(req.select.condstore && req.select.qresync);
	assert_int_equal(req.select.resync.uidvalidity, 67890007);
	assert_true(req.select.resync.modseq == 20050715194045000);
	assert_false(req.select.resync.has_uids);
	good(parse_select, "a SELECT {1}\r\na (QRESYNC (1 2 41,43:211,541:214))");
	assert_int_equal(req.select.resync.uids.count, 3);
	good(parse_select, "a SELECT a (QRESYNC (1 2 1:9 (2,4:5 3,7:8)))");
	assert_int_equal(req.select.resync.known_seqs.count, 2);
	assert_int_equal(req.select.resync.known_uids.ranges[1].last, 8);
	good(parse_select, "a SELECT a (QRESYNC (1 9223372036854775807 (1:4294967295 1:4294967295)))");
	assert_false(req.select.resync.has_uids);
	BAD_ONES(parse_select, "a SELECT", "a SELECT a ()", "a SELECT a (CONDSTORE", "a SELECT a CONDSTORE",
	    "a SELECT a (CONDSTORE CONDSTORE)", "a SELECT a (CONDSTOREX)", "a SELECT a (FOO)",
	    "a SELECT a (CONDSTORE )", "a SELECT a (CONDSTORE) x", "a SELECT a (QRESYNC)",
	    "a SELECT a (QRESYNC ())", "a SELECT a (QRESYNC (1))", "a SELECT a (QRESYNC (0 1))",
	    "a SELECT a (QRESYNC (1 0))", "a SELECT a (QRESYNC (1 9223372036854775808))",
	    "a SELECT a (QRESYNC (4294967296 1))", "a SELECT a (QRESYNC (1 2 *))",
	    "a SELECT a (QRESYNC (1 2 1:*))", "a SELECT a (QRESYNC (1 2 ))", "a SELECT a (QRESYNC (1 2)",
	    "a SELECT a (QRESYNC (1 2 3 4))", "a SELECT a (QRESYNC (1 2 3 (1)))",
	    "a SELECT a (QRESYNC (1 2 3 (1 2 3)))", "a SELECT a (QRESYNC (1 2 3 (1 *)))",
	    "a SELECT a (QRESYNC (1 2 3 (1:2 1)))", "a SELECT a (QRESYNC (1 2 3 (2,1 2,3)))",
	    "a SELECT a (QRESYNC (1 2 3 (2:1 2:3)))", "a SELECT a (QRESYNC (1 2 3 (1,2 3,3)))",
	    "a SELECT a (QRESYNC (1 2 3 (1 2)) QRESYNC (1 2))", "a SELECT a (QRESYNC (1 2 (1 2) 3))");
}

static void
names_that_cannot_be_decoded_are_no_syntax_error(void **state)
{
	(void)state;
	good(parse_mailbox, "a CREATE \"R&D\"");
	assert_int_equal(req.mailbox.name.state, NAME_INVALID);
	good(parse_mailbox, "a CREATE \"New\xed\x95\x9c\"");
	assert_int_equal(req.mailbox.name.state, NAME_RAW_UTF8);
	assert_str(req.mailbox.name.utf8, "New\xed\x95\x9c");
	good(parse_mailbox, "a CREATE {4}\r\nNew\xff");
	assert_int_equal(req.mailbox.name.state, NAME_INVALID);
	/* RFC 9755 3 */
	BAD_ONES(parse_mailbox, "a CREATE \"New\xff\"", "a CREATE \"\xc0\xaf\"", "a CREATE \"\xed\xa0\x80\"");
	good(parse_mailbox, "a CREATE {3}\r\na\nb");
	assert_int_equal(req.mailbox.name.state, NAME_INVALID);
	assert_str(req.mailbox.name.utf8, "");
}

static void
create_takes_special_use(void **state)
{
	(void)state;
	good(parse_create, "a CREATE x");
	good(parse_create, "a CREATE x (use (\\sent \\Archive))");
	assert_int_equal(req.mailbox.special_use, USE_SENT | USE_ARCHIVE);
	assert_false(req.mailbox.unknown_use);
	good(parse_create, "a CREATE x (USE ())");
	good(parse_create, "a CREATE x (USE (\\Important))");
	assert_true(req.mailbox.unknown_use);
	BAD_ONES(parse_create, "a CREATE", "a CREATE x USE", "a CREATE x (USE)",
	    "a CREATE x (USE (Sent))", "a CREATE x (USE (\\Sent)", "a CREATE x (FOO (\\Sent))");
}

static void
rename_takes_two_names(void **state)
{
	(void)state;
	good(parse_rename, "a RENAME \"x/sub\" \"Trash/sub\"");
	assert_str(req.mailbox.name.utf8, "x/sub");
	assert_str(req.mailbox.to.utf8, "Trash/sub");
	BAD_ONES(parse_rename, "a RENAME x", "a RENAME x y z");
}

static void
status_takes_items(void **state)
{
	(void)state;
	good(parse_status, "a STATUS INBOX (messages UNSEEN)");
	assert_int_equal(req.status.items, STATUS_MESSAGES | STATUS_UNSEEN);
	good(parse_status, "a STATUS INBOX (SIZE deleted DELETED-STORAGE MAILBOXID)");
	assert_int_equal(req.status.items, STATUS_SIZE | STATUS_DELETED | STATUS_DELETED_STORAGE | STATUS_MAILBOXID);
	BAD_ONES(parse_status, "a STATUS INBOX", "a STATUS INBOX ()", "a STATUS INBOX MESSAGES",
	    "a STATUS INBOX (FOO)", "a STATUS INBOX (MESSAGES", "a STATUS INBOX (MESSAGES )",
	    "a STATUS INBOX (MESSAGESX)");
}

static void
list_is_taken_plain(void **state)
{
	(void)state;
	good(parse_list, "a LIST \"\" *");
	assert_str(req.list.reference.utf8, "");
	assert_str(req.list.patterns[0].utf8, "*");
	assert_false(req.list.extended);
	good(parse_list, "a LIST \"renamed &0,SzVA-/\" \"a%b*\"");
	assert_str(req.list.reference.utf8, "renamed \ud3f4\ub354/");
	good(parse_list, "a LIST \"\" \"\"");
	assert_str(req.list.patterns[0].utf8, "");
	good(parse_lsub, "a lsub \"\" Sent%");
	assert_str(req.list.patterns[0].utf8, "Sent%");
	BAD_ONES(parse_list, "a LIST", "a LIST \"\"", "a LIST a(b c", "a LIST \"\" a b",
	    "a LIST %a b");
	BAD_ONES(parse_lsub, "a LSUB \"\" (a)", "a LSUB (SUBSCRIBED) \"\" *");
}

static void
list_is_taken_with_all_options(void **state)
{
	(void)state;
	good(parse_list, "a LIST (subscribed) \"\" \"*\" return (special-use)");
	assert_true(req.list.extended);
	assert_int_equal(req.list.selection, LIST_SUBSCRIBED);
	assert_int_equal(req.list.returns, RETURN_SPECIAL_USE);
	good(parse_list, "a LIST (REMOTE SPECIAL-USE RECURSIVEMATCH) x (a \"b\" c%) "
	    "RETURN (SUBSCRIBED CHILDREN STATUS (MESSAGES UIDNEXT) SPECIAL-USE)");
	assert_int_equal(req.list.selection,
	    LIST_REMOTE | LIST_SPECIAL_USE | LIST_RECURSIVEMATCH);
	assert_int_equal(req.list.pattern_count, 3);
	assert_str(req.list.patterns[2].utf8, "c%");
	assert_int_equal(req.list.returns, RETURN_SUBSCRIBED | RETURN_CHILDREN |
	    RETURN_STATUS | RETURN_SPECIAL_USE);
	assert_int_equal(req.list.status_items, STATUS_MESSAGES | STATUS_UIDNEXT);
	good(parse_list, "a LIST () \"\" (\"*\") RETURN ()");
	assert_true(req.list.extended);
	BAD_ONES(parse_list, "a LIST (FOO) \"\" *", "a LIST (RECURSIVEMATCH) \"\" *",
	    "a LIST (RECURSIVEMATCH REMOTE) \"\" *", "a LIST \"\" ()", "a LIST \"\" (a",
	    "a LIST \"\" * RETURN", "a LIST \"\" * RETURN (FOO)", "a LIST \"\" * RETURN (STATUS)",
	    "a LIST \"\" * RETURN (CHILDREN", "a LIST (SUBSCRIBED)\"\" *", "a LIST \"\" * FOO (X)");
}

/* RFC 9755 3: no second meaning of "&" */
static void
names_are_utf8_for_who_enabled_it(void **state)
{
	static const struct {
		const char *line;
		const char *name;
		enum name_state state;
	} rows[] = {
		{ "a SELECT \"R&D \xed\x95\x9c\"", "R&D \xed\x95\x9c", NAME_GOOD },
		{ "a SELECT &1VytbcW0-", "&1VytbcW0-", NAME_GOOD },
		{ "a SELECT {4}\r\nNew\xff", "", NAME_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		struct lexer lexer = lexer_of(arena, str_of(rows[i].line));

		lexer.utf8 = true;
		assert_int_equal(parse_head(&lexer, &req), PARSED);
		assert_int_equal(parse_mailbox(&lexer, &req), PARSED);
		assert_int_equal(req.mailbox.name.state, rows[i].state);
		assert_str(req.mailbox.name.utf8, rows[i].name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(head_knows_tag_word_and_uid),
		TEST(bad_says_what_was_expected_and_where),
		TEST(strings_come_as_atoms_quoted_and_literals),
		TEST(a_wipe_reaches_the_password),
		TEST(authenticate_takes_an_initial_response),
		TEST(id_has_pairs_or_nil),
		TEST(enable_and_getquota_take_their_words),
		TEST(names_are_decoded_and_inbox_is_in_capitals),
		TEST(select_takes_parameters),
		TEST(names_that_cannot_be_decoded_are_no_syntax_error),
		TEST(create_takes_special_use),
		TEST(rename_takes_two_names),
		TEST(status_takes_items),
		TEST(list_is_taken_plain),
		TEST(list_is_taken_with_all_options),
		TEST(names_are_utf8_for_who_enabled_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
