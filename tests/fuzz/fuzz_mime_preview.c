/* SPDX-License-Identifier: ISC */
/*
 * Whatever a message is, its preview is UTF-8 on one line, without controls or blanks too many, and never longer than it
 * may be; the same bytes taken as a message, as plain text and as HTML.
 */
#include "common/base/utf8.h"
#include "common/mime/preview.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool truth, const char *what)
{
	if (!truth)
		fatal("broken: %s", what);
}

static void
check(void (*put)(struct buf *, struct str), struct str bytes)
{
	scoped_buf out = BUF_INIT;
	struct str rest;
	uint32_t c, last = ' ';
	size_t count = 0;

	buf_put_z(&out, "x");
	put(&out, bytes);
	must(out.n > 0 && out.p[0] == 'x', "what was there before");
	rest = str_from(buf_str(&out), 1);
	while (utf8_next(&rest, &c)) {
		must(c >= ' ' && (c < 0x7F || c > 0x9F), "controls");
		must(c != ' ' || last != ' ', "blanks");
		last = c;
		count++;
	}
	must(rest.n == 0, "UTF-8");
	must(count == 0 || last != ' ', "a blank at the end");
	must(count <= PREVIEW_CHARACTERS_MAX, "length");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str bytes = { (const char *)data, size };

	check(preview_put, bytes);
	check(preview_put_plain, bytes);
	check(preview_put_html, bytes);
	return 0;
}
