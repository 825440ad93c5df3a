/* SPDX-License-Identifier: ISC */
/*
 * What a search with RETURN tells and saves (RFC 4731 3.1, 3.2, RFC 5182 2.4, RFC 9394 3.1, 3.2; for SORT RFC 5267 3.1):
 * one ESEARCH response, its set in slices.
 */
#include <stdlib.h>

#include "common/mime/render.h"
#include "imapd/imapd.h"

/* The messages found, in the order that is asked for. */
struct esearch {
	unsigned results;		/* enum search_result bits, never 0 */
	const uint32_t *uids;
	size_t count;
	size_t next, end;		/* of them, those that the set under way is still to have */
	bool begun;			/* it has some */
	uint32_t seq;			/* looked up last */
};

static enum next put_set(struct session *);

unsigned
search_results_of(const struct session *s)
{
	/* RFC 9051 6.4.4: there each SEARCH is answered so. RFC 5256's commands stay as they were. */
	if (s->req.search.results == 0 && s->req.command == COMMAND_SEARCH &&
	    (s->enabled & ENABLED_REV2))
		return RESULT_ALL;
	return s->req.search.results;
}

/* ---- what is saved ---- */

static int
compare_uids(const void *a, const void *b)
{
	const uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;

	return (one > other) - (one < other);
}

static size_t
drop_doubles(uint32_t *uids, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (kept == 0 || uids[i] != uids[kept - 1])
			uids[kept++] = uids[i];
	return kept;
}

/* RFC 5182 2.4, RFC 9394 3.2: what MIN, MAX and PARTIAL tell, where nothing else is asked for. */
static size_t
pick_few(const struct session *s, const struct esearch *e, uint32_t *out)
{
	struct partial_span span = { 0 };
	size_t n;

	if (e->results & RESULT_PARTIAL)
		span = partial_range_in(&s->req.search.partial, e->count);
	n = span.n;
	if (n > 0)
		memcpy(out, e->uids + span.from, n * sizeof(*out));
	if (e->count > 0 && (e->results & RESULT_MIN))
		out[n++] = e->uids[0];
	if (e->count > 0 && (e->results & RESULT_MAX))
		out[n++] = e->uids[e->count - 1];
	return n;
}

/* Is it about all that was found, and not only of what pick_few picks? */
static bool
is_about_all(const struct esearch *e)
{
	const unsigned few = RESULT_MIN | RESULT_MAX | RESULT_PARTIAL;

	return (e->results & (RESULT_COUNT | RESULT_ALL)) || !(e->results & few);
}

static bool
save(struct session *s, const struct esearch *e)
{
	const bool all = is_about_all(e);
	size_t n = e->count;
	uint32_t *uids;
	bool saved;

	if (all && s->req.command == COMMAND_SEARCH)
		return saved_set(s, e->uids, e->count);
	uids = xcalloc(e->count + 2, sizeof(*uids));
	if (all)
		memcpy(uids, e->uids, n * sizeof(*uids));
	else
		n = pick_few(s, e, uids);
	qsort(uids, n, sizeof(*uids), compare_uids);
	saved = saved_set(s, uids, drop_doubles(uids, n));
	free(uids);
	return saved;
}

/* ---- what is told ---- */

static uint32_t
number_of(const struct session *s, uint32_t uid)
{
	return s->req.by_uid ? uid : mailbox_seq_of_uid(s->mailbox, uid);
}

static void
put_number(struct session *s, const char *word, uint32_t number)
{
	buf_printf(out_of(s), " %s %u", word, number);
}

static void
put_head(struct session *s, const struct esearch *e)
{
	struct buf *out = out_of(s);

	buf_put_z(out, "* ESEARCH (TAG ");
	render_quoted(out, s->req.tag);
	buf_put_c(out, ')');
	if (s->req.by_uid)
		buf_put_z(out, " UID");
	if (e->count > 0 && (e->results & RESULT_MIN))
		put_number(s, "MIN", number_of(s, e->uids[0]));
	if (e->count > 0 && (e->results & RESULT_MAX))
		put_number(s, "MAX", number_of(s, e->uids[e->count - 1]));
	if (e->results & RESULT_COUNT)
		put_number(s, "COUNT", (uint32_t)e->count);
}

/* RFC 4731 3.2, RFC 7162 3.1.10: of what is told; one number counts for all of it. */
static void
put_modseq_told(struct session *s, const struct esearch *e)
{
	uint32_t *uids;
	uint64_t highest;

	if (!s->req.search.by_modseq)
		return;
	if (is_about_all(e)) {
		highest = search_modseq(s, e->uids, e->count);
	} else {
		uids = xcalloc(e->count + 2, sizeof(*uids));
		highest = search_modseq(s, uids, pick_few(s, e, uids));
		free(uids);
	}
	if (highest == 0)
		return;
	buf_put_z(out_of(s), " MODSEQ ");
	buf_put_u64(out_of(s), highest);
}

static void
begin_set(struct session *s, struct esearch *e)
{
	const struct partial_range *range = &s->req.search.partial;
	const char *sign = range->from_end ? "-" : "";
	struct partial_span span;

	if ((e->results & RESULT_ALL) && e->count > 0) {
		buf_put_z(out_of(s), " ALL ");
		e->end = e->count;
	}
	if (e->results & RESULT_PARTIAL) {
		span = partial_range_in(range, e->count);
		buf_printf(out_of(s), " PARTIAL (%s%u:%s%u ", sign, range->first, sign, range->last);
		e->next = span.from;
		e->end = span.from + span.n;
	}
}

enum next
esearch_answer(struct session *s, unsigned results, const uint32_t *uids, size_t count)
{
	struct esearch *e = arena_one(s->arena, struct esearch);

	*e = (struct esearch){ .results = results, .uids = uids, .count = count };
	/* RFC 5182 2.5 */
	if ((results & RESULT_SAVE) && !save(s, e))
		return finish(s, "NO [NOTSAVED] That result is in too many pieces to be saved");
	/* RFC 5182 1: saving alone is done in silence. */
	if (results == RESULT_SAVE)
		return finish_done(s);
	put_head(s, e);
	begin_set(s, e);
	s->work.own = e;
	s->work.mid_response = true;
	s->step = put_set;
	return GO;
}

static uint32_t
next_number(struct session *s, struct esearch *e)
{
	const uint32_t uid = e->uids[e->next];

	if (s->req.by_uid)
		return uid;
	e->seq = seq_of_uid_near(s->mailbox, uid, e->seq + 1);
	return e->seq;
}

/* RFC 5267 3.2: a range goes up, whatever the order of the whole. */
static void
put_range(struct session *s, struct esearch *e)
{
	const uint32_t first = next_number(s, e);
	uint32_t last = first;
	struct buf *out = out_of(s);

	e->next++;
	while (e->next < e->end && next_number(s, e) == last + 1) {
		e->next++;
		last++;
	}
	if (e->begun)
		buf_put_c(out, ',');
	e->begun = true;
	buf_put_u64(out, first);
	if (last > first) {
		buf_put_c(out, ':');
		buf_put_u64(out, last);
	}
}

static enum next
put_set(struct session *s)
{
	struct esearch *e = s->work.own;
	struct buf *out = out_of(s);

	while (e->next < e->end) {
		if (session_must_wait(s))
			return WAIT;
		put_range(s, e);
	}
	if (e->results & RESULT_PARTIAL)
		buf_put_z(out, e->begun ? ")" : "NIL)");
	put_modseq_told(s, e);
	buf_put_z(out, "\r\n");
	s->work.mid_response = false;
	return finish_done(s);
}
