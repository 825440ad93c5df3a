/* SPDX-License-Identifier: ISC */
/* A message on its way out, as DATA wants it (RFC 5321 4.5.2, 2.3.8). Pure. */
#pragma once

#include "common/base/buf.h"

/* Zero to begin with. */
struct stuffing {
	bool after_cr;
	bool inside_line;	/* not at the first octet of a line */
};

/*
 * Appends bytes with a dot doubled at each start of a line. A CR or LF alone becomes CRLF: there is
 * no other line end in SMTP, and a bare one is how mail is smuggled.
 */
void stuff_put(struct stuffing *, struct buf *out, struct str bytes);
/* The end of the message: completes the last line, then ".CRLF". */
void stuff_end(struct stuffing *, struct buf *out);
