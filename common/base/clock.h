/* SPDX-License-Identifier: ISC */
/*
 * The two clocks. Everything that is written down or that a person waits for
 * (retry times, lifetimes, dates) reads clock_now, which a test can turn;
 * network timeouts and intervals read clock_monotonic_ms, which it cannot.
 */
#pragma once

#include "common/base/buf.h"

/* Seconds, and milliseconds, since 1970 (UTC), plus the turn of a test. */
int64_t clock_now(void);
int64_t clock_now_ms(void);
/* Milliseconds since some fixed moment; never goes back. */
int64_t clock_monotonic_ms(void);
/* The same clock as it stood at the last tick, up to 10 ms ago: for who looks again and again. */
int64_t clock_tick_ms(void);

/*
 * From now on clock_now is ahead by the signed 64-bit number of seconds (native
 * byte order) that the 8 bytes of this file hold; a change is seen at once by every
 * process that mapped it. False, with errno set, where the file cannot be mapped.
 */
must_check bool clock_turn_by_file(const char *path);
/* Is the clock one that a test may turn at any moment? Timers must look again then. */
bool clock_is_turnable(void);

/* "Sat, 21 Nov 2026 18:48:32 +0000" (RFC 5322 3.3), always UTC. */
void clock_put_rfc5322(struct buf *out, int64_t seconds);
/* "2026-11-21T18:48:32.123Z" (RFC 3339). */
void clock_put_rfc3339(struct buf *out, int64_t milliseconds);
