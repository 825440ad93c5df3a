/* SPDX-License-Identifier: ISC */
/*
 * A message taken apart (RFC 2045, 2046): a tree of parts, each with the place of its
 * header and body in the bytes given. Whatever the bytes are, there is a tree, it is
 * made in one pass, and its limits are below. Strings and parts live in the arena, or
 * point into the message, which must live as long.
 */
#pragma once

#include "common/mime/param.h"

enum {
	PART_DEPTH_MAX = 100,	/* a deeper multipart or message is application/octet-stream */
	PART_COUNT_MAX = 10000,	/* what follows stays in the multipart's body, as no part */
	/* Bytes of MIME headers that are looked at, all parts together. */
	PART_HEADERS_MAX = 1024 * 1024,
	PART_BOUNDARY_MAX = 1000,	/* RFC 2046 5.1.1 says 70; longer ones are none */
	PART_LANGUAGES_MAX = 50,
};

enum part_kind {
	PART_LEAF,
	PART_MULTIPART,		/* has at least one child */
	PART_MESSAGE,		/* message/rfc822: its one child is the message within */
};

struct part_language {
	STAILQ_ENTRY(part_language) link;
	struct str tag;
};
STAILQ_HEAD(part_language_list, part_language);

/* Header fields are unfolded, without comments where they have structure; p is NULL where absent. */
struct part {
	STAILQ_ENTRY(part) link;
	STAILQ_HEAD(part_list, part) children;
	enum part_kind kind;

	size_t header_at, header_size;	/* blank line included */
	size_t body_at, body_size;	/* without the line end that belongs to a boundary */
	size_t body_lines;		/* LFs in the body */

	struct str type, subtype;	/* lower case; "text" "plain" by default */
	struct param_list params;
	struct str id, description, md5, location;
	struct str encoding;		/* lower case; "7bit" by default */
	struct str disposition;		/* lower case */
	struct param_list disposition_params;
	struct part_language_list languages;
};

/* Never fails. A message without any MIME field is one text/plain leaf (RFC 2045 5.2). */
struct part *part_parse(struct arena *, struct str message);

/* What a section of RFC 3501 6.4.5 names behind its numbers. */
enum part_section { PART_WHOLE, PART_HEADER, PART_TEXT, PART_MIME };

/*
 * The part at "1.2.3": NULL where there is none. No numbers: the root. A leaf that is
 * the whole of a message is its part 1.
 */
const struct part *part_find(const struct part *root, const uint32_t *numbers, size_t count);
/*
 * The bytes of BODY[1.2.HEADER] and the like, header fields not yet picked. Without
 * numbers: the message, its header, its text. HEADER and TEXT need a message/rfc822 part
 * else. False, and nothing changed, where the message has no such section.
 */
bool part_find_section(const struct part *root, struct str message, const uint32_t *numbers,
    size_t count, enum part_section, struct str *bytes);
/* The fields of the header, the blank line included, and the body, as they stand. */
struct str part_header(const struct part *, struct str message);
struct str part_body(const struct part *, struct str message);
