/* SPDX-License-Identifier: ISC */
/*
 * Text to pointer, for what strangers may name: the hash is keyed with a secret of
 * the process (SipHash-2-4), so chosen keys cannot make it slow. Keys are copied,
 * values belong to the caller.
 */
#pragma once

#include "common/base/str.h"

struct map;

struct map *map_new(void);
/* Frees the map and its keys, not the values. */
void map_free(struct map *);
size_t map_count(const struct map *);
/* NULL where there is none. */
void *map_get(const struct map *, struct str key);
/* Replaces and returns the earlier value, or NULL. value is never NULL. */
void *map_set(struct map *, struct str key, void *value);
/* Takes the entry out and returns its value, or NULL. */
void *map_remove(struct map *, struct str key);
/*
 * Walks all entries in no order: start with *at = 0; false at the end. The entry
 * just returned may be removed while walking, others may not, nothing may be added.
 */
bool map_next(const struct map *, size_t *at, struct str *key, void **value);
/* The keyed hash itself, for other tables that strangers can fill. */
uint64_t map_hash(struct str key);
