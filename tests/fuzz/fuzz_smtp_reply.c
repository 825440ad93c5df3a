/* SPDX-License-Identifier: ISC */
/* Any bytes as another server's replies, and as a spool file's record: limits hold, and nothing else is said. */
#include "smtpd/parse_reply.h"
#include "smtpd/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_reply(const struct reply *reply)
{
	struct str lines = reply->lines, text;
	scoped_buf out = BUF_INIT;

	if (reply->code < 200 || reply->code > 599 || reply->lines.n > REPLY_MAX)
		fatal("a reply beyond its limits");
	while (reply_next_line(&lines, &text)) {
		if (text.n > REPLY_LINE_MAX)
			fatal("a line beyond its limit");
	}
	(void)reply_status(reply);
	reply_put_text(&out, reply, 100);
	if (out.n > 100)
		fatal("a text beyond its limit");
	for (size_t i = 0; i < out.n; i++) {
		if (out.p[i] < ' ' || out.p[i] > '~')
			fatal("a text that is not printable");
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = { (const char *)data, size };
	struct arena *arena = arena_new();
	struct record record;
	struct reply reply;
	const char *why;
	size_t used;

	if (record_get(input, arena, &record)) {
		scoped_buf again = BUF_INIT;

		record_put(&again, &record);
		if (again.n != size)
			fatal("a record does not read as it was written");
	}
	arena_free(arena);
	while (parse_reply(input, &reply, &used, &why) == PARSED) {
		check_reply(&reply);
		input = str_from(input, used);
	}
	return 0;
}
