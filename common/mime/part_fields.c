/* SPDX-License-Identifier: ISC */
#include "common/mime/part_fields.h"

#include "common/mime/header.h"
#include "common/mime/lex.h"

/* tspecials of RFC 2045 5.1 but the dot-like ones that real types contain. */
static const char type_ends[] = "()<>@,;:\\\"/[]?=";

static struct str
keep_lower(struct arena *arena, struct str s)
{
	struct str copy = arena_str(arena, s);

	for (size_t i = 0; i < copy.n; i++)
		((char *)copy.p)[i] = ascii_lower(copy.p[i]);
	return copy;
}

static struct str
keep_unfolded(struct arena *arena, struct str value)
{
	scoped_buf text = BUF_INIT;

	header_put_unfolded(&text, value);
	return arena_str(arena, buf_str(&text));
}

/* Takes a token, white space and comments around it, in lower case. */
static struct str
take_token(struct arena *arena, struct str *rest)
{
	struct str token;

	lex_skip(rest, NULL);
	token = lex_word(rest, type_ends);
	lex_skip(rest, NULL);
	return keep_lower(arena, token);
}

/* RFC 2045 5.1. Without a slash or a name on either side the field counts as absent. */
static void
read_type(struct arena *arena, struct part *part, struct str value)
{
	struct str type = take_token(arena, &value), subtype;

	if (type.n == 0 || value.n == 0 || value.p[0] != '/')
		return;
	value = str_from(value, 1);
	subtype = take_token(arena, &value);
	if (subtype.n == 0)
		return;
	part->type = type;
	part->subtype = subtype;
	param_parse(arena, value, &part->params);
}

static void
read_encoding(struct arena *arena, struct part *part, struct str value)
{
	struct str encoding = take_token(arena, &value);

	if (encoding.n > 0)
		part->encoding = encoding;
}

/* RFC 2183 2. */
static void
read_disposition(struct arena *arena, struct part *part, struct str value)
{
	struct str disposition = take_token(arena, &value);

	if (disposition.n == 0)
		return;
	part->disposition = disposition;
	param_parse(arena, value, &part->disposition_params);
}

/* RFC 3282 2: tags with commas between, comments anywhere. */
static void
read_language(struct arena *arena, struct part *part, struct str value)
{
	for (size_t n = 0; n < PART_LANGUAGES_MAX; n++) {
		struct part_language *language;
		struct str tag;

		while (lex_skip(&value, NULL) || (value.n > 0 && strchr(",;\"", value.p[0]) != NULL))
			if (value.n > 0 && strchr(",;\"", value.p[0]) != NULL)
				value = str_from(value, 1);
		tag = lex_word(&value, "(,;\"");
		if (tag.n == 0)
			return;
		language = arena_one(arena, struct part_language);
		language->tag = arena_str(arena, tag);
		STAILQ_INSERT_TAIL(&part->languages, language, link);
	}
}

static void
read_id(struct arena *arena, struct part *part, struct str value)
{
	part->id = keep_unfolded(arena, value);
}

static void
read_description(struct arena *arena, struct part *part, struct str value)
{
	part->description = keep_unfolded(arena, value);
}

static void
read_md5(struct arena *arena, struct part *part, struct str value)
{
	part->md5 = keep_unfolded(arena, value);
}

/* RFC 2557 4.4.1: white space within a folded URI is not part of it. */
static void
read_location(struct arena *arena, struct part *part, struct str value)
{
	scoped_buf text = BUF_INIT;

	for (size_t i = 0; i < value.n; i++)
		if (!ascii_is_space(value.p[i]) && value.p[i] != '\0')
			buf_put_c(&text, value.p[i]);
	part->location = arena_str(arena, buf_str(&text));
}

static const struct {
	struct str name;
	void (*read)(struct arena *, struct part *, struct str value);
} fields[] = {
	{ STR("type"), read_type },
	{ STR("transfer-encoding"), read_encoding },
	{ STR("disposition"), read_disposition },
	{ STR("language"), read_language },
	{ STR("id"), read_id },
	{ STR("description"), read_description },
	{ STR("md5"), read_md5 },
	{ STR("location"), read_location },
};

void
part_fields_init(struct part *part)
{
	STAILQ_INIT(&part->children);
	STAILQ_INIT(&part->params);
	STAILQ_INIT(&part->disposition_params);
	STAILQ_INIT(&part->languages);
}

void
part_fields_default(struct arena *arena, struct part *part, bool in_digest)
{
	struct param *charset;

	if (part->encoding.p == NULL)
		part->encoding = STR("7bit");
	if (part->type.p == NULL && in_digest) {
		part->type = STR("message");	/* RFC 2046 5.1.5 */
		part->subtype = STR("rfc822");
	} else if (part->type.p == NULL) {
		part->type = STR("text");
		part->subtype = STR("plain");
	}
	if (!str_eq(part->type, STR("text")) || param_get(&part->params, STR("charset")).p != NULL ||
	    param_get(&part->params, STR("charset*")).p != NULL)
		return;
	charset = arena_one(arena, struct param);	/* RFC 2046 4.1.2 */
	charset->name = STR("charset");
	charset->value = STR("us-ascii");
	STAILQ_INSERT_TAIL(&part->params, charset, link);
}

/* The first field of a kind counts; a second is ignored. */
void
part_fields_read(struct arena *arena, struct part *part, struct str header, bool in_digest)
{
	static const struct str prefix = STR("content-");
	struct header_walk walk = header_walk(header);
	struct header_field field;
	unsigned seen = 0;

	while (header_next(&walk, &field)) {
		if (!str_starts_nocase(field.name, prefix))
			continue;
		for (size_t i = 0; i < countof(fields); i++) {
			if (seen & 1u << i ||
			    !str_eq_nocase(str_from(field.name, prefix.n), fields[i].name))
				continue;
			seen |= 1u << i;
			fields[i].read(arena, part, field.value);
		}
	}
	part_fields_default(arena, part, in_digest);
}

/* RFC 2046 5.1.1: it never ends in white space. */
struct str
part_boundary(const struct part *part)
{
	struct str boundary = param_get(&part->params, STR("boundary"));

	if (boundary.p == NULL || boundary.n > PART_BOUNDARY_MAX)
		return STR_EMPTY;
	return lex_trim_end(boundary);
}
