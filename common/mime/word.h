/* SPDX-License-Identifier: ISC */
/*
 * Encoded words in headers (RFC 2047), to UTF-8 and back. Reading forgives: words
 * inside quotes, without blanks around, with blanks within, a character split over two
 * words, raw 8-bit text between.
 */
#pragma once

#include "common/base/buf.h"

/*
 * Appends a header value, folded or not, as unfolded UTF-8; at most three bytes for
 * each that goes in. The result may hold any character but CR, LF and NUL of the raw
 * text; what an encoded word hides may be one of them too, so it is never a header again
 * without word_put_encoded.
 */
void word_put_utf8(struct buf *out, struct str value);

/*
 * Appends UTF-8 as the value of a header field: as it is where that is safe, else as
 * encoded words on lines of at most 76 characters, folded with CRLF and a space. Control
 * characters become blanks. `column` is where the value begins in its line.
 */
void word_put_encoded(struct buf *out, struct str utf8, size_t column);
