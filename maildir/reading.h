/* SPDX-License-Identifier: ISC */
/*
 * What a person could read in a message, as UTF-8 in pieces: the bodies of all text/ and
 * message/ parts, at any depth, with transfer encoding and charset undone; the headers of
 * the parts and of messages within; names of attachments. Not the message's own header,
 * other kinds of parts, and what stands between the parts (RFC 3501 6.4.4 allows it). Pure.
 */
#pragma once

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/mime/header.h"

enum {
	/*
	 * Octets of a body taken in one step; four times as much text comes out at most. Of
	 * a header it is one field, see HEADER_BYTES_MAX. Parts and depth: common/mime/part.h.
	 */
	READING_PIECE = 16 * 1024,
};

enum reading_step {
	READING_HEADER,		/* appended (maybe nothing) of a header or a name */
	READING_BODY,		/* of a body */
	READING_TEXT_ENDS,	/* what follows is another text */
	READING_ENDS,
};

struct reading;

/* Never fails; the message's bytes live until reading_free. */
struct reading *reading_new(struct str message);
/* Appends the next piece, always whole characters. */
enum reading_step reading_next(struct reading *, struct buf *out);
/* Takes NULL. */
void reading_free(struct reading *);

/*
 * Appends a field's value unfolded and decoded (RFC 2047); a tab, which mostly comes from
 * folding, is a space.
 */
void reading_put_value(struct buf *out, struct str value);
/* "Name: value" with its line end, the same way. */
void reading_put_field(struct buf *out, const struct header_field *);
