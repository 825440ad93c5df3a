/* SPDX-License-Identifier: ISC */
/* Any bytes as POP3 lines: each is taken whole, and every kind of arguments is read or refused with a reason. */
#include "pop3d/parse_command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_line(struct str line)
{
	struct str rest, verb = parse_verb(line, &rest);

	if (str_has_char(line, '\n') || verb.n > line.n || rest.n > line.n)
		fatal("a line beyond its end");
	for (int kind = NOTHING; kind <= MESSAGE_AND_LINES; kind++) {
		struct request request = { .message = 0 };
		const char *why = NULL;
		bool good = parse_arguments((enum arguments)kind, rest, &request, &why);

		if (!good && why == NULL)
			fatal("refused without a reason");
		if (good && (kind == MESSAGE || kind == MESSAGE_AND_LINES) && request.message == 0)
			fatal("there is no message 0");
		if (good && kind == TEXT && request.text.n == 0)
			fatal("a text that is missing");
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = { (const char *)data, size }, line;
	size_t used;

	while (parse_line(input, COMMAND_LINE_MAX, &line, &used) == PARSED) {
		if (used == 0 || used > COMMAND_LINE_MAX || used > input.n)
			fatal("a line beyond its limit");
		check_line(line);
		input = str_from(input, used);
	}
	return 0;
}
