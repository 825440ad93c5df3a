/* SPDX-License-Identifier: ISC */
#include "maildir/sorted.h"

#include <stdlib.h>

#include "maildir/varint.h"

struct item {
	uint32_t uid;
	uint32_t place;		/* in which it came */
	uint32_t size;
	int64_t arrival;
	int64_t sent;
	size_t texts;		/* where its texts begin, one for each criterion that is a text */
	uint64_t first;		/* orders as the first criterion does, as far as it goes */
};

struct sorted {
	struct sort_criterion criteria[SORT_CRITERIA_MAX];
	size_t criterion_count;
	struct item *items, *other;	/* other: where merges go to */
	size_t count, room;
	struct buf texts;
	size_t at;		/* where the next run, or pair of runs, begins */
	size_t run;		/* how long runs are; 0: none are sorted yet */
};

struct sorted *
sorted_new(const struct sort_criterion *criteria, size_t count)
{
	struct sorted *s = xcalloc(1, sizeof(*s));

	s->criterion_count = count < SORT_CRITERIA_MAX ? count : SORT_CRITERIA_MAX;
	for (size_t i = 0; i < s->criterion_count; i++)
		s->criteria[i] = criteria[i];
	return s;
}

void
sorted_free(struct sorted *s)
{
	if (s == NULL)
		return;
	free(s->items);
	free(s->other);
	buf_free(&s->texts);
	free(s);
}

/* ---- coming in ---- */

/* Which text a key compares; SORTING_TEXT_COUNT: none. */
static enum sorting_text
text_of(enum sort_key key)
{
	switch (key) {
	case SORT_CC:
		return SORTING_CC;
	case SORT_FROM:
		return SORTING_FROM;
	case SORT_SUBJECT:
		return SORTING_SUBJECT;
	case SORT_TO:
		return SORTING_TO;
	case SORT_DISPLAY_FROM:
		return SORTING_DISPLAY_FROM;
	case SORT_DISPLAY_TO:
		return SORTING_DISPLAY_TO;
	case SORT_ARRIVAL:
	case SORT_DATE:
	case SORT_SIZE:
		return SORTING_TEXT_COUNT;
	}
	fatal("a sort key of no kind");
}

bool
sorted_needs_record(const struct sorted *s)
{
	for (size_t i = 0; i < s->criterion_count; i++)
		if (s->criteria[i].key != SORT_ARRIVAL && s->criteria[i].key != SORT_SIZE)
			return true;
	return false;
}

/* The first eight octets; shorter texts come before longer ones. */
static uint64_t
beginning_of(struct str text)
{
	unsigned char p[8] = { 0 };
	uint64_t n = 0;

	memcpy(p, text.p, text.n < sizeof(p) ? text.n : sizeof(p));
	for (size_t i = 0; i < sizeof(p); i++)
		n = n << 8 | p[i];
	return n;
}

static uint64_t
first_of(const struct sort_criterion *by, const struct item *item, const struct sorting *record)
{
	const enum sorting_text text = text_of(by->key);
	uint64_t n;

	if (text != SORTING_TEXT_COUNT)
		n = beginning_of(record->text[text]);
	else if (by->key == SORT_SIZE)
		n = item->size;
	else
		n = (uint64_t)(by->key == SORT_DATE ? item->sent : item->arrival) ^ UINT64_C(1) << 63;
	return by->reverse ? ~n : n;
}

bool
sorted_add(struct sorted *s, const struct message *m, const struct sorting *record)
{
	struct item *item;

	if (s->texts.n > SORTED_BYTES_MAX)
		return false;
	if (s->count == s->room) {
		s->room = s->room * 2 + SORTED_RUN;
		s->items = xrealloc(s->items, s->room * sizeof(*s->items));
	}
	item = &s->items[s->count];
	*item = (struct item){ .uid = m->uid, .place = (uint32_t)s->count, .size = m->size,
		.arrival = m->internal_date, .sent = record != NULL ? record->sent : 0,
		.texts = s->texts.n };
	s->count++;
	if (s->criterion_count > 0)
		item->first = first_of(&s->criteria[0], item, record);
	for (size_t i = 0; i < s->criterion_count; i++) {
		enum sorting_text text = text_of(s->criteria[i].key);

		if (text == SORTING_TEXT_COUNT)
			continue;
		varint_put(&s->texts, record->text[text].n);
		buf_put(&s->texts, record->text[text]);
	}
	return true;
}

/* ---- comparing ---- */

static struct str
next_text(struct str *rest)
{
	uint64_t n;
	struct str text;

	if (!varint_take(rest, &n))
		fatal("a text of ours cannot be read");
	text = str_sub(*rest, 0, (size_t)n);
	*rest = str_from(*rest, (size_t)n);
	return text;
}

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

static int
compare_all(const struct sorted *s, const struct item *a, const struct item *b)
{
	struct str texts_a = str_from(buf_str(&s->texts), a->texts);
	struct str texts_b = str_from(buf_str(&s->texts), b->texts);
	int difference = 0;

	for (size_t i = 0; i < s->criterion_count && difference == 0; i++) {
		const struct sort_criterion *by = &s->criteria[i];

		if (text_of(by->key) != SORTING_TEXT_COUNT) {
			struct str text_a = next_text(&texts_a), text_b = next_text(&texts_b);

			difference = str_cmp(text_a, text_b);
		} else if (by->key == SORT_SIZE) {
			difference = COMPARE(a->size, b->size);
		} else if (by->key == SORT_DATE) {
			difference = COMPARE(a->sent, b->sent);
		} else {
			difference = COMPARE(a->arrival, b->arrival);
		}
		/* RFC 5256 3: REVERSE turns one criterion, not the last resort. */
		if (by->reverse)
			difference = -difference;
	}
	return difference != 0 ? difference : COMPARE(a->place, b->place);
}

static int
compare(const struct sorted *s, const struct item *a, const struct item *b)
{
	return a->first != b->first ? COMPARE(a->first, b->first) : compare_all(s, a, b);
}

static int
compare_items(const void *a, const void *b, void *sorted)
{
	return compare(sorted, a, b);
}

/* ---- sorting ---- */

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void
merge(struct sorted *s, size_t from, size_t middle, size_t end)
{
	size_t a = from, b = middle;

	for (size_t to = from; to < end; to++)
		if (b == end || (a < middle && compare(s, &s->items[a], &s->items[b]) <= 0))
			s->other[to] = s->items[a++];
		else
			s->other[to] = s->items[b++];
}

static void
end_pass(struct sorted *s)
{
	struct item *swap = s->items;

	s->at = 0;
	if (s->run == 0) {
		s->run = SORTED_RUN;
		s->other = xcalloc(s->count + 1, sizeof(*s->other));
		return;
	}
	s->items = s->other;
	s->other = swap;
	s->run *= 2;
}

bool
sorted_step(struct sorted *s)
{
	const size_t run = s->run == 0 ? SORTED_RUN : s->run;
	const size_t middle = least(s->at + run, s->count), end = least(middle + run, s->count);

	if (s->run >= s->count)
		return false;
	if (s->run == 0) {
		qsort_r(s->items + s->at, middle - s->at, sizeof(*s->items), compare_items, s);
		s->at = middle;
	} else {
		merge(s, s->at, middle, end);
		s->at = end;
	}
	if (s->at == s->count)
		end_pass(s);
	return true;
}

size_t
sorted_count(const struct sorted *s)
{
	return s->count;
}

uint32_t
sorted_uid(const struct sorted *s, size_t i)
{
	return s->items[i].uid;
}
