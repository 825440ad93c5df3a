/* SPDX-License-Identifier: ISC */
/* Base64 of RFC 4648 section 4, one piece, no line breaks. */
#pragma once

#include "common/base/buf.h"

void base64_encode(struct buf *out, struct str bytes);
/* Strict: padding required, nothing but the alphabet. False leaves out as it was. */
must_check bool base64_decode(struct buf *out, struct str text);

/* What a character of the alphabet stands for, 0 to 63; -1: it is none. */
static inline int
base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (ascii_is_digit(c))
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}
