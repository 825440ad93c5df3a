/* SPDX-License-Identifier: ISC */
/*
 * An account looked at from outside: its index, its folders, its mailboxes one after the other. Invariant:
 * without `repair` nothing is written, made or renamed here, whatever state the account is in.
 */
#include "maildir/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "maildir/index_vfs.h"
#include "maildir/kept.h"

enum {
	REPAIRS = 3,		/* of one mailbox: one repair may show what it hid */
};

static enum store_result check_one(struct check *c, int64_t number);

/* ---- findings ---- */

void
findings_free(struct findings *f)
{
	free(f->all);
	arena_free(f->arena);
	map_free(f->by_key);
}

static void
put_key(struct buf *out, const struct finding *one)
{
	buf_printf(out, "%d %u ", (int)one->kind, one->uid);
	buf_put(out, one->mailbox);
	buf_put_c(out, '\0');
	buf_put(out, one->file);
}

void
findings_add(struct findings *f, const struct finding *one)
{
	scoped_buf key = BUF_INIT;
	struct finding *kept;

	if (f->arena == NULL) {
		f->arena = arena_new();
		f->by_key = map_new();
	}
	if (f->count == f->room) {
		f->room = f->room < 16 ? 16 : f->room * 2;
		f->all = xrealloc(f->all, f->room * sizeof(*f->all));
	}
	kept = &f->all[f->count++];
	*kept = *one;
	kept->mailbox = arena_str(f->arena, one->mailbox);
	kept->file = arena_str(f->arena, one->file);
	kept->detail = arena_str(f->arena, one->detail);
	put_key(&key, one);
	(void)map_set(f->by_key, buf_str(&key), f);
}

bool
findings_have(const struct findings *f, const struct finding *one)
{
	scoped_buf key = BUF_INIT;

	put_key(&key, one);
	return f->count > 0 && map_get(f->by_key, buf_str(&key)) != NULL;
}

/* Those that are in both, as the later look saw them. */
void
findings_keep_common(struct findings *first, struct findings *later)
{
	struct findings both = { 0 };

	for (size_t i = 0; i < later->count; i++)
		if (findings_have(first, &later->all[i]))
			findings_add(&both, &later->all[i]);
	findings_free(first);
	*first = both;
}

void
check_tell(struct check *c, const struct finding *one)
{
	scoped_buf name = BUF_INIT;
	struct finding named = *one;

	if (c->kept && one->later)
		return;
	if (c->kept) {
		buf_printf(&name, "%s/%.*s", kept_dir, STR_ARG(one->mailbox));
		named.mailbox = buf_str(&name);
	}
	if (one->kind == FOUND_NOT_OURS)
		c->result.notes++;
	else if (one->repaired)
		c->result.repaired++;
	else if (one->later)
		c->result.later++;
	else
		c->result.faults++;
	c->o->found(c->o->context, &named);
}

/* ---- statements ---- */

sqlite3_stmt *
check_ask(struct check *c, const char *sql, const struct value *values)
{
	sqlite3_stmt *q = NULL;

	c->a->statement_result = STORE_OK;
	if (sqlite3_prepare_v2(c->a->db, sql, -1, &q, NULL) != SQLITE_OK) {
		log_error(&c->a->log, "check-failed", KV("why", sqlite3_errmsg(c->a->db)));
		c->a->statement_result = STORE_BROKEN;
		return NULL;
	}
	for (int i = 0; values[i].kind != VALUE_END; i++) {
		if (values[i].kind == VALUE_NUMBER)
			sqlite3_bind_int64(q, i + 1, values[i].number);
		else
			sqlite3_bind_text(q, i + 1, values[i].text.p, (int)values[i].text.n, SQLITE_TRANSIENT);
	}
	return q;
}

enum store_result
check_end(struct check *c, sqlite3_stmt *q)
{
	sqlite3_finalize(q);
	return c->a->statement_result;
}

enum store_result
check_do(struct check *c, const char *sql, const struct value *values)
{
	sqlite3_stmt *q = check_ask(c, sql, values);

	while (index_row(c->a, q))
		continue;
	return check_end(c, q);
}

/* ---- an account that is only looked at ---- */

static void
detach(struct account *a)
{
	index_close(a);
	log_free(&a->log);
	close_fd(&a->ours);
	close_fd(&a->dir);
	free(a);
}

/* No socket, no watch, nothing made: and no statement that may change anything. */
static struct account *
attach(int dirfd, const struct account_options *o)
{
	struct account *a = xcalloc(1, sizeof(*a));

	a->dir = dirfd;
	a->lock_fd = a->events = a->inotify = a->socket = -1;
	a->quota_bytes = o->quota_bytes;
	a->quota_messages = o->quota_messages;
	TAILQ_INIT(&a->folders);
	log_add_field(&a->log, KV("account", o->address));
	a->ours = files_open_dir(a->dir, ".trivet");
	return a;
}

enum store_result
account_look(int dirfd, const struct account_options *o, struct usage *out)
{
	struct account *a = attach(dirfd, o);
	enum store_result r = a->ours < 0 ? STORE_GONE : index_look(a);

	if (r == STORE_OK)
		r = account_usage(a, out);
	detach(a);
	return r;
}

/* ---- all of it ---- */

static enum store_result
check_all(struct check *c)
{
	scoped_buf numbers = BUF_INIT;
	int64_t number;
	bool usable = false;
	enum store_result r = check_index(c, &usable);

	if (r != STORE_OK || !usable)
		return r;
	r = check_tree(c);
	if (r == STORE_OK)
		r = box_numbers(c->a, &numbers);
	for (size_t i = 0; r == STORE_OK && i < numbers.n; i += sizeof(number)) {
		memcpy(&number, numbers.p + i, sizeof(number));
		r = check_one(c, number);
		if (r == STORE_NO_SUCH)		/* deleted meanwhile */
			r = STORE_OK;
	}
	return r;
}

/* A damaged index is only seen by who reads all of it; so that is done before anybody else opens it. */
static enum store_result
look_first(int dirfd, const struct account_options *options, struct findings *f)
{
	struct account *a = attach(dirfd, options);
	struct check c = { .a = a };
	enum store_result r = a->ours < 0 ? STORE_GONE : index_look(a);
	sqlite3_stmt *q;

	if (r == STORE_GONE)
		findings_add(f, &(struct finding){ .kind = FOUND_INDEX_MISSING, .later = true });
	q = r == STORE_OK ? check_ask(&c, "PRAGMA integrity_check(1)", BIND()) : NULL;
	if (index_row(a, q)) {
		if (!str_eq(index_text(q, 0), STR("ok")))
			findings_add(f, &(struct finding){ .kind = FOUND_INDEX_DAMAGED, .detail = index_text(q, 0) });
	} else if (r != STORE_GONE && (r == STORE_OK || a->index_lost)) {
		findings_add(f, &(struct finding){ .kind = FOUND_INDEX_DAMAGED, .detail = STR("it is no database") });
		r = STORE_OK;
	}
	sqlite3_finalize(q);
	detach(a);
	return r == STORE_GONE ? STORE_OK : r;
}

static enum store_result
repair_account(int dirfd, const struct account_options *options, struct findings *first,
    const struct check_options *o, struct check_result *out)
{
	struct check c = { .o = o, .kept = options->kept };
	enum store_result r = account_open(dirfd, options, &c.a);

	if (r != STORE_OK)
		return r;
	for (size_t i = 0; i < first->count; i++) {
		/* As if somebody had met the damage in use. */
		if (first->all[i].kind == FOUND_INDEX_DAMAGED && c.a->generation == 0) {
			c.a->index_lost = true;
			r = index_alive(c.a);
		}
		first->all[i].repaired = r == STORE_OK;
		check_tell(&c, &first->all[i]);
	}
	if (r == STORE_OK)
		r = check_all(&c);
	*out = c.result;
	account_close(c.a);
	return r;
}

static enum store_result
check_account(int dirfd, const struct account_options *options, const struct check_options *o,
    struct check_result *out)
{
	scoped_findings first = { 0 };
	struct check c = { .o = o, .kept = options->kept };
	enum store_result r;
	int again = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);

	*out = (struct check_result){ 0 };
	r = again < 0 ? STORE_BUSY : look_first(again, options, &first);
	if (r != STORE_OK) {
		close_fd(&dirfd);
		return r;
	}
	if (o->repair)
		return repair_account(dirfd, options, &first, o, out);
	c.a = attach(dirfd, options);
	for (size_t i = 0; i < first.count; i++)
		check_tell(&c, &first.all[i]);
	if (first.count == 0)
		r = index_look(c.a);
	if (r == STORE_OK && first.count == 0)
		r = check_all(&c);
	*out = c.result;
	detach(c.a);
	return r;
}

/* What is kept has an index of its own; nobody has numbered its files before somebody looked. */
enum store_result
account_check(int dirfd, const struct account_options *options, const struct check_options *o,
    struct check_result *out)
{
	struct account_options inner = { .address = options->address, .daemon = options->daemon, .kept = true };
	int kept = files_open_dir(dirfd, kept_dir);
	struct check_result more = { 0 };
	enum store_result r = check_account(dirfd, options, o, out);

	if (kept < 0 || r != STORE_OK) {
		close_fd(&kept);
		return r;
	}
	r = check_account(kept, &inner, o, &more);
	out->bytes += more.bytes;
	out->faults += more.faults;
	out->repaired += more.repaired;
	out->notes += more.notes;
	return r;
}

/* ---- one mailbox ---- */

/* Keepers have a socket there, which one that was killed leaves. */
bool
check_has_company(struct check *c)
{
	static const char *const daemons[] = { "imapd", "pop3d", "smtpd" };
	struct stat st;

	for (size_t i = 0; i < countof(daemons); i++)
		if (fstatat(c->a->ours, daemons[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	return false;
}

/* What was only on its way is there at the next look. */
static enum store_result
look_patiently(struct check *c, int64_t number, struct findings *out)
{
	enum store_result r = check_mailbox(c, number, true, out);

	for (int look = 1; r == STORE_OK && out->count > 0 && look < LOOKS && check_has_company(c); look++) {
		scoped_findings again = { 0 };
		bool read = false;

		for (size_t i = 0; i < out->count; i++)
			read |= out->all[i].kind == FOUND_FILE_WIRE;
		usleep(LOOK_AGAIN_MS * 1000);
		r = check_mailbox(c, number, read, &again);
		if (r == STORE_OK)
			findings_keep_common(out, &again);
	}
	return r;
}

static enum store_result
repair_patiently(struct check *c, int64_t number, struct findings *found)
{
	enum store_result r = STORE_OK;

	for (int i = 0; r == STORE_OK && i < REPAIRS; i++) {
		scoped_findings left = { 0 };

		r = check_repair(c, number, found);
		if (r == STORE_OK)
			r = look_patiently(c, number, &left);
		/* It is another mailbox now, whose files are what it was taken from. */
		if (r == STORE_NO_SUCH)
			r = STORE_OK;
		if (r != STORE_OK)
			break;
		for (size_t k = 0; k < found->count; k++)
			found->all[k].repaired = !findings_have(&left, &found->all[k]);
		/* What only shows now. */
		for (size_t k = 0; k < left.count; k++)
			if (!findings_have(found, &left.all[k]))
				findings_add(found, &left.all[k]);
		if (left.count == 0)
			break;
	}
	return r;
}

static enum store_result
check_one(struct check *c, int64_t number)
{
	scoped_findings found = { 0 };
	enum store_result r = look_patiently(c, number, &found);

	c->result.mailboxes++;
	if (r == STORE_OK && found.count > 0 && c->o->repair)
		r = repair_patiently(c, number, &found);
	for (size_t i = 0; i < found.count; i++)
		check_tell(c, &found.all[i]);
	return r == STORE_GONE ? STORE_NO_SUCH : r;
}

/* ---- sums ---- */

enum store_result
account_recount(struct account *a, struct usage *before, struct usage *now)
{
	struct check c = { .a = a };
	scoped_buf numbers = BUF_INIT;
	int64_t number;
	enum store_result r = account_usage(a, before);

	if (r == STORE_OK)
		r = box_numbers(a, &numbers);
	for (size_t i = 0; r == STORE_OK && i < numbers.n; i += sizeof(number)) {
		scoped_box box = BOX_NONE;
		scoped_place place = PLACE_CLOSED;

		memcpy(&number, numbers.p + i, sizeof(number));
		r = box_get(a, number, &box);
		if (r == STORE_OK)
			r = place_open(a, buf_str(&box.name), &place);
		if (r == STORE_OK)
			r = scan_mailbox(a, number, &place, SCAN_ALWAYS);
		if (r == STORE_OK)
			r = check_recount(&c, number);
		if (r == STORE_NO_SUCH || r == STORE_GONE)
			r = STORE_OK;
	}
	return r == STORE_OK ? account_usage(a, now) : r;
}
