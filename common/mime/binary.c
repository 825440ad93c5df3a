/* SPDX-License-Identifier: ISC */
#include "common/mime/binary.h"

#include "common/base/base64.h"
#include "common/mime/header.h"

enum { LINE_OCTETS = 57 };	/* 76 characters: RFC 2045 6.8 */

struct encoder {
	struct str message;
	size_t at;		/* before it all has been put */
	struct buf *out;
};

static bool
has_bare_lf(struct str s)
{
	for (size_t i = str_index(s, '\n'); i < s.n; i += 1 + str_index(str_from(s, i + 1), '\n'))
		if (i == 0 || s.p[i - 1] != '\r')
			return true;
	return false;
}

static void
put_up_to(struct encoder *e, size_t at)
{
	buf_put(e->out, str_sub(e->message, e->at, at - e->at));
	e->at = at;
}

static void
put_base64(struct buf *out, struct str body)
{
	for (size_t at = 0; at < body.n; at += LINE_OCTETS) {
		if (at > 0)
			buf_put_z(out, "\r\n");
		base64_encode(out, str_sub(body, at, LINE_OCTETS));
	}
}

/* The field as often as it stands there: who reads the last one must not be wrong. */
static void
put_header(struct encoder *e, const struct part *part)
{
	struct header_walk walk = header_walk(part_header(part, e->message));
	struct header_field field;

	while (header_next(&walk, &field)) {
		if (!str_eq_nocase(field.name, STR("Content-Transfer-Encoding")))
			continue;
		put_up_to(e, (size_t)(field.raw.p - e->message.p));
		buf_put_z(e->out, "Content-Transfer-Encoding: base64\r\n");
		e->at += field.raw.n;
	}
	put_up_to(e, part->body_at);
}

static void
encode_leaf(struct encoder *e, const struct part *part)
{
	struct str body = part_body(part, e->message);

	if (!str_eq(part->encoding, STR("binary")) ||
	    (!str_has_char(body, '\0') && !has_bare_lf(body)))
		return;
	put_header(e, part);
	put_base64(e->out, body);
	e->at += body.n;
	if (e->at == e->message.n)
		buf_put_z(e->out, "\r\n");
}

/* PART_DEPTH_MAX deep at most. */
static void
encode_parts(struct encoder *e, const struct part *part)
{
	const struct part *child;

	if (part->kind == PART_LEAF)
		encode_leaf(e, part);
	STAILQ_FOREACH(child, &part->children, link)
		encode_parts(e, child);
}

bool
binary_encode(struct buf *out, struct str message)
{
	struct arena *arena = arena_new();
	struct encoder e = { .message = message, .out = out };
	size_t before = out->n;

	encode_parts(&e, part_parse(arena, message));
	put_up_to(&e, message.n);
	arena_free(arena);
	return !str_has_char(str_from(buf_str(out), before), '\0');
}
