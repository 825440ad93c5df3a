/* SPDX-License-Identifier: ISC */
/* SEARCH for text (RFC 3501 6.4.4): whatever its charset, encoding and part, and wherever a match lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/mime/casemap.h"
#include "maildir/match.h"
#include "tests/unit/maildir/asking.h"
#include "tests/unit/maildir/sentences.h"

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

		put_words(&texts[i], l->words, 1 + below(i % 15 == 0 ? 8000 : 60));
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

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(text_that_is_not_utf8_is_in_no_message),
		TEST(bodies_are_decoded_whatever_their_charset),
		TEST(soft_line_breaks_vanish_and_hard_ones_stay),
		TEST(parts_are_looked_through_at_any_depth),
		TEST(a_match_may_lie_across_pieces),
		TEST(a_key_may_be_longer_than_a_piece),
		TEST(it_finds_what_a_simple_search_finds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
