/* SPDX-License-Identifier: ISC */
#include "imapd/binary.h"

#include <stdlib.h>

struct binary_reader {
	struct transfer transfer;
	bool is_text;
	bool last_cr;
	struct buf decoded;
};

struct binary_reader *
binary_reader_new(enum transfer_encoding encoding, bool is_text)
{
	struct binary_reader *r = xcalloc(1, sizeof(*r));

	r->transfer.encoding = encoding;
	/* What is not encoded has the store's line ends, which are CRLF already. */
	r->is_text = is_text && encoding != TRANSFER_IDENTITY;
	return r;
}

void
binary_reader_free(struct binary_reader *r)
{
	if (r == NULL)
		return;
	buf_free(&r->transfer.pending);
	buf_free(&r->decoded);
	free(r);
}

static void
put_lines(struct binary_reader *r, struct buf *out, struct str bytes)
{
	while (bytes.n > 0) {
		size_t at = str_index(bytes, '\n');

		buf_put(out, str_sub(bytes, 0, at));
		if (at > 0)
			r->last_cr = bytes.p[at - 1] == '\r';
		if (at < bytes.n) {
			buf_put_z(out, r->last_cr ? "\n" : "\r\n");
			r->last_cr = false;
		}
		bytes = str_from(bytes, at + 1);
	}
}

void
binary_reader_feed(struct binary_reader *r, struct buf *out, struct str bytes)
{
	if (!r->is_text) {
		transfer_feed(&r->transfer, out, bytes);
		return;
	}
	buf_clear(&r->decoded);
	transfer_feed(&r->transfer, &r->decoded, bytes);
	put_lines(r, out, buf_str(&r->decoded));
}

void
binary_reader_end(struct binary_reader *r, struct buf *out)
{
	buf_clear(&r->decoded);
	transfer_end(&r->transfer, &r->decoded);
	if (r->is_text)
		put_lines(r, out, buf_str(&r->decoded));
	else
		buf_put(out, buf_str(&r->decoded));
	r->last_cr = false;
}
