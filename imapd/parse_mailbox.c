/* SPDX-License-Identifier: ISC */
/*
 * Names of mailboxes, and the commands that take one or two: RFC 3501 6.3, CREATE's special use
 * (RFC 6154 3), STATUS. A name that cannot be decoded is no syntax error: the handler says NO.
 */
#include "imapd/parse.h"

#include "common/base/utf8.h"
#include "imapd/mutf7.h"

/* ---- names ---- */

/* RFC 3501 5.1: INBOX in any case is one name; so is the level above INBOX/... */
static struct str
with_inbox_in_capitals(struct arena *arena, struct str name)
{
	struct str first = str_sub(name, 0, str_index(name, '/'));

	if (!str_eq_nocase(first, STR("INBOX")))
		return name;
	return arena_printf(arena, "INBOX%.*s", STR_ARG(str_from(name, first.n)));
}

static bool
has_line_end(struct str s)
{
	return str_has_char(s, '\r') || str_has_char(s, '\n');
}

struct mailbox_name
mailbox_name_of(const struct lexer *lexer, struct str sent)
{
	struct mailbox_name name = { .utf8 = STR_EMPTY, .sent = sent, .state = NAME_INVALID };
	scoped_buf decoded = BUF_INIT;

	if (has_line_end(sent))
		return name;
	if (!lexer->utf8 && str_is_ascii(sent)) {
		if (!mutf7_decode(&decoded, sent))
			return name;
		name.state = NAME_GOOD;
	} else {
		if (!utf8_valid(sent))
			return name;
		name.state = lexer->utf8 ? NAME_GOOD : NAME_RAW_UTF8;
		buf_put(&decoded, sent);
	}
	name.utf8 = with_inbox_in_capitals(lexer->arena,
	    arena_str(lexer->arena, buf_str(&decoded)));
	return name;
}

bool
take_mailbox(struct lexer *lexer, struct mailbox_name *out)
{
	struct str sent;

	if (!lex_astring(lexer, "a mailbox name", &sent))
		return false;
	*out = mailbox_name_of(lexer, sent);
	return true;
}

enum parse
parse_mailbox(struct lexer *lexer, struct request *req)
{
	struct mailbox_arguments mailbox = { 0 };

	if (!lex_space(lexer) || !take_mailbox(lexer, &mailbox.name) || !lex_end(lexer))
		return BAD;
	req->mailbox = mailbox;
	return PARSED;
}

enum parse
parse_rename(struct lexer *lexer, struct request *req)
{
	struct mailbox_arguments mailbox = { 0 };

	if (!lex_space(lexer) || !take_mailbox(lexer, &mailbox.name) ||
	    !lex_space(lexer) || !take_mailbox(lexer, &mailbox.to) || !lex_end(lexer))
		return BAD;
	req->mailbox = mailbox;
	return PARSED;
}

/* ---- CREATE ---- */

static unsigned
special_use_of(struct str word)
{
	static const struct {
		const char *word;
		unsigned use;
	} rows[] = {
		{ "ALL", USE_ALL },
		{ "ARCHIVE", USE_ARCHIVE },
		{ "DRAFTS", USE_DRAFTS },
		{ "FLAGGED", USE_FLAGGED },
		{ "JUNK", USE_JUNK },
		{ "SENT", USE_SENT },
		{ "TRASH", USE_TRASH },
		{ "MEMOS", USE_MEMOS },		/* RFC 9979 8 */
		{ "SCHEDULED", USE_SCHEDULED },
		{ "SNOOZED", USE_SNOOZED },
	};

	for (size_t i = 0; i < countof(rows); i++)
		if (str_eq(word, str_of(rows[i].word)))
			return rows[i].use;
	return 0;
}

/* *( use-attr ) ")": RFC 6154 section 6 */
static bool
take_uses(struct lexer *lexer, struct mailbox_arguments *mailbox)
{
	struct str word;
	unsigned use;

	for (bool first = true; !lex_take(lexer, ')'); first = false) {
		if (!first && !lex_space(lexer))
			return false;
		if (!lex_char(lexer, '\\') || !lex_keyword(lexer, "a special use", &word))
			return false;
		use = special_use_of(word);
		mailbox->special_use |= use;
		mailbox->unknown_use |= use == 0;
	}
	return true;
}

static bool
take_create_options(struct lexer *lexer, struct mailbox_arguments *mailbox)
{
	if (!lex_char(lexer, '('))
		return false;
	if (!lex_take_word(lexer, STR("USE")))
		return lex_fail(lexer, "USE");
	return lex_space(lexer) && lex_char(lexer, '(') && take_uses(lexer, mailbox) &&
	    lex_char(lexer, ')');
}

enum parse
parse_create(struct lexer *lexer, struct request *req)
{
	struct mailbox_arguments mailbox = { 0 };

	if (!lex_space(lexer) || !take_mailbox(lexer, &mailbox.name))
		return BAD;
	if (lex_take(lexer, ' ') && !lex_at_end(lexer) && !take_create_options(lexer, &mailbox))
		return BAD;
	if (!lex_end(lexer))
		return BAD;
	req->mailbox = mailbox;
	return PARSED;
}

/* ---- STATUS ---- */

static bool
take_status_item(struct lexer *lexer, unsigned *items)
{
	static const struct {
		const char *word;
		enum status_item item;
	} rows[] = {
		{ "MESSAGES", STATUS_MESSAGES },
		{ "RECENT", STATUS_RECENT },
		{ "UIDNEXT", STATUS_UIDNEXT },
		{ "UIDVALIDITY", STATUS_UIDVALIDITY },
		{ "UNSEEN", STATUS_UNSEEN },
		{ "HIGHESTMODSEQ", STATUS_HIGHESTMODSEQ },
		{ "SIZE", STATUS_SIZE },
		{ "DELETED", STATUS_DELETED },
		{ "DELETED-STORAGE", STATUS_DELETED_STORAGE },
		{ "MAILBOXID", STATUS_MAILBOXID },
		{ "APPENDLIMIT", STATUS_APPENDLIMIT },	/* RFC 7889 3.1 */
	};

	for (size_t i = 0; i < countof(rows); i++) {
		if (!lex_take_word(lexer, str_of(rows[i].word)))
			continue;
		*items |= rows[i].item;
		return true;
	}
	return lex_fail(lexer, "MESSAGES, RECENT, UIDNEXT, UIDVALIDITY, UNSEEN, HIGHESTMODSEQ, SIZE, DELETED, "
	    "DELETED-STORAGE, MAILBOXID or APPENDLIMIT");
}

bool
take_status_items(struct lexer *lexer, unsigned *out)
{
	unsigned items = 0;

	if (!lex_char(lexer, '(') || !take_status_item(lexer, &items))
		return false;
	while (!lex_take(lexer, ')'))
		if (!lex_space(lexer) || !take_status_item(lexer, &items))
			return false;
	*out = items;
	return true;
}

enum parse
parse_status(struct lexer *lexer, struct request *req)
{
	struct status_arguments status;

	if (!lex_space(lexer) || !take_mailbox(lexer, &status.name) || !lex_space(lexer) ||
	    !take_status_items(lexer, &status.items) || !lex_end(lexer))
		return BAD;
	req->status = status;
	return PARSED;
}
