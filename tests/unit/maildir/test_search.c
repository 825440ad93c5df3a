/* SPDX-License-Identifier: ISC */
/*
 * SEARCH over messages in memory. Keys are written as clients write them and read by imapd's
 * own parser, so that what is tested is what RFC 3501 6.4.4 says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <iconv.h>

#include "common/mime/casemap.h"
#include "common/mime/date.h"
#include "common/mime/transfer.h"
#include "imapd/parse.h"
#include "maildir/match.h"
#include "tests/unit/maildir/fake_store.h"

static struct mailbox *box;
static struct arena *arena;

static int
set_up(void **state)
{
	(void)state;
	box = fake_new();
	arena = arena_new();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	fake_free(box);
	arena_free(arena);
	return 0;
}

/* ---- asking ---- */

static const struct search_key *
key_of(const char *text)
{
	static struct request req;
	struct lexer lexer = lexer_of(arena, arena_printf(arena, "a SEARCH %s\r\n", text));
	uint32_t last = box->count > 0 ? box->messages[box->count - 1]->row.uid : 0;

	if (parse_head(&lexer, &req) != PARSED || parse_search(&lexer, &req) != PARSED)
		fail_msg("%s: %s", text, lexer.why);
	for (struct search_set *set = req.search.sets; set != NULL; set = set->next)
		set->key->set = sequence_set_resolve(&set->sent, last, arena);
	return req.search.key;
}

/* The sequence numbers found: "1 3 4". */
static struct str
numbers_found(const struct search_key *key)
{
	struct search *search = search_new(box, key, &(struct search_extent){ 0 });
	scoped_buf found = BUF_INIT, out = BUF_INIT;
	bool done = false;
	uint32_t uid;

	while (!done)
		assert_int_equal(search_step(search, &found, &done), STORE_OK);
	search_free(search);
	assert_int_equal(box->open_contents, 0);
	for (size_t i = 0; i < found.n; i += sizeof(uid)) {
		memcpy(&uid, found.p + i, sizeof(uid));
		buf_printf(&out, "%s%u", out.n ? " " : "", mailbox_seq_from_uid(box, uid));
	}
	return arena_str(arena, buf_str(&out));
}

static void
check_found(const char *key, const char *want)
{
	struct str got = numbers_found(key_of(key));

	if (!str_eq(got, str_of(want)))
		fail_msg("%s\n got: %.*s\nwant: %s", key, STR_ARG(got), want);
}

struct question {
	const char *key, *found;
};

static void
check_all(const struct question *questions, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check_found(questions[i].key, questions[i].found);
}

/* ---- messages ---- */

static struct fake_message *
add_text(const char *text)
{
	struct buf bytes = BUF_INIT;

	for (; *text != '\0'; text++) {
		if (*text == '\n')
			buf_put_c(&bytes, '\r');
		buf_put_c(&bytes, *text);
	}
	return fake_add(box, bytes);
}

static void
put_in_charset(struct buf *out, const char *charset, struct str utf8)
{
	iconv_t cd = iconv_open(charset, "UTF-8");
	size_t room = utf8.n * 4 + 64, space = room;
	char *to = buf_room(out, room), *from = (char *)utf8.p;

	assert_true(cd != (iconv_t)-1);
	if (iconv(cd, &from, &utf8.n, &to, &room) == (size_t)-1)
		fail_msg("%s has no such letter: %s", charset, from);
	iconv(cd, NULL, NULL, &to, &room);
	buf_added(out, space - room);
	iconv_close(cd);
}

static void
put_encoded(struct buf *out, const char *encoding, struct str bytes)
{
	switch (transfer_of(str_of(encoding))) {
	case TRANSFER_BASE64:
		transfer_put_base64(out, bytes);
		break;
	case TRANSFER_QUOTED_PRINTABLE:
		transfer_put_quoted_printable(out, bytes);
		break;
	case TRANSFER_IDENTITY:
	case TRANSFER_UNKNOWN:
		buf_put(out, bytes);
		break;
	}
}

static struct fake_message *
add_body(const char *label, const char *charset, const char *encoding, struct str utf8)
{
	struct buf bytes = BUF_INIT;
	scoped_buf converted = BUF_INIT;

	put_in_charset(&converted, charset, utf8);
	buf_put_z(&bytes, "Subject: x\r\nContent-Type: text/plain");
	if (label != NULL)
		buf_printf(&bytes, "; charset=%s", label);
	buf_printf(&bytes, "\r\nContent-Transfer-Encoding: %s\r\n\r\n", encoding);
	put_encoded(&bytes, encoding, buf_str(&converted));
	return fake_add(box, bytes);
}

static void
put_repeated(struct buf *out, const char *text, size_t n)
{
	while (out->n < n)
		buf_put_z(out, text);
}

/* ---- rows ---- */

static const struct question row_questions[] = {
	{ "ALL", "1 2 3 4" },
	{ "SEEN", "1 3" }, { "UNSEEN", "2 4" }, { "DELETED", "3" }, { "UNDELETED", "1 2 4" },
	{ "ANSWERED", "1" }, { "DRAFT", "" }, { "FLAGGED", "4" }, { "UNFLAGGED", "1 2 3" },
	{ "RECENT", "3 4" }, { "NEW", "4" }, { "OLD", "1 2" }, { "NOT OLD", "3 4" },
	{ "KEYWORD $label1", "2 4" }, { "KEYWORD $LABEL1", "2 4" }, { "UNKEYWORD $label1", "1 3" },
	{ "KEYWORD work", "4" }, { "KEYWORD nobody", "" }, { "UNKEYWORD nobody", "1 2 3 4" },
	{ "SEEN DELETED", "3" }, { "OR SEEN FLAGGED", "1 3 4" },
	{ "NOT (SEEN DELETED)", "1 2 4" }, { "NOT NOT SEEN", "1 3" },
	{ "OR (SEEN NOT DELETED) (UNSEEN RECENT)", "1 4" },
	{ "NOT OR SEEN FLAGGED", "2" }, { "ALL NOT ALL", "" },
	{ "UID 20:30", "2 3" }, { "UID 11:19", "" }, { "UID 40,10", "1 4" }, { "UID 20 SEEN", "" },
	{ "UID *", "4" }, { "NOT UID 30:*", "1 2" },
	{ "LARGER 99", "3 4" }, { "LARGER 100", "4" }, { "SMALLER 100", "1 2" },
	{ "SMALLER 101", "1 2 3" }, { "NOT LARGER 100 NOT SMALLER 100", "3" },
};

static void
flags_numbers_and_sizes_need_no_reading(void **state)
{
	static const uint32_t flags[] = { FLAG_SEEN | FLAG_ANSWERED, 0,
		FLAG_SEEN | FLAG_DELETED, FLAG_FLAGGED };

	(void)state;
	box->keywords[box->keyword_count++] = STR("$Label1");
	box->keywords[box->keyword_count++] = STR("Work");
	for (size_t i = 0; i < countof(flags); i++) {
		struct fake_message *m = add_text("\nbody\n");

		m->row.flags = flags[i];
		m->row.recent = i >= 2;
		m->row.keywords = i == 1 ? 1 : i == 3 ? 3 : 0;
		m->row.size = i < 2 ? 99 : 98 + (uint32_t)i;
		m->fault = STORE_BROKEN;
	}
	check_all(row_questions, countof(row_questions));
	for (size_t i = 0; i < countof(flags); i++)
		assert_int_equal(box->messages[i]->header_reads + box->messages[i]->body_reads, 0);
}

static const struct question day_questions[] = {
	/* Internal dates: 1 and 2 are the ends of the 14th, UTC, 3 begins the 15th. */
	{ "ON 14-Jul-2026", "1 2" }, { "ON 15-Jul-2026", "3" }, { "BEFORE 15-Jul-2026", "1 2 4 5" },
	{ "BEFORE 14-Jul-2026", "4 5" }, { "SINCE 15-Jul-2026", "3" },
	{ "SINCE 14-Jul-2026", "1 2 3" }, { "SINCE 16-Jul-2026", "" },
	{ "ON 31-Dec-1969", "5" }, { "NOT SINCE 1-Jan-1970", "5" },
	/* Sent: the day of the sender's calendar; 3 has no Date, 4 one that is none. */
	{ "SENTON 1-Mar-2026", "1" }, { "SENTON 28-Feb-2026", "2" },
	{ "SENTBEFORE 1-Mar-2026", "2 4 5" }, { "SENTSINCE 1-Mar-2026", "1 3" },
	{ "SENTON 15-Jul-2026", "3" }, { "SENTON 1-Jan-1970", "4" },
	{ "SENTBEFORE 2-Mar-2026 SENTSINCE 28-Feb-2026", "1 2" },
};

/* "30 20": the uids in the order in which they are found. */
static void
check_extent(const char *key, struct search_extent extent, const char *want)
{
	struct search *search = search_new(box, key_of(key), &extent);
	scoped_buf found = BUF_INIT, out = BUF_INIT;
	bool done = false;
	uint32_t uid;

	while (!done)
		assert_int_equal(search_step(search, &found, &done), STORE_OK);
	search_free(search);
	for (size_t i = 0; i < found.n; i += sizeof(uid)) {
		memcpy(&uid, found.p + i, sizeof(uid));
		buf_printf(&out, "%s%u", out.n ? " " : "", uid);
	}
	if (!str_eq(buf_str(&out), str_of(want)))
		fail_msg("%s\n got: %.*s\nwant: %s", key, STR_ARG(buf_str(&out)), want);
}

static void
a_search_ends_where_enough_is_found(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++)
		add_text(i % 2 ? "Subject: odd\n\nbody\n" : "Subject: even\n\nbody\n");
	check_extent("ALL", (struct search_extent){ 0 }, "10 20 30 40 50 60");
	check_extent("ALL", (struct search_extent){ .most = 2 }, "10 20");
	check_extent("ALL", (struct search_extent){ .most = 2, .backwards = true }, "60 50");
	check_extent("ALL", (struct search_extent){ .backwards = true }, "60 50 40 30 20 10");
	check_extent("ALL", (struct search_extent){ .above = 40 }, "50 60");
	check_extent("ALL", (struct search_extent){ .above = 45, .most = 1 }, "50");
	check_extent("ALL", (struct search_extent){ .above = 40, .backwards = true }, "60 50");
	check_extent("ALL", (struct search_extent){ .above = 39, .backwards = true }, "60 50 40");
	check_extent("ALL", (struct search_extent){ .above = 60, .backwards = true }, "");
	check_extent("ALL", (struct search_extent){ .above = UINT32_MAX }, "");
	for (size_t i = 0; i < box->count; i++)
		box->messages[i]->header_reads = box->messages[i]->body_reads = 0;
	check_extent("SUBJECT odd", (struct search_extent){ .most = 1 }, "20");
	check_extent("BODY body", (struct search_extent){ .most = 1, .backwards = true }, "60");
	check_extent("SUBJECT even", (struct search_extent){ .backwards = true, .above = 30 }, "50");
	/* And nothing beyond that was read. */
	assert_int_equal(box->messages[1]->header_reads, 1);
	assert_int_equal(box->messages[2]->header_reads, 0);
	assert_int_equal(box->messages[3]->header_reads, 1);
	assert_int_equal(box->messages[4]->body_reads, 0);
	assert_int_equal(box->messages[5]->body_reads, 1);
	box->messages[0]->row.uid = 1;
	box->messages[5]->row.uid = UINT32_MAX;
	check_extent("ALL", (struct search_extent){ .backwards = true }, "4294967295 50 40 30 20 1");
	check_extent("ALL", (struct search_extent){ .above = 50 }, "4294967295");
}

static void
an_interval_is_exact_to_the_second(void **state)
{
	const struct search_extent now = { .now = 1700000000 };

	(void)state;
	add_text("\n")->row.internal_date = now.now - 3601;
	add_text("\n")->row.internal_date = now.now - 3600;
	add_text("\n")->row.internal_date = now.now - 3599;
	add_text("\n")->row.internal_date = now.now + 3600;
	/* RFC 5032 2: both take what is exactly so old. */
	check_extent("OLDER 3600", now, "10 20");
	check_extent("YOUNGER 3600", now, "20 30 40");
	check_extent("YOUNGER 4294967295", now, "10 20 30 40");
	check_extent("OLDER 4294967295", now, "");
	check_extent("OLDER 1 YOUNGER 3600", now, "20 30");
}

static void
days_are_utc_inside_and_the_senders_own_in_date(void **state)
{
	int32_t day;

	(void)state;
	assert_true(date_parse_imap_day(STR("14-Jul-2026"), &day));
	add_text("Date: Sun, 1 Mar 2026 00:30:00 +0900\n\n")->row.internal_date = day * 86400LL;
	add_text("Date: Sat, 28 Feb 2026 23:30:00 -0800\n\n")->row.internal_date =
	    day * 86400LL + 86399;
	add_text("Subject: none\n\n")->row.internal_date = day * 86400LL + 86400;
	add_text("Date: yesterday\n\n")->row.internal_date = 0;
	add_text("Date: 1 Feb 2026 00:00 GMT\nDate: 1 Jul 2026 00:00 GMT\n\n")->row.internal_date = -1;
	check_all(day_questions, countof(day_questions));
}

/* ---- what the store keeps ---- */

#define ID(digit) digit digit digit digit digit digit digit digit digit digit digit \
	digit digit digit digit digit digit digit digit digit digit digit \
	digit digit digit digit digit digit digit digit digit digit digit

static const struct question kept_questions[] = {
	{ "SAVEDON 14-Jul-2026", "1 2" }, { "SAVEDBEFORE 15-Jul-2026", "1 2" }, { "SAVEDSINCE 15-Jul-2026", "3" },
	{ "SAVEDBEFORE 14-Jul-2026", "" }, { "NOT SAVEDON 14-Jul-2026", "3" }, { "SAVEDATESUPPORTED", "1 2 3" },
	{ "EMAILID " ID("a"), "1 3" }, { "EMAILID " ID("A"), "" }, { "EMAILID a", "" },
	{ "THREADID " ID("t"), "1 2" }, { "OR EMAILID " ID("b") " EMAILID " ID("a"), "1 2 3" },
	{ "EMAILID " ID("a") " THREADID " ID("t"), "1" }, { "NOT THREADID " ID("t"), "3" },
	{ "EMAILID " ID("a") " SUBJECT x", "3" }, { "EMAILID " ID("a") " BODY needle", "1" },
	{ "OR EMAILID " ID("b") " BODY needle", "1 2" }, { "SAVEDON 14-Jul-2026 THREADID " ID("t") " TEXT needle", "1" },
};

static void
what_the_store_keeps_is_asked_for_where_it_matters(void **state)
{
	static const char *const texts[] = { "Subject: y\n\nneedle\n", "Subject: y\n\n", "Subject: x\n\n" };
	static const char content[] = "aba", thread[] = "ttu";
	int32_t day;

	(void)state;
	assert_true(date_parse_imap_day(STR("14-Jul-2026"), &day));
	for (size_t i = 0; i < countof(texts); i++) {
		struct fake_message *m = add_text(texts[i]);

		m->saved = day * INT64_C(86400) + (int64_t)i * 43200;
		m->content_digit = content[i];
		m->thread_digit = thread[i];
	}
	check_all(kept_questions, countof(kept_questions));
	/* What its row decides needs no ids, and what the ids decide no body. */
	for (size_t i = 0; i < countof(texts); i++)
		box->messages[i]->fact_reads = box->messages[i]->body_reads = 0;
	check_found("EMAILID " ID("a") " SEEN BODY needle", "");
	assert_int_equal(box->messages[0]->fact_reads, 0);
	check_found("THREADID " ID("u") " BODY needle", "");
	assert_int_equal(box->messages[0]->body_reads, 0);
	/* One that cannot be read has none. */
	box->messages[0]->fault = STORE_GONE;
	check_found("EMAILID " ID("a"), "3");
	check_found("SAVEDON 14-Jul-2026", "2");
}

/* ---- headers ---- */

static const struct question header_questions[] = {
	{ "SUBJECT hello", "1" }, { "SUBJECT \"lo BEAUTIFUL wor\"", "1" }, { "SUBJECT \"\"", "1 2 3 5" },
	{ "SUBJECT \"beautiful  world\"", "" },
	{ "HEADER x-extra \"\"", "2" }, { "HEADER X-Extra \"wide head\"", "2" },
	{ "HEADER X-Extra \"wide\thead\"", "2" }, { "HEADER X-Ext \"\"", "" },
	{ "HEADER X-Extra second", "2" }, { "HEADER X-None \"\"", "2" }, { "HEADER X-None a", "" },
	{ "NOT HEADER x-extra \"\"", "1 3 4 5" },
	{ "SUBJECT \"회의록\"", "3" },		/* EUC-KR */
	{ "SUBJECT \"길동\"", "" },
	{ "FROM \"홍길\"", "3" },
	{ "FROM hong@example.test", "3" }, { "FROM \"<hong@\"", "3" },
	{ "TO \"ann b\"", "1" }, { "TO ann@a.test", "1 4" }, { "TO \"Ann \\\"B\\\" C\"", "4" },
	{ "TO bob@b.test", "1" }, { "CC bob@b.test", "" }, { "CC \"the group\"", "5" },
	{ "CC inner@g.test", "5" }, { "CC \"g.test, other\"", "5" },
	{ "BCC h", "5" }, { "BCC \"@\"", "5" },
	/* RFC 5051: "ü" is "U" and a mark; "ß" has no title case. */
	{ "SUBJECT \"grüß\"", "5" }, { "SUBJECT \"GRÜSS\"", "" },
	{ "SUBJECT \"gru\xcc\x88ß\"", "5" }, { "SUBJECT gru", "5" },
	/* In the order in which each could decide. */
	{ "SUBJECT hello TO bob", "1" }, { "OR SUBJECT hello FROM hong", "1 3" },
	{ "NOT (OR SUBJECT hello FROM hong)", "2 4 5" }, { "SUBJECT hello SUBJECT world", "1" },
	/* TEXT has names of fields, and the header's own line ends. */
	{ "TEXT \"subject: hello\"", "1" }, { "TEXT \"X-Extra\"", "2" }, { "TEXT x-bcc", "" },
	{ "BODY hello", "" }, { "TEXT \"\"", "1 2 3 4 5" }, { "BODY \"\"", "1 2 3 4 5" },
};

static void
header_texts_are_unfolded_and_decoded(void **state)
{
	(void)state;
	add_text("Subject: hello\n beautiful world\nTo: \"Ann B\" <ann@a.test>, bob@b.test\n\n.\n");
	add_text("X-Extra: first\nX-Extra: a wide\n\theader\nX-Extra: second\nX-None:\nSubject:\n\n");
	add_text("Subject: =?euc-kr?B?yLjAxw==?= =?euc-kr?B?t88=?=\n"
	    "From: =?utf-8?B?7ZmN6ri464+Z?= <hong@example.test>\n\n");
	add_text("To: \"Ann \\\"B\\\" C\" <ann (that one) @ a.test>\n\n");
	add_text("Subject: =?iso-8859-1?Q?Gr=FC=DFe?=\nCc: The Group: inner@g.test, other@g.test;\n"
	    "Bcc: h@h.test\n\n");
	check_all(header_questions, countof(header_questions));
}

static void
text_that_is_not_utf8_is_in_no_message(void **state)
{
	struct search_key bad = { .kind = SEARCH_BODY, .text = STR("\xff") };
	struct search_key not = { .kind = SEARCH_NOT, .first = &bad };

	(void)state;
	add_text("Subject: \xff\n\n\xff\n");
	assert_true(str_eq(numbers_found(&bad), STR("")));
	assert_true(str_eq(numbers_found(&not), STR("1")));
	bad.kind = SEARCH_HEADER;
	bad.field = STR("Subject");
	assert_true(str_eq(numbers_found(&bad), STR("")));
	assert_int_equal(box->messages[0]->header_reads, 0);
}

/* ---- bodies ---- */

#define KOREAN "오늘 회의 at Nine\r\n"

static const struct question body_questions[] = {
	{ "BODY \"회의\"", "1 2 3 4 5 9" }, { "BODY \"오늘 회의\"", "1 2 3 4 5 9" },
	{ "BODY \"의 AT n\"", "1 2 3 4 5 9" }, { "TEXT \"의 AT n\"", "1 2 3 4 5 9" },
	/* The same in the letters that a Mac takes syllables apart to. */
	{ "BODY \"\xe1\x84\x92\xe1\x85\xac\xe1\x84\x8b\xe1\x85\xb4\"", "1 2 3 4 5 9" },
	{ "BODY \"日本語\"", "6" },
	{ "BODY \"café\"", "7 8" }, { "BODY \"cafe\xcc\x81\"", "7 8" }, { "BODY \"CAFÉ\"", "7 8" },
	{ "TEXT \"café ol\"", "7 8" }, { "BODY cafe", "7 8" }, { "BODY \"cafe ol\"", "" },
	{ "BODY \"=ED\"", "" }, { "BODY \"$)C\"", "" }, { "BODY \"euc-kr\"", "" },
	{ "NOT BODY \"오늘\"", "6 7 8" },
};

static void
bodies_are_decoded_whatever_their_charset(void **state)
{
	(void)state;
	add_body("euc-kr", "EUC-KR", "base64", STR(KOREAN));
	add_body("utf-8", "UTF-8", "quoted-printable", STR(KOREAN));
	add_body("ks_c_5601-1987", "CP949", "8bit", STR(KOREAN));
	add_body("iso-2022-kr", "ISO-2022-KR", "7bit", STR(KOREAN));
	add_body(NULL, "EUC-KR", "8bit", STR(KOREAN));		/* nothing says so */
	add_body("iso-2022-jp", "ISO-2022-JP", "7bit", STR("x 日本語 y"));
	add_body("iso-8859-1", "ISO-8859-1", "quoted-printable", STR("un café olé"));
	add_body("utf-8", "UTF-8", "base64", STR("un cafe\xcc\x81 ole\xcc\x81"));
	add_body("us-ascii", "UTF-8", "8bit", STR(KOREAN));	/* says what is wrong */
	check_all(body_questions, countof(body_questions));
}

static void
soft_line_breaks_vanish_and_hard_ones_stay(void **state)
{
	(void)state;
	add_body("utf-8", "UTF-8", "quoted-printable", STR("two  words\r\nof \r\nthree"));
	add_text("Content-Transfer-Encoding: quoted-printable\n\ntwo =\nwords\nof=20\nthree\tlines\n");
	check_found("BODY \"two words\"", "2");
	check_found("BODY \"two  words\"", "1");
	check_found("BODY \"words of\"", "");
	check_found("BODY {8}\r\nof \r\nthr", "1 2");
	check_found("BODY \"three lines\"", "");
	check_found("BODY \"three\tlines\"", "2");
}

/* ---- parts ---- */

static const char parts_text[] =
    "Subject: outer\n"
    "Content-Type: multipart/mixed; boundary=b1\n"
    "\n"
    "preamble\n"
    "--b1\n"
    "Content-Type: multipart/alternative; boundary=b2\n"
    "\n"
    "--b2\n"
    "\n"
    "plain text\n"
    "--b2\n"
    "Content-Type: text/html; charset=euc-kr\n"
    "Content-Transfer-Encoding: base64\n"
    "\n"
    "PGI+yKux5rW/PC9iPg==\n"
    "--b2--\n"
    "--b1\n"
    "Content-Type: message/rfc822\n"
    "\n"
    "Subject: =?utf-8?Q?inn=65r?= one\n"
    "Content-Type: multipart/digest; boundary=b3\n"
    "\n"
    "--b3\n"
    "\n"
    "Subject: innermost\n"
    "\n"
    "deep text\n"
    "--b3--\n"
    "--b1\n"
    "Content-Type: application/pdf; name=\"=?utf-8?B?7ZmN?= one.pdf\"\n"
    "Content-Disposition: attachment;\n"
    " filename*0*=utf-8''%EB%B3%B4; filename*1*=%EA%B3%A0%EC%84%9C;\n"
    " filename*2=.pdf\n"
    "Content-Transfer-Encoding: base64\n"
    "\n"
    "c2VjcmV0\n"
    "--b1\n"
    "Content-Type: application/octet-stream\n"
    "\n"
    "octets\n"
    "--b1\n"
    "Content-Type: message/delivery-status\n"
    "\n"
    "Action: failed\n"
    "--b1--\n"
    "epilogue\n";

static const struct question part_questions[] = {
	{ "BODY \"plain text\"", "1" }, { "BODY \"홍길동\"", "1" }, { "BODY \"<b>홍\"", "1" },
	{ "BODY \"deep text\"", "1" }, { "BODY \"Action: failed\"", "1" },
	{ "TEXT \"deep text\"", "1" }, { "TEXT outer", "1" }, { "BODY outer", "" },
	/* Headers within belong to TEXT alone, names of attachments too. */
	{ "TEXT \"Subject: inner one\"", "1" }, { "BODY \"inner one\"", "" },
	{ "TEXT innermost", "1" }, { "BODY innermost", "" }, { "SUBJECT inner", "" },
	{ "TEXT \"보고서.pdf\"", "1" }, { "TEXT \"홍 one.pdf\"", "1" }, { "BODY pdf", "" },
	/* Other kinds of parts, and what is none. */
	{ "TEXT secret", "" }, { "TEXT octets", "" }, { "TEXT preamble", "" }, { "TEXT epilogue", "" },
	/* No match lies across parts. */
	{ "BODY {14}\r\nplain text\r\n<b", "" },
	{ "BODY text BODY deep TEXT inner NOT BODY innermost", "1" },
	{ "OR BODY nothing TEXT innermost", "1" }, { "NOT OR BODY nothing BODY secret", "1" },
};

static void
parts_are_looked_through_at_any_depth(void **state)
{
	(void)state;
	add_text(parts_text);
	check_all(part_questions, countof(part_questions));
}

/* ---- borders of pieces ---- */

static void
check_across(const char *label, const char *charset, const char *encoding, const char *filler,
    size_t at, const char *hidden, const char *key)
{
	scoped_buf text = BUF_INIT;
	struct fake_message *m;

	put_repeated(&text, filler, at);
	buf_put_z(&text, hidden);
	put_repeated(&text, filler, at + 3 * MATCH_PIECE);
	m = add_body(label, charset, encoding, buf_str(&text));
	if (numbers_found(key_of(key)).n == 0)
		fail_msg("%s %s, %s at %zu", charset, encoding, key, at);
	box->count--;
	buf_free(&m->bytes);
	free(m);
}

static void
a_match_may_lie_across_pieces(void **state)
{
	(void)state;
	for (size_t at = MATCH_PIECE - 24; at < MATCH_PIECE + 4; at++) {
		check_across("utf-8", "UTF-8", "8bit", ".", at, "Needle in it", "BODY \"needle IN\"");
		check_across("utf-8", "UTF-8", "8bit", ".", at, "e\xcc\x81", "BODY \"é\"");
		check_across("utf-8", "UTF-8", "quoted-printable", ".\r\n", at, "바늘", "BODY \"바늘\"");
		check_across(NULL, "EUC-KR", "8bit", "가", at, "바늘", "TEXT \"바늘\"");
		check_across("utf-8", "UTF-8", "8bit", "나", at, "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab",
		    "BODY \"한\"");
		check_across("utf-16", "UTF-16LE", "8bit", "가", at * 2 / 3, "바늘", "BODY \"바늘\"");
	}
	for (size_t at = MATCH_PIECE / 4 * 3 - 16; at < MATCH_PIECE / 4 * 3 + 4; at++) {
		check_across("iso-2022-jp", "ISO-2022-JP", "base64", "日", at, "本語", "BODY \"本語\"");
		check_across("koi8-r", "KOI8-R", "base64", ".", at, "Иголка", "BODY \"иголкА\"");
	}
}

static void
a_key_may_be_longer_than_a_piece(void **state)
{
	scoped_buf text = BUF_INIT, key = BUF_INIT;

	(void)state;
	put_repeated(&text, "0123456789 abcdef ", 100 * 1000);
	buf_printf(&key, "BODY {%d}\r\n%.*s", 60 * 1000, 60 * 1000, text.p + 7);
	add_body("utf-8", "UTF-8", "base64", buf_str(&text));
	check_found(buf_z(&key), "1");
	buf_put_z(&text, "x");
	key.p[key.n - 1] = 'x';
	check_found(buf_z(&key), "");
}

/* ---- the work ---- */

static void
nothing_is_read_that_does_not_matter(void **state)
{
	struct fake_message *m = add_text("Subject: a\n\nbody\n");

	(void)state;
	check_found("BODY body SUBJECT a SEEN", "");
	check_found("OR UNSEEN BODY body", "1");
	check_found("OR (SUBJECT a SEEN) ALL", "1");
	assert_int_equal(m->header_reads, 0);
	check_found("BODY body SUBJECT b", "");
	check_found("OR BODY body SUBJECT a", "1");
	check_found("TEXT subject", "1");
	assert_int_equal(m->header_reads, 3);
	assert_int_equal(m->body_reads, 0);
	check_found("OR (SUBJECT a SEEN) BODY body", "1");
	assert_int_equal(m->header_reads, 3);
	assert_int_equal(m->body_reads, 1);
	check_found("TEXT body BODY BO NOT BODY none", "1");
	assert_int_equal(m->body_reads, 2);
}

static void
what_cannot_be_read_is_not_found(void **state)
{
	struct search *search;
	scoped_buf found = BUF_INIT;
	bool done;

	(void)state;
	add_text("Subject: a\n\nbody\n")->fault = STORE_GONE;
	add_text("Subject: a\n\nbody\n");
	add_text("Subject: a\n\nbody\n")->fault = STORE_BROKEN;
	check_found("NOT BODY none", "2");
	check_found("NOT SUBJECT none", "2");
	check_found("ALL", "1 2 3");
	box->messages[2]->fault = STORE_BUSY;
	search = search_new(box, key_of("BODY body"), &(struct search_extent){ 0 });
	assert_int_equal(search_step(search, &found, &done), STORE_BUSY);
	/* Where the index is at fault, nothing is said of the message. */
	box->messages[2]->fault = STORE_BROKEN;
	box->in_doubt = true;
	assert_int_equal(search_step(search, &found, &done), STORE_BROKEN);
	box->messages[2]->fault = STORE_OK;
	assert_int_equal(search_step(search, &found, &done), STORE_OK);
	assert_true(done);
	assert_int_equal(found.n, 2 * sizeof(uint32_t));
	search_free(search);
}

static void
a_slice_ends_within_a_large_message(void **state)
{
	scoped_buf text = BUF_INIT, found = BUF_INIT;
	struct search *search;
	bool done = false;
	size_t steps = 0;

	(void)state;
	put_repeated(&text, "긴 글입니다. ", 8 * 1000 * 1000);
	buf_put_z(&text, "끝");
	add_body("utf-8", "UTF-8", "8bit", buf_str(&text));
	add_text("\n끝\n");
	search = search_new(box, key_of("BODY \"끝\""), &(struct search_extent){ 0 });
	for (; !done; steps++)
		assert_int_equal(search_step(search, &found, &done), STORE_OK);
	assert_true(steps > 2);
	assert_int_equal(found.n, 2 * sizeof(uint32_t));
	assert_int_equal(box->messages[0]->body_reads, 1);
	search_free(search);
	search = search_new(box, key_of("BODY \"끝\""), &(struct search_extent){ 0 });
	assert_int_equal(search_step(search, &found, &done), STORE_OK);
	assert_false(done);
	assert_int_equal(box->open_contents, 1);
	search_free(search);
	assert_int_equal(box->open_contents, 0);
	search_free(NULL);
}

/* ---- against a simple search ---- */

static const struct language {
	const char *label, *charset, *encoding, *words;
} languages[] = {
	{ "euc-kr", "EUC-KR", "base64", "가나다 회의 일정 Seoul 안내 드립니다. 2026" },
	{ "iso-2022-kr", "ISO-2022-KR", "7bit", "가나다 회의 abc\r\n 일정 안내 드립니다." },
	{ "utf-8", "UTF-8", "quoted-printable", "회의 Straße \xe1\x84\x92\xe1\x85\xa1 e\xcc\x81t é ΣΑΣ ﬁn" },
	{ "iso-2022-jp", "ISO-2022-JP", "7bit", "会議 のお知らせ Tokyo カタカナ ひらがな" },
	{ "shift_jis", "SHIFT_JIS", "quoted-printable", "会議 のお知らせ Tokyo カタカナ 表示" },
	{ "euc-jp", "EUC-JP", "8bit", "会議 のお知らせ Tokyo カタカナ ひらがな" },
	{ "gb2312", "GB2312", "base64", "会议 通知 北京 Beijing 安排 如下" },
	{ "big5", "BIG5", "base64", "會議 通知 台北 Taipei 許功蓋 如下" },
	{ "koi8-r", "KOI8-R", "quoted-printable", "Встреча в Москве Moscow завтра УТРОМ" },
	{ "windows-1251", "CP1251", "8bit", "Встреча в Москве Moscow завтра УТРОМ" },
	{ "iso-8859-1", "ISO-8859-1", "quoted-printable", "Grüße über Straße Ärger ÀÉÎ ñandú" },
	{ "iso-8859-7", "ISO-8859-7", "base64", "Καλημέρα ΑΘΗΝΑ Athens αύριο ΣΑΣ" },
	{ "utf-16", "UTF-16", "base64", "회의 meeting 会議 Grüße 😀 emoji" },
};

/* Not random, so that a failure comes back. */
static size_t
below(size_t n)
{
	static uint64_t state = 88172645463325252;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (size_t)(state % n);
}

static void
put_sentence(struct buf *out, const char *words, size_t count)
{
	struct str all[32], rest = str_of(words);
	size_t n = 0;

	while (n < countof(all) && str_word(&rest, &all[n]))
		n++;
	for (size_t i = 0; i < count; i++) {
		buf_put(out, all[below(n)]);
		buf_put_z(out, below(12) == 0 ? "\r\n" : below(4) == 0 ? "" : " ");
	}
}

/* Some characters of it, from anywhere; no quotes, line ends or NULs in between. */
static struct str
piece_of(struct str text)
{
	size_t from = below(text.n), n = 1 + below(30);

	while (from > 0 && ((unsigned char)text.p[from] & 0xC0) == 0x80)
		from--;
	while (from + n < text.n && ((unsigned char)text.p[from + n] & 0xC0) == 0x80)
		n++;
	text = str_sub(text, from, n);
	return str_sub(text, 0, str_index(text, '\r'));
}

enum { ROUNDS = 20, KEYS = 40 };

static void
add_in_all_languages(struct buf *texts, struct buf *folded)
{
	for (size_t i = 0; i < ROUNDS * countof(languages); i++) {
		const struct language *l = &languages[i % countof(languages)];

		put_sentence(&texts[i], l->words, 1 + below(i % 15 == 0 ? 8000 : 60));
		casemap_put(&folded[i], buf_str(&texts[i]));
		add_body(l->label, l->charset, l->encoding, buf_str(&texts[i]));
	}
}

static struct str
numbers_simply_found(const struct buf *folded, size_t count, struct str text)
{
	scoped_buf key = BUF_INIT, out = BUF_INIT;

	casemap_put(&key, text);
	for (size_t i = 0; i < count; i++)
		if (key.n == 0 || str_find(buf_str(&folded[i]), buf_str(&key)) < folded[i].n)
			buf_printf(&out, "%s%zu", out.n ? " " : "", i + 1);
	return arena_str(arena, buf_str(&out));
}

static void
it_finds_what_a_simple_search_finds(void **state)
{
	struct buf texts[ROUNDS * countof(languages)] = { 0 };
	struct buf folded[countof(texts)] = { 0 };

	(void)state;
	add_in_all_languages(texts, folded);
	for (size_t k = 0; k < KEYS; k++) {
		struct str text = piece_of(buf_str(&texts[below(countof(texts))]));
		struct search_key key = { .kind = SEARCH_BODY, .text = text };
		struct str want = numbers_simply_found(folded, countof(texts), text);
		struct str got = numbers_found(&key);

		if (!str_eq(got, want))
			fail_msg("\"%.*s\"\n got: %.*s\nwant: %.*s", STR_ARG(text), STR_ARG(got),
			    STR_ARG(want));
	}
	for (size_t i = 0; i < countof(texts); i++) {
		buf_free(&texts[i]);
		buf_free(&folded[i]);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(flags_numbers_and_sizes_need_no_reading),
		TEST(a_search_ends_where_enough_is_found),
		TEST(an_interval_is_exact_to_the_second),
		TEST(days_are_utc_inside_and_the_senders_own_in_date),
		TEST(what_the_store_keeps_is_asked_for_where_it_matters),
		TEST(header_texts_are_unfolded_and_decoded),
		TEST(text_that_is_not_utf8_is_in_no_message),
		TEST(bodies_are_decoded_whatever_their_charset),
		TEST(soft_line_breaks_vanish_and_hard_ones_stay),
		TEST(parts_are_looked_through_at_any_depth),
		TEST(a_match_may_lie_across_pieces),
		TEST(a_key_may_be_longer_than_a_piece),
		TEST(nothing_is_read_that_does_not_matter),
		TEST(what_cannot_be_read_is_not_found),
		TEST(a_slice_ends_within_a_large_message),
		TEST(it_finds_what_a_simple_search_finds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
