/* SPDX-License-Identifier: ISC */
#include "maildir/threads.h"

#include <stdlib.h>

#include "common/base/map.h"

static const uint32_t none = THREAD_NONE;

struct node {
	uint64_t id;		/* 0: of its own kind */
	uint32_t parent;
	uint32_t child, last, next;
	bool is_here;		/* a message; else only spoken of: a dummy in RFC 5256's words */
	bool is_reply;
	uint32_t uid;
	uint32_t place;		/* in which it came */
	uint32_t subject_length;
	size_t subject;
	int64_t date;		/* sent; of a dummy: of its first child */
	int64_t newest;		/* arrival, of it and all below */
};

struct list {
	uint32_t *p;
	size_t n, room;
};

struct threads {
	enum thread_kind kind;
	struct node *nodes;
	size_t count, room;
	size_t messages;
	uint32_t *table;	/* node number + 1 by id, 0: free; a power of two */
	size_t table_size;
	struct buf subjects;
	struct list roots;
	struct list order;	/* parents before children */
	struct list scratch;
	enum { TREE, PRUNE, SORT, GATHER, SORT_AGAIN, PUT, DONE } phase;
	struct thread_node *out;
};

struct threads *
threads_new(enum thread_kind kind)
{
	struct threads *t = xcalloc(1, sizeof(*t));

	t->kind = kind;
	return t;
}

void
threads_free(struct threads *t)
{
	if (t == NULL)
		return;
	free(t->nodes);
	free(t->table);
	buf_free(&t->subjects);
	free(t->roots.p);
	free(t->order.p);
	free(t->scratch.p);
	free(t->out);
	free(t);
}

static void
list_add(struct list *l, uint32_t n)
{
	if (l->n == l->room) {
		l->room = l->room * 2 + 64;
		l->p = xrealloc(l->p, l->room * sizeof(*l->p));
	}
	l->p[l->n++] = n;
}

/* ---- coming in: RFC 5256 3, REFERENCES, step 1 ---- */

static uint32_t
new_node(struct threads *t, uint64_t id)
{
	if (t->count == t->room) {
		t->room = t->room * 2 + 256;
		t->nodes = xrealloc(t->nodes, t->room * sizeof(*t->nodes));
	}
	t->nodes[t->count] = (struct node){ .id = id, .parent = none, .child = none, .last = none,
		.next = none };
	return (uint32_t)t->count++;
}

/* Keyed, so that chosen ids do not meet. */
static uint32_t *
slot_of(struct threads *t, uint64_t id)
{
	size_t at = (size_t)map_hash((struct str){ (const char *)&id, sizeof(id) });

	for (;; at++) {
		uint32_t *slot = &t->table[at & (t->table_size - 1)];

		if (*slot == 0 || t->nodes[*slot - 1].id == id)
			return slot;
	}
}

static void
grow_table(struct threads *t)
{
	if (t->count * 2 < t->table_size)
		return;
	t->table_size = t->table_size == 0 ? 1024 : t->table_size * 2;
	free(t->table);
	t->table = xcalloc(t->table_size, sizeof(*t->table));
	for (size_t i = 0; i < t->count; i++)
		if (t->nodes[i].id != 0)
			*slot_of(t, t->nodes[i].id) = (uint32_t)i + 1;
}

static uint32_t
node_of(struct threads *t, uint64_t id)
{
	uint32_t *slot, n;

	grow_table(t);
	slot = slot_of(t, id);
	if (*slot != 0)
		return *slot - 1;
	n = new_node(t, id);
	*slot = n + 1;
	return n;
}

static bool
may_link(const struct threads *t, uint32_t parent, uint32_t child)
{
	int steps = 0;

	for (uint32_t n = parent; n != none; n = t->nodes[n].parent)
		if (n == child || ++steps > THREADS_CLIMB_MAX)
			return false;
	return true;
}

/* (A): each reference is the parent of the next, unless that has one. Returns the last. */
static uint32_t
link_references(struct threads *t, const struct sorting *s)
{
	uint32_t before = none;

	for (size_t i = 0; i < s->reference_count; i++) {
		const uint32_t n = node_of(t, sorting_reference(s, i));

		if (before != none && t->nodes[n].parent == none && may_link(t, before, n))
			t->nodes[n].parent = before;
		before = n;
	}
	return before;
}

/* The second message with an id has none (step 1). */
static uint32_t
place_message(struct threads *t, uint64_t id)
{
	uint32_t n;

	if (id == 0 || t->kind == THREAD_ORDEREDSUBJECT)
		return new_node(t, 0);
	n = node_of(t, id);
	return t->nodes[n].is_here ? new_node(t, 0) : n;
}

bool
threads_add(struct threads *t, const struct message *m, const struct sorting *s)
{
	const struct str subject = s->text[SORTING_SUBJECT];
	uint32_t n, parent;

	if (t->count + s->reference_count + 1 > THREADS_NODES_MAX ||
	    t->subjects.n > THREADS_BYTES_MAX)
		return false;
	n = place_message(t, s->id);
	t->nodes[n].is_here = true;
	t->nodes[n].is_reply = s->is_reply;
	t->nodes[n].uid = m->uid;
	t->nodes[n].place = (uint32_t)t->messages++;
	t->nodes[n].date = s->sent;
	t->nodes[n].newest = m->internal_date;
	t->nodes[n].subject = t->subjects.n;
	t->nodes[n].subject_length = (uint32_t)subject.n;
	buf_put(&t->subjects, subject);
	if (t->kind == THREAD_ORDEREDSUBJECT)
		return true;
	parent = link_references(t, s);
	/* (B): what others guessed of this message counts no more. */
	t->nodes[n].parent = none;
	if (parent != none && may_link(t, parent, n))
		t->nodes[n].parent = parent;
	return true;
}

/* ---- trees ---- */

static void
append_child(struct threads *t, uint32_t parent, uint32_t child)
{
	struct node *p = &t->nodes[parent];

	t->nodes[child].parent = parent;
	t->nodes[child].next = none;
	if (p->child == none)
		p->child = child;
	else
		t->nodes[p->last].next = child;
	p->last = child;
}

/* Puts the children of one node behind those of another. */
static void
append_children(struct threads *t, uint32_t to, uint32_t from)
{
	struct node *a = &t->nodes[to], *b = &t->nodes[from];

	if (b->child == none)
		return;
	if (a->child == none)
		a->child = b->child;
	else
		t->nodes[a->last].next = b->child;
	a->last = b->last;
	b->child = b->last = none;
}

/* Step 2. */
static void
make_trees(struct threads *t)
{
	for (uint32_t n = 0; n < t->count; n++) {
		if (t->nodes[n].parent == none)
			list_add(&t->roots, n);
		else
			append_child(t, t->nodes[n].parent, n);
	}
}

/* Parents before children, from the roots. */
static void
list_in_order(struct threads *t)
{
	t->order.n = 0;
	for (size_t i = 0; i < t->roots.n; i++)
		list_add(&t->order, t->roots.p[i]);
	for (size_t i = 0; i < t->order.n; i++)
		for (uint32_t c = t->nodes[t->order.p[i]].child; c != none; c = t->nodes[c].next)
			list_add(&t->order, c);
}

/* Step 3 for what is below n, whose children have been pruned themselves. */
static void
prune_children(struct threads *t, uint32_t n)
{
	uint32_t child = t->nodes[n].child, next;

	t->nodes[n].child = t->nodes[n].last = none;
	for (; child != none; child = next) {
		next = t->nodes[child].next;
		if (t->nodes[child].is_here)
			append_child(t, n, child);
		else
			append_children(t, n, child);
	}
}

/* A dummy that is a root keeps two children or more together; else it goes. */
static void
prune(struct threads *t)
{
	size_t kept = 0;

	list_in_order(t);
	for (size_t i = t->order.n; i > 0; i--)
		prune_children(t, t->order.p[i - 1]);
	for (size_t i = 0; i < t->roots.n; i++) {
		uint32_t n = t->roots.p[i];
		const struct node *root = &t->nodes[n];

		if (!root->is_here && root->child == root->last)
			n = root->child;
		if (n != none)
			t->roots.p[kept++] = n;
	}
	t->roots.n = kept;
}

/* ---- sorting: steps 4 and 6 ---- */

static int
by_date(const void *a, const void *b, void *threads)
{
	const struct threads *t = threads;
	const struct node *x = &t->nodes[*(const uint32_t *)a], *y = &t->nodes[*(const uint32_t *)b];

	if (x->date != y->date)
		return x->date < y->date ? -1 : 1;
	return (x->place > y->place) - (x->place < y->place);
}

static int
by_newest(const void *a, const void *b, void *threads)
{
	const struct threads *t = threads;
	const struct node *x = &t->nodes[*(const uint32_t *)a], *y = &t->nodes[*(const uint32_t *)b];

	if (x->newest != y->newest)
		return x->newest < y->newest ? -1 : 1;
	return (x->place > y->place) - (x->place < y->place);
}

static int
by_subject(const void *a, const void *b, void *threads)
{
	const struct threads *t = threads;
	const struct node *x = &t->nodes[*(const uint32_t *)a], *y = &t->nodes[*(const uint32_t *)b];
	const int difference = str_cmp(str_sub(buf_str(&t->subjects), x->subject, x->subject_length),
	    str_sub(buf_str(&t->subjects), y->subject, y->subject_length));

	return difference != 0 ? difference : by_date(a, b, threads);
}

static void
sort_list(struct threads *t, struct list *l, int (*by)(const void *, const void *, void *))
{
	if (l->n > 1)
		qsort_r(l->p, l->n, sizeof(*l->p), by, t);
}

static void
sort_children(struct threads *t, uint32_t n)
{
	struct node *node = &t->nodes[n];

	t->scratch.n = 0;
	for (uint32_t c = node->child; c != none; c = t->nodes[c].next) {
		list_add(&t->scratch, c);
		if (t->nodes[c].newest > node->newest)
			node->newest = t->nodes[c].newest;
	}
	sort_list(t, &t->scratch, by_date);
	node->child = node->last = none;
	for (size_t i = 0; i < t->scratch.n; i++)
		append_child(t, n, t->scratch.p[i]);
	if (node->is_here || node->child == none)
		return;
	node->date = t->nodes[node->child].date;
	node->place = t->nodes[node->child].place;
}

static void
sort_trees(struct threads *t)
{
	list_in_order(t);
	for (size_t i = t->order.n; i > 0; i--)
		sort_children(t, t->order.p[i - 1]);
	sort_list(t, &t->roots, t->kind == THREAD_REFS ? by_newest : by_date);
}

/* ---- step 5: threads of one subject ---- */

static const struct node *
speaker(const struct threads *t, uint32_t root)
{
	const struct node *n = &t->nodes[root];

	return n->is_here ? n : &t->nodes[n->child];
}

static struct str
subject_of(const struct threads *t, uint32_t root)
{
	const struct node *n = speaker(t, root);

	return str_sub(buf_str(&t->subjects), n->subject, n->subject_length);
}

/* Values are places in roots, counted from one. */
static void *
value_of(size_t place)
{
	return (void *)(uintptr_t)(place + 1);
}

static bool
find_root(const struct map *subjects, struct str subject, size_t *place)
{
	const uintptr_t value = (uintptr_t)map_get(subjects, subject);

	*place = (size_t)value - 1;
	return value != 0;
}

/* (B): the root that others of its subject join. */
static void
choose_roots(struct threads *t, struct map *subjects)
{
	for (size_t i = 0; i < t->roots.n; i++) {
		const struct str subject = subject_of(t, t->roots.p[i]);
		const struct node *mine = &t->nodes[t->roots.p[i]], *other;
		size_t place;

		if (subject.n == 0)
			continue;
		if (find_root(subjects, subject, &place)) {
			other = &t->nodes[t->roots.p[place]];
			if (!other->is_here ||
			    (mine->is_here && (!other->is_reply || mine->is_reply)))
				continue;
		}
		map_set(subjects, subject, value_of(i));
	}
}

/* (C): returns what stands at the chosen root's place then. */
static uint32_t
join(struct threads *t, uint32_t chosen, uint32_t root)
{
	uint32_t both;

	if (!t->nodes[chosen].is_here && !t->nodes[root].is_here) {
		append_children(t, chosen, root);
		return chosen;
	}
	if (!t->nodes[chosen].is_here ||
	    (t->nodes[root].is_reply && !t->nodes[chosen].is_reply)) {
		append_child(t, chosen, root);
		return chosen;
	}
	both = new_node(t, 0);
	append_child(t, both, chosen);
	append_child(t, both, root);
	return both;
}

static void
gather(struct threads *t)
{
	struct map *subjects = map_new();
	size_t kept = 0, place;

	choose_roots(t, subjects);
	for (size_t i = 0; i < t->roots.n; i++) {
		const uint32_t root = t->roots.p[i];

		if (!find_root(subjects, subject_of(t, root), &place) || place == i)
			continue;
		t->roots.p[place] = join(t, t->roots.p[place], root);
		t->roots.p[i] = none;
	}
	for (size_t i = 0; i < t->roots.n; i++)
		if (t->roots.p[i] != none)
			t->roots.p[kept++] = t->roots.p[i];
	t->roots.n = kept;
	map_free(subjects);
}

/* ---- ORDEREDSUBJECT ---- */

static void
group_by_subject(struct threads *t)
{
	uint32_t root = none;

	for (uint32_t n = 0; n < t->count; n++)
		list_add(&t->scratch, n);
	sort_list(t, &t->scratch, by_subject);
	for (size_t i = 0; i < t->scratch.n; i++) {
		const uint32_t n = t->scratch.p[i];

		if (root != none && str_eq(subject_of(t, root), subject_of(t, n))) {
			append_child(t, root, n);
			continue;
		}
		root = n;
		list_add(&t->roots, n);
	}
	sort_list(t, &t->roots, by_date);
}

/* ---- going out ---- */

static void
put_nodes(struct threads *t)
{
	t->out = xcalloc(t->count + 1, sizeof(*t->out));
	for (size_t i = 0; i < t->count; i++)
		t->out[i] = (struct thread_node){ .uid = t->nodes[i].is_here ? t->nodes[i].uid : 0,
			.child = t->nodes[i].child, .next = t->nodes[i].next };
	for (size_t i = 0; i < t->roots.n; i++)
		t->out[t->roots.p[i]].next = i + 1 < t->roots.n ? t->roots.p[i + 1] : none;
}

bool
threads_step(struct threads *t)
{
	switch (t->phase) {
	case TREE:
		if (t->kind == THREAD_ORDEREDSUBJECT) {
			group_by_subject(t);
			t->phase = PUT;
			return true;
		}
		make_trees(t);
		break;
	case PRUNE:
		prune(t);
		break;
	case SORT:
		sort_trees(t);
		if (t->kind == THREAD_REFS) {
			t->phase = PUT;
			return true;
		}
		break;
	case GATHER:
		gather(t);
		break;
	case SORT_AGAIN:
		sort_trees(t);
		break;
	case PUT:
		put_nodes(t);
		break;
	case DONE:
		return false;
	}
	t->phase++;
	return t->phase != DONE;
}

struct thread_list
threads_list(const struct threads *t)
{
	return (struct thread_list){ t->out, t->roots.n > 0 ? t->roots.p[0] : none };
}
