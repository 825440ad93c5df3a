/* SPDX-License-Identifier: ISC */
/*
 * Dates, and APPEND and REPLACE up to each of their messages (RFC 3501 6.3.11, RFC 3502, RFC 8508). The messages themselves
 * never come here: the frame ends before them, and what must stand last is a "{n}".
 */
#include "imapd/parse.h"

enum { SECONDS_PER_DAY = 24 * 60 * 60 };

/* ---- dates ---- */

struct civil {
	uint32_t year;
	uint32_t month;		/* 1 .. 12 */
	uint32_t day;
};

static bool
take_month(struct lexer *lexer, uint32_t *out)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct str here = str_sub((struct str){ lexer->p, lexer->n }, lexer->at, 3);

	for (uint32_t month = 0; month < 12; month++) {
		if (!str_eq_nocase(here, (struct str){ names + 3 * month, 3 }))
			continue;
		lexer->at += 3;
		*out = month + 1;
		return true;
	}
	return lex_fail(lexer, "a month (Jan to Dec)");
}

static uint32_t
days_in_month(uint32_t year, uint32_t month)
{
	static const uint32_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

/* Days since 1970-01-01 in the Gregorian calendar; March counts as the year's first month. */
static int32_t
days_of(struct civil date)
{
	int32_t year = (int32_t)date.year - (date.month <= 2);
	int32_t month = (int32_t)(date.month + 9) % 12;
	int32_t century_days = year >= 0 ? year / 4 - year / 100 + year / 400 : -1;

	return 365 * year + century_days + (153 * month + 2) / 5 + (int32_t)date.day - 1 - 719468;
}

/* One or two digits: clients write the day either way. */
static bool
take_day(struct lexer *lexer, uint32_t *out)
{
	size_t digits = lexer->at + 1 < lexer->n && ascii_is_digit(lexer->p[lexer->at + 1]) ? 2 : 1;

	return lex_digits(lexer, digits, "a day of the month", out);
}

/* dd-Mon-yyyy */
static bool
take_civil(struct lexer *lexer, int32_t *day)
{
	struct civil date;

	if (!take_day(lexer, &date.day) || !lex_char(lexer, '-') ||
	    !take_month(lexer, &date.month) || !lex_char(lexer, '-') ||
	    !lex_digits(lexer, 4, "a year of four digits", &date.year))
		return false;
	if (date.day == 0 || date.day > days_in_month(date.year, date.month))
		return lex_refuse(lexer, "there is no such day in that month");
	*day = days_of(date);
	return true;
}

bool
take_date(struct lexer *lexer, int32_t *day)
{
	bool quoted = lex_take(lexer, '"');

	return take_civil(lexer, day) && (!quoted || lex_char(lexer, '"'));
}

/* hh:mm:ss; a leap second counts as the next minute's first. */
static bool
take_time(struct lexer *lexer, int64_t *seconds)
{
	uint32_t hour, minute, second;

	if (!lex_digits(lexer, 2, "an hour of two digits", &hour) || !lex_char(lexer, ':') ||
	    !lex_digits(lexer, 2, "a minute of two digits", &minute) || !lex_char(lexer, ':') ||
	    !lex_digits(lexer, 2, "a second of two digits", &second))
		return false;
	if (hour > 23 || minute > 59 || second > 60)
		return lex_refuse(lexer, "there is no such time of day");
	*seconds = hour * 3600 + minute * 60 + second;
	return true;
}

/* +hhmm: how far the clock there is ahead of UTC. */
static bool
take_zone(struct lexer *lexer, int64_t *seconds)
{
	uint32_t hours, minutes;
	bool west = lex_take(lexer, '-');

	if (!west && !lex_take(lexer, '+'))
		return lex_fail(lexer, "a time zone (+hhmm or -hhmm)");
	if (!lex_digits(lexer, 2, "the hours of a time zone", &hours) ||
	    !lex_digits(lexer, 2, "the minutes of a time zone", &minutes))
		return false;
	if (hours > 23 || minutes > 59)
		return lex_refuse(lexer, "there is no such time zone");
	*seconds = hours * 3600 + minutes * 60;
	if (west)
		*seconds = -*seconds;
	return true;
}

bool
take_date_time(struct lexer *lexer, int64_t *seconds)
{
	int64_t time = 0, ahead = 0;
	int32_t day;

	if (!lex_char(lexer, '"'))
		return false;
	/* date-day-fixed: a space may stand for the first digit */
	lex_take(lexer, ' ');
	if (!take_civil(lexer, &day) || !lex_space(lexer) || !take_time(lexer, &time) ||
	    !lex_space(lexer) || !take_zone(lexer, &ahead) || !lex_char(lexer, '"'))
		return false;
	*seconds = (int64_t)day * SECONDS_PER_DAY + time - ahead;
	return true;
}

/* ---- APPEND, REPLACE ---- */

/* "{n}" or "{n+}" and nothing more; n is the frame's business. */
static bool
message_follows(struct lexer *lexer)
{
	uint32_t first_digit;

	if (!lex_take(lexer, '{'))
		return lex_fail(lexer, "the message as a literal");
	if (!lex_digits(lexer, 1, "the size of the message", &first_digit))
		return false;
	while (lexer->at < lexer->n && ascii_is_digit(lexer->p[lexer->at]))
		lexer->at++;
	lex_take(lexer, '+');
	return lex_char(lexer, '}') && lex_end(lexer);
}

/* RFC 3502: append-message; RFC 3516 7 and RFC 6855 4 have more kinds of literals. The space before it is taken. */
static bool
take_message(struct lexer *lexer, struct append_arguments *append)
{
	append->flags = (struct flags){ 0 };
	if (lex_peek(lexer, '(') && (!take_flag_list(lexer, &append->flags) || !lex_space(lexer)))
		return false;
	append->has_date = lex_peek(lexer, '"');
	if (append->has_date && (!take_date_time(lexer, &append->date) || !lex_space(lexer)))
		return false;
	append->in_utf8 = lex_take_word(lexer, STR("UTF8"));
	if (append->in_utf8 && (!lex_space(lexer) || !lex_char(lexer, '(')))
		return false;
	append->binary = lex_take(lexer, '~');
	if (append->in_utf8 && !append->binary)
		return lex_fail(lexer, "the message as a literal8");
	return message_follows(lexer);
}

enum parse
parse_append(struct lexer *lexer, struct request *req)
{
	struct append_arguments append = { 0 };

	if (!lex_space(lexer) || !take_mailbox(lexer, &append.name) || !lex_space(lexer) ||
	    !take_message(lexer, &append))
		return BAD;
	req->append = append;
	return PARSED;
}

/* RFC 8508 5: seq-number SP mailbox append-message */
enum parse
parse_replace(struct lexer *lexer, struct request *req)
{
	struct append_arguments append = { .replaced = SEQUENCE_STAR };

	if (!lex_space(lexer) || (!lex_take(lexer, '*') &&
	    !lex_nz_number(lexer, "a message number", &append.replaced)))
		return BAD;
	if (!lex_space(lexer) || !take_mailbox(lexer, &append.name) || !lex_space(lexer) ||
	    !take_message(lexer, &append))
		return BAD;
	req->append = append;
	return PARSED;
}

/* The message before is ended. */
static bool
close_message(struct lexer *lexer, const struct append_arguments *append)
{
	return !append->in_utf8 || lex_char(lexer, ')');
}

enum parse
parse_append_next(struct lexer *lexer, struct request *req)
{
	struct append_arguments append = req->append;

	if (!close_message(lexer, &append) || !lex_space(lexer) || !take_message(lexer, &append))
		return BAD;
	req->append = append;
	return PARSED;
}

enum parse
parse_append_end(struct lexer *lexer, struct request *req)
{
	return close_message(lexer, &req->append) && lex_end(lexer) ? PARSED : BAD;
}
