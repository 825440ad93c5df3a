/* SPDX-License-Identifier: ISC */
/*
 * A connection's life in steps, the same before login (front.c) and after it (keeper.c):
 *
 *	read_command -> the command's own steps -> tell_changes -> conclude -> read_command ...
 *
 * One command at a time, answered in order; what is pipelined stays in the stream (RFC 3501
 * 5.5). No step puts more than a little into an output that is full, and none works longer
 * than a slice.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/mime/render.h"
#include "imapd/binary.h"
#include "imapd/imapd.h"

enum { REFUSED_MESSAGE_MAX = 1 << 30, REFUSED_BY_STRANGER_MAX = 64 * 1024 };

static void on_stream(void *context, struct stream *, enum stream_event);
static void on_wake(void *context);
static void on_patience(void *context);
static enum next start_command(struct session *, bool message_due);
static enum next continue_append(struct session *, bool message_due);
static enum next refuse_frame(struct session *);
static enum next tell_changes(struct session *);
static enum next conclude(struct session *);

/* ---- birth ---- */

void
session_begin(struct session *s, struct process *process, struct stream *stream,
    enum state state)
{
	s->process = process;
	s->stream = stream;
	s->state = state;
	s->step = read_command;
	s->limits = state == GUEST ? &frame_limits_stranger : &frame_limits_user;
	s->arena = arena_new();
	s->wake = timer_new(process->loop, on_wake, s);
	s->patience = timer_new(process->loop, on_patience, s);
	timer_set(s->patience, (int64_t)1000 * (state == GUEST ?
	    process->settings->login_timeout : process->settings->session_timeout));
	stream_set_input_limit(stream, s->limits->command);
	stream_set_handler(stream, on_stream, s);
}

/* ---- the driver ---- */

/* Is there something new for the step that waits? */
static bool
inflated_more(struct session *s)
{
	if (s->compression == NULL)
		return false;
	switch (compression_receive(s->compression, stream_input(s->stream), s->limits->command)) {
	case INFLATED_SOME:
		return true;
	case INFLATED_NOTHING:
		return false;
	case INFLATED_LAST:
		break;
	}
	log_debug(&s->log, "compression_ended");
	s->eof = true;
	return true;
}

void
session_run(struct session *s)
{
	struct room *room = s->room;
	enum next next;

	s->slice_end = clock_tick_ms() + SLICE_MS;
	s->unsent = out_of(s)->n;
	do
		next = s->step(s);
	while (next == GO || (next == WAIT && inflated_more(s)));

	if (next == END)
		s->on_end(s);
	else
		session_flush(s);
	if (room != NULL)
		room_settle(room);
}

/* RFC 3501 5.4: what a logged-in client sends, or takes, starts its time anew. */
static void
heard(struct session *s, bool sent_something)
{
	if (s->state != GUEST && (sent_something || !s->idling))
		timer_set(s->patience, (int64_t)1000 * s->process->settings->session_timeout);
}

static void
on_stream(void *context, struct stream *stream, enum stream_event event)
{
	struct session *s = context;

	switch (event) {
	case STREAM_INPUT:
		heard(s, true);
		break;
	case STREAM_DRAINED:
		heard(s, false);
		break;
	case STREAM_EOF:
		s->eof = true;
		break;
	case STREAM_BROKEN:
		if (stream_lacks_file(stream))
			log_error(&s->log, "body_unreadable", KV("why", stream_error(stream)));
		log_debug(&s->log, "broken", KV("why", stream_error(stream)));
		s->broken = true;
		s->on_end(s);
		return;
	case STREAM_SECURE:
		break;
	case STREAM_IDLE:
		return;
	}
	session_run(s);
}

static void
on_wake(void *context)
{
	session_run(context);
}

static void
on_patience(void *context)
{
	struct session *s = context;

	session_bye(s, s->state == GUEST ? "Login took too long" :
	    "Nothing was heard from you for too long");
}

bool
session_must_wait(struct session *s)
{
	if (stream_is_full(s->stream) ||
	    (s->compression != NULL && compression_is_full(s->compression))) {
		session_flush(s);
		if (stream_is_full(s->stream))
			return true;
	}
	if (clock_tick_ms() < s->slice_end)
		return false;
	timer_set(s->wake, 0);
	return true;
}

void
session_flush(struct session *s)
{
	struct buf *out = out_of(s);

	s->bytes_out += out->n - s->unsent;
	if (s->compression != NULL)
		compression_send(s->compression, stream_output(s->stream));
	stream_flush(s->stream);
	s->unsent = out->n;
}

bool
session_takes_file(const struct session *s)
{
	return s->compression == NULL;
}

void
session_put_file(struct session *s, int fd, uint64_t from, uint64_t n)
{
	/* What was said before it leaves the buffer as well. */
	s->bytes_out += out_of(s)->n - s->unsent + n;
	stream_put_file(s->stream, fd, from, n);
	s->unsent = out_of(s)->n;
}

void
session_progress(struct session *s, uint32_t done, uint32_t all)
{
	int64_t now = clock_monotonic_ms();
	/* RFC 9585 4: a tag with this cannot stand within a code. */
	bool tag = !str_has_char(s->req.tag, ']');
	struct buf *out = out_of(s);

	if (now < s->work.progress_due || !capability_is_offered(s, STR("INPROGRESS")))
		return;
	s->work.progress_due = now + PROGRESS_MS;
	buf_put_z(out, "* OK [INPROGRESS (");
	if (tag)
		render_quoted(out, s->req.tag);
	else
		buf_put_z(out, "NIL");
	if (done < all)
		buf_printf(out, " %u %u)] Still at it\r\n", done, all);
	else
		buf_put_z(out, " NIL NIL)] Still at it\r\n");
}

struct buf *
session_input(struct session *s)
{
	return s->compression != NULL ? compression_input(s->compression) :
	    stream_input(s->stream);
}

void
session_take(struct session *s, size_t n)
{
	struct buf *input = session_input(s);

	s->bytes_in += n;
	/* Before login nearly every line may hold a password. */
	if (s->state == GUEST)
		explicit_bzero(input->p, n);
	buf_take(input, n);
}

bool
session_line(struct session *s, struct str *line, size_t *octets, enum next *next)
{
	struct str input = buf_str(session_input(s));
	size_t n = str_index(str_sub(input, 0, CONTINUATION_MAX), '\n');

	if (n == CONTINUATION_MAX) {
		untagged(s, "BYE That line is too long");
		*next = END;
		return false;
	}
	if (n == input.n) {
		*next = s->eof ? END : WAIT;
		return false;
	}
	*octets = n + 1;
	if (n > 0 && input.p[n - 1] == '\r')
		n--;
	*line = str_sub(input, 0, n);
	return true;
}

bool
speaks_utf8(const struct session *s)
{
	return (s->enabled & (ENABLED_UTF8 | ENABLED_REV2)) != 0;
}

/* ---- the steps ---- */

enum next
read_command(struct session *s)
{
	enum framed framed;

	if (session_must_wait(s))
		return WAIT;
	framed = frame_next(&s->frame, s->limits, buf_str(session_input(s)));
	switch (framed) {
	case FRAME_MORE:
		return s->eof ? END : WAIT;
	case FRAME_SKIPPED:
		session_take(s, s->frame.consumed);
		return GO;
	case FRAME_GO_AHEAD:
		buf_put_z(out_of(s), "+ Ready for the literal\r\n");
		return GO;
	case FRAME_COMMAND:
		return start_command(s, false);
	case FRAME_APPEND:
		return start_command(s, true);
	case FRAME_APPEND_NEXT:
		return continue_append(s, true);
	case FRAME_APPENDED:
		return continue_append(s, false);
	case FRAME_BAD:
		return refuse_frame(s);
	}
	fatal("a frame of kind %d", (int)framed);
}

static const char *
why_not_now(enum state state)
{
	switch (state) {
	case GUEST:
		return "Log in first";
	case USER:
		return "Select a mailbox first";
	case SELECTED:
	case KNOWN:
	case ANY:
		break;
	}
	return "You are logged in already";
}

/* Reads the command into s->req and s->command; what is wrong with it, or NULL. */
static const char *
understand(struct session *s)
{
	const struct command *command;

	if (parse_head(&s->lexer, &s->req) == BAD)
		return s->lexer.why;
	command = command_find(s->req.word, &s->req.command);
	if (command == NULL)
		return "That command is not known here";
	if (s->req.by_uid && !command->takes_uid)
		return "UID cannot stand before that command";
	if (!(command->states & s->state))
		return command->states == GUEST ? why_not_now(SELECTED) : why_not_now(s->state);
	if (command->parse(&s->lexer, &s->req) == BAD)
		return s->lexer.why;
	s->command = command;
	return NULL;
}

static enum next
start_command(struct session *s, bool message_due)
{
	struct str input = buf_str(session_input(s));
	const char *wrong;

	s->message_due = message_due;
	s->lexer = lexer_of(s->arena, str_sub(input, 0, s->frame.consumed));
	s->lexer.utf8 = speaks_utf8(s);
	session_take(s, s->frame.consumed);
	wrong = understand(s);
	if (wrong != NULL)
		return finish_bad(s, wrong);
	log_debug(&s->log, "command", KV("tag", s->req.tag), KV("name", s->req.word),
	    KV("uid", s->req.by_uid));
	if (s->state != GUEST)
		s->bad_commands = 0;
	s->work.progress_due = clock_monotonic_ms() + PROGRESS_MS;
	return s->command->run(s);
}

/* What stands behind an APPEND's message; of many such lines only one is kept at a time. */
static enum next
continue_append(struct session *s, bool message_due)
{
	struct str input = buf_str(session_input(s));
	struct lexer lexer;

	if (s->work.arena == NULL)
		s->work.arena = arena_new();
	arena_reset(s->work.arena);
	s->message_due = message_due;
	lexer = lexer_of(s->work.arena, str_sub(input, 0, s->frame.consumed));
	session_take(s, s->frame.consumed);
	return message_due ? cmd_append_next(s, &lexer) : cmd_append_end(s, &lexer);
}

/* The frame could not find a command: a line too long, a literal too large. */
static enum next
refuse_frame(struct session *s)
{
	/* What follows an APPEND's message has no tag of its own: the APPEND is answered. */
	if (s->command == NULL)
		s->req.tag = arena_str(s->arena, s->frame.tag);
	session_take(s, s->frame.consumed);
	if (s->frame.lost) {
		untagged(s, "BYE %s", s->frame.why);
		return END;
	}
	return finish_bad(s, s->frame.why);
}

/* RFC 3501 7.4.1, 7.3: what happened in the mailbox comes before the tagged answer. */
static enum next
tell_changes(struct session *s)
{
	bool hold = s->command != NULL && s->command->holds_expunges && !s->req.by_uid;

	if (s->mailbox != NULL && sync_tell(s, hold) == WAIT)
		return WAIT;
	if (s->mailbox != NULL)
		sync_tell_modseq(s);
	return conclude(s);
}

static enum next
conclude(struct session *s)
{
	struct buf *out = out_of(s);

	if (!str_starts(buf_str(&s->reply), STR("OK")))
		log_debug(&s->log, "refused", KV("tag", s->req.tag), KV("answer", buf_str(&s->reply)));
	buf_put(out, s->req.tag.n > 0 ? s->req.tag : STR("*"));
	buf_put_c(out, ' ');
	buf_put(out, buf_str(&s->reply));
	buf_put_z(out, "\r\n");
	session_drop_work(s);
	s->step = read_command;
	if (s->compresses && s->compression == NULL) {
		session_flush(s);
		s->compression = compression_new();
		s->unsent = 0;
	}
	if (s->bad_commands >= BAD_COMMANDS_MAX && !s->leaving) {
		untagged(s, "BYE Too many commands that are none");
		return END;
	}
	return s->leaving ? END : GO;
}

/* ---- answers ---- */

/* RFC 7888 4: who did not wait sends the message all the same; it is skipped, within reason. */
static void
refuse_message(struct session *s)
{
	uint64_t most = s->state == GUEST ? REFUSED_BY_STRANGER_MAX : REFUSED_MESSAGE_MAX;

	s->message_due = false;
	if (!s->frame.waits && s->frame.literal > most) {
		untagged(s, "BYE That message is too large to be skipped");
		s->leaving = true;
	}
	frame_append_refused(&s->frame);
}

enum next
finish(struct session *s, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	buf_clear(&s->reply);
	buf_vprintf(&s->reply, format, arguments);
	va_end(arguments);
	if (s->message_due)
		refuse_message(s);
	s->step = tell_changes;
	return GO;
}

enum next
finish_done(struct session *s)
{
	return finish(s, "OK %s completed", s->command->name);
}

enum next
finish_bad(struct session *s, const char *why)
{
	s->bad_commands++;
	finish(s, "BAD %s", why);
	/* Was it a FETCH? Then no EXPUNGE might be told; the next command tells all. */
	s->step = conclude;
	return GO;
}

/* ---- the end ---- */

void
session_drop_work(struct session *s)
{
	content_close(s->work.content);
	binary_reader_free(s->work.binary);
	search_free(s->work.search);
	order_free(s->work.order);
	append_abandon(s->work.append);
	copying_free(s->work.copying);
	expunging_free(s->work.expunging);
	arena_free(s->work.arena);
	buf_free(&s->work.found);
	s->work = (struct work){ 0 };
	if (s->state == GUEST && s->lexer.p != NULL)
		lexer_wipe(&s->lexer);
	s->lexer = (struct lexer){ 0 };
	s->req = (struct request){ 0 };
	s->command = NULL;
	s->idling = false;
	arena_reset(s->arena);
}

void
session_bye(struct session *s, const char *text)
{
	s->unsent = out_of(s)->n;
	/* In the middle of a literal it would be read as a part of that. */
	if (!s->work.mid_response)
		untagged(s, "BYE %s", text);
	log_debug(&s->log, "bye", KV("why", text));
	s->on_end(s);
}

void
session_end(struct session *s)
{
	session_drop_work(s);
	mailbox_close(s->mailbox);
	lease_free(s->lease);
	timer_free(s->wake);
	timer_free(s->patience);
	if (s->compression != NULL && s->stream != NULL && !s->broken)
		compression_send(s->compression, stream_output(s->stream));
	compression_free(s->compression);
	if (s->stream != NULL && !s->broken)
		stream_finish(s->stream);
	else
		stream_free(s->stream);
	arena_free(s->arena);
	buf_free(&s->reply);
	saved_clear(s);
	log_free(&s->log);
	free(s);
}
