/* SPDX-License-Identifier: ISC */
#include "common/mime/date.h"

#include "common/mime/lex.h"

enum { DAY_SECONDS = 86400, YEAR_FIRST = 1900, YEAR_LAST = 9999 };

static const char months[][4] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
};

/* RFC 5322 4.3. The military letters but Z were defined wrongly and say nothing: UTC. */
static const struct {
	const char *name;
	int32_t hours;
} zones[] = {
	{ "EST", -5 }, { "EDT", -4 }, { "CST", -6 }, { "CDT", -5 },
	{ "MST", -7 }, { "MDT", -6 }, { "PST", -8 }, { "PDT", -7 },
	/* Not in the RFC, but seen: */
	{ "KST", 9 }, { "JST", 9 }, { "CET", 1 }, { "CEST", 2 }, { "MET", 1 }, { "MEST", 2 },
	{ "EET", 2 }, { "EEST", 3 }, { "BST", 1 }, { "MSK", 3 }, { "HKT", 8 },
};

struct moment {
	int64_t year;
	uint32_t month, day, hour, minute, second;
	int32_t zone;
};

/* Days since 1970 of the proleptic Gregorian calendar; March begins its year. */
static int64_t
days_from_civil(int64_t year, uint32_t month, uint32_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	    day_of_year - 719468;
}

static uint32_t
month_length(int64_t year, uint32_t month)
{
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	if (month == 2)
		return leap ? 29 : 28;
	return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* RFC 5322 3.3: a leap second is 60. */
static bool
is_possible(const struct moment *m)
{
	return m->year >= YEAR_FIRST && m->year <= YEAR_LAST && m->month >= 1 && m->month <= 12 &&
	    m->day >= 1 && m->day <= month_length(m->year, m->month) && m->hour <= 23 &&
	    m->minute <= 59 && m->second <= 60 && m->zone > -100 * 60 && m->zone < 100 * 60;
}

static bool
finish(const struct moment *m, struct date *date)
{
	int64_t day;

	if (!is_possible(m))
		return false;
	day = days_from_civil(m->year, m->month, m->day);
	date->day = (int32_t)day;
	date->zone = m->zone;
	/* POSIX time has no leap second: it is the one before, still in its own day. */
	date->seconds = day * DAY_SECONDS + m->hour * 3600 + m->minute * 60 +
	    (m->second < 60 ? m->second : 59) - (int64_t)m->zone * 60;
	return true;
}

static uint32_t
month_of(struct str name)
{
	for (uint32_t i = 0; name.n >= 3 && i < countof(months); i++)
		if (str_eq_nocase(str_sub(name, 0, 3), str_of(months[i])))
			return i + 1;
	return 0;
}

/* Takes "+0900" or "-0330"; hours past 99 cannot be written. */
static bool
numeric_zone(struct str word, int32_t *zone)
{
	uint32_t hhmm;

	if (word.n < 5 || (word.p[0] != '+' && word.p[0] != '-') ||
	    !str_to_u32(str_sub(word, 1, 4), &hhmm) || hhmm % 100 > 59)
		return false;
	*zone = (int32_t)(hhmm / 100 * 60 + hhmm % 100);
	if (word.p[0] == '-')
		*zone = -*zone;
	return true;
}

static int32_t
zone_of(struct str word)
{
	int32_t zone;

	if (numeric_zone(word, &zone))
		return zone;
	if (word.n == 6 && word.p[3] == ':') {	/* "+09:00", of ISO 8601 */
		char plain[] = { word.p[0], word.p[1], word.p[2], word.p[4], word.p[5] };

		if (numeric_zone((struct str){ plain, sizeof(plain) }, &zone))
			return zone;
	}
	if (str_starts_nocase(word, STR("GMT")) && numeric_zone(str_from(word, 3), &zone))
		return zone;
	for (size_t i = 0; i < countof(zones); i++)
		if (str_eq_nocase(word, str_of(zones[i].name)))
			return zones[i].hours * 60;
	return 0;
}

/* RFC 5322 4.3: 00-49 are 2000-2049, 50-99 and three digits count from 1900. */
static bool
year_of(struct str word, int64_t *year)
{
	uint32_t n;

	if (!str_to_u32(word, &n) || word.n < 2)
		return false;
	*year = n;
	if (word.n == 2 && n < 50)
		*year += 2000;
	else if (word.n <= 3)
		*year += 1900;
	return true;
}

/* "hh:mm" or "hh:mm:ss", maybe with a fraction, which nothing needs. */
static bool
time_of(struct str word, struct moment *m)
{
	struct str hour, minute, second;

	m->second = 0;
	if (!str_cut(&word, ':', &hour) || !str_cut(&word, ':', &minute))
		return false;
	if (word.n > 0 && (!str_cut(&word, '.', &second) || !str_to_u32(second, &m->second)))
		return false;
	return str_to_u32(hour, &m->hour) && str_to_u32(minute, &m->minute);
}

/* RFC 5322 4.3 allows white space around the colons. */
static bool
take_time(struct str *rest, struct moment *m)
{
	char text[32];
	size_t n = 0;
	bool more = true;

	while (more && rest->n > 0) {
		struct str word;

		lex_skip(rest, NULL);
		word = lex_word(rest, "(:");
		if (word.n == 0 || n + word.n + 1 > sizeof(text))
			return false;
		memcpy(text + n, word.p, word.n);
		n += word.n;
		lex_skip(rest, NULL);
		more = rest->n > 0 && rest->p[0] == ':';
		if (more) {
			*rest = str_from(*rest, 1);
			text[n++] = ':';
		}
	}
	return time_of((struct str){ text, n }, m);
}

static struct str
take_token(struct str *rest, const char *stops)
{
	lex_skip(rest, NULL);
	while (rest->n > 0 && strchr(stops, rest->p[0]) != NULL && rest->p[0] != '(') {
		*rest = str_from(*rest, 1);
		lex_skip(rest, NULL);
	}
	return lex_word(rest, stops);
}

/* The order of asctime(3), "Fri Jul  7 02:44:25 1996", which old programs write. */
static bool
parse_month_first(struct str rest, struct str month, struct moment *m)
{
	m->month = month_of(month);
	return m->month != 0 && str_to_u32(take_token(&rest, "(,-"), &m->day) &&
	    take_time(&rest, m) && year_of(take_token(&rest, "("), &m->year);
}

bool
date_parse(struct str value, struct date *date)
{
	struct moment m = { 0 };
	struct str word = take_token(&value, "(,-");

	if (word.n > 0 && ascii_is_alpha(word.p[0]))
		word = take_token(&value, "(,-.");	/* the day's name is not needed */
	if (word.n > 0 && ascii_is_alpha(word.p[0]))
		return parse_month_first(value, word, &m) && finish(&m, date);
	if (!str_to_u32(word, &m.day) ||
	    (m.month = month_of(take_token(&value, "(,-."))) == 0 ||
	    !year_of(take_token(&value, "(,-"), &m.year) || !take_time(&value, &m))
		return false;
	m.zone = zone_of(take_token(&value, "("));
	return finish(&m, date);
}

/* RFC 3501 9: date = date-day "-" date-month "-" date-year, the year of four digits. */
static bool
parse_day(struct str text, struct moment *m)
{
	struct str day, month;
	uint32_t year;

	if (!str_cut(&text, '-', &day) || !str_cut(&text, '-', &month) || day.n > 2 ||
	    month.n != 3 || text.n != 4 || !str_to_u32(text, &year) || !str_to_u32(day, &m->day))
		return false;
	m->month = month_of(month);
	m->year = year;
	return m->month != 0;
}

bool
date_parse_imap_day(struct str text, int32_t *day)
{
	struct moment m = { 0 };
	struct date date;

	if (!parse_day(text, &m) || !finish(&m, &date))
		return false;
	*day = date.day;
	return true;
}

bool
date_parse_imap(struct str text, struct date *date)
{
	struct moment m = { 0 };
	struct str day = str_sub(text, 0, 11), time = str_sub(text, 12, 8);

	/* RFC 3501 9: date-day-fixed is a space and a digit, or two digits. */
	if (text.n != 26 || text.p[11] != ' ' || text.p[20] != ' ')
		return false;
	if (day.p[0] == ' ')
		day = str_from(day, 1);
	return parse_day(day, &m) && time.p[2] == ':' && time.p[5] == ':' &&
	    time_of(time, &m) && numeric_zone(str_from(text, 21), &m.zone) && finish(&m, date);
}

int32_t
date_day_of(int64_t seconds, int32_t zone)
{
	int64_t local = seconds + (int64_t)zone * 60;

	return (int32_t)((local - (local < 0 ? DAY_SECONDS - 1 : 0)) / DAY_SECONDS);
}

static void
put_two(char *to, int64_t n)
{
	to[0] = (char)('0' + n / 10);
	to[1] = (char)('0' + n % 10);
}

/* A FETCH writes 100,000 of these: digit by digit it takes a tenth of what printf takes. */
void
date_put_imap(struct buf *out, int64_t seconds, int32_t zone)
{
	int64_t local = seconds + (int64_t)zone * 60;
	int64_t days = (local - (local < 0 ? DAY_SECONDS - 1 : 0)) / DAY_SECONDS;
	int64_t second = local - days * DAY_SECONDS;
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;
	int64_t month = mp < 10 ? mp + 3 : mp - 9;
	int64_t year = yoe + era * 400 + (month <= 2);
	int64_t day = doy - (153 * mp + 2) / 5 + 1;
	int32_t east = zone < 0 ? -zone : zone;
	char text[] = " 1-Jan-1970 00:00:00 +0000";

	if (day > 9)
		text[0] = (char)('0' + day / 10);
	text[1] = (char)('0' + day % 10);
	memcpy(text + 3, months[month - 1], 3);
	/* RFC 3501 9: four digits. What is in no such year is no time that a message can have. */
	year = year < 0 ? 0 : year > 9999 ? 9999 : year;
	put_two(text + 7, year / 100);
	put_two(text + 9, year % 100);
	put_two(text + 12, second / 3600);
	put_two(text + 15, second / 60 % 60);
	put_two(text + 18, second % 60);
	text[21] = zone < 0 ? '-' : '+';
	put_two(text + 22, east / 60);
	put_two(text + 24, east % 60);
	buf_put(out, (struct str){ text, sizeof(text) - 1 });
}
