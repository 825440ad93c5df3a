/* SPDX-License-Identifier: ISC */
/*
 * What is committed, in memory: from LIVE to DONE, and back where it is REOPENED (journal.c has all states). Each is
 * found by its trace, and is in the list of its segment.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "smtpd/journal_inside.h"

struct str
kept_trace(const struct kept *k)
{
	return (struct str){ k->trace, ID_LENGTH };
}

struct kept *
kept_new(struct journal *j, const struct frame *frame, struct segment *s, uint64_t offset)
{
	struct kept *k = xcalloc(1, sizeof(*k));

	memcpy(k->trace, frame->trace, ID_LENGTH);
	k->segment = s;
	k->offset = offset;
	k->length = frame_length(frame);
	k->in_file = frame->in_file;
	k->renew = j->renew_all && !j->was_replayed;
	j->live_bytes += k->length;
	TAILQ_INSERT_TAIL(&s->kepts, k, in_segment);
	(void)map_set(j->kepts, kept_trace(k), k);
	return k;
}

void
journal_reopen(struct journal *j, struct kept *k)
{
	TAILQ_REMOVE(&j->done, k, in_done);
	k->done = k->marked = false;
	k->only = true;
	j->live_bytes += k->length;
}

/* Its new record must not come to lie behind the mark that it is done: a replay would take it for one that is not. */
static void
stop_moving(struct journal *j, struct kept *k)
{
	if (!k->mover || k->mover->step != ENTRY_WAITING)
		return;
	TAILQ_REMOVE(&j->waiting, k->mover, link);
	entry_free(k->mover);
}

void
kept_free(struct journal *j, struct kept *k)
{
	char name[ID_LENGTH + 1];

	journal_file_name(k->trace, name);
	if (k->in_file && unlinkat(j->spool, name, 0) < 0 && errno != ENOENT)
		journal_log("removing", name);
	if (k->done)
		TAILQ_REMOVE(&j->done, k, in_done);
	else
		j->live_bytes -= k->length;
	stop_moving(j, k);
	if (k->mover)
		k->mover->moves = NULL;
	TAILQ_REMOVE(&k->segment->kepts, k, in_segment);
	(void)map_remove(j->kepts, kept_trace(k));
	free(k->delivered);
	free(k);
}

bool
journal_knows(const struct journal *j, struct str trace)
{
	return map_get(j->kepts, trace) != NULL;
}

void
journal_mark(struct journal *j, struct kept *k)
{
	scoped_buf list = BUF_INIT;

	for (size_t i = 0; i < k->delivered_count; i++) {
		uint32_t n = k->delivered[i];
		char p[4] = { (char)(n & 255), (char)(n >> 8 & 255), (char)(n >> 16 & 255),
			(char)(n >> 24 & 255) };

		buf_put(&list, (struct str){ p, sizeof(p) });
	}
	k->marked = segment_mark(j, FRAME_DONE, k->trace, buf_str(&list), &k->done_at);
}

void
journal_done(struct journal *j, struct str trace, const uint32_t *delivered, size_t count,
    bool at_once)
{
	struct kept *k = map_get(j->kepts, trace);

	if (!k || k->done)
		return;
	free(k->delivered);
	k->delivered = count > 0 ? xcalloc(count, sizeof(*delivered)) : NULL;
	if (count > 0)
		memcpy(k->delivered, delivered, count * sizeof(*delivered));
	k->delivered_count = count;
	k->done = true;
	j->live_bytes -= k->length;
	stop_moving(j, k);
	journal_mark(j, k);
	if (TAILQ_EMPTY(&j->done))
		timer_set(j->settle, SETTLE_MS);
	TAILQ_INSERT_TAIL(&j->done, k, in_done);
	if (at_once && j->current)
		(void)segment_write(j);
}
