/* SPDX-License-Identifier: ISC */
#include "common/mime/lex.h"

static bool
vanishes(char c)
{
	return c == '\r' || c == '\n' || c == '\0';
}

/* RFC 5322 3.2.2: comments nest; the inner parentheses belong to the text. */
static void
take_comment(struct str *rest, struct buf *text)
{
	size_t depth = 1, i;

	if (text != NULL)
		buf_clear(text);
	for (i = 1; i < rest->n; i++) {
		char c = rest->p[i];

		if (c == '\\' && i + 1 < rest->n)
			c = rest->p[++i];
		else if (c == '(')
			depth++;
		else if (c == ')' && --depth == 0)
			break;
		if (text != NULL && !vanishes(c))
			buf_put_c(text, c);
	}
	*rest = str_from(*rest, i + 1);
}

bool
lex_skip(struct str *rest, struct buf *comment)
{
	size_t before = rest->n;

	for (;;) {
		while (rest->n > 0 && (ascii_is_space(rest->p[0]) || rest->p[0] == '\0'))
			*rest = str_from(*rest, 1);
		if (rest->n == 0 || rest->p[0] != '(')
			return rest->n < before;
		take_comment(rest, comment);
	}
}

void
lex_quoted(struct str *rest, struct buf *out)
{
	size_t i;

	for (i = 1; i < rest->n && rest->p[i] != '"'; i++) {
		if (rest->p[i] == '\\' && i + 1 < rest->n)
			i++;
		if (!vanishes(rest->p[i]))
			buf_put_c(out, rest->p[i]);
	}
	*rest = str_from(*rest, i + 1);
}

void
lex_until(struct str *rest, const char *stops, struct buf *out)
{
	size_t i = 0;

	while (i < rest->n && (rest->p[i] == '\0' || strchr(stops, rest->p[i]) == NULL))
		i++;
	lex_put_clean(out, str_sub(*rest, 0, i));
	*rest = str_from(*rest, i);
}

struct str
lex_word(struct str *rest, const char *stops)
{
	struct str word;
	size_t i = 0;

	while (i < rest->n && !ascii_is_space(rest->p[i]) && strchr(stops, rest->p[i]) == NULL)
		i++;	/* strchr finds NUL too, so NUL stops */
	word = str_sub(*rest, 0, i);
	*rest = str_from(*rest, i);
	return word;
}

void
lex_put_clean(struct buf *out, struct str s)
{
	size_t start = 0;

	for (size_t i = 0; i <= s.n; i++) {
		if (i < s.n && !vanishes(s.p[i]))
			continue;
		buf_put(out, str_sub(s, start, i - start));
		start = i + 1;
	}
}

struct str
lex_trim_end(struct str s)
{
	while (s.n > 0 && ascii_is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}
