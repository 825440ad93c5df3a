/* SPDX-License-Identifier: ISC */
/* RFC 2045 6.2, 6.7, 6.8, RFC 2046 4.1.2, RFC 2047 2 to 5, 4.1, 4.2, 6.1 to 6.3, 8, RFC 2231 3, 4, 4.1, 5, 7. */
/* Encoded words, parameters, transfer encodings, charsets, base subjects. */
#include "tests/unit/mime/test.h"

#include <errno.h>
#include <iconv.h>

#include "common/base/arena.h"
#include "common/mime/charset.h"
#include "common/mime/param.h"
#include "common/mime/subject.h"
#include "common/mime/transfer.h"
#include "common/mime/word.h"

static const struct {
	const char *value, *want;
} words[] = {
	{ "plain", "plain" },
	{ "folded\r\n\tline", "folded\tline" },
	/* RFC 2047 8. */
	{ "=?ISO-8859-1?Q?a?=", "a" },
	{ "=?ISO-8859-1?Q?a?= b", "a b" },
	{ "=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab" },
	{ "=?ISO-8859-1?Q?a?=  \r\n  =?ISO-8859-1?Q?b?=", "ab" },
	{ "=?ISO-8859-1?Q?a_b?=", "a b" },
	{ "=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b" },
	{ "=?ISO-8859-1?Q?Andr=E9?= Pirard", "André Pirard" },
	/* Korean, as it comes. */
	{ "=?EUC-KR?B?yKux5rW/?=", "홍길동" },
	{ "=?ks_c_5601-1987?B?yKux5rW/?=", "홍길동" },
	{ "=?utf-8?B?7ZmN6ri464+Z?=", "홍길동" },
	{ "=?UTF-8?Q?=ED=99=8D=EA=B8=B8=EB=8F=99?=", "홍길동" },
	{ "=?utf-8*ko?B?7ZmN6ri464+Z?=", "홍길동" },
	{ "\xc8\xab\xb1\xe6\xb5\xbf", "홍길동" },
	{ "홍길동", "홍길동" },
	{ "=?EUC-KR?Q?=C8?= =?euc-kr?Q?=AB?=", "홍" },
	{ "=?utf-8?B?7ZmN6g==?=\r\n =?utf-8?B?uLjrj5k=?=", "홍길동" },
	{ "=?cp949?B?jGE=?=", "똞" },
	{ "=?ISO-2022-KR?B?GyQpQw4/QDB6Dw==?=", "오과" },
	/* Forgiven. */
	{ "\"=?utf-8?Q?a?=\"", "\"a\"" },
	{ "x=?utf-8?Q?a?=y", "xay" },
	{ "=?utf-8?Q?a b c?=", "a b c" },
	{ "=?utf-8?q?a=?=", "a=" },
	{ "=?utf-8?q?=ZZ?=", "=ZZ" },
	{ "=?utf-8?B?YQ?=", "a" },
	{ "=?utf-8?Q?" "?=", "" },
	{ "=?unknown-x?Q?caf=E9?=", "caf\xef\xbf\xbd" },
	{ "=?utf-8?Q?caf=E9?=", "caf\xef\xbf\xbd" },
	{ "=?utf-8?X?a?=", "=?utf-8?X?a?=" },
	{ "=?utf-8?Q?never ends", "=?utf-8?Q?never ends" },
	{ "=?", "=?" },
	{ "=?" "?Q?a?=", "=?" "?Q?a?=" },
	{ "=?utf-8?Q", "=?utf-8?Q" },
};

static void
encoded_words_become_utf8(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(words); i++) {
		scoped_buf out = BUF_INIT;

		word_put_utf8(&out, str_of(words[i].value));
		check_str(buf_str(&out), str_of(words[i].want), words[i].value);
	}
}

static void
encoding_makes_short_lines_that_decode_to_the_same(void **state)
{
	scoped_buf text = BUF_INIT;

	(void)state;
	for (size_t n = 0; n < 60; n++) {
		scoped_buf encoded = BUF_INIT, again = BUF_INIT;
		struct str rest, line;

		buf_put_z(&text, n % 3 ? "한" : "a");
		word_put_encoded(&encoded, buf_str(&text), n * 2);
		rest = buf_str(&encoded);
		for (bool first = true; str_cut(&rest, '\n', &line); first = false)
			assert_true(str_trim(line).n + (first ? n * 2 : 1) <= 76 || line.n <= 1);
		word_put_utf8(&again, buf_str(&encoded));
		check_str(str_trim(buf_str(&again)), buf_str(&text), "again");
	}
}

static void
encoding_lets_no_line_end_out(void **state)
{
	scoped_buf out = BUF_INIT;

	(void)state;
	word_put_encoded(&out, STR("a\r\nBcc: b\0c"), 9);
	check_str(buf_str(&out), STR("a  Bcc: b c"), "controls");
	buf_clear(&out);
	word_put_encoded(&out, STR("=?utf-8?q?x?="), 9);
	assert_true(str_starts(buf_str(&out), STR("=?UTF-8?B?")));
}

/* "name=value" lines as parsed, then what name decodes to. */
static const struct {
	const char *text, *want, *name, *utf8;
} params[] = {
	{ "; charset=us-ascii", "charset=us-ascii\n", "charset", "us-ascii" },
	{ ";CHARSET = \"utf-8\" (comment) ; Format=flowed", "charset=utf-8\nformat=flowed\n",
	    "format", "flowed" },
	{ "; name=\"a;b\\\"c\"", "name=a;b\"c\n", "name", "a;b\"c" },
	{ ";; a=b;;c=d;", "a=b\nc=d\n", "c", "d" },
	{ "; name=a b.doc", "name=a b.doc\n", "name", "a b.doc" },
	{ "; lonely; a=b", "a=b\n", "lonely", NULL },
	{ "; a=\"\"", "a=\n", "a", "" },
	{ "; =x; a", "", "a", NULL },
	{ " boundary=\"x\" charset=y", "boundary=x\ncharset=y\n", "charset", "y" },
	/* RFC 2231 3, 4, 4.1. */
	{ "; URL*0=\"ftp://\";\r\n URL*1=\"cs.utk.edu/pub\"", "url=ftp://cs.utk.edu/pub\n", "url",
	    "ftp://cs.utk.edu/pub" },
	{ "; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
	    "title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A\n", "title", "This is ***fun***" },
	{ "; title*0*=us-ascii'en'This%20is%20even%20more%20;\r\n title*1*=%2A%2A%2Afun%2A%2A%2A%20;"
	    "\r\n title*2=\"isn't it!\"",
	    "title*=us-ascii'en'This%20is%20even%20more%20%2A%2A%2Afun%2A%2A%2A%20isn%27t%20it!\n",
	    "title", "This is even more ***fun*** isn't it!" },
	{ "; f*1=b; x=y; f*0=a; f*3=d", "f=ab\nx=y\nf=d\n", "f", "ab" },
	{ "; filename*=euc-kr''%C8%AB%B1%E6%B5%BF.hwp; filename=x.hwp",
	    "filename*=euc-kr''%C8%AB%B1%E6%B5%BF.hwp\nfilename=x.hwp\n", "filename", "홍길동.hwp" },
	{ "; filename*0*=UTF-8''%ED%99%8D%EA; filename*1*=%B8%B8.hwp",
	    "filename*=UTF-8''%ED%99%8D%EA%B8%B8.hwp\n", "filename", "홍길.hwp" },
	{ "; filename=\"=?EUC-KR?B?yKux5rW/?=.hwp\"", "filename==?EUC-KR?B?yKux5rW/?=.hwp\n",
	    "filename", "홍길동.hwp" },
	{ "; filename=\"\xc8\xab\xb1\xe6\xb5\xbf.hwp\"", "filename=\xc8\xab\xb1\xe6\xb5\xbf.hwp\n",
	    "filename", "홍길동.hwp" },
	{ "; filename*=no-quotes%20here", "filename*=no-quotes%20here\n", "filename",
	    "no-quotes here" },
	{ "; *=x; *0=y", "*=x\n*0=y\n", "filename", NULL },
};

static void
parameters_are_joined_and_decoded(void **state)
{
	struct arena *arena = arena_new();

	(void)state;
	for (size_t i = 0; i < countof(params); i++) {
		scoped_buf out = BUF_INIT, utf8 = BUF_INIT;
		struct param_list list;
		struct param *param;
		bool is;

		param_parse(arena, str_of(params[i].text), &list);
		STAILQ_FOREACH(param, &list, link) {
			buf_put(&out, param->name);
			buf_put_c(&out, '=');
			buf_put(&out, param->value);
			buf_put_c(&out, '\n');
		}
		check_str(buf_str(&out), str_of(params[i].want), params[i].text);
		is = param_put_utf8(&utf8, &list, str_of(params[i].name));
		assert_int_equal(is, params[i].utf8 != NULL);
		check_str(buf_str(&utf8), str_of(params[i].utf8), params[i].text);
	}
	arena_free(arena);
}

static const struct {
	enum transfer_encoding encoding;
	struct str in, want;
} transfers[] = {
	{ TRANSFER_IDENTITY, STR("a\r\n=41"), STR("a\r\n=41") },
	{ TRANSFER_BASE64, STR("7ZmN\r\n6ri4\r\n"), STR("홍길") },
	{ TRANSFER_BASE64, STR("YQ==YWI=YWJj"), STR("aababc") },
	{ TRANSFER_BASE64, STR("Y W!I"), STR("ab") },
	{ TRANSFER_BASE64, STR("YWJj-- \r\nAAA="), STR("abc\0\0") },
	{ TRANSFER_BASE64, STR("Y"), STR("") },
	{ TRANSFER_BASE64, STR(""), STR("") },
	{ TRANSFER_QUOTED_PRINTABLE, STR("=ED=99=8d ok"), STR("홍 ok") },
	{ TRANSFER_QUOTED_PRINTABLE, STR("a=\r\nb=\nc= \t\r\nd"), STR("abcd") },
	{ TRANSFER_QUOTED_PRINTABLE, STR("a \t\r\nb \n"), STR("a\r\nb\n") },
	{ TRANSFER_QUOTED_PRINTABLE, STR("a  b"), STR("a  b") },
	{ TRANSFER_QUOTED_PRINTABLE, STR("x=ZZ =4 =4\r\n=="), STR("x=ZZ =4 =4\r\n=") },
	{ TRANSFER_QUOTED_PRINTABLE, STR("a\rb"), STR("a\rb") },
	{ TRANSFER_QUOTED_PRINTABLE, STR("a="), STR("a") },
	{ TRANSFER_QUOTED_PRINTABLE, STR("a=4"), STR("a=4") },
	{ TRANSFER_QUOTED_PRINTABLE, STR("a \r\r\nb"), STR("a \r\r\nb") },
	{ TRANSFER_UNKNOWN, STR("begin 644"), STR("begin 644") },
};

static void
transfer_encodings_decode_in_any_pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(transfers); i++) {
		for (size_t step = 1; step < 5; step++) {
			struct transfer t = { .encoding = transfers[i].encoding };
			scoped_buf out = BUF_INIT;

			for (size_t at = 0; at < transfers[i].in.n; at += step)
				transfer_feed(&t, &out, str_sub(transfers[i].in, at, step));
			transfer_end(&t, &out);
			check_str(buf_str(&out), transfers[i].want, transfers[i].in.p);
		}
	}
	assert_int_equal(transfer_of(STR(" BASE64 ")), TRANSFER_BASE64);
	assert_int_equal(transfer_of(STR("Quoted-Printable")), TRANSFER_QUOTED_PRINTABLE);
	assert_int_equal(transfer_of(STR("8bit")), TRANSFER_IDENTITY);
	assert_int_equal(transfer_of(STR("x-uuencode")), TRANSFER_UNKNOWN);
}

static void
blanks_without_end_do_not_pile_up(void **state)
{
	struct transfer t = { .encoding = TRANSFER_QUOTED_PRINTABLE };
	struct buf out = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < 100000; i++) {
		transfer_feed(&t, &out, STR(" "));
		assert_true(t.pending.n <= 1000);
	}
	transfer_end(&t, &out);
	buf_free(&out);
}

static void
encoders_write_lines_that_mail_carries(void **state)
{
	scoped_buf out = BUF_INIT;

	(void)state;
	transfer_put_quoted_printable(&out, STR(".\nFrom me\r\ntrailing \nx=y\r\n한\na\rb"));
	check_str(buf_str(&out), STR("=2E\r\n=46rom me\r\ntrailing=20\r\nx=3Dy\r\n=ED=95=9C\r\na=0Db"),
	    "quoted-printable");
	buf_clear(&out);
	transfer_put_quoted_printable(&out, STR("0123456789012345678901234567890123456789"
	    "012345678901234567890123456789012345\n0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456"));
	check_str(buf_str(&out), STR("0123456789012345678901234567890123456789"
	    "012345678901234567890123456789012345\r\n0123456789012345678901234567890123456789"
	    "01234567890123456789012345678901234=\r\n56"), "soft breaks");
	buf_clear(&out);
	transfer_put_base64(&out, STR("0123456789012345678901234567890123456789012345678901234567"));
	check_str(buf_str(&out), STR("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3"
	    "ODkwMTIzNDU2\r\nNw==\r\n"), "base64");
}

static const struct {
	const char *charset;
	struct str in;
	const char *want;
} charsets[] = {
	{ "EUC-KR", STR("\xc8\xab\xb1\xe6\xb5\xbf"), "홍길동" },
	{ "ks_c_5601-1987", STR("\xc8\xab\x8c\x61"), "홍똞" },
	{ "KS_C_5601-1989", STR("\xc8\xab"), "홍" },
	{ "x-windows-949", STR("\xc8\xab"), "홍" },
	{ "Shift_JIS", STR("\x93\xfa\x96\x7b"), "日本" },
	{ "iso-2022-jp", STR("\x1b$BF|K\\\x1b(B"), "日本" },
	{ "gb2312", STR("\xd6\xd0\xb9\xfa"), "中国" },
	{ "big5", STR("\xa4\xa4"), "中" },
	{ "iso-8859-1", STR("caf\xe9 \x93x\x94"), "café “x”" },
	{ "koi8-r", STR("\xcd\xc9\xd2"), "мир" },
	{ "utf-7", STR("+1k2uOA-"), "홍길" },
	{ "UTF-16", STR("\xfe\xff\xd5\x4d"), "\xed\x95\x8d" },
	{ "us-ascii", STR("\xc8\xab\xb1\xe6"), "홍길" },
	{ "us-ascii", STR("plain"), "plain" },
	{ "", STR("홍"), "홍" },
	{ "no-such-charset", STR("a\xff" "b"), "a\xef\xbf\xbd" "b" },
	{ "/etc/passwd", STR("a"), "a" },
	{ "utf-8", STR("a\xed\x99" "b\xff"), "a\xef\xbf\xbd\xef\xbf\xbd" "b\xef\xbf\xbd" },
	{ "euc-kr", STR("\xc8\xab\xff\xb1\xe6\xb5"), "홍\xef\xbf\xbd길\xef\xbf\xbd" },
};

static void
charsets_become_utf8(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(charsets); i++) {
		struct charset_reader *reader = charset_reader_new(str_of(charsets[i].charset));
		scoped_buf out = BUF_INIT, pieces = BUF_INIT;

		charset_put_utf8(&out, str_of(charsets[i].charset), charsets[i].in);
		check_str(buf_str(&out), str_of(charsets[i].want), charsets[i].charset);
		for (size_t at = 0; at < charsets[i].in.n; at++)
			charset_reader_feed(reader, &pieces, str_sub(charsets[i].in, at, 1));
		charset_reader_end(reader, &pieces);
		charset_reader_free(reader);
		if (charset_known(str_of(charsets[i].charset)) &&
		    !str_eq_nocase(str_of(charsets[i].charset), STR("us-ascii")))
			check_str(buf_str(&pieces), buf_str(&out), charsets[i].charset);
	}
	assert_true(charset_known(STR("UTF-8")));
	assert_true(charset_known(STR("us-ascii")));
	assert_false(charset_known(STR("klingon")));
	assert_false(charset_known(STR("")));
}

/* What iconv makes of it, and U+FFFD for each byte that it does not take. */
static void
put_by_iconv(struct buf *out, const char *charset, struct str bytes)
{
	iconv_t cd = iconv_open("UTF-8", charset);
	char room[4096], *to = room, *from = (char *)(uintptr_t)bytes.p;
	size_t left = sizeof(room);

	assert_true(cd != (iconv_t)-1);
	while (bytes.n > 0 && iconv(cd, &from, &bytes.n, &to, &left) == (size_t)-1) {
		assert_int_equal(errno, EILSEQ);
		memcpy(to, "\xef\xbf\xbd", 3);
		to += 3;
		left -= 3;
		from++;
		bytes.n--;
	}
	iconv(cd, NULL, NULL, &to, &left);
	buf_put(out, (struct str){ room, sizeof(room) - left });
	iconv_close(cd);
}

/* Tables stand for most of them: they say the same of every byte. */
static void
charsets_of_single_bytes_are_read_as_by_iconv(void **state)
{
	static const char *const names[][2] = { { "latin1", "CP1252" }, { "iso-8859-3", "ISO-8859-3" },
	    { "koi8-r", "KOI8-R" }, { "windows-1255", "CP1255" }, { "windows-1258", "CP1258" },
	    { "tis-620", "CP874" }, { "macintosh", "MACINTOSH" }, { "viscii", "VISCII" }, { "tcvn", "TCVN" } };
	char bytes[2 * 256];

	(void)state;
	for (size_t i = 0; i < 256; i++) {
		bytes[i] = (char)i;
		bytes[256 + i] = (char)(255 - i);
	}
	for (size_t i = 0; i < countof(names); i++) {
		struct str in = { bytes, sizeof(bytes) };
		scoped_buf ours = BUF_INIT, theirs = BUF_INIT;

		charset_put_utf8(&ours, str_of(names[i][0]), in);
		put_by_iconv(&theirs, names[i][1], in);
		check_str(buf_str(&ours), buf_str(&theirs), names[i][0]);
	}
}

static void
every_charset_of_the_table_can_be_loaded(void **state)
{
	static const char *const names[] = { "johab", "euc-jp", "euc-tw", "viscii", "macintosh",
	    "windows-1258", "tis-620", "utf-32", "armscii-8", "iso-8859-16", "cp866" };

	(void)state;
	charset_preload();
	for (size_t i = 0; i < countof(names); i++)
		assert_true(charset_known(str_of(names[i])));
}

static const struct {
	const char *value, *want;
	enum subject_kind kind;
} subjects[] = {
	{ "hello", "hello", SUBJECT_PLAIN },
	{ "Re: hello", "hello", SUBJECT_REPLY_OR_FORWARD },
	{ "RE : re: Fwd: FW:  hello  (fwd) (FWD) ", "hello", SUBJECT_REPLY_OR_FORWARD },
	{ "[list] hello", "hello", SUBJECT_PLAIN },
	{ "[list] Re: [list] [x] hello", "hello", SUBJECT_REPLY_OR_FORWARD },
	{ "Re[2]: hello", "hello", SUBJECT_REPLY_OR_FORWARD },
	{ "[a] [b]", "[b]", SUBJECT_PLAIN },
	{ "[a]", "[a]", SUBJECT_PLAIN },
	{ "Re: [a]", "[a]", SUBJECT_REPLY_OR_FORWARD },
	{ "[fwd: [x] Re: hello]", "hello", SUBJECT_REPLY_OR_FORWARD },
	{ "[FWD: hello]", "hello", SUBJECT_REPLY_OR_FORWARD },
	{ "[fwd:]", "", SUBJECT_REPLY_OR_FORWARD },
	{ "Re: a\t b\r\n   c", "a b c", SUBJECT_REPLY_OR_FORWARD },
	{ "=?EUC-KR?B?yKux5rW/?= (fwd)", "홍길동", SUBJECT_REPLY_OR_FORWARD },
	{ "Re:", "", SUBJECT_REPLY_OR_FORWARD },
	{ "", "", SUBJECT_PLAIN },
	{ "report: x", "report: x", SUBJECT_PLAIN },
	{ "[open hello", "[open hello", SUBJECT_PLAIN },
	{ "(fwd)", "", SUBJECT_REPLY_OR_FORWARD },
};

static void
base_subjects_lose_their_artifacts(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(subjects); i++) {
		scoped_buf out = BUF_INIT;
		enum subject_kind kind = subject_put_base(&out, str_of(subjects[i].value));

		check_str(buf_str(&out), str_of(subjects[i].want), subjects[i].value);
		assert_int_equal(kind, subjects[i].kind);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encoded_words_become_utf8),
		cmocka_unit_test(encoding_makes_short_lines_that_decode_to_the_same),
		cmocka_unit_test(encoding_lets_no_line_end_out),
		cmocka_unit_test(parameters_are_joined_and_decoded),
		cmocka_unit_test(transfer_encodings_decode_in_any_pieces),
		cmocka_unit_test(blanks_without_end_do_not_pile_up),
		cmocka_unit_test(encoders_write_lines_that_mail_carries),
		cmocka_unit_test(charsets_become_utf8),
		cmocka_unit_test(charsets_of_single_bytes_are_read_as_by_iconv),
		cmocka_unit_test(every_charset_of_the_table_can_be_loaded),
		cmocka_unit_test(base_subjects_lose_their_artifacts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
