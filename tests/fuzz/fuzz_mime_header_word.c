/* SPDX-License-Identifier: ISC */
/*
 * Headers are walked, values decoded to valid UTF-8, encoded again and read back the
 * same; picked fields are pieces of the header; decoding in pieces is decoding at once.
 */
#include "common/base/utf8.h"
#include "common/mime/casemap.h"
#include "common/mime/charset.h"
#include "common/mime/header.h"
#include "common/mime/param.h"
#include "common/mime/subject.h"
#include "common/mime/transfer.h"
#include "common/mime/word.h"

enum { CUTS_TRIED = 50 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool truth, const char *what)
{
	if (!truth)
		fatal("broken: %s", what);
}

static void
check_value(struct arena *arena, struct str value)
{
	scoped_buf text = BUF_INIT, encoded = BUF_INIT, again = BUF_INIT, base = BUF_INIT;
	struct param_list params;
	struct param *param;

	word_put_utf8(&text, value);
	must(utf8_valid(buf_str(&text)), "valid UTF-8");
	must(text.n <= value.n * 3 + 3, "no growth");
	word_put_encoded(&encoded, buf_str(&text), value.n % 100);
	word_put_utf8(&again, buf_str(&encoded));
	for (size_t i = 0; i < text.n; i++)
		if (ascii_is_control(text.p[i]))
			text.p[i] = ' ';
	must(str_eq(str_trim(buf_str(&text)), str_trim(buf_str(&again))), "encoding round");
	subject_put_base(&base, value);
	param_parse(arena, value, &params);
	STAILQ_FOREACH(param, &params, link)
		param_put_utf8(&base, &params, param->name);
	must(utf8_valid(buf_str(&base)), "valid UTF-8");
}

static void
check_pieces(enum transfer_encoding encoding, struct str bytes)
{
	scoped_buf whole = BUF_INIT, pieces = BUF_INIT;
	struct transfer t = { .encoding = encoding };

	transfer_decode(&whole, encoding, bytes);
	must(whole.n <= bytes.n, "no growth");
	for (size_t i = 0; i < bytes.n; i += 1 + i % 3)
		transfer_feed(&t, &pieces, str_sub(bytes, i, 1 + i % 3));
	transfer_end(&t, &pieces);
	must(str_eq(buf_str(&whole), buf_str(&pieces)), "pieces");
}

static void
check_encoders(struct str bytes)
{
	scoped_buf encoded = BUF_INIT, again = BUF_INIT;

	transfer_put_base64(&encoded, bytes);
	transfer_decode(&again, TRANSFER_BASE64, buf_str(&encoded));
	must(str_eq(bytes, buf_str(&again)), "base64 round");
	buf_clear(&encoded);
	transfer_put_quoted_printable(&encoded, bytes);
	for (struct str rest = buf_str(&encoded); rest.n > 0;) {
		size_t n = header_line(rest);

		must(n <= 78, "line length");
		rest = str_from(rest, n);
	}
}

/* Folded apart where it may be, it is what it is folded at once. */
static void
check_cuts(struct str bytes, struct str folded)
{
	for (size_t i = 1; i < bytes.n && i < CUTS_TRIED; i++) {
		scoped_buf halves = BUF_INIT;

		if (!casemap_may_cut(bytes.p[i]))
			continue;
		casemap_put(&halves, str_sub(bytes, 0, i));
		casemap_put(&halves, str_from(bytes, i));
		must(str_eq(buf_str(&halves), folded), "cut where it may be");
	}
}

static void
check_charset(struct str bytes)
{
	struct str label = str_sub(bytes, 0, str_index(bytes, '\n'));
	struct str text = str_from(bytes, label.n + 1);
	scoped_buf whole = BUF_INIT, pieces = BUF_INIT, folded = BUF_INIT;
	struct charset_reader *reader = charset_reader_new(label);

	charset_put_utf8(&whole, label, text);
	must(utf8_valid(buf_str(&whole)), "valid UTF-8");
	for (size_t i = 0; i < text.n; i += 7)
		charset_reader_feed(reader, &pieces, str_sub(text, i, 7));
	charset_reader_end(reader, &pieces);
	charset_reader_free(reader);
	must(utf8_valid(buf_str(&pieces)), "valid UTF-8 in pieces");
	casemap_put(&folded, bytes);
	must(utf8_valid(buf_str(&folded)), "folded");
	check_cuts(bytes, buf_str(&folded));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str header = { (const char *)data, size };
	const struct str names[] = { STR("Subject"), STR("to") };
	struct header_walk walk = header_walk(header);
	struct arena *arena = arena_new();
	scoped_buf some = BUF_INIT, others = BUF_INIT;
	struct header_field field;
	size_t raw = 0;

	while (header_next(&walk, &field)) {
		raw += field.raw.n;
		must(field.name.n > 0 && field.raw.p >= header.p &&
		    field.raw.p + field.raw.n <= header.p + header.n, "bounds");
		check_value(arena, field.value);
	}
	check_value(arena, header);
	header_put_fields(&some, header, HEADER_ONLY, names, countof(names));
	header_put_fields(&others, header, HEADER_ALL_BUT, names, countof(names));
	must(some.n + others.n >= raw && some.n + others.n <= raw + 4, "picked fields");
	check_pieces(TRANSFER_BASE64, header);
	check_pieces(TRANSFER_QUOTED_PRINTABLE, header);
	check_encoders(header);
	check_charset(header);
	arena_free(arena);
	return 0;
}
