/* SPDX-License-Identifier: ISC */
/*
 * BINARY and BINARY.SIZE of FETCH (RFC 3516 4.2, 4.3). A literal's length and whether it has a NUL must be known before
 * its first octet: so each section is decoded twice, first to be measured and then to be sent, piece by piece both times;
 * what is decoded is never in memory as a whole.
 */
#include "imapd/binary.h"
#include "imapd/fetch_binary.h"

/* ---- finding ---- */

enum store_result
binary_find(struct content *content, const struct section *section, struct arena *arena,
    struct part_cache **cache, struct section_memory *memory, struct binary_section *out)
{
	enum store_result result = section_find_encoded(content, section, arena, cache, memory, &out->part);

	if (result != STORE_OK)
		return result;
	out->section = section;
	out->from = section->partial ? section->offset : 0;
	out->to = section->partial ? out->from + section->length : UINT64_MAX;
	out->measured = !out->part.exists;
	return STORE_OK;
}

bool
binary_is_unknown(const struct binary_section *b)
{
	return b->part.exists && b->part.encoding == TRANSFER_UNKNOWN;
}

/* ---- pieces ---- */

static void
begin_reading(struct session *s, struct binary_section *b)
{
	binary_reader_free(s->work.binary);
	s->work.binary = binary_reader_new(b->part.encoding, b->part.is_text);
	b->raw_at = b->decoded_at = 0;
}

static void
end_reading(struct session *s)
{
	binary_reader_free(s->work.binary);
	s->work.binary = NULL;
}

/* The next decoded octets, into *out, which may stay empty; STORE_GONE: the file has fewer than it should. */
static enum store_result
read_piece(struct session *s, struct binary_section *b, struct buf *out)
{
	uint64_t left = b->part.n - b->raw_at;
	size_t n = left < BODY_SLICE ? (size_t)left : BODY_SLICE;
	scoped_buf raw = BUF_INIT;
	enum store_result result = content_read(s->work.content, b->part.from + b->raw_at, n, &raw);

	if (result == STORE_OK && raw.n != n)
		result = STORE_GONE;
	if (result != STORE_OK)
		return result;
	binary_reader_feed(s->work.binary, out, buf_str(&raw));
	b->raw_at += n;
	if (b->raw_at == b->part.n)
		binary_reader_end(s->work.binary, out);
	return STORE_OK;
}

/* What of a piece that begins at decoded_at is wanted. */
static struct str
wanted(const struct binary_section *b, struct str piece)
{
	uint64_t skip = b->decoded_at < b->from ? b->from - b->decoded_at : 0;
	uint64_t left = b->to > b->decoded_at ? b->to - b->decoded_at : 0;

	piece = str_sub(piece, 0, left < piece.n ? (size_t)left : piece.n);
	return str_from(piece, skip < piece.n ? (size_t)skip : piece.n);
}

/* ---- measuring ---- */

/* Of what is not encoded the size is there to see. */
static bool
is_simple(const struct binary_section *b, bool size_only)
{
	return size_only && b->part.encoding == TRANSFER_IDENTITY;
}

enum next
binary_measure(struct session *s, struct binary_section *b, bool size_only, enum store_result *result)
{
	*result = STORE_OK;
	if (b->measured)
		return GO;
	if (is_simple(b, size_only)) {
		b->size = b->part.n;
		b->measured = true;
		return GO;
	}
	if (s->work.binary == NULL)
		begin_reading(s, b);
	/* Beyond what is wanted nothing matters. */
	while (b->raw_at < b->part.n && b->decoded_at < b->to) {
		scoped_buf piece = BUF_INIT;
		struct str part;

		if (session_must_wait(s))
			return WAIT;
		*result = read_piece(s, b, &piece);
		if (*result != STORE_OK) {
			end_reading(s);
			return GO;
		}
		part = wanted(b, buf_str(&piece));
		b->size += part.n;
		b->has_nul |= str_has_char(part, '\0');
		b->decoded_at += piece.n;
	}
	end_reading(s);
	b->measured = true;
	return GO;
}

/* ---- telling ---- */

void
binary_put_size(struct session *s, const struct binary_section *b)
{
	struct buf *out = out_of(s);

	buf_put(out, b->section->echo);
	buf_put_c(out, ' ');
	buf_put_u64(out, b->size);
}

bool
binary_begin(struct session *s, struct binary_section *b)
{
	struct buf *out = out_of(s);

	buf_put(out, b->section->echo);
	buf_put_c(out, ' ');
	if (!b->part.exists) {
		buf_put_z(out, "NIL");
		return false;
	}
	/* RFC 3516 4.3: a literal8 says that there is a NUL. */
	buf_printf(out, "%s{%llu}\r\n", b->has_nul ? "~" : "", (unsigned long long)b->size);
	if (b->size == 0)
		return false;
	begin_reading(s, b);
	b->left = b->size;
	return true;
}

enum next
binary_put(struct session *s, struct binary_section *b)
{
	while (b->left > 0) {
		scoped_buf piece = BUF_INIT;
		struct str part;

		if (session_must_wait(s))
			return WAIT;
		/* The client was promised octets: where they are not there no answer can follow. */
		if (b->raw_at == b->part.n || read_piece(s, b, &piece) != STORE_OK)
			return END;
		part = wanted(b, buf_str(&piece));
		b->decoded_at += piece.n;
		part = str_sub(part, 0, b->left < part.n ? (size_t)b->left : part.n);
		buf_put(out_of(s), part);
		b->left -= part.n;
	}
	end_reading(s);
	return GO;
}
