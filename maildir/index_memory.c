/* SPDX-License-Identifier: ISC */
/*
 * Invariant: before each piece stands its size, by which it is known where it came from. Pieces are cut off places of
 * 64 KB, and those that are given back wait, by size, for the next; the few large ones are malloc's.
 */
#include "maildir/index_memory.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/defs.h"

enum {
	/* With the size before it, to which a piece is rounded up. */
	FINE = 16, FINE_MAX = 1024,
	COARSE = 256, COARSE_MAX = 12 * 1024,	/* a page of a database is not larger, with what SQLite knows of it */
	FINE_SIZES = FINE_MAX / FINE + 1,
	SIZES = FINE_SIZES + (COARSE_MAX - FINE_MAX) / COARSE,
	PLACE = 64 * 1024,
};

struct piece {
	uint64_t size;		/* all of it */
	struct piece *next;	/* while it waits */
};
_Static_assert(sizeof(struct piece) <= FINE, "the smallest piece can wait");

enum { HEAD = offsetof(struct piece, next) };

struct place {
	struct place *next;
	size_t used;
};

static struct place *places;
static struct piece *waiting[SIZES];
static size_t held;	/* pieces of places that SQLite has */

static struct piece *
piece_of(void *p)
{
	return (struct piece *)(void *)((char *)p - HEAD);
}

static size_t
whole_size(int n)
{
	size_t size = (size_t)n + HEAD, step = size <= FINE_MAX ? FINE : COARSE;

	return (size + step - 1) / step * step;
}

static bool
is_malloc_s(size_t size)
{
	return size > COARSE_MAX;
}

static struct piece **
waiting_of(size_t size)
{
	return &waiting[size <= FINE_MAX ? size / FINE : FINE_SIZES - 1 + (size - FINE_MAX) / COARSE];
}

static int
round_up(int n)
{
	return (int)(whole_size(n) - HEAD);
}

static bool
add_place(void)
{
	struct place *place = mmap(NULL, PLACE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (place == MAP_FAILED)
		return false;
	place->next = places;
	place->used = FINE;
	places = place;
	return true;
}

static struct piece *
cut(size_t size)
{
	struct piece **first = waiting_of(size), *piece = *first;

	if (piece != NULL) {
		*first = piece->next;
		return piece;
	}
	if ((places == NULL || PLACE - places->used < size) && !add_place())
		return NULL;
	piece = (struct piece *)(void *)((char *)places + places->used);
	places->used += size;
	return piece;
}

static void *
take(int n)
{
	size_t size = whole_size(n);
	struct piece *piece = is_malloc_s(size) ? malloc(size) : cut(size);

	if (piece == NULL)
		return NULL;
	held += !is_malloc_s(size);
	piece->size = size;
	return (char *)piece + HEAD;
}

static void
give(void *p)
{
	struct piece *piece = piece_of(p), **first;

	if (is_malloc_s(piece->size)) {
		free(piece);
		return;
	}
	held--;
	first = waiting_of(piece->size);
	piece->next = *first;
	*first = piece;
}

static int
size_of(void *p)
{
	return p == NULL ? 0 : (int)(piece_of(p)->size - HEAD);
}

static void *
take_again(void *p, int n)
{
	size_t size = whole_size(n), before = piece_of(p)->size;
	struct piece *piece;
	void *other;

	if (size == before)
		return p;
	if (is_malloc_s(size) && is_malloc_s(before)) {
		piece = realloc(piece_of(p), size);
		if (piece == NULL)
			return NULL;
		piece->size = size;
		return (char *)piece + HEAD;
	}
	other = take(n);
	if (other == NULL)
		return NULL;
	memcpy(other, p, (size < before ? size : before) - HEAD);
	give(p);
	return other;
}

static int
begin(void *unused)
{
	(void)unused;
	return SQLITE_OK;
}

static void
end(void *unused)
{
	(void)unused;
}

void
index_memory_install(void)
{
	static const sqlite3_mem_methods methods = { .xMalloc = take, .xFree = give, .xRealloc = take_again,
		.xSize = size_of, .xRoundup = round_up, .xInit = begin, .xShutdown = end };

	if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK)
		fatal("SQLite has begun already");
}

void
index_memory_rest(void)
{
	struct place *next;

	if (held > 0)
		return;
	for (struct place *place = places; place != NULL; place = next) {
		next = place->next;
		munmap(place, PLACE);
	}
	places = NULL;
	memset(waiting, 0, sizeof(waiting));
}
