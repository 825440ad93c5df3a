/* SPDX-License-Identifier: ISC */
/*
 * The small tokens that structured header fields are made of (RFC 5322 3.2):
 * white space, comments, quoted strings. They work on raw, still folded values:
 * CR and LF count as white space, NULs vanish. Each takes at least one byte off
 * *rest or leaves it alone, and none looks at a byte twice.
 */
#pragma once

#include "common/base/buf.h"

/*
 * Takes white space and comments; true if there were any. The text of the last
 * comment replaces what is in *comment, where that is not NULL.
 */
bool lex_skip(struct str *rest, struct buf *comment);
/* At a '"': appends the string without its quotes. An unended one takes all. */
void lex_quoted(struct str *rest, struct buf *out);
/* Takes the bytes before any of `stops`; appends them without CR, LF and NUL. */
void lex_until(struct str *rest, const char *stops, struct buf *out);
/* Takes the longest piece without white space, NUL and any of `stops`. */
struct str lex_word(struct str *rest, const char *stops);
/* Appends s without CR, LF and NUL. */
void lex_put_clean(struct buf *out, struct str s);
/* Without spaces, tabs, CR and LF at its end. */
struct str lex_trim_end(struct str s);
