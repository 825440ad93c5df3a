/* SPDX-License-Identifier: ISC */
/*
 * Replies of other servers: "250-first", "250 last", each line with the same code (RFC 5321 4.2.1). A
 * bare LF ends a line too: we read it from others, and never write it. Every line is looked at once.
 */
#include "smtpd/parse_reply.h"

/* One line with its code: "250", "250 text" or "250-text". */
static bool
parse_line(struct str line, unsigned *code, bool *last)
{
	if (line.n < 3 || line.p[0] < '2' || line.p[0] > '5' || !ascii_is_digit(line.p[1]) ||
	    !ascii_is_digit(line.p[2]))
		return false;
	if (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-')
		return false;
	*code = (unsigned)(line.p[0] - '0') * 100 + (unsigned)(line.p[1] - '0') * 10 +
	    (unsigned)(line.p[2] - '0');
	*last = line.n == 3 || line.p[3] == ' ';
	return true;
}

static struct str
without_line_end(struct str line)
{
	if (str_ends(line, STR("\n")))
		line.n--;
	if (str_ends(line, STR("\r")))
		line.n--;
	return line;
}

enum parse
parse_reply(struct str input, struct reply *out, size_t *used, const char **why)
{
	struct str rest = input;
	unsigned code, first_code = 0;
	bool last = false;

	while (!last) {
		size_t n = str_index(str_sub(rest, 0, REPLY_LINE_MAX), '\n');

		if (n == REPLY_LINE_MAX)
			return *why = "a line of the reply is too long", BAD;
		if (n == rest.n)
			return MORE;
		if (!parse_line(without_line_end(str_sub(rest, 0, n + 1)), &code, &last))
			return *why = "not an SMTP reply", BAD;
		if (first_code != 0 && code != first_code)
			return *why = "the lines of the reply have different codes", BAD;
		first_code = code;
		rest = str_from(rest, n + 1);
		if (input.n - rest.n > REPLY_MAX)
			return *why = "the reply is too long", BAD;
	}
	*used = input.n - rest.n;
	*out = (struct reply){ .code = first_code, .lines = str_sub(input, 0, *used) };
	return PARSED;
}

bool
reply_next_line(struct str *lines, struct str *text)
{
	size_t n = str_index(*lines, '\n');

	if (lines->n == 0)
		return false;
	*text = str_from(without_line_end(str_sub(*lines, 0, n + 1)), 4);
	*lines = str_from(*lines, n + 1);
	return true;
}

/* One to three digits (RFC 3463 2). */
static bool
is_status_part(struct str part)
{
	uint32_t n;

	return part.n <= 3 && str_to_u32(part, &n);
}

struct str
reply_status(const struct reply *reply)
{
	struct str lines = reply->lines, text, word, status, part;
	int parts = 0;

	if (!reply_next_line(&lines, &text) || !str_word(&text, &word))
		return STR_EMPTY;
	status = word;
	/* RFC 2034 4: the class is the first digit of the code. */
	if (status.n < 2 || (unsigned)(status.p[0] - '0') != reply->code / 100 ||
	    status.p[1] != '.')
		return STR_EMPTY;
	while (str_cut(&word, '.', &part)) {
		if (!is_status_part(part))
			return STR_EMPTY;
		parts++;
	}
	return parts == 3 && !str_ends(status, STR(".")) ? status : STR_EMPTY;
}

void
reply_put_text(struct buf *out, const struct reply *reply, size_t most)
{
	struct str lines = reply->lines, text;
	size_t end = out->n + most;

	buf_put_u64(out, reply->code);
	while (out->n < end && reply_next_line(&lines, &text)) {
		text = str_trim(text);
		if (text.n > 0)
			buf_put_c(out, ' ');
		for (size_t i = 0; i < text.n && out->n < end; i++)
			buf_put_c(out, text.p[i] >= ' ' && text.p[i] <= '~' ? text.p[i] : '?');
	}
	if (out->n > end)
		buf_cut(out, end);
}
