/* SPDX-License-Identifier: ISC */
/* Any bytes as a line of the log; and any bytes as a value, which must come back as it was. */
#include "common/base/log_parse.h"

enum { VALUE_MAX = 1000 };	/* what the log does not cut */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct buf written;

static void
keep(struct str line)
{
	buf_clear(&written);
	buf_put(&written, line);
}

static void
walk(struct str pairs)
{
	scoped_buf value = BUF_INIT;
	struct str key;
	size_t most = pairs.n;

	while (log_parse_next(&pairs, &key, &value)) {
		if (key.n == 0 || value.n > most)
			fatal("a pair out of nothing");
		most = pairs.n;
	}
	if (pairs.n > 0)
		fatal("the walk left something");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = { (const char *)data, size }, part = str_sub(input, 0, VALUE_MAX);
	scoped_buf value = BUF_INIT;
	struct log_line line;

	if (log_parse_line(input, &line))
		walk(line.pairs);
	walk(input);
	log_set_sink(keep);
	log_error(NULL, "fuzz", KV("value", part), KV("after", "1"));
	if (written.n > LOG_LINE_MAX || !str_ends(buf_str(&written), STR("\n")) ||
	    !log_parse_line(str_sub(buf_str(&written), 0, written.n - 1), &line))
		fatal("our own line is none");
	if (log_parse_find(line.pairs, STR("value"), &value) ? !str_eq(buf_str(&value), part) :
	    !log_parse_find(line.pairs, STR("cut"), &value))
		fatal("a value came back otherwise");
	return 0;
}
