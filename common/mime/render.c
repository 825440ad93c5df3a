/* SPDX-License-Identifier: ISC */
#include "common/mime/render.h"

#include "common/mime/address.h"
#include "common/mime/header.h"

struct render {
	struct buf *out;
	struct arena *scratch;	/* of the envelope at hand */
	struct str message;
	size_t start;		/* of this text in out */
	size_t addresses;
};

static bool
fits_quotes(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c >= 127 || c == '\r' || c == '\n' || c == '\0')
			return false;
	}
	return true;
}

void
render_quoted(struct buf *out, struct str s)
{
	buf_put_c(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_put_c(out, '\\');
		buf_put_c(out, s.p[i]);
	}
	buf_put_c(out, '"');
}

void
render_string(struct buf *out, struct str s)
{
	scoped_buf clean = BUF_INIT;

	if (s.p == NULL) {
		buf_put(out, STR("NIL"));
		return;
	}
	if (fits_quotes(s)) {
		render_quoted(out, s);
		return;
	}
	while (s.n > 0) {	/* RFC 3501 9: CHAR8 is not NUL */
		size_t n = str_index(s, '\0');

		buf_put(&clean, str_sub(s, 0, n));
		s = str_from(s, n + 1);
	}
	buf_put_c(out, '{');
	buf_put_u64(out, clean.n);
	buf_put(out, STR("}\r\n"));
	buf_put(out, buf_str(&clean));
}

static void
put_spaced(struct render *r, struct str s)
{
	buf_put_c(r->out, ' ');
	render_string(r->out, s);
}

static void
put_address(struct render *r, const struct address *a)
{
	buf_put_c(r->out, '(');
	render_string(r->out, a->name);
	put_spaced(r, a->route);
	put_spaced(r, a->mailbox);
	put_spaced(r, a->host);
	buf_put_c(r->out, ')');
}

/* The limit never cuts a group's end off, or a reader would wait for it. */
static void
put_addresses(struct render *r, const struct address_list *list)
{
	const struct address *a;
	bool in_group = false;
	size_t shown = 0;

	STAILQ_FOREACH(a, list, link) {
		bool ends = in_group && a->kind == ADDRESS_GROUP_END;

		if (r->addresses >= RENDER_ADDRESSES_MAX && !ends)
			continue;
		in_group = a->kind == ADDRESS_GROUP_START || (in_group && !ends);
		buf_put_z(r->out, shown++ == 0 ? " (" : "");
		put_address(r, a);
		r->addresses++;
	}
	buf_put_z(r->out, shown > 0 ? ")" : " NIL");
}

enum envelope_field {
	DATE, SUBJECT, FROM, SENDER, REPLY_TO, TO, CC, BCC, IN_REPLY_TO, MESSAGE_ID,
};

static const struct {
	const char *name;
	enum { TEXT, ADDRESSES, JOINED_ADDRESSES } kind;
} envelope[] = {
	[DATE] = { "date", TEXT },
	[SUBJECT] = { "subject", TEXT },
	[FROM] = { "from", ADDRESSES },
	[SENDER] = { "sender", ADDRESSES },
	[REPLY_TO] = { "reply-to", ADDRESSES },
	[TO] = { "to", JOINED_ADDRESSES },
	[CC] = { "cc", JOINED_ADDRESSES },
	[BCC] = { "bcc", JOINED_ADDRESSES },
	[IN_REPLY_TO] = { "in-reply-to", TEXT },
	[MESSAGE_ID] = { "message-id", TEXT },
};

struct envelope_values {
	struct {
		struct str text;	/* p is NULL until the field is seen */
		struct address_list addresses;
	} fields[countof(envelope)];
};

static void
read_field(struct render *r, struct envelope_values *values, size_t i, struct str value)
{
	struct address_list more;
	scoped_buf text = BUF_INIT;

	if (values->fields[i].text.p != NULL && envelope[i].kind != JOINED_ADDRESSES)
		return;
	if (envelope[i].kind == TEXT) {
		header_put_unfolded(&text, value);
		values->fields[i].text = arena_str(r->scratch, buf_str(&text));
		return;
	}
	values->fields[i].text = value;
	address_parse(r->scratch, value, &more);
	STAILQ_CONCAT(&values->fields[i].addresses, &more);
}

static void
read_fields(struct render *r, struct envelope_values *values, struct str header)
{
	struct header_walk walk = header_walk(header);
	struct header_field field;

	for (size_t i = 0; i < countof(envelope); i++)
		STAILQ_INIT(&values->fields[i].addresses);
	while (header_next(&walk, &field))
		for (size_t i = 0; i < countof(envelope); i++)
			if (str_eq_nocase(field.name, str_of(envelope[i].name)))
				read_field(r, values, i, field.value);
}

static void
put_envelope(struct render *r, struct str header)
{
	struct envelope_values values = { 0 };

	if (r->out->n - r->start > RENDER_ENVELOPES_MAX)
		header = STR_EMPTY;
	read_fields(r, &values, header);
	buf_put_c(r->out, '(');
	for (size_t i = 0; i < countof(envelope); i++) {
		size_t from = i;

		/* RFC 3501 7.4.2: absent or empty, they are as From. */
		if ((i == SENDER || i == REPLY_TO) && STAILQ_EMPTY(&values.fields[i].addresses))
			from = FROM;
		if (envelope[i].kind != TEXT)
			put_addresses(r, &values.fields[from].addresses);
		else if (i == DATE)
			render_string(r->out, values.fields[i].text);
		else
			put_spaced(r, values.fields[i].text);
	}
	buf_put_c(r->out, ')');
	arena_reset(r->scratch);
}

static void
put_params(struct render *r, const struct param_list *params)
{
	const struct param *param;
	const char *before = " (";

	if (STAILQ_EMPTY(params)) {
		buf_put(r->out, STR(" NIL"));
		return;
	}
	STAILQ_FOREACH(param, params, link) {
		buf_put_z(r->out, before);
		render_string(r->out, param->name);
		put_spaced(r, param->value);
		before = " ";
	}
	buf_put_c(r->out, ')');
}

/* RFC 3501 9: body-fld-dsp, body-fld-lang, body-fld-loc end either kind of extension. */
static void
put_extension(struct render *r, const struct part *part)
{
	const struct part_language *language;
	const char *before = " (";

	if (part->disposition.p == NULL) {
		buf_put(r->out, STR(" NIL"));
	} else {
		buf_put(r->out, STR(" ("));
		render_string(r->out, part->disposition);
		put_params(r, &part->disposition_params);
		buf_put_c(r->out, ')');
	}
	STAILQ_FOREACH(language, &part->languages, link) {
		buf_put_z(r->out, before);
		render_string(r->out, language->tag);
		before = " ";
	}
	buf_put_z(r->out, STAILQ_EMPTY(&part->languages) ? " NIL" : ")");
	put_spaced(r, part->location);
}

static void put_part(struct render *, const struct part *);

static void
put_number(struct render *r, size_t n)
{
	buf_put_c(r->out, ' ');
	buf_put_u64(r->out, n);
}

static void
put_multipart(struct render *r, const struct part *part)
{
	const struct part *child;

	STAILQ_FOREACH(child, &part->children, link)
		put_part(r, child);
	put_spaced(r, part->subtype);
	put_params(r, &part->params);
}

static void
put_single(struct render *r, const struct part *part)
{
	render_string(r->out, part->type);
	put_spaced(r, part->subtype);
	put_params(r, &part->params);
	put_spaced(r, part->id);
	put_spaced(r, part->description);
	put_spaced(r, part->encoding);
	put_number(r, part->body_size);
	if (part->kind == PART_MESSAGE) {
		const struct part *within = STAILQ_FIRST(&part->children);

		buf_put_c(r->out, ' ');
		put_envelope(r, part_header(within, r->message));
		buf_put_c(r->out, ' ');
		put_part(r, within);
	}
	if (part->kind == PART_MESSAGE || str_eq(part->type, STR("text")))
		put_number(r, part->body_lines);
	put_spaced(r, part->md5);
}

static void
put_part(struct render *r, const struct part *part)
{
	buf_put_c(r->out, '(');
	if (part->kind == PART_MULTIPART)
		put_multipart(r, part);
	else
		put_single(r, part);
	put_extension(r, part);
	buf_put_c(r->out, ')');
}

void
render_envelope(struct buf *out, struct str header)
{
	struct render r = { .out = out, .scratch = arena_new(), .start = out->n };

	put_envelope(&r, header);
	arena_free(r.scratch);
}

void
render_bodystructure(struct buf *out, const struct part *root, struct str message)
{
	struct render r = { .out = out, .scratch = arena_new(), .message = message,
	    .start = out->n };

	put_part(&r, root);
	arena_free(r.scratch);
}
