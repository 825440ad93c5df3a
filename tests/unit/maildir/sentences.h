/* SPDX-License-Identifier: ISC */
/* What the tests of search write into their messages: words of a language by chance, in its charsets and encodings. */
#pragma once

#include "common/base/buf.h"
#include "common/mime/transfer.h"

/* A number below n (not 0). Not random, so that a failure comes back. */
size_t below(size_t n);
/* So many of these words (at most 32), some run together, some with a line end behind them. */
void put_words(struct buf *out, const char *words, size_t count);
/* By iconv's name; every letter must be in it. */
void put_in_charset(struct buf *out, const char *charset, struct str utf8);
void put_encoded(struct buf *out, enum transfer_encoding, struct str bytes);
