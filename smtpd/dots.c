/* SPDX-License-Identifier: ISC */
/*
 * DATA's un-dotting, RFC 5321 4.5.2. Whole runs of text are found with memchr and copied at once; the state
 * machine is for the octets around line ends, where all the danger is.
 */
#include "smtpd/dots.h"

bool
dots_at_end(const struct dots *dots)
{
	return dots->at == DOTS_AT_END;
}

static void
count_line(struct dots *dots, size_t n)
{
	dots->line += n;
	if (dots->line > DOTS_LINE_MAX)
		dots->faults |= DOTS_LONG_LINE;
}

/*
 * Octets before the first CR or LF. In good text the LF is at the end of this very line; once a CR or LF
 * stood alone, looking for the other one could read far ahead each time.
 */
static size_t
text_length(const struct dots *dots, struct str input)
{
	size_t n = 0;

	if (!(dots->faults & DOTS_BARE))
		return str_index(str_sub(input, 0, str_index(input, '\n')), '\r');
	while (n < input.n && input.p[n] != '\r' && input.p[n] != '\n')
		n++;
	return n;
}

/* Octets of one line up to, not with, its CR or a bare LF. */
static size_t
take_text(struct dots *dots, struct str input, struct buf *out)
{
	struct str text = str_sub(input, 0, text_length(dots, input));

	if (str_has_char(text, '\0'))
		dots->faults |= DOTS_NUL;
	count_line(dots, text.n);
	buf_put(out, text);
	if (text.n > 0)
		dots->at = DOTS_AT_TEXT;
	return text.n;
}

/*
 * At the start of a line: whole good lines that begin with no dot, as many as there are, copied at once. 0: the
 * first is not one of these, or is not all here.
 */
static size_t
take_lines(struct dots *dots, struct str input, struct buf *out)
{
	struct str lines;
	size_t n = 0, lf;

	/* As in text_length: never far ahead again and again. */
	while (n < input.n && input.p[n] != '.' && !(dots->faults & DOTS_BARE)) {
		struct str rest = str_from(input, n);

		lf = str_index(rest, '\n');
		if (lf == rest.n || lf == 0 || lf - 1 > DOTS_LINE_MAX ||
		    str_index(str_sub(rest, 0, lf), '\r') != lf - 1)
			break;
		n += lf + 1;
	}
	lines = str_sub(input, 0, n);
	if (str_has_char(lines, '\0'))
		dots->faults |= DOTS_NUL;
	buf_put(out, lines);
	return n;
}

/* One CR or LF where text may stand. */
static void
take_line_end(struct dots *dots, char c, struct buf *out)
{
	if (c == '\r') {
		dots->at = DOTS_AT_CR;
	} else if (dots->mend) {
		buf_put(out, STR("\r\n"));
		dots->at = DOTS_AT_MENDED;
		dots->line = 0;
	} else {
		dots->faults |= DOTS_BARE;
		buf_put_c(out, c);
		dots->at = DOTS_AT_TEXT;
	}
}

/* After a CR: only LF makes it a line end; anything else is looked at again as text. */
static size_t
take_after_cr(struct dots *dots, char c, struct buf *out)
{
	buf_put_c(out, '\r');
	if (c != '\n') {
		dots->faults |= DOTS_BARE;
		dots->at = DOTS_AT_TEXT;
		return 0;
	}
	buf_put_c(out, '\n');
	dots->at = DOTS_AT_LINE;
	dots->line = 0;
	return 1;
}

/* One octet, or a run of them, in the state that it finds; returns how many were used. */
static size_t
take_some(struct dots *dots, struct str input, struct buf *out)
{
	char c = input.p[0];
	size_t n;

	switch (dots->at) {
	case DOTS_AT_LINE:
		if (c == '.') {
			dots->at = DOTS_AT_DOT;
			return 1;
		}
		n = take_lines(dots, input, out);
		if (n > 0)
			return n;
		break;
	case DOTS_AT_DOT:
		if (c == '\r') {
			dots->at = DOTS_AT_DOT_CR;
			return 1;
		}
		/* RFC 5321 4.5.2: the first dot of a longer line is not part of it. */
		dots->at = DOTS_AT_TEXT;
		return 0;
	case DOTS_AT_DOT_CR:
		if (c == '\n') {
			dots->at = DOTS_AT_END;
			return 1;
		}
		return take_after_cr(dots, c, out);
	case DOTS_AT_CR:
		return take_after_cr(dots, c, out);
	case DOTS_AT_MENDED:
		if (c == '.') {
			dots->at = DOTS_AT_MENDED_DOT;
			return 1;
		}
		break;
	case DOTS_AT_MENDED_DOT:
		/* Some double the dots of such lines, some do not: only a doubled one is one too many. */
		buf_put_c(out, '.');
		dots->at = DOTS_AT_TEXT;
		return c == '.' ? 1 : 0;
	case DOTS_AT_TEXT:
	case DOTS_AT_END:
		break;
	}
	if (c == '\r' || c == '\n') {
		take_line_end(dots, c, out);
		return 1;
	}
	return take_text(dots, input, out);
}

size_t
dots_take(struct dots *dots, struct str input, struct buf *out)
{
	size_t used = 0;

	while (used < input.n && dots->at != DOTS_AT_END)
		used += take_some(dots, str_from(input, used), out);
	return used;
}
