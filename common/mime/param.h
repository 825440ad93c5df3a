/* SPDX-License-Identifier: ISC */
/*
 * Fields of the form "value; name=value" (RFC 2045 5.1, RFC 2183), and what RFC 2231
 * makes of their parameters: pieces are joined, charset and percent signs undone only
 * when a reader asks for UTF-8.
 */
#pragma once

#include <sys/queue.h>

#include "common/base/arena.h"
#include "common/base/buf.h"

/* Parameters of one field, pieces of RFC 2231 counted singly; the rest is dropped. */
enum { PARAM_MAX = 100 };

struct param {
	STAILQ_ENTRY(param) link;
	/* Lower case. Ends in '*' where the value is charset'language'percent-text. */
	struct str name;
	struct str value;	/* without quotes; not decoded */
};
STAILQ_HEAD(param_list, param);

/*
 * Reads ";a=b; c=d" with white space, comments, missing or superfluous semicolons and
 * unquoted values with blanks at their end. RFC 2231 3: "a*0" "a*1" become one "a" (or
 * "a*", RFC 2231 4.1) at the place of the first. The list lives in the arena.
 */
void param_parse(struct arena *, struct str text, struct param_list *list);
/* The value as it stands; p is NULL where there is none. Name in lower case. */
struct str param_get(const struct param_list *, struct str name);
/*
 * Appends the value as UTF-8, whether RFC 2231, RFC 2047 (forbidden there, and common)
 * or raw 8-bit was used. False, and nothing appended, where there is none.
 */
bool param_put_utf8(struct buf *out, const struct param_list *, struct str name);
