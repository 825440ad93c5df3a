/* SPDX-License-Identifier: ISC */
/*
 * SELECT and EXAMINE with their parameters (RFC 4466 2.1): CONDSTORE and QRESYNC (RFC 7162 3.1.8, 3.2.5, 7). A
 * parameter that is not known, or there twice, is BAD.
 */
#include "imapd/parse.h"

/* sequence-set; RFC 7162 7: "*" is not allowed */
static bool
take_set_of_numbers(struct lexer *lexer, struct sequence_set *out)
{
	if (!take_set(lexer, out))
		return false;
	if (out->saved)
		return lex_refuse(lexer, "QRESYNC has a set with \"$\"");
	for (size_t i = 0; i < out->count; i++)
		if (out->ranges[i].first == SEQUENCE_STAR || out->ranges[i].last == SEQUENCE_STAR)
			return lex_refuse(lexer, "QRESYNC has a set with \"*\"");
	return true;
}

/* RFC 7162 3.2.5.2; *count: of numbers */
static bool
take_ascending_set(struct lexer *lexer, struct sequence_set *out, uint64_t *count)
{
	uint32_t before = 0;

	if (!take_set_of_numbers(lexer, out))
		return false;
	*count = 0;
	for (size_t i = 0; i < out->count; i++) {
		const struct sequence_range *range = &out->ranges[i];

		if (range->first <= before || range->last < range->first)
			return lex_refuse(lexer, "the numbers that QRESYNC matches are not in ascending order");
		*count += (uint64_t)range->last - range->first + 1;
		before = range->last;
	}
	return true;
}

/* known-sequence-set SP known-uid-set ")" */
static bool
take_match_data(struct lexer *lexer, struct resync_arguments *resync)
{
	uint64_t seqs, uids;

	if (!take_ascending_set(lexer, &resync->known_seqs, &seqs) || !lex_space(lexer) ||
	    !take_ascending_set(lexer, &resync->known_uids, &uids) || !lex_char(lexer, ')'))
		return false;
	return seqs == uids ||
	    lex_refuse(lexer, "QRESYNC matches sets that have not as many numbers");
}

/* SP "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")" */
static bool
take_qresync(struct lexer *lexer, struct select_arguments *select)
{
	struct resync_arguments *resync = &select->resync;

	select->qresync = true;
	if (!lex_space(lexer) || !lex_char(lexer, '(') ||
	    !lex_nz_number(lexer, "a UIDVALIDITY", &resync->uidvalidity) || !lex_space(lexer) ||
	    !lex_nz_number63(lexer, "a mod-sequence", &resync->modseq))
		return false;
	if (lex_take(lexer, ')'))
		return true;
	if (!lex_space(lexer))
		return false;
	if (!lex_peek(lexer, '(')) {
		resync->has_uids = true;
		if (!take_set_of_numbers(lexer, &resync->uids))
			return false;
		if (lex_take(lexer, ')'))
			return true;
		if (!lex_space(lexer))
			return false;
	}
	return lex_char(lexer, '(') && take_match_data(lexer, resync) && lex_char(lexer, ')');
}

static bool
take_condstore(struct lexer *lexer, struct select_arguments *select)
{
	(void)lexer;
	select->condstore = true;
	return true;
}

static const struct {
	const char *word;
	bool (*take)(struct lexer *, struct select_arguments *);	/* what follows the word */
} parameters[] = {
	{ "CONDSTORE", take_condstore },
	{ "QRESYNC", take_qresync },
};

static bool
take_parameter(struct lexer *lexer, struct select_arguments *select, unsigned *seen)
{
	for (size_t i = 0; i < countof(parameters); i++) {
		if (!lex_take_word(lexer, str_of(parameters[i].word)))
			continue;
		if (*seen & 1u << i)
			return lex_refuse(lexer, "SELECT has a parameter twice");
		*seen |= 1u << i;
		return parameters[i].take(lexer, select);
	}
	return lex_refuse(lexer, "SELECT has a parameter that is not known here");
}

/* "(" select-param *(SP select-param) ")" */
static bool
take_parameters(struct lexer *lexer, struct select_arguments *select)
{
	unsigned seen = 0;

	if (!lex_char(lexer, '('))
		return false;
	do {
		if (!take_parameter(lexer, select, &seen))
			return false;
	} while (lex_take(lexer, ' '));
	return lex_char(lexer, ')');
}

enum parse
parse_select(struct lexer *lexer, struct request *req)
{
	struct select_arguments select = { 0 };

	if (!lex_space(lexer) || !take_mailbox(lexer, &select.name))
		return BAD;
	if (lex_take(lexer, ' ') && !lex_at_end(lexer) && !take_parameters(lexer, &select))
		return BAD;
	if (!lex_end(lexer))
		return BAD;
	req->select = select;
	return PARSED;
}
