/* SPDX-License-Identifier: ISC */
/*
 * A body on its way (RFC 3501 7.4.2). What its file holds as it is, and of which no octet is NUL, goes from the file to the
 * client and is not read here; but not where it is to be compressed, which has to see it. All else is read, piece by piece.
 */
#include "imapd/fetch_body.h"

static bool
goes_by_file(const struct session *s, const struct body_octets *b)
{
	return b->left >= FILE_LEAST && session_takes_file(s) && content_is_plain_file(s->work.content);
}

/* False: it has to be read, as too many files are open. */
static bool
send_slice(struct session *s, struct body_octets *b, bool last)
{
	uint64_t n = b->left < FILE_SLICE ? b->left : FILE_SLICE;
	int fd = content_take_file(s->work.content, last && n == b->left);

	if (fd < 0)
		return false;
	session_put_file(s, fd, b->at, n);
	b->at += n;
	b->left -= n;
	return true;
}

static bool
read_slice(struct session *s, struct body_octets *b)
{
	struct buf *out = out_of(s);
	size_t before = out->n, n = b->left < BODY_SLICE ? (size_t)b->left : BODY_SLICE;

	if (content_read(s->work.content, b->at, n, out) != STORE_OK || out->n - before != n)
		return false;
	mask_nul(out, before);
	b->at += n;
	b->left -= n;
	return true;
}

enum next
body_put(struct session *s, struct body_octets *b, bool last)
{
	bool by_file = goes_by_file(s, b);

	s->work.mid_response = true;
	while (b->left > 0) {
		if (session_must_wait(s))
			return WAIT;
		by_file = by_file && send_slice(s, b, last);
		if (!by_file && !read_slice(s, b)) {
			log_error(&s->log, "body_unreadable", KV("uid", b->uid), KV("at", b->at));
			return END;
		}
	}
	s->work.mid_response = false;
	return GO;
}
