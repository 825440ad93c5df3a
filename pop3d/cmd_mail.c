/* SPDX-License-Identifier: ISC */
/*
 * STAT LIST UIDL RETR TOP DELE RSET (RFC 1939 5, 7). Message numbers are those of the mailbox as it
 * was at login; they never change, whoever else works on it.
 */
#include <stdlib.h>

#include "pop3d/pop3d.h"

enum { SLICE = 64 * 1024 };

bool
mail_open(struct session *s)
{
	enum store_result result = mailbox_open(pop3_account(s->process), STR("INBOX"),
	    MAILBOX_READ_WRITE, &s->mailbox);

	if (result != STORE_OK) {
		respond_store(s, result);
		return false;
	}
	s->count = mailbox_exists(s->mailbox);
	s->deleted = xcalloc(s->count, sizeof(*s->deleted));
	s->retrieved = xcalloc(s->count, sizeof(*s->retrieved));
	return true;
}

void
mail_close(struct session *s)
{
	content_close(s->content);
	s->content = NULL;
	if (s->mailbox != NULL)
		mailbox_close(s->mailbox);
	s->mailbox = NULL;
	free(s->deleted);
	free(s->retrieved);
	s->deleted = s->retrieved = NULL;
}

/* RFC 1939 5: a message marked as deleted is as if it were not there. */
static bool
find_message(struct session *s, uint32_t number, struct message *out)
{
	if (number == 0 || number > s->count || s->deleted[number - 1] ||
	    !mailbox_message(s->mailbox, number, out)) {
		respond_error(s, "there is no message %u", number);
		return false;
	}
	return true;
}

static void
count_all(struct session *s, uint32_t *messages, uint64_t *octets)
{
	struct message m;

	*messages = 0;
	*octets = 0;
	for (uint32_t i = 1; i <= s->count; i++) {
		if (s->deleted[i - 1] || !mailbox_message(s->mailbox, i, &m))
			continue;
		++*messages;
		*octets += m.size;
	}
}

enum next
cmd_stat(struct session *s, const struct request *req)
{
	uint32_t messages;
	uint64_t octets;

	(void)req;
	count_all(s, &messages, &octets);
	respond_ok(s, "%u %llu", messages, (unsigned long long)octets);
	return GO;
}

enum next
cmd_list(struct session *s, const struct request *req)
{
	struct message m;
	uint32_t messages;
	uint64_t octets;

	if (req->message > 0) {
		if (find_message(s, req->message, &m))
			respond_ok(s, "%u %u", req->message, m.size);
		return GO;
	}
	count_all(s, &messages, &octets);
	respond_ok(s, "%u messages (%llu octets)", messages, (unsigned long long)octets);
	for (uint32_t i = 1; i <= s->count; i++)
		if (!s->deleted[i - 1] && mailbox_message(s->mailbox, i, &m))
			respond_line(s, "%u %u", i, m.size);
	respond_dot(s);
	return GO;
}

/* RFC 1939 7 UIDL: persistent over sessions, never used twice: UIDVALIDITY and UID are. */
enum next
cmd_uidl(struct session *s, const struct request *req)
{
	uint32_t validity = mailbox_uidvalidity(s->mailbox);
	struct message m;

	if (req->message > 0) {
		if (find_message(s, req->message, &m))
			respond_ok(s, "%u %u.%u", req->message, validity, m.uid);
		return GO;
	}
	respond_ok(s, "unique ids follow");
	for (uint32_t i = 1; i <= s->count; i++)
		if (!s->deleted[i - 1] && mailbox_message(s->mailbox, i, &m))
			respond_line(s, "%u %u.%u", i, validity, m.uid);
	respond_dot(s);
	return GO;
}

static enum next
begin_sending(struct session *s, const struct request *req, bool limited)
{
	enum store_result result;
	struct message m;

	if (!find_message(s, req->message, &m))
		return GO;
	result = content_open(s->mailbox, m.uid, &s->content);
	if (result != STORE_OK) {
		respond_store(s, result);
		return GO;
	}
	if (limited)
		respond_ok(s, "top of message follows");
	else
		respond_ok(s, "%llu octets", (unsigned long long)content_size(s->content));
	s->sending = req->message;
	s->at = 0;
	s->line_start = true;
	s->cr_sent = false;
	s->in_header = true;
	s->limited = limited;
	s->lines_left = req->lines;
	s->step = &step_send;
	return GO;
}

enum next
cmd_retr(struct session *s, const struct request *req)
{
	return begin_sending(s, req, false);
}

enum next
cmd_top(struct session *s, const struct request *req)
{
	return begin_sending(s, req, true);
}

/* One line, or the part of one that is there; RFC 1939 3: a leading dot is doubled. */
static void
put_piece(struct session *s, struct buf *out, struct str piece)
{
	if (s->line_start && piece.p[0] == '.')
		buf_put_c(out, '.');
	buf_put(out, piece);
	s->line_start = piece.p[piece.n - 1] == '\n';
	s->cr_sent = piece.p[piece.n - 1] == '\r';
}

/* TOP: the header, the blank line, and so many lines of the body. True: that was all. */
static bool
put_limited(struct session *s, struct buf *out, struct str bytes)
{
	while (bytes.n > 0) {
		size_t n = str_index(bytes, '\n') + 1;
		struct str piece = str_sub(bytes, 0, n);
		bool whole = s->line_start;

		if (!s->in_header && s->line_start && s->lines_left == 0)
			return true;
		put_piece(s, out, piece);
		bytes = str_from(bytes, n);
		if (!s->line_start)
			continue;
		if (!s->in_header)
			s->lines_left--;
		else if (whole && (str_eq(piece, STR("\r\n")) || str_eq(piece, STR("\n"))))
			s->in_header = false;
	}
	return !s->in_header && s->line_start && s->lines_left == 0;
}

/* No work per line: from one "\n." to the next. */
static void
put_stuffed(struct session *s, struct buf *out, struct str bytes)
{
	while (bytes.n > 0) {
		size_t n = str_find(bytes, STR("\n."));

		n = n < bytes.n ? n + 1 : bytes.n;
		put_piece(s, out, str_sub(bytes, 0, n));
		bytes = str_from(bytes, n);
	}
}

static enum next
finish_sending(struct session *s)
{
	struct buf *out = stream_output(s->stream);

	/* The last line of a message may lack its end. */
	if (!s->line_start)
		buf_put_z(out, s->cr_sent ? "\n" : "\r\n");
	respond_dot(s);
	if (!s->limited)
		s->retrieved[s->sending - 1] = true;
	s->octets_sent += s->at;
	content_close(s->content);
	s->content = NULL;
	s->step = &step_command;
	return GO;
}

enum next
mail_send(struct session *s)
{
	scoped_buf slice = BUF_INIT;
	struct buf *out = stream_output(s->stream);
	bool done = s->at >= content_size(s->content);

	if (stream_is_full(s->stream))
		return WAIT;
	if (!done && (content_read(s->content, s->at, SLICE, &slice) != STORE_OK || slice.n == 0)) {
		/* Half a message was sent: only a closed connection tells the client so. */
		log_error(&s->log, "retr.failed", KV("message", s->sending));
		return session_end(s);
	}
	s->at += slice.n;
	if (s->limited)
		done = put_limited(s, out, buf_str(&slice)) || done;
	else
		put_stuffed(s, out, buf_str(&slice));
	return done ? finish_sending(s) : GO;
}

enum next
cmd_dele(struct session *s, const struct request *req)
{
	struct message m;

	if (find_message(s, req->message, &m)) {
		s->deleted[req->message - 1] = true;
		respond_ok(s, "message %u will be deleted at QUIT", req->message);
	}
	return GO;
}

enum next
cmd_rset(struct session *s, const struct request *req)
{
	(void)req;
	memset(s->deleted, 0, s->count * sizeof(*s->deleted));
	respond_ok(s, "nothing will be deleted");
	return GO;
}
