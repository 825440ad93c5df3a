/* SPDX-License-Identifier: ISC */
/* The journal and queue.db: what is committed is found again, what is torn is not; rows and what is due. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "smtpd/checksum.h"
#include "smtpd/frame.h"
#include "smtpd/journal.h"
#include "smtpd/rows.h"
#include "smtpd/unanswered.h"

#define assert_str(a, b) assert_true(str_eq((a), (b)))

static const struct record_recipient recipients[] = {
	{ TARGET_LOCAL, { "a@example.test", 14 }, { "a@example.test", 14 } },
	{ TARGET_REMOTE, { "x@b.test", 8 }, { "x@B.test", 8 } },
	{ TARGET_REMOTE, { "y@b.test", 8 }, { "y@b.test", 8 } },
};

enum { SYNCS_MAX = 64 };

/* A sync that was asked for: done by the test's own timer, or when the test says so. */
struct asked {
	struct sync_request request;
	sync_done *done;
	void *context;
};

struct fixture {
	char dir[64];
	struct loop *loop;
	struct journal *journal;
	struct timer *timer;
	struct asked asked[SYNCS_MAX];
	size_t asked_count;
	unsigned syncs[SYNC_LANES];	/* how many were done */
	bool fails[SYNC_LANES];		/* they fail from now on */
	unsigned fail_next;		/* so many of SYNC_JOURNAL do */
	bool hold;			/* nothing is synced now */
	unsigned found, found_only;
	unsigned answers, kept;		/* of commits */
	unsigned wanted;		/* the loop stops at so many answers */
	const char *done_then;		/* this message is done when syncs were */
};

static struct record
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

static int
begin(void **state)
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

static int
end(void **state)
{
	struct fixture *f = *state;

	journal_close(f->journal);
	timer_free(f->timer);
	loop_free(f->loop);
	remove_all(f->dir);
	free(f);
	return 0;
}

static void
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

static void
run_for(struct fixture *f, int64_t ms)
{
	struct timer *timer = timer_new(f->loop, stop_loop, f);

	timer_set(timer, ms);
	loop_run(f->loop);
	timer_free(timer);
}

static struct journal_entry *
write_entry(struct fixture *f, const char *trace, struct str body, struct body *out)
{
	struct record record = record_named(trace);
	struct journal_entry *e = journal_begin(f->journal, &record);

	for (; body.n > 0; body = str_from(body, 1000))
		assert_true(journal_append(e, str_sub(body, 0, 1000)));
	assert_true(journal_finish(e, out));
	return e;
}

static bool
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

static void
commit(struct fixture *f, const char *trace, struct str body)
{
	assert_true(try_commit(f, trace, body));
}

static unsigned
count_live(struct fixture *f)
{
	f->found = f->found_only = 0;
	journal_replay(f->journal);
	return f->found;
}

static void
reopen(struct fixture *f)
{
	journal_close(f->journal);
	open_journal(f);
}

/* The body that is read back; its size, or SIZE_MAX where there is none. */
static size_t
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

static void
fill(struct buf *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_put_c(out, (char)(i * 7 + i / 256));
}

static unsigned
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

/* The one segment that has something in it. */
static int
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

static void
committed_messages_are_found_again_octet_for_octet(void **state)
{
	struct fixture *f = *state;
	scoped_buf middle = BUF_INIT, large = BUF_INIT, got = BUF_INIT;

	fill(&middle, 200000);
	fill(&large, 700000);
	commit(f, "aaaaaaaaaaaaaaaa", STR("small\r\n"));
	commit(f, "bbbbbbbbbbbbbbbb", buf_str(&middle));
	commit(f, "cccccccccccccccc", STR(""));
	commit(f, "dddddddddddddddd", buf_str(&large));
	assert_int_equal(count_files(f, "spool"), 1);
	assert_int_equal(body_memory(), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(count_live(f), 4);
		assert_int_equal(read_back(f, "bbbbbbbbbbbbbbbb", &got), middle.n);
		assert_memory_equal(got.p, middle.p, middle.n);
		buf_clear(&got);
		assert_int_equal(read_back(f, "dddddddddddddddd", &got), large.n);
		assert_memory_equal(got.p, large.p, large.n);
		buf_clear(&got);
		assert_int_equal(read_back(f, "cccccccccccccccc", &got), 0);
		reopen(f);
	}
	journal_done(f->journal, STR("bbbbbbbbbbbbbbbb"), NULL, 0, true);
	journal_done(f->journal, STR("dddddddddddddddd"), NULL, 0, true);
	assert_int_equal(count_live(f), 2);
	assert_int_equal(read_back(f, "bbbbbbbbbbbbbbbb", &got), SIZE_MAX);
	run_for(f, 2200);
	assert_int_equal(count_files(f, "spool"), 0);
	reopen(f);
	assert_int_equal(count_live(f), 2);
}

static void
all_that_arrived_during_a_flush_shares_the_next_one(void **state)
{
	struct fixture *f = *state;
	struct body bodies[20];
	char trace[] = "aaaaaaaaaaaaaaaa";

	commit(f, "zzzzzzzzzzzzzzzz", STR("first\r\n"));
	f->syncs[SYNC_JOURNAL] = f->answers = f->kept = 0;
	f->wanted = countof(bodies);
	f->hold = true;
	for (size_t i = 0; i < countof(bodies); i++) {
		trace[0] = (char)('a' + i);
		bodies[i] = BODY_INIT;
		journal_commit(write_entry(f, trace, STR("x\r\n"), &bodies[i]), on_committed, f);
		if (i == 0)
			run_for(f, 20);		/* its flush runs now, and takes its time */
	}
	f->hold = false;
	timer_set(f->timer, 0);
	loop_run(f->loop);
	assert_int_equal(f->kept, countof(bodies));
	assert_int_equal(f->syncs[SYNC_JOURNAL], 2);
	for (size_t i = 0; i < countof(bodies); i++)
		body_free(&bodies[i]);
	assert_int_equal(count_live(f), countof(bodies) + 1);
}

static struct journal_entry *
write_large(struct fixture *f, const char *trace, struct body *out)
{
	scoped_buf large = BUF_INIT;

	fill(&large, 300000);
	*out = BODY_INIT;
	return write_entry(f, trace, buf_str(&large), out);
}

static void
large_bodies_share_the_sync_of_their_names(void **state)
{
	struct fixture *f = *state;
	struct body bodies[6];
	char trace[] = "aaaaaaaaaaaaaaaa";
	unsigned body_syncs = 0;

	run_for(f, 20);		/* a segment is made at the start */
	memset(f->syncs, 0, sizeof(f->syncs));
	f->wanted = countof(bodies);
	f->hold = true;
	for (size_t i = 0; i < countof(bodies); i++) {
		trace[0] = (char)('a' + i);
		journal_commit(write_large(f, trace, &bodies[i]), on_committed, f);
	}
	f->hold = false;
	timer_set(f->timer, 0);
	loop_run(f->loop);
	assert_int_equal(f->kept, countof(bodies));
	assert_int_equal(f->syncs[SYNC_SPOOL], 2);
	for (int lane = SYNC_BODY; lane <= SYNC_LAST_BODY; lane++)
		body_syncs += f->syncs[lane];
	assert_int_equal(body_syncs, countof(bodies));
	for (size_t i = 0; i < countof(bodies); i++)
		body_free(&bodies[i]);
	assert_int_equal(count_live(f), countof(bodies));
}

/* Its syncs begin with its last octet: they may be over when the commit comes, well or not. */
static void
a_large_body_that_was_not_synced_is_refused(void **state)
{
	struct fixture *f = *state;
	struct body body;
	struct journal_entry *e;

	for (int lane = SYNC_SPOOL; lane < SYNC_LANES; lane++) {
		f->answers = f->kept = 0;
		f->wanted = 1;
		f->fails[lane] = true;
		e = write_large(f, "aaaaaaaaaaaaaaaa", &body);
		for (int i = SYNC_BODY; i <= SYNC_LAST_BODY; i++)
			f->fails[i] = lane >= SYNC_BODY;
		run_for(f, 20);
		memset(f->fails, 0, sizeof(f->fails));
		if (lane == SYNC_MAIL) {	/* none of its affair */
			journal_abandon(e);
			body_free(&body);
			continue;
		}
		journal_commit(e, on_committed, f);
		assert_int_equal(f->answers, 0);
		loop_run(f->loop);
		assert_int_equal(f->answers, 1);
		assert_int_equal(f->kept, 0);
		body_free(&body);
	}
	assert_int_equal(count_files(f, "spool"), 0);
	assert_int_equal(count_live(f), 0);
}

static void
a_large_body_abandoned_while_it_is_synced_is_gone(void **state)
{
	struct fixture *f = *state;
	struct body early, late;
	struct journal_entry *first = write_large(f, "aaaaaaaaaaaaaaaa", &early);
	struct journal_entry *second = write_large(f, "bbbbbbbbbbbbbbbb", &late);

	f->answers = 0;
	journal_abandon(first);
	body_free(&early);
	journal_commit(second, on_committed, f);
	journal_abandon(second);
	body_free(&late);
	run_for(f, 50);
	assert_int_equal(f->answers, 0);
	assert_int_equal(count_files(f, "spool"), 0);
	assert_int_equal(count_live(f), 0);
}

static void
leave_by_crash(struct fixture *f, const char *trace)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct record record = record_named(trace);
		struct journal_entry *e = journal_begin(f->journal, &record);
		scoped_buf large = BUF_INIT;

		fill(&large, 300000);
		_exit(journal_append(e, buf_str(&large)) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void
what_was_not_committed_is_swept(void **state)
{
	struct fixture *f = *state;
	struct body body = BODY_INIT;
	struct journal_entry *open_one = write_entry(f, "aaaaaaaaaaaaaaaa", STR("never\r\n"), &body);

	assert_int_equal(count_live(f), 0);
	journal_abandon(open_one);
	body_free(&body);
	commit(f, "bbbbbbbbbbbbbbbb", STR("kept\r\n"));
	leave_by_crash(f, "cccccccccccccccc");
	assert_int_equal(count_files(f, "spool"), 1);
	reopen(f);
	assert_int_equal(count_files(f, "spool"), 0);
	assert_int_equal(count_live(f), 1);
	/* And its name is free again. */
	commit(f, "cccccccccccccccc", STR("anew\r\n"));
	assert_int_equal(count_live(f), 2);
}

static void
abandoned_while_committing_is_not_told(void **state)
{
	struct fixture *f = *state;
	struct body waiting = BODY_INIT, flushed = BODY_INIT;
	struct journal_entry *e = write_entry(f, "aaaaaaaaaaaaaaaa", STR("x\r\n"), &waiting);

	journal_commit(e, on_committed, f);
	journal_abandon(e);
	commit(f, "bbbbbbbbbbbbbbbb", STR("y\r\n"));
	f->answers = 0;
	f->hold = true;
	e = write_entry(f, "cccccccccccccccc", STR("z\r\n"), &flushed);
	journal_commit(e, on_committed, f);
	run_for(f, 20);
	journal_abandon(e);
	f->hold = false;
	timer_set(f->timer, 0);
	run_for(f, 20);
	assert_int_equal(f->answers, 0);
	assert_int_equal(count_live(f), 1);
	reopen(f);
	assert_int_equal(count_live(f), 1);
	body_free(&waiting);
	body_free(&flushed);
}

static void
a_failed_flush_moves_everything_to_another_segment(void **state)
{
	struct fixture *f = *state;
	scoped_buf got = BUF_INIT;

	commit(f, "aaaaaaaaaaaaaaaa", STR("earlier\r\n"));
	f->fail_next = 1;
	commit(f, "bbbbbbbbbbbbbbbb", STR("its flush fails\r\n"));	/* and the second one does not */
	run_for(f, 100);
	assert_int_equal(count_files(f, "journal"), 1);
	reopen(f);
	assert_int_equal(count_live(f), 2);
	assert_int_equal(read_back(f, "aaaaaaaaaaaaaaaa", &got), 9);
}

static void
a_disk_that_fails_again_and_again_gets_no_promise(void **state)
{
	struct fixture *f = *state;

	commit(f, "aaaaaaaaaaaaaaaa", STR("earlier\r\n"));
	f->fails[SYNC_JOURNAL] = true;
	assert_false(try_commit(f, "bbbbbbbbbbbbbbbb", STR("no\r\n")));
	f->fails[SYNC_JOURNAL] = false;
	commit(f, "cccccccccccccccc", STR("yes\r\n"));
	assert_int_equal(count_live(f), 2);
}

static void
without_room_for_a_segment_nothing_is_kept_until_there_is(void **state)
{
	struct fixture *f = *state;

	f->fails[SYNC_SPOOL] = true;
	assert_false(try_commit(f, "aaaaaaaaaaaaaaaa", STR("no\r\n")));
	assert_false(try_commit(f, "bbbbbbbbbbbbbbbb", STR("at once\r\n")));
	f->fails[SYNC_SPOOL] = false;
	run_for(f, 1100);
	commit(f, "cccccccccccccccc", STR("yes\r\n"));
	assert_int_equal(count_live(f), 1);
}

static void
a_full_segment_is_followed_by_another_and_dropped_when_settled(void **state)
{
	struct fixture *f = *state;
	char trace[] = "aaaaaaaaaaaaaaaa";
	scoped_buf body = BUF_INIT;

	fill(&body, 250000);
	for (int i = 0; i < 100; i++) {
		trace[0] = (char)('a' + i % 26);
		trace[1] = (char)('a' + i / 26);
		commit(f, trace, buf_str(&body));
		if (i > 0)	/* the first stays for days */
			journal_done(f->journal, str_of(trace), NULL, 0, false);
	}
	assert_true(count_files(f, "journal") >= 3);
	assert_int_equal(count_live(f), 1);
	run_for(f, 2500);
	reopen(f);
	assert_int_equal(count_live(f), 1);
	/* Nor does it keep for ever what came after it. */
	for (int i = 0; i < 300; i++) {
		trace[0] = (char)('a' + i % 26);
		trace[1] = (char)('a' + i / 26);
		trace[2] = 'b';
		commit(f, trace, buf_str(&body));
		journal_done(f->journal, str_of(trace), NULL, 0, false);
		if (i % 100 == 99)
			run_for(f, 2500);
	}
	assert_true(count_files(f, "journal") <= 8);
	assert_int_equal(read_back(f, "aaaaaaaaaaaaaaaa", &body), 500000);
	reopen(f);
	assert_int_equal(count_live(f), 1);
}

/* Its new record would lie behind the mark, and be found by the next process. */
static void
what_is_done_while_it_waits_to_be_moved_stays_done(void **state)
{
	struct fixture *f = *state;
	char trace[] = "aaaaaaaaaaaaaaaa";

	for (char c = 'a'; c < 'e'; c++) {
		trace[0] = c;
		commit(f, trace, STR("x\r\n"));
		reopen(f);
	}
	f->done_then = "aaaaaaaaaaaaaaaa";	/* in the very turn in which the oldest segment is cleared */
	run_for(f, 2500);
	assert_int_equal(count_live(f), 3);
	reopen(f);
	assert_int_equal(count_live(f), 3);
}

static const uint32_t first_recipient[] = { 0 };

static void
what_is_delivered_stays_until_the_mailboxes_are_synced(void **state)
{
	struct fixture *f = *state;

	commit(f, "aaaaaaaaaaaaaaaa", STR("x\r\n"));
	commit(f, "bbbbbbbbbbbbbbbb", STR("y\r\n"));
	journal_add_system(f->journal, open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	journal_done(f->journal, STR("aaaaaaaaaaaaaaaa"), first_recipient, 1, true);
	assert_int_equal(count_live(f), 1);
	reopen(f);
	assert_int_equal(count_live(f), 2);	/* one for the sake of its mailbox alone */
	assert_int_equal(f->found_only, 1);
	journal_add_system(f->journal, open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	journal_done(f->journal, STR("aaaaaaaaaaaaaaaa"), first_recipient, 1, true);
	run_for(f, 2500);
	assert_int_equal(f->syncs[SYNC_MAIL], 1);
	reopen(f);
	assert_int_equal(count_live(f), 1);
	assert_int_equal(f->found_only, 0);
}

static void
a_failed_sync_of_the_mailboxes_has_them_written_anew(void **state)
{
	struct fixture *f = *state;
	struct arena *arena = arena_new();
	struct record record;
	struct body body;
	bool renew;

	commit(f, "aaaaaaaaaaaaaaaa", STR("x\r\n"));
	assert_int_equal(count_live(f), 1);
	journal_add_system(f->journal, open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	journal_done(f->journal, STR("aaaaaaaaaaaaaaaa"), first_recipient, 1, true);
	f->fails[SYNC_MAIL] = true;
	f->found = 0;
	run_for(f, 2500);
	assert_int_equal(f->found, 1);
	assert_true(journal_read(f->journal, STR("aaaaaaaaaaaaaaaa"), arena, &record, &body, &renew));
	assert_true(renew);
	body_free(&body);
	arena_free(arena);
}

static void
after_an_unclean_boot_copies_are_written_anew(void **state)
{
	struct fixture *f = *state;
	struct arena *arena = arena_new();
	scoped_buf boot = BUF_INIT;
	struct record record;
	struct body body;
	bool renew;

	commit(f, "aaaaaaaaaaaaaaaa", STR("x\r\n"));
	journal_done(f->journal, STR("aaaaaaaaaaaaaaaa"), first_recipient, 1, true);
	buf_printf(&boot, "%s/journal/boot", f->dir);
	for (int i = 0; i < 2; i++) {
		reopen(f);
		assert_int_equal(count_live(f), 1);
		assert_true(journal_read(f->journal, STR("aaaaaaaaaaaaaaaa"), arena, &record, &body, &renew));
		assert_int_equal(renew, i);
		body_free(&body);
		if (i == 0)
			assert_int_equal(unlink(buf_z(&boot)), 0);
	}
	arena_free(arena);
}

static void
a_large_body_that_is_damaged_is_seen_after_an_unclean_boot(void **state)
{
	struct fixture *f = *state;
	scoped_buf large = BUF_INIT, path = BUF_INIT;
	scoped_fd fd = -1;

	fill(&large, 300000);
	commit(f, "aaaaaaaaaaaaaaaa", buf_str(&large));
	buf_printf(&path, "%s/spool/aaaaaaaaaaaaaaaa", f->dir);
	fd = open(buf_z(&path), O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "?", 1, 1000), 1);
	reopen(f);
	assert_int_equal(count_live(f), 1);	/* the machine was up all the time: not looked at */
	buf_clear(&path);
	buf_printf(&path, "%s/journal/boot", f->dir);
	assert_int_equal(unlink(buf_z(&path)), 0);
	reopen(f);
	assert_int_equal(count_live(f), 0);
}

/* ---- frames: what is torn or damaged is never taken for a message ---- */

struct seen {
	unsigned found, torn;
	char first[ID_LENGTH];
};

static void
see_frame(void *context, const struct frame *frame, uint64_t offset, struct str payload)
{
	struct seen *seen = context;

	(void)offset;
	assert_int_equal(payload.n, frame->envelope_size + frame->body_size);
	if (seen->found++ == 0)
		memcpy(seen->first, frame->trace, ID_LENGTH);
}

static void
see_torn(void *context, const struct frame *frame, uint64_t offset)
{
	(void)frame;
	(void)offset;
	((struct seen *)context)->torn++;
}

static void
put_frame(struct buf *out, char name, struct str envelope, struct str body)
{
	struct frame frame = { .kind = FRAME_MESSAGE, .envelope_size = envelope.n,
		.body_size = body.n, .envelope_sum = checksum_add(0, envelope),
		.body_sum = checksum_add(0, body) };

	memset(frame.trace, name, ID_LENGTH);
	frame_put_header(out, &frame, 77, out->n);
	buf_put(out, envelope);
	buf_put(out, body);
	frame_pad(out, 0);
}

static void
frames_survive_truncation_at_any_octet(void **state)
{
	scoped_buf all = BUF_INIT;
	size_t ends[3], payload_ends[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		size_t start = all.n;

		put_frame(&all, (char)('a' + i), STR("an envelope"), STR("and the octets of a body\r\n"));
		payload_ends[i] = start + FRAME_HEADER + 11 + 26;
		ends[i] = all.n;
	}
	for (size_t cut = 0; cut <= all.n; cut++) {
		struct seen seen = { 0 };
		unsigned whole = 0;

		for (int i = 0; i < 3; i++)
			whole += cut >= payload_ends[i];
		frame_scan(str_sub(buf_str(&all), 0, cut), 77, see_frame, see_torn, &seen);
		assert_int_equal(seen.found, whole);
		/* And with zeros behind it, as in a segment. */
		if (cut > 0) {
			scoped_buf torn = BUF_INIT;
			struct seen again = { 0 };

			buf_put(&torn, str_sub(buf_str(&all), 0, cut));
			while (torn.n < ends[2])
				buf_put_c(&torn, '\0');
			frame_scan(buf_str(&torn), 77, see_frame, see_torn, &again);
			assert_int_equal(again.found, whole);
		}
	}
}

static void
a_flipped_bit_costs_one_frame_at_most(void **state)
{
	scoped_buf all = BUF_INIT;

	(void)state;
	for (int i = 0; i < 3; i++)
		put_frame(&all, (char)('a' + i), STR("an envelope"), STR("and the octets of a body\r\n"));
	for (size_t bit = 0; bit < 8 * all.n; bit++) {
		struct seen seen = { 0 };

		all.p[bit / 8] ^= (char)(1 << bit % 8);
		frame_scan(buf_str(&all), 77, see_frame, see_torn, &seen);
		all.p[bit / 8] ^= (char)(1 << bit % 8);
		assert_in_range(seen.found, 2, 3);
	}
}

static void
octets_of_a_message_are_never_taken_for_a_frame(void **state)
{
	scoped_buf inner = BUF_INIT, outer = BUF_INIT;
	struct seen seen = { 0 };

	(void)state;
	/* Whoever knows the form still does not know the key. */
	put_frame(&inner, 'x', STR("forged"), STR("forged"));
	put_frame(&outer, 'a', STR_EMPTY, buf_str(&inner));
	outer.p[outer.n - 1] ^= 1;	/* damaged behind the inner one, so that it is looked into */
	frame_scan(buf_str(&outer), 78, see_frame, see_torn, &seen);
	assert_int_equal(seen.found, 0);
	/* Nor what lies elsewhere than it was put. */
	frame_scan(str_from(buf_str(&outer), FRAME_HEADER), 77, see_frame, see_torn, &seen);
	assert_int_equal(seen.found, 1);	/* this one was put at 0, and stands there now */
	frame_scan(buf_str(&outer), 77, see_frame, see_torn, &seen);
	assert_int_equal(seen.found, 1);
}

static void
a_damaged_segment_loses_what_is_damaged_alone(void **state)
{
	struct fixture *f = *state;
	scoped_buf got = BUF_INIT;
	scoped_fd fd = -1;

	commit(f, "aaaaaaaaaaaaaaaa", STR("first\r\n"));
	commit(f, "bbbbbbbbbbbbbbbb", STR("second\r\n"));
	commit(f, "cccccccccccccccc", STR("third\r\n"));
	fd = open_segment(f, O_RDWR);
	assert_int_equal(pwrite(fd, "?", 1, FRAME_HEADER + 3), 1);
	assert_int_equal(read_back(f, "aaaaaaaaaaaaaaaa", &got), SIZE_MAX);
	reopen(f);
	assert_int_equal(count_live(f), 2);
	assert_int_equal(read_back(f, "cccccccccccccccc", &got), 7);
}

/* ---- rows ---- */

static struct rows *
open_rows(struct fixture *f)
{
	scoped_buf path = BUF_INIT;

	buf_printf(&path, "%s/queue.db", f->dir);
	return rows_open(buf_z(&path));
}

static void
add(struct rows *rows, const char *trace, int64_t next_at)
{
	struct record record = record_named(trace);
	struct row list[countof(recipients)] = { 0 };

	for (uint32_t i = 0; i < countof(recipients); i++) {
		list[i].n = i;
		list[i].next_at = next_at;
	}
	assert_true(rows_add(rows, &record, list));
}

static void
what_is_due_is_taken_once_and_together(void **state)
{
	struct rows *rows = open_rows(*state);
	struct arena *arena = arena_new();
	struct taken taken;
	struct str due[10];

	rows_set_relay(rows, STR(""));
	add(rows, "aaaaaaaaaaaaaaaa", 100);
	add(rows, "bbbbbbbbbbbbbbbb", 50);
	assert_int_equal(rows_due_destinations(rows, 49, arena, due, 10), 0);
	assert_int_equal(rows_due_destinations(rows, 60, arena, due, 10), 2);
	assert_int_equal(rows_next_due(rows), 50);
	assert_false(rows_take(rows, STR("b.test"), 49, 100, arena, &taken));
	assert_true(rows_take(rows, STR("b.test"), 100, 100, arena, &taken));
	assert_str(taken.trace, STR("bbbbbbbbbbbbbbbb"));
	assert_int_equal(taken.count, 2);	/* x@B.test and y@b.test: one domain */
	assert_int_equal(taken.n[0], 1);
	assert_true(rows_take(rows, STR("b.test"), 100, 1, arena, &taken));
	assert_str(taken.trace, STR("aaaaaaaaaaaaaaaa"));
	assert_int_equal(taken.count, 1);
	assert_true(rows_take(rows, STR("b.test"), 100, 100, arena, &taken));
	assert_false(rows_take(rows, STR("b.test"), 100, 100, arena, &taken));
	assert_true(rows_take(rows, STR("a@example.test"), 100, 100, arena, &taken));
	rows_release(rows, STR("bbbbbbbbbbbbbbbb"));
	assert_true(rows_take(rows, STR("b.test"), 100, 100, arena, &taken));
	arena_free(arena);
	rows_close(rows);
}

static void
a_relay_host_is_the_destination_of_everything_remote(void **state)
{
	struct rows *rows = open_rows(*state);
	struct arena *arena = arena_new();
	struct str due[10];

	add(rows, "aaaaaaaaaaaaaaaa", 100);
	rows_set_relay(rows, STR("Relay.test:25"));
	add(rows, "bbbbbbbbbbbbbbbb", 100);
	assert_int_equal(rows_due_destinations(rows, 100, arena, due, 10), 2);
	assert_true(str_eq(due[0], STR("relay.test:25")) || str_eq(due[1], STR("relay.test:25")));
	rows_set_relay(rows, STR(""));
	assert_int_equal(rows_due_destinations(rows, 100, arena, due, 10), 2);
	assert_true(str_eq(due[0], STR("b.test")) || str_eq(due[1], STR("b.test")));
	arena_free(arena);
	rows_close(rows);
}

static void
a_broken_database_is_made_anew(void **state)
{
	struct fixture *f = *state;
	struct rows *rows = open_rows(f);
	scoped_buf path = BUF_INIT;
	scoped_fd fd = -1;

	add(rows, "aaaaaaaaaaaaaaaa", 100);
	assert_true(rows_have(rows, STR("aaaaaaaaaaaaaaaa")));
	rows_close(rows);
	buf_printf(&path, "%s/queue.db", f->dir);
	fd = open(buf_z(&path), O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(write(fd, "this is no database at all, but long enough", 43), 43);
	buf_put_z(&path, "-wal");	/* which would make it whole again */
	assert_int_equal(unlink(buf_z(&path)), 0);
	rows = open_rows(f);
	assert_non_null(rows);
	assert_false(rows_have(rows, STR("aaaaaaaaaaaaaaaa")));
	rows_close(rows);
}

static void
only_who_was_tried_and_has_a_sender_is_told_of_a_delay(void **state)
{
	struct rows *rows = open_rows(*state);
	struct arena *arena = arena_new();
	struct row tried = { .n = 1, .attempts = 1, .next_at = 500 };
	struct str trace;

	add(rows, "aaaaaaaaaaaaaaaa", 100);
	assert_false(rows_next_unnotified(rows, 5000, arena, &trace));
	assert_true(rows_update(rows, STR("aaaaaaaaaaaaaaaa"), &tried));
	assert_false(rows_next_unnotified(rows, 999, arena, &trace));
	assert_true(rows_next_unnotified(rows, 1000, arena, &trace));
	assert_int_equal(rows_oldest_unnotified(rows), 1000);
	assert_true(rows_set_notified(rows, trace));
	assert_false(rows_next_unnotified(rows, 5000, arena, &trace));
	arena_free(arena);
	rows_close(rows);
}

/* ---- what may not have been heard ---- */

static void
only_what_may_not_have_been_heard_is_known_again(void **state)
{
	struct unanswered *u = unanswered_new();
	scoped_buf trace = BUF_INIT;

	(void)state;
	unanswered_add(u, "fingerprint-one.", STR("aaaaaaaaaaaaaaaa"));
	assert_true(unanswered_take(u, "fingerprint-one.", &trace));
	assert_str(buf_str(&trace), STR("aaaaaaaaaaaaaaaa"));
	assert_false(unanswered_take(u, "fingerprint-one.", &trace));	/* once */
	unanswered_told(u, 3, "fingerprint-two.", STR("bbbbbbbbbbbbbbbb"));
	assert_false(unanswered_take(u, "fingerprint-two.", &trace));
	unanswered_front_lost(u, 4);
	assert_false(unanswered_take(u, "fingerprint-two.", &trace));
	unanswered_front_lost(u, 3);
	assert_true(unanswered_take(u, "fingerprint-two.", &trace));
	unanswered_free(u);
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_folder(committed_messages_are_found_again_octet_for_octet),
		with_folder(all_that_arrived_during_a_flush_shares_the_next_one),
		with_folder(large_bodies_share_the_sync_of_their_names),
		with_folder(a_large_body_that_was_not_synced_is_refused),
		with_folder(a_large_body_abandoned_while_it_is_synced_is_gone),
		with_folder(what_was_not_committed_is_swept),
		with_folder(abandoned_while_committing_is_not_told),
		with_folder(a_failed_flush_moves_everything_to_another_segment),
		with_folder(a_disk_that_fails_again_and_again_gets_no_promise),
		with_folder(without_room_for_a_segment_nothing_is_kept_until_there_is),
		with_folder(a_full_segment_is_followed_by_another_and_dropped_when_settled),
		with_folder(what_is_done_while_it_waits_to_be_moved_stays_done),
		with_folder(what_is_delivered_stays_until_the_mailboxes_are_synced),
		with_folder(a_failed_sync_of_the_mailboxes_has_them_written_anew),
		with_folder(after_an_unclean_boot_copies_are_written_anew),
		with_folder(a_large_body_that_is_damaged_is_seen_after_an_unclean_boot),
		with_folder(a_damaged_segment_loses_what_is_damaged_alone),
		cmocka_unit_test(frames_survive_truncation_at_any_octet),
		cmocka_unit_test(a_flipped_bit_costs_one_frame_at_most),
		cmocka_unit_test(octets_of_a_message_are_never_taken_for_a_frame),
		with_folder(what_is_due_is_taken_once_and_together),
		with_folder(a_relay_host_is_the_destination_of_everything_remote),
		with_folder(a_broken_database_is_made_anew),
		with_folder(only_who_was_tried_and_has_a_sender_is_told_of_a_delay),
		cmocka_unit_test(only_what_may_not_have_been_heard_is_known_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
