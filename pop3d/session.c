/* SPDX-License-Identifier: ISC */
/*
 * A connection's life, in the front until login and in the keeper after it. Steps say what comes next;
 * nothing is read while an answer is awaited, so pipelined commands (RFC 2449 6.6) are answered in order.
 */
#include "pop3d/pop3d.h"

#include <stdlib.h>

static void on_event(void *context, struct stream *, enum stream_event);
static enum next read_command(struct session *);
static enum next wait_for_answer(struct session *);

const struct step step_command = { "command", read_command };
const struct step step_sasl = { "sasl", login_read_response };
const struct step step_answer = { "answer", wait_for_answer };
const struct step step_send = { "send", mail_send };

struct session *
session_new(struct process *p, struct sessions *all, struct stream *stream, struct str sid,
    struct str peer)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->process = p;
	s->stream = stream;
	s->step = &step_command;
	buf_put(&s->sid, sid);
	buf_put(&s->peer, peer);
	log_add_field(&s->log, KV("sid", sid));
	log_add_field(&s->log, KV("peer", peer));
	TAILQ_INSERT_TAIL(all, s, entry);
	stream_set_handler(stream, on_event, s);
	stream_set_idle_ms(stream, (int64_t)p->settings->session_timeout * 1000);
	return s;
}

/* The list it is in is the front's or the keeper's. */
void
session_free(struct session *s)
{
	struct sessions *all = s->process->state;

	TAILQ_REMOVE(all, s, entry);
	question_cancel(s->question);
	handover_free(s->handover);
	timer_free(s->patience);
	stream_free(s->stream);
	sasl_end(&s->sasl);
	mail_close(s);
	if (s->place != NULL)
		front_leave(s->process, s->place);
	lease_free(s->lease);
	buf_free(&s->user);
	buf_free(&s->sid);
	buf_free(&s->peer);
	log_free(&s->log);
	free(s);
}

enum next
session_end(struct session *s)
{
	stream_finish(s->stream);
	s->stream = NULL;
	return END;
}

void
session_run(struct session *s)
{
	enum next next;

	do
		next = s->step->run(s);
	while (next == GO);
	if (next == END)
		session_free(s);
	else if (s->stream != NULL) {
		stream_flush(s->stream);
		/* Input may have been taken outside the stream's own call. */
		stream_resume(s->stream);
	}
}

static void
on_event(void *context, struct stream *stream, enum stream_event event)
{
	struct session *s = context;

	switch (event) {
	case STREAM_INPUT:
	case STREAM_DRAINED:
		session_run(s);
		return;
	case STREAM_SECURE:
		s->secure = true;
		log_debug(&s->log, "tls", KV("tls", stream_tls_info(stream)));
		session_run(s);
		return;
	case STREAM_EOF:
		/* What was sent before the end is still answered. */
		s->eof = true;
		session_run(s);
		return;
	case STREAM_IDLE:
		respond_error(s, "[SYS/TEMP] closing: nothing was heard for too long");
		session_end(s);
		session_free(s);
		return;
	case STREAM_BROKEN:
		log_debug(&s->log, "broken", KV("why", stream_error(stream)));
		session_free(s);
		return;
	}
}

/* RFC 1939 3: an unknown command, or one out of its state, is -ERR. */
static enum next
bad_command(struct session *s, const char *why)
{
	respond_error(s, "%s", why);
	if (++s->bad_commands < BAD_COMMANDS_MAX)
		return GO;
	respond_error(s, "closing: too many commands that were not understood");
	return session_end(s);
}

static enum next
run_line(struct session *s, struct str line)
{
	const struct command *command;
	struct request request;
	struct str rest;
	const char *why;

	if (str_has_char(line, '\0'))
		return bad_command(s, "a command holds no NUL octets");
	command = command_find(parse_verb(line, &rest));
	if (command == NULL)
		return bad_command(s, "unknown command");
	if (!(command->allowed & s->state))
		return bad_command(s, s->state == AUTHORIZATION ? "log in first" :
		    "you are logged in already");
	if (!parse_arguments(command->arguments, rest, &request, &why))
		return bad_command(s, why);
	return command->run(s, &request);
}

static enum next
read_command(struct session *s)
{
	struct buf *input = stream_input(s->stream);
	struct str line;
	size_t used;
	enum next next;

	if (stream_is_full(s->stream))
		return WAIT;
	switch (parse_line(buf_str(input), COMMAND_LINE_MAX, &line, &used)) {
	case MORE:
		return s->eof ? session_end(s) : WAIT;
	case BAD:
		respond_error(s, "closing: a command line is longer than %d octets",
		    COMMAND_LINE_MAX);
		return session_end(s);
	case PARSED:
		break;
	}
	next = run_line(s, line);
	if (next == END)
		return END;
	/* It may have held a password. After STLS there is no input any more. */
	if (s->state == AUTHORIZATION && input->n >= used)
		explicit_bzero(input->p, used);
	buf_take(input, used);
	return next;
}

/*
 * auth's answer sets the next step and runs the session. A client that has said all it wants to
 * (QUIT included) and closed its half still gets its answers.
 */
static enum next
wait_for_answer(struct session *s)
{
	(void)s;
	return WAIT;
}
