/* SPDX-License-Identifier: ISC */
#include "maildir/digest.h"

#include "common/mime/address.h"
#include "common/mime/word.h"
#include "maildir/match.h"
#include "maildir/reading.h"
#include "maildir/varint.h"

void
digest_free(struct digest *d)
{
	buf_free(&d->header);
	buf_free(&d->brief);
	buf_free(&d->body);
}

/* ---- addresses ---- */

static bool
is_address_field(struct str name)
{
	static const char *const names[] = { "from", "to", "cc", "bcc" };

	for (size_t i = 0; i < countof(names); i++)
		if (str_eq_nocase(name, str_of(names[i])))
			return true;
	return false;
}

bool
digest_is_brief(struct str name)
{
	return is_address_field(name) || str_eq_nocase(name, STR("subject")) ||
	    str_eq_nocase(name, STR("message-id"));
}

/*
 * RFC 3501 6.4.4 compares From and its kind with the envelope, where quotes, comments and
 * blanks within an address are gone; the field as a person sees it is looked at too.
 */
bool
digest_has_addresses(struct str name, struct str value)
{
	return is_address_field(name) && (str_has_char(value, '"') || str_has_char(value, '(') ||
	    str_has_char(value, '\\') || str_find(value, STR("@ ")) < value.n ||
	    str_find(value, STR(" @")) < value.n);
}

void
digest_put_envelope(struct buf *out, struct str value)
{
	struct arena *arena = arena_new();
	struct address_list list;
	struct address *address;

	address_parse(arena, value, &list);
	STAILQ_FOREACH(address, &list, link) {
		buf_put(out, STR("\r\n"));
		word_put_utf8(out, address->name);
		buf_put(out, STR(" <"));
		word_put_utf8(out, address->mailbox);
		if (address->kind == ADDRESS_MAILBOX)
			buf_put_c(out, '@');
		word_put_utf8(out, address->host);
		buf_put_c(out, '>');
	}
	arena_free(arena);
}

/* ---- making ---- */

/* Pieces of the header record, put together at the end. */
struct header_parts {
	size_t fields;
	struct buf lengths, lines, parts, addresses;
	struct buf text, folded;	/* in hand */
};

static void
header_parts_free(struct header_parts *h)
{
	buf_free(&h->lengths);
	buf_free(&h->lines);
	buf_free(&h->parts);
	buf_free(&h->addresses);
	buf_free(&h->text);
	buf_free(&h->folded);
}

static void
put_address_record(struct header_parts *h, struct str value)
{
	buf_clear(&h->text);
	buf_clear(&h->folded);
	digest_put_envelope(&h->text, value);
	match_fold_text(&h->folded, buf_str(&h->text));
	varint_put(&h->addresses, h->fields);
	varint_put(&h->addresses, h->folded.n);
	buf_put(&h->addresses, buf_str(&h->folded));
}

static void
put_field(struct header_parts *h, const struct header_field *field)
{
	const size_t before = h->lines.n;

	buf_clear(&h->folded);
	match_fold_text(&h->folded, field->name);
	buf_clear(&h->text);
	reading_put_field(&h->text, field);
	match_fold_text(&h->lines, buf_str(&h->text));
	varint_put(&h->lengths, h->folded.n);
	varint_put(&h->lengths, h->lines.n - before);
	if (digest_has_addresses(field->name, field->value))
		put_address_record(h, field->value);
	h->fields++;
}

static bool
is_too_long(const struct header_parts *h, const struct digest *d)
{
	return h->lengths.n + h->lines.n + h->parts.n + h->addresses.n + h->text.n > DIGEST_BYTES_MAX ||
	    d->body.n + h->text.n > DIGEST_BYTES_MAX;
}

/* One text of the message is over: it is folded as a whole. */
static void
end_text(struct header_parts *h, struct buf *to)
{
	match_fold_text(to, buf_str(&h->text));
	buf_put_c(to, (char)DIGEST_BREAK);
	buf_clear(&h->text);
}

static bool
read_all(struct header_parts *h, struct digest *d, struct reading *reading)
{
	struct buf *to = &h->parts;

	buf_clear(&h->text);
	for (;;) {
		enum reading_step step = reading_next(reading, &h->text);

		if (step == READING_ENDS)
			return true;
		if (step == READING_TEXT_ENDS)
			end_text(h, to);
		else
			to = step == READING_HEADER ? &h->parts : &d->body;
		if (is_too_long(h, d))
			return false;
	}
}

static void
put_header(struct buf *out, const struct header_parts *h)
{
	varint_put(out, h->fields);
	buf_put(out, buf_str(&h->lengths));
	buf_put(out, buf_str(&h->lines));
	varint_put(out, h->parts.n);
	buf_put(out, buf_str(&h->parts));
	buf_put(out, buf_str(&h->addresses));
}

bool
digest_make(struct digest *out, struct str message)
{
	struct header_walk walk = header_walk(str_sub(message, 0, header_end(message)));
	struct header_parts h = { 0 }, brief = { 0 };
	struct header_field field;
	struct reading *reading;
	bool whole = true;

	buf_clear(&out->header);
	buf_clear(&out->brief);
	buf_clear(&out->body);
	while (whole && header_next(&walk, &field)) {
		put_field(&h, &field);
		if (digest_is_brief(field.name) && brief.lines.n <= DIGEST_BRIEF_MAX)
			put_field(&brief, &field);
		whole = !is_too_long(&h, out);
	}
	if (whole) {
		reading = reading_new(message);
		whole = read_all(&h, out, reading);
		reading_free(reading);
	}
	if (whole) {
		put_header(&out->header, &h);
		put_header(&out->brief, &brief);
	}
	if (out->brief.n > DIGEST_BRIEF_MAX)
		buf_clear(&out->brief);
	header_parts_free(&h);
	header_parts_free(&brief);
	return whole;
}

/* ---- looking ---- */

static bool
cut(struct str *rest, uint64_t n, struct str *out)
{
	if (n > rest->n)
		return false;
	*out = str_sub(*rest, 0, (size_t)n);
	*rest = str_from(*rest, (size_t)n);
	return true;
}

bool
digest_read_header(struct str record, struct digest_header *out)
{
	struct str rest = record;
	uint64_t fields, name, line, lines = 0, parts;
	struct digest_header h;

	if (!varint_take(&rest, &fields) || fields > record.n)
		return false;
	h.fields = (size_t)fields;
	h.lengths = rest;
	for (size_t i = 0; i < h.fields; i++) {
		/* "name", ": ", CR LF */
		if (!varint_take(&rest, &name) || !varint_take(&rest, &line) ||
		    line > record.n || name + 4 > line)
			return false;
		lines += line;
	}
	h.lengths.n -= rest.n;
	if (!cut(&rest, lines, &h.lines) || !varint_take(&rest, &parts) ||
	    !cut(&rest, parts, &h.parts))
		return false;
	h.addresses = rest;
	*out = h;
	return true;
}

static bool
has(struct str text, struct str folded)
{
	return str_find(text, folded) < text.n;
}

static bool
addresses_have(const struct digest_header *h, size_t field, struct str folded)
{
	struct str rest = h->addresses, text;
	uint64_t of, n;

	while (varint_take(&rest, &of) && varint_take(&rest, &n) && cut(&rest, n, &text))
		if (of == field && has(text, folded))
			return true;
	return false;
}

bool
digest_field_has(const struct digest_header *h, struct str name, struct str folded)
{
	struct str lengths = h->lengths, lines = h->lines, line;
	uint64_t name_length, length;

	for (size_t i = 0; i < h->fields; i++) {
		if (!varint_take(&lengths, &name_length) || !varint_take(&lengths, &length) ||
		    !cut(&lines, length, &line))
			return false;
		if (name_length != name.n || !str_starts(line, name))
			continue;
		if (folded.n == 0 || has(str_sub(line, name.n + 2, line.n - name.n - 4), folded) ||
		    addresses_have(h, i, folded))
			return true;
	}
	return false;
}

bool
digest_header_has(const struct digest_header *h, struct str folded)
{
	return has(h->lines, folded) || has(h->parts, folded);
}

bool
digest_body_has(struct str record, struct str folded)
{
	return has(record, folded);
}

void
digest_put_addresses(struct buf *out, const struct digest_header *h)
{
	struct str rest = h->addresses, text;
	uint64_t of, n;

	while (varint_take(&rest, &of) && varint_take(&rest, &n) && cut(&rest, n, &text)) {
		buf_put(out, text);
		buf_put_c(out, (char)DIGEST_BREAK);
	}
}
