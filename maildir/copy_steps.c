/* SPDX-License-Identifier: ISC */
/*
 * The steps of a COPY or MOVE. The message itself is never written again: links in the target's directory, and rows. A
 * few are copied in one transaction, for which their links wait in tmp/. Of many
 *
 *	the UIDs are claimed (claims.c), and that is on the disk;
 *	the links are made in the target's cur/, and are on the disk;
 *	a copy's rows are committed at once, those of a move piece by piece, and that is on the disk;
 *	what FETCH copies is copied, or the files of what was moved go.
 *
 * So whoever dies, whatever the disk had of it then, has copied all or nothing, and moved each message or not. Where another
 * process looks at the directory in between and removes the links, they are made anew in tmp/.
 */
#include <unistd.h>

#include "common/base/clock.h"
#include "maildir/copy.h"
#include "maildir/kept.h"

enum {
	FEW = 32,
	LINKS_PER_LOOK = 64,	/* messages between looks at the clock */
	ROWS_PER_LOOK = 256,	/* that are moved in one transaction */
	TEXTS_PER_LOOK = 256,
};

static size_t
count_in_view(const struct mailbox *m, const struct uid_set *set)
{
	struct set_walk walk = set_walk(m, set);
	size_t n = 0;

	while (set_walk_next(&walk) != NULL)
		n++;
	return n;
}

void
copy_first_step(struct copying *c)
{
	c->all = count_in_view(c->m, &c->set);
	c->few = c->staged = c->all <= FEW;
	c->phase = c->account->is_kept ? COPY_KEPT : c->few ? COPY_FEW : COPY_CLAIM;
}

/* ---- a few ---- */

/* From the first that is not committed on; `looked` is remembered. */
static void
forget_links(struct copying *c)
{
	c->count = c->linked = c->rows;
	c->after = c->rows > 0 ? c->ones[c->rows - 1].from_uid : 0;
	c->range = 0;
	c->listed = false;
}

/* Where files are not what the rows say, the directory is looked at, and what is there then is copied. */
static enum store_result
look_at_source(struct copying *c)
{
	struct folder *f = c->m->folder;
	enum store_result r = c->looked ? STORE_BUSY : folder_ready(f);

	if (r == STORE_OK)
		r = scan_mailbox(c->account, f->box.number, &f->place, SCAN_ALWAYS);
	f->look |= c->looked;
	c->looked = true;
	c->lost = false;
	return r;
}

static enum store_result
link_listed(struct copying *c)
{
	enum store_result r = STORE_OK;

	for (; r == STORE_OK && c->linked < c->count; c->linked += r == STORE_OK)
		r = copy_link(c, &c->ones[c->linked]);
	return r;
}

static void
after_rows(struct copying *c)
{
	(void)!folder_refresh(c->m->folder, NULL);
	watch_notify(c->account);
}

static enum store_result
copy_few(struct copying *c)
{
	enum store_result r = copy_enter(c, false);

	if (r != STORE_OK)
		return r;
	if (c->move && c->rows == 0)
		touch_begin(c->account, c->source_number, &c->m->folder->place, &c->from);
	r = copy_list(c, c->move && !c->whole ? FEW : SIZE_MAX);
	if (r == STORE_OK)
		r = link_listed(c);
	if (r == STORE_OK)
		r = copy_rows(c, c->count);
	r = txn_end(c->account, r);
	if (r == STORE_OK) {
		c->rows = c->count;
		c->phase = COPY_NAMES;
		return STORE_OK;
	}
	for (size_t i = c->rows; i < c->count; i++)
		copy_unlink(c, &c->ones[i]);
	if (!c->lost)
		return r;
	forget_links(c);
	return look_at_source(c);
}

/* ---- many ---- */

static enum store_result
make_claim(struct copying *c)
{
	struct account *a = c->account;
	struct live_claim *claim = &c->claim;
	struct touch to;
	uint64_t bytes = 0;
	struct set_walk walk = set_walk(c->m, &c->set);
	const struct row *row;
	enum store_result r;

	for (c->all = 0; (row = set_walk_next(&walk)) != NULL; c->all++)
		bytes += row->size;
	r = c->move ? STORE_OK : quota_check(a, bytes, c->all);
	if (r == STORE_OK)
		r = box_take_uids(a, c->target, (uint32_t)c->all, &claim->first);
	if (r == STORE_OK)
		r = box_save_counts(a, c->target);
	claim->last = claim->first + (uint32_t)c->all - 1;
	if (r == STORE_OK)
		r = claim_make(a, c->target->number, claim->first, claim->last);
	/* Whoever opens the mailbox after we died looks at the directory. */
	touch_begin_with(a, c->target, &c->place, &to);
	if (r == STORE_OK)
		r = touch_doubt(a, c->target->number);
	r = txn_end(a, r);
	if (r != STORE_OK)
		return r;
	if (to.known)
		touch_note(a, c->target_number, to.before);
	claim_hold(a, claim, c->target_number);
	c->phase = COPY_LINKS;
	return STORE_OK;
}

static enum store_result
claim_uids(struct copying *c)
{
	enum store_result r = copy_enter(c, true);

	if (r != STORE_OK)
		return r;
	if (count_in_view(c->m, &c->set) > 0)
		return make_claim(c);
	txn_rollback(c->account);
	c->phase = COPY_DONE;
	return STORE_OK;
}

/* What this process knows of the directory it knows afterwards; its row says nothing before all is done. */
static enum store_result
link_some(struct copying *c)
{
	struct account *a = c->account;
	const size_t before = c->count;
	const uint32_t after = c->after;
	int64_t mtime = files_mtime_ns(c->place.cur);
	bool known = !c->staged && touch_knows(a, c->target_number, mtime);
	enum store_result r = folder_ready(c->m->folder);

	if (r == STORE_OK && c->generation != a->generation)
		r = STORE_BUSY;
	if (r == STORE_OK)
		r = copy_list(c, LINKS_PER_LOOK);
	if (r == STORE_OK)
		r = link_listed(c);
	if (known)
		touch_note(a, c->target_number, files_mtime_ns(c->place.cur));
	if (r == STORE_OK && c->listed)
		c->phase = COPY_ROWS;
	if (!c->lost)
		return r;
	for (size_t i = before; i < c->count; i++)
		copy_unlink(c, &c->ones[i]);
	c->count = c->linked = before;
	c->after = after;
	c->range = 0;
	c->listed = false;
	return look_at_source(c);
}

static enum store_result
sync_links(struct copying *c)
{
	if (fsync(c->staged ? c->place.tmp : c->place.cur) == 0)
		return STORE_OK;
	return files_failed(&c->account->log, "sync", buf_str(&c->to));
}

/* In the transaction: somebody may have taken the claim for one left over. */
static enum store_result
check_claim(struct copying *c, bool last, bool *good)
{
	enum store_result r = STORE_OK;

	*good = c->staged;
	if (!*good)
		r = claim_check(c->account, c->target_number, c->claim.first, good);
	return r == STORE_OK && *good && !c->staged && last ?
	    claim_drop(c->account, c->target_number, c->claim.first) : r;
}

static void
rows_are_done(struct copying *c)
{
	struct touch to = { .box = c->target_number, .before = files_mtime_ns(c->place.cur) };

	to.known = touch_knows(c->account, to.box, to.before);
	claim_release(c->account, &c->claim);
	if (!c->staged)
		touch_end(c->account, &c->place, &to);
	c->phase = COPY_NAMES;
}

static enum store_result
commit_rows(struct copying *c)
{
	struct account *a = c->account;
	const size_t end = c->move && !c->whole && c->count - c->rows > ROWS_PER_LOOK ? c->rows + ROWS_PER_LOOK :
	    c->count;
	bool good = false;
	enum store_result r = c->rows == 0 ? sync_links(c) : STORE_OK;

	if (r == STORE_OK)
		r = copy_enter(c, end == c->count);
	if (r != STORE_OK)
		return r;
	if (c->move && c->rows == 0 && c->count > 0 && c->hold.box == 0) {
		touch_begin(a, c->source_number, &c->m->folder->place, &c->from);
		c->hold.first = c->ones[0].from_uid;
		c->hold.last = c->ones[c->count - 1].from_uid;
		claim_hold(a, &c->hold, c->source_number);
	}
	r = check_claim(c, end == c->count, &good);
	if (r == STORE_OK && !good) {
		txn_rollback(a);
		c->phase = COPY_AGAIN;
		return STORE_OK;
	}
	if (r == STORE_OK)
		r = copy_rows(c, end);
	r = txn_end(a, r);
	if (r != STORE_OK)
		return r;
	for (size_t i = c->rows; i < end; i++)
		if (c->ones[i].gone)
			copy_unlink(c, &c->ones[i]);
	c->rows = end;
	after_rows(c);
	if (c->rows == c->count)
		rows_are_done(c);
	return STORE_OK;
}

/* ---- after the commit ---- */

static enum store_result
sync_names(struct copying *c)
{
	if (c->rows > 0 && (c->staged || c->renamed) && fsync(c->place.cur) != 0)
		return files_failed(&c->account->log, "sync", buf_str(&c->to));
	c->done = 0;
	c->phase = c->move ? COPY_SOURCES : c->few ? COPY_DONE : COPY_TEXTS;
	if (c->few)
		after_rows(c);
	return STORE_OK;
}

static enum store_result
name_some(struct copying *c)
{
	struct touch to;
	enum store_result r = STORE_OK;

	if (c->named < c->rows && (c->staged || c->renamed)) {
		touch_begin(c->account, c->target_number, &c->place, &to);
		for (size_t i = 0; r == STORE_OK && i < LINKS_PER_LOOK && c->named < c->rows; i++)
			r = copy_publish(c, &c->ones[c->named++]);
		touch_end(c->account, &c->place, &to);
		if (r == STORE_OK && c->named < c->rows)
			return STORE_OK;
	}
	if (r == STORE_OK && c->few && !c->listed) {
		c->phase = COPY_FEW;
		return STORE_OK;
	}
	if (r == STORE_OK)
		r = sync_names(c);
	if (r != STORE_OK)
		copy_undo_rows(c);
	return r;
}

/* Those that cannot be copied are made anew: that they are missing is no fault. */
static enum store_result
copy_some_texts(struct copying *c)
{
	size_t end = c->rows - c->done > TEXTS_PER_LOOK ? c->done + TEXTS_PER_LOOK : c->rows;
	enum store_result r = txn_begin(c->account);

	if (r == STORE_OK && c->generation != c->account->generation)
		r = STORE_BUSY;
	else if (r != STORE_OK)
		end = c->rows;
	for (size_t i = c->done; r == STORE_OK && i < end; i++)
		r = copy_texts(c, &c->ones[i]);
	c->done = txn_end(c->account, r) == STORE_OK ? end : c->rows;
	if (c->done == c->rows)
		c->phase = COPY_DONE;
	return STORE_OK;
}

static enum store_result
drop_some_sources(struct copying *c)
{
	struct account *a = c->account;
	struct folder *f = c->m->folder;
	struct touch from;

	touch_begin(a, c->source_number, &f->place, &from);
	from.known |= c->done == 0 && c->from.known && from.before == c->from.before;
	/* While it was held nobody looked at what others did there. */
	f->look |= !c->few && !from.known;
	for (size_t i = 0; i < LINKS_PER_LOOK && c->done < c->rows; i++)
		copy_unlink_source(c, &c->ones[c->done++]);
	touch_end(a, &f->place, &from);
	if (c->done < c->rows)
		return STORE_OK;
	claim_release(a, &c->hold);
	/* They are safe where they are now: at worst old names come back after a loss of power. */
	if (c->rows > 0 && fsync(f->place.cur) != 0)
		(void)!files_failed(&a->log, "sync", buf_str(&c->source.name));
	c->phase = COPY_DONE;
	return STORE_OK;
}

/* ---- when it goes wrong ---- */

/* False: there are more. */
static bool
unlink_some(struct copying *c)
{
	for (size_t i = 0; i < LINKS_PER_LOOK && c->count > c->rows; i++)
		copy_unlink(c, &c->ones[--c->count]);
	return c->count == c->rows;
}

static enum store_result
link_again(struct copying *c)
{
	if (!unlink_some(c))
		return STORE_OK;
	claim_release(c->account, &c->claim);
	forget_links(c);
	c->staged = true;
	/* What is moved keeps its prefix, and that is another's in tmp/ but for who has the write lock. */
	c->few = c->move;
	c->phase = c->move ? COPY_FEW : COPY_LINKS;
	return STORE_OK;
}

/* What cannot be removed now is by the next scan (claims.c), or is nobody's in tmp/. */
static enum store_result
undo_some(struct copying *c)
{
	struct account *a = c->account;

	if (!unlink_some(c))
		return STORE_OK;
	if (c->claim.box != 0 && txn_begin(a) == STORE_OK)
		(void)!txn_end(a, claim_drop(a, c->claim.box, c->claim.first));
	claim_release(a, &c->claim);
	/* RFC 6851 3.3: what is moved stays so. */
	c->phase = c->rows > 0 ? COPY_NAMES : COPY_DONE;
	c->listed = true;
	return STORE_OK;
}

void
copy_give_up(struct copying *c, enum store_result why)
{
	if (c->why == STORE_OK)
		c->why = why;
	c->phase = c->phase == COPY_UNDO || c->phase == COPY_KEPT ? COPY_DONE : COPY_UNDO;
}

enum store_result
copy_step(struct copying *c)
{
	switch (c->phase) {
	case COPY_KEPT:
		c->phase = COPY_DONE;
		return kept_copy(c->m, &c->set, buf_str(&c->to), c->arena, &c->kept);
	case COPY_FEW:
		return copy_few(c);
	case COPY_CLAIM:
		return claim_uids(c);
	case COPY_LINKS:
		return link_some(c);
	case COPY_ROWS:
		return commit_rows(c);
	case COPY_NAMES:
		return name_some(c);
	case COPY_TEXTS:
		return copy_some_texts(c);
	case COPY_SOURCES:
		return drop_some_sources(c);
	case COPY_AGAIN:
		return link_again(c);
	case COPY_UNDO:
		return undo_some(c);
	case COPY_DONE:
		break;
	}
	return STORE_OK;
}
