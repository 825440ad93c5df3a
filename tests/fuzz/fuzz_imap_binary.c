/* SPDX-License-Identifier: ISC */
/*
 * A part decoded in pieces is what it is decoded at once, never more than twice its octets, and text has no line end but
 * CRLF. The first octet says how it is encoded, the second how long the pieces are.
 */
#include "imapd/binary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool truth, const char *what)
{
	if (!truth)
		fatal("broken: %s", what);
}

static void
check_lines(struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		must(text.p[i] != '\n' || (i > 0 && text.p[i - 1] == '\r'), "a bare line end");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum transfer_encoding encodings[] = { TRANSFER_IDENTITY, TRANSFER_BASE64,
		TRANSFER_QUOTED_PRINTABLE };
	scoped_buf once = BUF_INIT, pieces = BUF_INIT;
	struct binary_reader *r;
	enum transfer_encoding encoding;
	bool is_text;
	size_t step;
	struct str body;

	if (size < 2)
		return 0;
	encoding = encodings[data[0] % countof(encodings)];
	is_text = (data[0] & 0x80) != 0;
	step = 1 + (size_t)data[1] % 77;
	body = (struct str){ (const char *)data + 2, size - 2 };
	r = binary_reader_new(encoding, is_text);
	binary_reader_feed(r, &once, body);
	binary_reader_end(r, &once);
	/* It is at its beginning again. */
	for (size_t i = 0; i < body.n; i += step)
		binary_reader_feed(r, &pieces, str_sub(body, i, step));
	binary_reader_end(r, &pieces);
	binary_reader_free(r);
	must(str_eq(buf_str(&once), buf_str(&pieces)), "pieces");
	must(once.n <= 2 * body.n, "length");
	if (is_text && encoding != TRANSFER_IDENTITY)
		check_lines(buf_str(&once));
	if (encoding == TRANSFER_IDENTITY)
		must(str_eq(buf_str(&once), body), "itself");
	return 0;
}
