/* SPDX-License-Identifier: ISC */
/*
 * The queue's process: mail in transit from the front's last octet until it is delivered or told of. It owns
 * state_dir/journal, state_dir/spool (the journal's large bodies) and state_dir/queue.db; it knows no network and no mailbox. smtpd/queue.h
 * says which file does what.
 */
#include "smtpd/queue.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/daemon/sandbox.h"

enum {
	POLL_MS = 500,			/* `trivet queue retry` is seen within this */
	RESYNC_MS = 30 * 1000,
	STOP_MS = 4 * 1000,		/* for attempts under way to end */
	STOP_LOOK_MS = 50,
	UNHEARD_SECONDS = 600,
};

static bool on_message(struct process *, enum role from, unsigned index, struct msg *);
static void on_peer(struct process *, enum role, unsigned index, struct str label);
static void on_peer_lost(struct process *, enum role, unsigned index);
static void on_reload(struct process *);
static void on_stop(struct process *);
static void poll_requests(void *context);
static void resync(void *context);
static void on_found(void *context, const struct journal_message *);
static void ask_sync(void *context, const struct sync_request *, sync_done *, void *done_context);

static const struct process_handlers handlers = {
	.on_message = on_message,
	.on_peer = on_peer,
	.on_peer_lost = on_peer_lost,
	.on_reload = on_reload,
	.on_stop = on_stop,
};

static void
allow_files(const char *rows, const char *state_dir)
{
	scoped_buf journal = BUF_INIT, spool = BUF_INIT;

	buf_printf(&journal, "%s/journal", state_dir);
	buf_printf(&spool, "%s/spool", state_dir);
	sandbox_allow_database(rows, SANDBOX_WRITE);
	sandbox_allow_path(buf_z(&journal), SANDBOX_FOLDER);
	sandbox_allow_path(buf_z(&spool), SANDBOX_FOLDER);
	sandbox_allow_path("/proc/sys/kernel/random/boot_id", SANDBOX_READ);
	sandbox_close(ROLE_QUEUE);
}

void
queue_start(struct process *process)
{
	struct queue *q = xcalloc(1, sizeof(*q));
	const char *state_dir = process->settings->state_dir;
	scoped_buf path = BUF_INIT;

	struct journal_host host = { .sync = ask_sync, .found = on_found, .context = q };

	q->process = process;
	process->state = q;
	q->syncs = syncs_new(process);
	buf_printf(&path, "%s/queue.db", state_dir);
	q->messages = map_new();
	q->rows = rows_open(buf_z(&path));
	q->journal = q->rows ? journal_open(process->loop, state_dir, &host) : NULL;
	if (!q->journal)
		process_fail(process, "the queue cannot use the folder state_dir = %s; the log "
		    "says why", state_dir);
	allow_files(buf_z(&path), state_dir);
	rows_set_relay(q->rows, str_of(process->settings->relay_host));
	q->poll = timer_new(process->loop, poll_requests, q);
	q->resync = timer_new(process->loop, resync, q);
	keepers_start(q);
	intake_start(q);
	q->unanswered = unanswered_new();
	journal_replay(q->journal);
	q->started = true;
	schedule_start(q);
	timer_set(q->poll, 0);
	process_handle(process, &handlers);
}

static bool
on_message(struct process *process, enum role from, unsigned index, struct msg *m)
{
	struct queue *q = process->state;
	bool ok;

	if (login_on_message(process, from, m, &ok))
		return ok;
	if (from == ROLE_FRONT)
		return intake_on_message(q, index, m);
	if (from == ROLE_KEEPER || (from == ROLE_AUTH && m->type == MSG_ACCOUNT_ANSWER))
		return keepers_on_message(q, from, index, m);
	if (from == ROLE_COURIER)
		return schedule_on_message(q, index, m);
	if (from == ROLE_SYNCER)
		return syncs_on_message(q->syncs, index, m);
	return false;
}

static void
on_peer(struct process *process, enum role role, unsigned index, struct str label)
{
	struct queue *q = process->state;

	login_on_peer(process, role, index);
	keepers_on_peer(q, role, index, label);
	if (role == ROLE_COURIER)
		schedule_on_courier(q, index);
	if (role == ROLE_SYNCER)
		syncs_on_peer(q->syncs, index);
}

static void
on_peer_lost(struct process *process, enum role role, unsigned index)
{
	struct queue *q = process->state;

	login_on_peer_lost(process, role, index);
	keepers_on_peer_lost(q, role, index);
	if (role == ROLE_FRONT)
		intake_on_front_lost(q, index);
	if (role == ROLE_COURIER)
		schedule_on_courier_lost(q, index);
	if (role == ROLE_SYNCER)
		syncs_on_peer_lost(q->syncs, index);
}

static void
on_reload(struct process *process)
{
	struct queue *q = process->state;

	rows_set_relay(q->rows, str_of(process->settings->relay_host));
	schedule_soon(q);
}

/* ---- the end ---- */

static void
look_for_end(void *context)
{
	struct queue *q = context;

	if (schedule_is_idle(q))
		process_end(q->process);
	else
		timer_set(q->poll, STOP_LOOK_MS);
}

static void
stop_now(void *context)
{
	struct queue *q = context;

	process_end(q->process);
}

/* What the couriers have said to the end should be written down: else it is said twice. */
static void
on_stop(struct process *process)
{
	struct queue *q = process->state;

	q->stopping = true;
	timer_free(q->poll);
	timer_free(q->resync);
	q->poll = timer_new(process->loop, look_for_end, q);
	q->resync = timer_new(process->loop, stop_now, q);
	timer_set(q->poll, 0);
	timer_set(q->resync, STOP_MS);
}

/* ---- queue.db and the journal ---- */

void
queue_resync_later(struct queue *q)
{
	if (q->resync && !q->stopping)
		timer_set(q->resync, RESYNC_MS);
}

static void
resync(void *context)
{
	struct queue *q = context;

	journal_replay(q->journal);
	schedule_soon(q);
}

/* One that is to be asked for again, though its row says it is delivered. */
static bool
is_open(const struct journal_message *found, uint32_t n)
{
	for (size_t i = 0; i < found->delivered_count; i++) {
		if (found->delivered[i] == n)
			return true;
	}
	return !found->only;
}

static void
add_rows(struct queue *q, const struct journal_message *found)
{
	const struct record *record = found->record;
	struct row *rows = xcalloc(record->count, sizeof(*rows));

	for (uint32_t n = 0; n < record->count; n++)
		rows[n] = (struct row){ .n = n, .next_at = clock_now(),
			.state = is_open(found, n) ? ROW_WAITING : ROW_DONE };
	if (!rows_add(q->rows, record, rows))
		queue_resync_later(q);
	free(rows);
}

/*
 * A message that is not done: if nothing is under way and no row tells when, it is due now. Rows of one that was
 * done are what a removal left behind.
 */
static void
on_found(void *context, const struct journal_message *found)
{
	struct queue *q = context;
	const struct record *record = found->record;

	if (map_get(q->messages, record->trace))
		return;
	/* Kept shortly before our predecessor died: whoever sent it may not have heard. */
	if (!q->started && clock_now() - record->arrived < UNHEARD_SECONDS &&
	    record->credential != CREDENTIAL_INTERNAL)
		unanswered_add(q->unanswered, record->fingerprint, record->trace);
	if (!found->only && rows_have(q->rows, record->trace)) {
		rows_release(q->rows, record->trace);
		if (found->unsure)
			rows_reopen_local(q->rows, record->trace, clock_now());
		return;
	}
	log_info(NULL, "replayed", KV("trace", record->trace),
	    KV("recipients", found->only ? found->delivered_count : record->count));
	add_rows(q, found);
	schedule_soon(q);
}

static void
ask_sync(void *context, const struct sync_request *request, sync_done *done, void *done_context)
{
	struct queue *q = context;

	syncs_ask(q->syncs, request, done, done_context);
}

/* ---- what `trivet queue` asks for ---- */

static void
obey(struct queue *q, const struct request *request)
{
	struct message *m;

	log_info(NULL, "queue_request", KV("verb", request->verb), KV("trace", request->trace));
	if (str_eq(request->verb, STR("retry"))) {
		rows_hurry(q->rows, request->trace, clock_now());
		schedule_soon(q);
	} else if (str_eq(request->verb, STR("delete"))) {
		m = rows_have(q->rows, request->trace) || map_get(q->messages, request->trace) ?
		    message_load(q, request->trace) : NULL;
		if (m && m->committed)
			message_remove(m);
	}
}

static void
poll_requests(void *context)
{
	struct queue *q = context;
	struct request request;
	struct arena *arena;

	timer_set(q->poll, POLL_MS);
	if (!rows_changed_outside(q->rows))
		return;
	arena = arena_new();
	while (rows_next_request(q->rows, arena, &request))
		obey(q, &request);
	arena_free(arena);
}
