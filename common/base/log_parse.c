/* SPDX-License-Identifier: ISC */
#include "common/base/log_parse.h"

#include <time.h>

enum { TIME_LENGTH = 24 };	/* "2026-11-21T18:48:32.123Z" */

/* ---- the head of a line ---- */

static bool
take_number(struct str text, size_t at, size_t digits, uint32_t most, int *out)
{
	uint32_t n;

	if (!str_to_u32(str_sub(text, at, digits), &n) || n > most)
		return false;
	*out = (int)n;
	return true;
}

/* RFC 3339 5.6 in the one form that clock_put_rfc3339 writes. */
static bool
parse_time(struct str text, int64_t *ms)
{
	static const char form[] = "0000-00-00T00:00:00.000Z";
	struct tm tm = { 0 };
	int year, milliseconds;

	if (text.n != TIME_LENGTH)
		return false;
	for (size_t i = 0; i < TIME_LENGTH; i++) {
		if (form[i] == '0' ? !ascii_is_digit(text.p[i]) : text.p[i] != form[i])
			return false;
	}
	if (!take_number(text, 0, 4, 9999, &year) || !take_number(text, 5, 2, 12, &tm.tm_mon) ||
	    !take_number(text, 8, 2, 31, &tm.tm_mday) || !take_number(text, 11, 2, 23, &tm.tm_hour) ||
	    !take_number(text, 14, 2, 59, &tm.tm_min) || !take_number(text, 17, 2, 60, &tm.tm_sec) ||
	    !take_number(text, 20, 3, 999, &milliseconds) || tm.tm_mon == 0 || tm.tm_mday == 0)
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon--;
	*ms = (int64_t)timegm(&tm) * 1000 + milliseconds;
	return true;
}

static bool
parse_level(struct str word, enum log_level *level)
{
	static const char *const words[] = {
		[LOG_LEVEL_ERROR] = "ERROR", [LOG_LEVEL_WARN] = "WARN",
		[LOG_LEVEL_INFO] = "INFO", [LOG_LEVEL_DEBUG] = "DEBUG",
	};

	for (size_t i = 0; i < countof(words); i++) {
		if (!str_eq(word, str_of(words[i])))
			continue;
		*level = (enum log_level)i;
		return true;
	}
	return false;
}

bool
log_parse_line(struct str line, struct log_line *out)
{
	struct log_line parsed;
	struct str word;

	if (!str_cut(&line, ' ', &word) || !parse_time(word, &parsed.at_ms) ||
	    !str_cut(&line, ' ', &word) || !parse_level(word, &parsed.level) ||
	    !str_cut(&line, ' ', &parsed.process) || parsed.process.n == 0 ||
	    !str_cut(&line, ' ', &parsed.event) || parsed.event.n == 0)
		return false;
	parsed.pairs = line;
	*out = parsed;
	return true;
}

/* ---- the pairs ---- */

/* After a backslash: what stood there before quoting; returns the bytes used of the rest. */
static size_t
take_escape(struct str rest, struct buf *value)
{
	int high, low;

	if (rest.n == 0)
		return 0;
	if (rest.p[0] != 'x' || rest.n < 3) {
		buf_put_c(value, rest.p[0]);
		return 1;
	}
	high = ascii_hex(rest.p[1]);
	low = ascii_hex(rest.p[2]);
	if (high < 0 || low < 0) {
		buf_put_c(value, 'x');
		return 1;
	}
	buf_put_c(value, (char)(high * 16 + low));
	return 3;
}

/* From behind the opening quote; returns where the next byte after the closing one is. */
static size_t
take_quoted(struct str text, struct buf *value)
{
	size_t i = 0;

	while (i < text.n && text.p[i] != '"') {
		if (text.p[i] == '\\')
			i += 1 + take_escape(str_from(text, i + 1), value);
		else
			buf_put_c(value, text.p[i++]);
	}
	return i < text.n ? i + 1 : text.n;
}

bool
log_parse_next(struct str *pairs, struct str *key, struct buf *value)
{
	struct str rest = *pairs, plain;
	size_t equals;

	buf_clear(value);
	while (rest.n > 0 && rest.p[0] == ' ')
		rest = str_from(rest, 1);
	equals = str_index(rest, '=');
	if (equals == 0 || equals == rest.n || str_has_char(str_sub(rest, 0, equals), ' ')) {
		*pairs = STR_EMPTY;
		return false;
	}
	*key = str_sub(rest, 0, equals);
	rest = str_from(rest, equals + 1);
	if (rest.n > 0 && rest.p[0] == '"')
		rest = str_from(rest, 1 + take_quoted(str_from(rest, 1), value));
	/* A value without quotes, or the dots behind one that was too long. */
	plain = str_sub(rest, 0, str_index(rest, ' '));
	buf_put(value, plain);
	*pairs = str_from(rest, plain.n);
	return true;
}

bool
log_parse_find(struct str pairs, struct str key, struct buf *value)
{
	struct str name;

	while (log_parse_next(&pairs, &name, value))
		if (str_eq(name, key))
			return true;
	buf_clear(value);
	return false;
}
