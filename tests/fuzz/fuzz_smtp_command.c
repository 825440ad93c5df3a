/* SPDX-License-Identifier: ISC */
/* Any bytes as command lines: no parser breaks, and what is spelt anew reads as the same. */
#include "smtpd/line.h"
#include "smtpd/parse_command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static parse_arguments *const parsers[] = {
	parse_nothing, parse_anything, parse_hello, parse_mail, parse_rcpt, parse_auth,
};

static void
check_path(const struct path *path, struct arena *arena)
{
	struct str text, rest;
	struct path again;

	if (path->kind == PATH_NULL)
		return;
	text = arena_printf(arena, "<%.*s>", STR_ARG(path->address));
	rest = text;
	if (parse_path(&rest, BRACKETS_NEEDED, arena, &again) != PATH_FINE ||
	    !str_eq(again.address, path->address) || again.kind != path->kind)
		fatal("a path does not read as it was spelt");
}

static void
check_line(struct str line, enum purpose purpose, struct arena *arena)
{
	struct str verb, arguments;
	struct request request;
	const char *reply;

	if (!parse_verb(line, &verb, &arguments))
		return;
	for (size_t i = 0; i < countof(parsers); i++) {
		reply = NULL;
		if (parsers[i](arguments, purpose, arena, &request, &reply) != PARSED) {
			if (reply == NULL)
				fatal("refused without a word");
		} else if (parsers[i] == parse_mail) {
			check_path(&request.mail.path, arena);
		} else if (parsers[i] == parse_rcpt) {
			check_path(&request.rcpt.path, arena);
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new();
	struct str input = { (const char *)data, size };
	struct line line = { 0 };
	enum line_result result;

	while ((result = line_next(&line, input, LINE_COMMAND_MAX)) != LINE_MORE) {
		if (result == LINE_GOT) {
			check_line(line.text, PURPOSE_MX, arena);
			check_line(line.text, PURPOSE_SUBMISSION, arena);
			arena_reset(arena);
		}
		input = str_from(input, line.consumed);
	}
	arena_free(arena);
	return 0;
}
