/* SPDX-License-Identifier: ISC */
/*
 * How many connections there are from one address, and in all, over all fronts of a daemon:
 * memory that master shares out before it forks. Each front writes its own slot and reads all. Per
 * slot a fixed table of hashed counters (a count-min sketch), so strangers cannot make it grow;
 * collisions can only make a count too high, and the hash is keyed.
 */
#pragma once

#include "common/net/address.h"

enum {
	CROWD_SLOTS = 256,	/* fronts at once, draining ones included; further ones count only by themselves */
	CROWD_ROWS = 4,
	CROWD_CELLS = 8192,	/* per row */
};

struct crowd;

/* ---- master, and the end of everybody's ---- */

struct crowd *crowd_new(void);
void crowd_free(struct crowd *);
/* A slot for a new front, all zero; CROWD_SLOTS where none is free. */
unsigned crowd_take(struct crowd *);
/* Its front is dead: what it counted is over. */
void crowd_give_back(struct crowd *, unsigned slot);

/* ---- a front: slot is its own; where it is CROWD_SLOTS nothing is counted ---- */

void crowd_add(struct crowd *, unsigned slot, const struct net_address *);
/* One of them no longer counts for its address, but goes on to count in all ... */
void crowd_know(struct crowd *, unsigned slot, const struct net_address *);
/* ... until it leaves. */
void crowd_leave(struct crowd *, unsigned slot);
/* Connections from there (IPv6: from its /64) in all slots but this one. */
uint32_t crowd_elsewhere(const struct crowd *, unsigned slot, const struct net_address *);
/* All connections of all slots. */
uint32_t crowd_total(const struct crowd *);
