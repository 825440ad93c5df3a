/* SPDX-License-Identifier: ISC */
/*
 * One line at a time; see line.h. `seen` never points behind a CR whose
 * LF may still come, so a line end that is cut in two is found.
 */
#include "smtpd/line.h"

/* The first CR, LF or NUL from `from` on, or input.n. */
static size_t
find_special(struct str input, size_t from)
{
	while (from < input.n && input.p[from] != '\r' && input.p[from] != '\n' &&
	    input.p[from] != '\0')
		from++;
	return from;
}

static enum line_result
end_line(struct line *line, enum line_result result, size_t consumed)
{
	line->seen = 0;
	line->skipping = false;
	line->consumed = consumed;
	return result;
}

enum line_result
line_next(struct line *line, struct str input, size_t limit)
{
	size_t at = find_special(input, line->seen);
	bool too_long = line->skipping || at > limit;

	line->consumed = 0;
	if (at == input.n || (input.p[at] == '\r' && at + 1 == input.n)) {
		line->seen = at;
		if (too_long) {
			line->skipping = true;
			line->consumed = at;
			line->seen = 0;
		}
		return LINE_MORE;
	}
	if (input.p[at] != '\r' || input.p[at + 1] != '\n')
		return end_line(line, LINE_BARE, at + 1);
	line->text = str_sub(input, 0, at);
	return end_line(line, too_long ? LINE_TOO_LONG : LINE_GOT, at + 2);
}
