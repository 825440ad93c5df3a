/* SPDX-License-Identifier: ISC */
/*
 * A connection's two buffers and what moves them. Invariants: the handler runs only from
 * stream_deliver(), which only the loop calls; everything else notes its news and sets the timer
 * `later`. What we wait for is computed in one place, wanted(). After a failure nothing
 * is read or written any more.
 */
#include "common/net/stream_inside.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/base/clock.h"

enum {
	CHUNK_LEAST = 2 * 1024,		/* one read asks for this; more where more came */
	CHUNK_MOST = 64 * 1024,
	SPARE_LEAST = 16 * 1024,
	SPARE_MOST = 1024 * 1024,
};

/*
 * The memory of an output that has been sent, for the next one of this turn of the loop: who sends a lot fills and empties
 * one again and again, and would have all its pages made anew each time.
 */
static struct buf spare;

void
stream_forget_input(struct stream *s)
{
	buf_wipe(&s->in);
}

static void
drop_output(struct stream *s)
{
	ranges_free(&s->files);
	buf_free(&s->out);
}

uint64_t
stream_unsent(const struct stream *s)
{
	return s->files.octets + s->out.n;
}

static void on_ready(void *context, unsigned ready);
static void on_later(void *context);

struct stream *
stream_new(struct loop *loop, int fd, stream_handler *handler, void *context)
{
	struct stream *s = xcalloc(1, sizeof(*s));
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && !(flags & O_NONBLOCK))
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	s->loop = loop;
	s->wire.fd = fd;
	s->handler = handler;
	s->context = context;
	s->input_limit = STREAM_INPUT_LIMIT;
	s->chunk = CHUNK_LEAST;
	ranges_begin(&s->files);
	s->later = timer_new(loop, on_later, s);
	s->watch = watch_new(loop, fd, WATCH_READ, on_ready, s);
	return s;
}

void
stream_free(struct stream *s)
{
	if (s == NULL)
		return;
	if (s->gone != NULL)
		*s->gone = true;
	stream_forget_finish(s);
	watch_free(s->watch);
	timer_free(s->later);
	timer_free(s->idle);
	timer_free(s->deadline);
	wire_close(&s->wire);
	stream_forget_input(s);
	drop_output(s);
	buf_free(&s->info);
	buf_free(&spare);
	free(s);
}

/* What we wait for, and what we tell. */

static bool
wants_input(const struct stream *s)
{
	return !s->eof && !s->broken && !s->paused && !stream_is_greeting(s) &&
	    s->closing == NOT_CLOSING && s->in.n < s->input_limit;
}

static unsigned
ready_for_read(const struct stream *s)
{
	return s->read_needs == WIRE_WANTS_WRITE ? WATCH_WRITE : WATCH_READ;
}

static unsigned
ready_for_write(const struct stream *s)
{
	return s->write_needs == WIRE_WANTS_READ ? WATCH_READ : WATCH_WRITE;
}

static unsigned
wanted(const struct stream *s)
{
	unsigned want = 0;

	if (s->closing == LINGERING)
		return WATCH_READ;
	if (s->broken)
		return 0;
	if (s->tls == TLS_HANDSHAKE)
		return s->handshake_needs == WIRE_WANTS_WRITE ? WATCH_WRITE : WATCH_READ;
	if (wants_input(s))
		want |= ready_for_read(s);
	if (s->sending)
		want |= ready_for_write(s);
	return want;
}

void
stream_update(struct stream *s)
{
	/* While news is told, stream_deliver() comes here again itself. */
	if (s->gone == NULL && (s->news != 0 || (s->held_inside && wants_input(s))))
		timer_set(s->later, 0);
	watch_change(s->watch, wanted(s));
}

void
stream_note(struct stream *s, enum stream_event event)
{
	s->news |= 1u << event;
}

void
stream_deliver(struct stream *s)
{
	static const enum stream_event order[] = {
		STREAM_SECURE, STREAM_INPUT, STREAM_DRAINED, STREAM_EOF, STREAM_BROKEN, STREAM_IDLE
	};
	bool gone = false;

	s->gone = &gone;
	for (size_t i = 0; i < countof(order); i++) {
		if (!(s->news & 1u << order[i]))
			continue;
		s->news &= ~(1u << order[i]);
		if (s->handler == NULL || (order[i] == STREAM_INPUT && s->in.n == 0))
			continue;
		s->handler(s->context, s, order[i]);
		if (gone)
			return;
	}
	s->gone = NULL;
	buf_free(&spare);
	if (s->in.n == 0)
		stream_forget_input(s);
	stream_update(s);
}

void
stream_broke(struct stream *s)
{
	s->broken = true;
	s->sending = s->held_inside = false;
	drop_output(s);
	s->news &= 1u << STREAM_INPUT | 1u << STREAM_SECURE;
	stream_note(s, STREAM_BROKEN);
	if (s->idle != NULL)
		timer_stop(s->idle);
	if (s->deadline != NULL)
		timer_stop(s->deadline);
}

static void
touch(struct stream *s)
{
	if (s->idle_ms > 0)
		s->active_at = clock_monotonic_ms();
}

/* In. */

/* As buf_room, but what is outgrown is forgotten. */
static char *
input_room(struct buf *in, size_t n)
{
	struct buf larger = BUF_INIT;

	if (in->base != NULL && in->cap - in->n < n) {
		buf_room(&larger, in->n + n);
		buf_put(&larger, buf_str(in));
		buf_wipe(in);
		*in = larger;
	}
	return buf_room(in, n);
}

static size_t
next_chunk(size_t chunk, size_t got)
{
	if (got >= chunk)
		return chunk * 4 < CHUNK_MOST ? chunk * 4 : CHUNK_MOST;
	return got < chunk / 4 && chunk / 4 >= CHUNK_LEAST ? chunk / 4 : chunk;
}

/* False: nothing more now. */
static bool
receive_some(struct stream *s)
{
	size_t room = s->input_limit - s->in.n, n = room < s->chunk ? room : s->chunk, got = 0;

	s->read_needs = wire_read(&s->wire, input_room(&s->in, n), n, &got);
	switch (s->read_needs) {
	case WIRE_DONE:
		buf_added(&s->in, got);
		stream_note(s, STREAM_INPUT);
		touch(s);
		if (n == s->chunk)
			s->chunk = next_chunk(s->chunk, got);
		return got == n || wire_holds_bytes(&s->wire);
	case WIRE_EOF:
		s->eof = true;
		stream_note(s, STREAM_EOF);
		return false;
	case WIRE_FAILED:
		stream_broke(s);
		return false;
	case WIRE_WANTS_READ:
	case WIRE_WANTS_WRITE:
		break;
	}
	return false;
}

/* At most the input's limit in one go, so that the others have their turn. */
static void
receive(struct stream *s)
{
	while (wants_input(s))
		if (!receive_some(s))
			break;
	s->held_inside = !s->broken && !s->eof && s->in.n >= s->input_limit &&
	    wire_holds_bytes(&s->wire);
}

struct buf *
stream_input(struct stream *s)
{
	return &s->in;
}

void
stream_set_input_limit(struct stream *s, size_t bytes)
{
	s->input_limit = bytes;
	stream_update(s);
}

void
stream_poke(struct stream *s)
{
	stream_note(s, STREAM_INPUT);
	stream_update(s);
}

void
stream_pause(struct stream *s)
{
	s->paused = true;
	stream_update(s);
}

void
stream_resume(struct stream *s)
{
	s->paused = false;
	stream_update(s);
}

/* Out. */

/* It is let go when the loop has its turn again. */
static void
give_back_output(struct stream *s)
{
	if (s->out.cap < SPARE_LEAST || s->out.cap > SPARE_MOST || spare.base != NULL) {
		buf_free(&s->out);
		return;
	}
	spare = s->out;
	buf_clear(&spare);
	s->out = BUF_INIT;
	if (s->gone == NULL)
		timer_set(s->later, 0);
}

/* DONE: all of it. */
static enum wire_result
write_bytes(struct stream *s)
{
	enum wire_result result = WIRE_DONE;
	size_t taken;

	while (s->out.n > 0 && (result = wire_write(&s->wire, buf_str(&s->out), false, &taken)) == WIRE_DONE) {
		buf_take(&s->out, taken);
		touch(s);
	}
	return result;
}

static void
write_rest(struct stream *s)
{
	bool taken = false;

	s->write_needs = ranges_send(&s->files, &s->wire, &taken);
	if (taken)
		touch(s);
	if (s->write_needs == WIRE_DONE)
		s->write_needs = write_bytes(s);
	if (s->write_needs == WIRE_DONE)
		give_back_output(s);
	else if (s->write_needs != WIRE_WANTS_READ && s->write_needs != WIRE_WANTS_WRITE)
		stream_broke(s);
}

/* The other side shall see the end. False: again when writable. */
static bool
shut_now(struct stream *s)
{
	if (wire_goodbye(&s->wire) == WIRE_WANTS_WRITE)
		return false;
	shutdown(s->wire.fd, SHUT_WR);
	s->shut = true;
	return true;
}

void
stream_send(struct stream *s)
{
	bool waited = s->sending;

	write_rest(s);
	if (s->broken)
		return;
	s->sending = stream_unsent(s) > 0;
	if (s->was_full ? stream_unsent(s) < STREAM_LOW_WATER && !stream_is_full(s) : waited && !s->sending) {
		s->was_full = false;
		stream_note(s, STREAM_DRAINED);
	}
	if (s->sending)
		return;
	if (s->shut_wanted && !s->shut && !shut_now(s)) {
		s->write_needs = WIRE_WANTS_WRITE;
		s->sending = true;
	}
	if (s->tls == TLS_AFTER_OUTPUT)
		stream_begin_handshake(s);
}

struct buf *
stream_output(struct stream *s)
{
	if (s->out.base == NULL && spare.base != NULL) {
		s->out = spare;
		spare = BUF_INIT;
	}
	return &s->out;
}

bool
stream_is_full(const struct stream *s)
{
	return stream_unsent(s) >= STREAM_HIGH_WATER || s->files.count >= STREAM_FILES_MAX;
}

void
stream_put_file(struct stream *s, int fd, uint64_t from, uint64_t n)
{
	if (s->broken || n == 0)
		close_fd(&fd);
	else
		ranges_add(&s->files, &s->out, fd, from, n);
}

bool
stream_lacks_file(const struct stream *s)
{
	return s->wire.lacks_file;
}

void
stream_flush(struct stream *s)
{
	if (s->broken) {
		drop_output(s);
		return;
	}
	if (stream_is_full(s))
		s->was_full = true;
	/* Where the other side did not take the last bytes, trying again at once is in vain. */
	if (s->tls == TLS_HANDSHAKE || s->sending)
		return;
	stream_send(s);
	stream_update(s);
}

void
stream_shut_output(struct stream *s)
{
	s->shut_wanted = true;
	stream_flush(s);
}

const char *
stream_error(const struct stream *s)
{
	return s->wire.error.n > 0 ? s->wire.error.p : "";
}

/* What the loop calls. */

static void
on_ready(void *context, unsigned ready)
{
	struct stream *s = context;

	if (s->closing == NOT_CLOSING && s->tls == TLS_HANDSHAKE) {
		stream_step_handshake(s);
		stream_deliver(s);
		return;
	}
	if (s->sending && ready == ready_for_write(s))
		stream_send(s);
	if (s->closing != NOT_CLOSING) {
		stream_step_closing(s);
		return;
	}
	if (ready == ready_for_read(s))
		receive(s);
	stream_deliver(s);
}

static void
on_later(void *context)
{
	struct stream *s = context;

	if (s->held_inside)
		receive(s);
	stream_deliver(s);
}

static void
on_idle(void *context)
{
	struct stream *s = context;
	int64_t left = s->active_at + s->idle_ms - clock_monotonic_ms();

	if (left > 0) {
		timer_set(s->idle, left);
		return;
	}
	s->active_at = clock_monotonic_ms();
	timer_set(s->idle, s->idle_ms);
	stream_note(s, STREAM_IDLE);
	stream_deliver(s);
}

void
stream_set_idle_ms(struct stream *s, int64_t ms)
{
	s->idle_ms = ms;
	if (s->idle == NULL && ms > 0)
		s->idle = timer_new(s->loop, on_idle, s);
	if (s->idle == NULL)
		return;
	touch(s);
	if (ms > 0 && !s->broken)
		timer_set(s->idle, ms);
	else
		timer_stop(s->idle);
}

void
stream_set_handler(struct stream *s, stream_handler *handler, void *context)
{
	s->handler = handler;
	s->context = context;
	if (s->eof)
		stream_note(s, STREAM_EOF);
	if (s->broken)
		stream_note(s, STREAM_BROKEN);
	stream_update(s);
}

int
stream_fd(const struct stream *s)
{
	return s->wire.fd;
}

int
stream_detach(struct stream *s, struct buf *input)
{
	int fd = s->wire.fd;

	if (s->tls != TLS_NONE || stream_unsent(s) > 0)
		fatal("only a plain connection with nothing left to send can be given away");
	s->wire.fd = -1;
	buf_free(input);
	*input = s->in;
	s->in = BUF_INIT;
	stream_free(s);
	return fd;
}

