/* SPDX-License-Identifier: ISC */
/*
 * Flags, and STORE (RFC 3501 2.3.2, 6.4.6; its modifiers RFC 4466 2.5, RFC 7162 3.1.3). A system flag that RFC 3501 does not know cannot be
 * kept and is BAD; so is \Recent, which no client may set.
 */
#include "imapd/parse.h"

/* ---- flags ---- */

static uint32_t
system_flag_of(struct str word)
{
	static const struct {
		const char *word;
		uint32_t flag;
	} rows[] = {
		{ "ANSWERED", FLAG_ANSWERED },
		{ "DELETED", FLAG_DELETED },
		{ "DRAFT", FLAG_DRAFT },
		{ "FLAGGED", FLAG_FLAGGED },
		{ "SEEN", FLAG_SEEN },
	};

	for (size_t i = 0; i < countof(rows); i++)
		if (str_eq(word, str_of(rows[i].word)))
			return rows[i].flag;
	return 0;
}

static bool
take_system_flag(struct lexer *lexer, uint32_t *system)
{
	struct str word;
	uint32_t flag;

	if (!lex_keyword(lexer, "the name of a system flag", &word))
		return false;
	flag = system_flag_of(word);
	*system |= flag;
	if (flag == 0 && str_eq(word, STR("RECENT")))
		return lex_refuse(lexer, "\\Recent is set by the server only");
	return flag != 0 ||
	    lex_refuse(lexer, "a system flag is none of \\Answered \\Deleted \\Draft \\Flagged \\Seen");
}

struct flag_list {
	uint32_t system;
	struct str *keywords;
	size_t count;
	size_t read;		/* system flags and repetitions too */
};

static void
add_keyword(struct flag_list *list, struct str word)
{
	for (size_t i = 0; i < list->count; i++)
		if (str_eq_nocase(list->keywords[i], word))
			return;
	list->keywords[list->count++] = word;
}

static bool
take_flag(struct lexer *lexer, struct flag_list *list)
{
	struct str word;

	if (list->read++ == FLAGS_IN_REQUEST_MAX)
		return lex_refuse(lexer, "more than 200 flags at once");
	if (lex_take(lexer, '\\'))
		return take_system_flag(lexer, &list->system);
	if (!lex_atom(lexer, "a flag", &word))
		return false;
	add_keyword(list, word);
	return true;
}

static struct flag_list
flag_list_new(struct arena *arena)
{
	return (struct flag_list){
		.keywords = arena_array(arena, struct str, FLAGS_IN_REQUEST_MAX),
	};
}

static struct flags
flags_of(const struct flag_list *list)
{
	return (struct flags){
		.system = list->system, .keywords = list->keywords, .keyword_count = list->count,
	};
}

bool
take_flag_list(struct lexer *lexer, struct flags *out)
{
	struct flag_list list = flag_list_new(lexer->arena);

	if (!lex_char(lexer, '('))
		return false;
	while (!lex_take(lexer, ')')) {
		if (list.read > 0 && !lex_space(lexer))
			return false;
		if (!take_flag(lexer, &list))
			return false;
	}
	*out = flags_of(&list);
	return true;
}

bool
take_bare_flags(struct lexer *lexer, struct flags *out)
{
	struct flag_list list = flag_list_new(lexer->arena);

	if (!take_flag(lexer, &list))
		return false;
	while (lex_take(lexer, ' ') && !lex_at_end(lexer))
		if (!take_flag(lexer, &list))
			return false;
	*out = flags_of(&list);
	return true;
}

/* ---- STORE ---- */

/* ["+" / "-"] "FLAGS" [".SILENT"] */
static bool
take_store_item(struct lexer *lexer, struct store_arguments *store)
{
	struct str word;

	store->change = lex_take(lexer, '+') ? FLAGS_ADD :
	    lex_take(lexer, '-') ? FLAGS_REMOVE : FLAGS_REPLACE;
	if (!lex_dotted(lexer, "FLAGS, +FLAGS or -FLAGS", &word))
		return false;
	store->silent = str_eq(word, STR("FLAGS.SILENT"));
	return store->silent || str_eq(word, STR("FLAGS")) ||
	    lex_refuse(lexer, "STORE changes FLAGS, +FLAGS or -FLAGS, each with or without .SILENT");
}

/* "(" store-modifier *(SP store-modifier) ")" SP; RFC 7162 7: UNCHANGEDSINCE once */
static bool
take_store_modifiers(struct lexer *lexer, struct store_arguments *store)
{
	store->unchanged_since = UINT64_MAX;
	if (!lex_take(lexer, '('))
		return true;
	do {
		if (!lex_take_word(lexer, STR("UNCHANGEDSINCE")))
			return lex_fail(lexer, "UNCHANGEDSINCE");
		if (store->unchanged_since != UINT64_MAX)
			return lex_refuse(lexer, "STORE has UNCHANGEDSINCE twice");
		if (!lex_space(lexer) ||
		    !lex_number63(lexer, "a mod-sequence", &store->unchanged_since))
			return false;
	} while (lex_take(lexer, ' '));
	return lex_char(lexer, ')') && lex_space(lexer);
}

enum parse
parse_store(struct lexer *lexer, struct request *req)
{
	struct store_arguments store;

	if (!lex_space(lexer) || !take_set(lexer, &store.set) || !lex_space(lexer) ||
	    !take_store_modifiers(lexer, &store) || !take_store_item(lexer, &store) ||
	    !lex_space(lexer))
		return BAD;
	if (lex_peek(lexer, '(') ? !take_flag_list(lexer, &store.flags) :
	    !take_bare_flags(lexer, &store.flags))
		return BAD;
	if (!lex_end(lexer))
		return BAD;
	req->store = store;
	return PARSED;
}
