/* SPDX-License-Identifier: ISC */
/*
 * RFC 5322 2.2: fields, folded or not, up to an empty line. A line that is no field ends the section too; where
 * it is the very first, an empty line is put before it, so that text without a header does not
 * become one when our trace fields come on top. At most HELD_MAX octets are ever held.
 */
#include "smtpd/head.h"

enum { HELD_MAX = 80 };		/* octets; longer names are not ones that we look for */

enum line_kind { LINE_UNDECIDED, LINE_FIELD, LINE_EMPTY, LINE_OTHER };

bool
head_is_over(const struct head *head)
{
	return head->at == HEAD_AT_BODY;
}

/* RFC 5322 3.6.8: printable ASCII without the colon. Obsolete syntax (4.5) has blanks before it. */
static enum line_kind
kind_of(struct str line, bool first)
{
	size_t n = 0;

	if (str_starts(line, STR("\r\n")))
		return LINE_EMPTY;
	if (line.n == 0 || (line.n == 1 && line.p[0] == '\r'))
		return LINE_UNDECIDED;
	if (line.p[0] == ' ' || line.p[0] == '\t')
		return first ? LINE_OTHER : LINE_FIELD;
	while (n < line.n && line.p[n] > ' ' && line.p[n] < 127 && line.p[n] != ':')
		n++;
	/* What mailbox files begin with and some programs leave in: not a field, and not text. */
	if (first && n < line.n && (str_starts(line, STR("From ")) || str_starts(line, STR(">From "))))
		return LINE_FIELD;
	if (n == line.n)
		return n < HELD_MAX ? LINE_UNDECIDED : LINE_FIELD;
	if (n == 0)
		return LINE_OTHER;
	while (n < line.n && (line.p[n] == ' ' || line.p[n] == '\t'))
		n++;
	if (n == line.n)
		return n < HELD_MAX ? LINE_UNDECIDED : LINE_OTHER;
	return line.p[n] == ':' ? LINE_FIELD : LINE_OTHER;
}

static void
keep_bytes(struct head *head, struct str bytes)
{
	struct buf *kept = head->keep == HEAD_KEEP_ID ? &head->message_id : &head->subject;

	if (head->keep != HEAD_KEEP_NOTHING)
		buf_put(kept, str_sub(bytes, 0, HEAD_VALUE_MAX - kept->n));
}

/* What begins with a blank goes on with the field before it (RFC 5322 2.2.3). */
static void
note_field(struct head *head)
{
	struct str line = buf_str(&head->held);
	struct str name = str_trim(str_sub(line, 0, str_index(line, ':')));

	if (line.p[0] == ' ' || line.p[0] == '\t') {
		keep_bytes(head, line);
		return;
	}
	head->keep = HEAD_KEEP_NOTHING;
	if (!head->has_message_id && str_eq_nocase(name, STR("Message-ID")))
		head->keep = HEAD_KEEP_ID;
	else if (head->subject.n == 0 && str_eq_nocase(name, STR("Subject")))
		head->keep = HEAD_KEEP_SUBJECT;
	if (str_eq_nocase(name, STR("Received")))
		head->received++;
	head->has_date |= str_eq_nocase(name, STR("Date"));
	head->has_message_id |= str_eq_nocase(name, STR("Message-ID"));
}

static void
add_missing(struct head *head, struct buf *out)
{
	if (!head->has_message_id)
		buf_put(out, head->add_message_id);
	if (!head->has_date)
		buf_put(out, head->add_date);
}

static void
decide(struct head *head, enum line_kind kind, struct buf *out)
{
	bool first = head->at == HEAD_AT_START;

	if (kind == LINE_FIELD) {
		note_field(head);
		head->at = HEAD_AT_TEXT;
	} else {
		add_missing(head, out);
		if (kind == LINE_OTHER && first)
			buf_put(out, STR("\r\n"));
		head->at = HEAD_AT_BODY;
	}
	buf_put(out, buf_str(&head->held));
	buf_clear(&head->held);
}

/* One octet of a line that is not known yet. */
static void
hold(struct head *head, char c, struct buf *out)
{
	enum line_kind kind;

	buf_put_c(&head->held, c);
	kind = kind_of(buf_str(&head->held), head->at == HEAD_AT_START);
	if (kind != LINE_UNDECIDED)
		decide(head, kind, out);
}

void
head_take(struct head *head, struct str bytes, struct buf *out)
{
	size_t end;

	while (bytes.n > 0) {
		switch (head->at) {
		case HEAD_AT_START:
		case HEAD_AT_LINE:
			hold(head, bytes.p[0], out);
			bytes = str_from(bytes, 1);
			break;
		case HEAD_AT_TEXT:
			end = str_index(bytes, '\n');
			if (end < bytes.n) {
				end++;
				head->at = HEAD_AT_LINE;
			}
			buf_put(out, str_sub(bytes, 0, end));
			keep_bytes(head, str_sub(bytes, 0, end));
			bytes = str_from(bytes, end);
			break;
		case HEAD_AT_BODY:
			buf_put(out, bytes);
			return;
		}
	}
}

void
head_end(struct head *head, struct buf *out)
{
	if (head->at == HEAD_AT_BODY)
		return;
	if (head->held.n > 0)
		decide(head, LINE_OTHER, out);
	else
		decide(head, LINE_EMPTY, out);
}

void
head_free(struct head *head)
{
	buf_free(&head->held);
	buf_free(&head->message_id);
	buf_free(&head->subject);
}
