/* SPDX-License-Identifier: ISC */
/*
 * Modified UTF-7 of RFC 3501 5.1.3: printable ASCII stands for itself, "&" is "&-", runs of
 * anything else are UTF-16 in base64 between "&" and "-". A name has exactly one form: decoding reads
 * generously and then asks the encoder.
 */
#include "imapd/mutf7.h"

#include "common/base/base64.h"
#include "common/base/utf8.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static bool
is_direct(uint32_t c)
{
	return c >= 0x20 && c <= 0x7e;
}

static bool
is_forbidden(uint32_t c)
{
	return c == 0 || c == '\r' || c == '\n';
}

/* ---- encoding ---- */

/* The base64 run being written. */
struct shift {
	bool open;
	uint32_t bits;		/* the low `count` bits wait */
	unsigned count;		/* less than 6 between units */
};

static void
put_unit(struct buf *out, struct shift *shift, uint32_t unit)
{
	shift->bits = shift->bits << 16 | unit;
	shift->count += 16;
	while (shift->count >= 6) {
		shift->count -= 6;
		buf_put_c(out, alphabet[shift->bits >> shift->count & 63]);
	}
	shift->bits &= 63;
}

static void
put_shifted(struct buf *out, struct shift *shift, uint32_t c)
{
	if (!shift->open)
		buf_put_c(out, '&');
	shift->open = true;
	if (c >= 0x10000) {
		put_unit(out, shift, 0xD800 + ((c - 0x10000) >> 10));
		c = 0xDC00 + ((c - 0x10000) & 0x3FF);
	}
	put_unit(out, shift, c);
}

static void
close_shift(struct buf *out, struct shift *shift)
{
	if (!shift->open)
		return;
	if (shift->count > 0)
		buf_put_c(out, alphabet[shift->bits << (6 - shift->count) & 63]);
	buf_put_c(out, '-');
	*shift = (struct shift){ 0 };
}

static void
put_direct(struct buf *out, struct shift *shift, uint32_t c)
{
	close_shift(out, shift);
	buf_put_c(out, (char)c);
	if (c == '&')
		buf_put_c(out, '-');
}

bool
mutf7_encode(struct buf *out, struct str utf8)
{
	struct shift shift = { 0 };
	size_t start = out->n;
	uint32_t c;

	while (utf8.n > 0) {
		if (!utf8_next(&utf8, &c) || is_forbidden(c)) {
			buf_cut(out, start);
			return false;
		}
		if (is_direct(c))
			put_direct(out, &shift, c);
		else
			put_shifted(out, &shift, c);
	}
	close_shift(out, &shift);
	return true;
}

/* ---- decoding ---- */

/* RFC 3501 5.1.3: base64 with "," in the place of "/". */
static int
digit_of(char c)
{
	return c == ',' ? 63 : c == '/' ? -1 : base64_digit(c);
}

/* One UTF-16 unit; *high keeps the first half of a pair. */
static bool
take_unit(struct buf *out, uint32_t *high, uint32_t unit)
{
	if (*high != 0) {
		if (unit < 0xDC00 || unit > 0xDFFF)
			return false;
		utf8_put(out, 0x10000 + ((*high - 0xD800) << 10) + (unit - 0xDC00));
		*high = 0;
		return true;
	}
	if (unit >= 0xDC00 && unit <= 0xDFFF)
		return false;
	if (unit >= 0xD800 && unit <= 0xDBFF)
		*high = unit;
	else
		utf8_put(out, unit);
	return true;
}

/* What stands between "&" and "-". */
static bool
take_base64(struct buf *out, struct str run)
{
	uint32_t bits = 0, high = 0;
	unsigned count = 0;

	for (size_t i = 0; i < run.n; i++) {
		int value = digit_of(run.p[i]);

		if (value < 0)
			return false;
		bits = (bits << 6 | (uint32_t)value) & 0x3FFFFF;
		count += 6;
		if (count < 16)
			continue;
		count -= 16;
		if (!take_unit(out, &high, bits >> count & 0xFFFF))
			return false;
	}
	return high == 0;
}

static bool
decode_generously(struct buf *out, struct str name)
{
	struct str run;

	while (name.n > 0) {
		char c = name.p[0];

		name = str_from(name, 1);
		if (c != '&') {
			buf_put_c(out, c);
			continue;
		}
		if (!str_has_char(name, '-') || !str_cut(&name, '-', &run))
			return false;
		if (run.n == 0)
			buf_put_c(out, '&');
		else if (!take_base64(out, run))
			return false;
	}
	return true;
}

bool
mutf7_decode(struct buf *out, struct str name)
{
	scoped_buf utf8 = BUF_INIT;
	scoped_buf again = BUF_INIT;

	/* An 8-bit octet either breaks the UTF-8 or comes back encoded: both refuse it. */
	if (!decode_generously(&utf8, name) || !mutf7_encode(&again, buf_str(&utf8)) ||
	    !str_eq(buf_str(&again), name))
		return false;
	buf_put(out, buf_str(&utf8));
	return true;
}
