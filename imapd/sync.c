/* SPDX-License-Identifier: ISC */
/*
 * The selected mailbox as this session was told it: changes become EXISTS, RECENT, EXPUNGE,
 * FETCH and FLAGS (RFC 3501 7.2.6, 7.3, 7.4); sequence sets become messages of that same
 * view.
 */
#include "imapd/imapd.h"

static enum store_result
look(struct session *s)
{
	enum store_result result;

	if (s->work.refreshed)
		return STORE_OK;
	result = mailbox_refresh(s->mailbox);
	/* BUSY and BROKEN: the view stays as it is until the next command. */
	s->work.refreshed = true;
	return result;
}

static void
put_change(struct session *s, const struct change *change)
{
	struct message message;

	switch (change->kind) {
	case CHANGE_EXPUNGED:
		untagged(s, "%u EXPUNGE", change->seq);
		return;
	case CHANGE_EXISTS:
		untagged(s, "%u EXISTS", change->seq);
		untagged(s, "%u RECENT", mailbox_recent(s->mailbox));
		return;
	case CHANGE_FLAGS:
		if (mailbox_message(s->mailbox, change->seq, &message))
			put_flags_response(out_of(s), s->mailbox, &message);
		return;
	case CHANGE_KEYWORDS:
		sync_put_new_keywords(s);
		return;
	}
}

enum next
sync_tell(struct session *s, bool hold_expunges)
{
	struct change change;

	if (look(s) == STORE_GONE) {
		/* RFC 2180 3.3: there is nothing left that could be answered. */
		mailbox_close(s->mailbox);
		s->mailbox = NULL;
		s->state = USER;
		s->leaving = true;
		untagged(s, "BYE The selected mailbox was deleted");
		return GO;
	}
	for (;;) {
		if (session_must_wait(s))
			return WAIT;
		if (!mailbox_next_change(s->mailbox, hold_expunges, &change))
			return GO;
		put_change(s, &change);
	}
}

void
sync_put_keywords(struct session *s)
{
	static const char system[] = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";
	struct buf *out = out_of(s);
	scoped_buf words = BUF_INIT;

	for (size_t k = 0; k < mailbox_keyword_count(s->mailbox); k++) {
		buf_put_c(&words, ' ');
		buf_put(&words, mailbox_keyword(s->mailbox, k));
	}
	buf_printf(out, "* FLAGS (%s", system);
	buf_put(out, buf_str(&words));
	buf_put_z(out, ")\r\n* OK [PERMANENTFLAGS (");
	/* RFC 3501 7.1: an empty list where nothing can be changed. */
	if (!mailbox_is_read_only(s->mailbox)) {
		buf_put_z(out, system);
		buf_put(out, buf_str(&words));
		if (mailbox_takes_keywords(s->mailbox))
			buf_put_z(out, " \\*");
	}
	buf_put_z(out, ")] Flags that are kept\r\n");
	s->keywords_told = mailbox_keyword_count(s->mailbox);
}

void
sync_put_new_keywords(struct session *s)
{
	if (mailbox_keyword_count(s->mailbox) > s->keywords_told)
		sync_put_keywords(s);
}

/* ---- sets ---- */

static uint32_t
largest_uid(const struct mailbox *mailbox)
{
	struct message message;

	return mailbox_message(mailbox, mailbox_exists(mailbox), &message) ? message.uid : 0;
}

static bool
walk_numbers(struct session *s, const struct sequence_set *sent, bool by_uid, struct walk *out)
{
	uint32_t exists = mailbox_exists(s->mailbox);
	uint32_t max = by_uid ? largest_uid(s->mailbox) : exists;
	struct uid_set set = sequence_set_resolve(sent, max, s->arena);

	/*
	 * RFC 3501 section 9, seq-number: one that is not there is an error; 6.4.8: a uid
	 * is not.
	 */
	if (!by_uid && set.count > 0 && set.ranges[set.count - 1].last > exists)
		return false;
	*out = (struct walk){ .set = set, .by_uid = by_uid };
	return true;
}

bool
walk_begin(struct session *s, const struct sequence_set *sent, bool by_uid, struct walk *out)
{
	struct uid_set uids;

	if (!sent->saved)
		return walk_numbers(s, sent, by_uid, out);
	/* RFC 5182 2.1: "$" is the same messages before UID and without. */
	if (!set_to_uids(s, sent, by_uid, &uids))
		return false;
	*out = (struct walk){ .set = uids, .by_uid = true };
	return true;
}

static void
next_range(const struct mailbox *mailbox, struct walk *walk)
{
	const struct uid_range *range = &walk->set.ranges[walk->range++];

	if (!walk->by_uid) {
		walk->seq = range->first;
		walk->last = range->last;
		return;
	}
	walk->seq = mailbox_seq_from_uid(mailbox, range->first);
	walk->last = range->last == UINT32_MAX ? mailbox_exists(mailbox) :
	    mailbox_seq_from_uid(mailbox, range->last + 1) - 1;
}

bool
walk_next(const struct mailbox *mailbox, struct walk *walk, struct message *out)
{
	for (;;) {
		if (walk->seq != 0 && walk->seq <= walk->last)
			return mailbox_message(mailbox, walk->seq++, out);
		if (walk->range == walk->set.count)
			return false;
		next_range(mailbox, walk);
	}
}

static bool
numbers_to_uids(struct session *s, const struct sequence_set *sent, bool by_uid,
    struct uid_set *out)
{
	struct walk walk;
	struct uid_range *ranges;
	struct message first, last;

	if (!walk_numbers(s, sent, by_uid, &walk))
		return false;
	if (by_uid) {
		*out = walk.set;
		return true;
	}
	ranges = arena_array(s->arena, struct uid_range, walk.set.count);
	for (size_t i = 0; i < walk.set.count; i++) {
		if (!mailbox_message(s->mailbox, walk.set.ranges[i].first, &first) ||
		    !mailbox_message(s->mailbox, walk.set.ranges[i].last, &last))
			return false;
		/* The view has all messages between the two, so no other uid slips in. */
		ranges[i] = (struct uid_range){ first.uid, last.uid };
	}
	*out = (struct uid_set){ ranges, walk.set.count };
	return true;
}

bool
set_to_uids(struct session *s, const struct sequence_set *sent, bool by_uid,
    struct uid_set *out)
{
	struct uid_set uids;

	if (!numbers_to_uids(s, sent, by_uid, &uids))
		return false;
	*out = sent->saved ? uid_set_join(uids, saved_uids(s), s->arena) : uids;
	return true;
}
