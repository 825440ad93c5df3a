/* SPDX-License-Identifier: ISC */
/* UTF-8 of RFC 3629: no surrogates, no overlong forms, at most U+10FFFF. */
#pragma once

#include "common/base/buf.h"

/* Takes one character off *rest; false at the end or at an invalid sequence. */
must_check bool utf8_next(struct str *rest, uint32_t *character);
bool utf8_valid(struct str s);
/* Appends one character; an impossible one becomes U+FFFD. */
void utf8_put(struct buf *out, uint32_t character);
