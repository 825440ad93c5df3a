/* SPDX-License-Identifier: ISC */
/*
 * Telling the sender: what failed, or what takes long. The text is made by bounce.c and handed in by
 * intake.c like any other message, with the null sender. Invariant: a failed recipient is DONE only when
 * its bounce is in the journal, or when there is nobody to tell.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/mime/header.h"
#include "smtpd/bounce.h"
#include "smtpd/queue.h"

enum {
	HEADER_MAX = 64 * 1024,		/* octets of the original's header that go along */
	TELL_AGAIN_SECONDS = 300,	/* where the bounce could not be handed in now */
};

struct report {
	struct message *message;
	enum bounce_kind kind;
	struct buf id;
	struct buf body;
	bool eight_bit;
};

static void start(struct message *, enum bounce_kind);
static void write_body(struct report *);
static void on_sender(void *context, enum recipient_result, const struct target *, size_t count);
static void on_answer(void *context, enum submit_result);
static void end(struct report *, bool told, const char *why);

/* RFC 5321 6.1: never a bounce to a bounce. */
static bool
is_told_to_nobody(const struct message *m)
{
	return m->record.sender.n == 0 || m->record.credential == CREDENTIAL_INTERNAL;
}

static void
set_done(struct message *m, uint32_t n)
{
	m->recipients[n].failed = false;
	m->recipients[n].row.state = ROW_DONE;
	if (m->has_rows && !rows_update(m->queue->rows, m->record.trace, &m->recipients[n].row))
		queue_resync_later(m->queue);
}

void
report_failures(struct message *m)
{
	if (!is_told_to_nobody(m)) {
		start(m, BOUNCE_FAILED);
		return;
	}
	for (uint32_t n = 0; n < m->record.count; n++) {
		if (!m->recipients[n].failed)
			continue;
		log_warn(&m->log, "bounce_dropped", KV("to", m->record.recipients[n].address),
		    KV("why", "there is no sender to tell"));
		set_done(m, n);
	}
	message_settle(m);
}

void
report_delay(struct message *m)
{
	start(m, BOUNCE_DELAYED);
}

static void
start(struct message *m, enum bounce_kind kind)
{
	struct report *r = xcalloc(1, sizeof(*r));

	r->message = m;
	r->kind = kind;
	m->report = r;
	id_put_new(&r->id);
	write_body(r);
	(void)recipient_ask(m->queue->process, m->record.sender, 0, on_sender, r);
}

/* ---- the text ---- */

/* The header block, at most HEADER_MAX of it, cut at a line's end. */
static void
read_header(const struct message *m, struct buf *out)
{
	size_t end_of_header, last_line;

	if (!body_read_start(&m->body, HEADER_MAX, out))
		return;
	end_of_header = str_find(buf_str(out), STR("\r\n\r\n"));
	if (end_of_header < out->n) {
		buf_cut(out, end_of_header + 2);
		return;
	}
	last_line = str_last_index(buf_str(out), '\n');
	if (last_line < out->n)
		buf_cut(out, last_line + 1);
}

static bool
is_told(const struct message *m, size_t n, enum bounce_kind kind)
{
	const struct message_recipient *r = &m->recipients[n];

	if (kind == BOUNCE_FAILED)
		return r->failed;
	return r->row.state == ROW_WAITING && r->row.attempts > 0;
}

static size_t
list_recipients(const struct message *m, enum bounce_kind kind, struct bounce_recipient *out)
{
	size_t count = 0;

	for (size_t n = 0; n < m->record.count; n++) {
		const struct row *row = &m->recipients[n].row;

		if (!is_told(m, n, kind))
			continue;
		out[count++] = (struct bounce_recipient){
			.given = m->record.recipients[n].given,
			.address = m->record.recipients[n].address,
			.status = row->status, .answer = row->answer, .host = row->host,
			.last_at = row->last_at,
		};
	}
	return count;
}

static void
write_body(struct report *r)
{
	const struct message *m = r->message;
	const struct settings *settings = m->queue->process->settings;
	struct bounce_recipient *recipients = xcalloc(m->record.count, sizeof(*recipients));
	scoped_buf header = BUF_INIT;
	struct bounce bounce = {
		.kind = r->kind, .hostname = str_of(settings->hostname), .id = buf_str(&r->id),
		.to = m->record.sender, .trace = m->record.trace, .arrived = m->record.arrived,
		.now = clock_now(), .until = m->record.arrived + settings->queue_lifetime,
		.recipients = recipients,
	};

	bounce.count = list_recipients(m, r->kind, recipients);
	read_header(m, &header);
	bounce.header = buf_str(&header);
	bounce_put(&r->body, &bounce);
	for (size_t i = 0; i < header.n; i++)
		r->eight_bit |= (unsigned char)header.p[i] > 127;
	free(recipients);
}

/* ---- handing it in ---- */

static void
log_headers(const struct report *r)
{
	scoped_buf id = BUF_INIT, subject = BUF_INIT;
	struct header_field field;

	if (header_find(buf_str(&r->body), STR("Message-ID"), &field))
		header_put_unfolded(&id, field.value);
	if (header_find(buf_str(&r->body), STR("Subject"), &field))
		header_put_unfolded(&subject, field.value);
	log_info(NULL, "message.headers", KV("trace", buf_str(&r->id)),
	    KV("message_id", buf_str(&id)), KV("subject", buf_str(&subject)),
	    KV("about", r->message->record.trace));
}

static void
submit_report(struct report *r, const struct target *targets, size_t count)
{
	const struct message *m = r->message;
	struct envelope_recipient to = {
		.given = m->record.sender, .targets = targets, .target_count = count,
	};
	struct envelope envelope = {
		.sender = STR_EMPTY, .recipients = &to, .count = 1,
		.eight_bit = r->eight_bit, .size = r->body.n,
	};
	struct credential credential = { .kind = CREDENTIAL_INTERNAL, .account = STR_EMPTY,
		.peer = STR_EMPTY };
	struct submit_options options = { .trace = buf_str(&r->id), .sid = STR_EMPTY,
		.hello = STR_EMPTY };

	log_headers(r);
	intake_submit(m->queue, &envelope, &credential, &options, buf_str(&r->body), on_answer, r);
}

static void
on_sender(void *context, enum recipient_result result, const struct target *targets,
    size_t count)
{
	struct report *r = context;
	struct target target = { .address = r->message->record.sender };

	switch (result) {
	case RECIPIENT_OK:
		submit_report(r, targets, count);
		return;
	case RECIPIENT_NOT_OURS:
		target.kind = TARGET_REMOTE;
		submit_report(r, &target, 1);
		return;
	case RECIPIENT_FULL:
		/* It waits for room in the queue; auth tells targets for full ones too, if there are more. */
		target.kind = TARGET_LOCAL;
		submit_report(r, count > 0 ? targets : &target, count > 0 ? count : 1);
		return;
	case RECIPIENT_NO_SUCH:
		end(r, true, "the sender does not exist");
		return;
	case RECIPIENT_UNAVAILABLE:
		end(r, false, NULL);
		return;
	}
}

static void
on_answer(void *context, enum submit_result result)
{
	struct report *r = context;

	if (result == SUBMIT_OK)
		end(r, true, NULL);
	else
		end(r, false, NULL);
}

static void
log_told(const struct report *r, uint32_t n, const char *why_not)
{
	const struct message *m = r->message;
	const char *event = r->kind == BOUNCE_DELAYED ? "delay_told" :
	    why_not ? "bounce_dropped" : "bounced";
	struct row row = m->recipients[n].row;

	if (why_not)
		log_warn(&m->log, event, KV("to", m->record.recipients[n].address),
		    KV("why", why_not));
	else
		log_info(&m->log, event, KV("to", m->record.recipients[n].address),
		    KV("sender", m->record.sender), KV("report", buf_str(&r->id)),
		    KV("status", row.status), KV("answer", row.answer));
}

/* told: in the journal, or nobody is there to be told. */
static void
end(struct report *r, bool told, const char *why_not)
{
	struct message *m = r->message;

	for (uint32_t n = 0; n < m->record.count; n++) {
		struct message_recipient *recipient = &m->recipients[n];

		if (!is_told(m, n, r->kind))
			continue;
		if (told)
			log_told(r, n, why_not);
		if (r->kind == BOUNCE_FAILED && told) {
			set_done(m, n);
		} else if (r->kind == BOUNCE_FAILED) {
			/* Tried again, to be told again: its row must not say more than the journal. */
			recipient->failed = false;
			recipient->row.state = ROW_WAITING;
			recipient->row.next_at = clock_now() + TELL_AGAIN_SECONDS;
			if (!rows_update(m->queue->rows, m->record.trace, &recipient->row))
				queue_resync_later(m->queue);
		}
	}
	if (!told)
		log_warn(&m->log, "report_failed", KV("sender", m->record.sender));
	m->report = NULL;
	buf_free(&r->id);
	buf_free(&r->body);
	free(r);
	message_settle(m);
}
