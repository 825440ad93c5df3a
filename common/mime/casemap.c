/* SPDX-License-Identifier: ISC */
#include "common/mime/casemap.h"

#include <unicase.h>
#include <uninorm.h>

#include "common/base/utf8.h"

enum {
	PAGE = 256,
	PAGES = 0x110000 / PAGE,
	BROKEN = 0xFFFD,
	JAMO_BYTES = 3,			/* a letter of Hangul, and a syllable, in UTF-8 */
};

/* What 256 characters become; made when one of them is first seen. */
struct page {
	uint16_t at[PAGE + 1];		/* where the n-th begins; nothing: the character itself */
	char bytes[];
};

static struct page *pages[PAGES];
/* Of a page on which nothing changes. */
static struct page unchanged;

/* ---- Hangul: Unicode 3.12 ---- */

enum {
	SYLLABLES = 0xAC00, SYLLABLES_END = 0xD7A4,
	FIRSTS = 0x1100, FIRST_COUNT = 19,
	VOWELS = 0x1161, VOWEL_COUNT = 21,
	LASTS = 0x11A7, LAST_COUNT = 28,	/* the first is none */
};

static bool
is_within(uint32_t c, uint32_t first, uint32_t count)
{
	return c >= first && c - first < count;
}

/* The syllable of the two; 0: there is none. */
static uint32_t
join(uint32_t before, uint32_t c)
{
	if (is_within(before, FIRSTS, FIRST_COUNT) && is_within(c, VOWELS, VOWEL_COUNT))
		return SYLLABLES + ((before - FIRSTS) * VOWEL_COUNT + (c - VOWELS)) * LAST_COUNT;
	if (is_within(before, SYLLABLES, SYLLABLES_END - SYLLABLES) &&
	    (before - SYLLABLES) % LAST_COUNT == 0 && is_within(c, LASTS + 1, LAST_COUNT - 1))
		return before + c - LASTS;
	return 0;
}

/* One character, which may join what stands behind `start`. */
static void
put_joined(struct buf *out, size_t start, uint32_t c)
{
	uint32_t before, syllable = 0;
	struct str end;

	if (c >= VOWELS && c < LASTS + LAST_COUNT && out->n - start >= JAMO_BYTES) {
		end = str_from(buf_str(out), out->n - JAMO_BYTES);
		if (utf8_next(&end, &before) && end.n == 0)
			syllable = join(before, c);
	}
	if (syllable != 0)
		buf_cut(out, out->n - JAMO_BYTES);
	utf8_put(out, syllable != 0 ? syllable : c);
}

/* ---- the table ---- */

/* RFC 5051 2, step 2(b). */
static void
put_decomposed(struct buf *out, size_t start, uint32_t c)
{
	ucs4_t parts[UC_DECOMPOSITION_MAX_LENGTH];
	int tag, n = -1;

	/* The table of the RFC has no decomposition of these, the library's has. */
	if (!is_within(c, SYLLABLES, SYLLABLES_END - SYLLABLES))
		n = uc_decomposition(c, &tag, parts);
	if (n <= 0)
		put_joined(out, start, c);
	for (int i = 0; i < n; i++)
		put_decomposed(out, start, parts[i]);
}

/* Step 2. */
static void
put_changed(struct buf *out, uint32_t c)
{
	put_decomposed(out, out->n, uc_totitle(c));
}

static struct page *
make_page(size_t number)
{
	scoped_buf bytes = BUF_INIT, itself = BUF_INIT;
	struct page page, *made;

	for (uint32_t i = 0; i < PAGE; i++) {
		const uint32_t c = (uint32_t)number * PAGE + i;

		page.at[i] = (uint16_t)bytes.n;
		put_changed(&bytes, c);
		buf_clear(&itself);
		utf8_put(&itself, c);
		if (str_eq(str_from(buf_str(&bytes), page.at[i]), buf_str(&itself)))
			buf_cut(&bytes, page.at[i]);
	}
	if (bytes.n == 0)
		return &unchanged;
	if (bytes.n > UINT16_MAX)
		fatal("a page of characters becomes %zu octets", bytes.n);
	page.at[PAGE] = (uint16_t)bytes.n;
	made = xmalloc(sizeof(*made) + bytes.n);
	memcpy(made->at, page.at, sizeof(page.at));
	memcpy(made->bytes, bytes.p, bytes.n);
	return made;
}

/* What the character becomes; empty: itself. */
static struct str
change_of(uint32_t c)
{
	struct page **page = &pages[c / PAGE];
	const size_t i = c % PAGE;

	if (*page == NULL)
		*page = make_page(c / PAGE);
	return (struct str){ (*page)->bytes + (*page)->at[i],
		(size_t)((*page)->at[i + 1] - (*page)->at[i]) };
}

/* ---- folding ---- */

/* Eight octets of ASCII at once: the high bit says of each whether it is a small letter. */
static uint64_t
upper_eight(uint64_t eight)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t from_a = eight + ones * (0x80 - 'a'), behind_z = eight + ones * (0x7F - 'z');

	return eight - ((from_a & ~behind_z & ones << 7) >> 2);
}

/* Takes what is ASCII at the front; its length. */
static size_t
put_ascii(struct buf *out, struct str s)
{
	char *to = buf_room(out, s.n);
	size_t i = 0;
	uint64_t eight;

	for (; i + sizeof(eight) <= s.n; i += sizeof(eight)) {
		memcpy(&eight, s.p + i, sizeof(eight));
		if (eight & UINT64_C(0x8080808080808080))
			break;
		eight = upper_eight(eight);
		memcpy(to + i, &eight, sizeof(eight));
	}
	for (; i < s.n && (unsigned char)s.p[i] < 0x80; i++)
		to[i] = ascii_upper(s.p[i]);
	buf_added(out, i);
	return i;
}

/*
 * How long the character at the front is if it surely stays as it is: an ideograph or a syllable of
 * Hangul, whole ranges of first bytes but for their edges; else 0.
 */
static size_t
plain_length(struct str s)
{
	unsigned char a, b, c;

	if (s.n < 3)
		return 0;
	a = (unsigned char)s.p[0];
	b = (unsigned char)s.p[1];
	c = (unsigned char)s.p[2];
	if (a < 0xE4 || a > 0xED || (b & 0xC0) != 0x80 || (c & 0xC0) != 0x80)
		return 0;
	if (a == 0xEA)
		return b >= 0xB0 ? 3 : 0;	/* from U+AC00 */
	return a != 0xED || b < 0x9E ? 3 : 0;	/* to U+D77F */
}

static size_t
put_plain(struct buf *out, struct str s)
{
	size_t n = 0, one;

	while ((one = plain_length(str_from(s, n))) > 0)
		n += one;
	buf_put(out, str_sub(s, 0, n));
	return n;
}

/* One character, of any kind. */
static void
put_one(struct buf *out, size_t start, struct str *rest)
{
	const struct str before = *rest;
	struct str change;
	uint32_t c;

	if (!utf8_next(rest, &c)) {
		*rest = str_from(*rest, 1);
		utf8_put(out, BROKEN);
		return;
	}
	change = change_of(c);
	if (change.n == 0)
		change = str_sub(before, 0, before.n - rest->n);
	/* Letters of Hangul begin so, what a compatibility letter becomes too. */
	if (change.n == JAMO_BYTES && (unsigned char)change.p[0] == 0xE1 && utf8_next(&change, &c))
		put_joined(out, start, c);
	else
		buf_put(out, change);
}

void
casemap_put(struct buf *out, struct str utf8)
{
	const size_t start = out->n;

	while (utf8.n > 0) {
		utf8 = str_from(utf8, put_ascii(out, utf8));
		utf8 = str_from(utf8, put_plain(out, utf8));
		if (utf8.n > 0 && (unsigned char)utf8.p[0] >= 0x80)
			put_one(out, start, &utf8);
	}
}

bool
casemap_may_cut(char lead)
{
	const unsigned char c = (unsigned char)lead;

	/* Conjoining letters, compatibility letters, half-width ones; and no byte within a character. */
	return c < 0x80 || (c >= 0xC0 && c != 0xE1 && c != 0xE3 && c != 0xEF);
}
