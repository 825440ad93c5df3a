/* SPDX-License-Identifier: ISC */
/*
 * Dates of messages (RFC 5322 3.3 and 4.3) and of IMAP (RFC 3501 9: date-time, date).
 * A day as its sender's calendar shows it and a moment in seconds are two things:
 * SENTBEFORE and its kind compare the first and disregard time and zone.
 */
#pragma once

#include "common/base/buf.h"

struct date {
	int64_t seconds;	/* since 1970, UTC */
	int32_t day;		/* since 1970, in the zone of the text */
	int32_t zone;		/* minutes east of UTC */
};

/*
 * A Date field's value: with or without day name and seconds, comments anywhere, names
 * of zones, years of two or three digits, dashes between day, month and year; a missing
 * or unknown zone is UTC. Years 1900 to 9999. False leaves *date as it was.
 */
must_check bool date_parse(struct str value, struct date *date);
/* date-time of IMAP, without its quotes: "17-Jul-1996 02:44:25 -0700", " 7-Jul-1996 ...". */
must_check bool date_parse_imap(struct str text, struct date *date);
/* date of IMAP, without quotes: "1-Feb-1994"; gives days since 1970. */
must_check bool date_parse_imap_day(struct str text, int32_t *day);

/* Appends a date-time of IMAP as a clock in that zone (minutes east of UTC) shows it. */
void date_put_imap(struct buf *out, int64_t seconds, int32_t zone);
/* The day since 1970 that a clock in that zone shows at this moment. */
int32_t date_day_of(int64_t seconds, int32_t zone);
