/* SPDX-License-Identifier: ISC */
#include "common/mime/charset.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>

#include "common/base/utf8.h"

enum { NAME_MAX_LENGTH = 40, PENDING_MAX = 16, ROOM_STEP = 64 * 1024, BYTES = 256, BROKEN = 0xFFFD,
	CLOSES_TO_UNLOAD = 4 };

/* The rows that code names; Korean is the first that iconv converts. */
enum { ROW_UTF8, ROW_GUESS, ROW_KOREAN };

/*
 * Names are compared by letters and digits alone, in lower case. What real mail labels
 * with the name of a subset is read as the superset: Windows code pages for Latin ones,
 * CP949 for KS C 5601, GB18030 for GB 2312.
 */
static const struct charset {
	const char *iconv_name;		/* NULL: UTF-8 itself; "": guess */
	const char *names;
} charsets[] = {
	[ROW_UTF8] = { NULL, "utf8 unicode11utf8 xunicode20utf8 utf8mb4 cp65001" },
	[ROW_GUESS] = { "", "usascii ascii ansix341968 iso646us us unknown8bit unknown 8bit xunknown "
	    "default none binary" },
	[ROW_KOREAN] = { "CP949", "euckr ksc56011987 ksc5601 ksc56011989 ksx1001 korean cp949 ms949 windows949 "
	    "xwindows949 uhc isoir149 xeuckr kseucr xcp949" },
	{ "JOHAB", "johab ksc56011992 cp1361 ms1361" },
	{ "ISO-2022-KR", "iso2022kr csiso2022kr" },
	{ "CP932", "shiftjis sjis xsjis cp932 ms932 windows31j mskanji csshiftjis" },
	{ "EUC-JP-MS", "eucjp xeucjp eucjpms ujis cp51932" },
	{ "ISO-2022-JP-2", "iso2022jp iso2022jp1 iso2022jp2 csiso2022jp jis xiso2022jp" },
	{ "GB18030", "gb2312 gbk gb18030 cp936 ms936 windows936 euccn eucgb2312cn xgbk csgb2312 "
	    "gb231280 chinese" },
	{ "BIG5-HKSCS", "big5 big5hkscs cnbig5 xxbig5 csbig5 cp950 windows950" },
	{ "EUC-TW", "euctw xeuctw" },
	{ "CP1252", "iso88591 latin1 l1 windows1252 cp1252 isolatin1 88591 ansi xansi" },
	{ "CP1250", "windows1250 cp1250" },
	{ "ISO-8859-2", "iso88592 latin2 l2" },
	{ "ISO-8859-3", "iso88593 latin3" },
	{ "ISO-8859-4", "iso88594 latin4" },
	{ "ISO-8859-5", "iso88595 cyrillic" },
	{ "ISO-8859-6", "iso88596 arabic iso88596i iso88596e asmo708" },
	{ "ISO-8859-7", "iso88597 greek greek8 elot928" },
	{ "ISO-8859-8", "iso88598 hebrew iso88598i iso88598e visual logical" },
	{ "CP1254", "iso88599 latin5 l5 windows1254 cp1254" },
	{ "ISO-8859-10", "iso885910 latin6" },
	{ "ISO-8859-13", "iso885913" },
	{ "ISO-8859-14", "iso885914 latin8" },
	{ "ISO-8859-15", "iso885915 latin9 latin0" },
	{ "ISO-8859-16", "iso885916 latin10" },
	{ "CP1251", "windows1251 cp1251 win1251" },
	{ "CP1253", "windows1253 cp1253" },
	{ "CP1255", "windows1255 cp1255" },
	{ "CP1256", "windows1256 cp1256" },
	{ "CP1257", "windows1257 cp1257" },
	{ "CP1258", "windows1258 cp1258" },
	{ "CP874", "tis620 windows874 cp874 iso885911 thai" },
	{ "KOI8-R", "koi8r koi8 cskoi8r" },
	{ "KOI8-U", "koi8u koi8ru" },
	{ "CP437", "cp437 ibm437 437" },
	{ "CP850", "cp850 ibm850 850" },
	{ "CP852", "cp852 ibm852 852" },
	{ "CP866", "cp866 ibm866 866" },
	{ "MACINTOSH", "macintosh mac macroman xmacroman" },
	{ "VISCII", "viscii" },
	{ "TCVN", "tcvn tcvn57121" },
	{ "ARMSCII-8", "armscii8" },
	{ "GEORGIAN-PS", "georgianps" },
	{ "UTF-7", "utf7 unicode11utf7 unicode20utf7" },
	{ "UTF-16", "utf16 ucs2 unicode iso10646ucs2" },
	{ "UTF-16LE", "utf16le" },
	{ "UTF-16BE", "utf16be" },
	{ "UTF-32", "utf32" },
	{ "UTF-32LE", "utf32le" },
	{ "UTF-32BE", "utf32be" },
};

/*
 * One per row, loaded once. Where each byte is a character of its own, a table of them is all that is kept: iconv's
 * libraries are so many that a fork would feel the difference.
 */
static struct converter {
	bool loaded;
	iconv_t cd;		/* (iconv_t)-1: not there, or there is a table */
	uint16_t *table;	/* of BYTES */
} converters[countof(charsets)];

static size_t
row_of(struct str name)
{
	char plain[NAME_MAX_LENGTH];
	size_t n = 0;

	for (size_t i = 0; i < name.n; i++) {
		if (!ascii_is_alnum(name.p[i]))
			continue;
		if (n == sizeof(plain))
			return ROW_GUESS;
		plain[n++] = ascii_lower(name.p[i]);
	}
	for (size_t row = 0; row < countof(charsets); row++) {
		struct str names = str_of(charsets[row].names), one;

		while (str_word(&names, &one))
			if (str_eq(one, (struct str){ plain, n }))
				return row;
	}
	return ROW_GUESS;
}

static iconv_t
open_row(size_t row)
{
	return iconv_open("UTF-8", charsets[row].iconv_name);
}

/* What this byte is by itself; 0: it takes others, or changes what comes after it, or is held back. */
static uint16_t
character_of(iconv_t cd, char byte)
{
	char text[PENDING_MAX], *from = &byte, *to = text;
	size_t in = 1, room = sizeof(text);
	struct str s;
	uint32_t c;

	iconv(cd, NULL, NULL, NULL, NULL);
	if (iconv(cd, &from, &in, &to, &room) == (size_t)-1)
		return errno == EILSEQ ? BROKEN : 0;
	s = (struct str){ text, sizeof(text) - room };
	return utf8_next(&s, &c) && s.n == 0 && c <= UINT16_MAX && (c != 0 || byte == 0) ? (uint16_t)c : 0;
}

/* NULL: not a charset of single bytes. */
static uint16_t *
make_table(iconv_t cd)
{
	uint16_t *table = xcalloc(BYTES, sizeof(*table));

	for (unsigned i = 0; i < BYTES; i++) {
		table[i] = character_of(cd, (char)i);
		if (table[i] == 0 && i != 0) {
			free(table);
			return NULL;
		}
	}
	return table;
}

static const struct converter *
converter_of(size_t row)
{
	struct converter *c = &converters[row];

	if (c->loaded)
		return c;
	c->loaded = true;
	c->cd = open_row(row);
	c->table = c->cd != (iconv_t)-1 ? make_table(c->cd) : NULL;
	if (c->table != NULL) {
		iconv_close(c->cd);
		c->cd = (iconv_t)-1;
	}
	return c;
}

static bool
is_there(const struct converter *c)
{
	return c->table != NULL || c->cd != (iconv_t)-1;
}

bool
charset_known(struct str name)
{
	size_t row = row_of(name);

	if (row == ROW_GUESS)
		return str_eq_nocase(name, STR("us-ascii")) || str_eq_nocase(name, STR("ascii"));
	return row == ROW_UTF8 || is_there(converter_of(row));
}

void
charset_preload(void)
{
	size_t idle = 0;	/* a row that needs no converter any more */

	for (size_t row = ROW_KOREAN; row < countof(charsets); row++)
		converter_of(row);
	for (size_t row = ROW_KOREAN; row < countof(charsets) && idle == 0; row++)
		if (converters[row].table != NULL)
			idle = row;
	/* The C library lets go of a library that nobody uses when it has closed another a few times. */
	for (int i = 0; idle != 0 && i < CLOSES_TO_UNLOAD; i++)
		iconv_close(open_row(idle));
}

static size_t
ascii_length(struct str s)
{
	size_t i = 0;
	uint64_t eight;

	for (; i + sizeof(eight) <= s.n; i += sizeof(eight)) {
		memcpy(&eight, s.p + i, sizeof(eight));
		if (eight & UINT64_C(0x8080808080808080))
			break;
	}
	while (i < s.n && (unsigned char)s.p[i] < 0x80)
		i++;
	return i;
}

/* Copies what is right; each byte that is not becomes one U+FFFD. */
static void
put_checked_utf8(struct buf *out, struct str s)
{
	struct str rest = s;

	while (rest.n > 0) {
		struct str good = rest;
		uint32_t c;

		rest = str_from(rest, ascii_length(rest));
		while (rest.n > 0 && (unsigned char)rest.p[0] >= 0x80 && utf8_next(&rest, &c))
			;
		buf_put(out, str_sub(good, 0, good.n - rest.n));
		if (rest.n > 0 && rest.n == good.n) {
			utf8_put(out, 0xFFFD);
			rest = str_from(rest, 1);
		}
	}
}

/*
 * Converts all it can; false if something was broken (and is U+FFFD now). What is left
 * in *in is the beginning of a character.
 */
static bool
convert(iconv_t cd, struct buf *out, struct str *in)
{
	bool clean = true;

	while (in->n > 0) {
		size_t room = in->n < ROOM_STEP ? in->n * 3 + PENDING_MAX : ROOM_STEP * 3;
		size_t before = in->n, space = room, n;
		char *to = buf_room(out, room), *from = (char *)in->p;

		n = iconv(cd, &from, &in->n, &to, &room);
		in->p = from;
		buf_added(out, space - room);
		if (n != (size_t)-1 || (errno == E2BIG && (in->n < before || room < space)))
			continue;
		if (errno == EINVAL)
			return clean;
		utf8_put(out, 0xFFFD);
		*in = str_from(*in, 1);
		clean = false;
	}
	return clean;
}

/* Some converters hold a character back to see whether a mark follows. */
static void
flush(iconv_t cd, struct buf *out)
{
	size_t room = PENDING_MAX * 4, space = room;
	char *to = buf_room(out, room);

	iconv(cd, NULL, NULL, &to, &room);
	buf_added(out, space - room);
}

static void
put_characters(const uint16_t *table, struct buf *out, struct str bytes)
{
	for (size_t i = 0; i < bytes.n; i++)
		utf8_put(out, table[(unsigned char)bytes.p[i]]);
}

static bool
convert_all(iconv_t cd, struct buf *out, struct str bytes)
{
	bool clean;

	iconv(cd, NULL, NULL, NULL, NULL);
	clean = convert(cd, out, &bytes);
	flush(cd, out);
	for (size_t i = 0; i < bytes.n; i++)
		utf8_put(out, 0xFFFD);
	return clean && bytes.n == 0;
}

void
charset_put_guess(struct buf *out, struct str bytes)
{
	size_t before = out->n;
	const struct converter *korean;

	if (utf8_valid(bytes)) {
		buf_put(out, bytes);
		return;
	}
	korean = converter_of(ROW_KOREAN);
	if (korean->cd != (iconv_t)-1 && convert_all(korean->cd, out, bytes))
		return;
	buf_cut(out, before);
	put_checked_utf8(out, bytes);
}

void
charset_put_utf8(struct buf *out, struct str charset, struct str bytes)
{
	size_t row = row_of(charset);
	const struct converter *c;

	if (row == ROW_UTF8) {
		put_checked_utf8(out, bytes);
		return;
	}
	c = row == ROW_GUESS ? NULL : converter_of(row);
	if (c == NULL || !is_there(c))
		charset_put_guess(out, bytes);
	else if (c->table != NULL)
		put_characters(c->table, out, bytes);
	else
		convert_all(c->cd, out, bytes);
}

struct charset_reader {
	iconv_t cd;		/* of its own: a state may span pieces; -1 for UTF-8, or with a table */
	const uint16_t *table;	/* shared with all */
	struct buf pending;	/* the beginning of a character */
};

struct charset_reader *
charset_reader_new(struct str charset)
{
	struct charset_reader *r = xcalloc(1, sizeof(*r));
	size_t row = row_of(charset);

	r->cd = (iconv_t)-1;
	if (row == ROW_UTF8 || row == ROW_GUESS)
		return r;
	r->table = converter_of(row)->table;
	if (r->table == NULL)
		r->cd = open_row(row);
	return r;
}

void
charset_reader_free(struct charset_reader *r)
{
	if (r == NULL)
		return;
	if (r->cd != (iconv_t)-1)
		iconv_close(r->cd);
	buf_free(&r->pending);
	free(r);
}

/* How many bytes at the end may be a character that the next piece completes. */
static size_t
unfinished_utf8(struct str s)
{
	for (size_t back = 1; back <= 3 && back <= s.n; back++) {
		unsigned char c = (unsigned char)s.p[s.n - back];

		if (c >= 0xC0)
			return (c >= 0xF0 ? 4u : c >= 0xE0 ? 3u : 2u) > back ? back : 0;
		if (c < 0x80)
			return 0;
	}
	return 0;
}

void
charset_reader_feed(struct charset_reader *r, struct buf *out, struct str bytes)
{
	struct str rest;

	if (r->table != NULL) {
		put_characters(r->table, out, bytes);
		return;
	}
	buf_put(&r->pending, bytes);
	rest = buf_str(&r->pending);
	if (r->cd == (iconv_t)-1) {
		size_t keep = unfinished_utf8(rest);

		put_checked_utf8(out, str_sub(rest, 0, rest.n - keep));
		rest = str_from(rest, rest.n - keep);
	} else {
		convert(r->cd, out, &rest);
	}
	buf_take(&r->pending, r->pending.n - rest.n);
}

void
charset_reader_end(struct charset_reader *r, struct buf *out)
{
	if (r->cd != (iconv_t)-1)
		flush(r->cd, out);
	for (size_t i = 0; i < r->pending.n; i++)
		utf8_put(out, 0xFFFD);
	buf_clear(&r->pending);
}
