/* SPDX-License-Identifier: ISC */
/*
 * A message's life in the journal. Each state has one way on; after a death of any process, or of the machine, a
 * message is in the state that the disk says, and goes on from there:
 *
 *	COMING IN	octets in memory, or in spool/TRACE. Promised: nothing.
 *			-> SPOOLING, with the last octet; or gone, by journal_abandon and by any death.
 *	SPOOLING	spool/TRACE is synced, and spool. (In memory: passed over.) Verdicts come meanwhile.
 *			-> WAITING, when both is done and journal_commit was called; or refused, if one failed; or gone
 *			as before.
 *	WAITING		for the flush under way to end: the next one covers all that wait.
 *			-> FLUSHING.
 *	FLUSHING	its frame is written, verdicts and all; fdatasync runs.
 *			-> LIVE; if that failed, WAITING again for another segment, once, then refused. After a death:
 *			LIVE or gone. Nobody heard 250: who sends it again is recognised (unanswered.c).
 *	LIVE		the one commit point is passed: keepers publish, 250 is said, attempts are made. Who
 *			had what is in queue.db, or is asked of the mailbox's index: UNIQUE(trace, recipient).
 *			-> DONE, when all are delivered or told of. After a death: LIVE. Without a row in queue.db
 *			all are tried again: mailboxes know theirs, hosts elsewhere may get it twice.
 *	DONE		marked. Its copies in mailboxes are not on disk by our doing.
 *			-> SETTLED, when the mailboxes' file systems were synced after the mark; REOPENED if that
 *			failed. After a death: REOPENED.
 *	REOPENED	those copies alone are asked for again; where the machine went down, or a sync failed,
 *			they are written anew, whatever the index knows.
 *			-> DONE.
 *	SETTLED		nothing is needed any more: the body's file is removed, the segment when all in it
 *			and in those before it are settled.
 *
 * A segment whose fdatasync failed is never synced again: what is LIVE in it is written anew into another.
 */
#include "smtpd/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "smtpd/checksum.h"
#include "smtpd/journal_inside.h"

enum {
	LOCK_PATIENCE_MS = 4000,
	LOCK_PAUSE_US = 10000,
};

static void start_round(void *context);
static void write_later(void *context);
static void on_flushed(void *context, bool ok);
static void refuse_waiting(struct journal *, bool all);
static void begin_spooling(struct journal_entry *);
static void sync_names(struct journal *);
static void on_spooled(void *context, bool ok);
static bool start_file(struct journal_entry *);

void
journal_log(const char *doing, const char *what)
{
	log_error(NULL, "journal_trouble", KV("doing", doing), KV("file", what),
	    KV("error", strerror(errno)));
}

void
journal_failed(struct journal *j, const char *doing, const char *what)
{
	j->full = errno == ENOSPC || errno == EDQUOT;
	journal_log(doing, what);
}

bool
journal_is_full(const struct journal *j)
{
	return j->full;
}

void
journal_file_name(const char trace[ID_LENGTH], char name[ID_LENGTH + 1])
{
	memcpy(name, trace, ID_LENGTH);
	name[ID_LENGTH] = '\0';
}

static int
open_folder(int state, const char *name)
{
	if (mkdirat(state, name, 0700) < 0 && errno != EEXIST)
		return -1;
	return openat(state, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/*
 * A killed master's queue may hang in a slow disk's sync: two never work on one journal. The descriptor is
 * never given away, for a syncer would hold the lock after us.
 */
static bool
lock_patiently(struct journal *j)
{
	int64_t until = clock_monotonic_ms() + LOCK_PATIENCE_MS;

	j->lock = openat(j->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (flock(j->lock, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK || clock_monotonic_ms() > until)
			return false;
		usleep(LOCK_PAUSE_US);
	}
	return true;
}

struct journal *
journal_open(struct loop *loop, const char *state_dir, const struct journal_host *host)
{
	scoped_fd state = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct journal *j = xcalloc(1, sizeof(*j));

	j->host = *host;
	j->dir = open_folder(state, "journal");
	j->spool = open_folder(state, "spool");
	j->lock = -1;
	j->kepts = map_new();
	TAILQ_INIT(&j->segments);
	TAILQ_INIT(&j->unnamed);
	TAILQ_INIT(&j->naming);
	TAILQ_INIT(&j->waiting);
	TAILQ_INIT(&j->round);
	TAILQ_INIT(&j->done);
	j->soon = timer_new(loop, start_round, j);
	j->write_later = timer_new(loop, write_later, j);
	j->settle = timer_new(loop, journal_settle, j);
	if (j->dir < 0 || j->spool < 0 || fsync(state) < 0 || !lock_patiently(j) ||
	    !replay_segments(j)) {
		journal_log("opening", state_dir);
		journal_close(j);
		return NULL;
	}
	j->settle_from = segment_end(j);
	segment_make_next(j);
	return j;
}

void
journal_close(struct journal *j)
{
	struct journal_entry *e;
	struct segment *s;
	struct str trace;
	void *value;
	size_t at = 0;

	if (!j)
		return;
	(void)(!j->current || segment_write(j));
	while ((e = TAILQ_FIRST(&j->waiting)) || (e = TAILQ_FIRST(&j->round))) {
		TAILQ_REMOVE(e->step == ENTRY_WAITING ? &j->waiting : &j->round, e, link);
		entry_free(e);
	}
	while (map_next(j->kepts, &at, &trace, &value)) {
		free(((struct kept *)value)->delivered);
		free(value);
	}
	map_free(j->kepts);
	while ((s = TAILQ_FIRST(&j->segments))) {
		TAILQ_REMOVE(&j->segments, s, link);
		segment_free(s);
	}
	segment_free(j->next);
	segment_free(j->making);
	for (size_t i = 0; i < j->systems.n; i += sizeof(struct mail_system))
		close(((struct mail_system *)(void *)(j->systems.p + i))->fd);
	buf_free(&j->systems);
	buf_free(&j->out);
	timer_free(j->soon);
	timer_free(j->write_later);
	timer_free(j->settle);
	close_fd(&j->dir);
	close_fd(&j->spool);
	close_fd(&j->lock);
	free(j);
}

/* ---- a new message ---- */

struct journal_entry *
journal_begin(struct journal *j, const struct record *record)
{
	struct journal_entry *e = xcalloc(1, sizeof(*e));

	e->journal = j;
	e->own = BODY_INIT;
	e->body = &e->own;
	e->file = -1;
	record_put(&e->envelope, record);
	e->frame.kind = FRAME_MESSAGE;
	memcpy(e->frame.trace, record->trace.p, ID_LENGTH);
	e->frame.envelope_size = e->envelope.n;
	e->frame.envelope_sum = checksum_add(0, buf_str(&e->envelope));
	e->failed = e->envelope.n > ENVELOPE_MAX;
	if (e->failed)
		log_error(NULL, "envelope_too_long", KV("trace", record->trace));
	return e;
}

static bool
write_file(struct journal_entry *e, struct str bytes)
{
	while (bytes.n > 0 && !e->failed) {
		ssize_t n = write(e->file, bytes.p, bytes.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			journal_failed(e->journal, "writing", "a body");
			e->failed = true;
			break;
		}
		bytes = str_from(bytes, (size_t)n);
	}
	return !e->failed;
}

bool
journal_append(struct journal_entry *e, struct str bytes)
{
	e->frame.body_sum = checksum_add(e->frame.body_sum, bytes);
	if (e->failed)
		return false;
	if (e->file < 0 && body_has_room(&e->own, bytes.n)) {
		body_put(&e->own, bytes);
		return true;
	}
	if (e->file < 0 && !start_file(e))
		return false;
	e->own.size += bytes.n;
	return write_file(e, bytes);
}

/* Too long for memory: what is there so far goes to a file. */
static bool
start_file(struct journal_entry *e)
{
	char name[ID_LENGTH + 1];
	struct body file = BODY_INIT;

	journal_file_name(e->frame.trace, name);
	e->file = openat(e->journal->spool, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (e->file >= 0)
		file.fd = openat(e->journal->spool, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (file.fd < 0) {
		journal_failed(e->journal, "creating", name);
		e->failed = true;
		return false;
	}
	e->frame.in_file = file.in_file = true;
	file.size = e->own.size;
	(void)write_file(e, buf_str(&e->own.memory));
	body_free(&e->own);
	e->own = file;
	return !e->failed;
}

void
journal_set_fingerprint(struct journal_entry *e, const char fingerprint[FINGERPRINT_SIZE])
{
	memcpy(e->frame.fingerprint, fingerprint, FINGERPRINT_SIZE);
}

uint64_t
journal_entry_size(const struct journal_entry *e)
{
	return e->own.size;
}

bool
journal_finish(struct journal_entry *e, struct body *out)
{
	if (e->failed)
		return false;
	e->frame.body_size = e->own.size;
	*out = e->own;
	e->own = BODY_INIT;
	e->body = out;
	if (e->frame.in_file)
		begin_spooling(e);
	return true;
}

/* The record must not be there before what it names is: its octets, and its name. */
static void
begin_spooling(struct journal_entry *e)
{
	struct journal *j = e->journal;
	struct sync_request file = { .kind = SYNC_DATA, .fd = e->file };

	j->body_lane = j->body_lane < SYNC_BODY || j->body_lane == SYNC_LAST_BODY ? SYNC_BODY :
	    j->body_lane + 1;
	file.lane = j->body_lane;
	e->syncs = 2;
	j->host.sync(j->host.context, &file, on_spooled, e);
	TAILQ_INSERT_TAIL(&j->unnamed, e, named);
	sync_names(j);
}

void
journal_commit(struct journal_entry *e, journal_committed *committed, void *context)
{
	e->committed = committed;
	e->context = context;
	if (e->syncs == 0 && !e->failed) {
		entry_wait(e);
		return;
	}
	e->step = ENTRY_SPOOLING;
	if (e->syncs > 0)
		return;
	/* It failed before anybody could be told, who is told from the loop: once more, in vain. */
	e->syncs = 1;
	TAILQ_INSERT_TAIL(&e->journal->unnamed, e, named);
	sync_names(e->journal);
}

static void
on_named(void *context, bool ok)
{
	struct journal *j = context;
	struct entries named = TAILQ_HEAD_INITIALIZER(named);
	struct journal_entry *e;

	j->naming_under_way = false;
	TAILQ_CONCAT(&named, &j->naming, named);
	sync_names(j);
	while ((e = TAILQ_FIRST(&named))) {
		TAILQ_REMOVE(&named, e, named);
		on_spooled(e, ok);
	}
}

/* One sync of the folder for all whose files were made before it began. */
static void
sync_names(struct journal *j)
{
	struct sync_request folder = { .lane = SYNC_SPOOL, .kind = SYNC_DATA, .fd = j->spool };

	if (j->naming_under_way || TAILQ_EMPTY(&j->unnamed))
		return;
	TAILQ_CONCAT(&j->naming, &j->unnamed, named);
	j->naming_under_way = true;
	j->host.sync(j->host.context, &folder, on_named, j);
}

/* Frees it; then tells. */
static void
answer(struct journal_entry *e, bool ok)
{
	journal_committed *committed = e->abandoned ? NULL : e->committed;
	void *context = e->context;

	if (!ok && e->frame.in_file) {
		char name[ID_LENGTH + 1];

		journal_file_name(e->frame.trace, name);
		if (unlinkat(e->journal->spool, name, 0) < 0)
			journal_log("removing", name);
	}
	entry_free(e);
	if (committed)
		committed(context, ok);
}

static void
on_spooled(void *context, bool ok)
{
	struct journal_entry *e = context;

	e->failed |= !ok;
	if (!ok)
		journal_failed(e->journal, "syncing", "a body");
	if (--e->syncs > 0)
		return;
	if (e->abandoned || (e->failed && e->step == ENTRY_SPOOLING))
		answer(e, false);
	else if (e->step == ENTRY_SPOOLING)
		entry_wait(e);
}

void
entry_wait(struct journal_entry *e)
{
	e->step = ENTRY_WAITING;
	TAILQ_INSERT_TAIL(&e->journal->waiting, e, link);
	timer_set(e->journal->soon, 0);
}

void
entry_free(struct journal_entry *e)
{
	if (e->moves)
		e->moves->mover = NULL;
	buf_free(&e->envelope);
	body_free(&e->own);
	close_fd(&e->file);
	free(e);
}

void
journal_abandon(struct journal_entry *e)
{
	if (!e)
		return;
	e->abandoned = true;
	switch (e->step) {
	case ENTRY_OPEN:
		if (e->syncs == 0)
			answer(e, false);
		else
			e->body = NULL;		/* ends with what is under way */
		break;
	case ENTRY_WAITING:
		TAILQ_REMOVE(&e->journal->waiting, e, link);
		answer(e, false);
		break;
	case ENTRY_SPOOLING:
	case ENTRY_IN_ROUND:
		e->body = NULL;		/* ends with what is under way */
		break;
	}
}

/* ---- rounds ---- */

/* There is room for the first that waits, in this segment or in the next. */
static bool
make_way(struct journal *j)
{
	uint64_t length = frame_length(&TAILQ_FIRST(&j->waiting)->frame);

	return segment_has_room(j, length, SEGMENT_RESERVE) || segment_rotate(j);
}

static void
place_waiting(struct journal *j)
{
	struct journal_entry *e;

	while ((e = TAILQ_FIRST(&j->waiting)) &&
	    segment_has_room(j, frame_length(&e->frame), SEGMENT_RESERVE)) {
		bool has_body = e->body && !e->frame.in_file;

		e->offset = segment_place(j, &e->frame, buf_str(&e->envelope),
		    has_body ? buf_str(&e->body->memory) : STR_EMPTY);
		TAILQ_REMOVE(&j->waiting, e, link);
		TAILQ_INSERT_TAIL(&j->round, e, link);
		e->step = ENTRY_IN_ROUND;
	}
}

/* All that waits is written with one write, and synced with one fdatasync. */
static void
start_round(void *context)
{
	struct journal *j = context;
	struct sync_request sync = { .lane = SYNC_JOURNAL, .kind = SYNC_DATA };

	if (j->sync_under_way)
		return;
	refuse_waiting(j, false);
	if (TAILQ_EMPTY(&j->waiting))
		return;
	if (!make_way(j)) {
		refuse_waiting(j, j->no_room);
		return;
	}
	place_waiting(j);
	j->flushing = j->current;
	if (!segment_write(j))
		return;
	sync.fd = j->current->fd;
	sync.key = j->current->key;
	j->sync_under_way = true;
	j->host.sync(j->host.context, &sync, on_flushed, j);
}

static void
on_kept(struct journal *j, struct journal_entry *e, struct segment *s)
{
	struct kept *k = e->moves;

	if (!e->is_move) {
		k = kept_new(j, &e->frame, s, e->offset);
		if (e->abandoned)
			journal_done(j, kept_trace(k), NULL, 0, false);
		answer(e, true);
		return;
	}
	if (k) {
		TAILQ_REMOVE(&k->segment->kepts, k, in_segment);
		k->segment = s;
		k->offset = e->offset;
		TAILQ_INSERT_TAIL(&s->kepts, k, in_segment);
	}
	entry_free(e);
}

static void
on_flushed(void *context, bool ok)
{
	struct journal *j = context;
	struct segment *s = j->flushing;
	struct entries kept = TAILQ_HEAD_INITIALIZER(kept);
	struct journal_entry *e;

	j->sync_under_way = false;
	if (s && !ok) {
		segment_fail(j, s);
		return;
	}
	j->flushing = NULL;
	TAILQ_CONCAT(&kept, &j->round, link);
	while ((e = TAILQ_FIRST(&kept))) {
		TAILQ_REMOVE(&kept, e, link);
		on_kept(j, e, s);
	}
	segment_drop_old(j);
	if (!TAILQ_EMPTY(&j->waiting))
		timer_set(j->soon, 0);
}

/* Its octets are still in memory, or its old record is still there. */
void
round_failed(struct journal *j)
{
	struct journal_entry *e;

	j->flushing = NULL;
	while ((e = TAILQ_LAST(&j->round, entries))) {
		e->failed = !e->is_move && (e->abandoned || ++e->tries == TRIES_MAX);
		e->step = ENTRY_WAITING;
		TAILQ_REMOVE(&j->round, e, link);
		/* Done since: there is nothing to move any more. */
		if (e->is_move && (!e->moves || e->moves->done))
			entry_free(e);
		else
			TAILQ_INSERT_HEAD(&j->waiting, e, link);
	}
	timer_set(j->soon, 0);
}

/* New messages that were given up; with `all`, every one that waits. */
static void
refuse_waiting(struct journal *j, bool all)
{
	struct entries refused = TAILQ_HEAD_INITIALIZER(refused);
	struct journal_entry *e, *next;

	for (e = TAILQ_FIRST(&j->waiting); e; e = next) {
		next = TAILQ_NEXT(e, link);
		if (e->is_move || (!all && !e->failed))
			continue;
		TAILQ_REMOVE(&j->waiting, e, link);
		TAILQ_INSERT_TAIL(&refused, e, link);
		e->step = ENTRY_IN_ROUND;	/* abandoned meanwhile, it stays in this list */
	}
	while ((e = TAILQ_FIRST(&refused))) {
		TAILQ_REMOVE(&refused, e, link);
		answer(e, false);
	}
}

static void
write_later(void *context)
{
	struct journal *j = context;

	if (j->current)
		(void)segment_write(j);
}
