/* SPDX-License-Identifier: ISC */
/*
 * Bytes both ways between a client's stream and a keeper's socket until one side ends: what a front
 * does with a session after login over TLS. Stops reading a side while the other does not take.
 * When the keeper ends, its last bytes still reach the client (as long as it takes any within 60 s);
 * when the client only ends its half, the keeper's answers still do.
 */
#pragma once

#include "common/net/stream.h"

struct pump;
/* Owns both streams (unread input included, no idle time any more); calls once when all is over (not from inside pump_new), then has freed itself. */
struct pump *pump_new(struct stream *client, struct stream *keeper, loop_call *ended,
    void *context);
/* Ends it now; `ended` is not called. */
void pump_free(struct pump *);
