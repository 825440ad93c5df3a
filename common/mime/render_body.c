/* SPDX-License-Identifier: ISC */
/*
 * BODY out of BODYSTRUCTURE: the same lists without their extension data, which RFC 3501 9 has at the end of each
 * (body-ext-1part, body-ext-mpart). What stays is copied in stretches; a part's text is gone over once and, where
 * parts lie within, not again.
 */
#include "common/mime/render.h"

struct reader {
	struct str text;
	size_t at;
	struct buf *out;
};

enum { VALUES_BEFORE_SIZE = 6 };	/* type, subtype, parameters, id, description, encoding */

static char
peek(const struct reader *r, size_t ahead)
{
	return r->at + ahead < r->text.n ? r->text.p[r->at + ahead] : '\0';
}

static bool
skip_quoted(struct reader *r)
{
	size_t i = r->at + 1;

	while (i < r->text.n && r->text.p[i] != '"')
		i += r->text.p[i] == '\\' ? 2 : 1;
	r->at = i + 1;
	return i < r->text.n;
}

static bool
skip_literal(struct reader *r)
{
	struct str rest = str_from(r->text, r->at + 1);
	size_t digits = str_index(rest, '}');
	uint32_t n;

	rest = str_from(rest, digits);
	if (!str_to_u32(str_sub(r->text, r->at + 1, digits), &n) || !str_starts(rest, STR("}\r\n")) || rest.n - 3 < n)
		return false;
	r->at = r->text.n - rest.n + 3 + n;
	return true;
}

/* NIL or a number. */
static bool
skip_atom(struct reader *r)
{
	size_t from = r->at;

	while (ascii_is_alnum(peek(r, 0)))
		r->at++;
	return r->at > from;
}

/* A string, NIL, a number, or a list of them, however deep. */
static bool
skip_value(struct reader *r)
{
	size_t depth = 0;
	bool whole = true;

	do {
		switch (peek(r, 0)) {
		case '(':
			depth++;
			r->at++;
			break;
		case ')':
			whole = depth > 0;
			depth -= whole;
			r->at++;
			break;
		case ' ':
			whole = depth > 0;
			r->at++;
			break;
		case '"':
			whole = skip_quoted(r);
			break;
		case '{':
			whole = skip_literal(r);
			break;
		default:
			whole = skip_atom(r);
		}
	} while (whole && depth > 0);
	return whole;
}

static bool
skip_next(struct reader *r)
{
	if (peek(r, 0) != ' ')
		return false;
	r->at++;
	return skip_value(r);
}

static void
put_from(struct reader *r, size_t from)
{
	buf_put(r->out, str_sub(r->text, from, r->at - from));
}

static bool put_part(struct reader *, size_t depth);

/* From behind its "(" up to the last part's ")". */
static bool
put_children(struct reader *r, size_t depth)
{
	buf_put_c(r->out, '(');
	while (peek(r, 0) == '(')
		if (!put_part(r, depth + 1))
			return false;
	return true;
}

/* What has an envelope behind its size is a message: its part follows, and the number of its lines. */
static bool
put_single(struct reader *r, size_t depth, size_t *from)
{
	if (!skip_value(r))
		return false;
	for (size_t i = 0; i < VALUES_BEFORE_SIZE; i++)
		if (!skip_next(r))
			return false;
	if (peek(r, 1) != '(')
		return !ascii_is_digit(peek(r, 1)) || skip_next(r);
	if (!skip_next(r) || peek(r, 0) != ' ')
		return false;
	r->at++;
	put_from(r, *from);
	if (!put_part(r, depth + 1))
		return false;
	*from = r->at;
	return skip_next(r);
}

static bool
put_part(struct reader *r, size_t depth)
{
	size_t from = r->at;

	if (peek(r, 0) != '(' || depth > PART_DEPTH_MAX + 1)
		return false;
	r->at++;
	if (peek(r, 0) == '(') {
		if (!put_children(r, depth))
			return false;
		from = r->at;
		if (!skip_next(r))
			return false;
	} else if (!put_single(r, depth, &from)) {
		return false;
	}
	put_from(r, from);
	buf_put_c(r->out, ')');
	while (peek(r, 0) == ' ')
		if (!skip_next(r))
			return false;
	if (peek(r, 0) != ')')
		return false;
	r->at++;
	return true;
}

bool
render_body(struct buf *out, struct str bodystructure)
{
	struct reader r = { .text = bodystructure, .out = out };
	size_t before = out->n;

	if (put_part(&r, 0) && r.at == r.text.n)
		return true;
	buf_cut(out, before);
	return false;
}
