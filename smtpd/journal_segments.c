/* SPDX-License-Identifier: ISC */
/*
 * Where frames go. Segments are filled one after the other, and dropped in the same order: a mark never leaves
 * before the record that it speaks of. Each is made of zeros, and synced, ahead of its use, so that an fdatasync
 * writes octets alone. Nothing is ever written behind what an earlier process wrote.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "smtpd/checksum.h"
#include "smtpd/journal_inside.h"

static void move(struct journal *, struct kept *);
static void on_made(void *context, bool ok);

/* ---- files ---- */

struct segment *
segment_new(uint64_t number, uint64_t key, int fd)
{
	struct segment *s = xcalloc(1, sizeof(*s));

	s->number = number;
	s->key = key;
	s->fd = fd;
	TAILQ_INIT(&s->kepts);
	return s;
}

void
segment_free(struct segment *s)
{
	if (!s)
		return;
	close_fd(&s->fd);
	free(s);
}

void
segment_name(const struct segment *s, struct buf *out)
{
	buf_printf(out, "%016llx-%016llx", (unsigned long long)s->number,
	    (unsigned long long)s->key);
}

static bool
parse_hex(struct str text, uint64_t *out)
{
	uint64_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (c >= '0' && c <= '9')
			n = n << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			n = n << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	*out = n;
	return true;
}

bool
segment_parse_name(struct str name, uint64_t *number, uint64_t *key)
{
	return name.n == 33 && name.p[16] == '-' && parse_hex(str_sub(name, 0, 16), number) &&
	    parse_hex(str_from(name, 17), key);
}

static void
remove_file(struct journal *j, const struct segment *s)
{
	scoped_buf name = BUF_INIT;

	segment_name(s, &name);
	if (unlinkat(j->dir, buf_z(&name), 0) < 0)
		journal_log("removing", buf_z(&name));
}

/* ---- the next one ---- */

static void
making_failed(struct journal *j)
{
	remove_file(j, j->making);
	segment_free(j->making);
	j->making = NULL;
	j->make_again_at = clock_monotonic_ms() + ROOM_AGAIN_MS;
	j->no_room = true;
	timer_set(j->soon, 0);
}

void
segment_make_next(struct journal *j)
{
	struct sync_request zeros = { .lane = SYNC_SPOOL, .kind = SYNC_ZEROS,
		.size = SEGMENT_SIZE };
	struct sync_request folder = { .lane = SYNC_SPOOL, .kind = SYNC_DATA, .fd = j->dir };
	scoped_buf name = BUF_INIT;
	struct segment *s;
	uint64_t key;

	if (j->next || j->making)
		return;
	j->no_room = clock_monotonic_ms() < j->make_again_at;
	if (j->no_room)
		return;
	do
		id_random_bytes(&key, sizeof(key));
	while (key == 0);
	s = j->making = segment_new(++j->last_number, key, -1);
	segment_name(s, &name);
	s->fd = openat(j->dir, buf_z(&name),
	    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->fd < 0) {
		journal_failed(j, "making", buf_z(&name));
		making_failed(j);
		return;
	}
	zeros.fd = s->fd;
	j->making_ok = true;
	j->making_syncs = 2;
	j->host.sync(j->host.context, &zeros, on_made, j);
	j->host.sync(j->host.context, &folder, on_made, j);
}

static void
on_made(void *context, bool ok)
{
	struct journal *j = context;

	j->making_ok = j->making_ok && ok;
	if (!ok)
		journal_failed(j, "making", "a segment");
	if (--j->making_syncs > 0)
		return;
	if (!j->making_ok) {
		making_failed(j);
		return;
	}
	j->full = false;
	j->next = j->making;
	j->making = NULL;
	/* Marks may wait for it, too. */
	if (j->current || segment_rotate(j))
		timer_set(j->soon, 0);
}

static size_t
count_segments(const struct journal *j)
{
	const struct segment *s;
	size_t n = 0;

	TAILQ_FOREACH(s, &j->segments, link)
		n++;
	return n;
}

/*
 * What stays in the journal for days must not keep all that came after it. Clearing the oldest segment only
 * where less than half of all is live costs no more writing than what came in anew.
 */
static void
make_room(struct journal *j)
{
	struct segment *oldest = TAILQ_FIRST(&j->segments);

	if (oldest != j->current &&
	    count_segments(j) > SEGMENTS_KEPT + 2 * j->live_bytes / SEGMENT_SIZE)
		segment_clear(j, oldest);
}

bool
segment_rotate(struct journal *j)
{
	struct kept *k;

	if (!j->next) {
		segment_make_next(j);
		return false;
	}
	if (j->current)
		(void)segment_write(j);
	j->current = j->next;
	j->next = NULL;
	TAILQ_INSERT_TAIL(&j->segments, j->current, link);
	TAILQ_FOREACH(k, &j->done, in_done) {
		if (!k->marked)
			journal_mark(j, k);
	}
	make_room(j);
	segment_drop_old(j);
	return true;
}

/* ---- frames ---- */

struct place
segment_end(const struct journal *j)
{
	if (!j->current)
		return (struct place){ j->next ? j->next->number :
			j->making ? j->making->number : j->last_number + 1, 0 };
	return (struct place){ j->current->number, j->current->tail + j->out.n };
}

bool
segment_has_room(const struct journal *j, uint64_t length, uint64_t reserve)
{
	return j->current && j->current->tail + j->out.n + length + reserve <= SEGMENT_SIZE;
}

uint64_t
segment_place(struct journal *j, const struct frame *frame, struct str envelope, struct str body)
{
	uint64_t offset = segment_end(j).offset;

	frame_put_header(&j->out, frame, j->current->key, offset);
	buf_put(&j->out, envelope);
	buf_put(&j->out, body);
	frame_pad(&j->out, 0);
	if (offset > SEGMENT_SIZE / 2)
		segment_make_next(j);
	return offset;
}

bool
segment_mark(struct journal *j, enum frame_kind kind, const char trace[ID_LENGTH],
    struct str payload, struct place *out)
{
	struct frame frame = { .kind = kind, .envelope_size = payload.n,
		.envelope_sum = checksum_add(0, payload) };

	memcpy(frame.trace, trace, ID_LENGTH);
	if (!segment_has_room(j, frame_length(&frame), 0) && !segment_rotate(j))
		return false;
	if (!segment_has_room(j, frame_length(&frame), 0))
		return false;
	*out = segment_end(j);
	(void)segment_place(j, &frame, payload, STR_EMPTY);
	timer_set(j->write_later, MARK_MS);
	return true;
}

bool
segment_write(struct journal *j)
{
	struct segment *s = j->current;
	struct str bytes = buf_str(&j->out);

	while (bytes.n > 0) {
		ssize_t n = pwrite(s->fd, bytes.p, bytes.n, (off_t)s->tail);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			journal_failed(j, "writing", "a segment");
			segment_fail(j, s);
			return false;
		}
		bytes = str_from(bytes, (size_t)n);
		s->tail += (uint64_t)n;
	}
	buf_clear(&j->out);
	return true;
}

/* ---- leaving one ---- */

void
segment_fail(struct journal *j, struct segment *s)
{
	struct kept *k;

	log_error(NULL, "segment_failed", KV("number", s->number));
	if (s == j->current) {
		j->current = NULL;
		buf_clear(&j->out);
	}
	TAILQ_FOREACH(k, &j->done, in_done) {
		if (k->done_at.segment == s->number)
			k->marked = false;
	}
	segment_clear(j, s);
	if (s == j->flushing)
		round_failed(j);
	segment_make_next(j);
}

void
segment_clear(struct journal *j, struct segment *s)
{
	struct kept *k;

	TAILQ_FOREACH(k, &s->kepts, in_segment) {
		if (!k->done)
			move(j, k);
	}
}

bool
segment_read(const struct segment *s, char *p, size_t n, uint64_t offset)
{
	while (n > 0) {
		ssize_t got = pread(s->fd, p, n, (off_t)offset);

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

static void
move(struct journal *j, struct kept *k)
{
	struct journal_entry *e;
	scoped_buf bytes = BUF_INIT;
	struct frame frame;

	if (k->mover)
		return;
	if (!segment_read(k->segment, buf_room(&bytes, (size_t)k->length), (size_t)k->length,
	    k->offset)) {
		journal_log("reading", "a segment");
		return;
	}
	buf_added(&bytes, (size_t)k->length);
	if (!frame_get_header(buf_str(&bytes), k->segment->key, k->offset, &frame) ||
	    !frame_is_whole(buf_str(&bytes), &frame)) {
		log_error(NULL, "journal_damaged", KV("trace", kept_trace(k)));
		return;
	}
	e = xcalloc(1, sizeof(*e));
	e->journal = j;
	e->frame = frame;
	e->own = BODY_INIT;
	e->file = -1;
	buf_put(&e->envelope, str_sub(buf_str(&bytes), FRAME_HEADER, (size_t)
	    (frame.envelope_size + (frame.in_file ? 0 : frame.body_size))));
	e->moves = k;
	e->is_move = true;
	k->mover = e;
	entry_wait(e);
}

void
segment_drop_old(struct journal *j)
{
	struct segment *s;

	while ((s = TAILQ_FIRST(&j->segments)) && s != j->current && s != j->flushing &&
	    TAILQ_EMPTY(&s->kepts)) {
		remove_file(j, s);
		TAILQ_REMOVE(&j->segments, s, link);
		segment_free(s);
	}
}
