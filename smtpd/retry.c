/* SPDX-License-Identifier: ISC */
/* queue_retry's list, its last entry repeated, until queue_lifetime is over. */
#include "smtpd/retry.h"

enum {
	RETRY_AT_LEAST = 1,	/* seconds: a list of zeros is no busy loop */
	LOCAL_FIRST = 5,	/* seconds; doubled by each attempt */
	LOCAL_DOUBLED_MAX = 20,
};

int64_t
retry_next(const struct settings *settings, int64_t arrived, int64_t tried_at, int64_t now,
    uint32_t attempts)
{
	const struct setting_times *retry = &settings->queue_retry;
	int64_t end = arrived + settings->queue_lifetime;
	size_t entry = attempts > 0 ? attempts - 1 : 0;
	int64_t next;

	if (now >= end)
		return 0;
	if (entry >= retry->count)
		entry = retry->count - 1;
	next = tried_at + (retry->count > 0 ? retry->seconds[entry] : 1800);
	if (next < now + RETRY_AT_LEAST)
		next = now + RETRY_AT_LEAST;
	return next < end ? next : end;
}

int64_t
retry_next_local(const struct settings *settings, int64_t arrived, int64_t tried_at, int64_t now,
    uint32_t attempts)
{
	int64_t listed = retry_next(settings, arrived, tried_at, now, attempts);
	uint32_t doubled = attempts > 0 ? attempts - 1 : 0;
	int64_t soon;

	if (doubled > LOCAL_DOUBLED_MAX)
		doubled = LOCAL_DOUBLED_MAX;
	soon = tried_at + ((int64_t)LOCAL_FIRST << doubled);
	if (soon < now + RETRY_AT_LEAST)
		soon = now + RETRY_AT_LEAST;
	return soon < listed ? soon : listed;
}
