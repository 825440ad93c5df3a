/* SPDX-License-Identifier: ISC */
/* From words to requests: what clients write, and what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "imapd/parse.h"

#define assert_str(a, text) assert_true(str_eq((a), str_of(text)))

static struct arena *arena;
static struct request req;
static const char *why;

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

static enum parse
parse(parse_arguments *arguments, struct str text)
{
	struct lexer lexer = lexer_of(arena, text);
	enum parse answer = parse_head(&lexer, &req);

	if (answer == PARSED)
		answer = arguments(&lexer, &req);
	why = lexer.why;
	assert_true(answer == PARSED || why != NULL);
	return answer;
}

static void
good(parse_arguments *arguments, const char *text)
{
	if (parse(arguments, str_of(text)) == PARSED)
		return;
	print_error("%s: %s\n", text, why);
	fail();
}

static void
all_bad(parse_arguments *arguments, const char *const *texts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (parse(arguments, str_of(texts[i])) == BAD)
			continue;
		print_error("taken: %s\n", texts[i]);
		fail();
	}
}

#define BAD_ONES(arguments, ...) do { \
	static const char *const texts[] = { __VA_ARGS__ }; \
	all_bad(arguments, texts, countof(texts)); \
} while (0)

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

/* ---- sets ---- */

static void
expect_set(const char *text, uint32_t max, const char *expected)
{
	scoped_buf out = BUF_INIT;
	scoped_buf command = BUF_INIT;
	struct uid_set set;

	buf_printf(&command, "a UID EXPUNGE %s", text);
	good(parse_expunge, buf_z(&command));
	set = sequence_set_resolve(&req.expunge.set, max, arena);
	for (size_t i = 0; i < set.count; i++)
		buf_printf(&out, "%s%u-%u", i ? " " : "", set.ranges[i].first, set.ranges[i].last);
	assert_string_equal(buf_z(&out), expected);
}

static void
sets_become_sorted_and_disjoint(void **state)
{
	(void)state;
	expect_set("1", 10, "1-1");
	expect_set("5,1:3,2:4", 10, "1-5");
	expect_set("9,7,1,7:7", 10, "1-1 7-7 9-9");
	expect_set("4:2", 10, "2-4");
	expect_set("*", 10, "10-10");
	expect_set("*:8", 10, "8-10");
	expect_set("12:*", 10, "10-12");
	expect_set("*:*,3", 10, "3-3 10-10");
	expect_set("1:*", 0, "");
	expect_set("*,4", 0, "4-4");
	expect_set("4294967295,1:4294967295", 10, "1-4294967295");
	expect_set("4294967295,4294967294,1", 10, "1-1 4294967294-4294967295");
	good(parse_expunge, "a UID EXPUNGE 3:9,*,4");
	assert_int_equal(sequence_set_largest(&req.expunge.set), 9);
	BAD_ONES(parse_expunge, "a UID EXPUNGE", "a UID EXPUNGE 0", "a UID EXPUNGE 1:",
	    "a UID EXPUNGE 1,", "a UID EXPUNGE ,1", "a UID EXPUNGE 1:2:3", "a UID EXPUNGE a",
	    "a UID EXPUNGE 4294967296", "a UID EXPUNGE 1 2", "a UID EXPUNGE **", "a EXPUNGE 1");
	good(parse_expunge, "a EXPUNGE");
}

static void
expect_both(const char *one, const char *other, const char *expected)
{
	scoped_buf out = BUF_INIT;
	scoped_buf command = BUF_INIT;
	struct uid_set a, b = { 0 }, both;

	buf_printf(&command, "a UID EXPUNGE %s", one);
	good(parse_expunge, buf_z(&command));
	a = sequence_set_resolve(&req.expunge.set, 10, arena);
	if (*other != '\0') {
		struct lexer lexer = lexer_of(arena, str_of(other));
		struct sequence_set second;

		assert_true(take_set(&lexer, &second));
		b = sequence_set_resolve(&second, 10, arena);
	}
	both = uid_set_both(&a, &b, arena);
	for (size_t i = 0; i < both.count; i++)
		buf_printf(&out, "%s%u-%u", i ? " " : "", both.ranges[i].first, both.ranges[i].last);
	assert_string_equal(buf_z(&out), expected);
}

static void
sets_have_what_is_in_both(void **state)
{
	(void)state;
	expect_both("1:10", "2,4:6,9:20", "2-2 4-6 9-10");
	expect_both("2,4:6,9:20", "1:10", "2-2 4-6 9-10");
	expect_both("1:3,5:7", "3:5", "3-3 5-5");
	expect_both("1:3", "4:5", "");
	expect_both("1:3", "", "");
	expect_both("1:4294967295", "4294967295", "4294967295-4294967295");
	expect_both("1,3,5,7", "1:2,5:7,9", "1-1 5-5 7-7");
}

static void
a_set_is_what_was_saved(void **state)
{
	struct uid_range one[] = { { 1, 3 }, { 9, 9 } }, other[] = { { 4, 5 }, { 20, 30 } };
	struct uid_set set;

	(void)state;
	good(parse_expunge, "a UID EXPUNGE $");
	assert_true(req.expunge.set.saved);
	assert_int_equal(req.expunge.set.count, 0);
	good(parse_expunge, "a UID EXPUNGE 7,2:3,$");
	assert_true(req.expunge.set.saved);
	assert_int_equal(req.expunge.set.count, 2);
	good(parse_copy, "a COPY $ x");
	assert_true(req.copy.set.saved);
	good(parse_expunge, "a UID EXPUNGE 1");
	assert_false(req.expunge.set.saved);
	BAD_ONES(parse_expunge, "a UID EXPUNGE $,1", "a UID EXPUNGE $:1", "a UID EXPUNGE 1:$",
	    "a UID EXPUNGE $$", "a UID EXPUNGE $x", "a EXPUNGE $");
	set = uid_set_join((struct uid_set){ one, 2 }, (struct uid_set){ other, 2 }, arena);
	assert_int_equal(set.count, 3);
	assert_int_equal(set.ranges[0].last, 5);
	assert_int_equal(set.ranges[2].first, 20);
	set = uid_set_join((struct uid_set){ 0 }, (struct uid_set){ other, 2 }, arena);
	assert_ptr_equal(set.ranges, other);
	set = uid_set_join((struct uid_set){ one, 2 }, (struct uid_set){ 0 }, arena);
	assert_ptr_equal(set.ranges, one);
}

static void
sets_have_a_limit(void **state)
{
	scoped_buf text = BUF_INIT;

	(void)state;
	buf_put_z(&text, "a UID EXPUNGE 1");
	for (int i = 1; i < SEQUENCE_RANGES_MAX; i++)
		buf_put_z(&text, ",3");
	good(parse_expunge, buf_z(&text));
	assert_int_equal(sequence_set_resolve(&req.expunge.set, 1, arena).count, 2);
	buf_put_z(&text, ",3");
	assert_int_equal(parse(parse_expunge, buf_str(&text)), BAD);
}

static void
copy_takes_a_set_and_a_name(void **state)
{
	(void)state;
	good(parse_copy, "a UID MOVE 1:* \"Outlook folder\"");
	assert_str(req.copy.to.utf8, "Outlook folder");
	assert_int_equal(req.copy.set.ranges[0].last, SEQUENCE_STAR);
	BAD_ONES(parse_copy, "a COPY 1", "a COPY x", "a COPY 1 x y");
}

/* ---- flags, dates, APPEND ---- */

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

/* ---- FETCH ---- */

static const struct section *
only_section(const char *item)
{
	scoped_buf text = BUF_INIT;

	buf_printf(&text, "a FETCH 1 %s", item);
	good(parse_fetch, buf_z(&text));
	assert_int_equal(req.fetch.count, 1);
	return &req.fetch.items[0].section;
}

static void
fetch_takes_simple_items_once(void **state)
{
	(void)state;
	good(parse_fetch, "a FETCH 1:* (flags Uid RFC822.SIZE FLAGS INTERNALDATE ENVELOPE BODY "
	    "BODYSTRUCTURE RFC822.HEADER)");
	assert_int_equal(req.fetch.count, 8);
	assert_int_equal(req.fetch.items[6].kind, FETCH_BODYSTRUCTURE);
	assert_false(req.fetch.marks_seen);
	good(parse_fetch, "a UID FETCH 1 FLAGS");
	assert_int_equal(req.fetch.count, 2);
	assert_int_equal(req.fetch.items[0].kind, FETCH_UID);
	good(parse_fetch, "a FETCH 1 RFC822");
	assert_true(req.fetch.marks_seen);
	good(parse_fetch, "a FETCH 1 RFC822.TEXT");
	assert_true(req.fetch.marks_seen);
	good(parse_fetch, "a FETCH 1 (UID RFC822.PEEK)");
	assert_int_equal(req.fetch.items[1].kind, FETCH_RFC822);
	assert_false(req.fetch.marks_seen);
	good(parse_fetch, "a FETCH 1 (emailid ThreadId SAVEDATE PREVIEW (lazy) PREVIEW EMAILID)");
	assert_int_equal(req.fetch.count, 5);
	assert_int_equal(req.fetch.items[2].kind, FETCH_SAVEDATE);
	assert_int_equal(req.fetch.items[3].kind, FETCH_PREVIEW_LAZY);
	assert_int_equal(req.fetch.items[4].kind, FETCH_PREVIEW);
	good(parse_fetch, "a FETCH 1 PREVIEW (LAZY LAZY)");
	assert_int_equal(req.fetch.count, 1);
	assert_false(req.fetch.marks_seen);
}

static void
fetch_macros_become_their_items(void **state)
{
	(void)state;
	good(parse_fetch, "a FETCH 1 fast");
	assert_int_equal(req.fetch.count, 3);
	good(parse_fetch, "a FETCH 1 ALL");
	assert_int_equal(req.fetch.count, 4);
	assert_int_equal(req.fetch.items[3].kind, FETCH_ENVELOPE);
	good(parse_fetch, "a UID FETCH 1 FULL");
	assert_int_equal(req.fetch.count, 6);
	assert_int_equal(req.fetch.items[5].kind, FETCH_BODY);
}

static void
fetch_sections_are_echoed_as_asked(void **state)
{
	const struct section *section;

	(void)state;
	section = only_section("BODY[]");
	assert_int_equal(req.fetch.items[0].kind, FETCH_SECTION);
	assert_str(section->echo, "BODY[]");
	assert_true(req.fetch.marks_seen);
	section = only_section("body.peek[]<0.65536>");
	assert_str(section->echo, "BODY[]<0>");
	assert_true(section->peek && section->partial);
	assert_int_equal(section->length, 65536);
	assert_false(req.fetch.marks_seen);
	section = only_section("BODY.PEEK[1.2.mime]");
	assert_str(section->echo, "BODY[1.2.MIME]");
	assert_int_equal(section->path_length, 2);
	assert_int_equal(section->path[1], 2);
	assert_int_equal(section->kind, SECTION_MIME);
	section = only_section("binary[]<7.8>");
	assert_str(section->echo, "BINARY[]<7>");
	assert_int_equal(req.fetch.items[0].kind, FETCH_BINARY);
	assert_true(req.fetch.marks_seen);
	section = only_section("BINARY.PEEK[1.2]");
	assert_str(section->echo, "BINARY[1.2]");
	assert_false(req.fetch.marks_seen);
	section = only_section("Binary.Size[4]");
	assert_str(section->echo, "BINARY.SIZE[4]");
	assert_int_equal(req.fetch.items[0].kind, FETCH_BINARY_SIZE);
	assert_false(req.fetch.marks_seen);
	section = only_section("BODY[3]");
	assert_str(section->echo, "BODY[3]");
	assert_int_equal(section->kind, SECTION_ALL);
	section = only_section("BODY[4.1.HEADER]");
	assert_int_equal(section->kind, SECTION_HEADER);
	section = only_section("BODY[TEXT]<10.20>");
	assert_str(section->echo, "BODY[TEXT]<10>");
	section = only_section("BODY[header.fields (From \"to\" \"x)\" nil {2}\r\nc()]");
	assert_str(section->echo,
	    "BODY[HEADER.FIELDS (From to \"x)\" \"nil\" \"c(\")]");
}

static void
fetch_of_nonsense_is_refused(void **state)
{
	(void)state;
	BAD_ONES(parse_fetch, "a FETCH", "a FETCH 1", "a FETCH 1 ()", "a FETCH 1 FOO",
	    "a FETCH 1 BINARY", "a FETCH 1 BINARY[TEXT]", "a FETCH 1 BINARY[1.MIME]", "a FETCH 1 BINARY[1.]",
	    "a FETCH 1 BINARY.SIZE[1]<0.1>", "a FETCH 1 BINARY.PEEK", "a FETCH 1 BINARY[1]<0.0>", "a FETCH 1 BINARY.FOO[1]",
	    "a FETCH 1 PREVIEW (", "a FETCH 1 PREVIEW (LAZY", "a FETCH 1 PREVIEW (LAZY )", "a FETCH 1 PREVIEW ()",
	    "a FETCH 1 PREVIEW (LAZYX)", "a FETCH 1 (PREVIEW(LAZY))", "a FETCH 1 SAVEDATE[]", "a FETCH 1 PREVIEW[]",
	    "a FETCH 1 (FLAGS", "a FETCH 1 (FLAGS )", "a FETCH 1 (ALL)", "a FETCH 1 FLAGS UID",
	    "a FETCH 1 BODY[", "a FETCH 1 BODY[MIME]", "a FETCH 1 BODY[0]", "a FETCH 1 BODY[1.]",
	    "a FETCH 1 BODY[1.FOO]", "a FETCH 1 BODY[HEADER.FIELDS]",
	    "a FETCH 1 BODY[HEADER.FIELDS ()]", "a FETCH 1 BODY[HEADER.FIELDS (\"a b\")]",
	    "a FETCH 1 BODY[HEADER.FIELDS ({3}\r\na\nb)]", "a FETCH 1 BODY[HEADER.FIELDS (a:)]",
	    "a FETCH 1 BODY[HEADER.FIELDS (\xc3\xa9)]", "a FETCH 1 BODY[HEADER.FIELDS (a",
	    "a FETCH 1 BODY[]<1>", "a FETCH 1 BODY[]<1.0>", "a FETCH 1 BODY[]<1.2",
	    "a FETCH 1 BODY[]<4294967296.1>", "a FETCH 1 BODY.PEEK", "a FETCH 1 FLAGS[]",
	    "a FETCH 1 BODY[TEXT.1]", "a FETCH 1 BODY[1.2.3.HEADER.FIELDS.NOT]",
	    "a FETCH 1 \"body.peek[]\"");
}

/* RFC 4466 2.4, RFC 7162 3.1.4.1, 3.2.6. */
static void
fetch_takes_modifiers(void **state)
{
	(void)state;
	good(parse_fetch, "a FETCH 1 (FLAGS) (changedsince 5)");
	assert_int_equal(req.fetch.changed_since, 5);
	assert_false(req.fetch.vanished);
	assert_int_equal(req.fetch.count, 2);
	assert_int_equal(req.fetch.items[1].kind, FETCH_MODSEQ);
	good(parse_fetch, "a UID FETCH 1 (MODSEQ FLAGS) (VANISHED CHANGEDSINCE 9223372036854775807)");
	assert_true(req.fetch.changed_since == INT64_MAX);
	assert_true(req.fetch.vanished);
	assert_int_equal(req.fetch.count, 3);
	good(parse_fetch, "a FETCH 1 FAST (CHANGEDSINCE 1)");
	assert_int_equal(req.fetch.count, 4);
	good(parse_fetch, "a UID FETCH 1 FLAGS (CHANGEDSINCE 0 VANISHED)");
	assert_int_equal(req.fetch.changed_since, 0);
	assert_int_equal(req.fetch.count, 3);
	good(parse_fetch, "a UID FETCH 1:* (UID FLAGS) (PARTIAL -1:-30 CHANGEDSINCE 98305)");
	assert_true(req.fetch.is_partial);
	assert_true(req.fetch.partial.from_end);
	assert_int_equal(req.fetch.partial.last, 30);
	assert_int_equal(req.fetch.changed_since, 98305);
	good(parse_fetch, "a UID FETCH 1:* FLAGS (CHANGEDSINCE 98305 partial 5:1)");
	assert_int_equal(req.fetch.partial.first, 5);
	assert_false(req.fetch.partial.from_end);
	BAD_ONES(parse_fetch, "a FETCH 1 FLAGS (PARTIAL 1:2)", "a UID FETCH 1 FLAGS (PARTIAL)",
	    "a UID FETCH 1 FLAGS (PARTIAL 1)", "a UID FETCH 1 FLAGS (PARTIAL 1:*)",
	    "a UID FETCH 1 FLAGS (PARTIAL 1:2 PARTIAL 1:2)", "a UID FETCH 1 FLAGS (PARTIAL -1:2)");
	BAD_ONES(parse_fetch, "a FETCH 1 FLAGS ()", "a FETCH 1 FLAGS (CHANGEDSINCE)",
	    "a FETCH 1 FLAGS (CHANGEDSINCE x)",
	    "a FETCH 1 FLAGS (CHANGEDSINCE 9223372036854775808)",
	    "a FETCH 1 FLAGS (CHANGEDSINCE 99999999999999999999999)",
	    "a FETCH 1 FLAGS (CHANGEDSINCE 5 CHANGEDSINCE 5)",
	    "a FETCH 1 FLAGS (CHANGEDSINCE 5", "a FETCH 1 FLAGS (CHANGEDSINCE 5) x",
	    "a FETCH 1 FLAGS CHANGEDSINCE 5", "a FETCH 1 FLAGS (SINCE 5)",
	    "a FETCH 1 FLAGS (CHANGEDSINCE 5 VANISHED)", "a UID FETCH 1 FLAGS (VANISHED)",
	    "a UID FETCH 1 FLAGS (CHANGEDSINCE 5 VANISHED VANISHED)",
	    "a UID FETCH 1 FLAGS (VANISHED 5 CHANGEDSINCE 5)", "a FETCH 1 (CHANGEDSINCE 5)");
}

static void
fetch_has_limits(void **state)
{
	scoped_buf items = BUF_INIT;
	scoped_buf path = BUF_INIT;
	scoped_buf fields = BUF_INIT;

	(void)state;
	buf_put_z(&items, "a FETCH 1 (BODY[1]");
	for (int i = 1; i < FETCH_ITEMS_MAX; i++)
		buf_printf(&items, " BODY[%d]", i);
	buf_put_z(&items, ")");
	good(parse_fetch, buf_z(&items));
	assert_int_equal(req.fetch.count, FETCH_ITEMS_MAX);
	assert_str(req.fetch.items[499].section.echo, "BODY[499]");
	buf_cut(&items, items.n - 1);
	buf_put_z(&items, " BODY[])");
	assert_int_equal(parse(parse_fetch, buf_str(&items)), BAD);
	buf_put_z(&path, "a FETCH 1 BODY[1");
	for (int i = 0; i < SECTION_DEPTH_MAX; i++)
		buf_put_z(&path, ".1");
	buf_put_z(&path, "]");
	assert_int_equal(parse(parse_fetch, buf_str(&path)), BAD);
	buf_put_z(&fields, "a FETCH 1 BODY[HEADER.FIELDS (a");
	for (int i = 0; i < FETCH_FIELDS_MAX; i++)
		buf_put_z(&fields, " a");
	buf_put_z(&fields, ")]");
	assert_int_equal(parse(parse_fetch, buf_str(&fields)), BAD);
}

/* ---- SEARCH ---- */

/* The tree in Lisp's way. */
static void
put_key(struct buf *out, const struct search_key *key)
{
	static const char *const names[] = {
		"all", "and", "or", "not", "seq", "uid", "flag", "keyword", "recent", "new", "old",
		"before", "on", "since", "sentbefore", "senton", "sentsince", "older", "younger",
		"larger", "smaller",
		"header", "body", "text", "modseq", "savedbefore", "savedon", "savedsince", "emailid", "threadid",
	};

	buf_printf(out, "(%s", names[key->kind]);
	if (key->kind == SEARCH_FLAG)
		buf_printf(out, " %u", key->flags);
	if (key->field.n > 0)
		buf_printf(out, " %.*s", STR_ARG(key->field));
	if (key->kind == SEARCH_HEADER || key->text.n > 0)
		buf_printf(out, " '%.*s'", STR_ARG(key->text));
	if ((key->kind >= SEARCH_BEFORE && key->kind <= SEARCH_SENTSINCE) ||
	    (key->kind >= SEARCH_SAVEDBEFORE && key->kind <= SEARCH_SAVEDSINCE))
		buf_printf(out, " %d", key->day);
	if ((key->kind >= SEARCH_OLDER && key->kind <= SEARCH_SMALLER) || key->kind == SEARCH_MODSEQ)
		buf_printf(out, " %llu", (unsigned long long)key->number);
	for (const struct search_key *child = key->first; child != NULL; child = child->next) {
		buf_put_c(out, ' ');
		put_key(out, child);
	}
	buf_put_c(out, ')');
}

static void
expect_search(const char *keys, const char *expected)
{
	scoped_buf text = BUF_INIT;
	scoped_buf tree = BUF_INIT;

	buf_printf(&text, "a SEARCH %s", keys);
	good(parse_search, buf_z(&text));
	assert_null(req.search.key->next);
	put_key(&tree, req.search.key);
	assert_string_equal(buf_z(&tree), expected);
}

static void
search_becomes_the_stores_tree(void **state)
{
	(void)state;
	expect_search("ALL", "(all)");
	expect_search("unseen", "(not (flag 16))");
	expect_search("UNANSWERED UNDELETED SEEN", "(and (not (flag 1)) (not (flag 2)) (flag 16))");
	expect_search("FROM \"x\"", "(header From 'x')");
	expect_search("HEADER Message-ID <a@b>", "(header Message-ID '<a@b>')");
	expect_search("HEADER X \"\"", "(header X '')");
	expect_search("BODY \"\uac00\ub098\"", "(body '\uac00\ub098')");
	expect_search("OR FLAGGED NOT DRAFT", "(or (flag 8) (not (flag 4)))");
	expect_search("OR (SEEN NEW) (OLD)", "(or (and (flag 16) (new)) (old))");
	expect_search("(((RECENT)))", "(recent)");
	expect_search("SINCE 1-Jan-2020 NOT DELETED", "(and (since 18262) (not (flag 2)))");
	expect_search("SENTBEFORE \"01-Mar-2000\" ON 31-Dec-1969",
	    "(and (sentbefore 11017) (on -1))");
	expect_search("LARGER 10 SMALLER 4294967295", "(and (larger 10) (smaller 4294967295))");
	expect_search("SAVEDBEFORE 1-Jan-2020 SAVEDON 2-Jan-2020 SAVEDSINCE 3-Jan-2020",
	    "(and (savedbefore 18262) (savedon 18263) (savedsince 18264))");
	expect_search("SAVEDATESUPPORTED", "(all)");
	expect_search("OR EMAILID M-a_1 threadid Tx", "(or (emailid 'M-a_1') (threadid 'Tx'))");
	expect_search("KEYWORD $a UNKEYWORD b", "(and (keyword '$a') (not (keyword 'b')))");
	expect_search("UNKEYWORD $FORWARDED", "(not (keyword '$FORWARDED'))");
	assert_false(req.search.by_modseq);
	expect_search("MODSEQ 0 SEEN", "(and (modseq 0) (flag 16))");
	assert_true(req.search.by_modseq);
	expect_search("OR MODSEQ \"/flags/\\\\draft\" all 9223372036854775807 MODSEQ \"/flags/a\" PRIV 2",
	    "(or (modseq 9223372036854775807) (modseq 2))");
	expect_search("MODSEQ {12}\r\n/flags/$a.b+ shared 3", "(modseq 3)");
	expect_search("TO a CC b BCC c SUBJECT d TEXT {1}\r\ne",
	    "(and (header To 'a') (header Cc 'b') (header Bcc 'c') (header Subject 'd') (text 'e'))");
}

static void
search_collects_its_sets(void **state)
{
	(void)state;
	expect_search("UID 4:* 1,3 ALL", "(and (uid) (seq) (all))");
	assert_ptr_equal(req.search.sets->key, req.search.key->first);
	assert_int_equal(req.search.sets->sent.ranges[0].first, 4);
	assert_int_equal(req.search.sets->next->key->kind, SEARCH_SEQ);
	assert_int_equal(req.search.sets->next->sent.count, 2);
	assert_null(req.search.sets->next->next);
	expect_search("*", "(seq)");
	expect_search("OR $ UID $", "(or (seq) (uid))");
	assert_true(req.search.sets->sent.saved);
	assert_true(req.search.sets->next->sent.saved);
}

static void
search_counts_back_from_now(void **state)
{
	(void)state;
	expect_search("UNSEEN YOUNGER 259200", "(and (not (flag 16)) (younger 259200))");
	expect_search("older 4294967295", "(older 4294967295)");
	BAD_ONES(parse_search, "a SEARCH OLDER", "a SEARCH OLDER 0", "a SEARCH YOUNGER 4294967296",
	    "a SEARCH YOUNGER x", "a SEARCH YOUNGER 1:2");
}

static void
expect_return(parse_arguments *arguments, const char *text, unsigned results)
{
	good(arguments, text);
	assert_int_equal(req.search.results, results);
}

static void
search_says_what_it_returns(void **state)
{
	(void)state;
	expect_return(parse_search, "a SEARCH ALL", 0);
	expect_return(parse_search, "a SEARCH RETURN () ALL", RESULT_ALL);
	expect_return(parse_search, "a SEARCH return (min Max) ALL", RESULT_MIN | RESULT_MAX);
	expect_return(parse_search, "a SEARCH RETURN (COUNT ALL COUNT) CHARSET UTF-8 ALL",
	    RESULT_COUNT | RESULT_ALL);
	expect_return(parse_search, "a SEARCH RETURN (SAVE) CHARSET KOI8-R ALL", RESULT_SAVE);
	assert_false(req.search.charset_known);
	expect_return(parse_search, "a SEARCH RETURN (SAVE PARTIAL 7:3 MIN) ALL",
	    RESULT_SAVE | RESULT_PARTIAL | RESULT_MIN);
	assert_int_equal(req.search.partial.first, 7);
	assert_int_equal(req.search.partial.last, 3);
	assert_false(req.search.partial.from_end);
	expect_return(parse_sort, "a SORT RETURN (PARTIAL -1:-100) (DATE) UTF-8 ALL", RESULT_PARTIAL);
	assert_int_equal(req.search.partial.last, 100);
	assert_true(req.search.partial.from_end);
	BAD_ONES(parse_search, "a SEARCH RETURN", "a SEARCH RETURN ", "a SEARCH RETURN ALL",
	    "a SEARCH RETURN (ALL)", "a SEARCH RETURN (ALL", "a SEARCH RETURN (ALL)ALL",
	    "a SEARCH RETURN ( ALL) ALL", "a SEARCH RETURN (ALL ) ALL", "a SEARCH RETURN(ALL) ALL",
	    "a SEARCH RETURN (UPDATE) ALL", "a SEARCH RETURN (MIN 1) ALL",
	    "a SEARCH RETURN (PARTIAL) ALL", "a SEARCH RETURN (PARTIAL 1) ALL",
	    "a SEARCH RETURN (PARTIAL 0:1) ALL", "a SEARCH RETURN (PARTIAL -0:-1) ALL",
	    "a SEARCH RETURN (PARTIAL 1:-1) ALL", "a SEARCH RETURN (PARTIAL -1:1) ALL",
	    "a SEARCH RETURN (PARTIAL 1:*) ALL", "a SEARCH RETURN (PARTIAL 1:2:3) ALL",
	    "a SEARCH RETURN (PARTIAL 4294967296:1) ALL",
	    "a SEARCH RETURN (PARTIAL 1:2 PARTIAL 1:2) ALL", "a SEARCH RETURN (PARTIAL 1:2 ALL) ALL",
	    "a SEARCH RETURN (ALL PARTIAL 1:2) ALL", "a SEARCH RETURN () RETURN () ALL");
	BAD_ONES(parse_sort, "a SORT RETURN () UTF-8 ALL", "a SORT RETURN (ALL) (DATE)");
	BAD_ONES(parse_thread, "a THREAD RETURN () REFS UTF-8 ALL");
}

static void
expect_span(struct partial_range range, size_t count, size_t from, size_t n)
{
	const struct partial_span span = partial_range_in(&range, count);

	assert_int_equal(span.n, n);
	assert_int_equal(n == 0 ? 0 : span.from, n == 0 ? 0 : from);
}

static void
a_partial_range_lies_in_what_was_found(void **state)
{
	(void)state;
	expect_span((struct partial_range){ 1, 3, false }, 10, 0, 3);
	expect_span((struct partial_range){ 3, 1, false }, 10, 0, 3);
	expect_span((struct partial_range){ 8, 12, false }, 10, 7, 3);
	expect_span((struct partial_range){ 10, 10, false }, 10, 9, 1);
	expect_span((struct partial_range){ 11, 12, false }, 10, 0, 0);
	expect_span((struct partial_range){ 1, UINT32_MAX, false }, 0, 0, 0);
	expect_span((struct partial_range){ 1, 3, true }, 10, 7, 3);
	expect_span((struct partial_range){ 10, 9, true }, 10, 0, 2);
	expect_span((struct partial_range){ 9, 12, true }, 10, 0, 2);
	expect_span((struct partial_range){ 11, UINT32_MAX, true }, 10, 0, 0);
	expect_span((struct partial_range){ 1, 1, true }, 0, 0, 0);
}

static void
search_knows_its_charsets(void **state)
{
	(void)state;
	expect_search("CHARSET utf-8 SUBJECT \"\xed\x95\x9c\"", "(header Subject '\xed\x95\x9c')");
	assert_str(req.search.charset, "UTF-8");
	assert_false(req.search.text_invalid);
	expect_search("CHARSET \"US-ASCII\" ALL", "(all)");
	good(parse_search, "a SEARCH CHARSET KOI8-R SUBJECT {1}\r\n\xff");
	assert_false(req.search.charset_known);
	assert_null(req.search.key);
	good(parse_search, "a SEARCH CHARSET UTF-8 SUBJECT {1}\r\n\xff");
	assert_true(req.search.text_invalid);
}

static void
search_of_nonsense_is_refused(void **state)
{
	(void)state;
	BAD_ONES(parse_search, "a SEARCH MODSEQ", "a SEARCH MODSEQ x",
	    "a SEARCH MODSEQ 9223372036854775808", "a SEARCH MODSEQ \"/flags/a\" 5",
	    "a SEARCH MODSEQ \"/flags/a\" any 5", "a SEARCH MODSEQ \"/flags/\" all 5",
	    "a SEARCH MODSEQ \"/flags/a b\" all 5", "a SEARCH MODSEQ \"/comment\" all 5",
	    "a SEARCH MODSEQ /flags/a all 5", "a SEARCH MODSEQ \"/flags/a\" all");
	BAD_ONES(parse_search, "a SEARCH", "a SEARCH ", "a SEARCH FOO", "a SEARCH CHARSET UTF-8",
	    "a SEARCH ()", "a SEARCH (ALL", "a SEARCH (ALL )", "a SEARCH ALL)", "a SEARCH OR ALL",
	    "a SEARCH NOT", "a SEARCH FROM", "a SEARCH HEADER a", "a SEARCH LARGER x",
	    "a SEARCH EMAILID", "a SEARCH EMAILID \"M1\"", "a SEARCH EMAILID a.b", "a SEARCH THREADID a+b",
	    "a SEARCH SAVEDON", "a SEARCH SAVEDSINCE soon",
	    "a SEARCH BEFORE 32-Jan-2020", "a SEARCH BEFORE \"1-Jan-2020", "a SEARCH UID x",
	    "a SEARCH KEYWORD \"a\"", "a SEARCH 0", "a SEARCH CHARSET UTF-8 RETURN (ALL) ALL",
	    "a SEARCH SUBJECT \xed\x95\x9c");
}

static void
search_has_limits(void **state)
{
	scoped_buf deep = BUF_INIT;
	scoped_buf groups = BUF_INIT;
	scoped_buf many = BUF_INIT;

	(void)state;
	buf_put_z(&deep, "a SEARCH");
	for (int i = 0; i < 20000; i++)
		buf_put_z(&deep, " NOT");
	buf_put_z(&deep, " ALL");
	assert_int_equal(parse(parse_search, buf_str(&deep)), BAD);
	buf_put_z(&groups, "a SEARCH ");
	for (int i = 0; i < 20000; i++)
		buf_put_z(&groups, "(");
	assert_int_equal(parse(parse_search, buf_str(&groups)), BAD);
	buf_put_z(&many, "a SEARCH");
	for (int i = 0; i < SEARCH_KEYS_MAX; i++)
		buf_put_z(&many, " ALL");
	good(parse_search, buf_z(&many));
	buf_put_z(&many, " ALL");
	assert_int_equal(parse(parse_search, buf_str(&many)), BAD);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
		TEST(sets_become_sorted_and_disjoint),
		TEST(sets_have_what_is_in_both),
		TEST(a_set_is_what_was_saved),
		TEST(sets_have_a_limit),
		TEST(copy_takes_a_set_and_a_name),
		TEST(store_takes_flags_both_ways),
		TEST(append_takes_name_flags_and_date),
		TEST(append_goes_on_behind_a_message),
		TEST(replace_takes_a_number_and_what_append_takes),
		TEST(names_are_utf8_for_who_enabled_it),
		TEST(fetch_takes_simple_items_once),
		TEST(fetch_macros_become_their_items),
		TEST(fetch_sections_are_echoed_as_asked),
		TEST(fetch_of_nonsense_is_refused),
		TEST(fetch_takes_modifiers),
		TEST(fetch_has_limits),
		TEST(search_becomes_the_stores_tree),
		TEST(search_collects_its_sets),
		TEST(search_counts_back_from_now),
		TEST(search_says_what_it_returns),
		TEST(a_partial_range_lies_in_what_was_found),
		TEST(search_knows_its_charsets),
		TEST(search_of_nonsense_is_refused),
		TEST(search_has_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
