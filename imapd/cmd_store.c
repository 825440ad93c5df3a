/* SPDX-License-Identifier: ISC */
/*
 * STORE (RFC 3501 6.4.6, RFC 7162 3.1.3): the flags are changed at once, the answers told in slices.
 */
#include "imapd/imapd.h"

struct storing {
	struct walk walk;
	struct stored stored;
};

/* "[MODIFIED 7,9]": numbers of the kind that was sent. */
static struct str
code_modified(struct session *s, const struct uid_set *modified)
{
	uint32_t *numbers = arena_array(s->arena, uint32_t, modified->count);
	scoped_buf code = BUF_INIT;

	for (size_t i = 0; i < modified->count; i++) {
		uint32_t uid = modified->ranges[i].first;

		numbers[i] = s->req.by_uid ? uid : mailbox_seq_of_uid(s->mailbox, uid);
	}
	buf_put_z(&code, "[MODIFIED ");
	put_uids(&code, numbers, modified->count);
	buf_put_c(&code, ']');
	return arena_str(s->arena, buf_str(&code));
}

static enum next
finish_store(struct session *s, const struct storing *w)
{
	/*
	 * RFC 2180 4.2: who wants to see what it set is told that some are gone; UIDs that are not there are no
	 * fault (RFC 3501 6.4.8).
	 */
	bool gone = w->stored.gone && !s->req.by_uid && !s->req.store.silent;
	struct str code;

	if (w->stored.modified.count == 0)
		return gone ? finish_result(s, STORE_GONE, ABOUT_MESSAGES) : finish_done(s);
	code = code_modified(s, &w->stored.modified);
	return finish(s, "%s %.*s %s", gone ? "NO" : "OK", STR_ARG(code),
	    gone ? "Some of the messages are gone, and some have changed meanwhile" :
	    "Some of the messages have changed meanwhile");
}

/*
 * RFC 7162 3.1.3: who asked for a condition is told every modseq, even if silent; who has not but knows them, those that
 * are new. What was left alone is shown as it is, so that the client need not ask.
 */
static void
tell_one(struct session *s, const struct storing *w, const struct message *message)
{
	const struct store_arguments *arguments = &s->req.store;

	if (message->gone)
		return;
	if (!arguments->silent || w->stored.took_more || uid_set_has(&w->stored.modified, message->uid))
		put_flags_response(s, message);
	else if (arguments->unchanged_since != UINT64_MAX || message->modseq == w->stored.modseq)
		put_modseq_response(s, message);
}

static enum next
tell_stored(struct session *s)
{
	struct storing *w = s->work.own;
	struct message message;

	for (;;) {
		if (session_must_wait(s))
			return WAIT;
		if (!walk_next(s->mailbox, &w->walk, &message))
			return finish_store(s, w);
		tell_one(s, w, &message);
	}
}

enum next
cmd_store(struct session *s)
{
	const struct store_arguments *arguments = &s->req.store;
	struct storing *w = arena_one(s->arena, struct storing);
	struct uid_set uids;
	enum store_result result;

	if (!walk_begin(s, &arguments->set, s->req.by_uid, &w->walk) ||
	    !set_to_uids(s, &arguments->set, s->req.by_uid, &uids))
		return finish_bad(s, "There is no message with that number");
	if (arguments->unchanged_since != UINT64_MAX)
		sync_enable(s, ENABLED_CONDSTORE);
	if (mailbox_is_read_only(s->mailbox))
		return finish_result(s, STORE_READ_ONLY, ABOUT_MESSAGES);
	result = mailbox_store(s->mailbox, &uids, arguments->change, &arguments->flags,
	    arguments->unchanged_since, s->arena, &w->stored);
	if (result != STORE_OK)
		return finish_result(s, result, ABOUT_MESSAGES);
	room_flags_changed(s);
	/* New words go before the first message that has them. */
	sync_put_new_keywords(s);
	/* RFC 3501 6.4.6: who is silent knows what comes of it, if it is what was asked for. */
	if (arguments->silent && !w->stored.took_more && !(s->enabled & ENABLED_CONDSTORE))
		return finish_store(s, w);
	s->work.own = w;
	s->step = tell_stored;
	return GO;
}
