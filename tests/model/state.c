/* SPDX-License-Identifier: ISC */
/*
 * The model: folders, messages, flags, and what each operation makes of them when no other is under way.
 * Where an answer tells a UID, it is taken and must be one that can be; where none is told (the process
 * was killed, the file came from outside) it is left open and found out when a view shows it.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "tests/model/model.h"

void
state_copy(struct state *to, const struct state *from)
{
	memcpy(to, from, offsetof(struct state, folder));
	for (uint32_t i = 0; i < from->count; i++)
		memcpy(&to->folder[i], &from->folder[i], offsetof(struct folder_state, message) +
		    from->folder[i].count * sizeof(struct message_state));
}

struct folder_state *
state_find(struct state *s, const char *name)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (strcmp(s->folder[i].name, name) == 0)
			return &s->folder[i];
	return NULL;
}

struct folder_state *
state_by_id(struct state *s, const char *id)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (strcmp(s->folder[i].id, id) == 0)
			return &s->folder[i];
	return NULL;
}

static struct message_state *
find_uid(struct folder_state *f, uint32_t uid)
{
	for (uint32_t i = 0; i < f->count; i++)
		if (uid != 0 && f->message[i].uid == uid)
			return &f->message[i];
	return NULL;
}

static struct message_state *
add_message(struct folder_state *f, uint32_t mail, uint32_t uid, uint32_t flags, uint32_t words_set)
{
	struct message_state *m;

	if (f->count == MESSAGES_MAX)
		fatal("model: too many messages");
	m = &f->message[f->count++];
	*m = (struct message_state){ .uid = uid, .flags = flags, .words = words_set, .mail = mail, .fresh = true };
	if (uid >= f->uid_next)
		f->uid_next = uid + 1;
	return m;
}

static void
remove_message(struct folder_state *f, const struct message_state *m)
{
	size_t at = (size_t)(m - f->message);

	memmove(&f->message[at], &f->message[at + 1], (f->count - at - 1) * sizeof(*m));
	f->count--;
}

/* ---- folders ---- */

static bool
is_below(const char *name, const char *parent)
{
	size_t n = strlen(parent);

	return strncmp(name, parent, n) == 0 && name[n] == '/';
}

static void
add_folder(struct state *s, const char *name)
{
	struct folder_state *f;

	if (s->count == FOLDERS_MAX)
		fatal("model: too many folders");
	f = &s->folder[s->count++];
	memset(f, 0, offsetof(struct folder_state, message));
	snprintf(f->name, sizeof(f->name), "%s", name);
	f->uid_next = 1;
}

static void
create_levels(struct state *s, const char *name)
{
	char level[NAME_ROOM];

	for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		snprintf(level, sizeof(level), "%.*s", (int)(slash - name), name);
		if (state_find(s, level) == NULL)
			add_folder(s, level);
	}
	if (state_find(s, name) == NULL)
		add_folder(s, name);
}

static enum store_result
create(struct state *s, const char *name)
{
	if (state_find(s, name) != NULL)
		return STORE_EXISTS;
	create_levels(s, name);
	return STORE_OK;
}

static void
remove_folder(struct state *s, struct folder_state *f)
{
	size_t at = (size_t)(f - s->folder);

	memmove(f, f + 1, (s->count - at - 1) * sizeof(*f));
	s->count--;
}

static enum store_result
delete(struct state *s, const char *name)
{
	struct folder_state *f = state_find(s, name);

	if (strcmp(name, "INBOX") == 0)
		return STORE_NOT_ALLOWED;
	for (uint32_t i = 0; f == NULL && i < s->count; i++)
		if (is_below(s->folder[i].name, name))
			return STORE_NOT_ALLOWED;
	if (f == NULL)
		return STORE_NO_SUCH;
	remove_folder(s, f);
	return STORE_OK;
}

static enum store_result
rename_inbox(struct state *s, const char *to, int parts)
{
	struct folder_state *inbox, *target;
	enum store_result r = create(s, to);

	if (r != STORE_OK || parts < 2)
		return r;
	inbox = state_find(s, "INBOX");
	target = state_find(s, to);
	for (uint32_t i = 0; i < inbox->count; i++)
		add_message(target, inbox->message[i].mail, 0, inbox->message[i].flags, inbox->message[i].words);
	inbox->count = 0;
	return STORE_OK;
}

static enum store_result
rename_folder(struct state *s, const char *from, const char *to, int parts)
{
	char name[NAME_ROOM], parent[NAME_ROOM];
	bool any = false;

	if (strcmp(to, "INBOX") == 0 || strcmp(from, to) == 0)
		return STORE_EXISTS;
	if (strcmp(from, "INBOX") == 0)
		return rename_inbox(s, to, parts);
	if (is_below(to, from))
		return STORE_NOT_ALLOWED;
	if (state_find(s, to) != NULL)
		return STORE_EXISTS;
	for (uint32_t i = 0; i < s->count; i++) {
		if (strcmp(s->folder[i].name, from) != 0 && !is_below(s->folder[i].name, from))
			continue;
		any = true;
		snprintf(name, sizeof(name), "%s%s", to, s->folder[i].name + strlen(from));
		if (state_find(s, name) != NULL)
			return STORE_EXISTS;
	}
	if (!any)
		return STORE_NO_SUCH;
	snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(to, '/') ? strrchr(to, '/') - to : 0), to);
	if (parent[0] != '\0')
		create_levels(s, parent);
	for (uint32_t i = 0; i < s->count; i++) {
		struct folder_state *f = &s->folder[i];

		if (strcmp(f->name, from) != 0 && !is_below(f->name, from))
			continue;
		snprintf(name, sizeof(name), "%s%s", to, f->name + strlen(from));
		memcpy(f->name, name, sizeof(name));
	}
	return STORE_OK;
}

/* ---- messages ---- */

static bool
agrees(const struct answer *a, enum store_result expected)
{
	return a->killed || a->result == expected;
}

static bool
may_be_next(const struct folder_state *f, uint32_t uid)
{
	return uid >= f->uid_next;
}

static bool
deliver_again(struct state *s, const struct op *op, const struct answer *a, bool *again)
{
	*again = false;
	for (uint32_t i = 0; op->trace != 0 && i < s->deliveries; i++) {
		if (s->delivery[i].trace != op->trace)
			continue;
		*again = true;
		if (!a->killed && s->delivery[i].uid == 0)
			s->delivery[i].uid = a->uid;
		return a->killed || (a->result == STORE_OK && a->was_there && a->uid == s->delivery[i].uid);
	}
	return true;
}

static bool
do_append(struct state *s, const struct op *op, const struct answer *a)
{
	struct folder_state *f = state_find(s, op->name);
	struct message_state *m;
	bool again;

	if (f == NULL && !op->may_create)
		return agrees(a, STORE_NO_SUCH);
	if (f == NULL)
		(void)create(s, op->name);
	f = state_find(s, op->name);
	if (op->kind == DO_DELIVER) {
		if (!deliver_again(s, op, a, &again))
			return false;
		if (again)
			return true;
		if (s->deliveries == DELIVERIES_MAX) {
			memmove(s->delivery, s->delivery + 1, (DELIVERIES_MAX - 1) * sizeof(s->delivery[0]));
			s->deliveries--;
		}
		s->delivery[s->deliveries++] = (struct delivery){ op->trace, a->killed ? 0 : a->uid };
	}
	if (!a->killed && (a->result != STORE_OK || a->was_there || !may_be_next(f, a->uid)))
		return false;
	m = add_message(f, op->mail, a->killed ? 0 : a->uid, op->flags, op->words);
	m->trace = op->trace;
	return true;
}

/* RFC 3502 */
static bool
do_several(struct state *s, const struct op *op, const struct answer *a)
{
	struct folder_state *f = state_find(s, op->name);

	if (f == NULL)
		return agrees(a, STORE_NO_SUCH);
	if (!agrees(a, STORE_OK) || (!a->killed && a->count != op->count))
		return false;
	for (uint32_t i = 0; i < op->count; i++) {
		if (!a->killed && !may_be_next(f, a->uid + i))
			return false;
		add_message(f, op->mail + i, a->killed ? 0 : a->uid + i, op->flags, op->words);
	}
	return true;
}

/* RFC 8508 */
static bool
do_replace(struct state *s, const struct op *op, const struct answer *a)
{
	struct folder_state *f = state_by_id(s, op->id), *to = state_find(s, op->to);
	struct message_state *m = f == NULL ? NULL : find_uid(f, op->uids[0]);

	/* One that another program took away is there as long as nobody has looked. */
	if (f == NULL || (m == NULL && (a->killed || a->result == STORE_GONE)))
		return agrees(a, STORE_GONE);
	if (to == NULL)
		return agrees(a, STORE_NO_SUCH);
	if (!agrees(a, STORE_OK) || (!a->killed && !may_be_next(to, a->uid)))
		return false;
	if (m != NULL)
		remove_message(f, m);
	add_message(to, op->mail, a->killed ? 0 : a->uid, op->flags, op->words);
	return true;
}

static bool
is_listed(const struct answer *a, uint32_t uid)
{
	for (uint32_t i = 0; i < a->count; i++)
		if (a->from[i] == uid)
			return true;
	return false;
}

static bool
do_store(struct state *s, const struct op *op, const struct answer *a)
{
	struct folder_state *f = state_by_id(s, op->id);
	struct message_state *m;
	uint32_t flags, set;

	if (f == NULL || !agrees(a, STORE_OK))
		return f == NULL && agrees(a, STORE_GONE);
	for (uint32_t i = 0; i < op->count; i++) {
		m = find_uid(f, op->uids[i]);
		if (m == NULL)
			continue;
		/* RFC 7162 3.1.3: those that changed since this batch began. */
		if (op->unchanged_since != 0 && !a->killed && is_listed(a, m->uid) != m->touched)
			return false;
		if (op->unchanged_since != 0 && m->touched)
			continue;
		flags = op->how == FLAGS_ADD ? m->flags | op->flags : op->how == FLAGS_REMOVE ?
		    m->flags & ~op->flags : op->flags;
		set = op->how == FLAGS_ADD ? m->words | op->words : op->how == FLAGS_REMOVE ?
		    m->words & ~op->words : op->words;
		m->touched |= flags != m->flags || set != m->words;
		m->flags = flags;
		m->words = set;
	}
	return true;
}

static bool
do_copy(struct state *s, const struct op *op, const struct answer *a)
{
	struct folder_state *f = state_by_id(s, op->id), *to = state_find(s, op->to);
	struct message_state *m, from;
	uint32_t n = 0;

	if (f == NULL)
		return agrees(a, STORE_GONE);
	if (to == NULL)
		return agrees(a, STORE_NO_SUCH);
	if (!agrees(a, STORE_OK))
		return false;
	for (uint32_t i = 0; i < op->count; i++) {
		m = find_uid(f, op->uids[i]);
		if (m == NULL)
			continue;
		from = *m;
		if (!a->killed && (n >= a->count || a->from[n] != from.uid || !may_be_next(to, a->to[n])))
			return false;
		if (op->kind == DO_MOVE)
			remove_message(f, m);
		add_message(to, from.mail, a->killed ? 0 : a->to[n], from.flags, from.words);
		n++;
	}
	return a->killed || n == a->count;
}

static bool
do_expunge(struct state *s, const struct op *op, const struct answer *a)
{
	struct folder_state *f = state_by_id(s, op->id);
	bool listed;

	if (f == NULL)
		return agrees(a, STORE_GONE);
	for (uint32_t i = f->count; i-- > 0;) {
		struct message_state *m = &f->message[i];

		listed = op->all;
		for (uint32_t k = 0; k < op->count; k++)
			listed |= op->uids[k] == m->uid;
		if (listed && !m->fresh && (m->flags & FLAG_DELETED) != 0)
			remove_message(f, m);
	}
	return agrees(a, STORE_OK);
}

/* ---- from outside; what it says that it did may have been overtaken ---- */

static void
do_outside(struct state *s, const struct op *op, const struct answer *a)
{
	struct folder_state *f = state_find(s, op->name), *to;
	struct message_state *m = f == NULL ? NULL : find_uid(f, op->uids[0]), from;

	if (!a->done || f == NULL || op->kind == OUT_TORN)
		return;
	if (op->kind == OUT_ADD_NEW || op->kind == OUT_ADD_CUR) {
		add_message(f, op->mail, 0, op->kind == OUT_ADD_CUR ? op->flags : 0, 0);
		return;
	}
	/* The file was there, whatever became of the message by then. */
	if (op->kind == OUT_DOUBLE) {
		add_message(f, op->mail, 0, 0, 0);
		return;
	}
	if (m == NULL)
		return;
	from = *m;
	if (op->kind == OUT_FLAGS || op->kind == OUT_RENAME) {
		m->flags = (m->flags | a->flags_on) & ~a->flags_off;
		m->words = (m->words | a->words_on) & ~a->words_off;
		m->touched = true;
	}
	if (op->kind == OUT_REMOVE || op->kind == OUT_CARRY)
		remove_message(f, m);
	to = state_find(s, op->to);
	if (op->kind == OUT_CARRY && to != NULL)
		add_message(to, from.mail, 0, a->flags_on, a->words_on)->any_words = true;
}

/* The name of a folder that it may make, with levels above; NULL: it makes none. */
static const char *
name_with_levels(const struct op *op)
{
	const char *name = op->kind == DO_RENAME ? op->to :
	    op->kind == DO_CREATE || op->may_create ? op->name : NULL;

	return name != NULL && strchr(name, '/') != NULL ? name : NULL;
}

/* Nothing, all, and for some a part; last the levels above alone: a directory that is there is a mailbox. */
static int
parts_of(const struct op *op)
{
	/* Two transactions: the folder, and then what goes into it. */
	return op->kind == DO_DELIVER || (op->kind == DO_RENAME && strcmp(op->name, "INBOX") == 0) ?
	    3 : 2;
}

int
state_alternatives(const struct op *op, const struct answer *a)
{
	return a->killed ? parts_of(op) + (name_with_levels(op) != NULL) : 1;
}

static void
create_above(struct state *s, const char *name)
{
	char above[NAME_ROOM];

	snprintf(above, sizeof(above), "%.*s", (int)(strrchr(name, '/') - name), name);
	create_levels(s, above);
}

bool
state_do(struct state *s, const struct op *op, const struct answer *a, int alternative)
{
	if (a->killed && alternative == 0)
		return true;
	if (alternative == parts_of(op)) {
		create_above(s, name_with_levels(op));
		return true;
	}
	if (op->kind == DO_DELIVER && alternative == 2) {
		(void)create(s, op->name);
		return true;
	}
	switch (op->kind) {
	case DO_APPEND: case DO_DELIVER:
		return do_append(s, op, a);
	case DO_SEVERAL:
		return do_several(s, op, a);
	case DO_REPLACE:
		return do_replace(s, op, a);
	case DO_STORE:
		return do_store(s, op, a);
	case DO_COPY: case DO_MOVE:
		return do_copy(s, op, a);
	case DO_EXPUNGE:
		return do_expunge(s, op, a);
	case DO_SELECT:
		return agrees(a, state_find(s, op->name) != NULL ? STORE_OK : STORE_NO_SUCH);
	case DO_CREATE:
		return agrees(a, create(s, op->name));
	case DO_DELETE:
		return agrees(a, delete(s, op->name));
	case DO_RENAME:
		return agrees(a, rename_folder(s, op->name, op->to, a->killed ? alternative : 2));
	case OUT_FLAGS: case OUT_REMOVE: case OUT_ADD_NEW: case OUT_ADD_CUR: case OUT_DOUBLE:
	case OUT_BACK_TO_NEW: case OUT_RENAME: case OUT_CARRY: case OUT_TWIN: case OUT_TORN:
		do_outside(s, op, a);
		return true;
	case ASK_SYNC: case ASK_DUMP: case ASK_LIST: case ASK_SETTLE: case ASK_REOPEN: case KINDS:
		break;
	}
	return false;
}

/* ---- against what a process sees ---- */

static bool
is_same(const struct message_state *m, const struct seen_message *seen)
{
	return m->mail == seen->mail && m->flags == seen->flags && (m->any_words || m->words == seen->words);
}

static struct message_state *
match(struct folder_state *f, const struct seen_message *seen, uint32_t first_free)
{
	struct message_state *m = find_uid(f, seen->uid);

	if (m != NULL)
		return is_same(m, seen) ? m : NULL;
	for (uint32_t i = 0; seen->uid >= first_free && i < f->count; i++)
		if (f->message[i].uid == 0 && is_same(&f->message[i], seen))
			return &f->message[i];
	return NULL;
}

static void
tell(struct buf *why, const struct folder_state *f, const struct seen *seen)
{
	if (why == NULL)
		return;
	buf_printf(why, "  %s: model %u messages, uid_next %u, id %s; seen %u, %u, %s\n", seen->name, f->count,
	    f->uid_next, f->id, seen->count, seen->uid_next, seen->id);
	for (uint32_t i = 0; i < f->count; i++)
		buf_printf(why, "    model uid %u mail %u flags %x words %x\n", f->message[i].uid,
		    f->message[i].mail, f->message[i].flags, f->message[i].words);
	for (uint32_t i = 0; i < seen->count; i++)
		buf_printf(why, "    seen  uid %u mail %u flags %x words %x modseq %llu\n", seen->message[i].uid,
		    seen->message[i].mail, seen->message[i].flags, seen->message[i].words,
		    (unsigned long long)seen->message[i].modseq);
}

static int
by_uid(const void *a, const void *b)
{
	const struct message_state *x = a, *y = b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

bool
state_agrees(struct folder_state *f, const struct seen *seen, struct buf *why)
{
	uint32_t first_free = 1;
	bool good = f->count == seen->count && seen->uid_next >= f->uid_next &&
	    (f->id[0] == '\0' || strcmp(f->id, seen->id) == 0);

	/* Numbers that were told when the batch began were all below. */
	for (uint32_t i = 0; i < f->count; i++)
		if (!f->message[i].fresh && f->message[i].uid >= first_free)
			first_free = f->message[i].uid + 1;
	for (uint32_t i = 0; good && i < seen->count; i++) {
		struct message_state *m = match(f, &seen->message[i], first_free);

		good = m != NULL;
		if (good) {
			m->uid = seen->message[i].uid;
			m->words = seen->message[i].words;
			m->any_words = false;
		}
	}
	if (!good) {
		tell(why, f, seen);
		return false;
	}
	qsort(f->message, f->count, sizeof(f->message[0]), by_uid);
	f->uid_next = seen->uid_next;
	memcpy(f->id, seen->id, sizeof(f->id));
	return true;
}
