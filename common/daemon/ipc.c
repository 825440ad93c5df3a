/* SPDX-License-Identifier: ISC */
#include "common/daemon/ipc.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"

enum { SOCKET_BUFFER = 256 * 1024 };

enum sent { SENT, LATER, LEFT, FAILED };

/* A message that the kernel did not take yet. */
struct parcel {
	TAILQ_ENTRY(parcel) entry;
	struct buf bytes;
	int fd;
};

TAILQ_HEAD(parcels, parcel);

struct ipc {
	struct loop *loop;
	int fd;
	struct watch *watch;
	struct timer *report;	/* carries a failure out of ipc_send into the loop */
	const struct ipc_handlers *handlers;
	void *context;
	struct parcels unsent;
	size_t unsent_bytes;
	bool was_full;
	bool left;		/* the other side is gone: nothing is sent any more, but it may have said something */
	bool ended;
	bool busy;		/* a handler runs, which may free us: the memory goes afterwards */
	bool freed;
};

/* ---- fields ---- */

static void
put_number(struct buf *b, uint64_t value, size_t n)
{
	char bytes[8];

	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)(value >> (8 * i));
	buf_put(b, (struct str){ bytes, n });
}

void
msg_begin(struct buf *b, uint16_t type)
{
	buf_clear(b);
	put_number(b, type, 2);
}

void
msg_put_u8(struct buf *b, uint8_t value)
{
	put_number(b, value, 1);
}

void
msg_put_u32(struct buf *b, uint32_t value)
{
	put_number(b, value, 4);
}

void
msg_put_u64(struct buf *b, uint64_t value)
{
	put_number(b, value, 8);
}

void
msg_put_bool(struct buf *b, bool value)
{
	msg_put_u8(b, value);
}

void
msg_put_str(struct buf *b, struct str s)
{
	msg_put_u32(b, (uint32_t)s.n);
	buf_put(b, s);
}

static uint64_t
get_number(struct msg *m, size_t n)
{
	uint64_t value = 0;

	if (m->bad || m->rest.n < n) {
		m->bad = true;
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		value |= (uint64_t)(unsigned char)m->rest.p[i] << (8 * i);
	m->rest = str_from(m->rest, n);
	return value;
}

uint8_t
msg_get_u8(struct msg *m)
{
	return (uint8_t)get_number(m, 1);
}

uint32_t
msg_get_u32(struct msg *m)
{
	return (uint32_t)get_number(m, 4);
}

uint64_t
msg_get_u64(struct msg *m)
{
	return get_number(m, 8);
}

bool
msg_get_bool(struct msg *m)
{
	uint8_t value = msg_get_u8(m);

	if (value > 1)
		m->bad = true;
	return value == 1;
}

struct str
msg_get_str(struct msg *m)
{
	uint32_t n = msg_get_u32(m);
	struct str s;

	if (m->bad || n > m->rest.n) {
		m->bad = true;
		return STR_EMPTY;
	}
	s = str_sub(m->rest, 0, n);
	m->rest = str_from(m->rest, n);
	return s;
}

int
msg_take_fd(struct msg *m)
{
	int fd = m->fd;

	m->fd = -1;
	return fd;
}

bool
msg_end(struct msg *m)
{
	return !m->bad && m->rest.n == 0;
}

bool
msg_parse(struct str packet, struct msg *out)
{
	*out = (struct msg){ .rest = packet, .fd = -1 };
	out->type = (uint16_t)get_number(out, 2);
	return !out->bad;
}

/* ---- channels ---- */

static void on_ready(void *context, unsigned ready);
static void report_end(void *context);
static void receive(struct ipc *);
static void send_unsent(struct ipc *);
static enum sent send_now(struct ipc *, struct str bytes, int fd);
static void end(struct ipc *, const char *why);

bool
ipc_pair(int ends[2])
{
	int size = SOCKET_BUFFER;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
		return false;
	for (int i = 0; i < 2; i++)
		if (setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) != 0)
			log_debug(NULL, "ipc.buffer", KV("errno", errno));
	return true;
}

struct ipc *
ipc_new(struct loop *loop, int fd, const struct ipc_handlers *handlers, void *context)
{
	struct ipc *ipc = xcalloc(1, sizeof(*ipc));

	ipc->loop = loop;
	ipc->fd = fd;
	ipc->handlers = handlers;
	ipc->context = context;
	TAILQ_INIT(&ipc->unsent);
	ipc->watch = watch_new(loop, fd, WATCH_READ, on_ready, ipc);
	ipc->report = timer_new(loop, report_end, ipc);
	return ipc;
}

static void
drop_parcel(struct ipc *ipc, struct parcel *p)
{
	TAILQ_REMOVE(&ipc->unsent, p, entry);
	ipc->unsent_bytes -= p->bytes.n;
	close_fd(&p->fd);
	buf_wipe(&p->bytes);
	free(p);
}

static void
drop_unsent(struct ipc *ipc)
{
	while (!TAILQ_EMPTY(&ipc->unsent))
		drop_parcel(ipc, TAILQ_FIRST(&ipc->unsent));
}

void
ipc_free(struct ipc *ipc)
{
	if (ipc == NULL)
		return;
	drop_unsent(ipc);
	watch_free(ipc->watch);
	timer_free(ipc->report);
	close_fd(&ipc->fd);
	ipc->freed = true;
	if (!ipc->busy)
		free(ipc);
}

void
ipc_send(struct ipc *ipc, struct buf *message, int fd)
{
	struct parcel *p;

	if (message->n > IPC_MESSAGE_MAX)
		fatal("message of %zu octets between processes", message->n);
	if (!ipc->ended && !ipc->left && TAILQ_EMPTY(&ipc->unsent)) {
		switch (send_now(ipc, buf_str(message), fd)) {
		case SENT:
			close_fd(&fd);
			buf_wipe(message);
			return;
		case LATER:
			break;
		case LEFT:
			ipc->left = true;
			break;
		case FAILED:
			end(ipc, "send");
			break;
		}
	}
	/* Nobody will read it; what was said to us before the end is still there to be read. */
	if (ipc->left) {
		close_fd(&fd);
		buf_wipe(message);
		return;
	}
	if (ipc->ended || ipc->unsent_bytes > IPC_QUEUE_MAX) {
		end(ipc, "the other side does not read");
		close_fd(&fd);
		buf_wipe(message);
		return;
	}
	p = xcalloc(1, sizeof(*p));
	p->bytes = *message;
	p->fd = fd;
	*message = BUF_INIT;
	ipc->unsent_bytes += p->bytes.n;
	ipc->was_full |= ipc_is_full(ipc);
	TAILQ_INSERT_TAIL(&ipc->unsent, p, entry);
	watch_change(ipc->watch, WATCH_READ | WATCH_WRITE);
}

bool
ipc_is_full(const struct ipc *ipc)
{
	return ipc->unsent_bytes >= IPC_FULL;
}

/* Up to the deadline; false: nothing came, or what no answer is. */
static bool
await(struct ipc *ipc, int64_t deadline, struct buf *answer)
{
	struct pollfd look = { .fd = ipc->fd, .events = POLLIN };
	ssize_t n;

	for (;;) {
		int64_t left = deadline - clock_monotonic_ms();
		int ready = left > 0 ? poll(&look, 1, (int)left) : 0;

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return false;
		n = recv(ipc->fd, buf_room(answer, IPC_ANSWER_MAX), IPC_ANSWER_MAX, MSG_TRUNC);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0 || n > IPC_ANSWER_MAX)
			return false;
		buf_added(answer, (size_t)n);
		return true;
	}
}

bool
ipc_ask(struct ipc *ipc, struct buf *message, int64_t ms, struct buf *answer)
{
	bool done = !ipc->ended && !ipc->left && TAILQ_EMPTY(&ipc->unsent) &&
	    message->n <= IPC_MESSAGE_MAX && send_now(ipc, buf_str(message), -1) == SENT &&
	    await(ipc, clock_monotonic_ms() + ms, answer);

	buf_wipe(message);
	if (!done)
		end(ipc, "no answer");
	return done;
}

/* The failure is told from the loop, never from inside ipc_send. */
static void
end(struct ipc *ipc, const char *why)
{
	if (ipc->ended)
		return;
	ipc->ended = true;
	log_debug(NULL, "ipc.end", KV("why", why), KV("errno", errno));
	watch_change(ipc->watch, 0);
	timer_set(ipc->report, 0);
}

static void
report_end(void *context)
{
	struct ipc *ipc = context;

	ipc->handlers->closed(ipc->context, ipc);
}

static void
on_ready(void *context, unsigned ready)
{
	struct ipc *ipc = context;

	ipc->busy = true;
	if (ready & WATCH_WRITE)
		send_unsent(ipc);
	if (!ipc->freed && (ready & WATCH_READ))
		receive(ipc);
	ipc->busy = false;
	if (ipc->freed)
		free(ipc);
}

void
ipc_put_fd(struct msghdr *packet, union ipc_fd_room *room, int fd)
{
	struct cmsghdr *c;

	*room = (union ipc_fd_room){ .bytes = { 0 } };
	packet->msg_control = room;
	packet->msg_controllen = sizeof(room->bytes);
	c = CMSG_FIRSTHDR(packet);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
}

static enum sent
send_now(struct ipc *ipc, struct str bytes, int fd)
{
	struct iovec part = { .iov_base = (void *)(uintptr_t)bytes.p, .iov_len = bytes.n };
	union ipc_fd_room room;
	struct msghdr packet = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fd >= 0)
		ipc_put_fd(&packet, &room, fd);
	for (;;) {
		if (sendmsg(ipc->fd, &packet, MSG_NOSIGNAL) >= 0)
			return SENT;
		if (errno == EAGAIN || errno == ENOBUFS)
			return LATER;
		if (errno == EPIPE || errno == ECONNRESET)
			return LEFT;
		if (errno != EINTR)
			return FAILED;
	}
}

static void
send_unsent(struct ipc *ipc)
{
	struct parcel *p;

	while ((p = TAILQ_FIRST(&ipc->unsent)) != NULL) {
		switch (send_now(ipc, buf_str(&p->bytes), p->fd)) {
		case SENT:
			drop_parcel(ipc, p);
			break;
		case LATER:
			return;
		case LEFT:
			ipc->left = true;
			drop_unsent(ipc);
			watch_change(ipc->watch, WATCH_READ);
			return;
		case FAILED:
			end(ipc, "send");
			return;
		}
	}
	watch_change(ipc->watch, WATCH_READ);
	if (ipc->was_full) {
		ipc->was_full = false;
		if (ipc->handlers->drained != NULL)
			ipc->handlers->drained(ipc->context, ipc);
	}
}

/* The first descriptor of a packet; any others are closed. */
static int
take_descriptor(struct msghdr *packet)
{
	int fd = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(packet); c != NULL; c = CMSG_NXTHDR(packet, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int got;

			memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (fd < 0)
				fd = got;
			else
				close(got);
		}
	}
	return fd;
}

static bool
receive_one(struct ipc *ipc)
{
	static char bytes[IPC_MESSAGE_MAX];
	struct iovec part = { .iov_base = bytes, .iov_len = sizeof(bytes) };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 4)];
	} control;
	struct msghdr packet = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
	    .msg_controllen = sizeof(control.bytes) };
	struct msg m;
	ssize_t n;
	bool good;
	int fd;

	n = recvmsg(ipc->fd, &packet, MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	/* unix(7): told once, before what is still in the queue, by a side that left without reading all. */
	if (n < 0 && errno == ECONNRESET) {
		ipc->left = true;
		return true;
	}
	if (n <= 0) {
		end(ipc, n == 0 ? "closed" : "receive");
		return false;
	}
	fd = take_descriptor(&packet);
	/* Out of descriptors the kernel drops the one that came: the message is told without it. */
	if (packet.msg_flags & MSG_CTRUNC)
		log_error(NULL, "ipc.descriptor_lost");
	good = msg_parse((struct str){ bytes, (size_t)n }, &m) && !(packet.msg_flags & MSG_TRUNC);
	if (good) {
		m.fd = fd;
		good = ipc->handlers->received(ipc->context, ipc, &m);
		fd = m.fd;
	}
	if (fd >= 0)
		close(fd);
	explicit_bzero(bytes, (size_t)n);
	if (ipc->freed)
		return false;
	if (!good) {
		log_error(NULL, "ipc.bad_message", KV("type", m.type), KV("octets", (size_t)n));
		end(ipc, "bad message");
		return false;
	}
	return true;
}

/* A handler that stops the loop may have freed what the next message would be about. */
static bool
may_receive(const struct ipc *ipc)
{
	return !ipc->freed && !ipc->ended && !loop_is_stopping(ipc->loop);
}

/*
 * One at a time: most messages come alone, and to look for a second one would be a call for each of them. Where
 * more wait the loop says so at once, and to all channels in turn.
 */
static void
receive(struct ipc *ipc)
{
	if (may_receive(ipc))
		(void)receive_one(ipc);
}

bool
ipc_is_left(const struct ipc *ipc)
{
	struct pollfd look = { .fd = ipc->fd };

	return ipc->ended || ipc->left || (poll(&look, 1, 0) == 1 && (look.revents & (POLLHUP | POLLERR)));
}

void
ipc_hear_rest(struct ipc *ipc)
{
	ipc->busy = true;
	while (may_receive(ipc) && receive_one(ipc))
		continue;
	ipc->busy = false;
	if (ipc->freed)
		free(ipc);
}
