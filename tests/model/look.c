/* SPDX-License-Identifier: ISC */
/* What the processes and the files show, held against the model and against all that was seen before. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "maildir/layout.h"
#include "tests/model/coordinator.h"

enum { LOOK_AT_ALL = 8 };	/* batches */

/* ---- what must always be true of what is seen ---- */

static void
see_box(const struct seen *s)
{
	struct seen *before = map_get(c.boxes, str_of(s->id));

	if (before == NULL) {
		before = xcalloc(1, sizeof(*before));
		before->uidvalidity = s->uidvalidity;
		(void)map_set(c.boxes, str_of(s->id), before);
	}
	buf_printf(&c.why, "  %s: uidvalidity %u, %u; uid_next %u, %u; modseq %llu, %llu\n", s->name,
	    before->uidvalidity, s->uidvalidity, before->uid_next, s->uid_next, (unsigned long long)before->modseq,
	    (unsigned long long)s->modseq);
	if (before->uidvalidity != s->uidvalidity)
		wrong("UIDVALIDITY changed");
	if (before->uid_next > s->uid_next)
		wrong("UIDNEXT fell");
	if (before->modseq > s->modseq)
		wrong("HIGHESTMODSEQ fell");
	buf_clear(&c.why);
	before->uid_next = s->uid_next;
	before->modseq = s->modseq;
}

void
see(const struct seen *s)
{
	scoped_buf key = BUF_INIT;

	see_box(s);
	for (uint32_t i = 0; i < s->count; i++) {
		const struct seen_message *m = &s->message[i];
		struct known *k;

		buf_clear(&key);
		buf_printf(&key, "%s %u %u", s->id, s->uidvalidity, m->uid);
		k = map_get(c.messages, buf_str(&key));
		if (k == NULL) {
			k = xcalloc(1, sizeof(*k));
			k->mail = m->mail;
			(void)map_set(c.messages, buf_str(&key), k);
		} else {
			buf_printf(&c.why, "  %s uid %u: mail %u, %u; flags %x, %x; words %x, %x; modseq %llu, %llu\n",
			    s->name, m->uid, k->mail, m->mail, k->flags, m->flags, k->words, m->words,
			    (unsigned long long)k->modseq, (unsigned long long)m->modseq);
			if (k->mail != m->mail)
				wrong("a UID names two messages");
			if (m->modseq < k->modseq || (m->modseq == k->modseq &&
			    (k->flags != m->flags || k->words != m->words)))
				wrong("flags changed without a higher modseq");
			buf_clear(&c.why);
		}
		*k = (struct known){ m->mail, m->flags, m->words, m->modseq };
	}
}

/* ---- looking ---- */

void
sync_all(bool compare)
{
	struct op op = { .kind = ASK_SYNC };
	static struct answer a[WORKERS];
	struct folder_state *f;

	for (int i = 0; i < WORKERS; i++)
		send_op(i, &op);
	for (int i = 0; i < WORKERS; i++) {
		if (!receive(i, &a[i]))
			wrong("a process ended while it looked");
		if (a[i].trouble[0] != '\0' || a[i].result != STORE_OK) {
			buf_printf(&c.why, "  process %d: result %d, %s\n", i, (int)a[i].result, a[i].trouble);
			wrong("what a client was told is wrong");
		}
	}
	for (int i = 0; i < WORKERS; i++)
		for (int h = 0; h < HANDLES; h++) {
			if (!a[i].open[h]) {
				c.actor[i].open[h][0] = '\0';
				continue;
			}
			if (strcmp(c.actor[i].open[h], a[i].seen[h].id) != 0)
				wrong("a handle has another mailbox than was opened");
			if (!compare)
				continue;
			f = state_by_id(&c.now, a[i].seen[h].id);
			see(&a[i].seen[h]);
			if (f == NULL || strcmp(f->name, a[i].seen[h].name) != 0) {
				buf_printf(&c.why, "  process %d has %s\n", i, a[i].seen[h].name);
				wrong("a process sees a folder that is gone, or another name");
			}
			if (!state_agrees(f, &a[i].seen[h], &c.why))
				wrong("a process sees something else");
		}
}

static void
dump(int who, const char *name)
{
	struct op op = { .kind = ASK_DUMP };
	static struct answer a;

	for (uint32_t i = 0; i < c.seen_count; i++)
		if (strcmp(c.seen[i].name, name) == 0)
			return;
	snprintf(op.name, sizeof(op.name), "%s", name);
	ask(who, &op, &a);
	if (a.result == STORE_OK)
		c.seen[c.seen_count++] = a.seen[0];
}

static uint64_t
bytes_of(const struct state *s, uint64_t *messages)
{
	scoped_buf text = BUF_INIT;
	uint64_t sum = 0;

	*messages = 0;
	for (uint32_t i = 0; i < s->count; i++)
		for (uint32_t k = 0; k < s->folder[i].count; k++) {
			buf_clear(&text);
			content_put(&text, s->folder[i].message[k].mail, false);
			sum += text.n;
			++*messages;
		}
	return sum;
}

/* Any process shows all folders, or those that the batch is about. */
void
look(void)
{
	static struct answer a;
	struct op op = { .kind = ASK_LIST };
	int who = (int)random_below(WORKERS);
	const struct folder_state *f;

	c.seen_count = 0;
	c.saw_all = c.batches % LOOK_AT_ALL == 0;
	for (int i = 0; i < ACTORS; i++)
		c.saw_all |= c.active[i] && (c.op[i].kind == DO_CREATE || c.op[i].kind == DO_DELETE ||
		    c.op[i].kind == DO_RENAME || c.op[i].may_create);
	if (c.saw_all) {
		ask(who, &op, &a);
		for (uint32_t i = 0; i < a.names; i++)
			dump(who, a.list[i].name);
		return;
	}
	for (int i = 0; i < ACTORS; i++) {
		if (!c.active[i])
			continue;
		f = c.op[i].id[0] != '\0' ? state_by_id(&c.now, c.op[i].id) : NULL;
		if (f != NULL)
			dump(who, f->name);
		if (c.op[i].name[0] != '\0' && state_find(&c.now, c.op[i].name) != NULL)
			dump(who, c.op[i].name);
		if (c.op[i].kind != OUT_RENAME && c.op[i].to[0] != '\0' && state_find(&c.now, c.op[i].to) != NULL)
			dump(who, c.op[i].to);
	}
}

static bool
is_as_seen(struct state *s, struct buf *why)
{
	struct folder_state *f;

	if (c.saw_all && s->count != c.seen_count) {
		if (why != NULL)
			buf_printf(why, "  %u folders in the model, %u seen\n", s->count, c.seen_count);
		return false;
	}
	for (uint32_t i = 0; i < c.seen_count; i++) {
		f = state_find(s, c.seen[i].name);
		if (f == NULL && why != NULL)
			buf_printf(why, "  %s is not in the model\n", c.seen[i].name);
		if (f == NULL || !state_agrees(f, &c.seen[i], why))
			return false;
	}
	return true;
}

/* Some order in which all of them explain what is seen, and the answers. */
static bool
explain(int depth, unsigned left)
{
	if (left == 0) {
		state_copy(&c.trial[ACTORS], &c.trial[depth]);
		if (!is_as_seen(&c.trial[ACTORS], NULL))
			return false;
		state_copy(&c.now, &c.trial[ACTORS]);
		return true;
	}
	for (int i = 0; i < ACTORS; i++) {
		if ((left >> i & 1) == 0)
			continue;
		for (int k = 0; k < state_alternatives(&c.op[i], &c.answer[i]); k++) {
			state_copy(&c.trial[depth + 1], &c.trial[depth]);
			if (state_do(&c.trial[depth + 1], &c.op[i], &c.answer[i], k) &&
			    explain(depth + 1, left & ~(1u << i)))
				return true;
		}
	}
	return false;
}

void
explain_batch(void)
{
	unsigned all = 0;

	for (int i = 0; i < ACTORS; i++)
		all |= c.active[i] ? 1u << i : 0;
	state_copy(&c.trial[0], &c.now);
	if (explain(0, all))
		return;
	/* The order in which they stand, for the report. */
	for (int i = 0; i < ACTORS; i++)
		if (c.active[i] && !state_do(&c.now, &c.op[i], &c.answer[i], 1))
			buf_printf(&c.why, "  process %d cannot have answered so, if they came in this order\n", i);
	(void)is_as_seen(&c.now, &c.why);
	wrong("no order of these operations explains what is there");
}

/* ---- the files, when nobody has anything left to do ---- */

static void
check_file(const struct folder_state *f, struct str text, bool *found, bool exact)
{
	struct file_name name;
	const struct message_state *m;

	if (str_starts(text, STR("torn")) || text.p[0] == '.')
		return;
	if (!file_name_parse(text, &name)) {
		buf_printf(&c.why, "  %s: %.*s\n", f->name, STR_ARG(text));
		wrong("a file of no message");
	}
	for (uint32_t i = 0; i < f->count; i++) {
		m = &f->message[i];
		if (!name.has_uid || m->uid != name.uid)
			continue;
		if (found[i] || (exact && letters_flags(name.letters) != m->flags))
			break;
		found[i] = true;
		return;
	}
	buf_printf(&c.why, "  %s: %.*s\n", f->name, STR_ARG(text));
	wrong("a file that is doubled, of no message, or with other flags");
}

static void
check_folder_files(const struct folder_state *f)
{
	bool found[MESSAGES_MAX] = { false };
	scoped_buf path = BUF_INIT, dir = BUF_INIT;
	struct dirent *e;
	DIR *d;

	layout_put_dir(&dir, str_of(f->name));
	buf_printf(&path, "%s/%s/cur", c.path, buf_z(&dir));
	d = opendir(buf_z(&path));
	if (d == NULL)
		wrong("a folder without cur/");
	while ((e = readdir(d)) != NULL)
		check_file(f, str_of(e->d_name), found, true);
	closedir(d);
	for (uint32_t i = 0; i < f->count; i++)
		if (!found[i]) {
			buf_printf(&c.why, "  %s: uid %u\n", f->name, f->message[i].uid);
			wrong("a message without a file");
		}
}

void
settle(void)
{
	struct op op = { .kind = ASK_SETTLE }, list = { .kind = ASK_LIST };
	static struct answer a;
	uint64_t messages, bytes = bytes_of(&c.now, &messages);

	for (int i = 0; i < WORKERS; i++)
		ask(i, &op, &a);
	sync_all(true);
	for (uint32_t i = 0; i < c.now.count; i++)
		check_folder_files(&c.now.folder[i]);
	ask((int)random_below(WORKERS), &list, &a);
	buf_printf(&c.why, "  %llu octets, %llu messages; expected %llu, %llu\n", (unsigned long long)a.usage.bytes,
	    (unsigned long long)a.usage.messages, (unsigned long long)bytes, (unsigned long long)messages);
	if (a.names == c.now.count && (a.usage.bytes != bytes || a.usage.messages != messages))
		wrong("the quota's sums are wrong");
	buf_clear(&c.why);
}
