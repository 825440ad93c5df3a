/* SPDX-License-Identifier: ISC */
/*
 * What SORT and THREAD compare of a message (RFC 5256, RFC 5957), taken from its header once and
 * kept as a record in search.db. Texts are folded, so that comparing octets is comparing without case.
 * Message-IDs are kept as 64-bit hashes; who makes two alike gains what a false References field
 * gives him anyway. Pure; the bytes of a record are not trusted.
 *
 *   sent date, seconds since 1970 plus 2^40 (varint); day of it since 1970 plus 2^22 (varint);
 *   1 where the subject is of a reply or forward, else 0; each text, its length before it (varint);
 *   hash of the Message-ID, 0 where there is none; number of references (varint); their hashes
 *   (eight octets each, the lowest first)
 */
#pragma once

#include "common/base/buf.h"

enum {
	SORTING_TEXT_MAX = 1000,	/* octets of each text; what is longer is cut */
	SORTING_REFERENCES_MAX = 100,	/* the first one, and the last ones */
};

enum sorting_text {
	SORTING_SUBJECT,	/* base subject */
	SORTING_FROM,		/* mailbox of the first address */
	SORTING_TO,
	SORTING_CC,
	SORTING_DISPLAY_FROM,	/* its name, else the whole address */
	SORTING_DISPLAY_TO,
	SORTING_TEXT_COUNT,
};

struct sorting {
	int64_t sent;		/* seconds; the internal date where the Date field is missing or broken */
	int32_t sent_day;
	bool is_reply;
	struct str text[SORTING_TEXT_COUNT];
	uint64_t id;
	struct str references;	/* of sorting_reference */
	size_t reference_count;	/* oldest first */
};

/* Appends the record of a message with this header. */
void sorting_put(struct buf *out, struct str header, int64_t internal_date);
/*
 * The Message-ID that its thread begins with, as far as it tells: the first of References, else of In-Reply-To, else its
 * own, without what does not matter when ids are compared (RFC 5256 3). False, and nothing put: it has none of them.
 */
must_check bool sorting_put_root(struct buf *out, struct str header);
/* False: damaged. Views into the record. */
must_check bool sorting_read(struct str record, struct sorting *out);
uint64_t sorting_reference(const struct sorting *, size_t n);
