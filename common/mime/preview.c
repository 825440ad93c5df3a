/* SPDX-License-Identifier: ISC */
#include "common/mime/preview.h"

#include "common/base/utf8.h"
#include "common/mime/charset.h"
#include "common/mime/part.h"
#include "common/mime/preview_line.h"
#include "common/mime/transfer.h"

/* ---- plain text ---- */

static const struct str pgp_signed = { "-----BEGIN PGP SIGNED MESSAGE-----", 34 };
static const struct str pgp_encrypted = { "-----BEGIN PGP MESSAGE-----", 27 };

static bool
is_quoted(struct str line)
{
	return line.n > 0 && line.p[0] == '>';
}

/* "-- " stands before a signature (RFC 3676 4.3). */
static bool
is_signature(struct str line)
{
	return str_eq(line, STR("--")) || str_eq(line, STR("-- "));
}

/* Dashes and stars from edge to edge. */
static bool
is_ruler(struct str line)
{
	for (size_t i = 0; i < line.n; i++)
		if (!str_has_char(STR("-=_*~#+. \t"), line.p[i]))
			return false;
	return line.n > 2;
}

static struct str
without_cr(struct str line)
{
	return str_ends(line, STR("\r")) ? str_sub(line, 0, line.n - 1) : line;
}

/* "Bob wrote:", with what he wrote after it. */
static bool
leads_to_quote(struct str line, struct str rest)
{
	struct str next;

	if (!str_ends(str_trim(line), STR(":")))
		return false;
	while (str_cut(&rest, '\n', &next))
		if (str_trim(next).n > 0)
			return is_quoted(next);
	return false;
}

static struct str
without_quotes(struct str line)
{
	while (line.n > 0 && (line.p[0] == '>' || line.p[0] == ' '))
		line = str_from(line, 1);
	return line;
}

/* The lines of "Hash: ..." before the text end in a blank one (RFC 9580 7). */
static struct str
without_armor(struct str text)
{
	struct str line;

	while (str_cut(&text, '\n', &line) && without_cr(line).n > 0)
		continue;
	return text;
}

static void
put_lines(struct preview_line *p, struct str text, bool quotes)
{
	struct str line;

	while (!preview_line_is_full(p) && str_cut(&text, '\n', &line)) {
		line = without_cr(line);
		if (is_signature(line))
			return;
		if (is_ruler(line) || (!quotes && (is_quoted(line) || leads_to_quote(line, text))))
			continue;
		preview_line_put(p, quotes ? without_quotes(line) : line);
		preview_line_put_character(p, ' ');
	}
}

void
preview_put_plain(struct buf *out, struct str text)
{
	struct preview_line line = { .out = out, .from = out->n };

	text = str_trim(text);
	if (str_starts(text, pgp_encrypted))
		return;
	if (str_starts(text, pgp_signed))
		text = without_armor(text);
	put_lines(&line, text, false);
	if (line.count == 0)
		put_lines(&line, text, true);
	preview_line_end(&line);
}

/* ---- which part ---- */

struct looking {
	struct buf *out;
	struct str message;
	size_t texts;
	size_t from;
};

/* A message that is forwarded is not what its sender wrote; an attachment is not read with it. */
static bool
is_readable(const struct part *part)
{
	return part->kind == PART_LEAF && str_eq(part->type, STR("text")) &&
	    !str_eq(part->disposition, STR("attachment")) &&
	    (str_eq(part->subtype, STR("plain")) || str_eq(part->subtype, STR("html")));
}

static bool
look_at_leaf(struct looking *l, const struct part *part)
{
	scoped_buf decoded = BUF_INIT, text = BUF_INIT;

	if (!is_readable(part) || ++l->texts > PREVIEW_TEXTS_MAX)
		return false;
	transfer_decode(&decoded, transfer_of(part->encoding), part_body(part, l->message));
	charset_put_utf8(&text, param_get(&part->params, STR("charset")), buf_str(&decoded));
	if (str_eq(part->subtype, STR("plain")))
		preview_put_plain(l->out, buf_str(&text));
	else
		preview_put_html(l->out, buf_str(&text));
	return l->out->n > l->from;
}

static bool look_at(struct looking *, const struct part *);

/* RFC 2046 5.1.4: the same in several forms; the plain one says most in one line. */
static bool
look_at_plain_form(struct looking *l, const struct part *part)
{
	const struct part *child;

	STAILQ_FOREACH(child, &part->children, link)
		if (child->kind == PART_LEAF && str_eq(child->subtype, STR("plain")) && look_at_leaf(l, child))
			return true;
	return false;
}

static bool
look_at(struct looking *l, const struct part *part)
{
	const struct part *child;

	if (part->kind == PART_LEAF)
		return look_at_leaf(l, part);
	if (part->kind == PART_MESSAGE || l->texts > PREVIEW_TEXTS_MAX)
		return false;
	if (str_eq(part->subtype, STR("alternative")) && look_at_plain_form(l, part))
		return true;
	STAILQ_FOREACH(child, &part->children, link)
		if (look_at(l, child))
			return true;
	return false;
}

void
preview_put(struct buf *out, struct str message)
{
	struct arena *arena = arena_new();
	struct looking l = { .out = out, .message = message, .from = out->n };

	(void)look_at(&l, part_parse(arena, message));
	arena_free(arena);
}
