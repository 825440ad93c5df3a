/* SPDX-License-Identifier: ISC */
/* The front's sessions: from the greeting to login; then they are handed to the account's keeper. */
#include "common/base/clock.h"
#include "common/base/id.h"
#include "pop3d/pop3d.h"

static void connection(struct process *, const struct front_connection *);
static void closing(struct process *);

static struct sessions sessions = TAILQ_HEAD_INITIALIZER(sessions);

static const struct front_frame frame = { .connection = connection, .closing = closing };

void
pop3_front_start(struct process *p)
{
	p->state = &sessions;
	front_run(p, &frame);
}

static void
out_of_patience(void *context)
{
	struct session *s = context;

	if (s->stream == NULL)
		return;
	respond_error(s, "[SYS/TEMP] closing: it took too long to log in");
	session_end(s);
	session_free(s);
}

/* RFC 1939 4: the greeting. On the TLS port it waits for the handshake. */
static enum next
greet(struct session *s)
{
	if (s->plaintext_login || s->secure || front_tls(s->process) != NULL)
		respond_ok(s, "Trivet POP3 at %s is ready", s->process->settings->hostname);
	else
		respond_error(s, "no login is possible here: the server has no TLS certificate");
	s->step = &step_command;
	return GO;
}

static enum next
wait_for_tls(struct session *s)
{
	return s->secure ? greet(s) : s->eof ? END : WAIT;
}

static const struct step step_greet = { "greet", greet };
static const struct step step_handshake = { "handshake", wait_for_tls };

static void
connection(struct process *p, const struct front_connection *c)
{
	scoped_buf sid = BUF_INIT;
	scoped_buf peer = BUF_INIT;
	struct session *s;

	id_put_new(&sid);
	net_address_put(&peer, &c->peer);
	s = session_new(p, &sessions, c->stream, buf_str(&sid), buf_str(&peer));
	s->place = c->place;
	s->state = AUTHORIZATION;
	s->peer_address = c->peer;
	s->plaintext_login = c->plaintext_login;
	s->patience = timer_new(p->loop, out_of_patience, s);
	timer_set(s->patience, (int64_t)p->settings->login_timeout * 1000);
	s->step = c->door->kind == DOOR_TLS ? &step_handshake : &step_greet;
	if (c->over_limit) {
		log_warn(&s->log, "refused", KV("why", "too many connections"));
		if (c->door->kind != DOOR_TLS)
			respond_error(s, "[SYS/TEMP] too many connections, try again later");
		session_end(s);
		session_free(s);
		return;
	}
	session_run(s);
}

static void
closing(struct process *p)
{
	struct session *s, *next;

	(void)p;
	for (s = TAILQ_FIRST(&sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, entry);
		/* Handed over: its keeper says goodbye, through here where it is TLS. */
		if (s->stream == NULL)
			continue;
		respond_error(s, "[SYS/TEMP] the server is being stopped");
		session_end(s);
		session_free(s);
	}
}
