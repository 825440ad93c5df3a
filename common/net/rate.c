/* SPDX-License-Identifier: ISC */
/*
 * A table of at most `most` addresses, in two lists: those with something open (never
 * forgotten) and the others, longest untouched first. An entry without anything to
 * remember is not kept.
 */
#include "common/net/rate.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/clock.h"
#include "common/base/map.h"

enum {
	STEP_MS = 5 * 1000,
	STEPS = 12,		/* a minute */
	LOOKED_AT = 8,		/* candidates when one must go */
	KEY_BYTES = 1 + 16,
};

struct entry {
	TAILQ_ENTRY(entry) order;
	char key[KEY_BYTES];
	uint32_t now;			/* things at once */
	uint32_t counts[STEPS];		/* ring: events by step */
	int64_t step;			/* of the newest count */
};

struct rate {
	struct map *entries;
	TAILQ_HEAD(entries, entry) quiet, busy;
	size_t most;
};

struct rate *
rate_new(size_t most)
{
	struct rate *r = xcalloc(1, sizeof(*r));

	r->entries = map_new();
	r->most = most > 0 ? most : 1;
	TAILQ_INIT(&r->quiet);
	TAILQ_INIT(&r->busy);
	return r;
}

static void
free_list(struct entries *list)
{
	struct entry *e;

	while ((e = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, e, order);
		free(e);
	}
}

void
rate_free(struct rate *r)
{
	if (r == NULL)
		return;
	free_list(&r->quiet);
	free_list(&r->busy);
	map_free(r->entries);
	free(r);
}

static struct entries *
list_of(struct rate *r, const struct entry *e)
{
	return e->now > 0 ? &r->busy : &r->quiet;
}

static struct str
key_of(const struct entry *e)
{
	return (struct str){ e->key, sizeof(e->key) };
}

static void
make_key(char key[KEY_BYTES], const struct net_address *address)
{
	struct net_address limit = net_address_for_limits(address);

	key[0] = (char)limit.is_v6;
	memcpy(key + 1, limit.bytes, sizeof(limit.bytes));
}

static struct entry *
find(const struct rate *r, const struct net_address *address)
{
	char key[KEY_BYTES];

	make_key(key, address);
	return map_get(r->entries, (struct str){ key, sizeof(key) });
}

static void
forget(struct rate *r, struct entry *e)
{
	map_remove(r->entries, key_of(e));
	TAILQ_REMOVE(list_of(r, e), e, order);
	free(e);
}

/* Sets the steps that have passed since the last count to 0. */
static void
advance(struct entry *e)
{
	int64_t step = clock_monotonic_ms() / STEP_MS;

	if (step - e->step >= STEPS)
		memset(e->counts, 0, sizeof(e->counts));
	else
		for (int64_t i = e->step + 1; i <= step; i++)
			e->counts[i % STEPS] = 0;
	e->step = step;
}

static uint32_t
recent(struct entry *e)
{
	uint64_t sum = 0;

	advance(e);
	for (size_t i = 0; i < STEPS; i++)
		sum += e->counts[i];
	return sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
}

/* Of the longest untouched ones, the one with the fewest events: noise must not wash out a culprit. */
static bool
make_place(struct rate *r)
{
	struct entry *e, *least = NULL;
	uint32_t fewest = UINT32_MAX, n;
	int looked = 0;

	TAILQ_FOREACH(e, &r->quiet, order) {
		n = recent(e);
		if (least == NULL || n < fewest) {
			least = e;
			fewest = n;
		}
		if (++looked == LOOKED_AT)
			break;
	}
	if (least == NULL)
		return false;
	forget(r, least);
	return true;
}

/* NULL: the table is full of addresses with something open. */
static struct entry *
find_or_add(struct rate *r, const struct net_address *address)
{
	struct entry *e = find(r, address);

	if (e != NULL)
		return e;
	if (map_count(r->entries) >= r->most && !make_place(r))
		return NULL;
	e = xcalloc(1, sizeof(*e));
	make_key(e->key, address);
	e->step = clock_monotonic_ms() / STEP_MS;
	map_set(r->entries, key_of(e), e);
	TAILQ_INSERT_TAIL(&r->quiet, e, order);
	return e;
}

/* Changes how many things are open, and moves the entry to the end of the list it belongs to. */
static void
set_now(struct rate *r, struct entry *e, uint32_t now)
{
	TAILQ_REMOVE(list_of(r, e), e, order);
	e->now = now;
	TAILQ_INSERT_TAIL(list_of(r, e), e, order);
}

bool
rate_enter(struct rate *r, const struct net_address *address, uint32_t limit)
{
	struct entry *e = find(r, address);

	if ((e != NULL ? e->now : 0) >= limit)
		return false;
	if (e == NULL)
		e = find_or_add(r, address);
	if (e == NULL)
		return false;
	set_now(r, e, e->now + 1);
	return true;
}

void
rate_leave(struct rate *r, const struct net_address *address)
{
	struct entry *e = find(r, address);

	if (e == NULL || e->now == 0)
		return;
	set_now(r, e, e->now - 1);
	if (e->now == 0 && recent(e) == 0)
		forget(r, e);
}

void
rate_count(struct rate *r, const struct net_address *address)
{
	struct entry *e = find_or_add(r, address);
	uint32_t *count;

	if (e == NULL)
		return;
	advance(e);
	count = &e->counts[e->step % STEPS];
	if (*count < UINT32_MAX)
		(*count)++;
	set_now(r, e, e->now);
}

uint32_t
rate_recent(struct rate *r, const struct net_address *address)
{
	struct entry *e = find(r, address);

	return e != NULL ? recent(e) : 0;
}
