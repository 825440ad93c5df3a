/* SPDX-License-Identifier: ISC */
/*
 * A connection before login: greeting, TLS, the question who this is, and the hand-over to
 * the account's keeper. The frame of all fronts keeps the doors and the limits
 * (common/daemon/front.h). A guest is the connection, its session only the part until
 * login.
 */
#include <stdlib.h>

#include "common/auth/sasl.h"
#include "common/base/id.h"
#include "common/daemon/front.h"
#include "common/daemon/login.h"
#include "imapd/imapd.h"

struct guest {
	TAILQ_ENTRY(guest) link;
	struct process *process;
	struct session *session;	/* NULL: handed over */
	struct handover *handover;
	struct question *question;	/* one in flight at most */
	struct sasl sasl;
	struct buf sid;
	struct net_address peer;
	void *place;
	unsigned failures;
	bool plaintext_login;
	bool tls_first;			/* came in by the door with TLS */
};

TAILQ_HEAD(guests, guest);

static void on_connection(struct process *, const struct front_connection *);
static void on_closing(struct process *);
static enum next greet(struct session *);
static enum next await_tls(struct session *);
static enum next ask(struct session *);
static enum next await_answer(struct session *);
static void on_answer(void *context, enum login_result, struct str address, int keeper_fd);
static void on_guest_end(struct session *);

static const struct front_frame frame = { .connection = on_connection, .closing = on_closing };

void
front_start(struct process *process)
{
	struct guests *guests = xcalloc(1, sizeof(*guests));

	TAILQ_INIT(guests);
	process->state = guests;
	capability_check_setting(process->settings);
	front_run(process, &frame);
}

/* ---- coming ---- */

static void
turn_away(struct process *process, const struct front_connection *connection)
{
	/* No handshake is spent on one too many. */
	if (connection->door->kind == DOOR_TLS) {
		stream_free(connection->stream);
	} else {
		buf_put_z(stream_output(connection->stream),
		    "* BYE [LIMIT] Too many connections; try again later\r\n");
		stream_finish(connection->stream);
	}
	front_leave(process, connection->place);
}

static void
on_connection(struct process *process, const struct front_connection *connection)
{
	struct guest *guest;
	struct session *s;
	scoped_buf peer = BUF_INIT;

	if (connection->over_limit) {
		turn_away(process, connection);
		return;
	}
	guest = xcalloc(1, sizeof(*guest));
	s = xcalloc(1, sizeof(*s));
	guest->process = process;
	guest->session = s;
	guest->peer = connection->peer;
	guest->place = connection->place;
	guest->plaintext_login = connection->plaintext_login;
	guest->tls_first = connection->door->kind == DOOR_TLS;
	id_put_new(&guest->sid);
	TAILQ_INSERT_TAIL((struct guests *)process->state, guest, link);
	s->guest = guest;
	s->on_end = on_guest_end;
	net_address_put(&peer, &guest->peer);
	log_add_field(&s->log, KV("sid", buf_str(&guest->sid)));
	log_add_field(&s->log, KV("peer", buf_str(&peer)));
	log_debug(&s->log, "connect", KV("door", connection->door->name));
	session_begin(s, process, connection->stream, GUEST);
	s->step = greet;
	session_run(s);
}

static enum next
greet(struct session *s)
{
	struct buf *out = out_of(s);

	if (s->guest->tls_first && !stream_is_secure(s->stream))
		return s->eof ? END : WAIT;
	buf_put_z(out, "* OK [");
	put_capabilities(out, s);
	buf_put_z(out, "] Trivet is ready\r\n");
	s->step = read_command;
	return GO;
}

/* ---- TLS ---- */

bool
guest_is_secure(const struct session *s)
{
	return stream_is_secure(s->stream);
}

bool
guest_can_tls(const struct session *s)
{
	return !guest_is_secure(s) && front_tls(s->process) != NULL;
}

bool
guest_may_login(const struct session *s)
{
	return guest_is_secure(s) || s->guest->plaintext_login;
}

/* RFC 3501 6.2.1. What came in the same packet is dropped with the plaintext it was. */
enum next
guest_start_tls(struct session *s)
{
	struct buf *out = out_of(s);

	buf_put(out, s->req.tag);
	buf_put_z(out, " OK Begin TLS now\r\n");
	session_flush(s);
	/* Nothing said in the open may be sent under TLS: who does not read is let go. */
	if (out->n > 0)
		return END;
	session_drop_work(s);
	s->frame = (struct frame){ 0 };
	s->step = await_tls;
	stream_accept_tls(s->stream, front_tls(s->process));
	return WAIT;
}

static enum next
await_tls(struct session *s)
{
	if (!stream_is_secure(s->stream))
		return s->eof ? END : WAIT;
	s->step = read_command;
	return GO;
}

/* ---- who is this ---- */

struct sasl *
guest_sasl(struct session *s)
{
	return &s->guest->sasl;
}

enum next
guest_ask(struct session *s, struct str authzid, struct str authcid, struct str password)
{
	struct login_question *question = arena_one(s->arena, struct login_question);

	*question = (struct login_question){
		.sid = buf_str(&s->guest->sid),
		.peer = &s->guest->peer,
		.secure = guest_is_secure(s),
		.authzid = authzid,
		.authcid = authcid,
		.password = password,
	};
	s->work.own = question;
	s->step = ask;
	return GO;
}

static enum next
ask(struct session *s)
{
	/* Earlier answers go out first: the keeper will write to this connection. */
	session_flush(s);
	if (out_of(s)->n > 0)
		return WAIT;
	s->step = await_answer;
	s->guest->question = login_ask(s->process, s->work.own, on_answer, s->guest);
	return WAIT;
}

/* Further input stays where it is. */
static enum next
await_answer(struct session *s)
{
	(void)s;
	return WAIT;
}

static void
on_handover_ended(void *context)
{
	struct guest *guest = context;

	TAILQ_REMOVE((struct guests *)guest->process->state, guest, link);
	front_leave(guest->process, guest->place);
	buf_free(&guest->sid);
	free(guest);
}

static void
hand_over(struct guest *guest, int keeper_fd)
{
	struct session *s = guest->session;
	struct stream *stream = s->stream;

	s->stream = NULL;
	guest->session = NULL;
	front_know(guest->process, guest->place);
	guest->handover = handover_new(guest->process, stream, keeper_fd,
	    buf_str(&guest->sid), s->req.tag, on_handover_ended, guest);
	session_end(s);
	sasl_end(&guest->sasl);
}

/* The same words and, by auth's doing, the same time for a wrong name and a wrong password. */
static const char *
refusal(enum login_result result)
{
	switch (result) {
	case LOGIN_OK:
	case LOGIN_UNAVAILABLE:
		break;
	case LOGIN_WRONG:
		return "NO [AUTHENTICATIONFAILED] Wrong name or password";
	case LOGIN_TOO_MANY:
		return "NO [LIMIT] Too many failed logins from your address; wait a minute";
	}
	return "NO [UNAVAILABLE] Login is not possible now; try again later";
}

static void
on_answer(void *context, enum login_result result, struct str address, int keeper_fd)
{
	struct guest *guest = context;
	struct session *s = guest->session;

	(void)address;	/* the keeper's log has it */
	guest->question = NULL;
	if (result == LOGIN_OK && keeper_fd >= 0) {
		hand_over(guest, keeper_fd);
		return;
	}
	/* auth's log has the name and the reason. */
	log_debug(&s->log, "login_refused", KV("answer", refusal(result)));
	if (result == LOGIN_WRONG)
		guest->failures++;
	if (guest->failures >= s->process->settings->login_failures) {
		untagged(s, "BYE Too many failed logins");
		s->leaving = true;
	}
	finish(s, "%s", refusal(result));
	sasl_end(&guest->sasl);
	session_run(s);
}

/* ---- going ---- */

static void
on_guest_end(struct session *s)
{
	struct guest *guest = s->guest;

	question_cancel(guest->question);
	log_debug(&s->log, "disconnect", KV("in", s->bytes_in), KV("out", s->bytes_out));
	session_end(s);
	sasl_end(&guest->sasl);
	on_handover_ended(guest);
}

static void
on_closing(struct process *process)
{
	struct guest *next;

	/* Sessions that were handed over hear it from their keeper. */
	for (struct guest *g = TAILQ_FIRST((struct guests *)process->state); g != NULL; g = next) {
		next = TAILQ_NEXT(g, link);
		if (g->session != NULL)
			session_bye(g->session, "The server is stopping");
	}
}
