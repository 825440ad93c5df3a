/* SPDX-License-Identifier: ISC */
#include "pop3d/parse_command.h"

enum parse
parse_line(struct str input, size_t most, struct str *line, size_t *used)
{
	struct str window = str_sub(input, 0, most);
	size_t end = str_index(window, '\n');

	if (end == window.n)
		return input.n >= most ? BAD : MORE;
	*used = end + 1;
	*line = str_sub(window, 0, end);
	if (line->n > 0 && line->p[line->n - 1] == '\r')
		line->n--;
	return PARSED;
}

struct str
parse_verb(struct str line, struct str *rest)
{
	size_t n = str_index(line, ' ');

	*rest = str_from(line, n + 1);
	return str_sub(line, 0, n);
}

/* RFC 1939 3: decimal, from 1. */
static bool
parse_message(struct str word, uint32_t *out, const char **why)
{
	if (str_to_u32(word, out) && *out > 0)
		return true;
	*why = "a message number is wanted, 1 or more";
	return false;
}

bool
parse_arguments(enum arguments arguments, struct str rest, struct request *out,
    const char **why)
{
	struct str first, second, third;
	bool has_first, has_second;

	*out = (struct request){ .text = rest };
	if (arguments == TEXT && rest.n == 0) {
		*why = "something is missing after the command";
		return false;
	}
	if (arguments == TEXT || arguments == OPTIONAL_TEXT)
		return true;
	has_first = str_word(&rest, &first);
	has_second = str_word(&rest, &second);
	if (arguments == NOTHING ? has_first :
	    arguments == MESSAGE_AND_LINES ? str_word(&rest, &third) : has_second) {
		*why = "there is too much after the command";
		return false;
	}
	if (arguments == NOTHING || (arguments == OPTIONAL_MESSAGE && !has_first))
		return true;
	if (!parse_message(first, &out->message, why))
		return false;
	if (arguments == MESSAGE_AND_LINES && !str_to_u32(second, &out->lines)) {
		*why = "a number of lines is wanted after the message number";
		return false;
	}
	return true;
}
