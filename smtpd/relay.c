/* SPDX-License-Identifier: ISC */
/*
 * The client's side of SMTP, in the order of a session: connect, greet, hello, (TLS, hello), MAIL, RCPT, DATA,
 * the message, QUIT. Each step sends something and names the function that gets its reply.
 *
 * Invariant: a recipient is SENT only after the reply to the final dot. A connection lost between the dot
 * and its reply is DEFERRED: the other side may have taken the message, and gets it again; twice is
 * better than never (RFC 5321 4.5.3.2.6).
 */
#include "smtpd/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/net/stream.h"
#include "smtpd/connect.h"
#include "smtpd/parse_reply.h"
#include "smtpd/stuff.h"

enum {
	BODY_CHUNK = 32 * 1024,
	SESSION_MAX_MS = 2 * 3600 * 1000,	/* with one host: who drips octets does not hold a place for ever */
	TLS_NAME_MAX = 255,
};

typedef void reply_step(struct relay *, const struct reply *);

struct relay {
	struct relay_setup setup;
	const struct route_host *hosts;
	size_t host_count, host;	/* the one being tried */
	struct relay_message message;
	relay_answered *answered;
	relay_ended *ended;
	void *context;
	bool *is_answered;
	bool *is_accepted;
	size_t open;			/* recipients not answered */

	struct connect *connect;
	struct stream *stream;
	struct timer *patience;		/* for the step under way */
	struct timer *deadline;
	reply_step *awaiting;		/* who gets the next reply; NULL: none is due */
	bool in_handshake;
	bool no_tls;			/* it failed with this host */
	bool mail_begun;		/* no other host from here on: recipients may differ */
	struct str host_text;		/* "mx.example.org[192.0.2.1]:25" */
	struct buf host_text_store;

	bool offers_pipelining, offers_8bitmime, offers_starttls, offers_size;
	uint64_t size_limit;
	uint32_t sent_rcpt, got_rcpt;	/* recipients asked for, answered */
	size_t accepted;

	struct stuffing stuffing;
	uint64_t at;			/* octets of the message sent */
	bool sending;
	bool *gone;			/* set when the relay is freed under a caller */
};

static void try_host(struct relay *);
static void on_connected(void *context, int fd, int error);
static void on_stream(void *context, struct stream *, enum stream_event);
static void on_patience(void *context);
static void next_host(struct relay *, const struct answer *);
static void lost(struct relay *, const char *what);
static void got_greeting(struct relay *, const struct reply *);
static void say_ehlo(struct relay *);
static void got_ehlo(struct relay *, const struct reply *);
static void got_helo(struct relay *, const struct reply *);
static void got_starttls(struct relay *, const struct reply *);
static void say_mail(struct relay *);
static void got_mail(struct relay *, const struct reply *);
static void say_rcpts(struct relay *);
static void got_rcpt(struct relay *, const struct reply *);
static void say_data(struct relay *);
static void got_data(struct relay *, const struct reply *);
static void send_body(struct relay *);
static void got_final(struct relay *, const struct reply *);
static void finish(struct relay *);

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

static void
answer_one(struct relay *r, uint32_t n, const struct answer *answer)
{
	if (r->is_answered[n])
		return;
	r->is_answered[n] = true;
	r->open--;
	r->answered(r->context, n, answer);
}

static void
answer_all(struct relay *r, const struct answer *answer)
{
	for (uint32_t n = 0; n < r->message.count; n++)
		answer_one(r, n, answer);
}

static enum outcome
outcome_of(const struct reply *reply)
{
	if (reply->code / 100 == 2)
		return OUTCOME_SENT;
	return reply->code / 100 == 5 ? OUTCOME_FAILED : OUTCOME_DEFERRED;
}

/* The other side's reply as an answer; its text is put into store. */
static struct answer
reply_answer(struct relay *r, const struct reply *reply, enum outcome outcome, struct buf *store)
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

/* In our own words; host stays empty. */
static struct answer
own_answer(enum outcome outcome, const char *status, struct str text)
{
	return (struct answer){ .outcome = outcome, .status = str_of(status), .text = text,
	    .host = STR_EMPTY };
}

/* Everything is answered: says goodbye, without waiting for the other side's. */
static void
finish(struct relay *r)
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

/* Goes on with the next host; the answer is the recipients' if there is none. */
static void
next_host(struct relay *r, const struct answer *answer)
{
	log_info(r->setup.log, "host_failed", KV("host", r->host_text),
	    KV("status", answer->status), KV("answer", answer->text));
	if (r->host + 1 == r->host_count) {
		answer_all(r, answer);
		drop_connection(r);
		finish(r);
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
		answer = own_answer(OUTCOME_DEFERRED, "4.4.1", buf_str(&text));
		next_host(r, &answer);
		return;
	}
	r->stream = stream_new(r->setup.loop, fd, on_stream, r);
	r->awaiting = got_greeting;
	timer_set(r->patience, r->setup.reply_ms);
}

/* The connection is of no use any more; what was not answered is deferred, or another host's. */
static void
lost(struct relay *r, const char *what)
{
	scoped_buf text = BUF_INIT;
	struct answer answer;

	buf_put(&text, STR("the connection to "));
	buf_put(&text, r->host_text);
	buf_put(&text, STR(" was lost: "));
	buf_put_z(&text, what);
	answer = own_answer(OUTCOME_DEFERRED, "4.4.2", buf_str(&text));
	if (!r->mail_begun) {
		next_host(r, &answer);
		return;
	}
	answer_all(r, &answer);
	drop_connection(r);
	finish(r);
}

static void
on_patience(void *context)
{
	lost(context, "it did not answer in time");
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
		lost(r, why);
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
			send_body(r);
		return;
	case STREAM_SECURE:
		r->in_handshake = false;
		log_debug(r->setup.log, "tls", KV("host", r->host_text),
		    KV("tls", stream_tls_info(stream)));
		say_ehlo(r);
		return;
	case STREAM_EOF:
	case STREAM_BROKEN:
		if (r->in_handshake)
			handshake_failed(r);
		else if (take_replies(r, stream))	/* its last words count */
			lost(r, stream_error(stream)[0] ? stream_error(stream) :
			    "the other side closed it");
		return;
	case STREAM_IDLE:
		return;
	}
}

/* Sends what was put into the output and waits for the reply. */
static void
await(struct relay *r, reply_step *step)
{
	r->awaiting = step;
	timer_set(r->patience, r->setup.reply_ms);
	stream_flush(r->stream);
}

/* ---- greeting and hello ---- */

static void
got_greeting(struct relay *r, const struct reply *reply)
{
	scoped_buf text = BUF_INIT;
	struct answer answer;

	if (reply->code / 100 == 2) {
		say_ehlo(r);
		return;
	}
	answer = reply_answer(r, reply, outcome_of(reply), &text);
	next_host(r, &answer);
}

static void
say_ehlo(struct relay *r)
{
	buf_printf(stream_output(r->stream), "EHLO %.*s\r\n", STR_ARG(r->setup.hello));
	await(r, got_ehlo);
}

static void
read_extensions(struct relay *r, const struct reply *reply)
{
	struct str lines = reply->lines, text, word;

	/* What was offered before TLS does not count any more (RFC 3207 4.2). */
	r->offers_pipelining = r->offers_8bitmime = r->offers_starttls = r->offers_size = false;
	r->size_limit = 0;
	if (!reply_next_line(&lines, &text))	/* the greeting */
		return;
	while (reply_next_line(&lines, &text)) {
		if (!str_word(&text, &word))
			continue;
		r->offers_pipelining |= str_eq_nocase(word, STR("PIPELINING"));
		r->offers_8bitmime |= str_eq_nocase(word, STR("8BITMIME"));
		r->offers_starttls |= str_eq_nocase(word, STR("STARTTLS"));
		if (str_eq_nocase(word, STR("SIZE"))) {
			r->offers_size = true;
			if (!str_word(&text, &word) || !str_to_u64(word, &r->size_limit))
				r->size_limit = 0;
		}
	}
}

static void
got_ehlo(struct relay *r, const struct reply *reply)
{
	scoped_buf text = BUF_INIT;
	struct answer answer;

	if (reply->code / 100 == 5 && !stream_is_secure(r->stream)) {
		/* RFC 5321 3.2: who does not know EHLO is greeted the old way. */
		buf_printf(stream_output(r->stream), "HELO %.*s\r\n", STR_ARG(r->setup.hello));
		await(r, got_helo);
		return;
	}
	if (reply->code / 100 != 2) {
		answer = reply_answer(r, reply, outcome_of(reply), &text);
		next_host(r, &answer);
		return;
	}
	read_extensions(r, reply);
	if (r->offers_starttls && r->setup.tls && !r->no_tls && !stream_is_secure(r->stream)) {
		buf_put(stream_output(r->stream), STR("STARTTLS\r\n"));
		await(r, got_starttls);
		return;
	}
	say_mail(r);
}

static void
got_helo(struct relay *r, const struct reply *reply)
{
	scoped_buf text = BUF_INIT;
	struct answer answer;

	if (reply->code / 100 == 2) {
		say_mail(r);
		return;
	}
	answer = reply_answer(r, reply, outcome_of(reply), &text);
	next_host(r, &answer);
}

static void
got_starttls(struct relay *r, const struct reply *reply)
{
	char name[TLS_NAME_MAX + 1] = "";
	struct str host = r->hosts[r->host].name;

	if (reply->code != 220) {
		say_mail(r);
		return;
	}
	if (host.n <= TLS_NAME_MAX)
		memcpy(name, host.p, host.n);
	r->awaiting = NULL;
	r->in_handshake = true;
	stream_connect_tls(r->stream, r->setup.tls, name);
}

/* ---- the envelope ---- */

bool
relay_is_sendable(struct str address)
{
	for (size_t i = 0; i < address.n; i++) {
		if (ascii_is_control(address.p[i]) || address.p[i] == '<' || address.p[i] == '>')
			return false;
	}
	return true;
}

static void
put_mail(struct relay *r, struct buf *out)
{
	buf_put(out, STR("MAIL FROM:<"));
	buf_put(out, r->message.sender);
	buf_put_c(out, '>');
	if (r->offers_size)
		buf_printf(out, " SIZE=%llu", (unsigned long long)r->message.size);
	if (r->offers_8bitmime && r->message.eight_bit)
		buf_put(out, STR(" BODY=8BITMIME"));
	buf_put(out, STR("\r\n"));
}

static void
say_mail(struct relay *r)
{
	scoped_buf text = BUF_INIT;
	struct answer answer;

	if (r->size_limit > 0 && r->message.size > r->size_limit) {
		buf_printf(&text, "the message has %llu octets, %.*s takes %llu",
		    (unsigned long long)r->message.size, STR_ARG(r->host_text),
		    (unsigned long long)r->size_limit);
		answer = own_answer(OUTCOME_FAILED, "5.3.4", buf_str(&text));
		answer_all(r, &answer);
		finish(r);
		return;
	}
	r->mail_begun = true;
	put_mail(r, stream_output(r->stream));
	if (r->offers_pipelining)
		say_rcpts(r);
	await(r, got_mail);
}

static void
got_mail(struct relay *r, const struct reply *reply)
{
	scoped_buf text = BUF_INIT;
	struct answer answer;

	if (reply->code / 100 != 2) {
		answer = reply_answer(r, reply, outcome_of(reply), &text);
		answer_all(r, &answer);
		finish(r);
		return;
	}
	if (!r->offers_pipelining)
		say_rcpts(r);
	await(r, got_rcpt);
}

/* The next RCPT, or all of them where the other side takes them at once (RFC 2920 3.1). */
static void
say_rcpts(struct relay *r)
{
	struct buf *out = stream_output(r->stream);

	do {
		buf_put(out, STR("RCPT TO:<"));
		buf_put(out, r->message.recipients[r->sent_rcpt++]);
		buf_put(out, STR(">\r\n"));
	} while (r->offers_pipelining && r->sent_rcpt < r->message.count);
}

/*
 * RFC 5321 4.5.3.1.10: 552 to RCPT used to mean "too many recipients" and is a reason to wait; where an enhanced
 * code says what it means, that counts.
 */
static enum outcome
outcome_of_rcpt(const struct reply *reply)
{
	struct str status = reply_status(reply);

	if (reply->code == 552 && (status.n == 0 || str_eq(status, STR("5.5.3"))))
		return OUTCOME_DEFERRED;
	return outcome_of(reply);
}

static void
got_rcpt(struct relay *r, const struct reply *reply)
{
	enum outcome outcome = outcome_of_rcpt(reply);
	uint32_t n = r->got_rcpt++;
	scoped_buf text = BUF_INIT;
	struct answer answer;

	if (outcome == OUTCOME_SENT) {
		r->is_accepted[n] = true;
		r->accepted++;
	} else {
		answer = reply_answer(r, reply, outcome, &text);
		answer_one(r, n, &answer);
	}
	if (r->got_rcpt < r->message.count) {
		if (r->sent_rcpt == r->got_rcpt)
			say_rcpts(r);
		await(r, got_rcpt);
	} else if (r->accepted > 0) {
		say_data(r);
	} else {
		finish(r);
	}
}

/* ---- the message ---- */

static void
say_data(struct relay *r)
{
	buf_put(stream_output(r->stream), STR("DATA\r\n"));
	await(r, got_data);
}

static void
answer_accepted(struct relay *r, const struct reply *reply, enum outcome outcome)
{
	scoped_buf text = BUF_INIT;
	struct answer answer = reply_answer(r, reply, outcome, &text);

	answer_all(r, &answer);
}

static void
got_data(struct relay *r, const struct reply *reply)
{
	if (reply->code == 354) {
		r->sending = true;
		r->awaiting = got_final;	/* an early reply refuses the rest */
		send_body(r);
		return;
	}
	answer_accepted(r, reply,
	    outcome_of(reply) == OUTCOME_FAILED ? OUTCOME_FAILED : OUTCOME_DEFERRED);
	finish(r);
}

/* As much as the other side takes now. */
static void
send_body(struct relay *r)
{
	struct buf *out = stream_output(r->stream);
	char *chunk = xmalloc(BODY_CHUNK);

	timer_set(r->patience, r->setup.reply_ms);
	while (r->at < r->message.size && !stream_is_full(r->stream)) {
		uint64_t left = r->message.size - r->at;
		ssize_t n = pread(r->message.fd, chunk, left < BODY_CHUNK ? (size_t)left : BODY_CHUNK,
		    (off_t)r->at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			free(chunk);
			log_error(r->setup.log, "spool_trouble", KV("doing", "reading"));
			lost(r, "the message could not be read here");
			return;
		}
		stuff_put(&r->stuffing, out, (struct str){ chunk, (size_t)n });
		r->at += (uint64_t)n;
		stream_flush(r->stream);
	}
	free(chunk);
	if (r->at < r->message.size)
		return;
	r->sending = false;
	stuff_end(&r->stuffing, out);
	await(r, got_final);
	/* RFC 5321 4.5.3.2.6: this reply may take twice as long as others. */
	timer_set(r->patience, 2 * r->setup.reply_ms);
}

static void
got_final(struct relay *r, const struct reply *reply)
{
	enum outcome outcome = outcome_of(reply);

	/* Nothing but an error makes sense before the end of the message. */
	if (r->sending && outcome == OUTCOME_SENT)
		outcome = OUTCOME_DEFERRED;
	answer_accepted(r, reply, outcome);
	finish(r);
}
