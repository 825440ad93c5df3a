/* SPDX-License-Identifier: ISC */
/* Numbers in search.db's records: seven bits a byte, the lowest first, the top bit where more follow. */
#pragma once

#include "common/base/buf.h"

static inline void
varint_put(struct buf *out, uint64_t n)
{
	for (; n >= 0x80; n >>= 7)
		buf_put_c(out, (char)(n | 0x80));
	buf_put_c(out, (char)n);
}

/* Takes one off the front; false where there is none that is whole, or it needs more than 63 bits. */
must_check static inline bool
varint_take(struct str *rest, uint64_t *out)
{
	uint64_t n = 0;

	for (size_t i = 0; i < rest->n && i < 9; i++) {
		unsigned char c = (unsigned char)rest->p[i];

		n |= (uint64_t)(c & 0x7F) << (7 * i);
		if (c < 0x80) {
			rest->p += i + 1;
			rest->n -= i + 1;
			*out = n;
			return true;
		}
	}
	return false;
}
