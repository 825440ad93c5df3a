/* SPDX-License-Identifier: ISC */
/*
 * Finished texts of IMAP's FETCH (RFC 3501 7.4.2): ENVELOPE, BODY, BODYSTRUCTURE, made
 * once at delivery and copied from then on. Strings are quoted where seven bits and one
 * line suffice, else literals ("{5}" CRLF ...); header text is unfolded, not decoded.
 * NUL, which IMAP cannot carry, is left out.
 */
#pragma once

#include "common/mime/part.h"

/* What one text may hold; beyond it lists end early and envelopes within are empty (NIL). */
enum {
	RENDER_ADDRESSES_MAX = 20000,
	RENDER_ENVELOPES_MAX = 1024 * 1024,	/* text before one more inner envelope */
};

/*
 * Of a header (or a message): "(date subject from sender reply-to to cc bcc in-reply-to
 * message-id)". Several To, Cc or Bcc fields are joined; else the first field counts.
 */
void render_envelope(struct buf *out, struct str header);
/* The root of part_parse, and the message it was made of. */
void render_bodystructure(struct buf *out, const struct part *root, struct str message);
/* Of that text; false, and nothing put, where it is no such text. */
must_check bool render_body(struct buf *out, struct str bodystructure);
/*
 * A string of IMAP, quoted or literal; NIL where p is NULL. A quoted one holds no byte
 * above 126 and no CR or LF.
 */
void render_string(struct buf *out, struct str s);
/* A quoted string of IMAP; the caller has seen that quotes can hold it. */
void render_quoted(struct buf *out, struct str s);
