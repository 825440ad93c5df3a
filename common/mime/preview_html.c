/* SPDX-License-Identifier: ISC */
/*
 * HTML without its markup, as far as one line needs it: tags end words or do not, what is not shown is left out, entities
 * become characters. Whatever is not closed goes to the end; no byte is looked at more than a few times.
 */
#include "common/base/utf8.h"
#include "common/mime/charset.h"
#include "common/mime/preview.h"
#include "common/mime/preview_line.h"

enum {
	ENTITY_MAX = 10,	/* characters of an entity's name or number */
	TAG_NAME_MAX = 12,	/* a longer one is none that we know */
};

struct html {
	struct preview_line line;
	struct str rest;
	bool quotes;		/* take what is quoted, too */
	unsigned quoted;	/* so many blockquotes are open */
};

/* Their content is not shown. */
static const char *const hidden_tags[] = { "script", "style", "template", "title", "xml" };

/* Words do not go on past them. */
static const char *const block_tags[] = {
	"address", "article", "aside", "blockquote", "body", "br", "caption", "center", "dd", "div", "dl", "dt", "footer",
	"form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "html", "img", "li", "main", "nav", "ol", "option", "p",
	"pre", "section", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
};

/* ---- entities ---- */

/* U+00A0 to U+00FF, in their order. */
static const char *const latin_entities[] = {
	"nbsp", "iexcl", "cent", "pound", "curren", "yen", "brvbar", "sect", "uml", "copy", "ordf", "laquo", "not", "shy",
	"reg", "macr", "deg", "plusmn", "sup2", "sup3", "acute", "micro", "para", "middot", "cedil", "sup1", "ordm", "raquo",
	"frac14", "frac12", "frac34", "iquest", "Agrave", "Aacute", "Acirc", "Atilde", "Auml", "Aring", "AElig", "Ccedil",
	"Egrave", "Eacute", "Ecirc", "Euml", "Igrave", "Iacute", "Icirc", "Iuml", "ETH", "Ntilde", "Ograve", "Oacute",
	"Ocirc", "Otilde", "Ouml", "times", "Oslash", "Ugrave", "Uacute", "Ucirc", "Uuml", "Yacute", "THORN", "szlig",
	"agrave", "aacute", "acirc", "atilde", "auml", "aring", "aelig", "ccedil", "egrave", "eacute", "ecirc", "euml",
	"igrave", "iacute", "icirc", "iuml", "eth", "ntilde", "ograve", "oacute", "ocirc", "otilde", "ouml", "divide",
	"oslash", "ugrave", "uacute", "ucirc", "uuml", "yacute", "thorn", "yuml",
};
_Static_assert(countof(latin_entities) == 96, "U+00A0 to U+00FF");

static const struct {
	const char *name;
	uint32_t character;
} entities[] = {
	{ "amp", '&' }, { "lt", '<' }, { "gt", '>' }, { "quot", '"' }, { "apos", '\'' },
	{ "OElig", 0x152 }, { "oelig", 0x153 }, { "Scaron", 0x160 }, { "scaron", 0x161 }, { "Yuml", 0x178 },
	{ "ensp", 0x2002 }, { "emsp", 0x2003 }, { "thinsp", 0x2009 }, { "zwnj", 0x200C }, { "zwj", 0x200D },
	{ "lrm", 0x200E }, { "rlm", 0x200F }, { "ndash", 0x2013 }, { "mdash", 0x2014 }, { "lsquo", 0x2018 },
	{ "rsquo", 0x2019 }, { "sbquo", 0x201A }, { "ldquo", 0x201C }, { "rdquo", 0x201D }, { "bdquo", 0x201E },
	{ "dagger", 0x2020 }, { "bull", 0x2022 }, { "hellip", 0x2026 }, { "permil", 0x2030 }, { "lsaquo", 0x2039 },
	{ "rsaquo", 0x203A }, { "euro", 0x20AC }, { "trade", 0x2122 }, { "larr", 0x2190 }, { "rarr", 0x2192 },
	{ "hearts", 0x2665 },
};

static bool
named(struct str name, uint32_t *out)
{
	for (size_t i = 0; i < countof(entities); i++)
		if (str_eq(name, str_of(entities[i].name))) {
			*out = entities[i].character;
			return true;
		}
	for (size_t i = 0; i < countof(latin_entities); i++)
		if (str_eq(name, str_of(latin_entities[i]))) {
			*out = 0xA0 + (uint32_t)i;
			return true;
		}
	return false;
}

/* HTML 13.2.5.80: numbers of 128 to 159 mean Windows' letters. */
static uint32_t
of_windows(uint32_t c)
{
	scoped_buf text = BUF_INIT;
	char byte = (char)c;
	struct str rest;

	if (c < 0x80 || c > 0x9F)
		return c;
	charset_put_utf8(&text, STR("windows-1252"), (struct str){ &byte, 1 });
	rest = buf_str(&text);
	return utf8_next(&rest, &c) ? c : 0xFFFD;
}

static bool
numbered(struct str digits, uint32_t *out)
{
	bool hex = digits.n > 0 && ascii_lower(digits.p[0]) == 'x';
	uint32_t c = 0;

	if (hex)
		digits = str_from(digits, 1);
	for (size_t i = 0; i < digits.n; i++) {
		int digit = ascii_hex(digits.p[i]);

		if (digit < 0 || (!hex && digit > 9))
			return false;
		c = c > 0x10FFFF ? c : c * (hex ? 16 : 10) + (uint32_t)digit;
	}
	*out = of_windows(c);
	return digits.n > 0;
}

/* The "&" is the first of rest. */
static void
put_entity(struct html *h)
{
	struct str name = str_sub(h->rest, 1, ENTITY_MAX);
	size_t end = str_index(name, ';');
	uint32_t c = '&';
	size_t taken = 1;

	name = str_sub(name, 0, end);
	if (end < ENTITY_MAX && 1 + end < h->rest.n &&
	    (str_starts(name, STR("#")) ? numbered(str_from(name, 1), &c) : named(name, &c)))
		taken = end + 2;
	else
		c = '&';
	h->rest = str_from(h->rest, taken);
	if (h->quoted == 0 || h->quotes)
		preview_line_put_character(&h->line, c);
}

/* ---- tags ---- */

static bool
is_in(const char *const *names, size_t count, struct str name)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq_nocase(name, str_of(names[i])))
			return true;
	return false;
}

/* Past the ">" that ends a tag; one within quotes does not. */
static void
skip_tag(struct html *h)
{
	char quote = 0;

	for (size_t i = 0; i < h->rest.n; i++) {
		char c = h->rest.p[i];

		if (quote != 0) {
			quote = c == quote ? 0 : quote;
		} else if (c == '"' || c == '\'') {
			/* Only behind "=": apostrophes stand in broken tags, too. */
			quote = i > 0 && h->rest.p[i - 1] == '=' ? c : 0;
		} else if (c == '>') {
			h->rest = str_from(h->rest, i + 1);
			return;
		}
	}
	h->rest = STR_EMPTY;
}

/* To the end tag of that name, which is left to be read. */
static void
skip_content(struct html *h, struct str name)
{
	for (size_t i = 0; i + 1 < h->rest.n; i++)
		if (h->rest.p[i] == '<' && h->rest.p[i + 1] == '/' &&
		    str_starts_nocase(str_from(h->rest, i + 2), name)) {
			h->rest = str_from(h->rest, i);
			return;
		}
	h->rest = STR_EMPTY;
}

static size_t
name_length(struct str s)
{
	size_t n = 0;

	while (n < s.n && n <= TAG_NAME_MAX && ascii_is_alnum(s.p[n]))
		n++;
	return n;
}

static void
take_tag(struct html *h, struct str name, bool ends)
{
	bool hidden = !ends && is_in(hidden_tags, countof(hidden_tags), name);

	if (str_eq_nocase(name, STR("blockquote"))) {
		if (!ends)
			h->quoted++;
		else if (h->quoted > 0)
			h->quoted--;
	}
	if (is_in(block_tags, countof(block_tags), name))
		preview_line_put_character(&h->line, ' ');
	skip_tag(h);
	if (hidden)
		skip_content(h, name);
}

/* The "<" is the first of rest. */
static void
put_markup(struct html *h)
{
	bool ends = h->rest.n > 1 && h->rest.p[1] == '/';
	struct str after = str_from(h->rest, ends ? 2 : 1);

	if (str_starts(after, STR("!--"))) {
		after = str_from(after, 3);
		h->rest = str_from(after, str_find(after, STR("-->")) + 3);
	} else if (after.n > 0 && ascii_is_alpha(after.p[0])) {
		struct str name = str_sub(after, 0, name_length(after));

		h->rest = str_from(after, name.n);
		take_tag(h, name, ends);
	} else if (ends || (after.n > 0 && (after.p[0] == '!' || after.p[0] == '?'))) {
		h->rest = str_from(after, str_index(after, '>') + 1);
	} else {
		h->rest = after;
		if (h->quoted == 0 || h->quotes)
			preview_line_put_character(&h->line, '<');
	}
}

static void
put_text(struct html *h)
{
	size_t n = 0;

	while (n < h->rest.n && h->rest.p[n] != '<' && h->rest.p[n] != '&')
		n++;
	if (h->quoted == 0 || h->quotes)
		preview_line_put(&h->line, str_sub(h->rest, 0, n));
	h->rest = str_from(h->rest, n);
}

static void
put_all(struct html *h, struct str html)
{
	h->rest = html;
	h->quoted = 0;
	while (h->rest.n > 0 && !preview_line_is_full(&h->line)) {
		if (h->rest.p[0] == '<')
			put_markup(h);
		else if (h->rest.p[0] == '&')
			put_entity(h);
		else
			put_text(h);
	}
}

void
preview_put_html(struct buf *out, struct str html)
{
	struct html h = { .line = { .out = out, .from = out->n } };

	put_all(&h, html);
	if (h.line.count == 0) {
		h.quotes = true;
		put_all(&h, html);
	}
	preview_line_end(&h.line);
}
