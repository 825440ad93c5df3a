/* SPDX-License-Identifier: ISC */
/* SEARCH, and what SORT and THREAD share with it: from words to the store's tree. */
#include "tests/unit/imapd/parsing.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
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
