/* SPDX-License-Identifier: ISC */
/* COPY and MOVE (RFC 3501 6.4.7, RFC 6851): the life of one. What is done slice by slice stands in copy_steps.c. */
#include <stdlib.h>

#include "common/base/clock.h"
#include "maildir/copy.h"

enum { SLICE_MS = 10 };

static struct copying *
new_copying(struct mailbox *m, const struct uid_set *set, struct str to, bool move, struct arena *arena)
{
	struct copying *c = xcalloc(1, sizeof(*c));

	c->m = m;
	c->account = m->folder->account;
	c->set = *set;
	c->arena = arena;
	c->move = move;
	c->place = PLACE_CLOSED;
	buf_put(&c->to, to);
	publish_put_prefix(&c->prefix, clock_now(), STR_EMPTY);
	return c;
}

enum store_result
copying_begin(struct mailbox *m, const struct uid_set *set, struct str to, bool move, struct arena *arena,
    struct copying **out)
{
	struct copying *c;
	enum store_result r = move && m->read_only ? STORE_READ_ONLY : STORE_OK;

	if (r == STORE_OK && !m->folder->account->is_kept)
		r = folder_ready(m->folder);
	if (r == STORE_OK && !m->folder->account->is_kept)
		r = durable_sources(m, set);
	if (r != STORE_OK)
		return r;
	c = new_copying(m, set, to, move, arena);
	copy_first_step(c);
	*out = c;
	return STORE_OK;
}

enum store_result
copying_step(struct copying *c, bool *done)
{
	int64_t until = clock_monotonic_ms() + SLICE_MS;
	enum store_result r;

	do {
		r = copy_step(c);
		if (r != STORE_OK)
			copy_give_up(c, r);
	} while (c->phase != COPY_DONE && clock_monotonic_ms() < until);
	*done = c->phase == COPY_DONE;
	return *done ? c->why : STORE_OK;
}

void
copying_progress(const struct copying *c, uint32_t *done, uint32_t *all)
{
	/* What comes behind the rows takes about as long as what comes before. */
	*all = 2 * (uint32_t)c->all;
	*done = (uint32_t)(c->linked + c->done);
}

void
copying_result(const struct copying *c, struct copied *out)
{
	uint32_t *from, *to;
	size_t n = 0;

	if (c->phase == COPY_KEPT || c->target == NULL) {
		*out = c->kept;
		return;
	}
	from = arena_array(c->arena, uint32_t, c->rows + 1);
	to = arena_array(c->arena, uint32_t, c->rows + 1);
	for (size_t i = 0; i < c->rows; i++) {
		if (c->ones[i].gone)
			continue;
		from[n] = c->ones[i].from_uid;
		to[n++] = c->ones[i].to_uid;
	}
	*out = (struct copied){ c->target->uidvalidity, from, to, n };
}

static void
release_claims(struct copying *c)
{
	claim_release(c->account, &c->claim);
	claim_release(c->account, &c->hold);
}

/* What is committed is brought to its end, what is not is undone. */
void
copying_free(struct copying *c)
{
	if (c == NULL)
		return;
	if (c->phase < COPY_NAMES || c->phase == COPY_AGAIN)
		copy_give_up(c, STORE_BUSY);
	while (c->phase != COPY_DONE && c->phase != COPY_TEXTS && c->phase != COPY_KEPT)
		if (copy_step(c) != STORE_OK)
			break;
	release_claims(c);
	free(c->ones);
	buf_free(&c->to);
	buf_free(&c->prefix);
	buf_free(&c->names);
	buf_free(&c->from_name);
	buf_free(&c->to_name);
	message_row_free(&c->row);
	place_close(&c->place);
	box_free(&c->source);
	box_free(&c->other);
	free(c);
}

static enum store_result
all_at_once(struct mailbox *m, const struct uid_set *set, struct str to, bool move, struct arena *arena,
    struct copied *out)
{
	struct copying *c;
	bool done = false;
	enum store_result r = copying_begin(m, set, to, move, arena, &c);

	if (r != STORE_OK)
		return r;
	c->whole = true;
	while (!done)
		r = copying_step(c, &done);
	if (r == STORE_OK)
		copying_result(c, out);
	copying_free(c);
	return r;
}

enum store_result
mailbox_copy(struct mailbox *m, const struct uid_set *set, struct str to, struct arena *arena,
    struct copied *out)
{
	return all_at_once(m, set, to, false, arena, out);
}

enum store_result
mailbox_move(struct mailbox *m, const struct uid_set *set, struct str to, struct arena *arena,
    struct copied *out)
{
	return all_at_once(m, set, to, true, arena, out);
}
