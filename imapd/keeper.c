/* SPDX-License-Identifier: ISC */
/*
 * imapd's half of a keeper: one process, one account, all its sessions. The room holds what
 * they share. Whatever one session changes, the idling others hear when it has run; what other
 * processes change comes by the store's event (common/daemon/keeper.h, maildir/store.h).
 */
#include <stdlib.h>

#include "imapd/imapd.h"

struct room {
	struct process *process;
	struct keeper_frame frame;
	struct account *account;	/* NULL: it could not be opened; the next keeper tries again */
	struct buf address;
	struct usage reported;
	TAILQ_HEAD(, session) sessions;
	bool changed;
	bool usage_changed;
	bool settling;
};

static void on_session(struct process *, const struct session_start *);
static void on_event(struct process *);
static bool work(struct process *);
static int work_due_ms(struct process *);
static bool rests(struct process *);
static void report_usage(struct room *);
static void on_quota(struct process *, uint64_t bytes, uint64_t messages);
static void on_closing(struct process *);
static enum next welcome(struct session *);
static void on_user_end(struct session *);

/* ---- the account ---- */

void
keeper_start(struct process *process, const struct keeper_grant *grant, int maildir_fd)
{
	struct room *room = xcalloc(1, sizeof(*room));
	const struct account_options options = {
		.address = grant->address,
		.daemon = "imapd",
		.quota_bytes = grant->quota_bytes,
		.quota_messages = grant->quota_messages,
		.searches = true,
		.undelete_days = process->settings->undelete_days,
	};

	room->process = process;
	buf_put(&room->address, grant->address);
	TAILQ_INIT(&room->sessions);
	process->state = room;
	if (account_open(maildir_fd, &options, &room->account) != STORE_OK)
		room->account = NULL;
	room->frame = (struct keeper_frame){
		.session = on_session,
		.event_fd = room->account != NULL ? account_event_fd(room->account) : -1,
		.on_event = on_event,
		.work = work,
		.work_due_ms = work_due_ms,
		.rests = rests,
		.quota = on_quota,
		.closing = on_closing,
	};
	keeper_run(process, &room->frame);
	if (room->account != NULL)
		report_usage(room);
}

struct account *
room_account(const struct session *s)
{
	return s->room->account;
}

struct str
room_address(const struct session *s)
{
	return buf_str(&s->room->address);
}

/* ---- news ---- */

static void
tell_idlers(struct room *room)
{
	struct session *next;

	for (struct session *s = TAILQ_FIRST(&room->sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		if (!s->idling)
			continue;
		s->work.refreshed = false;
		session_run(s);
	}
}

static void
report_usage(struct room *room)
{
	struct usage now;

	if (account_usage(room->account, &now) != STORE_OK)
		return;
	if (now.bytes == room->reported.bytes && now.messages == room->reported.messages &&
	    now.quota_bytes == room->reported.quota_bytes &&
	    now.quota_messages == room->reported.quota_messages)
		return;
	room->reported = now;
	keeper_report_usage(room->process, now.bytes, now.messages, now.quota_bytes,
	    now.quota_messages);
}

void
room_changed(struct session *s)
{
	s->room->changed = true;
	s->room->usage_changed = true;
}

void
room_flags_changed(struct session *s)
{
	s->room->changed = true;
}

void
room_settle(struct room *room)
{
	keeper_work_if_woken(room->process);
	if (!room->changed || room->settling)
		return;
	room->settling = true;
	room->changed = false;
	tell_idlers(room);
	if (room->usage_changed)
		report_usage(room);
	room->usage_changed = false;
	keeper_work_soon(room->process);
	room->settling = false;
}

static void
on_event(struct process *process)
{
	struct room *room = process->state;

	account_on_event(room->account);
	tell_idlers(room);
	report_usage(room);
}

static bool
work(struct process *process)
{
	struct room *room = process->state;
	bool more;

	if (room->account == NULL)
		return false;
	more = account_work(room->account);
	if (account_take_news(room->account))
		tell_idlers(room);
	return more;
}

static int
work_due_ms(struct process *process)
{
	struct room *room = process->state;

	return room->account == NULL ? -1 : account_work_due_ms(room->account);
}

static bool
rests(struct process *process)
{
	struct room *room = process->state;

	return room->account != NULL && account_rests(room->account);
}

/* ---- sessions ---- */

struct hello {
	struct str tag;
	bool over_limit;
};

static void
on_session(struct process *process, const struct session_start *start)
{
	struct room *room = process->state;
	struct session *s = xcalloc(1, sizeof(*s));
	struct hello *hello;

	s->room = room;
	s->lease = start->lease;
	s->on_end = on_user_end;
	TAILQ_INSERT_TAIL(&room->sessions, s, link);
	log_add_field(&s->log, KV("sid", start->sid));
	log_add_field(&s->log, KV("user", buf_str(&room->address)));
	session_begin(s, process, start->stream, USER);
	hello = arena_one(s->arena, struct hello);
	hello->tag = arena_str(s->arena, start->hello);
	hello->over_limit = start->over_limit;
	s->work.own = hello;
	s->step = welcome;
	log_info(&s->log, "login", KV("peer", start->peer), KV("tls", start->secure));
	session_run(s);
}

/* The tagged answer to the command that logged in; the front left it to us. */
static enum next
welcome(struct session *s)
{
	const struct hello *hello = s->work.own;
	scoped_buf capabilities = BUF_INIT;

	s->req.tag = hello->tag;
	put_capabilities(&capabilities, s);
	if (hello->over_limit) {
		untagged(s, "BYE Too many sessions of this account");
		s->leaving = true;
		return finish(s, "NO [LIMIT] Too many sessions of this account");
	}
	if (s->room->account == NULL) {
		untagged(s, "BYE The mailbox cannot be opened now");
		s->leaving = true;
		keeper_leave(s->process);
		return finish(s, "NO [UNAVAILABLE] The mailbox cannot be opened now; try again later");
	}
	return finish(s, "OK [%s] Welcome", buf_z(&capabilities));
}

static void
on_user_end(struct session *s)
{
	log_info(&s->log, "logout", KV("in", s->bytes_in), KV("out", s->bytes_out),
	    KV("broken", s->broken));
	TAILQ_REMOVE(&s->room->sessions, s, link);
	session_end(s);
}

static void
on_quota(struct process *process, uint64_t bytes, uint64_t messages)
{
	struct room *room = process->state;

	if (room->account == NULL)
		return;
	account_set_quota(room->account, bytes, messages);
	report_usage(room);
}

static void
on_closing(struct process *process)
{
	struct room *room = process->state;
	struct session *s;

	while ((s = TAILQ_FIRST(&room->sessions)) != NULL)
		session_bye(s, "The server is stopping");
	if (room->account != NULL)
		account_close(room->account);
	room->account = NULL;
}
