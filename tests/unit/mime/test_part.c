/* SPDX-License-Identifier: ISC */
/* RFC 2045 5, 5.1, 5.2, 6, 6.1, 6.4, 7, 8, RFC 2046 4.1.1, 5.1, 5.1.1 to 5.1.5, 5.2, 5.2.1, 5.2.4. */
#include "tests/unit/mime/test.h"

#include "common/mime/part.h"

/* The tree as text: "type/subtype header+body*lines" and children in brackets. */
static void
put_tree(struct buf *out, const struct part *part)
{
	const struct part *child;

	buf_put(out, part->type);
	buf_put_c(out, '/');
	buf_put(out, part->subtype);
	buf_printf(out, " %zu+%zu*%zu", part->header_size, part->body_size, part->body_lines);
	if (STAILQ_EMPTY(&part->children))
		return;
	buf_put_z(out, " [");
	STAILQ_FOREACH(child, &part->children, link) {
		put_tree(out, child);
		buf_put_z(out, STAILQ_NEXT(child, link) ? ", " : "]");
	}
}

#define MIXED "Content-Type: multipart/mixed; boundary=b\r\n\r\n"	/* 45 bytes */

static const struct {
	const char *what;
	struct str message;
	const char *want;
} trees[] = {
	{ "no MIME", STR("Subject: x\r\n\r\nhello\r\nworld\r\n"), "text/plain 14+14*2" },
	{ "nothing", STR(""), "text/plain 0+0*0" },
	{ "no body", STR("A: b\r\n"), "text/plain 6+0*0" },
	{ "bare LF", STR("A: b\n\nhello\n"), "text/plain 6+6*1" },
	{ "no last line end", STR("A: b\r\n\r\nhello"), "text/plain 8+5*0" },
	{ "broken type", STR("Content-Type: text\r\n\r\nx"), "text/plain 22+1*0" },
	{ "broken subtype", STR("Content-Type: image/;a=b\r\n\r\n"), "text/plain 28+0*0" },
	{ "comments", STR("Content-Type: (a) IMAGE (b) / (c) PNG (d)\r\n\r\n"), "image/png 45+0*0" },
	{ "first field counts", STR("Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n"), "a/b 40+0*0" },
	{ "two parts", STR(MIXED "preamble\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: image/png\r\n\r\n"
	    "two\r\n\r\n--b--\r\nepilogue\r\n"),
	    "multipart/mixed 45+78*11 [text/plain 2+3*0, image/png 27+5*1]" },
	{ "bare LF parts", STR("Content-Type: multipart/mixed; boundary=\"b\"\n\n--b\n\none\n--b--\n"),
	    "multipart/mixed 45+15*4 [text/plain 1+3*0]" },
	{ "no close", STR(MIXED "--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n"),
	    "multipart/mixed 45+24*6 [text/plain 2+3*0, text/plain 2+5*1]" },
	{ "empty parts", STR(MIXED "--b\r\n--b\r\n\r\n--b\r\n\r\n\r\n--b--"),
	    "multipart/mixed 45+26*6 [text/plain 0+0*0, text/plain 2+0*0, text/plain 2+0*0]" },
	{ "header without blank line", STR(MIXED "--b\r\nContent-Type: a/b\r\n--b--\r\n"),
	    "multipart/mixed 45+31*3 [a/b 17+0*0]" },
	{ "blanks behind", STR(MIXED "--b \t\r\n\r\nx\r\n--b-- \r\n"),
	    "multipart/mixed 45+20*4 [text/plain 2+1*0]" },
	{ "not a delimiter", STR(MIXED "--b\r\n\r\n--bx\r\n-- b\r\n --b\r\n--b-\r\n--b--"),
	    "multipart/mixed 45+36*6 [text/plain 2+22*3]" },
	{ "no delimiter at all", STR(MIXED "hello\r\n"), "multipart/mixed 45+7*1 [text/plain 0+7*1]" },
	{ "close at once", STR(MIXED "--b--\r\nhello\r\n"),
	    "multipart/mixed 45+14*2 [text/plain 0+14*2]" },
	{ "no boundary", STR("Content-Type: multipart/mixed\r\n\r\nhello\r\n"),
	    "multipart/mixed 33+7*1 [text/plain 0+7*1]" },
	{ "no body, multipart", STR("Content-Type: multipart/mixed; boundary=b\r\n"),
	    "multipart/mixed 43+0*0 [text/plain 0+0*0]" },
	{ "nested, one boundary begins with the other",
	    STR(MIXED "--b\r\nContent-Type: multipart/alternative; boundary=bb\r\n\r\n"
	    "--bb\r\n\r\none\r\n--bb\r\n\r\ntwo\r\n--bb--\r\n\r\n--b\r\n\r\nthree\r\n--b--\r\n"),
	    "multipart/mixed 45+114*15 [multipart/alternative 52+34*7"
	    " [text/plain 2+3*0, text/plain 2+3*0], text/plain 2+5*0]" },
	{ "inner never closed", STR(MIXED "--b\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n"
	    "--i\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n"),
	    "multipart/mixed 45+81*10 [multipart/mixed 45+10*2 [text/plain 2+3*0], text/plain 2+3*0]" },
	{ "inner with the same boundary", STR(MIXED "--b\r\n" MIXED "--b\r\n\r\none\r\n--b--\r\n"
	    "--b\r\n\r\ntwo\r\n--b--\r\n"),
	    "multipart/mixed 45+88*11 [multipart/mixed 45+17*3 [text/plain 2+3*0], text/plain 2+3*0]" },
	{ "message within", STR("Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nhello\r\n"),
	    "message/rfc822 32+21*3 [text/plain 14+7*1]" },
	{ "encoded message within", STR("Content-Type: message/rfc822\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\nQTogYg==\r\n"),
	    "application/octet-stream 67+10*1" },
	{ "digest", STR("Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nA: b\r\n\r\nx\r\n"
	    "--b\r\nContent-Type: text/plain\r\n\r\ny\r\n--b--"),
	    "multipart/digest 46+59*9 [message/rfc822 2+9*2 [text/plain 8+1*0], text/plain 28+1*0]" },
	{ "message without a body in a multipart",
	    STR(MIXED "--b\r\nContent-Type: message/rfc822\r\n--b--"),
	    "multipart/mixed 45+40*2 [message/rfc822 28+0*0 [text/plain 0+0*0]]" },
	{ "a blank line that ends a header and begins a delimiter",
	    STR("Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n\r\n--b--"),
	    "multipart/digest 46+14*3 [message/rfc822 2+2*1 [text/plain 2+0*0]]" },
	{ "other message", STR("Content-Type: message/delivery-status\r\n\r\nA: b\r\n"),
	    "message/delivery-status 41+6*1" },
};

static void
messages_become_trees(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(trees); i++) {
		struct arena *arena = arena_new();
		scoped_buf out = BUF_INIT;

		put_tree(&out, part_parse(arena, trees[i].message));
		check_str(buf_str(&out), str_of(trees[i].want), trees[i].what);
		arena_free(arena);
	}
}

static void
fields_are_read(void **state)
{
	static const struct str message = STR("Content-Type: Text/HTML; Charset=\"EUC-KR\"\r\n"
	    "Content-Transfer-Encoding: Quoted-Printable (really)\r\n"
	    "Content-ID: <a@b>\r\nContent-Description: =?x?=\r\n folded\r\n"
	    "Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\n"
	    "Content-Disposition: ATTACHMENT; FileName=x.html\r\n"
	    "Content-Language: en, ko (Korean),,fr\r\n"
	    "Content-Location: http://a.test/\r\n b/c\r\n\r\n");
	struct arena *arena = arena_new();
	const struct part *part = part_parse(arena, message);
	const struct part_language *language = STAILQ_FIRST(&part->languages);

	(void)state;
	check_str(part->type, STR("text"), "type");
	check_str(part->subtype, STR("html"), "subtype");
	check_str(param_get(&part->params, STR("charset")), STR("EUC-KR"), "charset");
	check_str(part->encoding, STR("quoted-printable"), "encoding");
	check_str(part->id, STR("<a@b>"), "id");
	check_str(part->description, STR("=?x?= folded"), "description");
	check_str(part->md5, STR("Q2hlY2sgSW50ZWdyaXR5IQ=="), "md5");
	check_str(part->disposition, STR("attachment"), "disposition");
	check_str(param_get(&part->disposition_params, STR("filename")), STR("x.html"), "filename");
	check_str(part->location, STR("http://a.test/b/c"), "location");
	check_str(language->tag, STR("en"), "language");
	language = STAILQ_NEXT(language, link);
	check_str(language->tag, STR("ko"), "language");
	language = STAILQ_NEXT(language, link);
	check_str(language->tag, STR("fr"), "language");
	assert_null(STAILQ_NEXT(language, link));
	arena_free(arena);
}

/* The example of RFC 3501 6.4.5, each part's text saying its number. */
static const struct str sections = STR(MIXED
    "--b\r\nX: 1\r\n\r\n1\r\n"
    "--b\r\nX: 2\r\nContent-Type: application/octet-stream\r\n\r\n2\r\n"
    "--b\r\nX: 3\r\nContent-Type: message/rfc822\r\n\r\n"
    "S: 3\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"
    "--c\r\n\r\n3.1\r\n--c\r\nContent-Type: application/octet-stream\r\n\r\n3.2\r\n--c--\r\n"
    "--b\r\nX: 4\r\nContent-Type: multipart/mixed; boundary=d\r\n\r\n"
    "--d\r\nX: 4.1\r\nContent-Type: image/gif\r\n\r\n4.1\r\n"
    "--d\r\nX: 4.2\r\nContent-Type: message/rfc822\r\n\r\n"
    "S: 4.2\r\nContent-Type: multipart/mixed; boundary=e\r\n\r\n"
    "--e\r\n\r\n4.2.1\r\n--e\r\nContent-Type: multipart/alternative; boundary=f\r\n\r\n"
    "--f\r\n\r\n4.2.2.1\r\n--f\r\nContent-Type: text/richtext\r\n\r\n4.2.2.2\r\n--f--\r\n"
    "--e--\r\n--d--\r\n"
    "--b\r\nContent-Type: message/rfc822\r\n\r\nS: 5\r\n\r\ntext of 5\r\n--b--\r\n");

enum { NUMBERS_MAX = 5 };

static const struct {
	uint32_t numbers[NUMBERS_MAX];
	enum part_section section;
	const char *want;	/* how it begins; NULL: no such section */
} rows[] = {
	{ { 0 }, PART_WHOLE, "Content-Type: multipart/mixed; boundary=b" },
	{ { 0 }, PART_HEADER, MIXED },
	{ { 0 }, PART_TEXT, "--b\r\nX: 1" },
	{ { 0 }, PART_MIME, NULL },
	{ { 1 }, PART_WHOLE, "1" },
	{ { 1 }, PART_MIME, "X: 1\r\n\r\n" },
	{ { 1 }, PART_HEADER, NULL },
	{ { 1 }, PART_TEXT, NULL },
	{ { 1, 1 }, PART_WHOLE, NULL },
	{ { 2 }, PART_WHOLE, "2" },
	{ { 3 }, PART_WHOLE, "S: 3\r\nContent-Type" },
	{ { 3 }, PART_MIME, "X: 3\r\n" },
	{ { 3 }, PART_HEADER, "S: 3\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n" },
	{ { 3 }, PART_TEXT, "--c\r\n\r\n3.1" },
	{ { 3, 1 }, PART_WHOLE, "3.1" },
	{ { 3, 2 }, PART_WHOLE, "3.2" },
	{ { 3, 2 }, PART_MIME, "Content-Type: application/octet-stream\r\n\r\n" },
	{ { 3, 3 }, PART_WHOLE, NULL },
	{ { 4 }, PART_WHOLE, "--d\r\nX: 4.1" },
	{ { 4 }, PART_TEXT, NULL },
	{ { 4, 1 }, PART_WHOLE, "4.1" },
	{ { 4, 1 }, PART_MIME, "X: 4.1\r\nContent-Type: image/gif\r\n\r\n" },
	{ { 4, 2 }, PART_HEADER, "S: 4.2\r\n" },
	{ { 4, 2 }, PART_TEXT, "--e\r\n" },
	{ { 4, 2, 1 }, PART_WHOLE, "4.2.1" },
	{ { 4, 2, 2 }, PART_WHOLE, "--f\r\n" },
	{ { 4, 2, 2, 1 }, PART_WHOLE, "4.2.2.1" },
	{ { 4, 2, 2, 2 }, PART_WHOLE, "4.2.2.2" },
	{ { 4, 2, 2, 2, 1 }, PART_WHOLE, NULL },
	{ { 5 }, PART_TEXT, "text of 5" },
	{ { 5, 1 }, PART_WHOLE, "text of 5" },
	{ { 5, 1 }, PART_MIME, "S: 5\r\n\r\n" },
	{ { 5, 2 }, PART_WHOLE, NULL },
	{ { 5, 1, 1 }, PART_WHOLE, NULL },
	{ { 6 }, PART_WHOLE, NULL },
	{ { 4294967295u }, PART_WHOLE, NULL },
};

static void
sections_are_those_of_the_rfc(void **state)
{
	struct arena *arena = arena_new();
	const struct part *root = part_parse(arena, sections);

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		struct str got = STR_EMPTY, want = str_of(rows[i].want);
		size_t count = 0;
		bool is;

		while (count < NUMBERS_MAX && rows[i].numbers[count] != 0)
			count++;
		is = part_find_section(root, sections, rows[i].numbers, count, rows[i].section, &got);
		if (is != (rows[i].want != NULL))
			fail_msg("row %zu", i);
		check_str(str_sub(got, 0, want.n), want, "section");
	}
	arena_free(arena);
}

static void
a_message_that_is_one_part_has_part_1(void **state)
{
	static const struct str message = STR("Subject: x\r\n\r\nhello");
	struct arena *arena = arena_new();
	const struct part *root = part_parse(arena, message);
	struct str got;

	(void)state;
	assert_true(part_find_section(root, message, (uint32_t[]){ 1 }, 1, PART_WHOLE, &got));
	check_str(got, STR("hello"), "1");
	assert_true(part_find_section(root, message, NULL, 0, PART_TEXT, &got));
	check_str(got, STR("hello"), "TEXT");
	assert_true(part_find_section(root, message, (uint32_t[]){ 1 }, 1, PART_MIME, &got));
	check_str(got, STR("Subject: x\r\n\r\n"), "1.MIME");
	assert_false(part_find_section(root, message, (uint32_t[]){ 2 }, 1, PART_WHOLE, &got));
	assert_false(part_find_section(root, message, (uint32_t[]){ 1, 1 }, 2, PART_WHOLE, &got));
	assert_false(part_find_section(root, message, (uint32_t[]){ 0 }, 1, PART_WHOLE, &got));
	arena_free(arena);
}

static size_t
count_parts(const struct part *part)
{
	const struct part *child;
	size_t n = 1;

	STAILQ_FOREACH(child, &part->children, link)
		n += count_parts(child);
	return n;
}

static void
parts_beyond_the_limit_are_none(void **state)
{
	struct arena *arena = arena_new();
	scoped_buf message = BUF_INIT;
	const struct part *root;

	(void)state;
	buf_put_z(&message, MIXED);
	for (size_t i = 0; i < 100000; i++)
		buf_put_z(&message, "--b\r\n\r\n");
	root = part_parse(arena, buf_str(&message));
	assert_int_equal(count_parts(root), PART_COUNT_MAX);
	assert_int_equal(root->body_size, message.n - root->header_size);
	assert_true(arena_used(arena) < 8 * 1024 * 1024);
	arena_free(arena);
}

static void
nesting_beyond_the_limit_is_opaque(void **state)
{
	struct arena *arena = arena_new();
	scoped_buf message = BUF_INIT;
	const struct part *part;
	size_t depth = 0;

	(void)state;
	for (size_t i = 0; i < 10000; i++)
		buf_printf(&message, "Content-Type: multipart/mixed; boundary=b%zu\r\n\r\n--b%zu\r\n", i, i);
	part = part_parse(arena, buf_str(&message));
	for (; !STAILQ_EMPTY(&part->children); part = STAILQ_FIRST(&part->children))
		depth++;
	assert_int_equal(depth, PART_DEPTH_MAX);
	check_str(part->type, STR("application"), "type");
	arena_reset(arena);
	buf_clear(&message);
	for (size_t i = 0; i < 100000; i++)
		buf_put_z(&message, "Content-Type: message/rfc822\r\n\r\n");
	assert_int_equal(count_parts(part_parse(arena, buf_str(&message))), PART_DEPTH_MAX + 1);
	arena_free(arena);
}

static void
headers_beyond_the_limit_are_not_looked_at(void **state)
{
	struct arena *arena = arena_new();
	scoped_buf message = BUF_INIT;
	const struct part *root;

	(void)state;
	for (size_t i = 0; i < 3 * 1024 * 1024; i += 6)
		buf_put_z(&message, "X: y\r\n");
	buf_put_z(&message, MIXED "--b\r\n\r\n");
	root = part_parse(arena, buf_str(&message));
	assert_int_equal(root->kind, PART_LEAF);
	assert_int_equal(root->header_size, message.n - 7);
	arena_free(arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_become_trees),
		cmocka_unit_test(fields_are_read),
		cmocka_unit_test(sections_are_those_of_the_rfc),
		cmocka_unit_test(a_message_that_is_one_part_has_part_1),
		cmocka_unit_test(parts_beyond_the_limit_are_none),
		cmocka_unit_test(nesting_beyond_the_limit_is_opaque),
		cmocka_unit_test(headers_beyond_the_limit_are_not_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
