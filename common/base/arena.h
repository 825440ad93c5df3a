/* SPDX-License-Identifier: ISC */
/*
 * Memory that is freed together: one arena per session, one per request.
 * Nothing allocated here is freed singly. Returned memory is aligned for any
 * type and zeroed.
 */
#pragma once

#include "common/base/str.h"

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *);
/* Empties it; keeps one small block for the next request. */
void arena_reset(struct arena *);
/* Bytes handed out since the last reset: for a caller's named limit. */
size_t arena_used(const struct arena *);

void *arena_alloc(struct arena *, size_t size);
#define arena_array(arena, type, count) \
	((type *)arena_alloc_many((arena), (count), sizeof(type)))
#define arena_one(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
void *arena_alloc_many(struct arena *, size_t count, size_t size);
/* A copy that lives in the arena; a NUL follows it, uncounted. */
struct str arena_str(struct arena *, struct str);
struct str arena_printf(struct arena *, const char *format, ...) printf_like(2, 3);
