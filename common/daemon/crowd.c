/* SPDX-License-Identifier: ISC */
#include "common/daemon/crowd.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/base/map.h"

/* Written by one process, read by all. */
struct slot {
	_Atomic uint32_t total;
	_Atomic uint32_t cells[CROWD_ROWS][CROWD_CELLS];
};

struct shared {
	_Atomic unsigned slots;		/* those above were never used: nobody need look at them */
	struct slot slot[CROWD_SLOTS];
};

struct crowd {
	struct shared *shared;
	bool taken[CROWD_SLOTS];	/* master's */
};

/* One cell of each row. */
struct cells {
	size_t at[CROWD_ROWS];
};

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "a lock would not be shared");

struct crowd *
crowd_new(void)
{
	struct crowd *c = xcalloc(1, sizeof(*c));

	c->shared = mmap(NULL, sizeof(*c->shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (c->shared == MAP_FAILED)
		fatal("no memory for the fronts' common counts: errno %d", errno);
	/* The hash has its secret from now on, and who is forked later the same one. */
	(void)map_hash(STR_EMPTY);
	return c;
}

void
crowd_free(struct crowd *c)
{
	if (c == NULL)
		return;
	munmap(c->shared, sizeof(*c->shared));
	free(c);
}

unsigned
crowd_take(struct crowd *c)
{
	for (unsigned i = 0; i < CROWD_SLOTS; i++) {
		if (c->taken[i])
			continue;
		c->taken[i] = true;
		if (i >= c->shared->slots)
			c->shared->slots = i + 1;
		return i;
	}
	return CROWD_SLOTS;
}

void
crowd_give_back(struct crowd *c, unsigned slot)
{
	if (slot >= CROWD_SLOTS)
		return;
	memset((void *)&c->shared->slot[slot], 0, sizeof(c->shared->slot[slot]));
	c->taken[slot] = false;
}

static struct cells
cells_of(const struct net_address *address)
{
	struct net_address limit = net_address_for_limits(address);
	char key[1 + sizeof(limit.bytes)];
	struct cells cells;
	uint64_t hash;

	key[0] = (char)limit.is_v6;
	memcpy(key + 1, limit.bytes, sizeof(limit.bytes));
	hash = map_hash((struct str){ key, sizeof(key) });
	for (size_t row = 0; row < CROWD_ROWS; row++) {
		cells.at[row] = hash % CROWD_CELLS;
		hash /= CROWD_CELLS;
	}
	return cells;
}

enum { ONE_LESS = UINT32_MAX };	/* unsigned */

/* Only the slot's own front does; the others read at the same time. */
static void
change_total(struct crowd *c, unsigned slot, uint32_t by)
{
	if (slot < CROWD_SLOTS)
		atomic_fetch_add(&c->shared->slot[slot].total, by);
}

static void
change_address(struct crowd *c, unsigned slot, const struct net_address *address, uint32_t by)
{
	struct cells cells = cells_of(address);

	if (slot >= CROWD_SLOTS)
		return;
	for (size_t row = 0; row < CROWD_ROWS; row++)
		atomic_fetch_add(&c->shared->slot[slot].cells[row][cells.at[row]], by);
}

void
crowd_add(struct crowd *c, unsigned slot, const struct net_address *address)
{
	change_total(c, slot, 1);
	change_address(c, slot, address, 1);
}

void
crowd_know(struct crowd *c, unsigned slot, const struct net_address *address)
{
	change_address(c, slot, address, ONE_LESS);
}

void
crowd_leave(struct crowd *c, unsigned slot)
{
	change_total(c, slot, ONE_LESS);
}

uint32_t
crowd_elsewhere(const struct crowd *c, unsigned slot, const struct net_address *address)
{
	struct cells cells = cells_of(address);
	uint32_t least = UINT32_MAX;

	for (size_t row = 0; row < CROWD_ROWS; row++) {
		uint32_t sum = 0;

		for (unsigned i = 0; i < c->shared->slots; i++)
			if (i != slot)
				sum += c->shared->slot[i].cells[row][cells.at[row]];
		if (sum < least)
			least = sum;
	}
	return least;
}

uint32_t
crowd_total(const struct crowd *c)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < c->shared->slots; i++)
		sum += c->shared->slot[i].total;
	return sum;
}
