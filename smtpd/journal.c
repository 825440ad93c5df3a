/* SPDX-License-Identifier: ISC */
/*
 * One spool file for each message, named by its trace id:
 *
 *	64 octets	the seal: magic, length of the record, size of the body, checksums, fingerprint
 *	record		the envelope (record.h)
 *	body		the octets of the message
 *
 * Invariant: the seal is written last, in journal_commit, so a file without a right one was never
 * acknowledged to anybody. Small messages wait in memory for their end and are written at once.
 */
#include "smtpd/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "smtpd/checksum.h"

enum {
	SEAL_SIZE = 64,
	SEAL_CHECKED = 56,		/* the octets before the seal's own checksum */
	MEMORY_MAX = 64 * 1024,		/* octets that wait in memory for the message's end */
	RECORD_MAX = 32 * 1024 * 1024,	/* SUBMIT_TARGETS_MAX recipients with the longest addresses */
	READ_CHUNK = 64 * 1024,
	BOOT_ID_MAX = 64,
	LOCK_PATIENCE_MS = 4000,
	LOCK_PAUSE_US = 10000,
};

static const char magic[16] = "trivet-spool-1\n";

struct seal {
	uint64_t record_length;
	uint64_t body_size;
	uint32_t record_sum;
	uint32_t body_sum;
	char fingerprint[FINGERPRINT_SIZE];
};

struct journal {
	int dir;
	struct timer *soon;	/* commits what was asked for in this turn */
	TAILQ_HEAD(, journal_entry) committing;
	bool check_bodies;	/* the machine went down since the last start */
};

struct journal_entry {
	TAILQ_ENTRY(journal_entry) link;
	struct journal *journal;
	char name[ID_LENGTH + 1];
	int fd;			/* -1: all in `pending` yet */
	struct seal seal;
	struct buf pending;	/* octets of the file not written yet */
	uint64_t written;	/* octets of the file that are */
	bool committing;
	bool tried;
	bool sealed;
	journal_committed *committed;
	void *context;
};

static bool flush_pending(struct journal_entry *);
static void commit_all(void *context);
static void entry_free(struct journal_entry *);
static void sweep(struct journal *);
static bool read_seal(int fd, struct seal *);
static bool boot_is_known(struct journal *);
static void remember_boot(struct journal *);

static void
log_trouble(const char *what, const char *name)
{
	log_error(NULL, "spool_trouble", KV("doing", what), KV("file", name),
	    KV("error", strerror(errno)));
}

/* A killed master's queue may hang in a slow disk's fsync: two never work on one spool. */
static bool
lock_patiently(int dir)
{
	int64_t until = clock_monotonic_ms() + LOCK_PATIENCE_MS;

	while (flock(dir, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK || clock_monotonic_ms() > until)
			return false;
		usleep(LOCK_PAUSE_US);
	}
	return true;
}

struct journal *
journal_open(struct loop *loop, const char *state_dir)
{
	struct journal *j;
	scoped_fd state = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int dir;

	if (state < 0 || (mkdirat(state, "spool", 0700) < 0 && errno != EEXIST))
		return log_trouble("making spool", state_dir), NULL;
	dir = openat(state, "spool", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0 || fsync(state) < 0 || !lock_patiently(dir)) {
		log_trouble("opening spool", state_dir);
		close_fd(&dir);
		return NULL;
	}
	j = xcalloc(1, sizeof(*j));
	j->dir = dir;
	j->soon = timer_new(loop, commit_all, j);
	TAILQ_INIT(&j->committing);
	j->check_bodies = !boot_is_known(j);
	sweep(j);
	remember_boot(j);
	return j;
}

void
journal_close(struct journal *j)
{
	if (!j)
		return;
	while (!TAILQ_EMPTY(&j->committing))
		journal_abandon(TAILQ_FIRST(&j->committing));
	timer_free(j->soon);
	close_fd(&j->dir);
	free(j);
}

/* ---- a new message ---- */

struct journal_entry *
journal_begin(struct journal *j, const struct record *record)
{
	struct journal_entry *e = xcalloc(1, sizeof(*e));
	scoped_buf text = BUF_INIT;
	char room[SEAL_SIZE] = { 0 };

	record_put(&text, record);
	e->journal = j;
	e->fd = -1;
	memcpy(e->name, record->trace.p, ID_LENGTH);
	e->seal.record_length = text.n;
	e->seal.record_sum = checksum_add(0, buf_str(&text));
	buf_put(&e->pending, (struct str){ room, sizeof(room) });
	buf_put(&e->pending, buf_str(&text));
	return e;
}

bool
journal_append(struct journal_entry *e, struct str bytes)
{
	e->seal.body_size += bytes.n;
	e->seal.body_sum = checksum_add(e->seal.body_sum, bytes);
	buf_put(&e->pending, bytes);
	return e->pending.n < MEMORY_MAX || flush_pending(e);
}

void
journal_set_fingerprint(struct journal_entry *e, const char fingerprint[FINGERPRINT_SIZE])
{
	memcpy(e->seal.fingerprint, fingerprint, FINGERPRINT_SIZE);
}

bool
journal_finish(struct journal_entry *e)
{
	return flush_pending(e);
}

uint64_t
journal_entry_size(const struct journal_entry *e)
{
	return e->seal.body_size;
}

static bool
write_all(int fd, struct str bytes, uint64_t offset)
{
	while (bytes.n > 0) {
		ssize_t n = pwrite(fd, bytes.p, bytes.n, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		bytes = str_from(bytes, (size_t)n);
		offset += (uint64_t)n;
	}
	return true;
}

static bool
flush_pending(struct journal_entry *e)
{
	if (e->fd < 0) {
		e->fd = openat(e->journal->dir, e->name,
		    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (e->fd < 0)
			return log_trouble("creating", e->name), false;
	}
	if (!write_all(e->fd, buf_str(&e->pending), e->written))
		return log_trouble("writing", e->name), false;
	e->written += e->pending.n;
	buf_clear(&e->pending);
	return true;
}

bool
journal_entry_open(const struct journal_entry *e, struct spooled *out)
{
	int fd = openat(e->journal->dir, e->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return log_trouble("opening", e->name), false;
	*out = (struct spooled){ fd, SEAL_SIZE + e->seal.record_length, e->seal.body_size };
	return true;
}

void
journal_commit(struct journal_entry *e, journal_committed *committed, void *context)
{
	e->committed = committed;
	e->context = context;
	e->committing = true;
	TAILQ_INSERT_TAIL(&e->journal->committing, e, link);
	timer_set(e->journal->soon, 0);
}

static void
put_number(char *p, uint64_t n, int octets)
{
	for (int i = 0; i < octets; i++)
		p[i] = (char)(n >> 8 * i & 255);
}

static uint64_t
get_number(const char *p, int octets)
{
	uint64_t n = 0;

	for (int i = octets - 1; i >= 0; i--)
		n = n << 8 | (unsigned char)p[i];
	return n;
}

static bool
write_seal(const struct journal_entry *e)
{
	char seal[SEAL_SIZE] = { 0 };

	memcpy(seal, magic, sizeof(magic));
	put_number(seal + 16, e->seal.record_length, 8);
	put_number(seal + 24, e->seal.body_size, 8);
	put_number(seal + 32, e->seal.record_sum, 4);
	put_number(seal + 36, e->seal.body_sum, 4);
	memcpy(seal + 40, e->seal.fingerprint, FINGERPRINT_SIZE);
	put_number(seal + SEAL_CHECKED, checksum_add(0, (struct str){ seal, SEAL_CHECKED }), 4);
	return write_all(e->fd, (struct str){ seal, sizeof(seal) }, 0);
}

/*
 * Each file's octets first, then the folder once: a file without its name would be lost with the
 * power. A failed flush may have dropped pages for good, so it is never tried again: the entry fails.
 */
static void
commit_all(void *context)
{
	struct journal *j = context;
	struct journal_entry *e;
	bool folder_ok;

	if (TAILQ_EMPTY(&j->committing))
		return;

	TAILQ_FOREACH(e, &j->committing, link) {
		e->tried = true;
		e->sealed = write_seal(e) && fdatasync(e->fd) == 0;
		if (!e->sealed)
			log_trouble("syncing", e->name);
	}
	folder_ok = fsync(j->dir) == 0;
	if (!folder_ok)
		log_trouble("syncing", "spool");
	/* What a callback commits comes at the end, untried: it has its own turn. */
	while ((e = TAILQ_FIRST(&j->committing)) && e->tried) {
		journal_committed *committed = e->committed;
		void *committed_context = e->context;
		bool ok = e->sealed && folder_ok;

		TAILQ_REMOVE(&j->committing, e, link);
		e->committing = false;
		if (ok)
			entry_free(e);
		else
			journal_abandon(e);
		committed(committed_context, ok);
	}
}

void
journal_abandon(struct journal_entry *e)
{
	if (!e)
		return;
	if (e->committing)
		TAILQ_REMOVE(&e->journal->committing, e, link);
	if (e->fd >= 0 && unlinkat(e->journal->dir, e->name, 0) < 0)
		log_trouble("removing", e->name);
	entry_free(e);
}

static void
entry_free(struct journal_entry *e)
{
	close_fd(&e->fd);
	buf_free(&e->pending);
	free(e);
}

/* ---- what is committed ---- */

static bool
read_all(int fd, char *p, size_t n, uint64_t offset)
{
	while (n > 0) {
		ssize_t got = pread(fd, p, n, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		p += got;
		n -= (size_t)got;
		offset += (uint64_t)got;
	}
	return true;
}

/* A seal that is right for the file's length: the message was committed, or nearly. */
static bool
read_seal(int fd, struct seal *out)
{
	char seal[SEAL_SIZE];
	struct stat st;

	if (!read_all(fd, seal, sizeof(seal), 0) || memcmp(seal, magic, sizeof(magic)) != 0)
		return false;
	if (get_number(seal + SEAL_CHECKED, 4) !=
	    checksum_add(0, (struct str){ seal, SEAL_CHECKED }))
		return false;
	out->record_length = get_number(seal + 16, 8);
	out->body_size = get_number(seal + 24, 8);
	out->record_sum = (uint32_t)get_number(seal + 32, 4);
	out->body_sum = (uint32_t)get_number(seal + 36, 4);
	memcpy(out->fingerprint, seal + 40, FINGERPRINT_SIZE);
	return out->record_length <= RECORD_MAX && fstat(fd, &st) == 0 &&
	    (uint64_t)st.st_size == SEAL_SIZE + out->record_length + out->body_size;
}

static bool
body_is_whole(int fd, const struct seal *seal)
{
	uint64_t at = SEAL_SIZE + seal->record_length, left = seal->body_size;
	char *chunk = xmalloc(READ_CHUNK);
	uint32_t sum = 0;
	bool ok = true;

	while (ok && left > 0) {
		size_t n = left < READ_CHUNK ? (size_t)left : READ_CHUNK;

		ok = read_all(fd, chunk, n, at);
		if (ok)
			sum = checksum_add(sum, (struct str){ chunk, n });
		at += n;
		left -= n;
	}
	free(chunk);
	return ok && sum == seal->body_sum;
}

bool
journal_read(struct journal *j, struct str trace, struct arena *arena, struct record *record,
    struct spooled *out)
{
	char name[ID_LENGTH + 1] = { 0 };
	struct seal seal;
	scoped_fd fd = -1;
	char *text;

	if (!id_valid(trace))
		return false;
	memcpy(name, trace.p, ID_LENGTH);
	fd = openat(j->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || !read_seal(fd, &seal))
		return false;
	text = arena_alloc(arena, (size_t)seal.record_length);
	if (!read_all(fd, text, (size_t)seal.record_length, SEAL_SIZE) ||
	    checksum_add(0, (struct str){ text, (size_t)seal.record_length }) != seal.record_sum ||
	    !record_get((struct str){ text, (size_t)seal.record_length }, arena, record) ||
	    !str_eq(record->trace, trace))
		return false;
	record->size = seal.body_size;
	memcpy(record->fingerprint, seal.fingerprint, FINGERPRINT_SIZE);
	*out = (struct spooled){ fd, SEAL_SIZE + seal.record_length, seal.body_size };
	fd = -1;
	return true;
}

static DIR *
list_spool(struct journal *j)
{
	int fd = openat(j->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		log_trouble("listing", "spool");
		close_fd(&fd);
	}
	return dir;
}

/* Removes what was never acknowledged, so that it is not looked at again at each start. */
static void
sweep(struct journal *j)
{
	DIR *dir = list_spool(j);
	struct dirent *entry;
	struct seal seal;

	while (dir && (entry = readdir(dir))) {
		scoped_fd fd = -1;

		if (!id_valid(str_of(entry->d_name)))
			continue;
		fd = openat(j->dir, entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 || (read_seal(fd, &seal) &&
		    (!j->check_bodies || body_is_whole(fd, &seal))))
			continue;
		log_info(NULL, "spool_swept", KV("trace", (const char *)entry->d_name));
		if (unlinkat(j->dir, entry->d_name, 0) < 0)
			log_trouble("removing", entry->d_name);
	}
	if (dir)
		closedir(dir);
}

bool
journal_replay(struct journal *j, journal_found *found, void *context)
{
	DIR *dir = list_spool(j);
	struct arena *arena;
	struct dirent *entry;

	if (!dir)
		return false;
	arena = arena_new();
	while ((entry = readdir(dir))) {
		struct spooled spooled;
		struct record record;

		arena_reset(arena);
		if (!journal_read(j, str_of(entry->d_name), arena, &record, &spooled))
			continue;	/* being written now, or not ours */
		close_fd(&spooled.fd);
		found(context, &record);
	}
	closedir(dir);
	arena_free(arena);
	return true;
}

void
journal_done(struct journal *j, struct str trace)
{
	char name[ID_LENGTH + 1] = { 0 };

	if (!id_valid(trace))
		return;
	memcpy(name, trace.p, ID_LENGTH);
	if (unlinkat(j->dir, name, 0) < 0 && errno != ENOENT)
		log_trouble("removing", name);
}

static bool
read_boot_id(int dir, const char *path, char id[BOOT_ID_MAX])
{
	scoped_fd fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	memset(id, 0, BOOT_ID_MAX);
	return fd >= 0 && read(fd, id, BOOT_ID_MAX - 1) > 0;
}

static const char boot_id_path[] = "/proc/sys/kernel/random/boot_id";

/* The machine has been up since the last start: what was written then is in its memory, at least. */
static bool
boot_is_known(struct journal *j)
{
	char now[BOOT_ID_MAX], then[BOOT_ID_MAX];

	return read_boot_id(j->dir, boot_id_path, now) && read_boot_id(j->dir, "boot", then) &&
	    strcmp(now, then) == 0;
}

static void
remember_boot(struct journal *j)
{
	char now[BOOT_ID_MAX];
	scoped_fd file = openat(j->dir, "boot", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (!read_boot_id(j->dir, boot_id_path, now))
		return;		/* bodies are compared at each start, then */
	if (file < 0 || !write_all(file, str_of(now), 0) || fdatasync(file) < 0)
		log_trouble("writing", "boot");
}
