/* SPDX-License-Identifier: ISC */
/*
 * FETCH: RFC 3501 6.4.5 and section 9, "fetch-att" and "section"; its modifiers RFC 4466 2.4, RFC 9394 4. Macros become their
 * items; a simple item asked twice is answered once. RFC822.PEEK is the way of RFC 1730 to fetch
 * RFC822 without setting \Seen.
 */
#include "imapd/parse.h"

struct fetch_word {
	const char *word;
	enum fetch_kind kind;
	bool marks_seen;
};

static const struct fetch_word fetch_words[] = {
	{ "FLAGS", FETCH_FLAGS, false },
	{ "UID", FETCH_UID, false },
	{ "INTERNALDATE", FETCH_INTERNALDATE, false },
	{ "ENVELOPE", FETCH_ENVELOPE, false },
	{ "BODYSTRUCTURE", FETCH_BODYSTRUCTURE, false },
	{ "RFC822", FETCH_RFC822, true },
	{ "RFC822.PEEK", FETCH_RFC822, false },
	{ "RFC822.SIZE", FETCH_RFC822_SIZE, false },
	{ "RFC822.HEADER", FETCH_RFC822_HEADER, false },
	{ "RFC822.TEXT", FETCH_RFC822_TEXT, true },
	{ "BODY", FETCH_BODY, false },
	{ "MODSEQ", FETCH_MODSEQ, false },
	{ "EMAILID", FETCH_EMAILID, false },
	{ "THREADID", FETCH_THREADID, false },
	{ "SAVEDATE", FETCH_SAVEDATE, false },
};

/* RFC 3501 6.4.5; a macro stands alone. */
static const struct {
	const char *word;
	enum fetch_kind kinds[5];
	size_t count;
} macros[] = {
	{ "ALL", { FETCH_FLAGS, FETCH_INTERNALDATE, FETCH_RFC822_SIZE, FETCH_ENVELOPE }, 4 },
	{ "FAST", { FETCH_FLAGS, FETCH_INTERNALDATE, FETCH_RFC822_SIZE }, 3 },
	{ "FULL", { FETCH_FLAGS, FETCH_INTERNALDATE, FETCH_RFC822_SIZE, FETCH_ENVELOPE,
	    FETCH_BODY }, 5 },
};

/* The request as it grows. */
struct fetch_list {
	struct fetch_arguments arguments;
	size_t room;
	unsigned kinds;		/* simple ones that are in, 1 << kind */
	unsigned modifiers;	/* that are in, 1 << row */
	bool since_given;	/* CHANGEDSINCE, be it 0 */
};

struct section_word;
static bool take_section(struct lexer *, const struct section_word *, struct section *);

/* ---- the list ---- */

/* A copy of a full array with twice the room. */
static void *
enlarge(struct arena *arena, const void *array, size_t *room, size_t size)
{
	size_t more = *room > 0 ? *room * 2 : 8;
	void *larger = arena_alloc_many(arena, more, size);

	if (*room > 0)
		memcpy(larger, array, *room * size);
	*room = more;
	return larger;
}

static struct fetch_item *
new_item(struct lexer *lexer, struct fetch_list *list)
{
	struct fetch_arguments *arguments = &list->arguments;

	if (arguments->count == FETCH_ITEMS_MAX) {
		lex_refuse(lexer, "FETCH asks for more than 500 items");
		return NULL;
	}
	if (arguments->count == list->room)
		arguments->items = enlarge(lexer->arena, arguments->items, &list->room,
		    sizeof(*arguments->items));
	return &arguments->items[arguments->count++];
}

static bool
add_simple(struct lexer *lexer, struct fetch_list *list, enum fetch_kind kind)
{
	struct fetch_item *item;

	if (list->kinds & 1u << kind)
		return true;
	item = new_item(lexer, list);
	if (item == NULL)
		return false;
	item->kind = kind;
	list->kinds |= 1u << kind;
	return true;
}

/* The items with a section in brackets. */
static const struct section_word {
	const char *word;
	const char *name;	/* in the answer */
	enum fetch_kind kind;
	bool peek;
} section_words[] = {
	{ "BODY", "BODY", FETCH_SECTION, false },
	{ "BODY.PEEK", "BODY", FETCH_SECTION, true },
	{ "BINARY", "BINARY", FETCH_BINARY, false },
	{ "BINARY.PEEK", "BINARY", FETCH_BINARY, true },
	{ "BINARY.SIZE", "BINARY.SIZE", FETCH_BINARY_SIZE, true },
};

/* The opening bracket is taken. */
static bool
take_section_item(struct lexer *lexer, struct fetch_list *list, struct str word)
{
	for (size_t i = 0; i < countof(section_words); i++) {
		const struct section_word *row = &section_words[i];
		struct fetch_item *item;

		if (!str_eq(word, str_of(row->word)))
			continue;
		item = new_item(lexer, list);
		if (item == NULL)
			return false;
		item->kind = row->kind;
		item->section.peek = row->peek;
		list->arguments.marks_seen |= !row->peek;
		return take_section(lexer, row, &item->section);
	}
	return lex_refuse(lexer, "only BODY and BINARY, with PEEK or SIZE, take a section in brackets");
}

/* RFC 8970 6. What else may stand in parentheses behind an item belongs to the command (RFC 4466 2.4). */
static bool
take_preview(struct lexer *lexer, struct fetch_list *list)
{
	struct str rest = { lexer->p + lexer->at, lexer->n - lexer->at };

	if (!str_starts_nocase(rest, STR(" (LAZY")))
		return add_simple(lexer, list, FETCH_PREVIEW);
	if (!lex_space(lexer) || !lex_char(lexer, '('))
		return false;
	do {
		if (!lex_take_word(lexer, STR("LAZY")))
			return lex_fail(lexer, "LAZY");
	} while (lex_take(lexer, ' '));
	return lex_char(lexer, ')') && add_simple(lexer, list, FETCH_PREVIEW_LAZY);
}

static bool
take_fetch_word(struct lexer *lexer, struct fetch_list *list, struct str word)
{
	for (size_t i = 0; i < countof(fetch_words); i++) {
		if (!str_eq(word, str_of(fetch_words[i].word)))
			continue;
		list->arguments.marks_seen |= fetch_words[i].marks_seen;
		return add_simple(lexer, list, fetch_words[i].kind);
	}
	return lex_refuse(lexer, "FETCH asks for an item that is not known here");
}

static bool
take_item(struct lexer *lexer, struct fetch_list *list)
{
	struct str word;

	if (!lex_dotted(lexer, "an item to fetch", &word))
		return false;
	if (lex_take(lexer, '['))
		return take_section_item(lexer, list, word);
	if (str_eq(word, STR("PREVIEW")))
		return take_preview(lexer, list);
	return take_fetch_word(lexer, list, word);
}

static bool
take_macro(struct lexer *lexer, struct fetch_list *list)
{
	for (size_t m = 0; m < countof(macros); m++) {
		if (!lex_take_word(lexer, str_of(macros[m].word)))
			continue;
		for (size_t i = 0; i < macros[m].count; i++)
			if (!add_simple(lexer, list, macros[m].kinds[i]))
				return false;
		return true;
	}
	return false;
}

static bool
take_items(struct lexer *lexer, struct fetch_list *list)
{
	if (!lex_take(lexer, '('))
		return take_macro(lexer, list) || take_item(lexer, list);
	do {
		if (!take_item(lexer, list))
			return false;
	} while (lex_take(lexer, ' '));
	return lex_char(lexer, ')');
}

/* ---- modifiers ---- */

/*
 * RFC 7162 3.1.4.1: the MODSEQ is told too. Its grammar begins with 1, but phones were seen to say 0, before they know
 * anything: every message has a larger one.
 */
static bool
take_changed_since(struct lexer *lexer, struct fetch_list *list)
{
	list->since_given = true;
	return lex_space(lexer) &&
	    lex_number63(lexer, "a mod-sequence", &list->arguments.changed_since) &&
	    add_simple(lexer, list, FETCH_MODSEQ);
}

static bool
take_vanished(struct lexer *lexer, struct fetch_list *list)
{
	(void)lexer;
	list->arguments.vanished = true;
	return true;
}

static bool
take_partial_modifier(struct lexer *lexer, struct fetch_list *list)
{
	list->arguments.is_partial = true;
	return lex_space(lexer) && take_partial_range(lexer, &list->arguments.partial);
}

static const struct {
	const char *word;
	bool (*take)(struct lexer *, struct fetch_list *);	/* what follows the word */
} fetch_modifiers[] = {
	{ "CHANGEDSINCE", take_changed_since },
	{ "PARTIAL", take_partial_modifier },
	{ "VANISHED", take_vanished },
};

static bool
take_modifier(struct lexer *lexer, struct fetch_list *list)
{
	for (size_t i = 0; i < countof(fetch_modifiers); i++) {
		if (!lex_take_word(lexer, str_of(fetch_modifiers[i].word)))
			continue;
		if (list->modifiers & 1u << i)
			return lex_refuse(lexer, "FETCH has a modifier twice");
		list->modifiers |= 1u << i;
		return fetch_modifiers[i].take(lexer, list);
	}
	return lex_refuse(lexer, "FETCH has a modifier that is not known here");
}

/* "(" fetch-modifier *(SP fetch-modifier) ")" */
static bool
take_modifiers(struct lexer *lexer, struct fetch_list *list, bool by_uid)
{
	if (!lex_char(lexer, '('))
		return false;
	do {
		if (!take_modifier(lexer, list))
			return false;
	} while (lex_take(lexer, ' '));
	if (!lex_char(lexer, ')'))
		return false;
	/* RFC 9394 3.3 */
	if (list->arguments.is_partial && !by_uid)
		return lex_refuse(lexer, "PARTIAL goes with UID FETCH only");
	/* RFC 7162 3.2.6 */
	return !list->arguments.vanished || (by_uid && list->since_given) ||
	    lex_refuse(lexer, "VANISHED goes with UID FETCH and CHANGEDSINCE only");
}

enum parse
parse_fetch(struct lexer *lexer, struct request *req)
{
	struct fetch_list list = { 0 };

	if (!lex_space(lexer) || !take_set(lexer, &list.arguments.set) || !lex_space(lexer))
		return BAD;
	/* RFC 3501 6.4.8: UID FETCH answers with the UID, asked or not. */
	if (req->by_uid && !add_simple(lexer, &list, FETCH_UID))
		return BAD;
	if (!take_items(lexer, &list))
		return BAD;
	if (lex_take(lexer, ' ') && !lex_at_end(lexer) &&
	    !take_modifiers(lexer, &list, req->by_uid))
		return BAD;
	if (!lex_end(lexer))
		return BAD;
	req->fetch = list.arguments;
	return PARSED;
}

/* ---- sections ---- */

/* *(nz-number ".") and a last one; *more: a dot stands behind it, and letters after that. */
static bool
take_path(struct lexer *lexer, struct section *section, bool *more)
{
	uint32_t path[SECTION_DEPTH_MAX];

	*more = true;
	while (*more && lexer->at < lexer->n && ascii_is_digit(lexer->p[lexer->at])) {
		if (section->path_length == SECTION_DEPTH_MAX)
			return lex_refuse(lexer, "a part number has more than 100 levels");
		if (!lex_nz_number(lexer, "a part number", &path[section->path_length]))
			return false;
		section->path_length++;
		*more = lex_take(lexer, '.');
	}
	if (section->path_length == 0)
		return true;
	section->path = arena_array(lexer->arena, uint32_t, section->path_length);
	memcpy(section->path, path, section->path_length * sizeof(*path));
	return true;
}

static bool
take_kind(struct lexer *lexer, struct section *section)
{
	static const struct {
		const char *word;
		enum section_kind kind;
	} rows[] = {
		{ "HEADER", SECTION_HEADER },
		{ "HEADER.FIELDS", SECTION_HEADER_FIELDS },
		{ "HEADER.FIELDS.NOT", SECTION_HEADER_FIELDS_NOT },
		{ "TEXT", SECTION_TEXT },
		{ "MIME", SECTION_MIME },
	};
	struct str word;

	if (!lex_dotted(lexer, "HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT or MIME", &word))
		return false;
	for (size_t i = 0; i < countof(rows); i++) {
		if (!str_eq(word, str_of(rows[i].word)))
			continue;
		section->kind = rows[i].kind;
		return section->kind != SECTION_MIME || section->path_length > 0 ||
		    lex_refuse(lexer, "MIME needs a part number before it");
	}
	return lex_refuse(lexer, "a section is none of HEADER, HEADER.FIELDS, TEXT and MIME");
}

/* RFC 5322 2.2: printable ASCII without the colon; it is echoed, so no line end may slip in. */
static bool
is_field_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] == 127 || s.p[i] == ':')
			return false;
	return s.n > 0;
}

static bool
take_field(struct lexer *lexer, struct section *section, size_t *room)
{
	struct str name;

	if (section->field_count == FETCH_FIELDS_MAX)
		return lex_refuse(lexer, "a section names more than 500 header fields");
	if (!lex_astring(lexer, "the name of a header field", &name))
		return false;
	if (!is_field_name(name))
		return lex_refuse(lexer, "that cannot be the name of a header field");
	if (section->field_count == *room)
		section->fields = enlarge(lexer->arena, section->fields, room, sizeof(name));
	section->fields[section->field_count++] = name;
	return true;
}

static bool
take_fields(struct lexer *lexer, struct section *section)
{
	size_t room = 0;

	if (!lex_space(lexer) || !lex_char(lexer, '('))
		return false;
	do {
		if (!take_field(lexer, section, &room))
			return false;
	} while (lex_take(lexer, ' '));
	return lex_char(lexer, ')');
}

/* "<" number "." nz-number ">" */
static bool
take_partial(struct lexer *lexer, struct section *section)
{
	section->partial = lex_take(lexer, '<');
	return !section->partial ||
	    (lex_number(lexer, "the first octet wanted", &section->offset) &&
	    lex_char(lexer, '.') &&
	    lex_nz_number(lexer, "the number of octets wanted", &section->length) &&
	    lex_char(lexer, '>'));
}

/* ---- the echo ---- */

static const char *
word_of(enum section_kind kind)
{
	switch (kind) {
	case SECTION_ALL:
		return "";
	case SECTION_HEADER:
		return "HEADER";
	case SECTION_HEADER_FIELDS:
		return "HEADER.FIELDS";
	case SECTION_HEADER_FIELDS_NOT:
		return "HEADER.FIELDS.NOT";
	case SECTION_TEXT:
		return "TEXT";
	case SECTION_MIME:
		return "MIME";
	}
	fatal("there is no section kind %d", (int)kind);
}

/* As an atom where it is one, else quoted; is_field_name saw to the rest. */
static void
put_field(struct buf *out, struct str name)
{
	bool atom = !str_eq_nocase(name, STR("NIL"));

	for (size_t i = 0; i < name.n; i++)
		atom = atom && lex_is_atom_char(name.p[i]);
	if (atom) {
		buf_put(out, name);
		return;
	}
	buf_put_c(out, '"');
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] == '"' || name.p[i] == '\\')
			buf_put_c(out, '\\');
		buf_put_c(out, name.p[i]);
	}
	buf_put_c(out, '"');
}

static void
put_fields(struct buf *out, const struct section *section)
{
	buf_put_z(out, " (");
	for (size_t i = 0; i < section->field_count; i++) {
		if (i > 0)
			buf_put_c(out, ' ');
		put_field(out, section->fields[i]);
	}
	buf_put_c(out, ')');
}

/* RFC 3501 7.4.2: the section as asked, without .PEEK and without the length of a partial. */
static struct str
echo_of(struct arena *arena, const char *name, const struct section *section)
{
	scoped_buf out = BUF_INIT;

	buf_put_z(&out, name);
	buf_put_c(&out, '[');
	for (size_t i = 0; i < section->path_length; i++) {
		if (i > 0)
			buf_put_c(&out, '.');
		buf_put_u64(&out, section->path[i]);
	}
	if (section->path_length > 0 && section->kind != SECTION_ALL)
		buf_put_c(&out, '.');
	buf_put_z(&out, word_of(section->kind));
	if (section->field_count > 0)
		put_fields(&out, section);
	buf_put_c(&out, ']');
	if (section->partial)
		buf_printf(&out, "<%u>", section->offset);
	return arena_str(arena, buf_str(&out));
}

/* section, the opening bracket taken, and what follows it. */
static bool
take_section(struct lexer *lexer, const struct section_word *word, struct section *section)
{
	bool more;

	if (!take_path(lexer, section, &more))
		return false;
	/* RFC 3516 7: section-binary is a part's number, and nothing behind it. */
	if (word->kind != FETCH_SECTION && section->path_length > 0 && more)
		return lex_refuse(lexer, "BINARY takes the number of a part alone");
	if (word->kind == FETCH_SECTION && (section->path_length > 0 ? more : !lex_peek(lexer, ']')) &&
	    !take_kind(lexer, section))
		return false;
	if ((section->kind == SECTION_HEADER_FIELDS ||
	    section->kind == SECTION_HEADER_FIELDS_NOT) && !take_fields(lexer, section))
		return false;
	if (!lex_char(lexer, ']') || (word->kind != FETCH_BINARY_SIZE && !take_partial(lexer, section)))
		return false;
	section->echo = echo_of(lexer->arena, word->name, section);
	return true;
}
