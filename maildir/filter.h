/* SPDX-License-Identifier: ISC */
/*
 * What search.db says about the texts of one SEARCH: message by message, for each text whether it is there, is not,
 * or may be, and the folded texts to look in where it may. Of messages it does not know it says so, and
 * search.c reads them. A filter belongs to one mailbox and one search; it never fails one.
 */
#pragma once

#include "maildir/digest.h"
#include "maildir/store.h"

enum {
	/* Texts beyond these are looked for in the folded texts, without the grams. */
	FILTER_TEXTS_MAX = 32,
	FILTER_GRAMS_MAX = 12,	/* of one text: more seldom say more */
};

struct filter_text {
	enum search_kind kind;	/* HEADER, BODY or TEXT */
	struct str name;	/* HEADER: folded */
	struct str folded;	/* may be empty with HEADER only */
};

enum filter_says { FILTER_ABSENT, FILTER_UNSURE, FILTER_PRESENT };

struct filter;

/*
 * NULL where nothing is known of the mailbox; if there are texts, it is taken in from now on. They live until
 * filter_free.
 */
struct filter *filter_new(struct mailbox *, const struct filter_text *, size_t count);
/* Takes NULL. */
void filter_free(struct filter *);
/* Around each slice. False: it can say nothing in this one. */
must_check bool filter_begin(struct filter *);
void filter_end(struct filter *);

/* Between those two. The message that the following are about; false: not known. */
must_check bool filter_find(struct filter *, uint32_t uid);
/* The day of its Date field, or of its arrival (SENTSINCE and its kind). */
int32_t filter_sent_day(const struct filter *);
enum filter_says filter_ask(struct filter *, size_t text);
/* Its records (digest.h); views until the next call of a filter function. False: to be read from the file. */
must_check bool filter_header(struct filter *, struct digest_header *out);
/* The same of the fields that digest_is_brief says are in there. */
must_check bool filter_brief(struct filter *, struct digest_header *out);
must_check bool filter_body(struct filter *, struct str *out);

/* The index failed since it was opened: what could not be read of it may be there all the same. */
bool mailbox_is_in_doubt(const struct mailbox *);
