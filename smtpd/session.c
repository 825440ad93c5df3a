/* SPDX-License-Identifier: ISC */
/*
 * A connection's life, top to bottom: TLS where the door asks for it, the greeting, then one command after the
 * other until QUIT. Each step returns GO (a next step is set), WAIT or END; the driver
 * flushes before it waits. Invariant: at most one question is in flight, and a session that is gone has none.
 */
#include "smtpd/smtpd.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/id.h"

static TAILQ_HEAD(, session) sessions = TAILQ_HEAD_INITIALIZER(sessions);

static enum next run_secure_first(struct session *);
static enum next run_greet(struct session *);
static enum next run_read_command(struct session *);
static enum next run_secure_then_listen(struct session *);

static const struct step secure_first = { .name = "secure_first", .run = run_secure_first };
static const struct step greet = { .name = "greet", .run = run_greet };
const struct step read_command = { .name = "read_command", .run = run_read_command };
const struct step secure_then_listen = { .name = "secure_then_listen", .run = run_secure_then_listen };

static void session_run(struct session *);
static void session_free(struct session *);
static void on_stream(void *context, struct stream *, enum stream_event);
static void on_clock(void *context);

/* ---- the steps ---- */

void
session_new(struct process *process, const struct front_connection *connection)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->process = process;
	s->stream = connection->stream;
	s->place = connection->place;
	s->door = connection->door;
	s->purpose = (enum purpose)connection->door->purpose;
	s->peer = connection->peer;
	s->plaintext_login = connection->plaintext_login;
	s->over_limit = connection->over_limit;
	s->step = connection->door->kind == DOOR_TLS ? &secure_first : &greet;
	s->arena = arena_new();
	s->mail_arena = arena_new();
	s->clock = timer_new(process->loop, on_clock, s);
	s->started_ms = clock_monotonic_ms();
	id_put_new(&s->sid);
	net_address_put(&s->peer_text, &s->peer);
	log_add_field(&s->log, KV("sid", buf_str(&s->sid)));
	log_add_field(&s->log, KV("peer", buf_str(&s->peer_text)));
	TAILQ_INSERT_TAIL(&sessions, s, all);
	log_info(&s->log, "connected", KV("door", s->door->name));
	stream_set_handler(s->stream, on_stream, s);
	session_be_patient(s);
	session_run(s);
}

/* RFC 8314 3.3: TLS from the first byte. */
static enum next
run_secure_first(struct session *s)
{
	if (s->over_limit || s->closing)
		return END;
	if (!stream_is_secure(s->stream))
		return WAIT;
	log_info(&s->log, "secure", KV("tls", stream_tls_info(s->stream)));
	s->step = &greet;
	return GO;
}

static enum next
run_greet(struct session *s)
{
	scoped_buf text = BUF_INIT;

	if (s->over_limit)
		return reply_goodbye(s, "4.7.0", "Too many connections, try again later");
	buf_put_z(&text, "220 ");
	buf_put(&text, session_hostname(s));
	buf_put_z(&text, " ESMTP Trivet");
	reply_line(s, buf_str(&text));
	s->step = &read_command;
	return GO;
}

static size_t
command_limit(const struct session *s)
{
	/* RFC 4954 4: an initial response may be as long as a line of the exchange. */
	return str_starts_nocase(buf_str(stream_input(s->stream)), STR("AUTH ")) ?
	    LINE_AUTH_MAX : LINE_COMMAND_MAX;
}

static enum next
run_read_command(struct session *s)
{
	enum next next = GO;

	if (s->closing)
		return reply_goodbye(s, "4.3.2", "The server is going down, try again later");
	/* Who does not read our replies gets no more of them. */
	if (stream_is_full(s->stream))
		return WAIT;
	switch (session_line(s, command_limit(s))) {
	case LINE_MORE:
		return s->eof ? END : WAIT;
	case LINE_BARE:
		return reply_bare_line(s);
	case LINE_TOO_LONG:
		next = reply_error(s, "500 5.5.2 Line too long");
		break;
	case LINE_GOT:
		arena_reset(s->arena);
		next = command_run(s, s->line.text);
		break;
	}
	session_drop_line(s);
	session_be_patient(s);
	return next;
}

/* After STARTTLS: what was said before is forgotten (RFC 3207 4.2), a login too, and what is still unread. */
static enum next
run_secure_then_listen(struct session *s)
{
	if (!stream_is_secure(s->stream))
		return s->closing ? END : WAIT;
	s->line = (struct line){ 0 };
	s->extended = false;
	buf_clear(&s->hello);
	buf_clear(&s->account);
	session_forget_mail(s);
	log_info(&s->log, "secure", KV("tls", stream_tls_info(s->stream)));
	s->step = &read_command;
	return GO;
}

/* ---- the driver, and what wakes it ---- */

/* What is left of login_timeout while nothing good has come, else of the client's time. */
static int64_t
time_left(const struct session *s)
{
	int64_t due = s->deadline_ms;
	int64_t first = s->started_ms + 1000 * (int64_t)s->process->settings->login_timeout;
	int64_t now = clock_monotonic_ms();

	if (!s->settled && first < due)
		due = first;
	return due > now ? due - now : 0;
}

static void
session_run(struct session *s)
{
	enum next next = GO;

	s->running = true;
	if (s->timed_out)
		next = s->step == &secure_first || s->step == &secure_then_listen ? END :
		    reply_goodbye(s, "4.4.2", "Nothing came in time");
	while (next == GO)
		next = s->step->run(s);
	s->running = false;
	if (next == END) {
		session_free(s);
		return;
	}
	if (s->stream != NULL)
		stream_flush(s->stream);
	if (s->step->ours)
		timer_stop(s->clock);
	else
		timer_set(s->clock, time_left(s));
}

void
session_answered(struct session *s)
{
	s->answered = true;
	if (!s->running)
		session_run(s);
}

static void
on_clock(void *context)
{
	struct session *s = context;

	s->timed_out = !s->step->ours;
	session_run(s);
}

static void
on_stream(void *context, struct stream *stream, enum stream_event event)
{
	struct session *s = context;

	switch (event) {
	case STREAM_BROKEN:
		log_debug(&s->log, "broken", KV("why", stream_error(stream)));
		stream_free(stream);
		s->stream = NULL;
		if (!s->step->outlives_client)
			session_free(s);
		return;
	case STREAM_EOF:
		s->eof = true;
		break;
	case STREAM_INPUT:
	case STREAM_DRAINED:
	case STREAM_IDLE:
	case STREAM_SECURE:
		break;
	}
	session_run(s);
}

void
session_close_all(void)
{
	struct session *s, *next;

	for (s = TAILQ_FIRST(&sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, all);
		s->closing = true;
		session_run(s);
	}
}

static void
session_free(struct session *s)
{
	if (s->data.trace.n > 0 && !dots_at_end(&s->data.dots))
		log_info(&s->log, "data.cut", MAIL_TRACE(s), KV("from", s->mail.sender),
		    KV("recipients", s->mail.count), KV("octets", s->data.octets));
	log_info(&s->log, "disconnected");
	question_cancel(s->question);
	submit_abandon(s->data.submission);
	if (s->stream != NULL)
		stream_finish(s->stream);
	front_leave(s->process, s->place);
	timer_free(s->clock);
	TAILQ_REMOVE(&sessions, s, all);
	sasl_end(&s->sasl);
	head_free(&s->data.head);
	buf_free(&s->data.passed);
	buf_free(&s->data.finished);
	arena_free(s->arena);
	arena_free(s->mail_arena);
	buf_free(&s->peer_text);
	buf_free(&s->sid);
	buf_free(&s->hello);
	buf_free(&s->account);
	log_free(&s->log);
	free(s);
}

/* ---- for the commands ---- */

enum line_result
session_line(struct session *s, size_t limit)
{
	struct buf *input = stream_input(s->stream);
	enum line_result result = line_next(&s->line, buf_str(input), limit);

	if (result == LINE_MORE) {
		buf_take(input, s->line.consumed);
		s->line.consumed = 0;
	}
	return result;
}

/* The bytes are wiped: they may have been a password. */
void
session_drop_line(struct session *s)
{
	struct buf *input = stream_input(s->stream);

	if (s->line.consumed > 0)
		explicit_bzero(input->p, s->line.consumed);
	buf_take(input, s->line.consumed);
	s->line.consumed = 0;
}

void
session_be_patient(struct session *s)
{
	s->deadline_ms = clock_monotonic_ms() + 1000 * (int64_t)s->process->settings->smtp_timeout;
}

enum trust
session_trust(const struct session *s)
{
	const struct setting_networks *relay = &s->process->settings->relay_networks;

	if (s->account.n > 0)
		return TRUST_ACCOUNT;
	for (size_t i = 0; i < relay->count; i++)
		if (net_network_has(&relay->networks[i], &s->peer))
			return TRUST_NETWORK;
	return TRUST_STRANGER;
}

struct str
session_hostname(const struct session *s)
{
	return str_of(s->process->settings->hostname);
}

void
session_forget_mail(struct session *s)
{
	submit_abandon(s->data.submission);
	head_free(&s->data.head);
	buf_shrink(&s->data.passed, 0);
	buf_shrink(&s->data.finished, 0);
	s->data = (struct data){ .passed = s->data.passed, .finished = s->data.finished };
	s->mail = (struct mail){ .open = false };
	arena_reset(s->mail_arena);
}
