/* SPDX-License-Identifier: ISC */
/*
 * Looks for several keys at once in a text that comes in pieces: substrings of what
 * casemap_put makes, so case and the composing of letters do not count, and white
 * space does (RFC 3501 6.4.4). A match may lie across pieces, not across texts. Pure.
 */
#pragma once

#include "common/base/buf.h"

/* Text is folded and looked through in pieces of so many bytes, the longest key before each. */
enum { MATCH_PIECE = 16 * 1024 };

struct match_key {
	struct str folded;	/* of match_fold_key; not empty, lives as long as the key is looked for */
	bool found;		/* a key that is found is not looked for any more */
	bool absent;		/* known not to be there: not looked for either */
};

/* Appends a key as it is compared; false, and nothing appended, where it is not UTF-8. */
must_check bool match_fold_key(struct buf *out, struct str key);

/* Appends a whole text as match_feed would fold it, to be looked through later and at once. */
void match_fold_text(struct buf *out, struct str utf8);

/* All zeros is a beginning. */
struct match {
	struct match_key *const *keys;
	size_t count;
	size_t overlap;		/* the longest key but one byte */
	struct buf text;	/* not folded yet: what composes with its end may follow */
	struct buf window;	/* folded; `overlap` bytes of it may begin a match */
};

/* A new text, which nothing of an earlier one runs into. The keys live until match_end. */
void match_begin(struct match *, struct match_key *const *keys, size_t count);
/* Whole characters of UTF-8. True if a key was found that was not yet. */
bool match_feed(struct match *, struct str utf8);
bool match_end(struct match *);
void match_free(struct match *);
