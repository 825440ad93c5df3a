/* SPDX-License-Identifier: ISC */
/*
 * Sequence sets (RFC 3501 section 9, "sequence-set"; "$": RFC 5182 3) and the commands that are little more
 * than one: COPY, MOVE (RFC 6851), UID EXPUNGE (RFC 4315 2.1).
 */
#include "imapd/parse.h"

#include <stdlib.h>

static bool
take_set_number(struct lexer *lexer, uint32_t *out)
{
	if (lex_take(lexer, '*')) {
		*out = SEQUENCE_STAR;
		return true;
	}
	return lex_nz_number(lexer, "a message number or \"*\"", out);
}

static bool
take_range(struct lexer *lexer, struct sequence_range *out)
{
	if (!take_set_number(lexer, &out->first))
		return false;
	if (lex_take(lexer, ':'))
		return take_set_number(lexer, &out->last);
	out->last = out->first;
	return true;
}

/* One more than the commas of the word that stands here. */
static size_t
count_ranges(const struct lexer *lexer)
{
	size_t count = 1;

	for (size_t i = lexer->at; i < lexer->n; i++) {
		char c = lexer->p[i];

		if (c == ',')
			count++;
		else if (!ascii_is_digit(c) && c != ':' && c != '*')
			break;
	}
	return count;
}

bool
take_set(struct lexer *lexer, struct sequence_set *out)
{
	struct sequence_set set = { .count = 0 };
	size_t count = count_ranges(lexer);

	if (count > SEQUENCE_RANGES_MAX)
		return lex_refuse(lexer, "a set has more than 10000 ranges");
	set.ranges = arena_array(lexer->arena, struct sequence_range, count);
	do {
		/* RFC 5182 3: it is a whole set, so nothing follows. */
		set.saved = lex_take(lexer, '$');
		if (!set.saved && !take_range(lexer, &set.ranges[set.count++]))
			return false;
	} while (!set.saved && lex_take(lexer, ','));
	*out = set;
	return true;
}

/* ---- what a set means ---- */

static int
compare_ranges(const void *a, const void *b)
{
	const struct uid_range *one = a, *other = b;

	return (one->first > other->first) - (one->first < other->first);
}

/* Joins what overlaps or adjoins; the ranges are sorted by their first. */
static size_t
join_ranges(struct uid_range *ranges, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		struct uid_range *before = kept > 0 ? &ranges[kept - 1] : NULL;

		if (before == NULL || ranges[i].first - 1 > before->last)
			ranges[kept++] = ranges[i];
		else if (ranges[i].last > before->last)
			before->last = ranges[i].last;
	}
	return kept;
}

struct uid_set
sequence_set_resolve(const struct sequence_set *set, uint32_t max, struct arena *arena)
{
	struct uid_range *ranges = arena_array(arena, struct uid_range, set->count);
	size_t count = 0;

	for (size_t i = 0; i < set->count; i++) {
		uint32_t first = set->ranges[i].first, last = set->ranges[i].last;

		first = first == SEQUENCE_STAR ? max : first;
		last = last == SEQUENCE_STAR ? max : last;
		if (first == 0 || last == 0)
			continue;
		/* RFC 3501 section 9, seq-range: 4:2 is 2:4, and 9:* holds the last one below 9 too. */
		ranges[count++] = first <= last ? (struct uid_range){ first, last } :
		    (struct uid_range){ last, first };
	}
	if (count > 0)
		qsort(ranges, count, sizeof(*ranges), compare_ranges);
	return (struct uid_set){ .ranges = ranges, .count = join_ranges(ranges, count) };
}

struct uid_set
uid_set_both(const struct uid_set *a, const struct uid_set *b, struct arena *arena)
{
	/* Each range of the result ends where one of a or one of b does. */
	struct uid_range *ranges = arena_array(arena, struct uid_range, a->count + b->count);
	size_t count = 0;

	for (size_t i = 0, k = 0; i < a->count && k < b->count;) {
		const struct uid_range *x = &a->ranges[i], *y = &b->ranges[k];
		uint32_t first = x->first > y->first ? x->first : y->first;
		uint32_t last = x->last < y->last ? x->last : y->last;

		if (first <= last)
			ranges[count++] = (struct uid_range){ first, last };
		if (x->last < y->last)
			i++;
		else
			k++;
	}
	return (struct uid_set){ .ranges = ranges, .count = count };
}

struct uid_set
uid_set_join(struct uid_set one, struct uid_set other, struct arena *arena)
{
	struct uid_range *ranges;
	const size_t count = one.count + other.count;

	if (one.count == 0 || other.count == 0)
		return one.count > 0 ? one : other;
	ranges = arena_array(arena, struct uid_range, count);
	memcpy(ranges, one.ranges, one.count * sizeof(*ranges));
	memcpy(ranges + one.count, other.ranges, other.count * sizeof(*ranges));
	qsort(ranges, count, sizeof(*ranges), compare_ranges);
	return (struct uid_set){ .ranges = ranges, .count = join_ranges(ranges, count) };
}

uint32_t
sequence_set_largest(const struct sequence_set *set)
{
	uint32_t largest = 0;

	for (size_t i = 0; i < set->count; i++) {
		if (set->ranges[i].first > largest)
			largest = set->ranges[i].first;
		if (set->ranges[i].last > largest)
			largest = set->ranges[i].last;
	}
	return largest;
}

/* ---- commands ---- */

enum parse
parse_copy(struct lexer *lexer, struct request *req)
{
	struct copy_arguments copy;

	if (!lex_space(lexer) || !take_set(lexer, &copy.set) || !lex_space(lexer) ||
	    !take_mailbox(lexer, &copy.to) || !lex_end(lexer))
		return BAD;
	req->copy = copy;
	return PARSED;
}

enum parse
parse_expunge(struct lexer *lexer, struct request *req)
{
	struct expunge_arguments expunge = { 0 };

	if (req->by_uid && (!lex_space(lexer) || !take_set(lexer, &expunge.set)))
		return BAD;
	if (!lex_end(lexer))
		return BAD;
	req->expunge = expunge;
	return PARSED;
}
