/* SPDX-License-Identifier: ISC */
#include "ctl/moment.h"

#include <time.h>

#include "common/base/clock.h"
#include "ctl/ctl.h"

enum {
	DAY = 24 * 3600,
	ABOUT_SECONDS = 120,	/* how far a time of day without seconds may be off */
};

/* Digits in places of '0', everything else as in the form; the rest is what follows it. */
static bool
has_form(struct str text, const char *form, struct str *rest)
{
	size_t n = strlen(form);

	if (text.n < n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (form[i] == '0' ? !ascii_is_digit(text.p[i]) : form[i] != text.p[i])
			return false;
	*rest = str_from(text, n);
	return true;
}

static int
number_at(struct str text, size_t at, size_t digits)
{
	uint32_t n;

	return str_to_u32(str_sub(text, at, digits), &n) ? (int)n : -1;
}

/* Seconds of the day at the front of text; *about says by how much it may be off. */
static bool
take_clock(struct str text, int64_t *seconds, int64_t *about)
{
	struct str rest;
	int hour = number_at(text, 0, 2), minute = number_at(text, 3, 2), second = 0;

	if (!has_form(text, "00:00", &rest))
		return false;
	*about = ABOUT_SECONDS;
	if (has_form(rest, ":00", &rest)) {
		second = number_at(text, 6, 2);
		*about = 2;
	}
	if (has_form(rest, ".000", &rest))
		*about = 1;
	if (rest.n > 0 && !str_eq(rest, STR("Z")))
		return false;
	*seconds = hour * 3600 + minute * 60 + second;
	return hour < 24 && minute < 60 && second <= 60;
}

static bool
take_date(struct str text, int64_t *seconds, struct str *rest)
{
	struct tm tm = { 0 };

	if (!has_form(text, "0000-00-00", rest))
		return false;
	tm.tm_year = number_at(text, 0, 4) - 1900;
	tm.tm_mon = number_at(text, 5, 2) - 1;
	tm.tm_mday = number_at(text, 8, 2);
	*seconds = (int64_t)timegm(&tm);
	return tm.tm_mon < 12 && tm.tm_mday < 32;
}

bool
moment_take(struct str word, struct moment *m)
{
	struct str rest;
	int64_t date, seconds, about;

	if (take_clock(word, &seconds, &about)) {
		m->clock = seconds;
		m->about = about;
		return true;
	}
	if (!take_date(word, &date, &rest))
		return false;
	if (rest.n == 0) {
		m->date = date;
		return true;
	}
	if ((rest.p[0] != 'T' && rest.p[0] != ' ') || !take_clock(str_from(rest, 1), &seconds, &about))
		return false;
	*m = (struct moment){ date, seconds, about };
	return true;
}

int64_t
moment_date(const struct moment *m)
{
	int64_t now = clock_now();

	return m->date >= 0 ? m->date : now - now % DAY - (m->clock > now % DAY + m->about ? DAY : 0);
}

bool
ctl_take_since(const char *text, int64_t *out)
{
	struct str span = str_of(text);
	struct moment m = { -1, -1, 0 };
	char unit = span.n > 0 ? span.p[span.n - 1] : '\0';
	int64_t seconds = unit == 's' ? 1 : unit == 'm' ? 60 : unit == 'h' ? 3600 :
	    unit == 'd' ? DAY : 0;
	uint32_t n;

	if (seconds > 0 && str_to_u32(str_sub(span, 0, span.n - 1), &n)) {
		*out = clock_now() - seconds * n;
		return true;
	}
	if (!moment_take(span, &m)) {
		ctl_fail("--since %s: say how long ago (30m, 2h, 3d) or a moment such as "
		    "2026-11-21 or 2026-11-21T18:48, in UTC", text);
		return false;
	}
	m.about = 0;
	*out = moment_date(&m) + (m.clock < 0 ? 0 : m.clock);
	return true;
}
