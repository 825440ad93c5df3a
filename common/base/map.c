/* SPDX-License-Identifier: ISC */
/*
 * Open addressing with linear probing; a removed entry leaves a grave, so that
 * removing during a walk moves nothing. Graves go when the table is rebuilt.
 */
#include "common/base/map.h"

#include <stdlib.h>

#include "common/base/id.h"

enum { FIRST_SLOTS = 16 };

struct slot {
	char *key;	/* NULL: free or a grave */
	size_t n;
	uint64_t hash;
	void *value;
	bool grave;
};

struct map {
	struct slot *slots;
	size_t slot_count;	/* a power of two */
	size_t live;
	size_t used;		/* live entries and graves */
};

static uint64_t
rotate(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

static void
sip_round(uint64_t v[4])
{
	v[0] += v[1]; v[1] = rotate(v[1], 13) ^ v[0]; v[0] = rotate(v[0], 32);
	v[2] += v[3]; v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3]; v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1]; v[1] = rotate(v[1], 17) ^ v[2]; v[2] = rotate(v[2], 32);
}

uint64_t
map_hash(struct str s)
{
	static uint64_t secret[2];
	static bool have_secret;
	uint64_t v[4], word;
	size_t i;

	if (!have_secret) {
		id_random_bytes(secret, sizeof(secret));
		have_secret = true;
	}
	v[0] = secret[0] ^ 0x736f6d6570736575ULL;
	v[1] = secret[1] ^ 0x646f72616e646f6dULL;
	v[2] = secret[0] ^ 0x6c7967656e657261ULL;
	v[3] = secret[1] ^ 0x7465646279746573ULL;
	for (i = 0; i + 8 <= s.n; i += 8) {
		memcpy(&word, s.p + i, 8);
		v[3] ^= word;
		sip_round(v);
		sip_round(v);
		v[0] ^= word;
	}
	word = (uint64_t)s.n << 56;
	for (size_t k = 0; i + k < s.n; k++)
		word |= (uint64_t)(unsigned char)s.p[i + k] << (8 * k);
	v[3] ^= word;
	sip_round(v);
	sip_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	for (i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct map *
map_new(void)
{
	struct map *m = xcalloc(1, sizeof(*m));

	m->slot_count = FIRST_SLOTS;
	m->slots = xcalloc(m->slot_count, sizeof(*m->slots));
	return m;
}

void
map_free(struct map *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->slot_count; i++)
		free(m->slots[i].key);
	free(m->slots);
	free(m);
}

size_t
map_count(const struct map *m)
{
	return m->live;
}

static struct slot *
find(const struct map *m, struct str key, uint64_t hash)
{
	size_t mask = m->slot_count - 1;

	for (size_t i = hash & mask;; i = (i + 1) & mask) {
		struct slot *s = &m->slots[i];

		if (s->key == NULL && !s->grave)
			return NULL;
		if (s->key != NULL && s->hash == hash &&
		    str_eq((struct str){ s->key, s->n }, key))
			return s;
	}
}

static void
place(struct map *m, struct slot entry)
{
	size_t mask = m->slot_count - 1;
	size_t i = entry.hash & mask;

	while (m->slots[i].key != NULL)
		i = (i + 1) & mask;
	if (!m->slots[i].grave)
		m->used++;
	m->slots[i] = entry;
	m->live++;
}

static void
rebuild(struct map *m)
{
	struct slot *old = m->slots;
	size_t count = m->slot_count;

	m->slot_count = m->live * 4 > count ? count * 2 : count;
	m->slots = xcalloc(m->slot_count, sizeof(*m->slots));
	m->live = m->used = 0;
	for (size_t i = 0; i < count; i++)
		if (old[i].key != NULL)
			place(m, old[i]);
	free(old);
}

void *
map_get(const struct map *m, struct str key)
{
	struct slot *s = find(m, key, map_hash(key));

	return s ? s->value : NULL;
}

void *
map_set(struct map *m, struct str key, void *value)
{
	uint64_t hash = map_hash(key);
	struct slot *s = find(m, key, hash);
	void *earlier;

	if (s != NULL) {
		earlier = s->value;
		s->value = value;
		return earlier;
	}
	if ((m->used + 1) * 4 > m->slot_count * 3)
		rebuild(m);
	place(m, (struct slot){ .key = str_dup(key), .n = key.n, .hash = hash, .value = value });
	return NULL;
}

void *
map_remove(struct map *m, struct str key)
{
	struct slot *s = find(m, key, map_hash(key));
	void *value;

	if (s == NULL)
		return NULL;
	value = s->value;
	free(s->key);
	*s = (struct slot){ .grave = true };
	m->live--;
	return value;
}

bool
map_next(const struct map *m, size_t *at, struct str *key, void **value)
{
	while (*at < m->slot_count) {
		const struct slot *s = &m->slots[(*at)++];

		if (s->key != NULL) {
			*key = (struct str){ s->key, s->n };
			*value = s->value;
			return true;
		}
	}
	return false;
}
