/* SPDX-License-Identifier: ISC */
/*
 * Finds where a command ends. Each octet is looked at once for a line end, whatever the
 * pieces it came in: .scanned remembers how far. A line that ends in "{n}" or "{n+}" goes on
 * after n octets (RFC 3501 4.3, RFC 7888 4); "~{n}" is no different here (RFC 3516 7).
 */
#include "imapd/frame.h"

#include "imapd/lexer.h"

enum {
	LITERAL_DIGITS_MAX = 19,	/* always fits 64 bits */
	SKIP_KEEPS = 32,	/* more than any "{n+}" CRLF: a piece may end in the middle of one */
};

const struct frame_limits frame_limits_stranger = {
	.line = 8 * 1024, .literal = 4 * 1024, .command = 16 * 1024,
};

const struct frame_limits frame_limits_user = {
	.line = 64 * 1024, .literal = 64 * 1024, .command = 256 * 1024,
};

static const char too_large[] = "the literal is too large";
static const char too_long[] = "the command is too long";

/* What a line announces at its end. */
struct announced {
	bool literal;
	bool waits;		/* {n}, not {n+} */
	bool absurd;		/* more digits than any number we take */
	uint64_t octets;
	size_t at;		/* of the "{", counted from the line's begin */
};

static enum framed take_line(struct frame *, const struct frame_limits *, struct str input);
static enum framed take_literal(struct frame *, struct str input);
static enum framed take_tail(struct frame *, const struct frame_limits *, struct str input);
static enum framed skip_line(struct frame *, struct str input);
static enum framed skip_literal(struct frame *, struct str input);

enum framed
frame_next(struct frame *f, const struct frame_limits *limits, struct str input)
{
	enum framed answer = FRAME_SKIPPED;

	f->consumed = 0;
	f->tag = STR_EMPTY;
	f->literal = 0;
	f->waits = false;
	f->why = NULL;
	/* A step that answers SKIPPED without having taken anything passes on to the next one. */
	while (answer == FRAME_SKIPPED && f->consumed == 0) {
		switch (f->step) {
		case FRAMING_LINE:
			answer = take_line(f, limits, input);
			break;
		case FRAMING_LITERAL:
			answer = take_literal(f, input);
			break;
		case FRAMING_MESSAGE:
			fatal("the frame was asked on while a message was due");
		case FRAMING_TAIL:
			answer = take_tail(f, limits, input);
			break;
		case FRAMING_SKIP_LINE:
			answer = skip_line(f, input);
			break;
		case FRAMING_SKIP_LITERAL:
			answer = skip_literal(f, input);
			break;
		}
	}
	return answer;
}

static void
next_step(struct frame *f, enum framing step, uint64_t left)
{
	f->step = step;
	f->line = f->scanned = 0;
	f->left = left;
}

/* The tag, if a whole one is there: RFC 3501 section 9, "tag". */
static struct str
tag_of(struct str input)
{
	size_t n = 0;

	while (n < input.n && n <= TAG_MAX && lex_is_tag_char(input.p[n]))
		n++;
	if (n == 0 || n > TAG_MAX || n == input.n)
		return STR_EMPTY;
	return ascii_is_space(input.p[n]) ? str_sub(input, 0, n) : STR_EMPTY;
}

static enum framed
refuse(struct frame *f, struct str input, const char *why)
{
	f->tag = tag_of(input);
	f->why = why;
	return FRAME_BAD;
}

/* `line` ends in LF. At most SKIP_KEEPS octets of its end are looked at. */
static struct announced
announced_by(struct str line)
{
	struct announced none = { 0 }, a = { .literal = true, .waits = true };
	size_t end = line.n - 1, begin;

	if (end > 0 && line.p[end - 1] == '\r')
		end--;
	if (end == 0 || line.p[--end] != '}')
		return none;
	if (end > 0 && line.p[end - 1] == '+') {
		a.waits = false;
		end--;
	}
	begin = end;
	while (begin > 0 && ascii_is_digit(line.p[begin - 1]) && end - begin <= LITERAL_DIGITS_MAX)
		begin--;
	a.absurd = end - begin > LITERAL_DIGITS_MAX;
	if (a.absurd)
		return a;
	if (begin == 0 || line.p[begin - 1] != '{' ||
	    !str_to_u64(str_sub(line, begin, end - begin), &a.octets))
		return none;
	a.at = begin - 1;
	return a;
}

/* Where the mailbox's name of an APPEND or REPLACE begins; 0: it is neither. */
static size_t
name_of_target(struct str input)
{
	struct str replace = STR(" REPLACE "), line;
	size_t at = tag_of(input).n;

	if (at == 0)
		return 0;
	if (str_starts_nocase(str_from(input, at), STR(" APPEND ")))
		return at + STR(" APPEND ").n;
	if (str_starts_nocase(str_from(input, at), STR(" UID REPLACE ")))
		at += STR(" UID").n;
	if (!str_starts_nocase(str_from(input, at), replace))
		return 0;
	/* RFC 8508 5: the message's number stands before it. */
	at += replace.n;
	line = str_sub(input, 0, str_index(input, '\n'));
	at += str_index(str_from(line, at), ' ') + 1;
	return at < line.n ? at : 0;
}

/* RFC 3501 6.3.11: only the mailbox and the message can be literals. The mailbox's one stands where its name begins. */
static bool
announces_message(const struct frame *f, struct str input, size_t at)
{
	size_t name = name_of_target(input);

	return name > 0 && (f->line > 0 || at != name);
}

static enum framed
begin_message(struct frame *f, size_t end, const struct announced *a, enum framed answer)
{
	next_step(f, FRAMING_MESSAGE, 0);
	f->consumed = end;
	f->literal = a->octets;
	f->waits = a->waits;
	return answer;
}

/* A client that waits is told BAD and sends nothing; of another the octets are on their way. */
static enum framed
refuse_literal(struct frame *f, struct str input, size_t end, const struct announced *a,
    const char *why)
{
	f->consumed = end;
	f->literal = a->octets;
	f->waits = a->waits;
	f->lost = a->absurd && !a->waits;
	if (a->waits)
		next_step(f, FRAMING_LINE, 0);
	else
		next_step(f, FRAMING_SKIP_LITERAL, f->lost ? UINT64_MAX : a->octets);
	return refuse(f, input, why);
}

static enum framed
refuse_line(struct frame *f, struct str input, bool command)
{
	f->consumed = f->line;
	next_step(f, FRAMING_SKIP_LINE, 0);
	return refuse(f, input, command ? too_long : "the line is too long");
}

static enum framed
end_command(struct frame *f, struct str input, size_t end)
{
	next_step(f, FRAMING_LINE, 0);
	f->tag = tag_of(input);
	f->consumed = end;
	return FRAME_COMMAND;
}

static enum framed
take_line(struct frame *f, const struct frame_limits *limits, struct str input)
{
	size_t end = f->scanned + str_index(str_from(input, f->scanned), '\n') + 1;
	bool whole = end <= input.n;
	bool command_first = limits->command < f->line + limits->line;
	size_t limit = command_first ? limits->command : f->line + limits->line;
	struct announced a;

	/* Cut short or not, a line is refused by its length alone. */
	if ((whole ? end : input.n) > limit)
		return refuse_line(f, input, command_first);
	f->scanned = input.n;
	if (!whole)
		return FRAME_MORE;
	a = announced_by(str_sub(input, f->line, end - f->line));
	if (!a.literal)
		return end_command(f, input, end);
	if (a.absurd)
		return refuse_literal(f, input, end, &a, too_large);
	if (announces_message(f, input, f->line + a.at)) {
		f->tag = tag_of(input);
		return begin_message(f, end, &a, FRAME_APPEND);
	}
	if (a.octets > limits->literal)
		return refuse_literal(f, input, end, &a, too_large);
	if (a.octets > limits->command - end)
		return refuse_literal(f, input, end, &a, too_long);
	f->step = FRAMING_LITERAL;
	f->line = f->scanned = end + (size_t)a.octets;
	f->tag = tag_of(input);
	return a.waits ? FRAME_GO_AHEAD : FRAME_SKIPPED;
}

static enum framed
take_literal(struct frame *f, struct str input)
{
	if (input.n < f->line)
		return FRAME_MORE;
	f->step = FRAMING_LINE;
	return FRAME_SKIPPED;
}

/* After a message: what announces another one, or the end. It has no tag of its own. */
static enum framed
take_tail(struct frame *f, const struct frame_limits *limits, struct str input)
{
	size_t end = f->scanned + str_index(str_from(input, f->scanned), '\n') + 1;
	bool whole = end <= input.n;
	struct announced a;

	f->scanned = input.n;
	if ((whole ? end : input.n) > limits->line) {
		next_step(f, FRAMING_SKIP_LINE, 0);
		f->why = "the line after a message is too long";
		return FRAME_BAD;
	}
	if (!whole)
		return FRAME_MORE;
	a = announced_by(str_sub(input, 0, end));
	if (a.absurd) {
		refuse_literal(f, input, end, &a, too_large);
		f->tag = STR_EMPTY;
		return FRAME_BAD;
	}
	if (a.literal)
		return begin_message(f, end, &a, FRAME_APPEND_NEXT);
	next_step(f, FRAMING_LINE, 0);
	f->consumed = end;
	return FRAME_APPENDED;
}

/* The end of a piece may be the begin of a "{n+}": it stays until more has come. */
static enum framed
skip_piece(struct frame *f, struct str input)
{
	f->consumed = input.n > SKIP_KEEPS ? input.n - SKIP_KEEPS : 0;
	f->scanned = input.n - f->consumed;
	return f->consumed > 0 ? FRAME_SKIPPED : FRAME_MORE;
}

static enum framed
skip_line(struct frame *f, struct str input)
{
	size_t end = f->scanned + str_index(str_from(input, f->scanned), '\n') + 1;
	struct announced a;

	if (end > input.n)
		return skip_piece(f, input);
	a = announced_by(str_sub(input, 0, end));
	f->consumed = end;
	/* Who waits for "+" has had a BAD instead: the command is over. */
	if (!a.literal || a.waits) {
		next_step(f, FRAMING_LINE, 0);
		return FRAME_SKIPPED;
	}
	next_step(f, FRAMING_SKIP_LITERAL, a.absurd ? UINT64_MAX : a.octets);
	f->lost = a.absurd;
	f->why = f->lost ? too_large : NULL;
	return f->lost ? FRAME_BAD : FRAME_SKIPPED;
}

static enum framed
skip_literal(struct frame *f, struct str input)
{
	f->consumed = f->left < input.n ? (size_t)f->left : input.n;
	f->left -= f->consumed;
	if (f->left == 0)
		next_step(f, FRAMING_SKIP_LINE, 0);
	else if (f->consumed == 0)
		return FRAME_MORE;
	return FRAME_SKIPPED;
}

void
frame_append_received(struct frame *f)
{
	next_step(f, FRAMING_TAIL, 0);
}

void
frame_append_refused(struct frame *f)
{
	if (f->waits)
		next_step(f, FRAMING_LINE, 0);
	else
		next_step(f, FRAMING_SKIP_LITERAL, f->literal);
}
