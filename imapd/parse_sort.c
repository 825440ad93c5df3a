/* SPDX-License-Identifier: ISC */
/* SORT and THREAD: RFC 5256 5, RFC 5957 4, RFC 5267 3. What they order is found by a SEARCH's keys. */
#include "imapd/parse.h"

static const struct sort_word {
	const char *word;
	enum sort_key key;
} sort_words[] = {
	{ "ARRIVAL", SORT_ARRIVAL },
	{ "CC", SORT_CC },
	{ "DATE", SORT_DATE },
	{ "DISPLAYFROM", SORT_DISPLAY_FROM },
	{ "DISPLAYTO", SORT_DISPLAY_TO },
	{ "FROM", SORT_FROM },
	{ "SIZE", SORT_SIZE },
	{ "SUBJECT", SORT_SUBJECT },
	{ "TO", SORT_TO },
};

static const struct thread_word {
	const char *word;
	enum thread_kind kind;
} thread_words[] = {
	{ "ORDEREDSUBJECT", THREAD_ORDEREDSUBJECT },
	{ "REFERENCES", THREAD_REFERENCES },
	{ "REFS", THREAD_REFS },
};

/* sort-criterion = ["REVERSE" SP] sort-key */
static bool
take_criterion(struct lexer *lexer, struct sort_criterion *out)
{
	struct str word;

	out->reverse = lex_take_word(lexer, STR("REVERSE"));
	if ((out->reverse && !lex_space(lexer)) || !lex_keyword(lexer, "a sort key", &word))
		return false;
	for (size_t i = 0; i < countof(sort_words); i++)
		if (str_eq(word, str_of(sort_words[i].word))) {
			out->key = sort_words[i].key;
			return true;
		}
	return lex_refuse(lexer, "SORT has a key that is not known here");
}

static bool
take_criteria(struct lexer *lexer, struct search_arguments *search)
{
	search->criteria = arena_array(lexer->arena, struct sort_criterion, SORT_CRITERIA_MAX);
	if (!lex_char(lexer, '('))
		return false;
	do {
		if (search->criterion_count == SORT_CRITERIA_MAX)
			return lex_refuse(lexer, "SORT has more than 20 keys");
		if (!take_criterion(lexer, &search->criteria[search->criterion_count++]))
			return false;
	} while (lex_take(lexer, ' '));
	return lex_char(lexer, ')');
}

enum parse
parse_sort(struct lexer *lexer, struct request *req)
{
	struct search_arguments search = { 0 };

	if (!lex_space(lexer) || !take_search_return(lexer, &search) ||
	    !take_criteria(lexer, &search) || !lex_space(lexer) ||
	    !take_search_program(lexer, &search))
		return BAD;
	req->search = search;
	return PARSED;
}

static bool
take_algorithm(struct lexer *lexer, enum thread_kind *out)
{
	struct str word;

	if (!lex_keyword(lexer, "a threading algorithm", &word))
		return false;
	for (size_t i = 0; i < countof(thread_words); i++)
		if (str_eq(word, str_of(thread_words[i].word))) {
			*out = thread_words[i].kind;
			return true;
		}
	return lex_refuse(lexer, "THREAD has an algorithm that is not known here");
}

enum parse
parse_thread(struct lexer *lexer, struct request *req)
{
	struct search_arguments search = { 0 };

	if (!lex_space(lexer) || !take_algorithm(lexer, &search.thread) || !lex_space(lexer) ||
	    !take_search_program(lexer, &search))
		return BAD;
	req->search = search;
	return PARSED;
}
