/* SPDX-License-Identifier: ISC */
/*
 * LIST with selection and return options and several patterns (RFC 5258 section 6), the
 * options of SPECIAL-USE (RFC 6154) and LIST-STATUS (RFC 5819); XLIST, which is written as LIST;
 * LSUB (RFC 3501 6.3.9). An option we do not know is BAD: RFC 5258 section 3.
 */
#include "imapd/parse.h"

struct option {
	const char *word;
	unsigned bit;
};

static const struct option selections[] = {
	{ "SUBSCRIBED", LIST_SUBSCRIBED },
	{ "REMOTE", LIST_REMOTE },
	{ "RECURSIVEMATCH", LIST_RECURSIVEMATCH },
	{ "SPECIAL-USE", LIST_SPECIAL_USE },
};

static const struct option returns[] = {
	{ "SUBSCRIBED", RETURN_SUBSCRIBED },
	{ "CHILDREN", RETURN_CHILDREN },
	{ "SPECIAL-USE", RETURN_SPECIAL_USE },
	{ "STATUS", RETURN_STATUS },
};

static unsigned
take_option(struct lexer *lexer, const struct option *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (lex_take_word(lexer, str_of(rows[i].word)))
			return rows[i].bit;
	return 0;
}

/* The opening parenthesis is taken. */
static bool
take_selection(struct lexer *lexer, unsigned *out)
{
	unsigned bit;

	while (!lex_take(lexer, ')')) {
		if (*out != 0 && !lex_space(lexer))
			return false;
		bit = take_option(lexer, selections, countof(selections));
		if (bit == 0)
			return lex_fail(lexer,
			    "SUBSCRIBED, REMOTE, RECURSIVEMATCH or SPECIAL-USE");
		*out |= bit;
	}
	/* RFC 5258 3.1: RECURSIVEMATCH needs something whose children it looks for. */
	if ((*out & LIST_RECURSIVEMATCH) && !(*out & (LIST_SUBSCRIBED | LIST_SPECIAL_USE)))
		return lex_refuse(lexer, "RECURSIVEMATCH needs SUBSCRIBED or SPECIAL-USE beside it");
	return true;
}

static bool
take_return(struct lexer *lexer, struct list_arguments *list)
{
	unsigned bit = take_option(lexer, returns, countof(returns));

	if (bit == 0)
		return lex_fail(lexer, "SUBSCRIBED, CHILDREN, SPECIAL-USE or STATUS");
	list->returns |= bit;
	/* RFC 5819 section 4 */
	if (bit == RETURN_STATUS)
		return lex_space(lexer) && take_status_items(lexer, &list->status_items);
	return true;
}

static bool
take_returns(struct lexer *lexer, struct list_arguments *list)
{
	if (!lex_take_word(lexer, STR("RETURN")))
		return lex_fail(lexer, "RETURN or the end of the command");
	if (!lex_space(lexer) || !lex_char(lexer, '('))
		return false;
	for (bool first = true; !lex_take(lexer, ')'); first = false)
		if ((!first && !lex_space(lexer)) || !take_return(lexer, list))
			return false;
	return true;
}

static bool
take_pattern(struct lexer *lexer, struct list_arguments *list)
{
	struct str sent;

	if (list->pattern_count == LIST_PATTERNS_MAX)
		return lex_refuse(lexer, "LIST has more than 100 patterns");
	if (!lex_pattern(lexer, "a mailbox name or pattern", &sent))
		return false;
	list->patterns[list->pattern_count++] = mailbox_name_of(lexer, sent);
	return true;
}

static bool
take_patterns(struct lexer *lexer, struct list_arguments *list)
{
	bool several = lex_take(lexer, '(');

	list->patterns = arena_array(lexer->arena, struct mailbox_name,
	    several ? LIST_PATTERNS_MAX : 1);
	if (!take_pattern(lexer, list))
		return false;
	if (!several)
		return true;
	list->extended = true;
	while (!lex_take(lexer, ')'))
		if (!lex_space(lexer) || !take_pattern(lexer, list))
			return false;
	return true;
}

static bool
take_list(struct lexer *lexer, struct list_arguments *list)
{
	if (!lex_space(lexer))
		return false;
	if (lex_take(lexer, '(')) {
		list->extended = true;
		if (!take_selection(lexer, &list->selection) || !lex_space(lexer))
			return false;
	}
	if (!take_mailbox(lexer, &list->reference) || !lex_space(lexer) ||
	    !take_patterns(lexer, list))
		return false;
	if (lex_take(lexer, ' ') && !lex_at_end(lexer)) {
		list->extended = true;
		if (!take_returns(lexer, list))
			return false;
	}
	return lex_end(lexer);
}

enum parse
parse_list(struct lexer *lexer, struct request *req)
{
	struct list_arguments list = { 0 };

	if (!take_list(lexer, &list))
		return BAD;
	req->list = list;
	return PARSED;
}

enum parse
parse_lsub(struct lexer *lexer, struct request *req)
{
	struct list_arguments list = { 0 };

	list.patterns = arena_one(lexer->arena, struct mailbox_name);
	if (!lex_space(lexer) || !take_mailbox(lexer, &list.reference) || !lex_space(lexer) ||
	    !take_pattern(lexer, &list) || !lex_end(lexer))
		return BAD;
	req->list = list;
	return PARSED;
}
