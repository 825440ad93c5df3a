/* SPDX-License-Identifier: ISC */
/*
 * A part's body with its transfer encoding undone (RFC 3516 4.2), in pieces of any size; text has CRLF at the end of each
 * line, whatever was encoded (section 6). Pure.
 */
#pragma once

#include "common/mime/transfer.h"

struct binary_reader;

/* TRANSFER_UNKNOWN is the caller's to refuse (RFC 3516 4.3). */
struct binary_reader *binary_reader_new(enum transfer_encoding, bool is_text);
/* Takes NULL. */
void binary_reader_free(struct binary_reader *);
/* Appends what the bytes decode to: at most twice as many. */
void binary_reader_feed(struct binary_reader *, struct buf *out, struct str bytes);
/* The rest, after the last bytes; then it is at its beginning again. */
void binary_reader_end(struct binary_reader *, struct buf *out);
