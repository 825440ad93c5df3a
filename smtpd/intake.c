/* SPDX-License-Identifier: ISC */
/*
 * Submissions coming in, in the order of DESIGN.md section 5:
 *
 *	RECEIVING	envelope and octets
 *	VERDICTS	each local recipient's keeper says whether it takes it (WAIT_MS at most)
 *	COMMITTING	the journal writes it down
 *	PUBLISHING	the keepers make it visible (WAIT_MS at most), then the answer
 *
 * Invariant: SUBMIT_OK is said after the journal's commit and never otherwise; before it, a front that
 * goes away takes its submission along, after it the message is ours.
 */
#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "smtpd/fingerprint.h"
#include "smtpd/queue.h"

enum {
	WAIT_MS = 10 * 1000,
	TRACE_ROOM = 64 * 1024,		/* our own header lines, on top of message_size_limit */
	TEXT_MAX = SUBMIT_SENDER_MAX,	/* octets of an address, or of a text for the log */
};

enum phase { RECEIVING, VERDICTS, COMMITTING, PUBLISHING };

struct intake {
	TAILQ_ENTRY(intake) all;
	struct queue *queue;
	struct { unsigned front; uint64_t number; } key;	/* of a front's */
	bool internal;
	submit_answered *answered;	/* of an internal one */
	void *context;
	enum phase phase;
	struct arena *arena;		/* the envelope, until there is a message */
	struct record record;
	struct buf recipients;		/* struct record_recipient, one after the other */
	struct map *seen;		/* targets by kind and address: each gets one copy */
	struct log log;
	struct message *message;	/* from the first octet on */
	struct fingerprint *hash;	/* from then on, to the end of the octets */
	char fingerprint[FINGERPRINT_SIZE];
	struct timer *timer;		/* the end of a wait; or the answer from the loop */
	enum submit_result result;
	bool answer_due;
	bool told;			/* the front has been given the answer */
};

struct intakes {
	TAILQ_HEAD(, intake) all;
	struct map *by_key;
};

static bool add_target(struct intake *, struct str given, uint8_t kind, struct str address);
static bool open_message(struct intake *);
static void receive_end(struct intake *);
static void decide(struct intake *);
static void on_committed(void *context, bool ok);
static void on_timer(void *context);
static void answer_later(struct intake *, enum submit_result);
static void answer(struct intake *, enum submit_result);
static void intake_free(struct intake *);

void
intake_start(struct queue *q)
{
	q->intakes = xcalloc(1, sizeof(*q->intakes));
	TAILQ_INIT(&q->intakes->all);
	q->intakes->by_key = map_new();
}

static struct intake *
intake_new(struct queue *q)
{
	struct intake *in = xcalloc(1, sizeof(*in));

	in->queue = q;
	in->arena = arena_new();
	in->seen = map_new();
	in->timer = timer_new(q->process->loop, on_timer, in);
	in->record.arrived = clock_now();
	TAILQ_INSERT_TAIL(&q->intakes->all, in, all);
	return in;
}

static void
set_envelope(struct intake *in, const struct record *from)
{
	in->record.trace = arena_str(in->arena, from->trace);
	in->record.sender = arena_str(in->arena, from->sender);
	in->record.credential = from->credential;
	in->record.account = arena_str(in->arena, from->account);
	in->record.peer = arena_str(in->arena, from->peer);
	in->record.eight_bit = from->eight_bit;
	log_add_field(&in->log, KV("trace", in->record.trace));
}

/* ---- a front's messages ---- */

static struct str
key_str(const struct intake *in)
{
	return (struct str){ (const char *)&in->key, sizeof(in->key) };
}

static struct intake *
find(struct queue *q, unsigned front, uint64_t number)
{
	struct intake wanted;

	memset(&wanted.key, 0, sizeof(wanted.key));
	wanted.key.front = front;
	wanted.key.number = number;
	return map_get(q->intakes->by_key, key_str(&wanted));
}

static bool
receive_begin(struct queue *q, unsigned front, struct msg *m)
{
	uint64_t number = msg_get_u64(m);
	struct record record = { .trace = msg_get_str(m) };
	struct str sid = msg_get_str(m), hello = msg_get_str(m);
	uint8_t credential = msg_get_u8(m);
	struct intake *in;

	record.account = msg_get_str(m);
	record.peer = msg_get_str(m);
	record.sender = msg_get_str(m);
	record.eight_bit = msg_get_bool(m);
	(void)msg_get_u64(m);
	if (!msg_end(m) || !id_valid(record.trace) || credential > CREDENTIAL_NETWORK ||
	    record.sender.n > TEXT_MAX || record.account.n > TEXT_MAX ||
	    record.peer.n > TEXT_MAX || find(q, front, number))
		return false;
	record.credential = (enum credential_kind)credential;
	in = intake_new(q);
	in->key.front = front;
	in->key.number = number;
	set_envelope(in, &record);
	log_add_field(&in->log, KV("sid", sid));
	log_add_field(&in->log, KV("hello", str_sub(hello, 0, TEXT_MAX)));
	(void)map_set(q->intakes->by_key, key_str(in), in);
	return true;
}

static bool
receive_recipients(struct intake *in, struct msg *m)
{
	uint32_t count = msg_get_u32(m);

	if (in->phase != RECEIVING || in->message)
		return false;
	while (count > 0 && !m->bad) {
		struct str given = msg_get_str(m);
		uint8_t kind = msg_get_u8(m);
		struct str address = msg_get_str(m);

		if (m->bad || !add_target(in, given, kind, address))
			return false;
		count--;
	}
	return msg_end(m);
}

static bool
add_target(struct intake *in, struct str given, uint8_t kind, struct str address)
{
	struct record_recipient recipient = { .kind = (enum target_kind)kind };
	scoped_buf key = BUF_INIT;

	if (kind > TARGET_REMOTE || given.n > TEXT_MAX || address.n > TEXT_MAX)
		return false;
	if (in->record.count == SUBMIT_TARGETS_MAX)
		return false;
	buf_put_c(&key, kind == TARGET_LOCAL ? 'l' : 'r');
	buf_put(&key, address);
	if (map_set(in->seen, buf_str(&key), in))
		return true;
	recipient.given = arena_str(in->arena, given);
	recipient.address = arena_str(in->arena, address);
	buf_put(&in->recipients, (struct str){ (const char *)&recipient, sizeof(recipient) });
	in->record.count++;
	return true;
}

/* The envelope is complete. False: the answer is due already. */
static bool
open_message(struct intake *in)
{
	struct queue *q = in->queue;

	if (in->message || in->answer_due)
		return !in->answer_due;
	in->record.recipients = (const struct record_recipient *)(const void *)in->recipients.p;
	if (in->record.count == 0 || q->stopping ||
	    map_get(q->messages, in->record.trace) || journal_knows(q->journal, in->record.trace)) {
		answer_later(in, SUBMIT_TRY_LATER);
		return false;
	}
	in->message = message_new(q, &in->record);
	in->message->intake = in;
	in->message->entry = journal_begin(q->journal, &in->record);
	if (!in->internal)
		in->hash = fingerprint_new(&in->record);
	return true;
}

/* RFC 5321 4.2.3: 452 says of what there is too little. */
static enum submit_result
not_kept(const struct intake *in)
{
	return journal_is_full(in->queue->journal) ? SUBMIT_NO_ROOM : SUBMIT_TRY_LATER;
}

static void
receive_bytes(struct intake *in, struct str bytes)
{
	uint64_t limit = in->queue->process->settings->message_size_limit;

	if (!open_message(in))
		return;
	if (limit > 0 && !in->internal &&
	    journal_entry_size(in->message->entry) + bytes.n > limit + TRACE_ROOM)
		answer_later(in, SUBMIT_TOO_LARGE);
	else if (!journal_append(in->message->entry, bytes))
		answer_later(in, not_kept(in));
	else if (in->hash)
		fingerprint_add(in->hash, bytes);
}

static bool
receive_several(struct queue *q, unsigned front, struct msg *m)
{
	struct msg one;

	while (m->rest.n > 0) {
		struct str message = msg_get_str(m);

		if (m->bad || !msg_parse(message, &one) || one.type == MSG_SUBMIT_SEVERAL ||
		    !intake_on_message(q, front, &one))
			return false;
	}
	return true;
}

bool
intake_on_message(struct queue *q, unsigned front, struct msg *m)
{
	struct intake *in;
	struct str bytes;

	if (m->type == MSG_SUBMIT_SEVERAL)
		return receive_several(q, front, m);
	if (m->type == MSG_SUBMIT_BEGIN)
		return receive_begin(q, front, m);
	in = find(q, front, msg_get_u64(m));
	if (m->bad)
		return false;
	if (!in)
		return true;	/* answered before its end: the rest was on its way */
	switch (m->type) {
	case MSG_SUBMIT_RECIPIENTS:
		return in->answer_due || receive_recipients(in, m);
	case MSG_SUBMIT_BYTES:
		bytes = msg_get_str(m);
		if (!msg_end(m) || in->phase != RECEIVING)
			return false;
		receive_bytes(in, bytes);
		return true;
	case MSG_SUBMIT_END:
		if (!msg_end(m) || in->phase != RECEIVING)
			return false;
		receive_end(in);
		return true;
	case MSG_SUBMIT_ABANDON:
		if (!msg_end(m))
			return false;
		intake_free(in);
		return true;
	default:
		return false;
	}
}

void
intake_on_front_lost(struct queue *q, unsigned front)
{
	struct intake *in, *next;

	unanswered_front_lost(q->unanswered, front);
	for (in = TAILQ_FIRST(&q->intakes->all); in; in = next) {
		next = TAILQ_NEXT(in, all);
		if (!in->internal && in->key.front == front)
			intake_free(in);
	}
}

/* ---- our own submissions ---- */

void
intake_submit(struct queue *q, const struct envelope *envelope,
    const struct credential *credential, const struct submit_options *options,
    struct str body, submit_answered *answered, void *context)
{
	struct intake *in = intake_new(q);
	struct record record = {
		.trace = options->trace, .sender = envelope->sender,
		.credential = credential->kind, .account = credential->account,
		.peer = credential->peer, .eight_bit = envelope->eight_bit,
	};
	bool ok = true;

	in->internal = true;
	in->answered = answered;
	in->context = context;
	set_envelope(in, &record);
	for (size_t i = 0; i < envelope->count; i++) {
		const struct envelope_recipient *to = &envelope->recipients[i];

		for (size_t t = 0; t < to->target_count; t++)
			ok = ok && add_target(in, to->given, (uint8_t)to->targets[t].kind,
			    to->targets[t].address);
	}
	if (!ok)
		answer_later(in, SUBMIT_REFUSED);
	receive_bytes(in, body);
	receive_end(in);
}

/* ---- the end of the data ---- */

/* True: the same message was kept already, and this is its sender who did not hear so. */
static bool
is_known(struct intake *in)
{
	scoped_buf trace = BUF_INIT;

	if (!in->hash)
		return false;
	fingerprint_end(in->hash, in->fingerprint);
	in->hash = NULL;
	journal_set_fingerprint(in->message->entry, in->fingerprint);
	if (!unanswered_take(in->queue->unanswered, in->fingerprint, &trace))
		return false;
	log_info(&in->log, "known", KV("kept_as", buf_str(&trace)));
	return true;
}

static void
receive_end(struct intake *in)
{
	struct message *m;

	if (!open_message(in))
		return;
	if (is_known(in)) {
		answer(in, SUBMIT_OK);
		return;
	}
	m = in->message;
	if (!journal_finish(m->entry, &m->body)) {
		answer_later(in, not_kept(in));
		return;
	}
	m->record.size = m->body.size;
	in->phase = VERDICTS;
	timer_set(in->timer, WAIT_MS);
	for (uint32_t n = 0; n < m->record.count; n++) {
		m->recipients[n].row.last_at = m->record.arrived;
		if (m->record.recipients[n].kind == TARGET_LOCAL)
			keepers_deliver(m, n, false);
	}
	intake_on_verdict(in);
}

void
intake_on_verdict(struct intake *in)
{
	/* Before the commit only deliveries are under way. */
	if (in->phase == VERDICTS && in->message->under_way == in->message->prepared)
		decide(in);
}

/*
 * Nobody takes it: VERDICT_NO_ROOM, VERDICT_REFUSED or VERDICT_FULL, whichever the client is to be told. What passes
 * comes first: who tries again is told the rest then.
 */
static bool
all_refused(const struct message *m, enum verdict *why)
{
	*why = VERDICT_FULL;
	for (size_t i = 0; i < m->record.count; i++) {
		const struct message_recipient *r = &m->recipients[i];

		if (m->record.recipients[i].kind == TARGET_REMOTE || r->delivery ||
		    r->verdict == VERDICT_TRY_LATER)
			return false;
		if (r->verdict == VERDICT_NO_ROOM ||
		    (r->verdict == VERDICT_REFUSED && *why == VERDICT_FULL))
			*why = r->verdict;
	}
	return true;
}

static void
decide(struct intake *in)
{
	enum verdict why;

	if (!in->internal && all_refused(in->message, &why)) {
		log_info(&in->log, "refused", KV("from", in->record.sender),
		    KV("why", why == VERDICT_FULL ? "full" :
			why == VERDICT_NO_ROOM ? "no_room" : "refused"));
		answer(in, why == VERDICT_FULL ? SUBMIT_FULL :
		    why == VERDICT_NO_ROOM ? SUBMIT_NO_ROOM : SUBMIT_REFUSED);
		return;
	}
	in->phase = COMMITTING;
	timer_stop(in->timer);
	journal_commit(in->message->entry, on_committed, in);
}

static void
log_submitted(const struct intake *in)
{
	static const char *const words[] = {
		[CREDENTIAL_NONE] = "none", [CREDENTIAL_ACCOUNT] = "account",
		[CREDENTIAL_NETWORK] = "network", [CREDENTIAL_INTERNAL] = "internal",
	};

	log_info(&in->log, "submitted", KV("from", in->record.sender),
	    KV("credential", words[in->record.credential]), KV("account", in->record.account),
	    KV("peer", in->record.peer), KV("size", in->message->record.size),
	    KV("recipients", in->record.count));
}

/* What the keepers had against it becomes each recipient's outcome. */
static void
apply_verdicts(struct message *m, bool internal)
{
	for (uint32_t n = 0; n < m->record.count; n++) {
		struct message_recipient *r = &m->recipients[n];
		enum verdict verdict = r->verdict;
		struct answer refused;

		if (m->record.recipients[n].kind == TARGET_REMOTE || r->delivery)
			continue;
		/* A bounce waits for room as long as it may: there is nobody to tell. */
		if (internal && verdict == VERDICT_FULL)
			verdict = VERDICT_TRY_LATER;
		refused = message_verdict_answer(verdict);
		message_outcome(m, n, &refused);
	}
}

static void
on_committed(void *context, bool ok)
{
	struct intake *in = context;
	struct message *m = in->message;

	m->entry = NULL;
	if (!ok) {
		answer(in, not_kept(in));
		return;
	}
	m->committed = true;
	in->phase = PUBLISHING;
	log_submitted(in);
	for (uint32_t n = 0; n < m->record.count; n++) {
		struct message_recipient *r = &m->recipients[n];

		r->row.state = r->delivery ? ROW_UNDER_WAY : ROW_WAITING;
		r->row.next_at = m->record.arrived;
		if (m->record.recipients[n].kind == TARGET_REMOTE)
			r->row.last_at = 0;
	}
	apply_verdicts(m, in->internal);
	for (uint32_t n = 0; n < m->record.count && !m->has_rows; n++) {
		if (m->record.recipients[n].kind == TARGET_REMOTE)
			message_need_rows(m);
	}
	keepers_publish(m);
	if (m->has_rows)
		schedule_soon(in->queue);
	timer_set(in->timer, WAIT_MS);
	intake_on_published(in);
}

/* Who was too late with a verdict is not waited for again. */
void
intake_on_published(struct intake *in)
{
	if (in->phase == PUBLISHING && in->message->publishing == 0)
		answer(in, SUBMIT_OK);
}

static void
on_timer(void *context)
{
	struct intake *in = context;

	if (in->answer_due)
		answer(in, in->result);
	else if (in->phase == VERDICTS)
		decide(in);
	else if (in->phase == PUBLISHING)
		answer(in, SUBMIT_OK);
}

/* ---- the answer ---- */

static void
answer_later(struct intake *in, enum submit_result result)
{
	if (in->answer_due)
		return;
	in->answer_due = true;
	in->result = result;
	timer_set(in->timer, 0);
}

static void
answer(struct intake *in, enum submit_result result)
{
	submit_answered *answered = in->answered;
	void *context = in->context;

	if (!in->internal) {
		scoped_buf message = BUF_INIT;

		msg_begin(&message, MSG_SUBMIT_ANSWER);
		msg_put_u64(&message, in->key.number);
		msg_put_u8(&message, (uint8_t)result);
		if (process_send(in->queue->process, ROLE_FRONT, in->key.front, &message, -1)) {
			in->told = true;
			if (result == SUBMIT_OK)
				unanswered_told(in->queue->unanswered, in->key.front,
				    in->fingerprint, in->record.trace);
		}
	}
	intake_free(in);
	if (answered)
		answered(context, result);
}

/* A committed message lives on without it; any other goes with it. */
static void
intake_free(struct intake *in)
{
	struct message *m = in->message;

	if (m && m->committed && !in->internal && !in->told)
		unanswered_add(in->queue->unanswered, in->fingerprint, in->record.trace);
	fingerprint_free(in->hash);
	TAILQ_REMOVE(&in->queue->intakes->all, in, all);
	if (!in->internal)
		(void)map_remove(in->queue->intakes->by_key, key_str(in));
	timer_free(in->timer);
	log_free(&in->log);
	map_free(in->seen);
	buf_free(&in->recipients);
	arena_free(in->arena);
	free(in);
	if (!m)
		return;
	m->intake = NULL;
	if (m->committed)
		message_settle(m);
	else
		message_free(m);
}
