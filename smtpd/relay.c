/* SPDX-License-Identifier: ISC */
/*
 * An outgoing session's life: its hosts, one after the other, its connection, the replies that its steps wait for
 * (relay_steps.c), and the answers for the recipients.
 *
 * Invariant: a recipient is SENT only after the reply to the final dot. A connection lost between the dot
 * and its reply is DEFERRED: the other side may have taken the message, and gets it again; twice is
 * better than never (RFC 5321 4.5.3.2.6).
 */
#include "smtpd/relay_inside.h"

#include <stdlib.h>

enum {
	SESSION_MAX_MS = 2 * 3600 * 1000,	/* with one host: who drips octets does not hold a place for ever */
};

static void try_host(struct relay *);
static void on_connected(void *context, int fd, int error);
static void on_stream(void *context, struct stream *, enum stream_event);
static void on_patience(void *context);

struct relay *
relay_new(const struct relay_setup *setup, const struct route_host *hosts, size_t count,
    const struct relay_message *message, relay_answered *answered, relay_ended *ended,
    void *context)
{
	struct relay *r = xcalloc(1, sizeof(*r));

	r->setup = *setup;
	r->hosts = hosts;
	r->host_count = count;
	r->message = *message;
	r->answered = answered;
	r->ended = ended;
	r->context = context;
	r->is_answered = xcalloc(message->count, sizeof(bool));
	r->is_accepted = xcalloc(message->count, sizeof(bool));
	r->open = message->count;
	r->patience = timer_new(setup->loop, on_patience, r);
	r->deadline = timer_new(setup->loop, on_patience, r);
	try_host(r);
	return r;
}

static void
drop_connection(struct relay *r)
{
	connect_free(r->connect);
	stream_free(r->stream);
	r->connect = NULL;
	r->stream = NULL;
	r->awaiting = NULL;
	r->in_handshake = false;
	timer_stop(r->patience);
	timer_stop(r->deadline);
}

void
relay_free(struct relay *r)
{
	if (!r)
		return;
	if (r->gone)
		*r->gone = true;
	drop_connection(r);
	timer_free(r->patience);
	timer_free(r->deadline);
	buf_free(&r->host_text_store);
	free(r->is_answered);
	free(r->is_accepted);
	free(r);
}

/* ---- answers ---- */

void
relay_answer_one(struct relay *r, uint32_t n, const struct answer *answer)
{
	if (r->is_answered[n])
		return;
	r->is_answered[n] = true;
	r->open--;
	r->answered(r->context, n, answer);
}

void
relay_answer_all(struct relay *r, const struct answer *answer)
{
	for (uint32_t n = 0; n < r->message.count; n++)
		relay_answer_one(r, n, answer);
}

enum outcome
relay_outcome_of(const struct reply *reply)
{
	if (reply->code / 100 == 2)
		return OUTCOME_SENT;
	return reply->code / 100 == 5 ? OUTCOME_FAILED : OUTCOME_DEFERRED;
}

struct answer
relay_reply_answer(struct relay *r, const struct reply *reply, enum outcome outcome, struct buf *store)
{
	static const char *const usual[] = {
		[OUTCOME_SENT] = "2.0.0", [OUTCOME_DEFERRED] = "4.0.0",
		[OUTCOME_FAILED] = "5.0.0",
	};
	struct str status = reply_status(reply);

	reply_put_text(store, reply, ANSWER_TEXT_MAX);
	return (struct answer){
		.outcome = outcome, .status = status.n > 0 ? status : str_of(usual[outcome]),
		.text = buf_str(store), .host = r->host_text,
		.secure = r->stream && stream_is_secure(r->stream),
	};
}

struct answer
relay_own_answer(enum outcome outcome, const char *status, struct str text)
{
	return (struct answer){ .outcome = outcome, .status = str_of(status), .text = text,
	    .host = STR_EMPTY };
}

void
relay_finish(struct relay *r)
{
	relay_ended *ended = r->ended;
	void *context = r->context;

	if (r->stream && !r->sending && !r->in_handshake) {
		buf_put(stream_output(r->stream), STR("QUIT\r\n"));
		stream_flush(r->stream);
		stream_finish(r->stream);
		r->stream = NULL;
	}
	relay_free(r);
	ended(context);
}

/* ---- hosts ---- */

static void
name_host(struct relay *r)
{
	const struct route_host *host = &r->hosts[r->host];

	buf_clear(&r->host_text_store);
	buf_put(&r->host_text_store, host->name);
	if (!str_starts(host->name, STR("["))) {
		buf_put_c(&r->host_text_store, '[');
		net_address_put(&r->host_text_store, &host->address);
		buf_put_c(&r->host_text_store, ']');
	}
	if (host->address.port != 25)
		buf_printf(&r->host_text_store, ":%u", (unsigned)host->address.port);
	r->host_text = buf_str(&r->host_text_store);
}

static void
try_host(struct relay *r)
{
	name_host(r);
	r->connect = connect_new(r->setup.loop, &r->hosts[r->host].address,
	    r->setup.connect_ms, on_connected, r);
	timer_set(r->deadline, SESSION_MAX_MS);
}

void
relay_next_host(struct relay *r, const struct answer *answer)
{
	log_info(r->setup.log, "host_failed", KV("host", r->host_text),
	    KV("status", answer->status), KV("answer", answer->text));
	if (r->host + 1 == r->host_count) {
		relay_answer_all(r, answer);
		drop_connection(r);
		relay_finish(r);
		return;
	}
	drop_connection(r);
	r->host++;
	r->no_tls = false;
	try_host(r);
}

static void
on_connected(void *context, int fd, int error)
{
	struct relay *r = context;
	scoped_buf text = BUF_INIT;
	struct answer answer;

	r->connect = NULL;
	if (fd < 0) {
		buf_put(&text, STR("could not connect to "));
		buf_put(&text, r->host_text);
		buf_printf(&text, ": %s", strerror(error));
		answer = relay_own_answer(OUTCOME_DEFERRED, "4.4.1", buf_str(&text));
		relay_next_host(r, &answer);
		return;
	}
	r->stream = stream_new(r->setup.loop, fd, on_stream, r);
	r->awaiting = relay_got_greeting;
	timer_set(r->patience, r->setup.reply_ms);
}

void
relay_lost(struct relay *r, const char *what)
{
	scoped_buf text = BUF_INIT;
	struct answer answer;

	buf_put(&text, STR("the connection to "));
	buf_put(&text, r->host_text);
	buf_put(&text, STR(" was lost: "));
	buf_put_z(&text, what);
	answer = relay_own_answer(OUTCOME_DEFERRED, "4.4.2", buf_str(&text));
	if (!r->mail_begun) {
		relay_next_host(r, &answer);
		return;
	}
	relay_answer_all(r, &answer);
	drop_connection(r);
	relay_finish(r);
}

static void
on_patience(void *context)
{
	relay_lost(context, "it did not answer in time");
}

/* RFC 3207 4: TLS that fails is no reason not to deliver, where nobody asked for it. */
static void
handshake_failed(struct relay *r)
{
	log_info(r->setup.log, "tls_failed", KV("host", r->host_text),
	    KV("error", stream_error(r->stream)));
	drop_connection(r);
	r->no_tls = true;
	try_host(r);
}

/* ---- the driver ---- */

/* One reply, if it is there whole. True: there was one, and its step was taken. */
static bool
take_reply(struct relay *r)
{
	struct buf *input = stream_input(r->stream);
	reply_step *step = r->awaiting;
	scoped_buf copy = BUF_INIT;
	struct reply reply;
	const char *why;
	size_t used;

	if (input->n == 0 || !step)
		return false;
	switch (parse_reply(buf_str(input), &reply, &used, &why)) {
	case MORE:
		return false;
	case BAD:
		relay_lost(r, why);
		return false;
	case PARSED:
		break;
	}
	/* The step may free the stream, and its input with it. */
	buf_put(&copy, reply.lines);
	reply.lines = buf_str(&copy);
	buf_take(input, used);
	log_debug(r->setup.log, "reply", KV("host", r->host_text), KV("code", reply.code));
	timer_set(r->patience, r->setup.reply_ms);
	step(r, &reply);
	return true;
}

/* All replies that are there. False: the relay is gone, or the stream is. */
static bool
take_replies(struct relay *r, const struct stream *stream)
{
	bool gone = false, taken;

	r->gone = &gone;
	do
		taken = take_reply(r);
	while (!gone && taken && r->stream == stream);
	if (gone)
		return false;
	r->gone = NULL;
	return r->stream == stream;
}

static void
on_stream(void *context, struct stream *stream, enum stream_event event)
{
	struct relay *r = context;

	switch (event) {
	case STREAM_INPUT:
		(void)take_replies(r, stream);
		return;
	case STREAM_DRAINED:
		if (r->sending)
			relay_send_body(r);
		return;
	case STREAM_SECURE:
		r->in_handshake = false;
		log_debug(r->setup.log, "tls", KV("host", r->host_text),
		    KV("tls", stream_tls_info(stream)));
		relay_say_ehlo(r);
		return;
	case STREAM_EOF:
	case STREAM_BROKEN:
		if (r->in_handshake)
			handshake_failed(r);
		else if (take_replies(r, stream))	/* its last words count */
			relay_lost(r, stream_error(stream)[0] ? stream_error(stream) :
			    "the other side closed it");
		return;
	case STREAM_IDLE:
		return;
	}
}

void
relay_await(struct relay *r, reply_step *step)
{
	r->awaiting = step;
	timer_set(r->patience, r->setup.reply_ms);
	stream_flush(r->stream);
}
