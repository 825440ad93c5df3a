/* SPDX-License-Identifier: ISC */
/*
 * IDLE (RFC 2177): changes are told as they happen, whoever made them; keeper.c runs the
 * step when there may be some. Without a selected mailbox nothing is told, and DONE is
 * waited for all the same.
 */
#include "common/base/clock.h"
#include "imapd/imapd.h"

static enum next idle(struct session *);

enum next
cmd_idle(struct session *s)
{
	buf_put_z(out_of(s), "+ idling\r\n");
	s->idling = true;
	s->proof_due = clock_monotonic_ms() + IDLE_PROOF_MS;
	timer_set(s->wake, IDLE_PROOF_MS);
	s->step = idle;
	return GO;
}

/* Boxes between us and the client forget connections on which nothing goes. */
static void
give_proof(struct session *s)
{
	int64_t now = clock_monotonic_ms();

	if (now >= s->proof_due) {
		untagged(s, "OK Still here");
		s->proof_due = now + IDLE_PROOF_MS;
	}
	timer_set(s->wake, s->proof_due - now);
}

static enum next
stop_idling(struct session *s)
{
	s->idling = false;
	timer_stop(s->wake);
	return GO;
}

static enum next
read_done(struct session *s)
{
	struct str line;
	enum next next;
	size_t octets;
	bool is_done;

	if (!session_line(s, &line, &octets, &next))
		return next;
	is_done = str_eq_nocase(str_trim(line), STR("DONE"));
	session_take(s, octets);
	stop_idling(s);
	return is_done ? finish_done(s) : finish_bad(s, "Only DONE ends IDLE");
}

static enum next
idle(struct session *s)
{
	if (s->mailbox != NULL) {
		if (sync_tell(s, false) == WAIT)
			return WAIT;
		if (s->leaving)
			return END;
	}
	give_proof(s);
	return read_done(s);
}
