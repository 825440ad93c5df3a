/* SPDX-License-Identifier: ISC */
/* What parses as a date prints as one of IMAP that parses to the same moment. */
#include "common/mime/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool truth, const char *what)
{
	if (!truth)
		fatal("broken: %s", what);
}

static void
check(const struct date *date)
{
	scoped_buf text = BUF_INIT;
	struct date again;

	must(date->day == date_day_of(date->seconds, date->zone), "day");
	date_put_imap(&text, date->seconds, date->zone);
	must(text.n == 26, "fixed length");
	must(date_parse_imap(buf_str(&text), &again), "parses again");
	must(again.seconds == date->seconds && again.zone == date->zone, "same moment");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct date date;
	int32_t day;

	if (date_parse(text, &date))
		check(&date);
	if (date_parse_imap(text, &date))
		check(&date);
	if (date_parse_imap_day(text, &day))
		must(day >= -25567 && day <= 2932896, "year");
	return 0;
}
