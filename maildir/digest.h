/* SPDX-License-Identifier: ISC */
/*
 * All that a search can find in a message, decoded and folded once, as search.db keeps it.
 * To look for folded text in it answers what search.c finds by reading the message
 * (reading.h, match.h). Pure; the bytes of a record are not trusted.
 *
 *   header  number of fields; length of the name, and of the whole line, of each; the lines
 *           "name: value CR LF"; length of the parts' texts, and these: headers of parts, names
 *           of attachments, each with BREAK behind; then the addresses that read otherwise in
 *           their field: number of the field, length, text of each. Numbers are varints.
 *   body    the bodies, each with BREAK behind
 */
#pragma once

#include "common/base/buf.h"
#include "common/mime/header.h"

enum {
	DIGEST_BYTES_MAX = 1 << 20,	/* of either record; a message with more text has no digest */
	DIGEST_BREAK = 0xFF,		/* in no UTF-8, so no match lies across it */
	DIGEST_BRIEF_MAX = 4096,	/* of a brief record; it is empty where it would have more */
};

struct digest {
	struct buf header;
	struct buf brief;	/* a header record of the fields that are most asked for, and no parts */
	struct buf body;
};

/* Is the field in brief records? */
bool digest_is_brief(struct str name);

void digest_free(struct digest *);
#define scoped_digest __attribute__((cleanup(digest_free))) struct digest
/* Replaces *out. False: the message has too much text. */
must_check bool digest_make(struct digest *out, struct str message);

/* A header record taken apart: views into it. */
struct digest_header {
	struct str lengths;	/* of the fields */
	size_t fields;
	struct str lines;	/* of all fields: one text */
	struct str parts;
	struct str addresses;	/* records */
};

/* False: damaged. */
must_check bool digest_read_header(struct str record, struct digest_header *out);
/*
 * Is the text in one of these fields? name and folded are folded; an empty text asks whether
 * there is such a field.
 */
bool digest_field_has(const struct digest_header *, struct str name, struct str folded);
/* In the whole header, as TEXT looks: in the lines, or the headers and names of parts. */
bool digest_header_has(const struct digest_header *, struct str folded);
/* In a body record. */
bool digest_body_has(struct str record, struct str folded);

/* Appends the texts of the address records, each with BREAK behind. */
void digest_put_addresses(struct buf *out, const struct digest_header *);

/* Is this a field whose addresses are compared as an envelope shows them too (RFC 3501 6.4.4)? */
bool digest_has_addresses(struct str name, struct str value);
/* Appends them as UTF-8, not folded. */
void digest_put_envelope(struct buf *out, struct str value);
