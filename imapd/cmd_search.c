/* SPDX-License-Identifier: ISC */
/* SEARCH (RFC 3501 6.4.4): the store searches in slices, then the numbers are told in slices. */
#include "imapd/imapd.h"

struct answer {
	size_t next;		/* of the uids found */
};

static enum next search_slice(struct session *);
static enum next put_found(struct session *);

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

	if (by_uid)
		return sequence_set_resolve(&sent->sent, largest, s->arena);
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
	return out;
}

enum next
cmd_search(struct session *s)
{
	const struct search_arguments *arguments = &s->req.search;

	if (!arguments->charset_known)
		return finish(s, "NO [BADCHARSET (US-ASCII UTF-8)] That charset is not known here");
	if (arguments->text_invalid)
		return finish(s, "NO [CANNOT] A text to search for is not UTF-8");
	for (const struct search_set *set = arguments->sets; set != NULL; set = set->next)
		set->key->set = set_of(s, set);
	s->work.search = search_new(s->mailbox, arguments->key);
	s->step = search_slice;
	return GO;
}

static enum next
search_slice(struct session *s)
{
	enum store_result result;
	bool done = false;

	if (session_must_wait(s))
		return WAIT;
	result = search_step(s->work.search, &s->work.found, &done);
	if (result != STORE_OK)
		return finish_result(s, result, ABOUT_MESSAGES);
	if (!done)
		return GO;
	buf_put_z(out_of(s), "* SEARCH");
	s->work.own = arena_one(s->arena, struct answer);
	s->step = put_found;
	return GO;
}

static enum next
put_found(struct session *s)
{
	struct answer *answer = s->work.own;
	struct buf *out = out_of(s);
	const size_t count = s->work.found.n / sizeof(uint32_t);
	uint32_t number;

	s->work.in_literal = true;	/* in the middle of a line no BYE can be said */
	for (; answer->next < count; answer->next++) {
		if (session_must_wait(s))
			return WAIT;
		memcpy(&number, s->work.found.p + answer->next * sizeof(number), sizeof(number));
		if (!s->req.by_uid)
			number = mailbox_seq_of_uid(s->mailbox, number);
		if (number == 0)
			continue;
		buf_put_c(out, ' ');
		buf_put_u64(out, number);
	}
	buf_put_z(out, "\r\n");
	s->work.in_literal = false;
	return finish_done(s);
}
