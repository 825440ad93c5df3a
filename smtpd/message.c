/* SPDX-License-Identifier: ISC */
/*
 * A message in memory while something of it is under way, and what came of each recipient. Its states:
 *
 *	entry		coming in, nothing promised
 *	committed	the journal has it; from here every recipient ends as delivered or told of
 *	at rest		nothing under way: no struct message, rows WAITING in queue.db
 *	done		every recipient DONE: the journal is told, rows are removed
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "smtpd/queue.h"
#include "smtpd/retry.h"

enum { INTERRUPTED_SECONDS = 1 };

static void keep_row(struct message *, uint32_t n);

static struct message *
new_empty(struct queue *q)
{
	struct message *m = xcalloc(1, sizeof(*m));

	m->queue = q;
	m->arena = arena_new();
	m->body = BODY_INIT;
	return m;
}

/* The record is in the arena by now. */
static void
enlist(struct message *m)
{
	m->recipients = arena_array(m->arena, struct message_recipient, m->record.count);
	for (size_t i = 0; i < m->record.count; i++)
		m->recipients[i].row.n = (uint32_t)i;
	log_add_field(&m->log, KV("trace", m->record.trace));
	(void)map_set(m->queue->messages, m->record.trace, m);
}

struct message *
message_new(struct queue *q, const struct record *record)
{
	struct message *m = new_empty(q);
	struct record_recipient *recipients =
	    arena_array(m->arena, struct record_recipient, record->count);

	m->record = *record;
	m->record.trace = arena_str(m->arena, record->trace);
	m->record.sender = arena_str(m->arena, record->sender);
	m->record.account = arena_str(m->arena, record->account);
	m->record.peer = arena_str(m->arena, record->peer);
	for (size_t i = 0; i < record->count; i++) {
		recipients[i].kind = record->recipients[i].kind;
		recipients[i].given = arena_str(m->arena, record->recipients[i].given);
		recipients[i].address = arena_str(m->arena, record->recipients[i].address);
	}
	m->record.recipients = recipients;
	enlist(m);
	return m;
}

static void
release(struct message *m)
{
	body_free(&m->body);
	log_free(&m->log);
	arena_free(m->arena);
	free(m);
}

void
message_free(struct message *m)
{
	keepers_abandon(m);
	journal_abandon(m->entry);
	(void)map_remove(m->queue->messages, m->record.trace);
	release(m);
}

struct message *
message_load(struct queue *q, struct str trace)
{
	struct message *m = map_get(q->messages, trace);
	struct row *rows;

	if (m)
		return m;
	m = new_empty(q);
	if (!journal_read(q->journal, trace, m->arena, &m->record, &m->body, &m->renew)) {
		log_error(NULL, "message_missing", KV("trace", trace));
		rows_remove(q->rows, trace);
		release(m);
		return NULL;
	}
	enlist(m);
	m->committed = m->has_rows = true;
	rows = arena_array(m->arena, struct row, m->record.count);
	if (!rows_load(q->rows, trace, m->arena, rows, m->record.count, &m->wants_notice)) {
		message_free(m);
		queue_resync_later(q);
		return NULL;
	}
	m->wants_notice = false;
	for (size_t i = 0; i < m->record.count; i++) {
		m->recipients[i].row = rows[i];
		m->recipients[i].row.n = (uint32_t)i;
		/* Made earlier, and maybe not synced since. */
		m->recipients[i].delivered = rows[i].state == ROW_DONE &&
		    m->record.recipients[i].kind == TARGET_LOCAL &&
		    str_starts(rows[i].status, STR("2."));
	}
	return m;
}

/* ---- rows ---- */

void
message_need_rows(struct message *m)
{
	struct row *rows;

	if (m->has_rows)
		return;
	rows = xcalloc(m->record.count, sizeof(*rows));
	for (size_t i = 0; i < m->record.count; i++)
		rows[i] = m->recipients[i].row;
	m->has_rows = rows_add(m->queue->rows, &m->record, rows);
	free(rows);
	if (!m->has_rows)
		queue_resync_later(m->queue);
}

static void
keep_row(struct message *m, uint32_t n)
{
	if (m->has_rows && !rows_update(m->queue->rows, m->record.trace, &m->recipients[n].row))
		queue_resync_later(m->queue);
}

/* ---- outcomes ---- */

struct answer
message_verdict_answer(enum verdict verdict)
{
	struct answer answer = { .outcome = OUTCOME_DEFERRED, .host = STR_EMPTY };

	switch (verdict) {
	case VERDICT_FULL:
		answer.outcome = OUTCOME_FAILED;
		answer.status = STR("5.2.2");
		answer.text = STR("the mailbox is full");
		break;
	case VERDICT_REFUSED:
		answer.outcome = OUTCOME_FAILED;
		answer.status = STR("5.1.1");
		answer.text = STR("there is no such mailbox, or it does not take this message");
		break;
	case VERDICT_NO_ROOM:
		answer.status = STR("4.3.1");
		answer.text = STR("the mailbox's disk is full");
		break;
	case VERDICT_OK:
	case VERDICT_TRY_LATER:
		answer.status = STR("4.2.0");
		answer.text = STR("the mailbox could not be reached");
		break;
	}
	return answer;
}

static void
on_deferred(struct message *m, uint32_t n)
{
	struct row *row = &m->recipients[n].row;
	const struct settings *settings = m->queue->process->settings;
	int64_t now = clock_now();

	row->next_at = (m->record.recipients[n].kind == TARGET_LOCAL ? retry_next_local : retry_next)
	    (settings, m->record.arrived, row->last_at, now, row->attempts);
	row->state = ROW_WAITING;
	if (row->next_at > 0) {
		log_info(&m->log, "deferred", KV("to", m->record.recipients[n].address),
		    KV("given", m->record.recipients[n].given),
		    KV("attempts", row->attempts), KV("next_in", row->next_at - now),
		    KV("status", row->status), KV("answer", row->answer),
		    KV("host", row->host));
		return;
	}
	log_info(&m->log, "expired", KV("to", m->record.recipients[n].address),
	    KV("given", m->record.recipients[n].given),
	    KV("attempts", row->attempts), KV("status", row->status),
	    KV("answer", row->answer), KV("host", row->host));
	row->next_at = now;
	m->recipients[n].failed = true;
}

static void
on_sent(struct message *m, uint32_t n, const struct answer *answer)
{
	const struct record_recipient *recipient = &m->record.recipients[n];

	if (recipient->kind == TARGET_LOCAL)
		log_info(&m->log, "delivered", KV("to", recipient->address),
		    KV("given", recipient->given));
	else
		log_info(&m->log, "relayed", KV("to", recipient->address),
		    KV("given", recipient->given),
		    KV("host", answer->host), KV("tls", answer->secure),
		    KV("answer", answer->text));
	m->recipients[n].row.state = ROW_DONE;
}

void
message_outcome(struct message *m, uint32_t n, const struct answer *answer)
{
	struct message_recipient *r = &m->recipients[n];

	r->row.attempts++;
	r->row.status = arena_str(m->arena, answer->status);
	r->row.answer = arena_str(m->arena, answer->text);
	r->row.host = arena_str(m->arena, answer->host);
	switch (answer->outcome) {
	case OUTCOME_SENT:
		on_sent(m, n, answer);
		break;
	case OUTCOME_DEFERRED:
		on_deferred(m, n);
		break;
	case OUTCOME_FAILED:
		log_info(&m->log, "rejected", KV("to", m->record.recipients[n].address),
		    KV("given", m->record.recipients[n].given),
		    KV("status", r->row.status), KV("answer", r->row.answer),
		    KV("host", r->row.host));
		/* Told when the rest has settled; until then no other attempt takes it. */
		r->row.state = ROW_UNDER_WAY;
		r->failed = true;
		break;
	}
	if (r->row.state != ROW_DONE)
		message_need_rows(m);
	keep_row(m, n);
	schedule_give_back(m->queue, r->slot);
	r->slot = NULL;
}

void
message_interrupted(struct message *m, uint32_t n)
{
	struct message_recipient *r = &m->recipients[n];
	static const struct answer again = {
		.outcome = OUTCOME_DEFERRED, .status = { "4.3.0", 5 },
		.text = { "the attempt was cut short", 25 }, .host = { "", 0 },
	};

	message_outcome(m, n, &again);
	/* Not the other side's doing; but a message that ends the courier each time must not do so for ever. */
	if (r->row.attempts == 1 && !r->failed) {
		r->row.next_at = clock_now() + INTERRUPTED_SECONDS;
		keep_row(m, n);
	}
}

/* ---- coming to rest ---- */

static bool
any_failed(const struct message *m)
{
	for (size_t i = 0; i < m->record.count; i++) {
		if (m->recipients[i].failed)
			return true;
	}
	return false;
}

static bool
all_done(const struct message *m)
{
	for (size_t i = 0; i < m->record.count; i++) {
		if (m->recipients[i].row.state != ROW_DONE)
			return false;
	}
	return true;
}

static void
drop_removed(struct message *m)
{
	for (size_t i = 0; i < m->record.count; i++) {
		m->recipients[i].row.state = ROW_DONE;
		m->recipients[i].failed = false;
	}
	log_info(&m->log, "removed");
}

static void
tell_journal(const struct message *m)
{
	uint32_t *delivered = arena_array(m->arena, uint32_t, m->record.count);
	size_t count = 0;

	for (uint32_t n = 0; n < m->record.count; n++) {
		if (m->recipients[n].delivered)
			delivered[count++] = n;
	}
	journal_done(m->queue->journal, m->record.trace, delivered, count, m->has_rows);
}

void
message_settle(struct message *m)
{
	struct queue *q = m->queue;
	bool has_rows;

	if (!m->committed || m->under_way > 0 || m->report || m->intake)
		return;
	if (m->removed)
		drop_removed(m);
	if (any_failed(m)) {
		report_failures(m);	/* settles again */
		return;
	}
	if (all_done(m)) {
		/* The journal first: rows without it are removed when met, it without rows would be sent again. */
		tell_journal(m);
		if (m->has_rows)
			rows_remove(q->rows, m->record.trace);
	} else if (m->wants_notice) {
		m->wants_notice = false;
		report_delay(m);
		return;
	}
	has_rows = m->has_rows;
	message_free(m);
	if (has_rows)
		schedule_soon(q);
}

void
message_remove(struct message *m)
{
	m->removed = true;
	message_settle(m);
}
