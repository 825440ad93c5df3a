/* SPDX-License-Identifier: ISC */
/*
 * The words of IMAP in one framed command (RFC 3501 section 9): each lex_ function
 * takes one thing off the front and says whether it was there. The first failure
 * of a required thing leaves a sentence in .why, for the client's eyes; later ones do not
 * overwrite it. Strings that come out are views of the arena's copy of the command.
 */
#pragma once

#include "common/base/arena.h"

struct lexer {
	struct arena *arena;	/* where requests live */
	char *p;		/* the command, a copy in the arena */
	size_t n;
	size_t at;
	const char *why;	/* in the arena or static; NULL: nothing went wrong */
	bool utf8;		/* names of mailboxes are UTF-8, not modified UTF-7: RFC 9755 3 */
};

/* `command`: what frame_next framed; copied, without its line end. */
struct lexer lexer_of(struct arena *, struct str command);
/* Overwrites the copy with zeros: after a LOGIN. Strings of the request are zeros too then. */
void lexer_wipe(struct lexer *);

/* Notes what was expected here, unless something was noted before. Always false. */
bool lex_fail(struct lexer *, const char *expected);
/* Notes a sentence of its own, for what is there and is not allowed. Always false. */
bool lex_refuse(struct lexer *, const char *sentence);

/* Questions: nothing is noted when the answer is no, and nothing taken by peeks. */
bool lex_peek(const struct lexer *, char c);
bool lex_at_end(const struct lexer *);
bool lex_take(struct lexer *, char c);
/* Takes `word` (any case) if it stands here and does not go on as an atom. */
bool lex_take_word(struct lexer *, struct str word);

/* Required things: false with .why set when they are not there. `what` names it: "a mailbox name". */
must_check bool lex_char(struct lexer *, char c);
must_check bool lex_space(struct lexer *);
/* The end of the command; blanks before it are forgiven. */
must_check bool lex_end(struct lexer *);
must_check bool lex_atom(struct lexer *, const char *what, struct str *out);
/* The same, letters made capitals in place. */
must_check bool lex_keyword(struct lexer *, const char *what, struct str *out);
/* A run of letters, digits and dots, made capitals in place: FLAGS.SILENT, HEADER.FIELDS. */
must_check bool lex_dotted(struct lexer *, const char *what, struct str *out);
/* quoted (7-bit or UTF-8) or literal (any octets but NUL). */
must_check bool lex_string(struct lexer *, const char *what, struct str *out);
/* ASTRING-CHARs (atom and "]") or a string. */
must_check bool lex_astring(struct lexer *, const char *what, struct str *out);
/* list-mailbox: an atom with % * ], or a string. */
must_check bool lex_pattern(struct lexer *, const char *what, struct str *out);
/* NIL or a string. */
must_check bool lex_nstring(struct lexer *, const char *what, struct str *out, bool *is_nil);
must_check bool lex_number(struct lexer *, const char *what, uint32_t *out);
/* A number that is not 0. */
must_check bool lex_nz_number(struct lexer *, const char *what, uint32_t *out);
/* Of 63 bits: mod-sequences (RFC 7162 7). */
must_check bool lex_number63(struct lexer *, const char *what, uint64_t *out);
must_check bool lex_nz_number63(struct lexer *, const char *what, uint64_t *out);
/* Exactly n digits. */
must_check bool lex_digits(struct lexer *, size_t n, const char *what, uint32_t *out);

/* Octets of ATOM-CHAR; 8-bit ones are none. */
bool lex_is_atom_char(char c);
/* ... and of a tag: ASTRING-CHAR without "+". */
bool lex_is_tag_char(char c);
