/* SPDX-License-Identifier: ISC */
#include "common/base/utf8.h"

static bool
possible(uint32_t c)
{
	return c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF);
}

bool
utf8_next(struct str *rest, uint32_t *character)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first;
	uint32_t c;
	size_t n;

	if (rest->n == 0)
		return false;
	first = (unsigned char)rest->p[0];
	if (first < 0x80) {
		*character = first;
		*rest = str_from(*rest, 1);
		return true;
	}
	n = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
	if (first < 0xC2 || first > 0xF4 || rest->n < n)
		return false;
	c = first & (0xFFu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		unsigned char next = (unsigned char)rest->p[i];

		if ((next & 0xC0) != 0x80)
			return false;
		c = c << 6 | (next & 0x3F);
	}
	if (c < smallest[n] || !possible(c))
		return false;
	*character = c;
	*rest = str_from(*rest, n);
	return true;
}

bool
utf8_valid(struct str s)
{
	uint32_t c;

	while (s.n > 0)
		if (!utf8_next(&s, &c))
			return false;
	return true;
}

void
utf8_put(struct buf *out, uint32_t c)
{
	if (!possible(c))
		c = 0xFFFD;
	if (c < 0x80) {
		buf_put_c(out, (char)c);
	} else if (c < 0x800) {
		buf_put_c(out, (char)(0xC0 | c >> 6));
		buf_put_c(out, (char)(0x80 | (c & 0x3F)));
	} else if (c < 0x10000) {
		buf_put_c(out, (char)(0xE0 | c >> 12));
		buf_put_c(out, (char)(0x80 | (c >> 6 & 0x3F)));
		buf_put_c(out, (char)(0x80 | (c & 0x3F)));
	} else {
		buf_put_c(out, (char)(0xF0 | c >> 18));
		buf_put_c(out, (char)(0x80 | (c >> 12 & 0x3F)));
		buf_put_c(out, (char)(0x80 | (c >> 6 & 0x3F)));
		buf_put_c(out, (char)(0x80 | (c & 0x3F)));
	}
}
