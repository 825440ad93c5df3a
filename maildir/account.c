/* SPDX-License-Identifier: ISC */
/* An account's life: opening, its idle work, closing. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "maildir/index_memory.h"
#include "maildir/kept.h"
#include "maildir/private.h"
#include "maildir/search_db.h"

enum {
	SLICE_MS = 10,
	SWEEP_DELAY_MS = 5000,
	REST_DELAY_MS = 5000,	/* after the index was asked last; at most twice as long */
	CLOSE_RENAMES = 100000,	/* slices at most before a close gives up */
};

static enum store_result prepare(struct account *a);
static enum store_result look_at_boot(struct account *a);

enum store_result
account_open(int dirfd, const struct account_options *o, struct account **out)
{
	struct account *a = xcalloc(1, sizeof(*a));
	enum store_result r;

	a->dir = dirfd;
	a->ours = a->lock_fd = a->events = a->inotify = a->socket = -1;
	a->quota_bytes = o->quota_bytes;
	a->quota_messages = o->quota_messages;
	a->keep_seconds = (int64_t)o->undelete_days * 86400;
	a->is_kept = o->kept;
	a->snapshot_from = o->snapshot_from;
	TAILQ_INIT(&a->folders);
	buf_put(&a->address, o->address);
	buf_put_z(&a->daemon, o->daemon);
	log_add_field(&a->log, KV("account", o->address));
	r = prepare(a);
	if (r != STORE_OK) {
		account_close(a);
		return r == STORE_GONE ? STORE_BROKEN : r;
	}
	if (o->searches)
		search_build_later(a);
	a->searches = o->searches;
	*out = a;
	return STORE_OK;
}

static enum store_result
prepare(struct account *a)
{
	bool fresh;
	scoped_buf numbers = BUF_INIT;
	enum store_result r;
	struct stat st;
	int64_t mtime;

	a->ours = files_make_dir(a->dir, ".trivet");
	/* What is in it can be made anew. */
	if (a->ours < 0 && (errno == ELOOP || errno == ENOTDIR) && files_set_aside(&a->log, a->dir, ".trivet"))
		a->ours = files_make_dir(a->dir, ".trivet");
	if (a->ours < 0)
		return files_failed(&a->log, "open", STR(".trivet"));
	fresh = fstatat(a->dir, "trivet-mailbox", &st, AT_SYMLINK_NOFOLLOW) != 0;
	watch_open(a);
	r = index_open(a);
	for (int step = 1; r == STORE_FULL && reserve_release(a, step); step++)
		r = index_open(a);
	if (r != STORE_OK)
		return r;
	r = look_at_boot(a);
	if (r == STORE_OK)
		r = state_get(a, "root_mtime", &mtime);
	if (r == STORE_OK && (a->root_mtime = mtime) != files_mtime_ns(a->dir))
		r = tree_sync(a);
	if (r == STORE_OK && fresh && !a->is_kept)
		r = box_numbers(a, &numbers);
	/* Nothing but INBOX: not one that other programs have furnished. */
	if (r == STORE_OK && fresh && !a->is_kept && numbers.n == sizeof(int64_t))
		r = tree_make_defaults(a);
	/* What cannot be noted on a full disk now is looked for again next time: reading goes on. */
	if (r == STORE_FULL)
		r = STORE_OK;
	/* Flags whose names a process that died had not written yet. */
	flags_rename_later(a);
	a->sweep_due = clock_monotonic_ms() + SWEEP_DELAY_MS;
	return r;
}

/* FNV-1a of the kernel's boot id; 0 where a sandbox hides it. */
static int64_t
boot_id(void)
{
	scoped_fd fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	scoped_buf text = BUF_INIT;
	uint64_t h = 0xcbf29ce484222325u;

	if (fd < 0 || !files_read_at(fd, 0, 64, &text) || text.n == 0)
		return 0;
	for (size_t i = 0; i < text.n; i++)
		h = (h ^ (unsigned char)text.p[i]) * 0x100000001b3u;
	return (int64_t)(h >> 1);
}

/*
 * With another boot id the machine may have gone down with the index open: its last transactions may be gone,
 * though clients were told of them. SQLite's log does not tell: it may be lost, too.
 */
static enum store_result
look_at_boot(struct account *a)
{
	int64_t now = boot_id(), then;
	enum store_result r = state_get(a, "boot", &then);

	a->boot = now;
	if (r != STORE_OK || now == 0 || now == then)
		return r;
	if (then != 0)
		r = renew_account(a, RENEW_BOOT);
	if (r == STORE_OK)
		r = txn_begin(a);
	return r == STORE_OK ? txn_end(a, state_put(a, "boot", now)) : r;
}

/* What was read for who asked last, and for who might ask next. */
static void
forget_answers(struct account *a)
{
	texts_rest(a);
	texts_free(&a->texts);
	buf_free(&a->body);
	rows_ahead_forget(a);
	for (size_t i = 0; i < FACT_COUNT; i++)
		buf_free(&a->facts[i]);
}

void
account_close(struct account *a)
{
	if (a == NULL)
		return;
	kept_close(a);
	if (!TAILQ_EMPTY(&a->folders))
		fatal("account closed with a mailbox open");
	if (a->db != NULL) {
		for (int i = 0; i < CLOSE_RENAMES && flags_rename_slice(a); i++)
			continue;
		touch_flush(a);
	}
	inbox_forget(a);
	search_build_free(a);
	search_db_close(a);
	index_close(a);
	watch_close(a);
	forget_answers(a);
	buf_free(&a->address);
	buf_free(&a->daemon);
	log_free(&a->log);
	close_fd(&a->lock_fd);
	close_fd(&a->ours);
	close_fd(&a->dir);
	free(a);
}

/* ---- idle work ---- */

static bool
is_due(int64_t *due)
{
	if (*due == 0 || *due > clock_monotonic_ms())
		return false;
	*due = 0;
	return true;
}

static bool
is_soon(int64_t due)
{
	return due != 0 && due < clock_monotonic_ms() + REST_DELAY_MS;
}

static void
sweep(struct account *a)
{
	tree_sweep(a);
	snapshot_files_sweep(a);
	reserve_keep(a);
	a->keep_due = clock_monotonic_ms();
	if (txn_begin(a) == STORE_OK)
		(void)!txn_end(a, index_do(a, Q_DELIVERY_PRUNE,
		    BIND(V(clock_now() - DELIVERY_AGE))));
}

/* Who idles needs nothing of what the index was read with, and there are many who do. */
static void
rest(struct account *a)
{
	const bool busy = is_soon(a->rename_due) || is_soon(a->touch_due) || is_soon(a->sweep_due) ||
	    is_soon(a->keep_due) || is_soon(a->search_due);

	if (a->resting || a->db == NULL)
		return;
	if (a->index_asked || busy) {
		a->index_asked = false;
		account_rest_later(a);
		return;
	}
	index_rest(a);
	search_db_close(a);
	forget_answers(a);
	index_memory_rest();
}

void
account_rest_later(struct account *a)
{
	a->rest_due = clock_monotonic_ms() + REST_DELAY_MS;
}

bool
account_take_news(struct account *a)
{
	bool news = a->news;

	a->news = false;
	return (a->kept != NULL && account_take_news(a->kept)) || news;
}

bool
account_rests(const struct account *a)
{
	return a->resting && (a->kept == NULL || account_rests(a->kept));
}

bool
account_work(struct account *a)
{
	int64_t until = clock_monotonic_ms() + SLICE_MS;
	bool more = false;

	if (is_due(&a->rename_due)) {
		do
			more = flags_rename_slice(a);
		while (more && clock_monotonic_ms() < until);
		if (more)
			a->rename_due = clock_monotonic_ms();
		return more;
	}
	if (is_due(&a->touch_due))
		touch_flush(a);
	if (is_due(&a->poll_due))
		watch_poll(a);
	if (is_due(&a->unwatch_due))
		watch_rest(a);
	if (is_due(&a->sweep_due))
		sweep(a);
	if (is_due(&a->rest_due))
		rest(a);
	if (a->kept != NULL && account_work(a->kept))
		return true;
	if (is_due(&a->keep_due) && kept_slice(a))
		return true;
	if (is_due(&a->search_due) && search_build_slice(a))
		a->search_due = clock_monotonic_ms();
	return a->search_due != 0 && a->search_due <= clock_monotonic_ms();
}

int
account_work_due_ms(const struct account *a)
{
	const int64_t due[] = { a->rename_due, a->touch_due, a->poll_due, a->rest_due, a->sweep_due,
	    a->unwatch_due, a->search_due, a->keep_due };
	int64_t first = 0, now = clock_monotonic_ms();
	int kept = a->kept != NULL ? account_work_due_ms(a->kept) : -1;

	for (size_t i = 0; i < countof(due); i++)
		if (due[i] != 0 && (first == 0 || due[i] < first))
			first = due[i];
	if (kept >= 0 && (first == 0 || now + kept < first))
		first = now + kept;
	return first == 0 ? -1 : first <= now ? 0 : (int)(first - now);
}
