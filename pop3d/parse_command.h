/* SPDX-License-Identifier: ISC */
/* A line of a POP3 client (RFC 1939 3, RFC 2449 4). Pure. */
#pragma once

#include "common/base/str.h"

enum {
	COMMAND_LINE_MAX = 1024,	/* octets, CRLF included; RFC 2449 4 asks for 255 */
};

/* What may follow a command's name. */
enum arguments { NOTHING, TEXT, OPTIONAL_TEXT, MESSAGE, OPTIONAL_MESSAGE, MESSAGE_AND_LINES };

struct request {
	struct str text;	/* TEXT: all that follows the first blank, as it is */
	uint32_t message;	/* 0: none was given */
	uint32_t lines;
};

/*
 * Takes a line's length, end included: PARSED with *line without its end and *used; MORE; BAD
 * when it is longer than `most`. A lone LF ends a line too.
 */
enum parse parse_line(struct str input, size_t most, struct str *line, size_t *used);
/* The verb in front; *rest is what follows its blank. */
struct str parse_verb(struct str line, struct str *rest);
/* False with *why where what follows does not fit. */
must_check bool parse_arguments(enum arguments, struct str rest, struct request *out,
    const char **why);
