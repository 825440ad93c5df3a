/* SPDX-License-Identifier: ISC */
/*
 * What a search is to answer with: RETURN and its options (RFC 4466 2.6.1, RFC 4731 4, RFC 5182 3,
 * RFC 9394 4), for SEARCH and SORT (RFC 5267 3). An option that is not known is BAD.
 */
#include "imapd/parse.h"

static const struct {
	const char *word;
	enum search_result result;
} options[] = {
	{ "ALL", RESULT_ALL },
	{ "COUNT", RESULT_COUNT },
	{ "MAX", RESULT_MAX },
	{ "MIN", RESULT_MIN },
	{ "PARTIAL", RESULT_PARTIAL },
	{ "SAVE", RESULT_SAVE },
};

/* ---- PARTIAL ---- */

static bool
take_place(struct lexer *lexer, bool from_end, uint32_t *out)
{
	return (!from_end || lex_char(lexer, '-')) &&
	    lex_nz_number(lexer, "the number of a result", out);
}

bool
take_partial_range(struct lexer *lexer, struct partial_range *out)
{
	out->from_end = lex_peek(lexer, '-');
	return take_place(lexer, out->from_end, &out->first) && lex_char(lexer, ':') &&
	    take_place(lexer, out->from_end, &out->last);
}

struct partial_span
partial_range_in(const struct partial_range *range, size_t count)
{
	/* RFC 9394 4: 500:400 is 400:500. */
	size_t low = range->first < range->last ? range->first : range->last;
	size_t high = range->first < range->last ? range->last : range->first;

	if (low > count)
		return (struct partial_span){ 0 };
	if (high > count)
		high = count;
	return (struct partial_span){
		.from = range->from_end ? count - high : low - 1, .n = high - low + 1,
	};
}

/* ---- the options ---- */

static bool
take_option(struct lexer *lexer, struct search_arguments *search)
{
	struct str word;
	size_t i = 0;

	if (!lex_keyword(lexer, "a result option", &word))
		return false;
	while (i < countof(options) && !str_eq(word, str_of(options[i].word)))
		i++;
	if (i == countof(options))
		return lex_refuse(lexer, "RETURN has an option that is not known here");
	if (options[i].result == RESULT_PARTIAL) {
		if (search->results & RESULT_PARTIAL)
			return lex_refuse(lexer, "RETURN has more than one PARTIAL");
		if (!lex_space(lexer) || !take_partial_range(lexer, &search->partial))
			return false;
	}
	search->results |= options[i].result;
	return true;
}

bool
take_search_return(struct lexer *lexer, struct search_arguments *search)
{
	if (!lex_take_word(lexer, STR("RETURN")))
		return true;
	if (!lex_space(lexer) || !lex_char(lexer, '('))
		return false;
	if (!lex_take(lexer, ')')) {
		do {
			if (!take_option(lexer, search))
				return false;
		} while (lex_take(lexer, ' '));
		if (!lex_char(lexer, ')'))
			return false;
	}
	/* RFC 4731 3.1: no option is ALL. */
	if (search->results == 0)
		search->results = RESULT_ALL;
	/* RFC 9394 3.1 */
	if ((search->results & RESULT_ALL) && (search->results & RESULT_PARTIAL))
		return lex_refuse(lexer, "RETURN has both ALL and PARTIAL");
	return lex_space(lexer);
}
