/* SPDX-License-Identifier: ISC */
/* The journal in a throw-away folder: messages put in, found again and counted; syncs are done when a test says so. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/smtpd/journal_stand.h"

const struct record_recipient recipients[RECIPIENTS] = {
	{ TARGET_LOCAL, { "a@example.test", 14 }, { "a@example.test", 14 } },
	{ TARGET_REMOTE, { "x@b.test", 8 }, { "x@B.test", 8 } },
	{ TARGET_REMOTE, { "y@b.test", 8 }, { "y@b.test", 8 } },
};

struct record
record_named(const char *trace)
{
	return (struct record){ .trace = str_of(trace), .sender = STR("s@example.test"),
	    .account = STR_EMPTY, .peer = STR("192.0.2.1"), .arrived = 1000,
	    .recipients = recipients, .count = countof(recipients) };
}

/* ---- the syncer, as the test wants it ---- */

static bool
sync_one(struct fixture *f, const struct sync_request *r)
{
	bool fails = f->fails[r->lane];

	f->syncs[r->lane]++;
	if (r->lane == SYNC_JOURNAL && f->fail_next > 0) {
		f->fail_next--;
		fails = true;
	}
	if (!fails && r->kind == SYNC_ZEROS)
		return ftruncate(r->fd, (off_t)r->size) == 0;
	return !fails;
}

static void
do_syncs(void *context)
{
	struct fixture *f = context;
	struct asked now[SYNCS_MAX];
	size_t count = f->hold ? 0 : f->asked_count;

	memcpy(now, f->asked, sizeof(now));
	f->asked_count -= count;
	for (size_t i = 0; i < count; i++)
		now[i].done(now[i].context, sync_one(f, &now[i].request));
	if (count > 0 && f->done_then != NULL) {
		journal_done(f->journal, str_of(f->done_then), NULL, 0, false);
		f->done_then = NULL;
	}
}

static void
ask_sync(void *context, const struct sync_request *request, sync_done *done, void *done_context)
{
	struct fixture *f = context;

	assert_true(f->asked_count < SYNCS_MAX);
	f->asked[f->asked_count++] = (struct asked){ *request, done, done_context };
	timer_set(f->timer, 0);
}

static void
on_found(void *context, const struct journal_message *message)
{
	struct fixture *f = context;

	assert_int_equal(message->record->count, countof(recipients));
	f->found++;
	f->found_only += message->only;
}

static void
open_journal(struct fixture *f)
{
	struct journal_host host = { .sync = ask_sync, .found = on_found, .context = f };

	f->asked_count = 0;
	f->journal = journal_open(f->loop, f->dir, &host);
	assert_non_null(f->journal);
	f->found = f->found_only = 0;
	journal_replay(f->journal);
}

int
journal_set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	strncpy(f->dir, "/tmp/trivet-journal-XXXXXX", sizeof(f->dir) - 1);
	if (!mkdtemp(f->dir))
		return 1;
	f->loop = loop_new();
	f->timer = timer_new(f->loop, do_syncs, f);
	*state = f;
	open_journal(f);
	return 0;
}

static void
remove_all(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		scoped_buf path = BUF_INIT;

		buf_printf(&path, "%s/%s", dir, e->d_name);
		if (e->d_name[0] != '.' && unlink(buf_z(&path)) < 0)
			remove_all(buf_z(&path));
	}
	if (d)
		closedir(d);
	(void)rmdir(dir);
}

int
journal_tear_down(void **state)
{
	struct fixture *f = *state;

	journal_close(f->journal);
	timer_free(f->timer);
	loop_free(f->loop);
	remove_all(f->dir);
	free(f);
	return 0;
}

void
on_committed(void *context, bool ok)
{
	struct fixture *f = context;

	f->answers++;
	f->kept += ok;
	if (f->answers >= f->wanted)
		loop_stop(f->loop);
}

static void
stop_loop(void *context)
{
	loop_stop(((struct fixture *)context)->loop);
}

void
run_for(struct fixture *f, int64_t ms)
{
	struct timer *timer = timer_new(f->loop, stop_loop, f);

	timer_set(timer, ms);
	loop_run(f->loop);
	timer_free(timer);
}

struct journal_entry *
write_entry(struct fixture *f, const char *trace, struct str body, struct body *out)
{
	struct record record = record_named(trace);
	struct journal_entry *e = journal_begin(f->journal, &record);

	for (; body.n > 0; body = str_from(body, 1000))
		assert_true(journal_append(e, str_sub(body, 0, 1000)));
	assert_true(journal_finish(e, out));
	return e;
}

bool
try_commit(struct fixture *f, const char *trace, struct str body)
{
	struct body kept = BODY_INIT;
	struct journal_entry *e = write_entry(f, trace, body, &kept);

	f->answers = f->kept = 0;
	f->wanted = 1;
	journal_commit(e, on_committed, f);
	loop_run(f->loop);
	body_free(&kept);
	return f->kept == 1;
}

void
commit(struct fixture *f, const char *trace, struct str body)
{
	assert_true(try_commit(f, trace, body));
}

unsigned
count_live(struct fixture *f)
{
	f->found = f->found_only = 0;
	journal_replay(f->journal);
	return f->found;
}

void
reopen(struct fixture *f)
{
	journal_close(f->journal);
	open_journal(f);
}

size_t
read_back(struct fixture *f, const char *trace, struct buf *out)
{
	struct arena *arena = arena_new();
	struct record record;
	struct body body;
	bool renew;
	size_t size = SIZE_MAX;

	if (journal_read(f->journal, str_of(trace), arena, &record, &body, &renew)) {
		assert_str(record.sender, STR("s@example.test"));
		assert_int_equal(record.size, body.size);
		assert_true(body_read_start(&body, (size_t)body.size, out));
		size = out->n;
		body_free(&body);
	}
	arena_free(arena);
	return size;
}

void
fill(struct buf *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_put_c(out, (char)(i * 7 + i / 256));
}

unsigned
count_files(struct fixture *f, const char *folder)
{
	scoped_buf path = BUF_INIT;
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	buf_printf(&path, "%s/%s", f->dir, folder);
	d = opendir(buf_z(&path));
	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.' && strcmp(e->d_name, "boot") != 0;
	if (d)
		closedir(d);
	return n;
}

int
open_segment(struct fixture *f, int flags)
{
	scoped_buf folder = BUF_INIT;
	struct dirent *e;
	int fd = -1;
	DIR *d;

	buf_printf(&folder, "%s/journal", f->dir);
	d = opendir(buf_z(&folder));
	while (d && fd < 0 && (e = readdir(d))) {
		char c[8] = "";

		if (strlen(e->d_name) < 33)
			continue;
		fd = openat(dirfd(d), e->d_name, flags | O_CLOEXEC);
		if (pread(fd, c, 8, 0) != 8 || memcmp(c, "trivetj1", 8) != 0)
			close_fd(&fd);
	}
	if (d)
		closedir(d);
	assert_true(fd >= 0);
	return fd;
}
