/* SPDX-License-Identifier: ISC */
/* RFC 5322 3.2.1 to 3.2.4, 3.4, 3.4.1, 4.1, 4.4. */
#include "tests/unit/mime/test.h"

#include "common/mime/address.h"

/* One entry as "name|route|mailbox|host", "-" for none; entries end in a line end. */
static void
put_field(struct buf *out, struct str s, char after)
{
	buf_put(out, s.p ? s : STR("-"));
	buf_put_c(out, after);
}

static const struct {
	const char *value, *want;
} rows[] = {
	{ "", "" },
	{ " (only a comment) ", "" },
	{ ",, ,;", "" },
	{ "ann@example.test", "-|-|ann|example.test\n" },
	{ "<ann@example.test>", "-|-|ann|example.test\n" },
	{ "Ann Example <ann@example.test>", "Ann Example|-|ann|example.test\n" },
	{ "\"Example, Ann \\\"A\\\"\" <ann@example.test>", "Example, Ann \"A\"|-|ann|example.test\n" },
	{ "ann@example.test (Ann Example)", "Ann Example|-|ann|example.test\n" },
	{ "a@b (x (nested) \\) y)", "x (nested) ) y|-|a|b\n" },
	{ "John Q. Public <jqp@b>", "John Q. Public|-|jqp|b\n" },
	{ "J.Q.P. <jqp@b>", "J.Q.P.|-|jqp|b\n" },
	{ "a@b,c@d ,\r\n e@f", "-|-|a|b\n-|-|c|d\n-|-|e|f\n" },
	{ "a@b; c@d", "-|-|a|b\n-|-|c|d\n" },
	{ "first . last @ host . test", "-|-|first.last|host.test\n" },
	{ "<@r1.test,@r2.test:ann@example.test>", "-|@r1.test,@r2.test|ann|example.test\n" },
	{ "\"two words\"@b", "-|-|two words|b\n" },
	{ "\"\"@b", "-|-||b\n" },
	{ "a@[127.0.0.1]", "-|-|a|[127.0.0.1]\n" },
	{ "A group: a@b, C <c@d>;", "-|-|A group|-\n-|-|a|b\nC|-|c|d\n-|-|-|-\n" },
	{ "undisclosed-recipients:;", "-|-|undisclosed-recipients|-\n-|-|-|-\n" },
	{ "open: a@b", "-|-|open|-\n-|-|a|b\n-|-|-|-\n" },
	{ "g: a@b;, x@y", "-|-|g|-\n-|-|a|b\n-|-|-|-\n-|-|x|y\n" },
	{ "g: h: a@b;", "-|-|g|-\nh|-|a|b\n-|-|-|-\n" },
	{ "\"g h\":;", "-|-|g h|-\n-|-|-|-\n" },
	/* Malformed, and seen. */
	{ "root", "-|-|root|\n" },
	{ "Undisclosed Recipients", "-|-|Undisclosed Recipients|\n" },
	{ "<>", "-|-||\n" },
	{ "Ann <>", "Ann|-||\n" },
	{ "ann@b.test <ann@b.test>", "ann@b.test|-|ann|b.test\n" },
	{ "Ann ann@b", "Ann|-|ann|b\n" },
	{ "Ann <ann@b", "Ann|-|ann|b\n" },
	{ "Ann <ann@b, Bob <bob@c>", "Ann|-|ann|b\nBob|-|bob|c\n" },
	{ "\"open quote <a@b>", "-|-|open quote <a@b>|\n" },
	{ "a@b c@d", "-|-|a|b\n-|-|c|d\n" },
	{ "<a@b@c>", "-|-|a@b|c\n" },
	{ "a@", "-|-|a|\n" },
	{ "@b", "-|-||b\n" },
	{ "[List] Ann <a@b>", "[List] Ann|-|a|b\n" },
	{ "<a b@c>", "-|-|a b|c\n" },
	{ "))a@b>>", "-|-|a|b\n" },
	/* Korean: raw EUC-KR, raw UTF-8, encoded words. */
	{ "\xc8\xab\xb1\xe6\xb5\xbf <hong@example.test>",
	    "\xc8\xab\xb1\xe6\xb5\xbf|-|hong|example.test\n" },
	{ "홍길동 <hong@example.test>", "홍길동|-|hong|example.test\n" },
	{ "=?EUC-KR?B?yKux5rW/?= <hong@example.test>",
	    "=?EUC-KR?B?yKux5rW/?=|-|hong|example.test\n" },
	{ "=?utf-8?Q?=ED=99=8D,?= <hong@example.test>",
	    "-|-|=?utf-8?Q?=ED=99=8D|\n?=|-|hong|example.test\n" },
	{ "\"홍길동(영업)\" <hong@example.test>, 길동@한국.테스트",
	    "홍길동(영업)|-|hong|example.test\n-|-|길동|한국.테스트\n" },
};

static void
lists_are_taken_apart(void **state)
{
	struct arena *arena = arena_new();

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		scoped_buf out = BUF_INIT;
		struct address_list list;
		struct address *a;

		address_parse(arena, str_of(rows[i].value), &list);
		STAILQ_FOREACH(a, &list, link) {
			put_field(&out, a->name, '|');
			put_field(&out, a->route, '|');
			put_field(&out, a->mailbox, '|');
			put_field(&out, a->host, '\n');
		}
		check_str(buf_str(&out), str_of(rows[i].want), rows[i].value);
	}
	arena_free(arena);
}

static void
a_list_is_bounded_and_its_group_closed(void **state)
{
	struct arena *arena = arena_new();
	struct address_list list;
	struct address *last = NULL, *a;
	scoped_buf value = BUF_INIT;
	size_t count;

	(void)state;
	buf_put_z(&value, "g:");
	for (size_t i = 0; i < 2 * ADDRESS_MAX; i++)
		buf_put_z(&value, "a@b,");
	count = address_parse(arena, buf_str(&value), &list);
	assert_int_equal(count, ADDRESS_MAX + 1);
	STAILQ_FOREACH(a, &list, link)
		last = a;
	assert_non_null(last);
	assert_int_equal(last->kind, ADDRESS_GROUP_END);
	arena_free(arena);
}

static void
nested_comments_do_not_nest_calls(void **state)
{
	struct arena *arena = arena_new();
	struct address_list list;
	scoped_buf value = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < 1000000; i++)
		buf_put_c(&value, '(');
	buf_put_z(&value, "a@b");
	assert_int_equal(address_parse(arena, buf_str(&value), &list), 0);
	arena_free(arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_are_taken_apart),
		cmocka_unit_test(a_list_is_bounded_and_its_group_closed),
		cmocka_unit_test(nested_comments_do_not_nest_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
