/* SPDX-License-Identifier: ISC */
/*
 * APPEND (RFC 3501 6.3.11), of many messages (RFC 3502) and of binary ones (RFC 3516 4.4), with APPENDUID (RFC 4315 3); REPLACE
 * (RFC 8508). Messages are never in memory: they go from the stream into the store as they come. What is known to be
 * refused is refused before it is sent; who sends it without waiting (RFC 7888) has it skipped. OK means that all
 * messages are on disk; without it there is none, and what was to be replaced is where it was.
 */
#include "imapd/imapd.h"

struct appending {
	uint32_t count;			/* messages so far */
	uint64_t left;			/* octets of this one still to come */
	const char *refused;		/* "NO ...": what came cannot be kept; NULL: it can */
	/* of its header */
	bool in_header;
	bool line_begins;
};

static enum next receive_message(struct session *);

uint64_t
append_limit(const struct session *s)
{
	uint64_t limit = s->process->settings->message_size_limit;

	return limit < MESSAGE_BYTES_MAX ? limit : MESSAGE_BYTES_MAX;
}

static const char *
words_for(enum store_result result)
{
	/* RFC 4469 and RFC 7889: the message, not the mailbox, is too much. */
	if (result == STORE_TOO_LARGE)
		return "NO [TOOBIG] The message or its list of flags is too large";
	return words_of(result, result == STORE_GONE ? ABOUT_MESSAGES : ABOUT_TARGET);
}

/* RFC 3516 4.4: UNKNOWN-CTE, where no way is left to store it so that all clients can be sent it. */
static const char *
words_for_content(enum store_result result)
{
	return result == STORE_NOT_ALLOWED ?
	    "NO [UNKNOWN-CTE] A NUL stands where the message says that there is none" :
	    words_for(result);
}

/* ---- before a message is sent ---- */

/* False: it was answered. */
static bool
may_be_sent(struct session *s)
{
	/* RFC 3502: this may be how a client cancels all. */
	if (s->frame.literal == 0)
		finish(s, "NO [CANNOT] A message cannot be empty");
	else if (s->frame.literal > append_limit(s))
		finish(s, "NO [TOOBIG] The message is larger than %llu octets",
		    (unsigned long long)append_limit(s));
	else
		return true;
	return false;
}

static struct append_options
options_of(const struct session *s)
{
	const struct append_arguments *arguments = &s->req.append;

	return (struct append_options){
		.mailbox = arguments->name.utf8,
		.size = s->frame.literal,
		.flags = arguments->flags,
		.internal_date = arguments->has_date ? arguments->date : 0,
		.binary = arguments->binary,
	};
}

static enum next
ask_for_message(struct session *s)
{
	struct appending *appending = s->work.own;

	appending->count++;
	appending->left = s->frame.literal;
	appending->in_header = appending->line_begins = true;
	s->message_due = false;
	s->step = receive_message;
	if (s->frame.waits)
		buf_put_z(out_of(s), "+ Ready for the message\r\n");
	return GO;
}

/* The message to be replaced, by its number; false: it was answered. */
static bool
find_replaced(struct session *s, struct append_options *options)
{
	uint32_t number = s->req.append.replaced;
	struct message message;

	if (number == SEQUENCE_STAR || !s->req.by_uid) {
		number = number == SEQUENCE_STAR ? mailbox_exists(s->mailbox) : number;
		if (!mailbox_message(s->mailbox, number, &message)) {
			finish_bad(s, "There is no message with that number");
			return false;
		}
		number = message.uid;
	} else if (mailbox_seq_of_uid(s->mailbox, number) == 0) {
		/* RFC 8508 3.2: NO - can't remove specified message */
		finish_result(s, STORE_NO_SUCH, ABOUT_MESSAGES);
		return false;
	}
	options->replaces = s->mailbox;
	options->replaced_uid = number;
	return true;
}

enum next
cmd_append(struct session *s)
{
	struct append_options options;
	enum store_result result;

	if (!s->message_due)
		return finish_bad(s, "The last argument is a literal, the message");
	if (s->req.append.name.state != NAME_GOOD)
		return finish_bad_name(s);
	if (!may_be_sent(s))
		return GO;
	options = options_of(s);
	if (s->req.command == COMMAND_REPLACE && !find_replaced(s, &options))
		return GO;
	result = append_begin(room_account(s), &options, &s->work.append);
	if (result != STORE_OK) {
		s->work.append = NULL;
		return finish(s, "%s", words_for(result));
	}
	s->work.own = arena_one(s->arena, struct appending);
	return ask_for_message(s);
}

enum next
cmd_append_next(struct session *s, struct lexer *lexer)
{
	struct appending *appending = s->work.own;
	struct append_options options;
	enum store_result result;

	if (s->req.command == COMMAND_REPLACE)		/* RFC 8508 4.7 */
		return finish_bad(s, "REPLACE takes one message");
	if (parse_append_next(lexer, &s->req) == BAD)
		return finish_bad(s, lexer->why);
	/* RFC 3502: before all messages have come. */
	if (appending->refused != NULL)
		return finish(s, "%s", appending->refused);
	if (appending->count == APPEND_MESSAGES_MAX)
		return finish(s, "NO [LIMIT] More than %d messages at once", APPEND_MESSAGES_MAX);
	if (!may_be_sent(s))
		return GO;
	options = options_of(s);
	result = append_next(s->work.append, &options);
	return result == STORE_OK ? ask_for_message(s) : finish(s, "%s", words_for_content(result));
}

/* ---- while it comes ---- */

/* Is there an 8-bit octet in the header? What ends it is an empty line. */
static bool
see_header(struct appending *appending, struct str bytes)
{
	for (size_t i = 0; i < bytes.n && appending->in_header; i++) {
		if ((unsigned char)bytes.p[i] >= 0x80)
			return true;
		if (bytes.p[i] == '\n') {
			appending->in_header = !appending->line_begins;
			appending->line_begins = true;
		} else if (bytes.p[i] != '\r') {
			appending->line_begins = false;
		}
	}
	return false;
}

static void
look_at(struct session *s, struct appending *appending, struct str bytes)
{
	/* RFC 9755 4: the server MUST reject, with a "NO" response. */
	if (appending->in_header && see_header(appending, bytes) && !speaks_utf8(s) &&
	    capability_is_offered(s, STR("UTF8=ACCEPT")))
		appending->refused = "NO [CANNOT] Header fields with 8-bit octets need ENABLE UTF8=ACCEPT";
	/* RFC 3501 4.3.1: no NUL in a literal; RFC 3516 4.4: but in a literal8. */
	if (!s->req.append.binary && str_has_char(bytes, '\0'))
		appending->refused = "NO [CANNOT] A message with NULs comes as a literal8";
}

static enum next
receive_message(struct session *s)
{
	struct appending *appending = s->work.own;
	struct str bytes = str_sub(buf_str(session_input(s)), 0, appending->left);
	enum store_result result;

	if (bytes.n > 0 && appending->refused == NULL)
		look_at(s, appending, bytes);
	if (bytes.n > 0 && appending->refused == NULL) {
		result = append_write(s->work.append, bytes);
		if (result != STORE_OK)
			appending->refused = words_for(result);
	}
	session_take(s, bytes.n);
	appending->left -= bytes.n;
	if (appending->left > 0)
		return s->eof ? END : WAIT;
	frame_append_received(&s->frame);
	s->step = read_command;		/* which finds what follows */
	return GO;
}

/* ---- all have come ---- */

static enum next
publish_slice(struct session *s)
{
	struct appended appended;
	scoped_buf code = BUF_INIT;
	enum store_result result;
	bool done = false;

	if (session_must_wait(s))
		return WAIT;
	result = append_step(s->work.append, true, &appended, &done);
	if (!done) {
		session_progress(s, 0, 0);
		return GO;
	}
	if (result != STORE_OK)
		return finish(s, "%s", words_for_content(result));
	s->work.append = NULL;
	room_changed(s);
	buf_printf(&code, "[APPENDUID %u %u", appended.uidvalidity, appended.uid);
	if (appended.count > 1)
		buf_printf(&code, ":%u", appended.uid + appended.count - 1);
	if (s->req.command != COMMAND_REPLACE)
		return finish(s, "OK %s] %s completed", buf_z(&code), s->command->name);
	/* RFC 8508 4.3: before the EXPUNGE, which the end of the command tells. */
	untagged(s, "OK %s] Replacement message ready", buf_z(&code));
	return finish_done(s);
}

enum next
cmd_append_end(struct session *s, struct lexer *lexer)
{
	struct appending *appending = s->work.own;

	if (parse_append_end(lexer, &s->req) == BAD)
		return finish_bad(s, lexer->why);
	if (appending->refused != NULL)
		return finish(s, "%s", appending->refused);
	s->step = publish_slice;
	return GO;
}
