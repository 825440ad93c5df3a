/* SPDX-License-Identifier: ISC */
/*
 * Which messages of a block have which three bytes in a row: what search.db is quick by. For each
 * first two bytes there is one row, in it an entry for each third byte with the set of messages.
 * A text's end counts as BREAK (digest.h) twice, so every byte and every two bytes begin a gram: a word
 * of up to three bytes is answered exactly, of a longer one all grams must be there. Pure.
 *
 *   row     entries, the third bytes ascending
 *   entry   third byte; count; with 1 to GRAMS_LISTED that many members, ascending; with 0
 *           instead a bit for each member, the lowest first, in GRAMS_BLOCK / 8 bytes
 */
#pragma once

#include "common/base/buf.h"

enum {
	GRAMS_BLOCK = 256,	/* messages in a block at most; their numbers are one byte */
	GRAMS_LISTED = 31,
	GRAMS_MAX = 2 << 20,	/* grams collected at once: four bytes each */
};

/* Messages of a block. */
struct members {
	uint64_t bits[GRAMS_BLOCK / 64];
};

static inline bool
members_has(const struct members *m, unsigned member)
{
	return (m->bits[member / 64] >> member % 64 & 1) != 0;
}

/* ---- collecting ---- */

struct grams;

struct grams *grams_new(void);
/* Takes NULL. */
void grams_free(struct grams *);
void grams_clear(struct grams *);
/* How many are collected. */
size_t grams_count(const struct grams *);
/*
 * The texts of one member, each with BREAK behind; a member's come one after the other, members
 * ascending. False, and nothing added, where it would be more than GRAMS_MAX.
 */
must_check bool grams_add(struct grams *, unsigned member, struct str texts);
/* Calls put with each row, the first two bytes (as a number) ascending; stops where it says false. */
typedef bool grams_put(void *arg, unsigned pair, struct str row);
must_check bool grams_rows(struct grams *, grams_put *, void *arg);

/* ---- reading ---- */

/*
 * Adds the members of the entry for this third byte, or of all where it is -1. False: the
 * row is damaged.
 */
must_check bool grams_read(struct str row, int third, struct members *out);
