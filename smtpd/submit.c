/* SPDX-License-Identifier: ISC */
/*
 * The front's side of a submission: envelope, body and end go to the queue as messages, the answer
 * comes back by number. Messages wait for each other, so that a short mail is one packet. Invariant: a submission whose queue died sends nothing more, and its end is
 * answered SUBMIT_TRY_LATER: what that queue did not keep was never promised.
 */
#include "smtpd/submit.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/map.h"
#include "smtpd/messages.h"

enum {
	RECIPIENTS_CHUNK = 24 * 1024,	/* octets of recipients in one message */
	PACKET_MAX = 64 * 1024,		/* octets of messages that go together */
};

struct submission {
	TAILQ_ENTRY(submission) all;
	struct process *process;
	uint64_t number;
	unsigned queue;			/* index of the queue it goes to */
	submit_drained *drained;
	submit_answered *answered;	/* NULL before submit_end */
	void *drained_context;
	void *answered_context;
	struct timer *soon;		/* calls `answered` where the answer is there already */
	bool decided;			/* by the queue, or by its death: result holds */
	bool was_full;
	enum submit_result result;
	struct buf packet;		/* a MSG_SUBMIT_SEVERAL that grows */
};

static TAILQ_HEAD(, submission) submissions = TAILQ_HEAD_INITIALIZER(submissions);
static struct map *by_number;	/* key: the number's eight octets */
static uint64_t last_number;
static unsigned queue_index;	/* of the queue there is now; none: sending fails */

static void send_begin(struct submission *, const struct envelope *,
    const struct credential *, const struct submit_options *);
static void send_recipients(struct submission *, const struct envelope *);
static void send_message(struct submission *, struct buf *);
static void decide(struct submission *, enum submit_result);
static void answer(void *context);
static void submission_free(struct submission *);

static struct str
key_of(const uint64_t *number)
{
	return (struct str){ (const char *)number, sizeof(*number) };
}

struct submission *
submit_begin(struct process *process, const struct envelope *envelope,
    const struct credential *credential, const struct submit_options *options,
    submit_drained *drained, void *context)
{
	struct submission *sub = xcalloc(1, sizeof(*sub));

	sub->process = process;
	sub->number = ++last_number;
	sub->queue = queue_index;
	sub->drained = drained;
	sub->drained_context = context;
	TAILQ_INSERT_TAIL(&submissions, sub, all);
	if (!by_number)
		by_number = map_new();
	(void)map_set(by_number, key_of(&sub->number), sub);
	send_begin(sub, envelope, credential, options);
	send_recipients(sub, envelope);
	return sub;
}

static void
send_begin(struct submission *sub, const struct envelope *envelope,
    const struct credential *credential, const struct submit_options *options)
{
	scoped_buf message = BUF_INIT;

	msg_begin(&message, MSG_SUBMIT_BEGIN);
	msg_put_u64(&message, sub->number);
	msg_put_str(&message, options->trace);
	msg_put_str(&message, options->sid);
	msg_put_str(&message, options->hello);
	msg_put_u8(&message, (uint8_t)credential->kind);
	msg_put_str(&message, credential->account);
	msg_put_str(&message, credential->peer);
	msg_put_str(&message, envelope->sender);
	msg_put_bool(&message, envelope->eight_bit);
	msg_put_u64(&message, envelope->size);
	send_message(sub, &message);
}

/* As many of the envelope's targets as one message holds, from recipient *i, target *t on. */
static uint32_t
put_targets(struct buf *out, const struct envelope *envelope, size_t *i, size_t *t)
{
	uint32_t count = 0;

	while (*i < envelope->count && out->n < RECIPIENTS_CHUNK) {
		const struct envelope_recipient *recipient = &envelope->recipients[*i];

		if (*t == recipient->target_count) {
			*t = 0;
			++*i;
			continue;
		}
		msg_put_str(out, recipient->given);
		msg_put_u8(out, (uint8_t)recipient->targets[*t].kind);
		msg_put_str(out, recipient->targets[*t].address);
		++*t;
		count++;
	}
	return count;
}

static void
send_recipients(struct submission *sub, const struct envelope *envelope)
{
	size_t i = 0, t = 0;

	while (i < envelope->count) {
		scoped_buf targets = BUF_INIT;
		scoped_buf message = BUF_INIT;
		uint32_t count = put_targets(&targets, envelope, &i, &t);

		msg_begin(&message, MSG_SUBMIT_RECIPIENTS);
		msg_put_u64(&message, sub->number);
		msg_put_u32(&message, count);
		buf_put(&message, buf_str(&targets));
		send_message(sub, &message);
	}
}

static void
send_packet(struct submission *sub)
{
	if (sub->packet.n > 0 && !sub->decided &&
	    !process_send(sub->process, ROLE_QUEUE, sub->queue, &sub->packet, -1))
		decide(sub, SUBMIT_TRY_LATER);
	buf_clear(&sub->packet);
}

/* Room in the packet for a message of n octets. */
static void
make_room(struct submission *sub, size_t n)
{
	if (sub->packet.n + n > PACKET_MAX)
		send_packet(sub);
	if (sub->packet.n > 0)
		return;
	msg_begin(&sub->packet, MSG_SUBMIT_SEVERAL);
	if (n > PACKET_MAX / 4)
		(void)buf_room(&sub->packet, PACKET_MAX - sub->packet.n);
}

static void
send_message(struct submission *sub, struct buf *message)
{
	make_room(sub, message->n);
	msg_put_str(&sub->packet, buf_str(message));
}

/* As send_message would, but put together where it goes: these are nearly all octets there are. */
static void
send_bytes(struct submission *sub, struct str bytes)
{
	scoped_buf head = BUF_INIT;

	msg_begin(&head, MSG_SUBMIT_BYTES);
	msg_put_u64(&head, sub->number);
	msg_put_u32(&head, (uint32_t)bytes.n);
	make_room(sub, head.n + bytes.n);
	msg_put_u32(&sub->packet, (uint32_t)(head.n + bytes.n));
	buf_put(&sub->packet, buf_str(&head));
	buf_put(&sub->packet, bytes);
}

void
submit_write(struct submission *sub, struct str bytes)
{
	while (bytes.n > 0 && !sub->decided) {
		struct str chunk = str_sub(bytes, 0, SUBMIT_CHUNK);

		send_bytes(sub, chunk);
		bytes = str_from(bytes, chunk.n);
	}
	(void)submit_is_full(sub);
}

/* The channel may be full of others' octets: who is told so will wait, and has to be told again. */
bool
submit_is_full(struct submission *sub)
{
	sub->was_full = !sub->decided && process_is_full(sub->process, ROLE_QUEUE, sub->queue);
	return sub->was_full;
}

void
submit_end(struct submission *sub, submit_answered *answered, void *context)
{
	scoped_buf message = BUF_INIT;

	msg_begin(&message, MSG_SUBMIT_END);
	msg_put_u64(&message, sub->number);
	send_message(sub, &message);
	send_packet(sub);
	sub->answered = answered;
	sub->answered_context = context;
	if (sub->decided)
		decide(sub, sub->result);
}

/* The result holds; told from the loop as soon as someone waits for it. */
static void
decide(struct submission *sub, enum submit_result result)
{
	sub->decided = true;
	sub->result = result;
	if (!sub->soon)
		sub->soon = timer_new(sub->process->loop, answer, sub);
	timer_set(sub->soon, 0);
}

static void
answer(void *context)
{
	struct submission *sub = context;
	submit_answered *answered = sub->answered;
	void *answered_context = sub->answered_context;
	enum submit_result result = sub->result;

	if (!answered) {
		/* Who waits for room goes on, writes into nothing, and ends. */
		if (sub->was_full && sub->drained)
			sub->drained(sub->drained_context, sub);
		return;
	}
	submission_free(sub);
	answered(answered_context, result);
}

void
submit_abandon(struct submission *sub)
{
	scoped_buf message = BUF_INIT;

	if (!sub)
		return;
	if (!sub->decided) {
		msg_begin(&message, MSG_SUBMIT_ABANDON);
		msg_put_u64(&message, sub->number);
		send_message(sub, &message);
		send_packet(sub);
	}
	submission_free(sub);
}

static void
submission_free(struct submission *sub)
{
	TAILQ_REMOVE(&submissions, sub, all);
	(void)map_remove(by_number, key_of(&sub->number));
	timer_free(sub->soon);
	buf_free(&sub->packet);
	free(sub);
}

void
submit_on_peer(struct process *process, enum role role, unsigned index)
{
	(void)process;
	if (role == ROLE_QUEUE)
		queue_index = index;
}

bool
submit_on_message(struct process *process, enum role from, struct msg *m, bool *ok)
{
	struct submission *sub;
	uint64_t number;
	uint8_t result;

	(void)process;
	if (from != ROLE_QUEUE || m->type != MSG_SUBMIT_ANSWER)
		return false;
	number = msg_get_u64(m);
	result = msg_get_u8(m);
	*ok = msg_end(m) && result <= SUBMIT_TOO_LARGE;
	if (!*ok)
		return true;
	sub = by_number ? map_get(by_number, key_of(&number)) : NULL;
	if (sub && !sub->decided)	/* none: abandoned meanwhile */
		decide(sub, (enum submit_result)result);
	return true;
}

void
submit_on_drained(struct process *process, enum role role)
{
	struct submission *sub, *next;

	(void)process;
	if (role != ROLE_QUEUE)
		return;
	for (sub = TAILQ_FIRST(&submissions); sub; sub = next) {
		next = TAILQ_NEXT(sub, all);
		if (!sub->was_full || !sub->drained)
			continue;
		sub->was_full = false;
		sub->drained(sub->drained_context, sub);
	}
}

void
submit_on_peer_lost(struct process *process, enum role role)
{
	struct submission *sub;

	if (role != ROLE_QUEUE)
		return;
	TAILQ_FOREACH(sub, &submissions, all) {
		if (!sub->decided && !process_has_peer(process, ROLE_QUEUE, sub->queue))
			decide(sub, SUBMIT_TRY_LATER);
	}
}
