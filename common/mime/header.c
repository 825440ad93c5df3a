/* SPDX-License-Identifier: ISC */
#include "common/mime/header.h"

#include "common/mime/lex.h"

size_t
header_line(struct str bytes)
{
	size_t at = str_index(bytes, '\n');

	return at < bytes.n ? at + 1 : bytes.n;
}

bool
header_line_is_blank(struct str line)
{
	return line.n == 0 || line.p[0] == '\n' ||
	    (line.p[0] == '\r' && (line.n == 1 || line.p[1] == '\n'));
}

size_t
header_end(struct str message)
{
	size_t at = 0;

	while (at < message.n) {
		struct str line = str_from(message, at);

		line.n = header_line(line);
		at += line.n;
		if (header_line_is_blank(line))
			return at;
	}
	return at;
}

struct header_walk
header_walk(struct str header)
{
	return (struct header_walk){ .rest = str_sub(header, 0, HEADER_BYTES_MAX) };
}

/* RFC 5322 2.2.3: a line that begins with white space goes on with the field before. */
static struct str
take_field(struct str *rest)
{
	struct str field = *rest;
	size_t n = header_line(*rest);

	while (n < rest->n && (rest->p[n] == ' ' || rest->p[n] == '\t'))
		n += header_line(str_from(*rest, n));
	field.n = n;
	*rest = str_from(*rest, n);
	return field;
}

/* RFC 5322 3.6.8 for the name; 4.5 for white space between name and colon. */
static bool
split(struct str raw, struct header_field *field)
{
	size_t colon = 0, name;

	while (colon < raw.n && raw.p[colon] > ' ' && raw.p[colon] < 127 && raw.p[colon] != ':')
		colon++;
	name = colon;
	while (colon < raw.n && (raw.p[colon] == ' ' || raw.p[colon] == '\t'))
		colon++;
	if (name == 0 || colon == raw.n || raw.p[colon] != ':')
		return false;
	field->raw = raw;
	field->name = str_sub(raw, 0, name);
	field->value = str_trim(str_from(raw, colon + 1));
	return true;
}

bool
header_next(struct header_walk *walk, struct header_field *field)
{
	while (walk->rest.n > 0 && walk->fields < HEADER_FIELDS_MAX) {
		if (header_line_is_blank(walk->rest))
			return false;
		walk->fields++;
		if (split(take_field(&walk->rest), field))
			return true;
	}
	return false;
}

bool
header_find(struct str header, struct str name, struct header_field *found)
{
	struct header_walk walk = header_walk(header);
	struct header_field field;

	while (header_next(&walk, &field)) {
		if (!str_eq_nocase(field.name, name))
			continue;
		*found = field;
		return true;
	}
	return false;
}

void
header_put_unfolded(struct buf *out, struct str value)
{
	lex_put_clean(out, value);
}

static bool
is_one_of(struct str name, const struct str *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq_nocase(name, names[i]))
			return true;
	return false;
}

/* The blank line that ends the header, as it stands; empty where there is none. */
static struct str
blank_line(struct str header)
{
	struct str last = str_sub(header, 0, header_end(header)), before = last;
	size_t line_end;

	if (last.n == 0)
		return last;
	before.n--;
	line_end = str_last_index(before, '\n');
	if (line_end < before.n)
		last = str_from(last, line_end + 1);
	return header_line_is_blank(last) ? last : STR_EMPTY;
}

void
header_put_fields(struct buf *out, struct str header, enum header_pick pick,
    const struct str *names, size_t count)
{
	struct header_walk walk = header_walk(header);
	struct header_field field;

	while (header_next(&walk, &field))
		if (is_one_of(field.name, names, count) == (pick == HEADER_ONLY))
			buf_put(out, field.raw);
	/* RFC 3501 6.4.5: not where the message has no blank line and no body. */
	buf_put(out, blank_line(header));
}
