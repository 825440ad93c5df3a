/* SPDX-License-Identifier: ISC */
/*
 * Text of any charset that mail uses to UTF-8. What is broken or unknown becomes U+FFFD, never an error. Only charsets
 * of the table in charset.c reach iconv: a stranger cannot make it load others.
 */
#pragma once

#include "common/base/buf.h"

/* Do we know this name (of MIME, or one of the many seen in its place)? */
bool charset_known(struct str name);
/*
 * Loads every converter now and keeps it: for a process whose sandbox will close the
 * files they come from. Without it each is loaded when first needed.
 */
void charset_preload(void);

/*
 * Appends bytes as UTF-8; at most three bytes come out for each that goes in. An empty
 * or unknown charset, and US-ASCII with 8-bit bytes, is guessed.
 */
void charset_put_utf8(struct buf *out, struct str charset, struct str bytes);
/*
 * Text without a label: UTF-8 if it is that throughout, else Korean (CP949) if it is
 * that throughout, else ASCII with U+FFFD for the rest.
 */
void charset_put_guess(struct buf *out, struct str bytes);

/*
 * The same in pieces, for bodies that are not in memory whole. A label that would be
 * guessed counts as UTF-8 here.
 */
struct charset_reader;
struct charset_reader *charset_reader_new(struct str charset);
void charset_reader_feed(struct charset_reader *, struct buf *out, struct str bytes);
void charset_reader_end(struct charset_reader *, struct buf *out);
void charset_reader_free(struct charset_reader *);
