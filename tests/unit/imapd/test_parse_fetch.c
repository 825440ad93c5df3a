/* SPDX-License-Identifier: ISC */
/* FETCH: items, macros, sections, modifiers, and what must be refused. */
#include "tests/unit/imapd/parsing.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fetch_takes_simple_items_once),
		TEST(fetch_macros_become_their_items),
		TEST(fetch_sections_are_echoed_as_asked),
		TEST(fetch_of_nonsense_is_refused),
		TEST(fetch_takes_modifiers),
		TEST(fetch_has_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
