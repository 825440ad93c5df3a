/* SPDX-License-Identifier: ISC */
/*
 * The model test's coordinator. Batches of operations are handed to four processes of ours, and to one that is
 * not, to be done at once; then everybody looks, and what is there must be what some order of the same operations
 * makes of the model. No (UIDVALIDITY, UID) ever names two messages, UIDNEXT and HIGHESTMODSEQ never fall, nothing
 * is lost or doubled, what clients were told is all there is to know (worker.c), the files say what the index says.
 * Processes are killed with -9 in the midst of it, and indexes removed.
 *
 *	tests/model/test_model [--operations N] [--seed N | --from N] [--keep]
 *
 * --seed: with this seed alone; --from: with this one and those after it. Each is done with 2500 operations at most.
 * make check runs 2500 operations. The long run is 100,000, in a build with --enable-sanitizers:
 *	TRIVET_MODEL_OPERATIONS=100000 make check TESTS=tests/model/test_model
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/map.h"
#include "maildir/layout.h"
#include "tests/model/model.h"

enum {
	WORKERS = 4,
	OUTSIDER = WORKERS,
	ACTORS = WORKERS + 1,
	OPERATIONS = 2500,
	SEED_OPERATIONS = 2500,	/* with one seed at most */
	LOOK_AT_ALL = 8,	/* batches */
	SETTLE_EACH = 40,
	CROWDED = 40,		/* messages: then some go */
	FULL = 150,		/* and no more come */
};

/* What a seed is allowed to do. */
enum { WITH_OUTSIDER = 1, WITH_KILLS = 2, WITHOUT_INDEX = 4 };

static const char *const daemons[WORKERS] = { "imapd", "imapd", "pop3d", "smtpd" };
static const char *const pool[] = { "INBOX", "Sent", "Trash", "Archive", "a", "a/b", "a/b/c", "b", "b/x.y", "한글" };

struct actor {
	pid_t pid;
	int fd;
	char open[HANDLES][ID_ROOM];	/* ids of the mailboxes that its handles have */
};

struct known {
	uint32_t mail, flags, words;
	uint64_t modseq;
};

static struct {
	uint64_t seed, random, step, done, batches, killed, busy, rebuilt;
	unsigned with;
	bool keep;
	bool tell;	/* how far a long run is */
	char path[64];
	struct actor actor[ACTORS];
	struct op op[ACTORS];
	struct answer answer[ACTORS];
	bool active[ACTORS];
	struct state now, trial[ACTORS + 1];
	struct seen seen[FOLDERS_MAX];
	uint32_t seen_count;
	bool saw_all;
	bool index_lost;	/* in the batch to come modseqs are not what they were */
	struct buf why;
	struct map *messages;	/* "id uidvalidity uid" to struct known */
	struct map *boxes;	/* "id" to struct seen, of which no message is kept */
	uint32_t mails, traces;
	uint32_t carried;	/* the UID that the outsider takes along, or renumbers: nobody else moves it */
	char carried_from[NAME_ROOM];
} c;

/* ---- chance ---- */

static uint32_t
random_below(uint32_t n)
{
	c.random ^= c.random << 13;
	c.random ^= c.random >> 7;
	c.random ^= c.random << 17;
	return (uint32_t)((c.random >> 20) % n);
}

static bool
one_in(uint32_t n)
{
	return random_below(n) == 0;
}

/* ---- when it goes wrong ---- */

static void
print_op(const struct op *op, const struct answer *a, int actor)
{
	fprintf(stderr, "  %d %s %s%s%s handle %d id %s uids", actor, kind_names[op->kind], op->name,
	    op->to[0] ? " to " : "", op->to, op->handle, op->id);
	for (uint32_t i = 0; i < op->count; i++)
		fprintf(stderr, " %u", op->uids[i]);
	fprintf(stderr, "%s; how %d flags %x words %x since %llu mail %u trace %u letters %s\n    %s: %d uid %u%s done %d"
	    " pairs", op->all ? " all" : "", (int)op->how, op->flags, op->words, (unsigned long long)op->unchanged_since,
	    op->mail, op->trace, op->letters, a->killed ? "killed or busy" : "answer", (int)a->result, a->uid,
	    a->was_there ? " was there" : "", a->done);
	for (uint32_t i = 0; i < a->count; i++)
		fprintf(stderr, " %u>%u", a->from[i], a->to[i]);
	fprintf(stderr, "\n");
}

static const char *
name_of(const char *id)
{
	const struct folder_state *f = id[0] == '\0' ? NULL : state_by_id(&c.now, id);

	return f != NULL ? f->name : id[0] == '\0' ? "-" : id;
}

_Noreturn static void
wrong(const char *what)
{
	fprintf(stderr, "model: seed %llu, operation %llu: %s\n", (unsigned long long)c.seed, (unsigned long long)c.step,
	    what);
	for (int i = 0; i < ACTORS; i++)
		if (c.active[i])
			print_op(&c.op[i], &c.answer[i], i);
	for (int i = 0; i < WORKERS; i++)
		fprintf(stderr, "  process %d has open: %s %s\n", i, name_of(c.actor[i].open[0]), name_of(c.actor[i].open[1]));
	fprintf(stderr, "%s  the files: %s\n", buf_z(&c.why), c.path);
	for (int i = 0; i < ACTORS; i++)
		kill(c.actor[i].pid, SIGKILL);
	exit(1);
}

/* ---- the processes ---- */

static void
quiet(struct str line)
{
	if (getenv("TRIVET_TEST_LOG") != NULL)
		(void)!write(2, line.p, line.n);
}

static void
start(int i)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		fatal("socketpair: errno %d", errno);
	c.actor[i] = (struct actor){ .fd = pair[0] };
	c.actor[i].pid = fork();
	if (c.actor[i].pid < 0)
		fatal("fork: errno %d", errno);
	if (c.actor[i].pid > 0) {
		close(pair[1]);
		return;
	}
	for (int k = 0; k < ACTORS; k++)
		if (k != i && c.actor[k].pid > 0)
			close(c.actor[k].fd);
	close(pair[0]);
	if (i == OUTSIDER)
		outsider_run(c.path, pair[1]);
	worker_run(c.path, daemons[i], pair[1]);
}

static void
send_op(int i, const struct op *op)
{
	struct op copy = *op;

	copy.random = c.random ^ (uint64_t)i;
	if (write(c.actor[i].fd, &copy, sizeof(copy)) != (ssize_t)sizeof(copy))
		wrong("a process ended");
}

static bool
receive(int i, struct answer *a)
{
	ssize_t got;

	for (size_t n = 0; n < sizeof(*a); n += (size_t)got) {
		got = read(c.actor[i].fd, (char *)a + n, sizeof(*a) - n);
		if (got <= 0)
			return false;
	}
	return true;
}

static void
ask(int i, const struct op *op, struct answer *a)
{
	send_op(i, op);
	if (!receive(i, a))
		wrong("a process ended");
	if (a->trouble[0] != '\0') {
		buf_printf(&c.why, "  process %d, asked to %s %s: %s\n", i, kind_names[op->kind], op->name, a->trouble);
		wrong("what a client was told is wrong");
	}
}

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

static void
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

static void
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
static void
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

static void
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

static void
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

/* ---- making up operations ---- */

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

static void
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

/* ---- a batch ---- */

static void
kill_one(int i)
{
	int status;

	kill(c.actor[i].pid, SIGKILL);
	waitpid(c.actor[i].pid, &status, 0);
	/* It may have answered before. */
	if (!receive(i, &c.answer[i]))
		c.answer[i] = (struct answer){ .killed = true };
	close(c.actor[i].fd);
	start(i);
	c.killed++;
}

static void
run_batch(void)
{
	int victim = (c.with & WITH_KILLS) != 0 && !c.active[OUTSIDER] && one_in(9) ? (int)random_below(WORKERS) : -1;

	memset(c.answer, 0, sizeof(c.answer));
	for (int i = 0; i < ACTORS; i++)
		if (c.active[i]) {
			send_op(i, &c.op[i]);
			c.step++;
		}
	if (victim >= 0 && c.active[victim]) {
		usleep(random_below(one_in(2) ? 400 : 3000));
		kill_one(victim);
	}
	for (int i = 0; i < ACTORS; i++) {
		if (!c.active[i] || i == victim)
			continue;
		if (!receive(i, &c.answer[i]))
			wrong("a process ended");
		if (c.answer[i].trouble[0] != '\0') {
			buf_printf(&c.why, "  process %d: %s\n", i, c.answer[i].trouble);
			wrong("what a client was told is wrong");
		}
		/* Nothing of it, or all. */
		if (c.answer[i].result == STORE_BUSY) {
			c.answer[i].killed = true;
			c.busy++;
		}
	}
}

static void
note_selects(void)
{
	for (int i = 0; i < WORKERS; i++) {
		char *open = c.actor[i].open[c.op[i].handle];

		if (c.active[i] && c.op[i].kind == DO_SELECT && !c.answer[i].killed)
			snprintf(open, ID_ROOM, "%s", c.answer[i].result == STORE_OK ? c.answer[i].seen[0].id : "");
	}
}

static void
lose_index(void)
{
	scoped_buf command = BUF_INIT;

	buf_printf(&command, one_in(2) ? "rm -f %s/.trivet/index.db" :
	    "cd %s/.trivet && rm -f index.db-wal index.db-shm && echo nothing > x && mv x index.db", c.path);
	if (system(buf_z(&command)) != 0)
		wrong("the index cannot be removed");
	/* Deliveries that were made are known by their files only. */
	c.now.deliveries = 0;
	c.rebuilt++;
	c.index_lost = true;
}

static void
between_batches(void)
{
	struct op op = { .kind = ASK_REOPEN };
	struct answer a;
	int i = (int)random_below(WORKERS);

	for (uint32_t k = 0; k < c.now.count; k++)
		for (uint32_t n = 0; n < c.now.folder[k].count; n++)
			c.now.folder[k].message[n].fresh = c.now.folder[k].message[n].touched = false;
	memset(c.active, 0, sizeof(c.active));
	c.index_lost = false;
	if (c.batches % SETTLE_EACH == 0) {
		settle();
		if ((c.with & WITHOUT_INDEX) != 0)
			lose_index();
	}
	if (one_in(60)) {
		ask(i, &op, &a);
		memset(c.actor[i].open, 0, sizeof(c.actor[i].open));
	}
}

/* ---- a seed ---- */

static void
begin(uint64_t seed)
{
	struct op op = { .kind = ASK_LIST };
	struct answer a;

	c.seed = seed;
	c.random = (seed + 1) * 0x9e3779b97f4a7c15u;
	c.with = (unsigned)(seed % 8);
	c.step = c.batches = 0;
	snprintf(c.path, sizeof(c.path), "%s/trivet-model-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(c.path) == NULL)
		fatal("mkdtemp: errno %d", errno);
	c.messages = map_new();
	c.boxes = map_new();
	memset(&c.now, 0, offsetof(struct state, folder));
	memset(c.active, 0, sizeof(c.active));
	memset(c.actor, 0, sizeof(c.actor));
	for (int i = 0; i < ACTORS; i++) {
		start(i);
		if (i == 0)
			ask(0, &op, &a);
	}
	for (uint32_t i = 0; i < a.names; i++) {
		struct folder_state *f = &c.now.folder[c.now.count++];

		memset(f, 0, offsetof(struct folder_state, message));
		snprintf(f->name, sizeof(f->name), "%s", a.list[i].name);
		snprintf(f->id, sizeof(f->id), "%s", a.list[i].id);
		f->uid_next = 1;
	}
}

static void
free_map(struct map *m)
{
	size_t at = 0;
	struct str key;
	void *value;

	while (map_next(m, &at, &key, &value))
		free(value);
	map_free(m);
}

static void
end(void)
{
	scoped_buf command = BUF_INIT;
	int status;

	settle();
	for (int i = 0; i < ACTORS; i++) {
		close(c.actor[i].fd);
		waitpid(c.actor[i].pid, &status, 0);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			wrong("a process did not end well");
	}
	buf_printf(&command, "rm -rf %s", c.path);
	if (!c.keep && system(buf_z(&command)) != 0)
		fatal("rm failed");
	free_map(c.messages);
	free_map(c.boxes);
}

static void
run_seed(uint64_t seed, uint64_t operations)
{
	begin(seed);
	while (c.step < operations) {
		choose_batch();
		run_batch();
		note_selects();
		c.batches++;
		sync_all(false);
		look();
		explain_batch();
		for (uint32_t i = 0; i < c.seen_count; i++)
			see(&c.seen[i]);
		sync_all(true);
		between_batches();
	}
	end();
	c.done += c.step;
	if (c.tell)
		fprintf(stderr, "model: seed %llu done, %llu operations so far\n", (unsigned long long)seed,
		    (unsigned long long)c.done);
}

int
main(int argc, char **argv)
{
	const char *asked = getenv("TRIVET_MODEL_OPERATIONS");
	uint64_t operations = asked != NULL ? strtoull(asked, NULL, 10) : OPERATIONS, first = 0, each;
	bool one = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--operations") == 0 && i + 1 < argc)
			operations = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			first = strtoull(argv[++i], NULL, 10), one = true;
		else if (strcmp(argv[i], "--from") == 0 && i + 1 < argc)
			first = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--keep") == 0)
			c.keep = true;
		else
			fatal("model: %s?", argv[i]);
	}
	log_set_sink(quiet);
	signal(SIGPIPE, SIG_IGN);
	c.tell = operations > OPERATIONS;
	each = operations / 8 < SEED_OPERATIONS ? operations / 8 : SEED_OPERATIONS;
	for (uint64_t seed = first; c.done < operations; seed++)
		run_seed(seed, one ? operations : each);
	printf("%llu operations, %llu processes killed, %llu indexes removed, busy %llu times\n",
	    (unsigned long long)c.done, (unsigned long long)c.killed, (unsigned long long)c.rebuilt,
	    (unsigned long long)c.busy);
	return 0;
}
