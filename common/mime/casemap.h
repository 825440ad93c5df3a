/* SPDX-License-Identifier: ISC */
/*
 * The collation i;unicode-casemap of RFC 5051, by which SEARCH, SORT and THREAD compare (RFC 5255 4.2): each character is
 * made titlecase, then decomposed in every way that UnicodeData.txt knows, again and again; what comes
 * out is compared by its octets. So case and the composing of letters do not count, "e" is
 * found in "é", and a full-width letter is a letter.
 *
 * Of Hangul that table has no syllables, so they stay whole, in text of a Mac too: letters of one
 * (Unicode 3.12) are put together, as Normalization Form KD, which the RFC speaks of, takes both for the same.
 */
#pragma once

#include "common/base/buf.h"

/*
 * Appends UTF-8 as it is compared; what is broken is U+FFFD. What is appended in one call is folded alone: letters
 * of a syllable must come together. ASCII, Hangul and ideographs are fast.
 */
void casemap_put(struct buf *out, struct str utf8);
/*
 * May text be folded apart before a character with this first byte? False where it could be the second or third letter
 * of a syllable.
 */
bool casemap_may_cut(char lead);
