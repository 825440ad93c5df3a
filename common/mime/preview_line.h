/* SPDX-License-Identifier: ISC */
/*
 * One line of text as it grows, character by character: white space of any kind becomes one blank, controls and what
 * cannot be seen are left out, and it ends at PREVIEW_CHARACTERS_MAX. Of the files of preview.h.
 */
#pragma once

#include "common/base/buf.h"

struct preview_line {
	struct buf *out;
	size_t from;		/* where it begins in out */
	size_t count;		/* characters */
	bool blank;		/* one is due before the next character */
};

bool preview_line_is_full(const struct preview_line *);
void preview_line_put_character(struct preview_line *, uint32_t character);
/* UTF-8; what is not becomes U+FFFD. */
void preview_line_put(struct preview_line *, struct str text);
/* What was cut off in the middle of a character leaves nothing behind. */
void preview_line_end(struct preview_line *);
