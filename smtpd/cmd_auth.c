/* SPDX-License-Identifier: ISC */
/*
 * STARTTLS (RFC 3207) and AUTH (RFC 4954). A password crosses TLS or a network of
 * plaintext_login, or is not asked for. Wrong name and wrong password get the same words.
 */
#include "smtpd/smtpd.h"

#include "common/base/base64.h"

static enum next run_read_auth_line(struct session *);
static enum next run_await_login(struct session *);

static const struct step read_auth_line = { .name = "read_auth_line", .run = run_read_auth_line };
static const struct step await_login = { .name = "await_login", .run = run_await_login, .ours = true };

static enum next sasl_go_on(struct session *, const struct sasl_reply *);
static void on_login(void *context, enum login_result, struct str address, int keeper_fd);

enum next
cmd_starttls(struct session *s)
{
	if (stream_is_secure(s->stream))
		return reply_error(s, "503 5.5.1 TLS is active already");
	if (front_tls(s->process) == NULL)
		return reply_error(s, "454 4.7.0 TLS is not available");
	reply(s, "220 2.0.0 Ready to start TLS");
	s->step = &secure_then_listen;
	stream_flush(s->stream);
	stream_accept_tls(s->stream, front_tls(s->process));
	/* Nothing of the plaintext input is left, this line included. */
	s->line = (struct line){ 0 };
	return GO;
}

static bool
password_is_safe(const struct session *s)
{
	return s->plaintext_login || stream_is_secure(s->stream);
}

bool
auth_is_offered(const struct session *s)
{
	return s->purpose == PURPOSE_SUBMISSION && password_is_safe(s) && s->account.n == 0;
}

enum next
cmd_auth(struct session *s)
{
	const struct auth_request *auth = &s->request.auth;
	scoped_buf initial = BUF_INIT;
	struct str view;
	struct sasl_reply answer;

	if (s->account.n > 0)
		return reply_error(s, "503 5.5.1 Logged in already");
	if (!password_is_safe(s))
		return reply_error(s, "538 5.7.11 Encryption is needed: say STARTTLS first");
	if (!sasl_mechanism_exists(auth->mechanism))
		return reply_error(s, "504 5.5.4 Mechanism not supported");
	if (front_failures(s->process, &s->peer) >=
	    s->process->settings->login_failures_per_minute)
		return reply_goodbye(s, "4.7.0", "Too many wrong passwords, try again later");
	if (auth->has_initial && sasl_decode(auth->initial, true, &initial) != SASL_LINE_OK) {
		buf_wipe(&initial);
		return reply_error(s, "501 5.5.2 This is not base64");
	}
	view = buf_str(&initial);
	s->sasl = SASL_INIT;
	answer = sasl_start(&s->sasl, auth->mechanism, auth->has_initial ? &view : NULL);
	buf_wipe(&initial);
	return sasl_go_on(s, &answer);
}

static enum next
abort_auth(struct session *s, const char *text)
{
	sasl_end(&s->sasl);
	s->step = &read_command;
	return reply_error(s, text);
}

static enum next
ask_login(struct session *s, const struct sasl_credentials *credentials)
{
	struct login_question question = {
		.sid = buf_str(&s->sid), .peer = &s->peer, .secure = stream_is_secure(s->stream),
		.authzid = credentials->authorise_as, .authcid = credentials->user,
		.password = credentials->password,
	};

	s->answered = false;
	s->question = login_ask(s->process, &question, on_login, s);
	sasl_end(&s->sasl);
	s->step = &await_login;
	return GO;
}

static enum next
sasl_go_on(struct session *s, const struct sasl_reply *answer)
{
	scoped_buf text = BUF_INIT;

	switch (answer->result) {
	case SASL_BAD:
		buf_put_z(&text, "501 5.5.2 ");
		buf_put_z(&text, answer->why);
		return abort_auth(s, buf_z(&text));
	case SASL_CREDENTIALS:
		return ask_login(s, &answer->credentials);
	case SASL_CHALLENGE:
		break;
	}
	buf_put_z(&text, "334 ");
	base64_encode(&text, answer->challenge);
	reply_line(s, buf_str(&text));
	s->step = &read_auth_line;
	return GO;
}

static enum next
answer_challenge(struct session *s, struct str line)
{
	scoped_buf response = BUF_INIT;
	enum sasl_line kind = sasl_decode(line, false, &response);
	struct sasl_reply answer;
	enum next next;

	if (kind == SASL_LINE_OK) {
		answer = sasl_step(&s->sasl, buf_str(&response));
		next = sasl_go_on(s, &answer);
	} else {
		next = abort_auth(s, kind == SASL_LINE_CANCEL ? "501 5.7.0 AUTH cancelled" :
		    "501 5.5.2 This is not base64");
	}
	buf_wipe(&response);
	return next;
}

static enum next
run_read_auth_line(struct session *s)
{
	enum next next = GO;

	if (s->closing)
		return reply_goodbye(s, "4.3.2", "The server is going down, try again later");
	switch (session_line(s, LINE_AUTH_MAX)) {
	case LINE_MORE:
		return s->eof ? END : WAIT;
	case LINE_BARE:
		return reply_bare_line(s);
	case LINE_TOO_LONG:
		/* RFC 4954 4 */
		next = abort_auth(s, "500 5.5.6 Line too long");
		break;
	case LINE_GOT:
		next = answer_challenge(s, s->line.text);
		break;
	}
	session_drop_line(s);
	session_be_patient(s);
	return next;
}

static void
on_login(void *context, enum login_result result, struct str address, int keeper_fd)
{
	struct session *s = context;

	close_fd(&keeper_fd);
	s->question = NULL;
	s->login_result = result;
	if (result == LOGIN_OK)
		buf_put(&s->account, address);
	session_answered(s);
}

static enum next
login_refused(struct session *s)
{
	enum next next;

	log_info(&s->log, "login.refused");
	front_count_failure(s->process, &s->peer);
	next = reply_error(s, "535 5.7.8 Authentication credentials invalid");
	if (next == GO && ++s->wrong_passwords >= s->process->settings->login_failures)
		next = reply_goodbye(s, "4.7.0", "Too many wrong passwords");
	return next;
}

static enum next
run_await_login(struct session *s)
{
	if (!s->answered)
		return WAIT;
	s->step = &read_command;
	session_be_patient(s);
	switch (s->login_result) {
	case LOGIN_OK:
		s->settled = true;
		log_info(&s->log, "login", KV("user", buf_str(&s->account)));
		reply(s, "235 2.7.0 Authentication successful");
		return GO;
	case LOGIN_WRONG:
		return login_refused(s);
	case LOGIN_UNAVAILABLE:
		return reply_error(s, "454 4.7.0 Cannot be checked now, try again later");
	case LOGIN_TOO_MANY:
		break;
	}
	return reply_goodbye(s, "4.7.0", "Too many wrong passwords, try again later");
}
