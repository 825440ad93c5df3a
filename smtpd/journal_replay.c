/* SPDX-License-Identifier: ISC */
/*
 * What an earlier process left: its segments, oldest first. They are synced before anything of them is believed,
 * since what was written and never synced is read all the same; and nothing is written to them again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "smtpd/checksum.h"
#include "smtpd/journal_inside.h"

enum {
	BOOT_ID_MAX = 64,
	READ_CHUNK = 64 * 1024,
};

struct replay {
	struct journal *journal;
	struct segment *segment;
};

static bool boot_is_known(struct journal *);
static void remember_boot(struct journal *);
static void read_segment(struct journal *, struct segment *);
static void check_files(struct journal *);
static void sweep_spool(struct journal *);

static DIR *
list_folder(int folder)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		close_fd(&fd);
	return dir;
}

/* Into the list, by number. */
static void
enlist(struct journal *j, struct segment *s)
{
	struct segment *after;

	TAILQ_FOREACH(after, &j->segments, link) {
		if (after->number > s->number)
			break;
	}
	if (after)
		TAILQ_INSERT_BEFORE(after, s, link);
	else
		TAILQ_INSERT_TAIL(&j->segments, s, link);
	if (s->number > j->last_number)
		j->last_number = s->number;
}

bool
replay_segments(struct journal *j)
{
	DIR *dir = list_folder(j->dir);
	struct dirent *entry;
	struct segment *s, *next;
	uint64_t number, key;

	if (!dir)
		return false;
	j->renew_all = !boot_is_known(j);
	while ((entry = readdir(dir))) {
		int fd;

		if (!segment_parse_name(str_of(entry->d_name), &number, &key))
			continue;
		fd = openat(j->dir, entry->d_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0) {
			closedir(dir);
			return false;
		}
		enlist(j, segment_new(number, key, fd));
	}
	closedir(dir);
	for (s = TAILQ_FIRST(&j->segments); s; s = next) {
		next = TAILQ_NEXT(s, link);
		read_segment(j, s);
	}
	check_files(j);
	sweep_spool(j);
	segment_drop_old(j);
	remember_boot(j);
	return true;
}

/* ---- frames ---- */

static void
on_message(struct replay *r, const struct frame *frame, uint64_t offset)
{
	struct kept *k = map_get(r->journal->kepts, frame_trace(frame));

	if (!k) {
		(void)kept_new(r->journal, frame, r->segment, offset);
		return;
	}
	/* Written anew, by a process that had not dropped the old record yet. */
	TAILQ_REMOVE(&k->segment->kepts, k, in_segment);
	TAILQ_INSERT_TAIL(&r->segment->kepts, k, in_segment);
	k->segment = r->segment;
	k->offset = offset;
}

static void
on_done(struct replay *r, const struct frame *frame, uint64_t offset, struct str payload)
{
	struct journal *j = r->journal;
	struct kept *k = map_get(j->kepts, frame_trace(frame));

	if (!k || payload.n % 4 != 0)
		return;
	if (k->done)
		TAILQ_REMOVE(&j->done, k, in_done);
	else
		j->live_bytes -= k->length;
	free(k->delivered);
	k->delivered_count = payload.n / 4;
	k->delivered = k->delivered_count > 0 ? xcalloc(k->delivered_count, 4) : NULL;
	for (size_t i = 0; i < k->delivered_count; i++)
		for (int b = 0; b < 4; b++)
			k->delivered[i] |= (uint32_t)(unsigned char)payload.p[4 * i + (size_t)b]
			    << 8 * b;
	k->done = k->marked = true;
	k->done_at = (struct place){ r->segment->number, offset };
	TAILQ_INSERT_TAIL(&j->done, k, in_done);
}

static void
on_synced(struct replay *r, struct str payload)
{
	struct journal *j = r->journal;
	struct place from, to;
	struct kept *k, *next;

	if (!place_get(&payload, &from) || !place_get(&payload, &to))
		return;
	for (k = TAILQ_FIRST(&j->done); k && place_before(k->done_at, to); k = next) {
		next = TAILQ_NEXT(k, in_done);
		if (!place_before(k->done_at, from))
			kept_free(j, k);
	}
}

static void
on_frame(void *context, const struct frame *frame, uint64_t offset, struct str payload)
{
	struct replay *r = context;

	switch (frame->kind) {
	case FRAME_MESSAGE:
		if (id_valid(frame_trace(frame)))
			on_message(r, frame, offset);
		break;
	case FRAME_DONE:
		on_done(r, frame, offset, payload);
		break;
	case FRAME_SYNCED:
		on_synced(r, payload);
		break;
	}
}

/* The last one before a crash, which nobody was told of; or a damaged disk. */
static void
on_torn(void *context, const struct frame *frame, uint64_t offset)
{
	struct replay *r = context;

	log_warn(NULL, "journal_torn", KV("segment", r->segment->number), KV("offset", offset),
	    KV("trace", frame_trace(frame)));
}

static bool
load(int fd, struct buf *out)
{
	for (;;) {
		ssize_t n = pread(fd, buf_room(out, READ_CHUNK), READ_CHUNK, (off_t)out->n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0;
		buf_added(out, (size_t)n);
		if (out->n > SEGMENT_SIZE)
			return true;
	}
}

static void
read_segment(struct journal *j, struct segment *s)
{
	struct replay r = { .journal = j, .segment = s };
	bool synced = fdatasync(s->fd) == 0;
	scoped_buf bytes = BUF_INIT;

	if (!load(s->fd, &bytes))
		journal_log("reading", "a segment");
	frame_scan(buf_str(&bytes), s->key, on_frame, on_torn, &r);
	s->tail = SEGMENT_SIZE;
	if (synced)
		return;
	journal_log("syncing", "a segment");
	segment_clear(j, s);
}

/* ---- large bodies ---- */

static bool
sum_file(int fd, uint64_t size, uint32_t *out)
{
	char *chunk = xmalloc(READ_CHUNK);
	uint64_t at = 0;

	*out = 0;
	while (at < size) {
		ssize_t n = pread(fd, chunk, READ_CHUNK, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		*out = checksum_add(*out, (struct str){ chunk, (size_t)n });
		at += (uint64_t)n;
	}
	free(chunk);
	return at == size;
}

static int
open_file(struct journal *j, const struct kept *k)
{
	char name[ID_LENGTH + 1];

	journal_file_name(k->trace, name);
	return openat(j->spool, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static bool
file_is_whole(struct journal *j, const struct kept *k)
{
	scoped_fd fd = open_file(j, k);
	scoped_buf header = BUF_INIT;
	struct frame frame;
	struct stat st;
	uint32_t sum;

	if (fd < 0 || fstat(fd, &st) < 0 ||
	    !segment_read(k->segment, buf_room(&header, FRAME_HEADER), FRAME_HEADER, k->offset))
		return false;
	buf_added(&header, FRAME_HEADER);
	if (!frame_get_header(buf_str(&header), k->segment->key, k->offset, &frame) ||
	    (uint64_t)st.st_size != frame.body_size)
		return false;
	return !j->renew_all || (sum_file(fd, frame.body_size, &sum) && sum == frame.body_sum);
}

/*
 * A body that is gone: of a message that was settled or given up, whose mark the crash took; else the disk
 * is damaged, since it was synced before the record was written. Either way there is nothing to deliver.
 */
static void
check_files(struct journal *j)
{
	struct str trace;
	void *value;
	size_t at = 0;

	while (map_next(j->kepts, &at, &trace, &value)) {
		struct kept *k = value;

		if (!k->in_file || file_is_whole(j, k))
			continue;
		if (!k->done)
			log_error(NULL, "journal_damaged", KV("trace", kept_trace(k)));
		kept_free(j, k);
	}
}

/* Files that no record names were never promised to anybody. */
static void
sweep_spool(struct journal *j)
{
	DIR *dir = list_folder(j->spool);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		struct str name = str_of(entry->d_name);

		if (!id_valid(name) || map_get(j->kepts, name))
			continue;
		log_info(NULL, "spool_swept", KV("trace", name));
		if (unlinkat(j->spool, entry->d_name, 0) < 0)
			journal_log("removing", entry->d_name);
	}
	if (dir)
		closedir(dir);
}

/* ---- telling ---- */

/* The payload of a kept message, whole; false: logged. */
static bool
read_payload(const struct kept *k, struct arena *arena, struct frame *frame,
    struct str *payload)
{
	char *bytes = arena_alloc(arena, (size_t)k->length);
	struct str all = { bytes, (size_t)k->length };

	if (!segment_read(k->segment, bytes, (size_t)k->length, k->offset) ||
	    !frame_get_header(all, k->segment->key, k->offset, frame) ||
	    !frame_is_whole(all, frame)) {
		log_error(NULL, "journal_damaged", KV("trace", kept_trace(k)),
		    KV("segment", k->segment->number), KV("offset", k->offset));
		return false;
	}
	*payload = str_from(all, FRAME_HEADER);
	return true;
}

static bool
read_record(const struct kept *k, struct arena *arena, struct record *record,
    struct frame *frame, struct str *body)
{
	struct str payload;

	if (!read_payload(k, arena, frame, &payload) ||
	    !record_get(str_sub(payload, 0, (size_t)frame->envelope_size), arena, record) ||
	    !str_eq(record->trace, kept_trace(k)))
		return false;
	record->size = frame->body_size;
	memcpy(record->fingerprint, frame->fingerprint, FINGERPRINT_SIZE);
	*body = frame->in_file ? STR_EMPTY :
	    str_sub(payload, (size_t)frame->envelope_size, (size_t)frame->body_size);
	return true;
}

bool
journal_read(struct journal *j, struct str trace, struct arena *arena, struct record *record,
    struct body *out, bool *renew)
{
	struct kept *k = map_get(j->kepts, trace);
	struct frame frame;
	struct str body;

	if (!k || k->done || !read_record(k, arena, record, &frame, &body))
		return false;
	*out = BODY_INIT;
	*renew = k->renew;
	if (!frame.in_file) {
		body_put(out, body);
		return true;
	}
	out->in_file = true;
	out->size = frame.body_size;
	out->fd = open_file(j, k);
	if (out->fd < 0)
		journal_log("opening", "a body");
	return out->fd >= 0;
}

void
replay_found(struct journal *j, struct kept *k, bool unsure)
{
	struct journal_message message = { .only = k->only, .delivered = k->delivered,
		.delivered_count = k->delivered_count, .unsure = unsure };
	struct arena *arena = arena_new();
	struct record record;
	struct frame frame;
	struct str body;

	message.record = &record;
	if (read_record(k, arena, &record, &frame, &body))
		j->host.found(j->host.context, &message);
	arena_free(arena);
}

/* The host may make one done meanwhile, but never adds one. */
void
journal_replay(struct journal *j)
{
	struct str trace;
	struct kept *k, *next;
	bool first = !j->was_replayed;
	void *value;
	size_t at = 0;

	for (k = TAILQ_FIRST(&j->done); k && first; k = next) {
		next = TAILQ_NEXT(k, in_done);
		if (k->delivered_count > 0)
			journal_reopen(j, k);
	}
	j->was_replayed = true;
	while (map_next(j->kepts, &at, &trace, &value)) {
		k = value;
		if (!k->done)
			replay_found(j, k, first);
	}
	if (!TAILQ_EMPTY(&j->done))
		timer_set(j->settle, SETTLE_MS);
}

/* ---- boots ---- */

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
	size_t n;

	if (!read_boot_id(j->dir, boot_id_path, now))
		return;		/* copies are written anew at each start, then */
	n = strlen(now);
	if (file < 0 || write(file, now, n) != (ssize_t)n || fdatasync(file) < 0)
		journal_log("writing", "boot");
}
