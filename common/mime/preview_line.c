/* SPDX-License-Identifier: ISC */
#include "common/mime/preview_line.h"

#include "common/base/utf8.h"
#include "common/mime/preview.h"

enum { REPLACEMENT = 0xFFFD, ZWNJ = 0x200C, ZWJ = 0x200D };

bool
preview_line_is_full(const struct preview_line *p)
{
	return p->count >= PREVIEW_CHARACTERS_MAX;
}

static bool
is_between(uint32_t c, uint32_t first, uint32_t last)
{
	return c >= first && c <= last;
}

/* Controls separate words; so do the blanks of Unicode. */
static bool
is_blank(uint32_t c)
{
	return c <= ' ' || is_between(c, 0x7F, 0xA0) || is_between(c, 0x2000, 0x200A) || c == 0x1680 ||
	    c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/* Soft hyphens, joiners that fill a line, marks that turn the direction of what stands around it. */
static bool
is_unseen(uint32_t c)
{
	return c == 0xAD || c == 0x34F || c == 0x61C || c == 0x180E || c == 0x200B || c == 0x200E || c == 0x200F ||
	    c == 0xFEFF || is_between(c, 0x202A, 0x202E) || is_between(c, 0x2060, 0x206F) ||
	    is_between(c, 0xFFF9, 0xFFFB) || is_between(c, 0xE0000, 0xE0FFF);
}

void
preview_line_put_character(struct preview_line *p, uint32_t c)
{
	if (is_blank(c)) {
		p->blank = true;
		return;
	}
	/* Joiners belong between letters; some senders fill lines with them. */
	if (is_unseen(c) || ((c == ZWNJ || c == ZWJ) && (p->blank || p->count == 0)))
		return;
	/* The last place is not for a blank that nothing follows. */
	if (p->blank && p->count > 0 && p->count + 1 < PREVIEW_CHARACTERS_MAX) {
		buf_put_c(p->out, ' ');
		p->count++;
	} else if (p->blank && p->count > 0) {
		p->count = PREVIEW_CHARACTERS_MAX;
	}
	p->blank = false;
	if (preview_line_is_full(p))
		return;
	utf8_put(p->out, c);
	p->count++;
}

void
preview_line_put(struct preview_line *p, struct str text)
{
	uint32_t c;

	while (text.n > 0 && !preview_line_is_full(p)) {
		if (!utf8_next(&text, &c)) {
			c = REPLACEMENT;
			text = str_from(text, 1);
		}
		preview_line_put_character(p, c);
	}
}

void
preview_line_end(struct preview_line *p)
{
	const struct str mark = STR("\xEF\xBF\xBD");
	struct str line = str_from(buf_str(p->out), p->from);

	while (str_ends(line, mark) || str_ends(line, STR(" ")))
		line.n -= str_ends(line, mark) ? mark.n : 1;
	buf_cut(p->out, p->from + line.n);
}
