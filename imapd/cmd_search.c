/* SPDX-License-Identifier: ISC */
/*
 * SEARCH (RFC 3501 6.4.4), SORT and THREAD (RFC 5256): the store searches in slices, then it orders what
 * was found in slices, then the numbers are told in slices. What RETURN asks for is told in esearch.c.
 */
#include "common/base/clock.h"
#include "imapd/imapd.h"

struct answer {
	unsigned results;	/* see search_results_of */
	/* RFC 4731 1: so many of the first messages found, and of the last ones, are enough; both 0: none but all. */
	uint32_t front, back;
	struct search_extent extent;	/* of the search under way */
	size_t before;		/* found by the one before it */
	/* SEARCH, SORT */
	const uint32_t *uids;
	size_t count;
	size_t next;
	uint32_t seq;		/* told last */
	/* THREAD; the siblings that are next, one for each level above, stand in work.found. */
	struct thread_list threads;
	uint32_t node;		/* the message to tell next; THREAD_NONE: a sibling's turn */
};

static uint32_t *
uids_found(const struct session *s, size_t *count)
{
	*count = s->work.found.n / sizeof(uint32_t);
	return (uint32_t *)(void *)s->work.found.p;
}

static enum next search_slice(struct session *);
static enum next begin_order(struct session *);
static enum next order_slice(struct session *);
static enum next put_found(struct session *);
static enum next put_threads(struct session *);

/*
 * Sequence numbers mean this session's view; one that is not there matches nothing, as
 * a uid does (the client may have been told of an expunge only now).
 */
static struct uid_set
set_of(struct session *s, const struct search_set *sent)
{
	uint32_t exists = mailbox_exists(s->mailbox);
	bool by_uid = sent->key->kind == SEARCH_UID;
	struct message message;
	struct uid_set seqs, out = { 0 };
	struct uid_range *ranges;
	uint32_t largest = mailbox_message(s->mailbox, exists, &message) ? message.uid : 0;

	if (by_uid) {
		out = sequence_set_resolve(&sent->sent, largest, s->arena);
		return sent->sent.saved ? uid_set_join(out, saved_uids(s), s->arena) : out;
	}
	seqs = sequence_set_resolve(&sent->sent, exists, s->arena);
	ranges = arena_array(s->arena, struct uid_range, seqs.count);
	for (size_t i = 0; i < seqs.count && seqs.ranges[i].first <= exists; i++) {
		uint32_t last = seqs.ranges[i].last;

		if (!mailbox_message(s->mailbox, seqs.ranges[i].first, &message))
			continue;
		ranges[out.count].first = message.uid;
		if (!mailbox_message(s->mailbox, last < exists ? last : exists, &message))
			continue;
		ranges[out.count++].last = message.uid;
	}
	out.ranges = ranges;
	return sent->sent.saved ? uid_set_join(out, saved_uids(s), s->arena) : out;
}

/* RFC 5182 2.1: what was to be saved, and is not, leaves nothing saved. */
static enum next
give_up(struct session *s, const char *words)
{
	if (s->req.search.results & RESULT_SAVE)
		saved_clear(s);
	return finish(s, "%s", words);
}

static void
begin_search(struct session *s, struct answer *answer)
{
	search_free(s->work.search);
	s->work.search = search_new(s->mailbox, s->req.search.key, &answer->extent);
	s->step = search_slice;
}

static void
search_backwards(struct session *s, struct answer *answer, uint32_t above)
{
	answer->before = s->work.found.n / sizeof(uint32_t);
	answer->extent.most = answer->back;
	answer->extent.above = above;
	answer->extent.backwards = true;
	begin_search(s, answer);
}

/* Only what is asked for is looked for; an order, a number of them, needs them all. */
static void
limit_search(const struct session *s, struct answer *answer)
{
	const struct partial_range *range = &s->req.search.partial;
	const unsigned results = answer->results;
	uint32_t far = range->first > range->last ? range->first : range->last;

	if (s->req.command != COMMAND_SEARCH || (results & (RESULT_ALL | RESULT_COUNT)))
		return;
	if (results & RESULT_MIN)
		answer->front = 1;
	if (results & RESULT_MAX)
		answer->back = 1;
	if ((results & RESULT_PARTIAL) && range->from_end)
		answer->back = far;
	else if (results & RESULT_PARTIAL)
		answer->front = far;
}

enum next
cmd_search(struct session *s)
{
	const struct search_arguments *arguments = &s->req.search;
	struct answer *answer = arena_one(s->arena, struct answer);

	/* RFC 9755 3: no charset may be named then, where it must be only UTF-8. RFC 9051 6.4.4 has charsets. */
	if ((s->enabled & ENABLED_UTF8) && arguments->charset.n > 0 &&
	    (s->req.command == COMMAND_SEARCH || !str_eq(arguments->charset, STR("UTF-8"))))
		return finish_bad(s, "After ENABLE UTF8=ACCEPT all texts are UTF-8");
	if (!arguments->charset_known)
		return give_up(s, "NO [BADCHARSET (US-ASCII UTF-8)] That charset is not known here");
	if (arguments->text_invalid)
		return give_up(s, "NO [CANNOT] A text to search for is not UTF-8");
	if (arguments->by_modseq)
		sync_enable(s, ENABLED_CONDSTORE);
	for (const struct search_set *set = arguments->sets; set != NULL; set = set->next)
		set->key->set = set_of(s, set);
	s->work.own = answer;
	answer->results = search_results_of(s);
	answer->extent.now = clock_now();
	limit_search(s, answer);
	answer->extent.most = answer->front;
	if (answer->front == 0 && answer->back > 0)
		search_backwards(s, answer, 0);
	else
		begin_search(s, answer);
	return GO;
}

/* What was found from the end is put into the view's order. */
static void
turn_around(uint32_t *uids, size_t count)
{
	for (size_t i = 0; i < count / 2; i++) {
		const uint32_t uid = uids[i];

		uids[i] = uids[count - 1 - i];
		uids[count - 1 - i] = uid;
	}
}

static enum next
search_slice(struct session *s)
{
	struct answer *answer = s->work.own;
	enum store_result result;
	uint32_t so_far, all;
	bool done = false;
	uint32_t *uids;
	size_t count;

	if (session_must_wait(s))
		return WAIT;
	result = search_step(s->work.search, &s->work.found, &done);
	if (result != STORE_OK)
		return give_up(s, words_of(result, ABOUT_MESSAGES));
	if (!done) {
		search_progress(s->work.search, &so_far, &all);
		session_progress(s, so_far, all);
		return GO;
	}
	uids = uids_found(s, &count);
	if (answer->extent.backwards) {
		if (count > answer->before)
			turn_around(uids + answer->before, count - answer->before);
	} else if (answer->back > 0 && count == answer->front) {
		search_backwards(s, answer, uids[count - 1]);
		return GO;
	}
	return begin_order(s);
}

static enum next
begin_order(struct session *s)
{
	const struct search_arguments *arguments = &s->req.search;
	struct answer *answer = s->work.own;
	size_t count;
	const uint32_t *uids = uids_found(s, &count);

	s->step = order_slice;
	if (s->req.command == COMMAND_SORT) {
		s->work.order = order_sort(s->mailbox, uids, count, arguments->criteria,
		    arguments->criterion_count);
	} else if (s->req.command == COMMAND_THREAD) {
		s->work.order = order_thread(s->mailbox, uids, count, arguments->thread);
	} else if (answer->results != 0) {
		return esearch_answer(s, answer->results, uids, count);
	} else {
		buf_put_z(out_of(s), "* SEARCH");
		answer->uids = uids;
		answer->count = count;
		s->step = put_found;
	}
	return GO;
}

static void
push(struct session *s, uint32_t node)
{
	buf_put(&s->work.found, (struct str){ (const char *)&node, sizeof(node) });
}

static enum next
order_slice(struct session *s)
{
	struct answer *answer = s->work.own;
	enum store_result result;
	bool done = false;

	if (session_must_wait(s))
		return WAIT;
	result = order_step(s->work.order, &done);
	if (result != STORE_OK)
		return give_up(s, words_of(result, ABOUT_MESSAGES));
	if (!done) {
		session_progress(s, order_progress(s->work.order),
		    (uint32_t)(s->work.found.n / sizeof(uint32_t)));
		return GO;
	}
	if (answer->results != 0) {
		answer->uids = order_uids(s->work.order, &answer->count);
		return esearch_answer(s, answer->results, answer->uids, answer->count);
	}
	buf_printf(out_of(s), "* %s", s->req.command == COMMAND_SORT ? "SORT" : "THREAD");
	if (s->req.command == COMMAND_SORT) {
		answer->uids = order_uids(s->work.order, &answer->count);
		s->step = put_found;
		return GO;
	}
	answer->threads = order_threads(s->work.order);
	answer->node = THREAD_NONE;
	if (answer->threads.first != THREAD_NONE)
		buf_put_c(out_of(s), ' ');
	buf_clear(&s->work.found);
	push(s, answer->threads.first);
	s->step = put_threads;
	return GO;
}

uint64_t
search_modseq(const struct session *s, const uint32_t *uids, size_t count)
{
	struct message message;
	uint64_t highest = 0;

	for (size_t i = 0; i < count; i++)
		if (mailbox_message(s->mailbox, mailbox_seq_of_uid(s->mailbox, uids[i]), &message) &&
		    message.modseq > highest)
			highest = message.modseq;
	return highest;
}

/* RFC 7162 3.1.6, 3.1.9 */
static void
put_found_modseq(struct session *s, const struct answer *answer)
{
	uint64_t highest;

	if (!s->req.search.by_modseq)
		return;
	highest = search_modseq(s, answer->uids, answer->count);
	if (highest == 0)
		return;
	buf_put_z(out_of(s), " (MODSEQ ");
	buf_put_u64(out_of(s), highest);
	buf_put_c(out_of(s), ')');
}

static enum next
put_found(struct session *s)
{
	struct answer *answer = s->work.own;
	struct buf *out = out_of(s);

	s->work.mid_response = true;
	for (; answer->next < answer->count; answer->next++) {
		uint32_t number = answer->uids[answer->next];

		if (answer->next % NUMBERS_PER_LOOK == 0 && session_must_wait(s))
			return WAIT;
		if (!s->req.by_uid)
			number = answer->seq = seq_of_uid_near(s->mailbox, number, answer->seq + 1);
		if (number == 0)
			continue;
		buf_put_c(out, ' ');
		buf_put_u64(out, number);
	}
	put_found_modseq(s, answer);
	buf_put_z(out, "\r\n");
	s->work.mid_response = false;
	return finish_done(s);
}

/* ---- THREAD ---- */

/* The next of the innermost level that has any; false: all is told. */
static bool
open_thread(struct session *s, struct answer *answer)
{
	struct buf *levels = &s->work.found;
	char *top = levels->p + levels->n - sizeof(uint32_t);
	uint32_t node;

	memcpy(&node, top, sizeof(node));
	if (node == THREAD_NONE) {
		buf_cut(levels, levels->n - sizeof(node));
		if (levels->n > 0)
			buf_put_c(out_of(s), ')');
		return levels->n > 0;
	}
	memcpy(top, &answer->threads.nodes[node].next, sizeof(node));
	buf_put_c(out_of(s), '(');
	answer->node = node;
	return true;
}

/* RFC 5256 4: an only child follows its parent, several are threads within. */
static void
put_node(struct session *s, struct answer *answer)
{
	const struct thread_node *node = &answer->threads.nodes[answer->node];
	struct buf *out = out_of(s);

	answer->node = THREAD_NONE;
	if (node->uid != 0)
		buf_put_u64(out, s->req.by_uid ? node->uid :
		    mailbox_seq_of_uid(s->mailbox, node->uid));
	if (node->child == THREAD_NONE) {
		buf_put_c(out, ')');
		return;
	}
	if (node->uid != 0)
		buf_put_c(out, ' ');
	if (node->uid != 0 && answer->threads.nodes[node->child].next == THREAD_NONE)
		answer->node = node->child;
	else
		push(s, node->child);
}

static enum next
put_threads(struct session *s)
{
	struct answer *answer = s->work.own;
	bool more = true;

	s->work.mid_response = true;
	while (more) {
		if (session_must_wait(s))
			return WAIT;
		if (answer->node != THREAD_NONE)
			put_node(s, answer);
		else
			more = open_thread(s, answer);
	}
	buf_put_z(out_of(s), "\r\n");
	s->work.mid_response = false;
	return finish_done(s);
}
