/* SPDX-License-Identifier: ISC */
/*
 * A list in the order of time with a map beside it. An entry is either sure to be of use (its front is
 * none), or waits a few seconds for the death of the front that was given the answer.
 */
#include "smtpd/unanswered.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/map.h"

enum {
	REMEMBER_MS = 3600 * 1000,	/* how long a sender may take to send again */
	PASSING_ON_MS = 10 * 1000,	/* how long a front may take to pass an answer on */
	ENTRIES_MAX = 50000,		/* of each kind; the oldest go first */
};

struct entry {
	TAILQ_ENTRY(entry) link;
	int64_t since;
	unsigned front;			/* of those told */
	char fingerprint[FINGERPRINT_SIZE];
	char trace[ID_LENGTH];
};

TAILQ_HEAD(entries, entry);

struct unanswered {
	struct entries open, told;
	size_t open_count, told_count;
	struct map *by_fingerprint;	/* the open ones */
};

struct unanswered *
unanswered_new(void)
{
	struct unanswered *u = xcalloc(1, sizeof(*u));

	TAILQ_INIT(&u->open);
	TAILQ_INIT(&u->told);
	u->by_fingerprint = map_new();
	return u;
}

static struct str
key_of(const char *fingerprint)
{
	return (struct str){ fingerprint, FINGERPRINT_SIZE };
}

static void
forget_open(struct unanswered *u, struct entry *e)
{
	TAILQ_REMOVE(&u->open, e, link);
	u->open_count--;
	(void)map_remove(u->by_fingerprint, key_of(e->fingerprint));
	free(e);
}

static void
forget_told(struct unanswered *u, struct entry *e)
{
	TAILQ_REMOVE(&u->told, e, link);
	u->told_count--;
	free(e);
}

static void
forget_old(struct unanswered *u, int64_t now)
{
	struct entry *e;

	while ((e = TAILQ_FIRST(&u->open)) &&
	    (u->open_count > ENTRIES_MAX || now - e->since > REMEMBER_MS))
		forget_open(u, e);
	while ((e = TAILQ_FIRST(&u->told)) &&
	    (u->told_count > ENTRIES_MAX || now - e->since > PASSING_ON_MS))
		forget_told(u, e);
}

void
unanswered_free(struct unanswered *u)
{
	if (!u)
		return;
	while (!TAILQ_EMPTY(&u->open))
		forget_open(u, TAILQ_FIRST(&u->open));
	while (!TAILQ_EMPTY(&u->told))
		forget_told(u, TAILQ_FIRST(&u->told));
	map_free(u->by_fingerprint);
	free(u);
}

static struct entry *
entry_new(const char *fingerprint, struct str trace)
{
	struct entry *e = xcalloc(1, sizeof(*e));

	e->since = clock_monotonic_ms();
	memcpy(e->fingerprint, fingerprint, sizeof(e->fingerprint));
	memcpy(e->trace, trace.p, trace.n < sizeof(e->trace) ? trace.n : sizeof(e->trace));
	return e;
}

void
unanswered_add(struct unanswered *u, const char fingerprint[FINGERPRINT_SIZE], struct str trace)
{
	struct entry *before = map_get(u->by_fingerprint, key_of(fingerprint));
	struct entry *e = entry_new(fingerprint, trace);

	if (before)
		forget_open(u, before);
	TAILQ_INSERT_TAIL(&u->open, e, link);
	u->open_count++;
	(void)map_set(u->by_fingerprint, key_of(e->fingerprint), e);
	forget_old(u, e->since);
}

void
unanswered_told(struct unanswered *u, unsigned front, const char fingerprint[FINGERPRINT_SIZE],
    struct str trace)
{
	struct entry *e = entry_new(fingerprint, trace);

	e->front = front;
	TAILQ_INSERT_TAIL(&u->told, e, link);
	u->told_count++;
	forget_old(u, e->since);
}

void
unanswered_front_lost(struct unanswered *u, unsigned front)
{
	struct entries its = TAILQ_HEAD_INITIALIZER(its);
	struct entry *e, *next;

	forget_old(u, clock_monotonic_ms());
	for (e = TAILQ_FIRST(&u->told); e; e = next) {
		next = TAILQ_NEXT(e, link);
		if (e->front != front)
			continue;
		TAILQ_REMOVE(&u->told, e, link);
		u->told_count--;
		TAILQ_INSERT_TAIL(&its, e, link);
	}
	while ((e = TAILQ_FIRST(&its))) {
		TAILQ_REMOVE(&its, e, link);
		unanswered_add(u, e->fingerprint, (struct str){ e->trace, sizeof(e->trace) });
		free(e);
	}
}

bool
unanswered_take(struct unanswered *u, const char fingerprint[FINGERPRINT_SIZE],
    struct buf *trace)
{
	struct entry *e;

	forget_old(u, clock_monotonic_ms());
	e = map_get(u->by_fingerprint, key_of(fingerprint));
	if (!e)
		return false;
	buf_put(trace, (struct str){ e->trace, sizeof(e->trace) });
	forget_open(u, e);
	return true;
}
