/* SPDX-License-Identifier: ISC */
/*
 * The words of IMAP: RFC 3501 section 9. Works in place on its own copy of the command, so
 * that unescaping and capitals cost no memory and one wipe reaches every secret.
 */
#include "imapd/lexer.h"

#include "common/base/utf8.h"

struct lexer
lexer_of(struct arena *arena, struct str command)
{
	if (str_ends(command, STR("\n")))
		command.n--;
	if (str_ends(command, STR("\r")))
		command.n--;
	return (struct lexer){
		.arena = arena,
		.p = (char *)arena_str(arena, command).p,
		.n = command.n,
	};
}

void
lexer_wipe(struct lexer *lexer)
{
	explicit_bzero(lexer->p, lexer->n);
}

/* ---- what went wrong ---- */

bool
lex_fail(struct lexer *lexer, const char *expected)
{
	if (lexer->why == NULL)
		lexer->why = arena_printf(lexer->arena, "%s was expected at octet %zu of the command",
		    expected, lexer->at + 1).p;
	return false;
}

bool
lex_refuse(struct lexer *lexer, const char *sentence)
{
	if (lexer->why == NULL)
		lexer->why = sentence;
	return false;
}

/* ---- classes of octets ---- */

bool
lex_is_atom_char(char c)
{
	unsigned char octet = (unsigned char)c;

	/* atom-specials, without the NUL that memchr would find at a literal's end */
	return octet > 0x20 && octet < 0x7f && memchr("(){%*\"\\]", c, 8) == NULL;
}

bool
lex_is_tag_char(char c)
{
	return c != '+' && (c == ']' || lex_is_atom_char(c));
}

static bool
is_astring_char(char c)
{
	return c == ']' || lex_is_atom_char(c);
}

static bool
is_list_char(char c)
{
	return c == '%' || c == '*' || is_astring_char(c);
}

static bool
is_dotted_char(char c)
{
	return c == '.' || ascii_is_alnum(c);
}

/* ---- questions ---- */

bool
lex_peek(const struct lexer *lexer, char c)
{
	return lexer->at < lexer->n && lexer->p[lexer->at] == c;
}

bool
lex_at_end(const struct lexer *lexer)
{
	return lexer->at == lexer->n;
}

bool
lex_take(struct lexer *lexer, char c)
{
	if (!lex_peek(lexer, c))
		return false;
	lexer->at++;
	return true;
}

static struct str
rest_of(const struct lexer *lexer)
{
	return (struct str){ lexer->p + lexer->at, lexer->n - lexer->at };
}

bool
lex_take_word(struct lexer *lexer, struct str word)
{
	struct str rest = rest_of(lexer);

	if (!str_starts_nocase(rest, word))
		return false;
	if (rest.n > word.n && is_astring_char(rest.p[word.n]))
		return false;
	lexer->at += word.n;
	return true;
}

/* ---- required things ---- */

bool
lex_char(struct lexer *lexer, char c)
{
	const char *name;

	if (lex_take(lexer, c))
		return true;
	if (lexer->why != NULL)
		return false;
	name = arena_printf(lexer->arena, "\"%c\"", c).p;
	return lex_fail(lexer, name);
}

bool
lex_space(struct lexer *lexer)
{
	return lex_take(lexer, ' ') || lex_fail(lexer, "a space and another argument");
}

bool
lex_end(struct lexer *lexer)
{
	while (lex_take(lexer, ' '))
		;
	return lex_at_end(lexer) || lex_fail(lexer, "the end of the command");
}

/* Takes a run of the octets that `fits` likes. */
static bool
take_run(struct lexer *lexer, bool (*fits)(char), const char *what, struct str *out)
{
	struct str rest = rest_of(lexer);
	size_t n = 0;

	while (n < rest.n && fits(rest.p[n]))
		n++;
	if (n == 0)
		return lex_fail(lexer, what);
	lexer->at += n;
	*out = str_sub(rest, 0, n);
	return true;
}

bool
lex_atom(struct lexer *lexer, const char *what, struct str *out)
{
	return take_run(lexer, lex_is_atom_char, what, out);
}

/* Makes the last n octets taken capitals. */
static void
capitalise(struct lexer *lexer, size_t n)
{
	for (char *p = lexer->p + lexer->at - n; n > 0; p++, n--)
		*p = ascii_upper(*p);
}

bool
lex_keyword(struct lexer *lexer, const char *what, struct str *out)
{
	if (!take_run(lexer, lex_is_atom_char, what, out))
		return false;
	capitalise(lexer, out->n);
	return true;
}

bool
lex_dotted(struct lexer *lexer, const char *what, struct str *out)
{
	if (!take_run(lexer, is_dotted_char, what, out))
		return false;
	capitalise(lexer, out->n);
	return true;
}

/* ---- strings ---- */

/* quoted, the opening quote taken. RFC 9755 3: UTF-8 may stand here, of any client; other 8-bit octets are BAD. */
static bool
take_quoted(struct lexer *lexer, struct str *out)
{
	char *begin = lexer->p + lexer->at, *to = begin;

	while (lexer->at < lexer->n) {
		char c = lexer->p[lexer->at++];

		if (c == '"') {
			*out = (struct str){ begin, (size_t)(to - begin) };
			return utf8_valid(*out) ||
			    lex_refuse(lexer, "a quoted string holds octets that are not UTF-8");
		}
		if (c == '\0' || c == '\r' || c == '\n')
			return lex_refuse(lexer, "a quoted string holds a NUL, CR or LF");
		if (c == '\\') {
			if (!lex_peek(lexer, '"') && !lex_peek(lexer, '\\'))
				return lex_refuse(lexer,
				    "in a quoted string only \\\" and \\\\ may follow a backslash");
			c = lexer->p[lexer->at++];
		}
		*to++ = c;
	}
	return lex_refuse(lexer, "a quoted string is not closed");
}

/* "n}" or "n+}" CRLF and n octets, the opening brace taken. */
static bool
take_literal(struct lexer *lexer, struct str *out)
{
	struct str rest = rest_of(lexer);
	struct str number;
	uint32_t n;

	if (!str_cut(&rest, '}', &number))
		return lex_fail(lexer, "a literal");
	if (str_ends(number, STR("+")))
		number.n--;
	if (str_starts(rest, STR("\r")))
		rest = str_from(rest, 1);
	if (!str_to_u32(number, &n) || !str_starts(rest, STR("\n")) || n > rest.n - 1)
		return lex_fail(lexer, "a literal");
	*out = str_sub(rest, 1, n);
	if (str_has_char(*out, '\0'))
		return lex_refuse(lexer, "a literal holds a NUL");
	lexer->at = (size_t)(out->p - lexer->p) + n;
	return true;
}

bool
lex_string(struct lexer *lexer, const char *what, struct str *out)
{
	if (lex_take(lexer, '"'))
		return take_quoted(lexer, out);
	if (lex_take(lexer, '{'))
		return take_literal(lexer, out);
	return lex_fail(lexer, what);
}

bool
lex_astring(struct lexer *lexer, const char *what, struct str *out)
{
	if (lex_peek(lexer, '"') || lex_peek(lexer, '{'))
		return lex_string(lexer, what, out);
	return take_run(lexer, is_astring_char, what, out);
}

bool
lex_pattern(struct lexer *lexer, const char *what, struct str *out)
{
	if (lex_peek(lexer, '"') || lex_peek(lexer, '{'))
		return lex_string(lexer, what, out);
	return take_run(lexer, is_list_char, what, out);
}

bool
lex_nstring(struct lexer *lexer, const char *what, struct str *out, bool *is_nil)
{
	*is_nil = lex_take_word(lexer, STR("NIL"));
	if (*is_nil)
		*out = STR_EMPTY;
	return *is_nil || lex_string(lexer, what, out);
}

/* ---- numbers ---- */

static bool
is_digit(char c)
{
	return ascii_is_digit(c);
}

bool
lex_number(struct lexer *lexer, const char *what, uint32_t *out)
{
	struct str digits;

	if (!take_run(lexer, is_digit, what, &digits))
		return false;
	return str_to_u32(digits, out) || lex_refuse(lexer, "a number is larger than 4294967295");
}

static bool
is_not_0(struct lexer *lexer, bool is_0)
{
	return !is_0 || lex_refuse(lexer, "a number is 0 where numbers begin with 1");
}

bool
lex_nz_number(struct lexer *lexer, const char *what, uint32_t *out)
{
	uint32_t n;

	if (!lex_number(lexer, what, &n) || !is_not_0(lexer, n == 0))
		return false;
	*out = n;
	return true;
}

bool
lex_number63(struct lexer *lexer, const char *what, uint64_t *out)
{
	struct str digits;
	uint64_t n;

	if (!take_run(lexer, is_digit, what, &digits))
		return false;
	if (!str_to_u64(digits, &n) || n > INT64_MAX)
		return lex_refuse(lexer, "a number is larger than 9223372036854775807");
	*out = n;
	return true;
}

bool
lex_nz_number63(struct lexer *lexer, const char *what, uint64_t *out)
{
	uint64_t n;

	if (!lex_number63(lexer, what, &n) || !is_not_0(lexer, n == 0))
		return false;
	*out = n;
	return true;
}

bool
lex_digits(struct lexer *lexer, size_t n, const char *what, uint32_t *out)
{
	struct str digits = str_sub(rest_of(lexer), 0, n);

	if (digits.n != n || !str_to_u32(digits, out))
		return lex_fail(lexer, what);
	lexer->at += n;
	return true;
}
