/* SPDX-License-Identifier: ISC */
#include "common/base/clock.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *turned_by;

static int64_t
read_ms(clockid_t which)
{
	struct timespec t;

	clock_gettime(which, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t
clock_now_ms(void)
{
	return read_ms(CLOCK_REALTIME) + (turned_by ? *turned_by * 1000 : 0);
}

int64_t
clock_now(void)
{
	return clock_now_ms() / 1000;
}

int64_t
clock_monotonic_ms(void)
{
	return read_ms(CLOCK_MONOTONIC);
}

int64_t
clock_tick_ms(void)
{
	return read_ms(CLOCK_MONOTONIC_COARSE);
}

bool
clock_turn_by_file(const char *path)
{
	scoped_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	void *p;

	if (fd < 0 || lseek(fd, 0, SEEK_END) < (off_t)sizeof(int64_t))
		return false;
	p = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return false;
	turned_by = p;
	return true;
}

bool
clock_is_turnable(void)
{
	return turned_by != NULL;
}

void
clock_put_rfc5322(struct buf *out, int64_t seconds)
{
	static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
	    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t when = (time_t)seconds;
	struct tm t;

	gmtime_r(&when, &t);
	buf_printf(out, "%s, %d %s %d %02d:%02d:%02d +0000", days[t.tm_wday], t.tm_mday,
	    months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

void
clock_put_rfc3339(struct buf *out, int64_t milliseconds)
{
	time_t when = (time_t)(milliseconds / 1000);
	struct tm t;

	gmtime_r(&when, &t);
	buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", t.tm_year + 1900, t.tm_mon + 1,
	    t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, (int)(milliseconds % 1000));
}
