/* SPDX-License-Identifier: ISC */
/* Operations by chance: what a batch of the model test does at once, and leaves alone because nobody could tell. */
#include <string.h>

#include "tests/model/coordinator.h"

enum {
	CROWDED = 40,		/* messages: then some go */
	FULL = 150,		/* and no more come */
};

static const char *const pool[] = { "INBOX", "Sent", "Trash", "Archive", "a", "a/b", "a/b/c", "b", "b/x.y", "한글" };

uint32_t
random_below(uint32_t n)
{
	c.random ^= c.random << 13;
	c.random ^= c.random >> 7;
	c.random ^= c.random << 17;
	return (uint32_t)((c.random >> 20) % n);
}

bool
one_in(uint32_t n)
{
	return random_below(n) == 0;
}

static const char *
any_name(void)
{
	return pool[random_below(sizeof(pool) / sizeof(pool[0]))];
}

static const struct folder_state *
any_folder(void)
{
	return &c.now.folder[random_below(c.now.count)];
}

static void
choose_flags(struct op *op)
{
	op->flags = random_below(32);
	op->words = one_in(2) ? random_below(1 << WORDS) & random_below(1 << WORDS) : 0;
}

static void
choose_uids(struct op *op, const struct folder_state *f)
{
	uint32_t want = one_in(3) ? UIDS_MAX : 1 + random_below(4);
	uint32_t at = f->count == 0 ? 0 : random_below(f->count);

	for (; op->count < want && at < f->count; at += 1 + random_below(2))
		if (f->message[at].uid != 0)
			op->uids[op->count++] = f->message[at].uid;
}

static void
leave_carried(struct op *op, const struct folder_state *f)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < op->count; i++)
		if (op->uids[i] != c.carried || strcmp(f->name, c.carried_from) != 0)
			op->uids[kept++] = op->uids[i];
	op->count = kept;
}

static uint64_t
modseq_of(const char *id)
{
	const struct seen *s = map_get(c.boxes, str_of(id));

	return s == NULL ? 0 : s->modseq;
}

static void
choose_add(struct op *op)
{
	const struct folder_state *f = any_folder();

	op->kind = one_in(2) ? DO_APPEND : DO_DELIVER;
	snprintf(op->name, sizeof(op->name), "%s", one_in(30) ? any_name() : f->name);
	f = state_find(&c.now, op->name);
	if (f != NULL && f->count > FULL)
		snprintf(op->name, sizeof(op->name), "nowhere");
	op->mail = ++c.mails;
	op->lf = one_in(4);
	choose_flags(op);
	if (op->kind == DO_APPEND && one_in(4)) {
		op->kind = DO_SEVERAL;
		op->count = 2 + random_below(4);
		c.mails += op->count - 1;
	}
	if (op->kind != DO_DELIVER)
		return;
	op->trace = c.now.deliveries > 0 && one_in(6) ?
	    c.now.delivery[random_below(c.now.deliveries)].trace : ++c.traces;
	op->retry = one_in(2);
}

static bool
choose_use(struct op *op, int i)
{
	const struct folder_state *f;
	uint32_t what = random_below(100);

	op->handle = (int)random_below(HANDLES);
	f = c.actor[i].open[op->handle][0] == '\0' ? NULL : state_by_id(&c.now, c.actor[i].open[op->handle]);
	/* What is done from outside is seen for sure only where somebody listens. */
	if (f != NULL && what < 6 && c.active[OUTSIDER] && (strcmp(f->name, c.op[OUTSIDER].name) == 0 ||
	    strcmp(f->name, c.op[OUTSIDER].to) == 0))
		return false;
	if (f == NULL || what < 6) {
		op->kind = DO_SELECT;
		snprintf(op->name, sizeof(op->name), "%s", one_in(20) ? any_name() : any_folder()->name);
		return true;
	}
	snprintf(op->id, sizeof(op->id), "%s", f->id);
	choose_uids(op, f);
	if (what < 45 || (f->count > CROWDED && what < 60)) {
		op->kind = DO_STORE;
		op->how = (enum flag_change)random_below(3);
		choose_flags(op);
		if (f->count > CROWDED)
			op->flags |= FLAG_DELETED;
		op->unchanged_since = !c.index_lost && one_in(4) ? modseq_of(op->id) : 0;
		return true;
	}
	if (what < 62 || f->count > CROWDED) {
		if (c.carried != 0 && strcmp(f->name, c.carried_from) == 0)
			return false;
		op->kind = DO_EXPUNGE;
		op->all = one_in(2);
		if (op->all)
			op->count = 0;
		return true;
	}
	op->kind = one_in(2) ? DO_COPY : DO_MOVE;
	snprintf(op->to, sizeof(op->to), "%s", one_in(25) ? any_name() : any_folder()->name);
	leave_carried(op, f);
	if (op->count > 0 && one_in(3)) {
		op->kind = DO_REPLACE;
		op->count = 1;
		op->mail = ++c.mails;
		op->lf = one_in(4);
		choose_flags(op);
	}
	f = state_find(&c.now, op->to);
	return f == NULL || f->count < FULL;
}

static void
choose_folder_op(struct op *op)
{
	uint32_t what = random_below(10);

	op->kind = what < 4 ? DO_CREATE : what < 6 ? DO_DELETE : what < 9 ? DO_RENAME : DO_DELIVER;
	snprintf(op->name, sizeof(op->name), "%s", any_name());
	if (op->kind == DO_RENAME)
		snprintf(op->to, sizeof(op->to), "%s", any_name());
	if (op->kind == DO_DELIVER) {
		op->mail = ++c.mails;
		op->trace = ++c.traces;
		op->may_create = true;
	}
}

static bool
is_open_somewhere(const struct folder_state *f)
{
	for (int i = 0; i < WORKERS; i++)
		for (int h = 0; h < HANDLES; h++)
			if (strcmp(c.actor[i].open[h], f->id) == 0)
				return true;
	return false;
}

static void
choose_letters(struct op *op)
{
	static const char all[] = "DFRSTPx";
	size_t n = 0;

	for (size_t i = 0; i < sizeof(all) - 1; i++)
		if (one_in(3))
			op->letters[n++] = all[i];
}

/* What it does is seen where somebody has the folder open; and one message is enough. */
static bool
choose_outside(struct op *op)
{
	const struct folder_state *f = any_folder(), *to = any_folder();
	const struct message_state *m;

	if (!is_open_somewhere(f))
		return false;
	op->kind = (enum kind)(OUT_FLAGS + random_below(OUT_TORN - OUT_FLAGS + 1));
	if (f->count > CROWDED)
		op->kind = OUT_REMOVE;
	snprintf(op->name, sizeof(op->name), "%s", f->name);
	op->mail = ++c.mails;
	op->lf = one_in(2);
	op->flags = random_below(32);
	if (one_in(2))
		op->uids[op->count++] = one_in(2) ? random_below(f->uid_next + 5) : 4000000000u;
	if (op->kind == OUT_ADD_NEW || op->kind == OUT_ADD_CUR || op->kind == OUT_TORN)
		return true;
	if (f->count == 0)
		return false;
	/* Without the index nobody can tell a message from its copy, or that it is a message at all. */
	if (c.index_lost && (op->kind == OUT_DOUBLE || op->kind == OUT_CARRY || op->kind == OUT_RENAME ||
	    op->kind == OUT_BACK_TO_NEW))
		return false;
	m = &f->message[random_below(f->count)];
	op->mail = m->mail;
	op->uids[0] = m->uid;
	op->count = 1;
	choose_letters(op);
	op->trace = 5000000 + random_below(1000);
	if (op->kind == OUT_RENAME && one_in(2)) {
		snprintf(op->to, sizeof(op->to), "number");
		c.carried = m->uid;
		snprintf(c.carried_from, sizeof(c.carried_from), "%s", f->name);
	}
	if (op->kind == OUT_TWIN) {
		c.carried = m->uid;
		snprintf(c.carried_from, sizeof(c.carried_from), "%s", f->name);
	}
	if (op->kind == OUT_CARRY) {
		if (to == f || to->count > FULL || !is_open_somewhere(to))
			return false;
		snprintf(op->to, sizeof(op->to), "%s", to->name);
		c.carried = m->uid;
		snprintf(c.carried_from, sizeof(c.carried_from), "%s", f->name);
	}
	return true;
}

void
choose_batch(void)
{
	uint32_t count = 1 + random_below(WORKERS);
	bool folders = one_in(12);

	memset(c.op, 0, sizeof(c.op));
	memset(c.active, 0, sizeof(c.active));
	c.carried = 0;
	if ((c.with & WITH_OUTSIDER) != 0 && one_in(3))
		c.active[OUTSIDER] = choose_outside(&c.op[OUTSIDER]);
	for (int i = 0; i < WORKERS; i++) {
		if (random_below((uint32_t)(WORKERS - i)) >= count)
			continue;
		count--;
		c.active[i] = true;
		if (folders) {
			/* One whose two halves others might come between is alone. */
			choose_folder_op(&c.op[i]);
			if (c.op[i].may_create || strcmp(c.op[i].name, "INBOX") == 0) {
				for (int k = 0; k < ACTORS; k++)
					c.active[k] = k == i;
				return;
			}
			folders = one_in(4);
		} else if (one_in(4) || (i == WORKERS - 1 && !one_in(4))) {
			choose_add(&c.op[i]);
		} else {
			c.active[i] = choose_use(&c.op[i], i);
		}
	}
}
