/* SPDX-License-Identifier: ISC */
/*
 * The header of a message or a part as a row of fields (RFC 5322 2.2). Lines may
 * end in CRLF or bare LF; a line that is no field (an mbox "From " line, a line
 * without a colon) is passed over. Everything points into the bytes given, so
 * offsets stay true.
 */
#pragma once

#include "common/base/buf.h"

/* Fields beyond these are not seen; the bytes stay part of the header all the same. */
enum { HEADER_BYTES_MAX = 1024 * 1024, HEADER_FIELDS_MAX = 10000 };

struct header_field {
	struct str raw;		/* name to the last line end, as it stands */
	struct str name;	/* without the colon, and white space before it */
	struct str value;	/* still folded; without white space at its ends */
};

struct header_walk {
	struct str rest;
	size_t fields;
};

/* How long the header is, its ending blank line included; all where there is none. */
size_t header_end(struct str message);
/* The length of the line at the front, its line end included. */
size_t header_line(struct str bytes);
/* Is this line (with or without its end) the blank one that ends a header? */
bool header_line_is_blank(struct str line);

/* Walks a header (or a whole message: it stops at the blank line). */
struct header_walk header_walk(struct str header);
bool header_next(struct header_walk *, struct header_field *);
/* The first field of that name; false, and nothing changed, where there is none. */
bool header_find(struct str header, struct str name, struct header_field *);

/*
 * RFC 5322 2.2.3: appends a value with its folds undone (the white space after a
 * line end stays); CR, LF and NUL never come out.
 */
void header_put_unfolded(struct buf *out, struct str value);

enum header_pick { HEADER_ONLY, HEADER_ALL_BUT };

/*
 * RFC 3501 6.4.5, HEADER.FIELDS and HEADER.FIELDS.NOT: the fields with (or without)
 * one of these names as they stand, in the order of the message, and the blank line.
 */
void header_put_fields(struct buf *out, struct str header, enum header_pick,
    const struct str *names, size_t count);
