/* SPDX-License-Identifier: ISC */
#include "maildir/grams.h"

#include <stdlib.h>

#include "maildir/digest.h"

enum {
	GRAM_KINDS = 1 << 24,
	WORD_BITS = 64,
	BITS_BYTES = GRAMS_BLOCK / 8,
	RADIX_BITS = 12,
	RADIX = 1 << RADIX_BITS,
};

struct grams {
	uint32_t *list;		/* gram above, member below */
	size_t count, room;
	uint64_t *seen;		/* of the member in hand: a bit for each gram */
	size_t member_at;	/* where its grams begin */
	unsigned member;
};

struct grams *
grams_new(void)
{
	struct grams *g = xcalloc(1, sizeof(*g));

	g->seen = xcalloc(GRAM_KINDS / WORD_BITS, sizeof(*g->seen));
	return g;
}

void
grams_free(struct grams *g)
{
	if (g == NULL)
		return;
	free(g->list);
	free(g->seen);
	free(g);
}

static void
forget_seen(struct grams *g)
{
	for (size_t i = g->member_at; i < g->count; i++)
		g->seen[(g->list[i] >> 8) / WORD_BITS] = 0;
	g->member_at = g->count;
}

void
grams_clear(struct grams *g)
{
	forget_seen(g);
	g->count = g->member_at = 0;
}

size_t
grams_count(const struct grams *g)
{
	return g->count;
}

static void
make_room(struct grams *g, size_t more)
{
	const size_t needed = g->count + more;

	if (needed <= g->room)
		return;
	g->room = needed + needed / 2;
	g->list = xrealloc(g->list, g->room * sizeof(*g->list));
}

static void
add_one(struct grams *g, uint32_t gram)
{
	uint64_t *word = &g->seen[gram / WORD_BITS], bit = UINT64_C(1) << gram % WORD_BITS;

	if ((*word & bit) != 0)
		return;
	*word |= bit;
	g->list[g->count++] = gram << 8 | g->member;
}

static void
add_text(struct grams *g, struct str text)
{
	const unsigned char *p = (const unsigned char *)text.p;
	uint32_t gram;

	if (text.n == 0)
		return;
	/* As many grams as bytes. */
	gram = p[0];
	for (size_t i = 1; i < text.n + 2; i++) {
		gram = (gram << 8 | (i < text.n ? p[i] : DIGEST_BREAK)) & (GRAM_KINDS - 1);
		if (i > 1)
			add_one(g, gram);
	}
}

bool
grams_add(struct grams *g, unsigned member, struct str texts)
{
	struct str text;

	if (texts.n > GRAMS_MAX - g->count)
		return false;
	if (member != g->member)
		forget_seen(g);
	g->member = member;
	make_room(g, texts.n);
	while (str_cut(&texts, (char)DIGEST_BREAK, &text))
		add_text(g, text);
	return true;
}

/* Members came in order, and a stable sort by the gram keeps them so. */
static void
sort_by(uint32_t *to, const uint32_t *from, size_t n, unsigned shift)
{
	static uint32_t at[RADIX];
	uint32_t sum = 0;

	memset(at, 0, sizeof(at));
	for (size_t i = 0; i < n; i++)
		at[from[i] >> shift & (RADIX - 1)]++;
	for (size_t i = 0; i < RADIX; i++) {
		uint32_t count = at[i];

		at[i] = sum;
		sum += count;
	}
	for (size_t i = 0; i < n; i++)
		to[at[from[i] >> shift & (RADIX - 1)]++] = from[i];
}

static void
sort(struct grams *g)
{
	uint32_t *other = xmalloc((g->count + 1) * sizeof(*other));

	forget_seen(g);
	sort_by(other, g->list, g->count, 8);
	sort_by(g->list, other, g->count, 8 + RADIX_BITS);
	free(other);
}

static void
put_entry(struct buf *row, const uint32_t *list, size_t n)
{
	unsigned char bits[BITS_BYTES] = { 0 };

	buf_put_c(row, (char)(list[0] >> 8));
	if (n <= GRAMS_LISTED) {
		buf_put_c(row, (char)n);
		for (size_t i = 0; i < n; i++)
			buf_put_c(row, (char)list[i]);
		return;
	}
	for (size_t i = 0; i < n; i++)
		bits[(list[i] & 0xFF) / 8] |= (unsigned char)(1u << (list[i] & 7));
	buf_put_c(row, 0);
	buf_put(row, (struct str){ (const char *)bits, sizeof(bits) });
}

static size_t
count_same(const uint32_t *list, size_t n, unsigned shift)
{
	size_t same = 1;

	while (same < n && list[same] >> shift == list[0] >> shift)
		same++;
	return same;
}

bool
grams_rows(struct grams *g, grams_put *put, void *arg)
{
	scoped_buf row = BUF_INIT;
	size_t pair_end, n;

	sort(g);
	for (size_t at = 0; at < g->count; at = pair_end) {
		pair_end = at + count_same(g->list + at, g->count - at, 16);
		buf_clear(&row);
		for (size_t i = at; i < pair_end; i += n) {
			n = count_same(g->list + i, pair_end - i, 8);
			put_entry(&row, g->list + i, n);
		}
		if (!put(arg, g->list[at] >> 16, buf_str(&row)))
			return false;
	}
	return true;
}

/* ---- reading ---- */

/* How long the entry at the front is; 0: damaged. */
static size_t
entry_length(struct str row)
{
	size_t count, n;

	if (row.n < 2)
		return 0;
	count = (unsigned char)row.p[1];
	if (count > GRAMS_LISTED)
		return 0;
	n = 2 + (count == 0 ? BITS_BYTES : count);
	return n <= row.n ? n : 0;
}

static void
read_entry(struct str entry, struct members *out)
{
	const unsigned char *p = (const unsigned char *)entry.p;

	for (size_t i = 2; i < entry.n && p[1] != 0; i++)
		out->bits[p[i] / WORD_BITS] |= UINT64_C(1) << p[i] % WORD_BITS;
	for (size_t i = 0; i < BITS_BYTES && p[1] == 0; i++)
		out->bits[i / 8] |= (uint64_t)p[2 + i] << i % 8 * 8;
}

bool
grams_read(struct str row, int third, struct members *out)
{
	while (row.n > 0) {
		const size_t n = entry_length(row);
		const int byte = (unsigned char)row.p[0];

		if (n == 0)
			return false;
		if (third < 0 || byte == third)
			read_entry(str_sub(row, 0, n), out);
		if (third >= 0 && byte >= third)
			return true;
		row = str_from(row, n);
	}
	return true;
}
