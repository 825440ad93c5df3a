/* SPDX-License-Identifier: ISC */
/* CAPA STLS USER PASS AUTH: RFC 2449 5, RFC 2595 4, RFC 1939 7, RFC 5034. */
#include <stdlib.h>

#include "common/base/base64.h"
#include "pop3d/pop3d.h"

bool
login_is_allowed(const struct session *s)
{
	return s->secure || s->plaintext_login;
}

enum next
cmd_capa(struct session *s, const struct request *req)
{
	const char *name;

	(void)req;
	respond_ok(s, "capabilities follow");
	respond_line(s, "TOP");
	respond_line(s, "UIDL");
	respond_line(s, "PIPELINING");
	respond_line(s, "RESP-CODES");
	respond_line(s, "AUTH-RESP-CODE");
	respond_line(s, "EXPIRE NEVER");
	if (s->state == AUTHORIZATION && !s->secure && front_tls(s->process) != NULL)
		respond_line(s, "STLS");
	if (s->state == TRANSACTION || login_is_allowed(s)) {
		respond_line(s, "USER");
		buf_put_z(stream_output(s->stream), "SASL");
		for (size_t i = 0; (name = sasl_mechanism_name(i)) != NULL; i++)
			buf_printf(stream_output(s->stream), " %s", name);
		respond_line(s, "%s", "");
	}
	respond_line(s, "IMPLEMENTATION Trivet");
	respond_dot(s);
	return GO;
}

static enum next
wait_for_tls(struct session *s)
{
	if (!s->secure)
		return s->eof ? END : WAIT;
	s->step = &step_command;
	return GO;
}

static const struct step step_tls = { "tls", wait_for_tls };

enum next
cmd_stls(struct session *s, const struct request *req)
{
	(void)req;
	if (s->secure || front_tls(s->process) == NULL) {
		respond_error(s, s->secure ? "TLS is on already" :
		    "there is no TLS here: the server has no certificate");
		return GO;
	}
	respond_ok(s, "begin TLS now");
	stream_flush(s->stream);
	/* RFC 2595 4: what the client said before is forgotten; the stream drops early input. */
	buf_clear(&s->user);
	stream_accept_tls(s->stream, front_tls(s->process));
	s->step = &step_tls;
	return GO;
}

/* RFC 2595 2.2: a password in the clear is not taken. */
static enum next
needs_tls(struct session *s)
{
	respond_error(s, front_tls(s->process) ? "[AUTH] begin TLS first (STLS)" :
	    "[SYS/PERM] no login is possible here: the server has no TLS certificate");
	return GO;
}

enum next
cmd_user(struct session *s, const struct request *req)
{
	if (!login_is_allowed(s))
		return needs_tls(s);
	buf_clear(&s->user);
	buf_put(&s->user, str_sub(req->text, 0, SASL_NAME_MAX));
	/* RFC 1939 7: whether the name exists is not told here. */
	respond_ok(s, "the password, please");
	return GO;
}

static enum next
refuse_login(struct session *s)
{
	s->step = &step_command;
	if (++s->failures < s->process->settings->login_failures)
		return GO;
	respond_error(s, "closing: too many wrong passwords");
	return session_end(s);
}

static void
on_handover_ended(void *context)
{
	struct session *s = context;

	s->handover = NULL;
	session_free(s);
}

/* The rest of the session is the keeper's; here only its place is kept. */
static void
hand_over(struct session *s, int keeper_fd)
{
	struct stream *stream = s->stream;

	timer_stop(s->patience);
	stream_set_idle_ms(stream, 0);
	s->stream = NULL;
	front_know(s->process, s->place);
	s->handover = handover_new(s->process, stream, keeper_fd, buf_str(&s->sid), STR_EMPTY,
	    on_handover_ended, s);
}

static void
on_answer(void *context, enum login_result result, struct str address, int keeper_fd)
{
	struct session *s = context;

	(void)address;
	s->question = NULL;
	switch (result) {
	case LOGIN_OK:
		hand_over(s, keeper_fd);
		return;
	case LOGIN_WRONG:
		respond_error(s, "[AUTH] wrong name or password");
		break;
	case LOGIN_TOO_MANY:
		respond_error(s, "[SYS/TEMP] too many wrong passwords from your address, wait a minute");
		break;
	case LOGIN_UNAVAILABLE:
		respond_error(s, "[SYS/TEMP] logins cannot be checked now, try again later");
		break;
	}
	if (result == LOGIN_UNAVAILABLE)
		s->step = &step_command;
	else if (refuse_login(s) == END) {
		session_free(s);
		return;
	}
	session_run(s);
}

static enum next
ask(struct session *s, struct str authzid, struct str user, struct str password)
{
	struct login_question q = { .sid = buf_str(&s->sid), .peer = &s->peer_address,
	    .secure = s->secure, .authzid = authzid, .authcid = user, .password = password };

	s->question = login_ask(s->process, &q, on_answer, s);
	s->step = &step_answer;
	return GO;
}

enum next
cmd_pass(struct session *s, const struct request *req)
{
	enum next next;

	if (!login_is_allowed(s))
		return needs_tls(s);
	if (s->user.n == 0) {
		respond_error(s, "say who you are first (USER)");
		return GO;
	}
	/* RFC 1939 7: the password may hold blanks; it is all that follows the first one. */
	next = ask(s, STR_EMPTY, buf_str(&s->user), req->text);
	buf_clear(&s->user);
	return next;
}

/* ---- AUTH ---- */

static enum next
on_reply(struct session *s, const struct sasl_reply *reply)
{
	const struct sasl_credentials *c = &reply->credentials;
	enum next next = GO;

	switch (reply->result) {
	case SASL_CHALLENGE:
		buf_put_z(stream_output(s->stream), "+ ");
		base64_encode(stream_output(s->stream), reply->challenge);
		buf_put_z(stream_output(s->stream), "\r\n");
		s->step = &step_sasl;
		return GO;
	case SASL_BAD:
		respond_error(s, "%s", reply->why);
		s->step = &step_command;
		break;
	case SASL_CREDENTIALS:
		next = ask(s, c->authorise_as, c->user, c->password);
		break;
	}
	sasl_end(&s->sasl);
	return next;
}

static enum next
step_exchange(struct session *s, struct str line, bool is_initial, struct str mechanism)
{
	struct buf response = BUF_INIT;
	struct sasl_reply reply;
	struct str bytes;
	enum next next = GO;

	switch (sasl_decode(line, is_initial, &response)) {
	case SASL_LINE_OK:
		bytes = buf_str(&response);
		reply = is_initial ? sasl_start(&s->sasl, mechanism, &bytes) :
		    sasl_step(&s->sasl, bytes);
		next = on_reply(s, &reply);
		break;
	case SASL_LINE_CANCEL:
	case SASL_LINE_BAD:
		/* RFC 5034 4: "*" cancels; both are -ERR. */
		respond_error(s, "the exchange was cancelled, or is no base64");
		sasl_end(&s->sasl);
		s->step = &step_command;
		break;
	}
	buf_wipe(&response);
	return next;
}

static void
list_mechanisms(struct session *s)
{
	const char *name;

	respond_ok(s, "mechanisms follow");
	for (size_t i = 0; (name = sasl_mechanism_name(i)) != NULL; i++)
		respond_line(s, "%s", name);
	respond_dot(s);
}

enum next
cmd_auth(struct session *s, const struct request *req)
{
	struct str rest = req->text;
	struct str mechanism, initial;
	struct sasl_reply reply;

	if (!login_is_allowed(s))
		return needs_tls(s);
	if (!str_word(&rest, &mechanism)) {
		list_mechanisms(s);
		return GO;
	}
	if (!sasl_mechanism_exists(mechanism)) {
		respond_error(s, "there is no such mechanism here, CAPA tells which are");
		return GO;
	}
	if (str_word(&rest, &initial))
		return step_exchange(s, initial, true, mechanism);
	reply = sasl_start(&s->sasl, mechanism, NULL);
	return on_reply(s, &reply);
}

enum next
login_read_response(struct session *s)
{
	struct buf *input = stream_input(s->stream);
	struct str line;
	size_t used;
	enum next next;

	switch (parse_line(buf_str(input), SASL_LINE_MAX, &line, &used)) {
	case MORE:
		return s->eof ? session_end(s) : WAIT;
	case BAD:
		respond_error(s, "closing: the answer is longer than %d octets", SASL_LINE_MAX);
		return session_end(s);
	case PARSED:
		break;
	}
	next = step_exchange(s, line, false, STR_EMPTY);
	explicit_bzero(input->p, used);
	buf_take(input, used);
	return next;
}
