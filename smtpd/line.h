/* SPDX-License-Identifier: ISC */
/*
 * Command lines out of the bytes that came. Only CRLF ends a line (RFC 5321 2.3.8); what is
 * longer than the limit is swallowed to its end without being kept. Pure, linear in all.
 */
#pragma once

#include "common/base/str.h"

enum {
	LINE_COMMAND_MAX = 2048,	/* octets without CRLF; RFC 5321 4.5.3.1.4 asks for 510 and more */
	LINE_AUTH_MAX = 12288,		/* RFC 4954 4 */
};

enum line_result {
	LINE_MORE,	/* not here yet; take .consumed */
	LINE_GOT,
	LINE_TOO_LONG,	/* it has ended now */
	LINE_BARE,	/* a CR or LF that is no line end, or a NUL: nobody means that */
};

/* All zero at the start of a connection, and again when its plaintext is dropped for TLS. */
struct line {
	size_t seen;		/* octets of input already looked at */
	bool skipping;
	size_t consumed;	/* result: take so many octets of the input, line end included */
	struct str text;	/* result of LINE_GOT: a view of the input, without CRLF */
};

/* input: all that came and was not taken. limit holds for the line that begins there. */
must_check enum line_result line_next(struct line *, struct str input, size_t limit);
