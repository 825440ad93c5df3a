/* SPDX-License-Identifier: ISC */
/*
 * APPEND (RFC 3501 6.3.11, APPENDUID of RFC 4315 3). The message is never in memory: it
 * goes from the stream into the store as it comes. What is known to be refused is refused
 * before it is sent; who sends it without waiting (RFC 7888) has it skipped. OK means the
 * message is on disk.
 */
#include "imapd/imapd.h"

struct appending {
	uint64_t left;			/* octets still to come */
	enum store_result result;	/* of the writing so far */
	bool holds_nul;
};

static enum next receive_message(struct session *);

static enum next
finish_append(struct session *s, enum store_result result)
{
	/* RFC 4469 and RFC 7889: the message, not the mailbox, is too much. */
	if (result == STORE_TOO_LARGE)
		return finish(s, "NO [TOOBIG] The message or its list of flags is too large");
	return finish_result(s, result, ABOUT_TARGET);
}

static enum next
begin(struct session *s)
{
	const struct append_arguments *arguments = &s->req.append;
	const struct append_options options = {
		.mailbox = arguments->name.utf8,
		.size = s->frame.literal,
		.flags = arguments->flags,
		.internal_date = arguments->has_date ? arguments->date : 0,
	};
	struct appending *appending = arena_one(s->arena, struct appending);
	enum store_result result = append_begin(room_account(s), &options, &s->work.append);

	if (result != STORE_OK) {
		s->work.append = NULL;
		return finish_append(s, result);
	}
	appending->left = s->frame.literal;
	s->work.own = appending;
	s->message_due = false;
	s->step = receive_message;
	if (s->frame.waits)
		buf_put_z(out_of(s), "+ Ready for the message\r\n");
	return GO;
}

enum next
cmd_append(struct session *s)
{
	const struct append_arguments *arguments = &s->req.append;

	if (!s->message_due)
		return finish_bad(s, "APPEND ends in a literal, the message");
	if (arguments->name.state != NAME_GOOD)
		return finish_bad_name(s);
	if (s->frame.literal == 0)
		return finish(s, "NO [CANNOT] A message cannot be empty");
	if (s->frame.literal > s->process->settings->message_size_limit)
		return finish(s, "NO [TOOBIG] The message is larger than %llu octets",
		    (unsigned long long)s->process->settings->message_size_limit);
	return begin(s);
}

static enum next
receive_message(struct session *s)
{
	struct appending *appending = s->work.own;
	struct str bytes = str_sub(buf_str(session_input(s)), 0, appending->left);

	/* RFC 3501 4.3.1: no NUL in a literal. */
	appending->holds_nul |= str_has_char(bytes, '\0');
	if (bytes.n > 0 && appending->result == STORE_OK && !appending->holds_nul)
		appending->result = append_write(s->work.append, bytes);
	session_take(s, bytes.n);
	appending->left -= bytes.n;
	if (appending->left > 0)
		return s->eof ? END : WAIT;
	frame_append_received(&s->frame);
	s->step = read_command;		/* which finds the command's last line end */
	return GO;
}

enum next
cmd_append_done(struct session *s)
{
	struct appending *appending = s->work.own;
	enum store_result result = appending->result;
	struct appended appended;

	if (appending->holds_nul)
		return finish(s, "NO [CANNOT] A message cannot hold a NUL");
	if (result == STORE_OK)
		result = append_publish(s->work.append, true, &appended);
	if (result != STORE_OK)
		return finish_append(s, result);
	s->work.append = NULL;
	room_changed(s);
	return finish(s, "OK [APPENDUID %u %u] %s completed", appended.uidvalidity, appended.uid,
	    s->command->name);
}

void
cmd_append_abandon(struct session *s)
{
	append_abandon(s->work.append);
	s->work.append = NULL;
}
