/* SPDX-License-Identifier: ISC */
/* When to try again: arithmetic alone. Pure. */
#pragma once

#include "common/daemon/settings.h"

/*
 * After attempt number `attempts` (1: the first), begun at tried_at: when the next one is due; the last is
 * at the end of the lifetime. 0: the lifetime is over. Times are clock_now's.
 */
int64_t retry_next(const struct settings *, int64_t arrived, int64_t tried_at, int64_t now,
    uint32_t attempts);

/* The same for a mailbox of ours, which costs nobody a connection: 5 s, 10 s, 20 s ... up to what the list says. */
int64_t retry_next_local(const struct settings *, int64_t arrived, int64_t tried_at, int64_t now,
    uint32_t attempts);
