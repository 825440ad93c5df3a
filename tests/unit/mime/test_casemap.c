/* SPDX-License-Identifier: ISC */
/* i;unicode-casemap (RFC 5051 2), which RFC 5255 4.2, 4.3 ask for. */
#include "tests/unit/mime/test.h"

#include <unicase.h>
#include <uninorm.h>

#include "common/base/utf8.h"
#include "common/mime/casemap.h"

enum { CHARACTERS = 0x110000 };

/* ---- the steps of RFC 5051 2, as they are written there ---- */

static bool
is_syllable(uint32_t c)
{
	return c >= 0xAC00 && c <= 0xD7A3;
}

/* Step 2(b): recursively, until no more decomposition is possible. */
static size_t
decompose(uint32_t *list, size_t count)
{
	for (size_t i = 0; i < count;) {
		ucs4_t parts[UC_DECOMPOSITION_MAX_LENGTH];
		int tag, n = is_syllable(list[i]) ? -1 : uc_decomposition(list[i], &tag, parts);

		if (n <= 0) {
			i++;
			continue;
		}
		memmove(list + i + n, list + i + 1, (count - i - 1) * sizeof(*list));
		for (int k = 0; k < n; k++)
			list[i + (size_t)k] = parts[k];
		count += (size_t)n - 1;
	}
	return count;
}

static void
put_by_the_book(struct buf *out, uint32_t c)
{
	uint32_t list[256] = { uc_totitle(c) };
	size_t count = decompose(list, 1);

	for (size_t i = 0; i < count; i++)
		utf8_put(out, list[i]);
}

/* Letters of Hangul in a row, as one character becomes them, make a syllable. */
static bool
has_syllables(struct str s)
{
	size_t n = 0;
	uint8_t *nfc = u8_normalize(UNINORM_NFC, (const uint8_t *)s.p, s.n, NULL, &n);
	struct str rest = { (const char *)nfc, n };
	bool found = false;
	uint32_t c;

	while (utf8_next(&rest, &c))
		found |= is_syllable(c);
	free(nfc);
	return found;
}

static void
every_character_is_mapped_by_the_book(void **state)
{
	size_t changed = 0;

	(void)state;
	for (uint32_t c = 0; c < CHARACTERS; c++) {
		scoped_buf text = BUF_INIT, want = BUF_INIT, got = BUF_INIT;

		if (c >= 0xD800 && c <= 0xDFFF)
			continue;
		utf8_put(&text, c);
		put_by_the_book(&want, c);
		casemap_put(&got, buf_str(&text));
		changed += !str_eq(buf_str(&got), buf_str(&text));
		if (!is_syllable(c) && has_syllables(buf_str(&want)))
			continue;
		if (!str_eq(buf_str(&got), buf_str(&want)))
			fail_msg("U+%04X: got %.*s, want %.*s", c, STR_ARG(buf_str(&got)),
			    STR_ARG(buf_str(&want)));
	}
	assert_true(changed > 6000);
}

/* But for Hangul, no character's mapping depends on what stands beside it. */
static void
a_text_is_mapped_character_by_character(void **state)
{
	uint64_t x = 88172645463325252;

	(void)state;
	for (size_t round = 0; round < 20000; round++) {
		scoped_buf text = BUF_INIT, want = BUF_INIT, got = BUF_INIT;

		for (size_t i = 0; i < round % 12; i++) {
			uint32_t c;

			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			/* Mostly of the planes that have letters, often ASCII. */
			c = x >> 60 < 5 ? (uint32_t)(x % 0x80) : x >> 60 < 12 ? (uint32_t)(x % 0x3000) :
			    (uint32_t)(x % 0x30000);
			if ((c >= 0x1100 && c <= 0x11FF) || (c >= 0x3130 && c <= 0x32FF) ||
			    (c >= 0xD800 && c <= 0xDFFF) || (c >= 0xFFA0 && c <= 0xFFDF))
				continue;
			utf8_put(&text, c);
			put_by_the_book(&want, c);
		}
		casemap_put(&got, buf_str(&text));
		assert_true(str_eq(buf_str(&got), buf_str(&want)));
	}
}

/* ---- what comes of it ---- */

static void
check(const char *text, const char *want)
{
	scoped_buf got = BUF_INIT;

	casemap_put(&got, str_of(text));
	check_str(buf_str(&got), str_of(want), text);
}

static void
known_texts_become_known_ones(void **state)
{
	(void)state;
	check("", "");
	check("Hello, World_[1]", "HELLO, WORLD_[1]");
	check("ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~\x7f@",
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`ABCDEFGHIJKLMNOPQRSTUVWXYZ{|}~\x7f@");
	/* The example of RFC 5051 2: U+01C4 is U+0044 U+007A U+030C. */
	check("\u01c4", "Dz\u030c");
	check("\u01c6", "Dz\u030c");
	check("é", "E\u0301");
	check("e\u0301", "E\u0301");
	check("\u212b", "A\u030a");			/* Angstrom sign */
	check("ας", "ΑΣ");
	check("мир", "МИР");
	/* Titlecase of one character only: ß stays, ligatures come apart after it. */
	check("straße", "STRAßE");
	check("\ufb01n", "fiN");
	check("ı\u0130", "II\u0307");
	check("ſ", "S");
	check("Ａｂ１", "AB1");				/* full width */
	check("①½\u00a0…", "11\u20442 ...");
	check("㎏", "kg");
	check("が", "か\u3099");
	check("ｶﾞ", "カ\u3099");				/* half width */
	check("\u10d0\u1c90", "\u10d0\u1c90");		/* Georgian has no title case */
	check("\ufdfa", "\u0635\u0644\u0649 \u0627\u0644\u0644\u0647 \u0639\u0644\u064a\u0647 \u0648\u0633\u0644\u0645");
	check("豈", "\u8c48");				/* U+F900 */
	check("\U0001d400", "A");
	check("\U00010428", "\U00010400");
}

static void
hangul_is_whole_syllables(void **state)
{
	(void)state;
	check("가각힣", "가각힣");
	check("\u1112\u1161\u11ab\u1100\u1173\u11af", "한글");	/* as a Mac writes it */
	check("하\u11ab", "한");
	check("한\u11ab", "한\u11ab");
	check("\u1112\u1161a", "하A");
	check("\u1161\u11ab", "\u1161\u11ab");			/* nothing to join */
	check("a\u1161", "A\u1161");
	check("가\u11a7", "가\u11a7");				/* no last letter at all */
	check("\u1113\u1161", "\u1113\u1161");			/* of old texts: in no syllable */
	check("ㅎㅏ", "하");					/* compatibility letters */
	check("\u326e", "가");					/* circled */
}

static void
what_is_broken_is_marked(void **state)
{
	(void)state;
	check("\xff", "\xef\xbf\xbd");
	check("a\xe3\x81z", "A\xef\xbf\xbd\xef\xbf\xbdZ");
	check("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	check("\xed\x9e\xa4", "\xed\x9e\xa4");	/* U+D7A4: none */
	check("\xea\xb0", "\xef\xbf\xbd\xef\xbf\xbd");
}

/* Wherever it says so, the halves become what the whole does. */
static void
a_text_may_be_cut_where_it_says(void **state)
{
	const char *text = "가\u1100\u1161\u11abé한글ｶﾞㅎㅏ e\u0301\U0001d400\u0e01\u3099日本";
	struct str all = str_of(text);
	scoped_buf whole = BUF_INIT;
	size_t cuts = 0;

	(void)state;
	casemap_put(&whole, all);
	for (size_t i = 1; i < all.n; i++) {
		scoped_buf halves = BUF_INIT;

		if (!casemap_may_cut(all.p[i]))
			continue;
		cuts++;
		casemap_put(&halves, str_sub(all, 0, i));
		casemap_put(&halves, str_from(all, i));
		check_str(buf_str(&halves), buf_str(&whole), text);
	}
	assert_true(cuts > 8);
}

static void
long_text_is_mapped_too(void **state)
{
	scoped_buf text = BUF_INIT, folded = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < 50000; i++)
		buf_put_z(&text, i % 2 ? "홍" : "é");
	casemap_put(&folded, buf_str(&text));
	assert_int_equal(folded.n, text.n + 25000);
	assert_int_equal(str_find(buf_str(&folded), STR("\xef\xbf\xbd")), folded.n);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_character_is_mapped_by_the_book),
		cmocka_unit_test(a_text_is_mapped_character_by_character),
		cmocka_unit_test(known_texts_become_known_ones),
		cmocka_unit_test(hangul_is_whole_syllables),
		cmocka_unit_test(what_is_broken_is_marked),
		cmocka_unit_test(a_text_may_be_cut_where_it_says),
		cmocka_unit_test(long_text_is_mapped_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
