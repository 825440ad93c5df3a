/* SPDX-License-Identifier: ISC */
#include "maildir/reading.h"

#include <stdlib.h>

#include "common/base/utf8.h"
#include "common/mime/charset.h"
#include "common/mime/part.h"
#include "common/mime/transfer.h"
#include "common/mime/word.h"

enum { SOURCES_PER_PART = 3 };

/* One text of the message. */
struct source {
	enum { SOURCE_FIELDS, SOURCE_NAMES, SOURCE_BODY } kind;
	const struct part *part;
};

struct reading {
	struct arena *arena;
	struct str message;
	struct source *sources;
	size_t source_count, source_room;
	size_t at;		/* the source being read */
	bool is_begun;

	struct header_walk walk;	/* SOURCE_FIELDS */

	struct str rest;		/* SOURCE_BODY: still encoded */
	struct transfer transfer;
	struct charset_reader *charset;	/* NULL: no label, and all ASCII so far */
	struct buf decoded;
};

/* ---- which texts there are ---- */

static void
add_source(struct reading *r, const struct part *part, int kind)
{
	if (r->source_count == r->source_room) {
		r->source_room = r->source_room * 2 + SOURCES_PER_PART;
		r->sources = xrealloc(r->sources, r->source_room * sizeof(*r->sources));
	}
	r->sources[r->source_count].kind = kind;
	r->sources[r->source_count++].part = part;
}

/* RFC 3501 6.4.4: other media types may be left out. */
static bool
is_readable(const struct part *part)
{
	return part->kind == PART_LEAF &&
	    (str_eq(part->type, STR("text")) || str_eq(part->type, STR("message")));
}

static void
add_part(struct reading *r, const struct part *part, bool is_root)
{
	const struct part *child;

	if (!is_root && part->header_size > 0)
		add_source(r, part, SOURCE_FIELDS);
	if (!STAILQ_EMPTY(&part->params) || !STAILQ_EMPTY(&part->disposition_params))
		add_source(r, part, SOURCE_NAMES);
	if (is_readable(part) && part->body_size > 0)
		add_source(r, part, SOURCE_BODY);
	STAILQ_FOREACH(child, &part->children, link)
		add_part(r, child, false);
}

struct reading *
reading_new(struct str message)
{
	struct reading *r = xcalloc(1, sizeof(*r));

	r->arena = arena_new();
	r->message = message;
	add_part(r, part_parse(r->arena, message), true);
	return r;
}

static void
end_body(struct reading *r)
{
	charset_reader_free(r->charset);
	r->charset = NULL;
	buf_free(&r->transfer.pending);
	buf_clear(&r->decoded);
}

void
reading_free(struct reading *r)
{
	if (r == NULL)
		return;
	end_body(r);
	buf_free(&r->decoded);
	free(r->sources);
	arena_free(r->arena);
	free(r);
}

/* ---- headers and names ---- */

void
reading_put_value(struct buf *out, struct str value)
{
	size_t before = out->n;

	word_put_utf8(out, value);
	for (size_t i = before; i < out->n; i++)
		if (out->p[i] == '\t')
			out->p[i] = ' ';
}

void
reading_put_field(struct buf *out, const struct header_field *field)
{
	buf_put(out, field->name);
	buf_put(out, STR(": "));
	reading_put_value(out, field->value);
	buf_put(out, STR("\r\n"));
}

static bool
read_field(struct reading *r, struct buf *out)
{
	struct header_field field;

	if (!header_next(&r->walk, &field))
		return false;
	reading_put_field(out, &field);
	return true;
}

/* RFC 2183 2.3, RFC 2231: a name in percent signs or pieces is not readable in the field. */
static void
read_names(const struct part *part, struct buf *out)
{
	if (param_put_utf8(out, &part->disposition_params, STR("filename")))
		buf_put(out, STR("\r\n"));
	if (param_put_utf8(out, &part->params, STR("name")))
		buf_put(out, STR("\r\n"));
}

/* ---- bodies ---- */

/* charset.h: names that say nothing; their text is guessed. */
static bool
is_label(struct str charset)
{
	return charset_known(charset) && !str_eq_nocase(charset, STR("us-ascii")) &&
	    !str_eq_nocase(charset, STR("ascii"));
}

static void
begin_body(struct reading *r, const struct part *part)
{
	struct str charset = param_get(&part->params, STR("charset"));

	r->rest = part_body(part, r->message);
	r->transfer = (struct transfer){ .encoding = transfer_of(part->encoding) };
	r->charset = is_label(charset) ? charset_reader_new(charset) : NULL;
}

/* The last character may go on in the next piece. */
static bool
is_utf8_so_far(struct str s)
{
	uint32_t c;

	while (s.n > 0)
		if (!utf8_next(&s, &c))
			return s.n < 4 && (unsigned char)s.p[0] >= 0xC2;
	return true;
}

/*
 * The first piece with 8-bit octets says what an unlabelled text is, in the order of
 * charset_put_guess: UTF-8, Korean, neither.
 */
static void
guess_charset(struct reading *r, struct str piece, struct buf *out)
{
	const size_t before = out->n;

	if (!is_utf8_so_far(piece)) {
		r->charset = charset_reader_new(STR("cp949"));
		charset_reader_feed(r->charset, out, piece);
		if (str_find(str_from(buf_str(out), before), STR("\xEF\xBF\xBD")) == out->n - before)
			return;
		buf_cut(out, before);
		charset_reader_free(r->charset);
	}
	r->charset = charset_reader_new(STR("utf-8"));
	charset_reader_feed(r->charset, out, piece);
}

static void
put_text(struct reading *r, struct str decoded, struct buf *out)
{
	if (r->charset != NULL)
		charset_reader_feed(r->charset, out, decoded);
	else if (str_is_ascii(decoded))
		buf_put(out, decoded);
	else
		guess_charset(r, decoded, out);
}

static bool
read_body(struct reading *r, struct buf *out)
{
	struct str piece = str_sub(r->rest, 0, READING_PIECE);

	if (piece.n == 0)
		return false;
	r->rest = str_from(r->rest, piece.n);
	buf_clear(&r->decoded);
	transfer_feed(&r->transfer, &r->decoded, piece);
	if (r->rest.n == 0)
		transfer_end(&r->transfer, &r->decoded);
	put_text(r, buf_str(&r->decoded), out);
	if (r->rest.n == 0 && r->charset != NULL)
		charset_reader_end(r->charset, out);
	return true;
}

/* ---- one after the other ---- */

static void
begin_source(struct reading *r, const struct source *source)
{
	switch (source->kind) {
	case SOURCE_FIELDS:
		r->walk = header_walk(part_header(source->part, r->message));
		break;
	case SOURCE_NAMES:
		break;
	case SOURCE_BODY:
		begin_body(r, source->part);
		break;
	}
}

static enum reading_step
end_source(struct reading *r)
{
	end_body(r);
	r->is_begun = false;
	r->at++;
	return READING_TEXT_ENDS;
}

enum reading_step
reading_next(struct reading *r, struct buf *out)
{
	const bool was_begun = r->is_begun;
	const struct source *source;

	if (r->at == r->source_count)
		return READING_ENDS;
	source = &r->sources[r->at];
	if (!was_begun)
		begin_source(r, source);
	r->is_begun = true;
	switch (source->kind) {
	case SOURCE_FIELDS:
		return read_field(r, out) ? READING_HEADER : end_source(r);
	case SOURCE_NAMES:
		if (was_begun)
			return end_source(r);
		read_names(source->part, out);
		return READING_HEADER;
	case SOURCE_BODY:
		return read_body(r, out) ? READING_BODY : end_source(r);
	}
	fatal("a text of no kind");
}
