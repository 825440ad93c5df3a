/* SPDX-License-Identifier: ISC */
/*
 * The beginning of what a person reads in a message, as one line of plain UTF-8 (RFC 8970 3.3): its first text, of HTML
 * what is left without markup, styles and scripts; without what is quoted, unless there is nothing else. Pure: bytes
 * in, at most PREVIEW_CHARACTERS_MAX characters out, in one pass over each text.
 */
#pragma once

#include "common/base/buf.h"

enum {
	PREVIEW_CHARACTERS_MAX = 200,	/* RFC 8970 3.3 */
	PREVIEW_TEXTS_MAX = 20,		/* parts that are looked into until one has any */
};

/*
 * Appends the preview of a message, or of its beginning; nothing where it has no text that can be read. No controls, no
 * blanks at its ends or two in a row.
 */
void preview_put(struct buf *out, struct str message);
/* Of one text, UTF-8; appends nothing where there is none. */
void preview_put_plain(struct buf *out, struct str text);
void preview_put_html(struct buf *out, struct str html);
