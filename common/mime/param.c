/* SPDX-License-Identifier: ISC */
#include "common/mime/param.h"

#include "common/mime/charset.h"
#include "common/mime/lex.h"
#include "common/mime/word.h"

/* One parameter as it stands, its name taken apart: base, "*3", "*". */
struct piece {
	struct str base;
	struct str value;
	int32_t number;		/* -1 where there is none */
	bool extended;
	bool used;
};

static struct str
keep_lower(struct arena *arena, struct str name, bool star)
{
	char *copy = arena_alloc(arena, name.n + 2);

	for (size_t i = 0; i < name.n; i++)
		copy[i] = ascii_lower(name.p[i]);
	if (star)
		copy[name.n] = '*';
	return (struct str){ copy, name.n + star };
}

/* RFC 2231 7: attribute ["*" number] ["*"]. */
static void
split_name(struct str name, struct piece *piece)
{
	size_t star;
	uint32_t number;

	piece->number = -1;
	piece->extended = name.n > 1 && name.p[name.n - 1] == '*';
	if (piece->extended)
		name.n--;
	star = str_last_index(name, '*');
	if (star > 0 && star < name.n && str_to_u32(str_from(name, star + 1), &number) &&
	    number < PARAM_MAX) {
		piece->number = (int32_t)number;
		name.n = star;
	}
	piece->base = name;
}

/* RFC 2045 5.1: a token or a quoted string; a token goes on over blanks within. */
static struct str
take_value(struct arena *arena, struct str *rest)
{
	scoped_buf out = BUF_INIT;

	lex_skip(rest, NULL);
	if (rest->n > 0 && rest->p[0] == '"') {
		lex_quoted(rest, &out);
	} else {
		/* "name=a b.doc" lacks its quotes; "charset=x (Comment)" does not. */
		lex_until(rest, ";(", &out);
		return arena_str(arena, str_trim(buf_str(&out)));
	}
	return arena_str(arena, buf_str(&out));
}

static size_t
take_pieces(struct arena *arena, struct str rest, struct piece *pieces)
{
	size_t count = 0;

	while (count < PARAM_MAX) {
		struct str name;

		lex_skip(&rest, NULL);
		if (rest.n == 0)
			break;
		name = lex_word(&rest, ";=\"(");
		lex_skip(&rest, NULL);
		if (name.n > 0 && rest.n > 0 && rest.p[0] == '=') {
			rest = str_from(rest, 1);
			split_name(name, &pieces[count]);
			pieces[count++].value = take_value(arena, &rest);
		} else if (rest.n > 0 && strchr(";=\"", rest.p[0]) != NULL) {
			rest = str_from(rest, 1);
		}
	}
	return count;
}

static struct piece *
find_piece(struct piece *pieces, size_t count, struct str base, int32_t number)
{
	for (size_t i = 0; i < count; i++)
		if (!pieces[i].used && pieces[i].number == number &&
		    str_eq_nocase(pieces[i].base, base))
			return &pieces[i];
	return NULL;
}

/* RFC 2231 4.1: a plain piece among extended ones stands for itself, so it is guarded. */
static void
put_guarded(struct buf *out, struct str value)
{
	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];

		if (c <= ' ' || c >= 127 || strchr("%*'\"()<>@,;:\\/[]?=", c) != NULL)
			buf_printf(out, "%%%02X", c);
		else
			buf_put_c(out, (char)c);
	}
}

static void
join(struct arena *arena, struct piece *pieces, size_t count, struct piece *first,
    struct param *param)
{
	struct piece *row[PARAM_MAX];
	struct str base = first->base;
	scoped_buf out = BUF_INIT;
	bool extended = false;
	int32_t n = 0;

	for (struct piece *p = first; p != NULL && n < PARAM_MAX;
	    p = find_piece(pieces, count, base, n)) {
		p->used = true;
		extended |= p->extended;
		row[n++] = p;
	}
	for (int32_t i = 0; i < n; i++) {
		if (extended && !row[i]->extended)
			put_guarded(&out, row[i]->value);
		else
			buf_put(&out, row[i]->value);
	}
	param->name = keep_lower(arena, base, extended);
	param->value = arena_str(arena, buf_str(&out));
}

void
param_parse(struct arena *arena, struct str text, struct param_list *list)
{
	struct piece pieces[PARAM_MAX] = { 0 };
	size_t count = take_pieces(arena, text, pieces);

	STAILQ_INIT(list);
	for (size_t i = 0; i < count; i++) {
		struct piece *p = &pieces[i];
		struct param *param;

		if (p->used)
			continue;
		if (p->number > 0)
			p = find_piece(pieces, count, p->base, 0);
		param = arena_one(arena, struct param);
		if (p != NULL && p->number == 0) {
			join(arena, pieces, count, p, param);
			i -= !pieces[i].used;	/* a second piece of that number */
		} else {
			p = &pieces[i];
			p->used = true;
			param->name = keep_lower(arena, p->base, p->extended);
			param->value = p->value;
		}
		STAILQ_INSERT_TAIL(list, param, link);
	}
}

struct str
param_get(const struct param_list *list, struct str name)
{
	struct param *param;

	STAILQ_FOREACH(param, list, link)
		if (str_eq(param->name, name))
			return param->value;
	return (struct str){ 0 };
}

static bool
is_extended(const struct param *param, struct str name)
{
	return param->name.n == name.n + 1 && str_starts(param->name, name) &&
	    param->name.p[name.n] == '*';
}

/* RFC 2231 4: charset'language'text with %HH. */
static void
put_extended(struct buf *out, struct str value)
{
	scoped_buf bytes = BUF_INIT;
	struct str charset = STR_EMPTY, language;
	struct str text = value;

	if (!str_cut(&text, '\'', &charset) || !str_cut(&text, '\'', &language)) {
		text = value;
		charset = STR_EMPTY;
	}
	for (size_t i = 0; i < text.n; i++) {
		int high = i + 2 < text.n && text.p[i] == '%' ? ascii_hex(text.p[i + 1]) : -1;
		int low = high >= 0 ? ascii_hex(text.p[i + 2]) : -1;

		buf_put_c(&bytes, low >= 0 ? (char)(high << 4 | low) : text.p[i]);
		i += low >= 0 ? 2 : 0;
	}
	charset_put_utf8(out, charset, buf_str(&bytes));
}

bool
param_put_utf8(struct buf *out, const struct param_list *list, struct str name)
{
	struct str plain = param_get(list, name);
	struct param *param;

	/* RFC 2231 leaves open which of "a" and "a*" counts; RFC 6266 4.3: the latter. */
	STAILQ_FOREACH(param, list, link) {
		if (!is_extended(param, name))
			continue;
		put_extended(out, param->value);
		return true;
	}
	if (plain.p == NULL)
		return false;
	word_put_utf8(out, plain);
	return true;
}
