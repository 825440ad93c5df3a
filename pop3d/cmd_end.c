/* SPDX-License-Identifier: ISC */
/* NOOP and QUIT: the UPDATE state (RFC 1939 6). Only QUIT deletes; a lost connection does not. */
#include "pop3d/pop3d.h"

enum next
cmd_noop(struct session *s, const struct request *req)
{
	(void)req;
	respond_ok(s, "nothing was done");
	return GO;
}

/* The uids of the messages marked, as ranges in the arena. */
static struct uid_set
marked(struct session *s, const bool *marks, struct arena *arena)
{
	struct uid_range *ranges = arena_array(arena, struct uid_range, s->count + 1);
	struct uid_set set = { .ranges = ranges };
	struct message m;

	for (uint32_t i = 1; i <= s->count; i++)
		if (marks[i - 1] && mailbox_message(s->mailbox, i, &m))
			ranges[set.count++] = (struct uid_range){ m.uid, m.uid };
	return set;
}

static enum store_result
set_flag(struct session *s, const struct uid_set *set, uint32_t flag, struct arena *arena)
{
	struct flags flags = { .system = flag };
	struct stored stored;

	if (set->count == 0)
		return STORE_OK;
	return mailbox_store(s->mailbox, set, FLAGS_ADD, &flags, UINT64_MAX, arena, &stored);
}

/* What was fetched is seen, as an IMAP client of the same account wants to know. */
static enum store_result
update(struct session *s, struct arena *arena, size_t *deleted)
{
	struct uid_set gone = marked(s, s->deleted, arena);
	struct uid_set seen = marked(s, s->retrieved, arena);
	enum store_result result = set_flag(s, &seen, FLAG_SEEN, arena);

	*deleted = gone.count;
	/* That somebody has read them is no promise. */
	if (result == STORE_OK || result == STORE_FULL)
		result = set_flag(s, &gone, FLAG_DELETED, arena);
	if (result == STORE_OK && gone.count > 0)
		result = mailbox_expunge(s->mailbox, &gone);
	keeper_work_soon(s->process);
	return result;
}

static enum next
quit_transaction(struct session *s)
{
	struct arena *arena = arena_new();
	size_t deleted;
	enum store_result result = update(s, arena, &deleted);

	arena_free(arena);
	if (result == STORE_OK)
		respond_ok(s, "goodbye, %zu messages deleted", deleted);
	else
		respond_error(s, "[SYS/TEMP] some deleted messages were not removed, try again later");
	log_info(&s->log, "logout", KV("deleted", deleted), KV("octets", s->octets_sent));
	return session_end(s);
}

enum next
cmd_quit(struct session *s, const struct request *req)
{
	(void)req;
	if (s->state == TRANSACTION)
		return quit_transaction(s);
	respond_ok(s, "goodbye");
	return session_end(s);
}
