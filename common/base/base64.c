/* SPDX-License-Identifier: ISC */
#include "common/base/base64.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
base64_encode(struct buf *out, struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;

	for (size_t i = 0; i < s.n; i += 3) {
		size_t left = s.n - i;
		uint32_t group = (uint32_t)p[i] << 16 |
		    (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (left > 2 ? p[i + 2] : 0);

		buf_put_c(out, alphabet[group >> 18 & 63]);
		buf_put_c(out, alphabet[group >> 12 & 63]);
		buf_put_c(out, left > 1 ? alphabet[group >> 6 & 63] : '=');
		buf_put_c(out, left > 2 ? alphabet[group & 63] : '=');
	}
}

bool
base64_decode(struct buf *out, struct str s)
{
	size_t before = out->n;
	size_t padding = 0;

	if (s.n % 4 != 0)
		return false;
	while (padding < 2 && padding < s.n && s.p[s.n - 1 - padding] == '=')
		padding++;
	for (size_t i = 0; i < s.n; i += 4) {
		size_t want = i + 4 == s.n ? 4 - padding : 4;
		uint32_t group = 0;

		for (size_t k = 0; k < 4; k++) {
			int value = k < want ? base64_digit(s.p[i + k]) : 0;

			if (value < 0) {
				buf_cut(out, before);
				return false;
			}
			group = group << 6 | (uint32_t)value;
		}
		buf_put_c(out, (char)(group >> 16));
		if (want > 2)
			buf_put_c(out, (char)(group >> 8));
		if (want > 3)
			buf_put_c(out, (char)group);
	}
	return true;
}
