/* SPDX-License-Identifier: ISC */
/*
 * Content-Transfer-Encoding (RFC 2045 6): decoders that take bytes in any pieces and
 * forgive what real mail does wrong, and encoders for what we write ourselves.
 */
#pragma once

#include "common/base/buf.h"

enum transfer_encoding {
	TRANSFER_IDENTITY,	/* 7bit, 8bit, binary, and none at all */
	TRANSFER_BASE64,
	TRANSFER_QUOTED_PRINTABLE,
	TRANSFER_UNKNOWN,	/* decodes to itself */
};

enum transfer_encoding transfer_of(struct str name);

/* Plain data; all zeros but the encoding is a beginning. The buffer is freed by _end. */
struct transfer {
	enum transfer_encoding encoding;
	uint32_t group;		/* base64: bits so far */
	uint32_t digits;	/* base64: digits in group */
	struct buf pending;	/* quoted-printable: "=", "=A", or blanks at a line's end */
};

/*
 * Appends what the bytes decode to: never more than they are. Base64 passes over
 * anything outside its alphabet, and goes on after padding; in quoted-printable an "="
 * that begins nothing stands for itself, and blanks at a line's end vanish.
 */
void transfer_feed(struct transfer *, struct buf *out, struct str bytes);
/* The rest; the struct is at its beginning again. */
void transfer_end(struct transfer *, struct buf *out);
/* Both at once. */
void transfer_decode(struct buf *out, enum transfer_encoding, struct str bytes);

/* Lines of 76 characters, each ending in CRLF. */
void transfer_put_base64(struct buf *out, struct str bytes);
/*
 * RFC 2045 6.7 for text: line ends (CRLF or bare LF) become CRLF, lines longer than
 * 76 are broken softly, a bare CR, blanks at a line's end and 8-bit bytes are encoded,
 * and so are a line's first '.' and the F of "From ", which mail programs meddle with.
 */
void transfer_put_quoted_printable(struct buf *out, struct str text);
