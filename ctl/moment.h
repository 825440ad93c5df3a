/* SPDX-License-Identifier: ISC */
/* Moments as people write them on a command line: a date, a time of day, or both, in UTC; or how long ago. */
#pragma once

#include "common/base/str.h"

struct moment {
	int64_t date, clock;	/* seconds; -1: not said */
	int64_t about;		/* by how many seconds the clock may be off */
};

/* Completes *m with what the word says. False: it says no moment. */
must_check bool moment_take(struct str word, struct moment *m);
/* A time of day without a date was the last one that there was. */
int64_t moment_date(const struct moment *);
/* Of --since: "2h" before now, or a moment; seconds since 1970. False after telling why. */
must_check bool ctl_take_since(const char *text, int64_t *out);
