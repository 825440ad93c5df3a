/* SPDX-License-Identifier: ISC */
/*
 * The selected mailbox as this session was told it: changes become EXISTS, RECENT, EXPUNGE or VANISHED,
 * FETCH and FLAGS (RFC 3501 7.2.6, 7.3, 7.4; RFC 7162 3.2.10); sequence sets become messages of that same
 * view.
 *
 * A client keeps one modseq, and asks for what came after it when it is back; so it may never hold one with a change
 * below it that it was not told (RFC 7162 3.2, 6). By section 6 it takes the last HIGHESTMODSEQ it was told, or, without
 * one since the last tagged answer, the largest MODSEQ that it saw. Path by path:
 *   - SELECT tells the modseq of the snapshot that the session's view is made of, and the view has all of that. What
 *     QRESYNC has to tell is found before anybody else has a turn.
 *   - At a command's end all is told that has come by then, but expunges that are held back; and the answer follows in
 *     the same step. If nothing was held, every MODSEQ seen is right, whatever order they came in.
 *   - Where expunges are held, a MODSEQ from FETCH or STORE may lie above theirs: HIGHESTMODSEQ then tells the one before
 *     the first of them, and so with every command until they are told.
 *   - mailbox_told_modseq is that number: the snapshot's, or one less than the first change that the view was not told.
 *     Commits that the snapshot has not seen (the index was busy) are above it.
 *   - A BAD tells no changes, so it moves nothing; a connection lost within a command, or in IDLE, leaves the client with
 *     what it had.
 *   - VANISHED and EXISTS carry no modseq: a QRESYNC client is told by HIGHESTMODSEQ how far it is now. Who has a modseq
 *     that is too small is only told things twice.
 *   - STATUS tells the mailbox's, and holds nothing back: what it counts in is told before its answer.
 */
#include "imapd/imapd.h"

enum { VANISHED_RANGES_MAX = 1000 };	/* in one line */

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

/* ---- VANISHED ---- */

/* A line as it is written: the last range may still grow. */
struct vanished_line {
	uint32_t first;			/* 0: there is no line */
	uint32_t last;
	size_t ranges;
};

static void
end_vanished(struct session *s, struct vanished_line *line)
{
	if (line->first == 0)
		return;
	put_uid_range(out_of(s), line->first, line->last);
	buf_put_z(out_of(s), "\r\n");
	*line = (struct vanished_line){ 0 };
}

/* RFC 7162 3.2.10.2: uids that the client was told of, no others: only neighbours are joined. */
static void
put_vanished(struct session *s, struct vanished_line *line, uint32_t uid)
{
	if (line->first != 0 && uid == line->last + 1) {
		line->last = uid;
		return;
	}
	if (line->ranges == VANISHED_RANGES_MAX)
		end_vanished(s, line);
	if (line->first == 0) {
		buf_put_z(out_of(s), "* VANISHED ");
	} else {
		put_uid_range(out_of(s), line->first, line->last);
		buf_put_c(out_of(s), ',');
	}
	line->first = line->last = uid;
	line->ranges++;
}

enum next
sync_put_vanished(struct session *s, const struct uid_set *set, size_t *at)
{
	struct buf *out = out_of(s);

	while (*at < set->count) {
		if (session_must_wait(s))
			return WAIT;
		buf_put_z(out, "* VANISHED (EARLIER) ");
		for (size_t n = 0; n < VANISHED_RANGES_MAX && *at < set->count; n++, ++*at) {
			if (n > 0)
				buf_put_c(out, ',');
			put_uid_range(out, set->ranges[*at].first, set->ranges[*at].last);
		}
		buf_put_z(out, "\r\n");
	}
	return GO;
}

/* ---- what changed ---- */

bool
sync_tells_recent(const struct session *s)
{
	return !(s->enabled & ENABLED_REV2);
}

static void
put_expunged(struct session *s, struct vanished_line *line, const struct change *change)
{
	s->work.told_expunge = true;
	if (s->enabled & ENABLED_QRESYNC)
		put_vanished(s, line, change->uid);
	else
		untagged(s, "%u EXPUNGE", change->seq);
}

static void
put_change(struct session *s, struct vanished_line *line, const struct change *change)
{
	struct message message;

	if (change->kind != CHANGE_EXPUNGED)
		end_vanished(s, line);
	switch (change->kind) {
	case CHANGE_EXPUNGED:
		put_expunged(s, line, change);
		return;
	case CHANGE_EXISTS:
		untagged(s, "%u EXISTS", change->seq);
		if (sync_tells_recent(s))
			untagged(s, "%u RECENT", mailbox_recent(s->mailbox));
		return;
	case CHANGE_FLAGS:
		if (mailbox_message(s->mailbox, change->seq, &message))
			put_flags_response(s, &message);
		return;
	case CHANGE_KEYWORDS:
		sync_put_new_keywords(s);
		return;
	}
}

enum next
sync_tell(struct session *s, bool hold_expunges)
{
	struct vanished_line line = { 0 };
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
		if (session_must_wait(s)) {
			end_vanished(s, &line);
			return WAIT;
		}
		if (!mailbox_next_change(s->mailbox, hold_expunges, &change)) {
			end_vanished(s, &line);
			return GO;
		}
		put_change(s, &line, &change);
	}
}

/* ---- mod-sequences ---- */

void
sync_enable(struct session *s, unsigned bits)
{
	/* RFC 7162 3.1: who begins to ask is told where the mailbox is, if it has one. */
	if (bits & ~s->enabled & ENABLED_CONDSTORE)
		s->modseq_due = s->mailbox != NULL;
	s->enabled |= bits;
}

static void
knows_modseq(struct session *s, uint64_t modseq)
{
	s->modseq_known = modseq;
	s->modseq_seen = 0;
	s->modseq_due = false;
}

void
sync_put_modseq(struct session *s)
{
	uint64_t modseq = mailbox_told_modseq(s->mailbox);

	untagged(s, "OK [HIGHESTMODSEQ %llu] Changes are told up to here", (unsigned long long)modseq);
	knows_modseq(s, modseq);
}

/* True: the reply is an OK, and has the code now. */
static bool
put_modseq_into_reply(struct session *s, uint64_t modseq)
{
	struct str words = buf_str(&s->reply);

	if (!str_starts(words, STR("OK ")))
		return false;
	words = arena_str(s->arena, str_from(words, 3));
	buf_clear(&s->reply);
	buf_printf(&s->reply, "OK [HIGHESTMODSEQ %llu] %.*s", (unsigned long long)modseq,
	    STR_ARG(words));
	return true;
}

void
sync_tell_modseq(struct session *s)
{
	bool qresync = s->enabled & ENABLED_QRESYNC;
	uint64_t modseq, takes;

	if (!(s->enabled & ENABLED_CONDSTORE))
		return;
	modseq = mailbox_told_modseq(s->mailbox);
	takes = s->modseq_seen > s->modseq_known ? s->modseq_seen : s->modseq_known;
	/* RFC 7162 3.2.7, 3.2.9, RFC 6851 4.4 */
	if (qresync && s->work.told_expunge && s->command->tells_modseq &&
	    put_modseq_into_reply(s, modseq))
		knows_modseq(s, modseq);
	else if (takes > modseq || s->modseq_due || (qresync && takes < modseq))
		sync_put_modseq(s);
	else
		knows_modseq(s, takes);
}

/* ---- keywords ---- */

/*
 * RFC 9051 2.3.2: clients use these where they see them, before the first message has one; Thunderbird
 * marks junk as others do only where both of the pair are told.
 */
static void
put_usual_keywords(struct session *s, struct buf *words)
{
	static const char *const usual[] = {
		"$Forwarded", "$MDNSent", "$Junk", "$NotJunk", "$Phishing"
	};

	for (size_t i = 0; i < countof(usual); i++) {
		size_t k = 0, count = mailbox_keyword_count(s->mailbox);

		while (k < count && !str_eq_nocase(mailbox_keyword(s->mailbox, k), str_of(usual[i])))
			k++;
		if (k == count)
			buf_printf(words, " %s", usual[i]);
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
	if (mailbox_takes_keywords(s->mailbox))
		put_usual_keywords(s, &words);
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

uint32_t
seq_of_uid_near(const struct mailbox *mailbox, uint32_t uid, uint32_t guess)
{
	struct message message;

	return mailbox_message(mailbox, guess, &message) && message.uid == uid ? guess :
	    mailbox_seq_of_uid(mailbox, uid);
}

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

struct walk
walk_of(const struct uid_set *uids)
{
	return (struct walk){ .set = *uids, .by_uid = true };
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

/* The messages of the view that the range has: how many, and the number of the first. */
static uint32_t
messages_in(const struct mailbox *mailbox, const struct uid_range *range, uint32_t *first)
{
	const uint32_t end = range->last == UINT32_MAX ? mailbox_exists(mailbox) + 1 :
	    mailbox_seq_from_uid(mailbox, range->last + 1);

	*first = mailbox_seq_from_uid(mailbox, range->first);
	return end - *first;
}

struct uid_set
set_part(struct session *s, const struct uid_set *uids, const struct partial_range *range)
{
	struct uid_range *ranges = arena_array(s->arena, struct uid_range, uids->count);
	struct message one, last;
	struct partial_span span;
	size_t all = 0, at = 0, count = 0;
	uint32_t first, n;

	for (size_t i = 0; i < uids->count; i++)
		all += messages_in(s->mailbox, &uids->ranges[i], &first);
	span = partial_range_in(range, all);
	for (size_t i = 0; i < uids->count && at < span.from + span.n; i++, at += n) {
		size_t from, end;

		n = messages_in(s->mailbox, &uids->ranges[i], &first);
		from = at > span.from ? at : span.from;
		end = at + n < span.from + span.n ? at + n : span.from + span.n;
		if (from >= end || !mailbox_message(s->mailbox, first + (uint32_t)(from - at), &one) ||
		    !mailbox_message(s->mailbox, first + (uint32_t)(end - at) - 1, &last))
			continue;
		ranges[count++] = (struct uid_range){ one.uid, last.uid };
	}
	return (struct uid_set){ ranges, count };
}
