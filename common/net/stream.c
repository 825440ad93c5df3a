/* SPDX-License-Identifier: ISC */
/*
 * A connection's two buffers and what moves them. Invariants: the handler runs only from
 * deliver(), which only the loop calls; everything else notes its news and sets the timer
 * `later`. What we wait for is computed in one place, wanted(). After a failure nothing
 * is read or written any more.
 */
#include "common/net/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/net/ranges.h"
#include "common/net/tls.h"

enum {
	CHUNK_LEAST = 2 * 1024,		/* one read asks for this; more where more came */
	CHUNK_MOST = 64 * 1024,
	HANDSHAKE_MS = 10 * 1000,
	FINISH_MS = 10 * 1000,		/* to send what is left */
	LINGER_MS = 1000,		/* then to hear the other side's end */
	LINGER_MOST = 256 * 1024,	/* bytes listened to meanwhile */
	SPARE_LEAST = 16 * 1024,
	SPARE_MOST = 1024 * 1024,
};

enum tls_state {
	TLS_NONE,
	TLS_AFTER_OUTPUT,	/* begins when the plain output ("220 Ready") is gone */
	TLS_HANDSHAKE,
	TLS_ON,
};

enum closing { NOT_CLOSING, SENDING_REST, LINGERING };

struct stream {
	TAILQ_ENTRY(stream) entry;	/* of those being finished */
	struct loop *loop;
	struct wire wire;
	struct watch *watch;
	struct timer *later;		/* 0 ms: tells the news from the loop */
	struct timer *idle;		/* these two are made when first set */
	struct timer *deadline;		/* of the handshake, then of the finish */
	stream_handler *handler;	/* NULL: nobody is told any more */
	void *context;
	struct buf in, info;
	struct ranges files;		/* to be sent before out */
	struct buf out;
	size_t input_limit, chunk, lingered;
	int64_t idle_ms, active_at;
	unsigned news;			/* bits: 1 << enum stream_event */
	enum tls_state tls;
	enum closing closing;
	/* What the last read, write and handshake waited for: TLS may cross them. */
	enum wire_result read_needs, write_needs, handshake_needs;
	bool tls_server;
	bool paused;
	bool eof;
	bool broken;
	bool held_inside;		/* reading stopped at the limit while TLS held more */
	bool sending;			/* the rest goes when the other side takes it */
	bool was_full;
	bool shut_wanted, shut;
	bool *gone;			/* set when the handler freed us */
};

/*
 * The memory of an output that has been sent, for the next one of this turn of the loop: who sends a lot fills and empties
 * one again and again, and would have all its pages made anew each time.
 */
static struct buf spare;

/* Nobody's any more; only the loop knows them. */
static TAILQ_HEAD(, stream) finishing = TAILQ_HEAD_INITIALIZER(finishing);

/* What a client says may be a password: nothing of it stays behind in memory that is given back. */
static void
forget_input(struct stream *s)
{
	buf_wipe(&s->in);
}

static void
drop_output(struct stream *s)
{
	ranges_free(&s->files);
	buf_free(&s->out);
}

/* Octets that wait to be sent. */
static uint64_t
unsent(const struct stream *s)
{
	return s->files.octets + s->out.n;
}

static void on_ready(void *context, unsigned ready);
static void on_later(void *context);
static void step_handshake(struct stream *);
static void step_closing(struct stream *);

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
	if (s->closing != NOT_CLOSING)
		TAILQ_REMOVE(&finishing, s, entry);
	watch_free(s->watch);
	timer_free(s->later);
	timer_free(s->idle);
	timer_free(s->deadline);
	wire_close(&s->wire);
	forget_input(s);
	drop_output(s);
	buf_free(&s->info);
	buf_free(&spare);
	free(s);
}

/* What we wait for, and what we tell. */

static bool
is_greeting(const struct stream *s)
{
	return s->tls == TLS_AFTER_OUTPUT || s->tls == TLS_HANDSHAKE;
}

static bool
wants_input(const struct stream *s)
{
	return !s->eof && !s->broken && !s->paused && !is_greeting(s) &&
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

static void
update(struct stream *s)
{
	/* While news is told, deliver() comes here again itself. */
	if (s->gone == NULL && (s->news != 0 || (s->held_inside && wants_input(s))))
		timer_set(s->later, 0);
	watch_change(s->watch, wanted(s));
}

static void
note(struct stream *s, enum stream_event event)
{
	s->news |= 1u << event;
}

static void
deliver(struct stream *s)
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
		forget_input(s);
	update(s);
}

/* The words are in the wire's error already. What was read before stays news. */
static void
broke(struct stream *s)
{
	s->broken = true;
	s->sending = s->held_inside = false;
	drop_output(s);
	s->news &= 1u << STREAM_INPUT | 1u << STREAM_SECURE;
	note(s, STREAM_BROKEN);
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
		note(s, STREAM_INPUT);
		touch(s);
		if (n == s->chunk)
			s->chunk = next_chunk(s->chunk, got);
		return got == n || wire_holds_bytes(&s->wire);
	case WIRE_EOF:
		s->eof = true;
		note(s, STREAM_EOF);
		return false;
	case WIRE_FAILED:
		broke(s);
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
	update(s);
}

void
stream_poke(struct stream *s)
{
	note(s, STREAM_INPUT);
	update(s);
}

void
stream_pause(struct stream *s)
{
	s->paused = true;
	update(s);
}

void
stream_resume(struct stream *s)
{
	s->paused = false;
	update(s);
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
		broke(s);
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

static void
begin_handshake(struct stream *s)
{
	s->tls = TLS_HANDSHAKE;
	s->handshake_needs = WIRE_WANTS_READ;
	if (!s->tls_server)
		step_handshake(s);
}

static void
send_output(struct stream *s)
{
	bool waited = s->sending;

	write_rest(s);
	if (s->broken)
		return;
	s->sending = unsent(s) > 0;
	if (s->was_full ? unsent(s) < STREAM_LOW_WATER && !stream_is_full(s) : waited && !s->sending) {
		s->was_full = false;
		note(s, STREAM_DRAINED);
	}
	if (s->sending)
		return;
	if (s->shut_wanted && !s->shut && !shut_now(s)) {
		s->write_needs = WIRE_WANTS_WRITE;
		s->sending = true;
	}
	if (s->tls == TLS_AFTER_OUTPUT)
		begin_handshake(s);
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
	return unsent(s) >= STREAM_HIGH_WATER || s->files.count >= STREAM_FILES_MAX;
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
	send_output(s);
	update(s);
}

void
stream_shut_output(struct stream *s)
{
	s->shut_wanted = true;
	stream_flush(s);
}

/* TLS. */

static void
step_handshake(struct stream *s)
{
	s->handshake_needs = wire_handshake(&s->wire);
	if (s->handshake_needs == WIRE_FAILED)
		broke(s);
	if (s->handshake_needs != WIRE_DONE)
		return;
	s->tls = TLS_ON;
	timer_stop(s->deadline);
	wire_put_info(&s->wire, &s->info);
	/* The first request may have come with the end of the handshake. */
	s->held_inside = wire_holds_bytes(&s->wire);
	note(s, STREAM_SECURE);
	if (unsent(s) > 0)
		send_output(s);
}

static void
on_deadline(void *context)
{
	struct stream *s = context;

	if (s->closing != NOT_CLOSING) {
		stream_free(s);
		return;
	}
	wire_fail(&s->wire, "TLS handshake: not done in time", 0);
	broke(s);
	deliver(s);
}

static void
set_deadline(struct stream *s, int64_t ms)
{
	if (s->deadline == NULL)
		s->deadline = timer_new(s->loop, on_deadline, s);
	timer_set(s->deadline, ms);
}

static void
start_tls(struct stream *s, struct tls_context *tls, bool is_server, const char *name)
{
	/* RFC 3207 6, RFC 2595 4: what was said in the clear is as if never said. */
	forget_input(s);
	s->news &= ~(1u << STREAM_INPUT);
	s->read_needs = WIRE_WANTS_READ;
	if (s->broken)
		return;
	s->tls_server = is_server;
	s->tls = TLS_AFTER_OUTPUT;
	if (s->eof)
		wire_fail(&s->wire, "TLS handshake: the other side left", 0);
	if (s->eof || !wire_start_tls(&s->wire, tls, is_server, name)) {
		broke(s);
	} else {
		set_deadline(s, HANDSHAKE_MS);
		if (!s->sending)
			send_output(s);
	}
	update(s);
}

void
stream_accept_tls(struct stream *s, struct tls_context *tls)
{
	start_tls(s, tls, true, NULL);
}

void
stream_connect_tls(struct stream *s, struct tls_context *tls, const char *name)
{
	start_tls(s, tls, false, name);
}

bool
stream_is_secure(const struct stream *s)
{
	return s->tls == TLS_ON;
}

struct str
stream_tls_info(const struct stream *s)
{
	return buf_str(&s->info);
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
		step_handshake(s);
		deliver(s);
		return;
	}
	if (s->sending && ready == ready_for_write(s))
		send_output(s);
	if (s->closing != NOT_CLOSING) {
		step_closing(s);
		return;
	}
	if (ready == ready_for_read(s))
		receive(s);
	deliver(s);
}

static void
on_later(void *context)
{
	struct stream *s = context;

	if (s->held_inside)
		receive(s);
	deliver(s);
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
	note(s, STREAM_IDLE);
	deliver(s);
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
		note(s, STREAM_EOF);
	if (s->broken)
		note(s, STREAM_BROKEN);
	update(s);
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

	if (s->tls != TLS_NONE || unsent(s) > 0)
		fatal("only a plain connection with nothing left to send can be given away");
	s->wire.fd = -1;
	buf_free(input);
	*input = s->in;
	s->in = BUF_INIT;
	stream_free(s);
	return fd;
}

/* The end. */

void
stream_finish(struct stream *s)
{
	if (s == NULL)
		return;
	if (is_greeting(s) && !s->broken) {
		stream_free(s);
		return;
	}
	s->handler = NULL;
	s->news = 0;
	s->idle_ms = 0;
	timer_free(s->idle);
	s->idle = NULL;
	timer_stop(s->later);
	forget_input(s);
	if (s->closing == NOT_CLOSING)
		TAILQ_INSERT_TAIL(&finishing, s, entry);
	s->closing = SENDING_REST;
	s->shut_wanted = !s->broken;
	set_deadline(s, FINISH_MS);
	if (!s->broken && !s->sending)
		send_output(s);
	step_closing(s);
}

void
stream_finish_none(void)
{
	while (!TAILQ_EMPTY(&finishing))
		stream_free(TAILQ_FIRST(&finishing));
}

/* Reads past TLS: nobody looks at it, and OpenSSL takes no more after the goodbye. */
static void
linger(struct stream *s)
{
	char lost[4096];
	ssize_t n;

	while ((n = read(s->wire.fd, lost, sizeof(lost))) > 0) {
		s->lingered += (size_t)n;
		if (s->lingered > LINGER_MOST)
			break;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	stream_free(s);
}

/*
 * RFC 9293 3.10.4 (RFC 1122 4.2.2.13): closing while bytes are unread sends a reset, which can overtake our last answer;
 * so we end our half first and listen a moment.
 */
static void
step_closing(struct stream *s)
{
	if (s->closing == LINGERING) {
		linger(s);
		return;
	}
	if (s->sending) {
		update(s);
		return;
	}
	/* Not a socket, not connected any more, or the other side's end is known. */
	if (shutdown(s->wire.fd, SHUT_WR) != 0 || (s->eof && s->wire.ssl == NULL)) {
		stream_free(s);
		return;
	}
	s->closing = LINGERING;
	set_deadline(s, LINGER_MS);
	update(s);
}
