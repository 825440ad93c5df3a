/* SPDX-License-Identifier: ISC */
/*
 * The lines of DATA up to the one that is a single dot (RFC 5321 4.1.1.4, 4.5.2). Only CRLF "." CRLF
 * ends them: a CR or LF that stands alone neither begins nor ends a line, it is a fault
 * of the message, which is read to its true end and then refused (RFC 5321 2.3.8; what two servers read in two ways is
 * how mail is smuggled). Of our own users a lone LF is mended instead: Python's smtplib and curl send
 * text as they find it, and are not to know. It still ends nothing. Pure and incremental: any
 * chopping gives the same result.
 */
#pragma once

#include "common/base/buf.h"

enum { DOTS_LINE_MAX = 64 * 1024 };	/* octets; RFC 5321 4.5.3.1.6 asks for 998 and lets us take more */

enum dots_fault {
	DOTS_BARE = 1,		/* CR without LF, or LF without CR that is not mended */
	DOTS_NUL = 2,		/* RFC 5322 has none, and IMAP could not hand it out (RFC 3501 4.3) */
	DOTS_LONG_LINE = 4,
};

struct dots {
	enum dots_at {
		DOTS_AT_LINE,	/* the next octet begins a line; so does DATA itself */
		DOTS_AT_DOT,	/* after a dot that began a line */
		DOTS_AT_DOT_CR,	/* ... and a CR */
		DOTS_AT_TEXT,
		DOTS_AT_CR,	/* in a line, after a CR */
		DOTS_AT_MENDED,	/* after a lone LF that became CRLF */
		DOTS_AT_MENDED_DOT,
		DOTS_AT_END,
	} at;
	size_t line;		/* octets of this line so far */
	unsigned faults;	/* enum dots_fault, or-ed */
	bool mend;		/* by the caller, at the start: a lone LF becomes CRLF */
};
#define DOTS_INIT ((struct dots){ 0 })

/*
 * Appends the message's octets in input to *out (line ends CRLF; with faults whatever was there), and returns how
 * many octets of input were used: all of them, unless the end was among them.
 */
size_t dots_take(struct dots *, struct str input, struct buf *out);
bool dots_at_end(const struct dots *);
