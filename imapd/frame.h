/* SPDX-License-Identifier: ISC */
/*
 * Where a command ends: finds the lines and literals of one command in the octets
 * that came so far (RFC 3501 2.2.1, 4.3, 7.5; LITERAL+ of RFC 7888), in linear time however they are
 * chopped, and skips what is refused. A literal that carries the message of an APPEND or REPLACE is
 * never collected: the frame stops before it.
 *
 *	frame_next(&frame, limits, buf_str(&input));
 *	... act on the answer, then buf_take(&input, frame.consumed)
 */
#pragma once

#include "common/base/str.h"

struct frame_limits {
	size_t line;		/* octets of one line, line end included */
	size_t literal;		/* octets of one literal, messages excepted */
	size_t command;		/* all lines and literals of one command */
};

/* For somebody we do not know yet, and after login. */
extern const struct frame_limits frame_limits_stranger;
extern const struct frame_limits frame_limits_user;

enum { TAG_MAX = 128 };		/* a longer tag counts as none */

enum framed {
	/* More octets are needed: read and call again. */
	FRAME_MORE,
	/* What was refused earlier is being skipped: take .consumed and call again at once. */
	FRAME_SKIPPED,
	/* The client waits to send a literal: say "+ ", flush, call again. */
	FRAME_GO_AHEAD,
	/* The first .consumed octets are one whole command with its line end. */
	FRAME_COMMAND,
	/*
	 * The first .consumed octets are an APPEND or REPLACE up to and with the "{n}" CRLF of its message:
	 * parse them, take them; then call frame_append_refused, or say "+ " if .waits, take
	 * .literal octets from the connection and call frame_append_received.
	 */
	FRAME_APPEND,
	/* After frame_append_received: they announce one more message (RFC 3502). As above. */
	FRAME_APPEND_NEXT,
	/* After frame_append_received: they end the command. Parse and take them; publish if they are as they should be. */
	FRAME_APPENDED,
	/*
	 * Refused: .why; answer BAD with .tag ("*" if empty). What is left of the command is skipped by
	 * the following calls, .literal octets of it announced already. After an APPEND's
	 * literal: abandon the messages. With .lost the end cannot be found: say BYE.
	 */
	FRAME_BAD,
};

/* Zero it for a new connection (and when its plaintext is thrown away for TLS). */
struct frame {
	/* Results; read-only for the caller. */
	size_t consumed;	/* octets of the input to take now */
	struct str tag;		/* view of the input; empty: none was recognised */
	uint64_t literal;	/* APPEND, BAD: octets of the literal that follows */
	bool waits;		/* ... and its sender waits for "+ " */
	bool lost;
	const char *why;	/* static text */
	/* Own business. */
	enum framing {
		FRAMING_LINE, FRAMING_LITERAL, FRAMING_MESSAGE, FRAMING_TAIL,
		FRAMING_SKIP_LINE, FRAMING_SKIP_LITERAL,
	} step;
	size_t line;		/* where the line being read begins */
	size_t scanned;		/* no line end before this */
	uint64_t left;		/* octets of a literal still to come */
};

/* `input`: what came and was not taken, from the command's first octet. */
enum framed frame_next(struct frame *, const struct frame_limits *, struct str input);
/* After FRAME_APPEND and its .consumed: the literal was taken by the caller. */
void frame_append_received(struct frame *);
/*
 * ... or will not be: a client that waits will not send it, what another sends is skipped (.literal
 * octets: end the connection instead if that is too much).
 */
void frame_append_refused(struct frame *);
