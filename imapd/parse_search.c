/* SPDX-License-Identifier: ISC */
/*
 * SEARCH: RFC 3501 6.4.4 and section 9, "search-key"; RFC 4466 2.6.1, RFC 5032. The result is the store's own tree;
 * what IMAP has names for and the store has not (FROM, UNSEEN ...) is said in the store's words.
 * Depth and number of keys are limited, so recursion is.
 */
#include "imapd/parse.h"

#include "common/base/utf8.h"

/* One SEARCH as it is read. */
struct search_reader {
	struct lexer *lexer;
	struct search_arguments *arguments;
	struct search_set **sets_end;
	size_t keys;
	unsigned depth;
};

struct search_word;
typedef bool take_key(struct search_reader *, const struct search_word *, struct search_key *);

struct search_word {
	const char *word;
	take_key *take;		/* its arguments; NULL: none */
	enum search_kind kind;
	uint32_t flags;		/* SEARCH_FLAG */
	const char *field;	/* SEARCH_HEADER */
	bool negated;
};

static take_key take_text, take_header, take_keyword, take_day, take_number, take_uids;
static take_key take_id, take_interval, take_not, take_or, take_modseq;

static const struct search_word search_words[] = {
	{ .word = "ALL", .kind = SEARCH_ALL },
	{ .word = "ANSWERED", .kind = SEARCH_FLAG, .flags = FLAG_ANSWERED },
	{ .word = "BCC", .take = take_text, .kind = SEARCH_HEADER, .field = "Bcc" },
	{ .word = "BEFORE", .take = take_day, .kind = SEARCH_BEFORE },
	{ .word = "BODY", .take = take_text, .kind = SEARCH_BODY },
	{ .word = "CC", .take = take_text, .kind = SEARCH_HEADER, .field = "Cc" },
	{ .word = "DELETED", .kind = SEARCH_FLAG, .flags = FLAG_DELETED },
	{ .word = "DRAFT", .kind = SEARCH_FLAG, .flags = FLAG_DRAFT },
	{ .word = "EMAILID", .take = take_id, .kind = SEARCH_EMAILID },
	{ .word = "FLAGGED", .kind = SEARCH_FLAG, .flags = FLAG_FLAGGED },
	{ .word = "FROM", .take = take_text, .kind = SEARCH_HEADER, .field = "From" },
	{ .word = "HEADER", .take = take_header, .kind = SEARCH_HEADER },
	{ .word = "KEYWORD", .take = take_keyword, .kind = SEARCH_KEYWORD },
	{ .word = "LARGER", .take = take_number, .kind = SEARCH_LARGER },
	{ .word = "MODSEQ", .take = take_modseq, .kind = SEARCH_MODSEQ },
	{ .word = "NEW", .kind = SEARCH_NEW },
	{ .word = "NOT", .take = take_not, .kind = SEARCH_NOT },
	{ .word = "OLD", .kind = SEARCH_OLD },
	{ .word = "OLDER", .take = take_interval, .kind = SEARCH_OLDER },
	{ .word = "ON", .take = take_day, .kind = SEARCH_ON },
	{ .word = "OR", .take = take_or, .kind = SEARCH_OR },
	{ .word = "RECENT", .kind = SEARCH_RECENT },
	{ .word = "SAVEDATESUPPORTED", .kind = SEARCH_ALL },	/* RFC 8514 4.3: by every mailbox */
	{ .word = "SAVEDBEFORE", .take = take_day, .kind = SEARCH_SAVEDBEFORE },
	{ .word = "SAVEDON", .take = take_day, .kind = SEARCH_SAVEDON },
	{ .word = "SAVEDSINCE", .take = take_day, .kind = SEARCH_SAVEDSINCE },
	{ .word = "SEEN", .kind = SEARCH_FLAG, .flags = FLAG_SEEN },
	{ .word = "SENTBEFORE", .take = take_day, .kind = SEARCH_SENTBEFORE },
	{ .word = "SENTON", .take = take_day, .kind = SEARCH_SENTON },
	{ .word = "SENTSINCE", .take = take_day, .kind = SEARCH_SENTSINCE },
	{ .word = "SINCE", .take = take_day, .kind = SEARCH_SINCE },
	{ .word = "SMALLER", .take = take_number, .kind = SEARCH_SMALLER },
	{ .word = "SUBJECT", .take = take_text, .kind = SEARCH_HEADER, .field = "Subject" },
	{ .word = "TEXT", .take = take_text, .kind = SEARCH_TEXT },
	{ .word = "THREADID", .take = take_id, .kind = SEARCH_THREADID },
	{ .word = "TO", .take = take_text, .kind = SEARCH_HEADER, .field = "To" },
	{ .word = "UID", .take = take_uids, .kind = SEARCH_UID },
	{ .word = "UNANSWERED", .kind = SEARCH_FLAG, .flags = FLAG_ANSWERED, .negated = true },
	{ .word = "UNDELETED", .kind = SEARCH_FLAG, .flags = FLAG_DELETED, .negated = true },
	{ .word = "UNDRAFT", .kind = SEARCH_FLAG, .flags = FLAG_DRAFT, .negated = true },
	{ .word = "UNFLAGGED", .kind = SEARCH_FLAG, .flags = FLAG_FLAGGED, .negated = true },
	{ .word = "UNKEYWORD", .take = take_keyword, .kind = SEARCH_KEYWORD, .negated = true },
	{ .word = "UNSEEN", .kind = SEARCH_FLAG, .flags = FLAG_SEEN, .negated = true },
	{ .word = "YOUNGER", .take = take_interval, .kind = SEARCH_YOUNGER },
};

/* ---- the tree ---- */

static struct search_key *
new_key(struct search_reader *reader, enum search_kind kind)
{
	struct search_key *key = arena_one(reader->lexer->arena, struct search_key);

	key->kind = kind;
	key->field = key->text = STR_EMPTY;
	return key;
}

static struct search_key *read_one_key(struct search_reader *);

/* One key with all below it; NULL: why is set. */
static struct search_key *
read_key(struct search_reader *reader)
{
	struct search_key *key;

	if (++reader->keys > SEARCH_KEYS_MAX) {
		lex_refuse(reader->lexer, "SEARCH has more than 1000 keys");
		return NULL;
	}
	if (reader->depth == SEARCH_DEPTH_MAX) {
		lex_refuse(reader->lexer, "SEARCH nests its keys more than 50 deep");
		return NULL;
	}
	reader->depth++;
	key = read_one_key(reader);
	reader->depth--;
	return key;
}

/* search-key *(SP search-key); several are one AND. */
static struct search_key *
read_keys(struct search_reader *reader)
{
	struct search_key *first = read_key(reader);
	struct search_key *last = first, *all;

	while (last != NULL && lex_take(reader->lexer, ' ') && !lex_at_end(reader->lexer)) {
		last->next = read_key(reader);
		last = last->next;
	}
	if (last == NULL || last == first)
		return last;
	all = new_key(reader, SEARCH_AND);
	all->first = first;
	return all;
}

static struct search_key *
read_word(struct search_reader *reader)
{
	struct search_key *key, *not;
	struct str word;

	if (!lex_keyword(reader->lexer, "a search key", &word))
		return NULL;
	for (size_t i = 0; i < countof(search_words); i++) {
		const struct search_word *row = &search_words[i];

		if (!str_eq(word, str_of(row->word)))
			continue;
		key = new_key(reader, row->kind);
		key->flags = row->flags;
		if (row->take != NULL && !row->take(reader, row, key))
			return NULL;
		if (!row->negated)
			return key;
		not = new_key(reader, SEARCH_NOT);
		not->first = key;
		return not;
	}
	lex_refuse(reader->lexer, "SEARCH has a key that is not known here");
	return NULL;
}

static struct search_key *
read_group(struct search_reader *reader)
{
	struct search_key *key = read_keys(reader);

	return key != NULL && lex_char(reader->lexer, ')') ? key : NULL;
}

static bool
read_set(struct search_reader *reader, struct search_key *key)
{
	struct search_set *set = arena_one(reader->lexer->arena, struct search_set);

	set->key = key;
	if (!take_set(reader->lexer, &set->sent))
		return false;
	*reader->sets_end = set;
	reader->sets_end = &set->next;
	return true;
}

static bool
set_stands_here(const struct lexer *lexer)
{
	return lex_peek(lexer, '*') || lex_peek(lexer, '$') ||
	    (lexer->at < lexer->n && ascii_is_digit(lexer->p[lexer->at]));
}

static struct search_key *
read_one_key(struct search_reader *reader)
{
	struct search_key *key;

	if (lex_take(reader->lexer, '('))
		return read_group(reader);
	if (!set_stands_here(reader->lexer))
		return read_word(reader);
	key = new_key(reader, SEARCH_SEQ);
	return read_set(reader, key) ? key : NULL;
}

/* ---- arguments of keys ---- */

static bool
take_utf8(struct search_reader *reader, const char *what, struct str *out)
{
	if (!lex_space(reader->lexer) || !lex_astring(reader->lexer, what, out))
		return false;
	reader->arguments->text_invalid |= !utf8_valid(*out);
	return true;
}

static bool
take_text(struct search_reader *reader, const struct search_word *row, struct search_key *key)
{
	if (row->field != NULL)
		key->field = str_of(row->field);
	return take_utf8(reader, "a text to search for", &key->text);
}

static bool
take_header(struct search_reader *reader, const struct search_word *row, struct search_key *key)
{
	(void)row;
	return take_utf8(reader, "the name of a header field", &key->field) &&
	    take_utf8(reader, "a text to search for", &key->text);
}

static bool
take_keyword(struct search_reader *reader, const struct search_word *row, struct search_key *key)
{
	(void)row;
	return lex_space(reader->lexer) && lex_atom(reader->lexer, "a keyword", &key->text);
}

/* RFC 8474 7: objectid */
static bool
take_id(struct search_reader *reader, const struct search_word *row, struct search_key *key)
{
	(void)row;
	if (!lex_space(reader->lexer) || !lex_atom(reader->lexer, "an object's id", &key->text))
		return false;
	for (size_t i = 0; i < key->text.n; i++)
		if (!ascii_is_alnum(key->text.p[i]) && key->text.p[i] != '-' && key->text.p[i] != '_')
			return lex_refuse(reader->lexer, "an object's id has letters, digits, - and _");
	return key->text.n <= OBJECT_ID_MAX || lex_refuse(reader->lexer, "an object's id is longer than 255");
}

static bool
take_day(struct search_reader *reader, const struct search_word *row, struct search_key *key)
{
	(void)row;
	return lex_space(reader->lexer) && take_date(reader->lexer, &key->day);
}

static bool
take_number(struct search_reader *reader, const struct search_word *row, struct search_key *key)
{
	uint32_t octets;

	(void)row;
	if (!lex_space(reader->lexer) || !lex_number(reader->lexer, "a number of octets", &octets))
		return false;
	key->number = octets;
	return true;
}

/* RFC 5032 3: nz-number */
static bool
take_interval(struct search_reader *reader, const struct search_word *row,
    struct search_key *key)
{
	uint32_t seconds;

	(void)row;
	if (!lex_space(reader->lexer) ||
	    !lex_nz_number(reader->lexer, "a number of seconds", &seconds))
		return false;
	key->number = seconds;
	return true;
}

static bool
take_uids(struct search_reader *reader, const struct search_word *row, struct search_key *key)
{
	(void)row;
	return lex_space(reader->lexer) && read_set(reader, key);
}

static bool
take_not(struct search_reader *reader, const struct search_word *row, struct search_key *key)
{
	(void)row;
	if (!lex_space(reader->lexer))
		return false;
	key->first = read_key(reader);
	return key->first != NULL;
}

static bool
take_or(struct search_reader *reader, const struct search_word *row, struct search_key *key)
{
	if (!take_not(reader, row, key) || !lex_space(reader->lexer))
		return false;
	key->first->next = read_key(reader);
	return key->first->next != NULL;
}

/*
 * RFC 7162 3.1.5: one modseq counts for all there is of a message, so which flag, and whose, must be ignored. entry-name:
 * "/flags/" and a flag, a system flag with its backslash.
 */
static bool
take_entry(struct lexer *lexer)
{
	static const char *const types[] = { "ALL", "PRIV", "SHARED" };
	struct str name;

	if (!lex_string(lexer, "the name of a metadata item", &name))
		return false;
	if (!str_starts_nocase(name, STR("/flags/")))
		return lex_refuse(lexer, "the only metadata items here are \"/flags/...\"");
	name = str_from(name, sizeof("/flags/") - 1);
	if (str_starts(name, STR("\\")))
		name = str_from(name, 1);
	for (size_t i = 0; i < name.n; i++)
		if (!lex_is_atom_char(name.p[i]))
			return lex_refuse(lexer, "that cannot be the name of a flag");
	if (name.n == 0 || !lex_space(lexer))
		return lex_fail(lexer, "the name of a flag");
	for (size_t i = 0; i < countof(types); i++)
		if (lex_take_word(lexer, str_of(types[i])))
			return lex_space(lexer);
	return lex_fail(lexer, "ALL, PRIV or SHARED");
}

static bool
take_modseq(struct search_reader *reader, const struct search_word *row, struct search_key *key)
{
	(void)row;
	reader->arguments->by_modseq = true;
	if (!lex_space(reader->lexer))
		return false;
	if ((lex_peek(reader->lexer, '"') || lex_peek(reader->lexer, '{')) &&
	    !take_entry(reader->lexer))
		return false;
	return lex_number63(reader->lexer, "a mod-sequence", &key->number);
}

/* ---- the command ---- */

static bool
take_charset(struct lexer *lexer, struct search_arguments *search)
{
	struct str charset;
	char *p;

	if (!lex_astring(lexer, "a charset", &charset) || !lex_space(lexer))
		return false;
	p = (char *)arena_str(lexer->arena, charset).p;
	for (size_t i = 0; i < charset.n; i++)
		p[i] = ascii_upper(p[i]);
	search->charset = (struct str){ p, charset.n };
	search->charset_known = str_eq(search->charset, STR("UTF-8")) ||
	    str_eq(search->charset, STR("US-ASCII"));
	return true;
}

static bool
take_keys(struct lexer *lexer, struct search_arguments *search)
{
	struct search_reader reader = {
		.lexer = lexer, .arguments = search, .sets_end = &search->sets,
	};

	/* RFC 3501 6.4.4: what the texts of another charset mean cannot be said. */
	if (!search->charset_known)
		return true;
	search->key = read_keys(&reader);
	return search->key != NULL && lex_end(lexer);
}

bool
take_search_program(struct lexer *lexer, struct search_arguments *search)
{
	return take_charset(lexer, search) && take_keys(lexer, search);
}

/* search-program of RFC 4466: [RETURN options] ["CHARSET" SP astring SP] keys */
enum parse
parse_search(struct lexer *lexer, struct request *req)
{
	struct search_arguments search = { .charset = STR_EMPTY, .charset_known = true };

	if (!lex_space(lexer) || !take_search_return(lexer, &search))
		return BAD;
	if (lex_take_word(lexer, STR("CHARSET")) &&
	    (!lex_space(lexer) || !take_charset(lexer, &search)))
		return BAD;
	if (!take_keys(lexer, &search))
		return BAD;
	req->search = search;
	return PARSED;
}
