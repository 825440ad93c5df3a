/* SPDX-License-Identifier: ISC */
/*
 * The client's side of SMTP, in the order of a session: greeting, hello, (TLS, hello), MAIL, RCPT, DATA, the
 * message, QUIT. Each step sends something and names the function that gets its reply.
 */
#include "smtpd/relay_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	BODY_CHUNK = 32 * 1024,
	TLS_NAME_MAX = 255,
};

static void got_ehlo(struct relay *, const struct reply *);
static void got_helo(struct relay *, const struct reply *);
static void got_starttls(struct relay *, const struct reply *);
static void say_mail(struct relay *);
static void got_mail(struct relay *, const struct reply *);
static void say_rcpts(struct relay *);
static void got_rcpt(struct relay *, const struct reply *);
static void say_data(struct relay *);
static void got_data(struct relay *, const struct reply *);
static void got_final(struct relay *, const struct reply *);

/* ---- greeting and hello ---- */

void
relay_got_greeting(struct relay *r, const struct reply *reply)
{
	scoped_buf text = BUF_INIT;
	struct answer answer;

	if (reply->code / 100 == 2) {
		relay_say_ehlo(r);
		return;
	}
	answer = relay_reply_answer(r, reply, relay_outcome_of(reply), &text);
	relay_next_host(r, &answer);
}

void
relay_say_ehlo(struct relay *r)
{
	buf_printf(stream_output(r->stream), "EHLO %.*s\r\n", STR_ARG(r->setup.hello));
	relay_await(r, got_ehlo);
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
		relay_await(r, got_helo);
		return;
	}
	if (reply->code / 100 != 2) {
		answer = relay_reply_answer(r, reply, relay_outcome_of(reply), &text);
		relay_next_host(r, &answer);
		return;
	}
	read_extensions(r, reply);
	if (r->offers_starttls && r->setup.tls && !r->no_tls && !stream_is_secure(r->stream)) {
		buf_put(stream_output(r->stream), STR("STARTTLS\r\n"));
		relay_await(r, got_starttls);
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
	answer = relay_reply_answer(r, reply, relay_outcome_of(reply), &text);
	relay_next_host(r, &answer);
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
		answer = relay_own_answer(OUTCOME_FAILED, "5.3.4", buf_str(&text));
		relay_answer_all(r, &answer);
		relay_finish(r);
		return;
	}
	r->mail_begun = true;
	put_mail(r, stream_output(r->stream));
	if (r->offers_pipelining)
		say_rcpts(r);
	relay_await(r, got_mail);
}

static void
got_mail(struct relay *r, const struct reply *reply)
{
	scoped_buf text = BUF_INIT;
	struct answer answer;

	if (reply->code / 100 != 2) {
		answer = relay_reply_answer(r, reply, relay_outcome_of(reply), &text);
		relay_answer_all(r, &answer);
		relay_finish(r);
		return;
	}
	if (!r->offers_pipelining)
		say_rcpts(r);
	relay_await(r, got_rcpt);
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
	return relay_outcome_of(reply);
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
		answer = relay_reply_answer(r, reply, outcome, &text);
		relay_answer_one(r, n, &answer);
	}
	if (r->got_rcpt < r->message.count) {
		if (r->sent_rcpt == r->got_rcpt)
			say_rcpts(r);
		relay_await(r, got_rcpt);
	} else if (r->accepted > 0) {
		say_data(r);
	} else {
		relay_finish(r);
	}
}

/* ---- the message ---- */

static void
say_data(struct relay *r)
{
	buf_put(stream_output(r->stream), STR("DATA\r\n"));
	relay_await(r, got_data);
}

static void
answer_accepted(struct relay *r, const struct reply *reply, enum outcome outcome)
{
	scoped_buf text = BUF_INIT;
	struct answer answer = relay_reply_answer(r, reply, outcome, &text);

	relay_answer_all(r, &answer);
}

static void
got_data(struct relay *r, const struct reply *reply)
{
	if (reply->code == 354) {
		r->sending = true;
		r->awaiting = got_final;	/* an early reply refuses the rest */
		relay_send_body(r);
		return;
	}
	answer_accepted(r, reply,
	    relay_outcome_of(reply) == OUTCOME_FAILED ? OUTCOME_FAILED : OUTCOME_DEFERRED);
	relay_finish(r);
}

void
relay_send_body(struct relay *r)
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
			relay_lost(r, "the message could not be read here");
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
	relay_await(r, got_final);
	/* RFC 5321 4.5.3.2.6: this reply may take twice as long as others. */
	timer_set(r->patience, 2 * r->setup.reply_ms);
}

static void
got_final(struct relay *r, const struct reply *reply)
{
	enum outcome outcome = relay_outcome_of(reply);

	/* Nothing but an error makes sense before the end of the message. */
	if (r->sending && outcome == OUTCOME_SENT)
		outcome = OUTCOME_DEFERRED;
	answer_accepted(r, reply, outcome);
	relay_finish(r);
}
