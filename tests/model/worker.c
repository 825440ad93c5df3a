/* SPDX-License-Identifier: ISC */
/*
 * A process of ours: does what it is told through store.h, and behaves as a client would: what it believes
 * of its mailboxes it has only from what it was told, message by message. Now and then it is a client
 * that comes back after a while (RFC 7162) and asks only for what changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "maildir/private.h"
#include "tests/model/model.h"
#include "tests/unit/maildir/rest.h"

enum { MEMORIES = 8, LOOK_INTO = 8, RESTS_BEFORE = 12 };

/* As a client keeps it: by sequence number. */
struct view {
	struct mailbox *m;
	uint32_t count;
	struct seen_message message[MESSAGES_MAX];
};

/* What a client that left knew; by uid. */
struct memory {
	char id[ID_ROOM];
	uint32_t uidvalidity;
	uint64_t modseq;
	uint32_t count;
	struct seen_message message[MESSAGES_MAX];
};

static struct {
	const char *path;
	const char *daemon;
	struct account *account;
	struct arena *arena;
	struct view view[HANDLES];
	struct memory memory[MEMORIES];
	uint64_t random;
	struct answer answer;
} w;

static void
trouble(const char *what, uint64_t a, uint64_t b)
{
	if (w.answer.trouble[0] == '\0')
		snprintf(w.answer.trouble, sizeof(w.answer.trouble), "%s (%llu, %llu)", what,
		    (unsigned long long)a, (unsigned long long)b);
}

static bool
one_in(uint64_t n)
{
	w.random = w.random * 6364136223846793005u + 1442695040888963407u;
	return (w.random >> 33) % n == 0;
}

static void
open_store(void)
{
	int fd = open(w.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum store_result r = account_open(fd, &(struct account_options){ .address = STR("u@model.test"),
	    .daemon = w.daemon, .snapshot_from = 1 }, &w.account);

	if (r != STORE_OK)
		fatal("model: account_open says %d", (int)r);
}

/* ---- what a client sees ---- */

static uint32_t
words_of(const struct mailbox *m, uint64_t keywords)
{
	uint32_t bits = 0, known;

	for (size_t k = 0; k < mailbox_keyword_count(m); k++) {
		if ((keywords >> k & 1) == 0)
			continue;
		known = bits;
		for (int i = 0; i < WORDS; i++)
			if (str_eq_nocase(str_of(words[i]), mailbox_keyword(m, k)))
				bits |= 1u << i;
		if (known == bits)
			trouble("a keyword that nobody made", k, keywords);
	}
	return bits;
}

static void
look_into(struct mailbox *m, const struct message *at, uint32_t mail)
{
	scoped_buf want = BUF_INIT;
	struct content *c;
	struct str bytes;

	content_put(&want, mail, false);
	if (at->size != want.n || at->internal_date != content_date(mail))
		trouble("size or date of mail", mail, at->size);
	if (!one_in(LOOK_INTO))
		return;
	if (content_open(m, at->uid, &c) != STORE_OK) {
		trouble("cannot be opened, uid and mail", at->uid, mail);
		return;
	}
	if (content_bytes(c, &bytes) != STORE_OK || !str_eq(bytes, buf_str(&want)))
		trouble("other content, uid and mail", at->uid, mail);
	content_close(c);
}

static struct seen_message
see(struct mailbox *m, uint32_t seq, uint32_t mail, bool quiet)
{
	struct message at = { 0 };
	struct str text[TEXT_COUNT];

	if (!mailbox_message(m, seq, &at))
		trouble("no message of number", seq, mailbox_exists(m));
	if (mail == 0 && message_texts(m, at.uid, 1 << TEXT_HEADER, text) == STORE_OK)
		mail = content_number(text[TEXT_HEADER]);
	/* While others are at work it may be gone by now. */
	if (mail != 0 && quiet)
		look_into(m, &at, mail);
	return (struct seen_message){ at.uid, at.flags, words_of(m, at.keywords), mail, at.modseq };
}

static void
hear_exists(struct view *v, uint32_t count)
{
	if (count <= v->count || count > MESSAGES_MAX)
		trouble("EXISTS, known and told", v->count, count);
	for (; v->count < count && v->count < MESSAGES_MAX; v->count++) {
		/* Its content is asked for later: it may be expunged by then. */
		v->message[v->count] = see(v->m, v->count + 1, 0, false);
		if (v->count > 0 && v->message[v->count].uid <= v->message[v->count - 1].uid)
			trouble("uids not ascending", v->message[v->count - 1].uid, v->message[v->count].uid);
	}
}

static void
hear(struct view *v, const struct change *c)
{
	switch (c->kind) {
	case CHANGE_EXPUNGED:
		if (c->seq == 0 || c->seq > v->count || v->message[c->seq - 1].uid != c->uid) {
			trouble("EXPUNGE of number, uid", c->seq, c->uid);
			return;
		}
		memmove(&v->message[c->seq - 1], &v->message[c->seq],
		    (v->count - c->seq) * sizeof(v->message[0]));
		v->count--;
		return;
	case CHANGE_EXISTS:
		hear_exists(v, c->seq);
		return;
	case CHANGE_FLAGS:
		if (c->seq == 0 || c->seq > v->count || v->message[c->seq - 1].uid != c->uid) {
			trouble("FETCH of number, uid", c->seq, c->uid);
			return;
		}
		v->message[c->seq - 1] = see(v->m, c->seq, v->message[c->seq - 1].mail, false);
		return;
	case CHANGE_KEYWORDS:
		return;
	}
}

/* What the client believes is what the view has. */
static void
compare_view(struct view *v)
{
	struct seen_message now;

	if (v->count != mailbox_exists(v->m))
		trouble("believed and real number of messages", v->count, mailbox_exists(v->m));
	for (uint32_t i = 0; i < v->count; i++) {
		now = see(v->m, i + 1, v->message[i].mail, true);
		if (now.uid != v->message[i].uid || now.flags != v->message[i].flags ||
		    now.words != v->message[i].words)
			trouble("flags were not told, uid and flags", now.uid, now.flags);
		v->message[i] = now;
		if (now.modseq > mailbox_highest_modseq(v->m))
			trouble("modseq above the highest, uid", now.uid, now.modseq);
		if (now.uid >= mailbox_uid_next(v->m))
			trouble("uid not below UIDNEXT", now.uid, mailbox_uid_next(v->m));
		if (mailbox_seq_of_uid(v->m, now.uid) != i + 1)
			trouble("number of uid", now.uid, i + 1);
	}
}

static void
drop_view(struct view *v)
{
	mailbox_close(v->m);
	*v = (struct view){ 0 };
}

static void
start_view(struct view *v)
{
	v->count = 0;
	if (mailbox_exists(v->m) > 0)
		hear_exists(v, mailbox_exists(v->m));
}

/* ---- a client that was away ---- */

static void
remember(const struct view *v)
{
	struct memory *k = &w.memory[w.random >> 40 & (MEMORIES - 1)];
	struct str id = mailbox_id(v->m);

	memset(k->id, 0, sizeof(k->id));
	memcpy(k->id, id.p, id.n);
	k->uidvalidity = mailbox_uidvalidity(v->m);
	k->modseq = mailbox_highest_modseq(v->m);
	k->count = v->count;
	memcpy(k->message, v->message, sizeof(k->message));
}

static void
take_vanished(struct memory *k, const struct uid_set *gone)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < k->count; i++)
		if (!uid_set_has(gone, k->message[i].uid))
			k->message[kept++] = k->message[i];
	k->count = kept;
}

static void
take_changed(struct memory *k, const struct view *v)
{
	uint64_t since = k->modseq;
	uint32_t i;

	for (uint32_t n = 0; n < v->count; n++) {
		if (v->message[n].modseq <= since)
			continue;
		for (i = 0; i < k->count && k->message[i].uid < v->message[n].uid; i++)
			continue;
		if (i == k->count || k->message[i].uid != v->message[n].uid) {
			memmove(&k->message[i + 1], &k->message[i], (k->count - i) * sizeof(k->message[0]));
			k->count++;
		}
		k->message[i] = v->message[n];
	}
}

/* RFC 7162 3.2.5: with VANISHED and the changed ones it knows all. */
static void
come_back(struct memory *k, const struct view *v)
{
	struct uid_set gone;

	if (mailbox_vanished(v->m, k->modseq, w.arena, &gone) != STORE_OK) {
		trouble("what vanished cannot be told", k->modseq, 0);
		return;
	}
	for (uint32_t i = 0; i < v->count; i++)
		if (uid_set_has(&gone, v->message[i].uid))
			trouble("vanished and there, uid and since", v->message[i].uid, k->modseq);
	take_vanished(k, &gone);
	take_changed(k, v);
	if (k->count != v->count)
		trouble("coming back, messages known and there", k->count, v->count);
	for (uint32_t i = 0; i < v->count && i < k->count; i++)
		if (k->message[i].uid != v->message[i].uid || k->message[i].flags != v->message[i].flags ||
		    k->message[i].words != v->message[i].words)
			trouble("coming back, uid and since", v->message[i].uid, k->modseq);
	k->modseq = mailbox_highest_modseq(v->m);
}

static void
ask_memories(const struct view *v)
{
	struct str id = mailbox_id(v->m);

	for (int i = 0; i < MEMORIES; i++)
		if (str_eq(str_of(w.memory[i].id), id) &&
		    w.memory[i].uidvalidity == mailbox_uidvalidity(v->m) && one_in(3))
			come_back(&w.memory[i], v);
	if (one_in(4))
		remember(v);
}

static void
search_flags(const struct view *v)
{
	uint32_t flag = 1u << (w.random >> 50) % 5, n = 0;
	struct search_key key = { .kind = SEARCH_FLAG, .flags = flag };
	struct search *s = search_new(v->m, &key, &(struct search_extent){ 0 });
	scoped_buf found = BUF_INIT;
	bool done = false;
	uint32_t uid;

	while (!done)
		if (search_step(s, &found, &done) != STORE_OK) {
			trouble("search failed", flag, 0);
			break;
		}
	search_free(s);
	for (uint32_t i = 0; i < v->count; i++) {
		if ((v->message[i].flags & flag) == 0)
			continue;
		if ((n + 1) * sizeof(uid) > found.n) {
			trouble("search found too little", flag, n);
			return;
		}
		memcpy(&uid, found.p + n++ * sizeof(uid), sizeof(uid));
		if (uid != v->message[i].uid)
			trouble("search found uid, not", uid, v->message[i].uid);
	}
	if (n * sizeof(uid) != found.n)
		trouble("search found too much", flag, n);
}

/* ---- what it is told ---- */

static struct flags
flags_of(const struct op *op, struct str room[WORDS])
{
	struct flags f = { op->flags, room, 0 };

	for (int i = 0; i < WORDS; i++)
		if ((op->words >> i & 1) != 0)
			room[f.keyword_count++] = str_of(words[i]);
	return f;
}

static struct uid_set
set_of(const struct op *op)
{
	struct uid_range *r = arena_array(w.arena, struct uid_range, op->count + 1);

	for (uint32_t i = 0; i < op->count; i++)
		r[i] = (struct uid_range){ op->uids[i], op->uids[i] };
	return (struct uid_set){ r, op->count };
}

/* Written into p, one after the other. */
static enum store_result
write_mails(const struct op *op, struct append_options *o, struct append *p)
{
	uint32_t count = op->kind == DO_SEVERAL ? op->count : 1;
	enum store_result r = STORE_OK;

	for (uint32_t i = 0; r == STORE_OK && i < count; i++) {
		scoped_buf bytes = BUF_INIT;

		o->internal_date = content_date(op->mail + i);
		content_put(&bytes, op->mail + i, op->lf);
		if (i > 0)
			r = append_next(p, o);
		if (r == STORE_OK)
			r = append_write(p, buf_str(&bytes));
	}
	return r;
}

static void
add_mail(const struct op *op)
{
	struct str room[WORDS];
	scoped_buf trace = BUF_INIT;
	struct append_options o = { .mailbox = str_of(op->name), .flags = flags_of(op, room),
		.internal_date = content_date(op->mail), .may_create = op->may_create, .retry = op->retry };
	struct append *p;
	struct appended done;

	if (op->kind == DO_REPLACE) {
		struct view *v = &w.view[op->handle];

		w.answer.result = STORE_GONE;
		if (v->m == NULL || !str_eq(mailbox_id(v->m), str_of(op->id)))
			return;
		o.mailbox = str_of(op->to);
		o.replaces = v->m;
		o.replaced_uid = op->uids[0];
	}
	if (op->kind == DO_DELIVER) {
		buf_printf(&trace, "trace%u", op->trace);
		o.trace = buf_str(&trace);
		o.recipient = STR("u@model.test");
	}
	w.answer.result = append_begin(w.account, &o, &p);
	if (w.answer.result != STORE_OK)
		return;
	w.answer.result = write_mails(op, &o, p);
	if (w.answer.result == STORE_OK)
		w.answer.result = append_publish(p, op->kind != DO_DELIVER, &done);
	if (w.answer.result != STORE_OK) {
		append_abandon(p);
		return;
	}
	w.answer.uid = done.uid;
	w.answer.count = op->kind == DO_SEVERAL ? done.count : 0;
	w.answer.was_there = done.was_there;
}

/* A handle without a mailbox answers as one whose mailbox is gone. */
static void
use_handle(const struct op *op)
{
	struct view *v = &w.view[op->handle];
	struct uid_set set = set_of(op);
	struct stored stored = { 0 };
	struct copied copied = { 0 };
	struct str room[WORDS];
	struct flags flags = flags_of(op, room);
	uint32_t seq;

	w.answer.result = STORE_GONE;
	if (v->m == NULL || !str_eq(mailbox_id(v->m), str_of(op->id)))
		return;
	if (op->kind == DO_STORE)
		w.answer.result = mailbox_store(v->m, &set, op->how, &flags,
		    op->unchanged_since != 0 ? op->unchanged_since : UINT64_MAX, w.arena, &stored);
	else if (op->kind == DO_EXPUNGE)
		w.answer.result = mailbox_expunge(v->m, op->all ? NULL : &set);
	else
		w.answer.result = (op->kind == DO_COPY ? mailbox_copy : mailbox_move)(v->m, &set,
		    str_of(op->to), w.arena, &copied);
	if (w.answer.result != STORE_OK)
		return;
	w.answer.count = (uint32_t)(op->kind == DO_STORE ? stored.modified.count : copied.count);
	for (uint32_t i = 0; i < w.answer.count; i++) {
		w.answer.from[i] = op->kind == DO_STORE ? stored.modified.ranges[i].first : copied.from[i];
		w.answer.to[i] = op->kind == DO_STORE ? 0 : copied.to[i];
	}
	/* The one who stored tells the client by itself. */
	for (uint32_t i = 0; op->kind == DO_STORE && i < op->count; i++)
		if ((seq = mailbox_seq_of_uid(v->m, op->uids[i])) != 0 && seq <= v->count)
			v->message[seq - 1] = see(v->m, seq, v->message[seq - 1].mail, false);
}

static void
select_box(const struct op *op)
{
	struct view *v = &w.view[op->handle];

	drop_view(v);
	w.answer.result = mailbox_open(w.account, str_of(op->name), MAILBOX_READ_WRITE, &v->m);
	if (w.answer.result != STORE_OK)
		return;
	start_view(v);
	memcpy(w.answer.seen[0].id, mailbox_id(v->m).p, mailbox_id(v->m).n);
}

static void
show(struct view *v, struct seen *out)
{
	struct str id = mailbox_id(v->m), name = mailbox_name(v->m);

	*out = (struct seen){ .uidvalidity = mailbox_uidvalidity(v->m), .uid_next = mailbox_uid_next(v->m),
		.modseq = mailbox_highest_modseq(v->m), .count = v->count };
	memcpy(out->id, id.p, id.n);
	memcpy(out->name, name.p, name.n);
	memcpy(out->message, v->message, v->count * sizeof(v->message[0]));
}

static void
sync_view(struct view *v, int number)
{
	struct change c;
	enum store_result r = mailbox_refresh(v->m);

	if (r == STORE_GONE) {
		drop_view(v);
		return;
	}
	if (r != STORE_OK) {
		w.answer.result = r;
		return;
	}
	/* What a command does that may not tell of expunges, and then one that may. */
	if (one_in(2))
		while (mailbox_next_change(v->m, true, &c))
			hear(v, &c);
	while (mailbox_next_change(v->m, false, &c))
		hear(v, &c);
	compare_view(v);
	ask_memories(v);
	if (one_in(4))
		search_flags(v);
	w.answer.open[number] = true;
	show(v, &w.answer.seen[number]);
}

static void
sync_views(void)
{
	account_on_event(w.account);
	/* Without inotify it looks each second: that second is over. */
	if (w.account->poll_due != 0)
		w.account->poll_due = 1;
	while (w.account->poll_due == 1)
		(void)account_work(w.account);
	for (int i = 0; i < HANDLES; i++)
		if (w.view[i].m != NULL)
			sync_view(&w.view[i], i);
}

static void
dump_box(const struct op *op)
{
	struct view v = { 0 };
	struct mailbox_info info;
	uint32_t unseen = 0;

	w.answer.result = mailbox_open(w.account, str_of(op->name), MAILBOX_READ_ONLY, &v.m);
	if (w.answer.result != STORE_OK)
		return;
	start_view(&v);
	compare_view(&v);
	show(&v, &w.answer.seen[0]);
	w.answer.open[0] = true;
	if (mailbox_status(w.account, str_of(op->name), w.arena, &info) != STORE_OK ||
	    info.messages != v.count || info.uid_next != mailbox_uid_next(v.m) ||
	    info.highest_modseq != mailbox_highest_modseq(v.m))
		trouble("STATUS says something else, messages", info.messages, v.count);
	for (uint32_t i = 0; i < v.count; i++)
		unseen += (v.message[i].flags & FLAG_SEEN) == 0;
	if (info.unseen != unseen)
		trouble("STATUS says something else, unseen", info.unseen, unseen);
	mailbox_close(v.m);
}

static void
list_boxes(void)
{
	struct mailbox_info *all, info;
	size_t count;

	w.answer.result = account_list(w.account, w.arena, &all, &count);
	if (w.answer.result == STORE_OK)
		w.answer.result = account_usage(w.account, &w.answer.usage);
	if (w.answer.result != STORE_OK)
		return;
	for (size_t i = 0; i < count && w.answer.names < FOLDERS_MAX; i++) {
		if (!all[i].selectable)
			continue;
		if (mailbox_status(w.account, all[i].name, w.arena, &info) != STORE_OK) {
			trouble("listed, but no STATUS", i, count);
			continue;
		}
		memcpy(w.answer.list[w.answer.names].name, all[i].name.p, all[i].name.n);
		memcpy(w.answer.list[w.answer.names++].id, info.id.p, info.id.n);
	}
}

/* All that can wait, at once. */
static void
settle(void)
{
	w.account->rename_due = w.account->touch_due = 1;
	while (w.account->rename_due != 0 || w.account->touch_due != 0)
		(void)account_work(w.account);
}

static void
change_folders(const struct op *op)
{
	if (op->kind == DO_CREATE)
		w.answer.result = mailbox_create(w.account, str_of(op->name), 0);
	else if (op->kind == DO_DELETE)
		w.answer.result = mailbox_delete(w.account, str_of(op->name));
	else
		w.answer.result = mailbox_rename(w.account, str_of(op->name), str_of(op->to));
}

static void
reopen(void)
{
	for (int i = 0; i < HANDLES; i++)
		drop_view(&w.view[i]);
	account_close(w.account);
	open_store();
}

static void
obey(const struct op *op)
{
	/* Nobody has asked for a while, and what could wait is done. */
	if (one_in(RESTS_BEFORE))
		(void)let_rest(w.account);
	switch (op->kind) {
	case DO_APPEND: case DO_DELIVER: case DO_SEVERAL: case DO_REPLACE:
		add_mail(op);
		break;
	case DO_STORE: case DO_COPY: case DO_MOVE: case DO_EXPUNGE:
		use_handle(op);
		break;
	case DO_SELECT:
		select_box(op);
		break;
	case DO_CREATE: case DO_DELETE: case DO_RENAME:
		change_folders(op);
		break;
	case ASK_SYNC:
		sync_views();
		break;
	case ASK_DUMP:
		dump_box(op);
		break;
	case ASK_LIST:
		list_boxes();
		break;
	case ASK_SETTLE:
		settle();
		break;
	case ASK_REOPEN:
		reopen();
		break;
	case OUT_FLAGS: case OUT_REMOVE: case OUT_ADD_NEW: case OUT_ADD_CUR: case OUT_DOUBLE:
	case OUT_BACK_TO_NEW: case OUT_RENAME: case OUT_CARRY: case OUT_TWIN: case OUT_TORN: case KINDS:
		fatal("model: not for a worker: %d", (int)op->kind);
	}
}

void
worker_run(const char *path, const char *daemon, int fd)
{
	struct op op;

	w.path = path;
	w.daemon = daemon;
	w.arena = arena_new();
	open_store();
	while (op_receive(fd, &op)) {
		w.random ^= op.random;
		memset(&w.answer, 0, sizeof(w.answer));
		obey(&op);
		answer_send(fd, &w.answer);
		arena_reset(w.arena);
	}
	for (int i = 0; i < HANDLES; i++)
		drop_view(&w.view[i]);
	account_close(w.account);
	arena_free(w.arena);
	exit(0);
}
