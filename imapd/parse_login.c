/* SPDX-License-Identifier: ISC */
/*
 * The head of every command, and the commands that know no mailbox: RFC 3501 6.1 and 6.2, SASL-IR
 * (RFC 4959), ID (RFC 2971), ENABLE (RFC 5161), GETQUOTA (RFC 9208).
 */
#include "imapd/parse.h"

#include "imapd/frame.h"

static bool
take_tag(struct lexer *lexer, struct str *out)
{
	size_t begin = lexer->at;

	while (lexer->at < lexer->n && lex_is_tag_char(lexer->p[lexer->at]))
		lexer->at++;
	/* What other octets go on is no tag: not even its begin is echoed. */
	if (lexer->at == begin || lexer->at - begin > TAG_MAX ||
	    !(lex_at_end(lexer) || lex_peek(lexer, ' '))) {
		lexer->at = begin;
		return lex_fail(lexer, "a tag");
	}
	*out = (struct str){ lexer->p + begin, lexer->at - begin };
	return true;
}

/* RFC 3501 6.4.8, RFC 4315 2.1, RFC 5256 3, RFC 6851 3.2, RFC 8508 3.3. */
static bool
goes_with_uid(struct str word)
{
	static const char *const words[] = { "FETCH", "STORE", "SEARCH", "COPY", "MOVE", "EXPUNGE",
		"SORT", "THREAD", "REPLACE" };

	for (size_t i = 0; i < countof(words); i++)
		if (str_eq(word, str_of(words[i])))
			return true;
	return false;
}

static bool
take_word(struct lexer *lexer, struct request *req)
{
	if (!lex_keyword(lexer, "a command", &req->word))
		return false;
	req->by_uid = str_eq(req->word, STR("UID"));
	if (!req->by_uid)
		return true;
	if (!lex_space(lexer) || !lex_keyword(lexer, "a command", &req->word))
		return false;
	return goes_with_uid(req->word) ||
	    lex_refuse(lexer, "UID goes with FETCH, STORE, SEARCH, SORT, THREAD, COPY, MOVE, "
	    "EXPUNGE and REPLACE only");
}

enum parse
parse_head(struct lexer *lexer, struct request *req)
{
	*req = (struct request){ 0 };
	if (lex_at_end(lexer)) {
		lex_refuse(lexer, "an empty line is no command");
		return BAD;
	}
	if (!take_tag(lexer, &req->tag) || !lex_space(lexer) || !take_word(lexer, req))
		return BAD;
	return PARSED;
}

enum parse
parse_nothing(struct lexer *lexer, struct request *req)
{
	(void)req;
	return lex_end(lexer) ? PARSED : BAD;
}

enum parse
parse_login(struct lexer *lexer, struct request *req)
{
	struct login_arguments login;

	if (!lex_space(lexer) || !lex_astring(lexer, "a user name", &login.user) ||
	    !lex_space(lexer) || !lex_astring(lexer, "a password", &login.password) ||
	    !lex_end(lexer))
		return BAD;
	req->login = login;
	return PARSED;
}

enum parse
parse_authenticate(struct lexer *lexer, struct request *req)
{
	struct authenticate_arguments arguments = { .initial = STR_EMPTY };

	if (!lex_space(lexer) || !lex_keyword(lexer, "a mechanism", &arguments.mechanism))
		return BAD;
	arguments.has_initial = lex_take(lexer, ' ') && !lex_at_end(lexer);
	if (arguments.has_initial && !lex_atom(lexer, "base64", &arguments.initial))
		return BAD;
	if (!lex_end(lexer))
		return BAD;
	/* RFC 4959 3: a response of no octets is a single "=". */
	if (str_eq(arguments.initial, STR("=")))
		arguments.initial = STR_EMPTY;
	req->authenticate = arguments;
	return PARSED;
}

/* ---- ID ---- */

static bool
take_id_pair(struct lexer *lexer, struct id_pair *pair)
{
	return lex_string(lexer, "a field's name in quotes", &pair->field) && lex_space(lexer) &&
	    lex_nstring(lexer, "a field's value in quotes or NIL", &pair->value, &pair->is_nil);
}

static bool
take_id_pairs(struct lexer *lexer, struct id_arguments *id)
{
	id->pairs = arena_array(lexer->arena, struct id_pair, ID_PAIRS_MAX);
	while (!lex_take(lexer, ')')) {
		if (id->count == ID_PAIRS_MAX)
			return lex_refuse(lexer, "ID has more than 30 fields");
		if (id->count > 0 && !lex_space(lexer))
			return false;
		if (!take_id_pair(lexer, &id->pairs[id->count]))
			return false;
		id->count++;
	}
	return true;
}

enum parse
parse_id(struct lexer *lexer, struct request *req)
{
	struct id_arguments id = { 0 };

	if (!lex_space(lexer))
		return BAD;
	if (!lex_take_word(lexer, STR("NIL")) &&
	    (!lex_char(lexer, '(') || !take_id_pairs(lexer, &id)))
		return BAD;
	if (!lex_end(lexer))
		return BAD;
	req->id = id;
	return PARSED;
}

/* ---- ENABLE, GETQUOTA ---- */

enum parse
parse_enable(struct lexer *lexer, struct request *req)
{
	struct enable_arguments enable = {
		.words = arena_array(lexer->arena, struct str, ENABLE_WORDS_MAX),
	};

	do {
		if (enable.count == ENABLE_WORDS_MAX) {
			lex_refuse(lexer, "ENABLE names more than 100 capabilities");
			return BAD;
		}
		if (!lex_space(lexer) ||
		    !lex_atom(lexer, "a capability", &enable.words[enable.count]))
			return BAD;
		enable.count++;
	} while (lex_peek(lexer, ' '));
	if (!lex_end(lexer))
		return BAD;
	req->enable = enable;
	return PARSED;
}

enum parse
parse_getquota(struct lexer *lexer, struct request *req)
{
	struct quota_arguments quota;

	if (!lex_space(lexer) || !lex_astring(lexer, "a quota root", &quota.root) ||
	    !lex_end(lexer))
		return BAD;
	req->quota = quota;
	return PARSED;
}

enum parse
parse_compress(struct lexer *lexer, struct request *req)
{
	struct compress_arguments compress;

	if (!lex_space(lexer) || !lex_keyword(lexer, "a way to compress", &compress.mechanism) ||
	    !lex_end(lexer))
		return BAD;
	req->compress = compress;
	return PARSED;
}
