/* SPDX-License-Identifier: ISC */
/* The other server's replies (RFC 5321 4.2), with their enhanced status codes (RFC 3463). Pure. */
#pragma once

#include "common/base/buf.h"

enum {
	REPLY_LINE_MAX = 2048,		/* octets; RFC 5321 4.5.3.1.5 says 512, some send more */
	REPLY_MAX = 16 * 1024,		/* octets of all lines of one reply */
};

struct reply {
	unsigned code;		/* 200 .. 599 */
	struct str lines;	/* as they came, every line with its code and line end */
};

/* PARSED: *used octets are the reply, a view of input. BAD: *why. */
must_check enum parse parse_reply(struct str input, struct reply *out, size_t *used,
    const char **why);
/* Takes the text of the next line off *lines, without code and line end. False at the end. */
must_check bool reply_next_line(struct str *lines, struct str *text);
/* "5.1.1" at the start of the text, of the class of the reply's code; empty where there is none. */
struct str reply_status(const struct reply *);
/*
 * The whole as one printable line for logs and people: "550 5.1.1 no such user"; lines joined by a blank, what
 * is not printable ASCII as '?', at most `most` octets.
 */
void reply_put_text(struct buf *out, const struct reply *, size_t most);
