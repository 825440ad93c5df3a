/* SPDX-License-Identifier: ISC */
/* Counts per client address (IPv6: per /64), in bounded memory: connections now, failures lately. */
#pragma once

#include "common/net/address.h"

struct rate;

/*
 * At most `most` addresses are remembered, about 250 bytes each; the quietest go first, those with
 * something open never (where all have, a new address may not enter).
 */
struct rate *rate_new(size_t most);
void rate_free(struct rate *);
/* One more thing at once from there; false (and not counted) where it would be over the limit. */
must_check bool rate_enter(struct rate *, const struct net_address *, uint32_t limit);
void rate_leave(struct rate *, const struct net_address *);
/* One more event now; rate_recent tells how many in the last 60 seconds (counted in 5 s steps). */
void rate_count(struct rate *, const struct net_address *);
uint32_t rate_recent(struct rate *, const struct net_address *);
