/* SPDX-License-Identifier: ISC */
#include "common/daemon/handover.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/daemon/ipc.h"
#include "common/daemon/login.h"
#include "common/net/pump.h"

enum { HEAD = 8 };	/* two lengths, hello and early, u32 each */

bool
handover_send(int fd, const struct handover_words *w)
{
	scoped_buf bytes = BUF_INIT;
	struct iovec part;
	union ipc_fd_room fd_room;
	struct msghdr packet = { .msg_iov = &part, .msg_iovlen = 1 };
	int room = HANDOVER_MAX * 2;

	if (w->hello.n + w->early.n > HANDOVER_MAX)
		return false;
	msg_put_u32(&bytes, (uint32_t)w->hello.n);
	msg_put_u32(&bytes, (uint32_t)w->early.n);
	buf_put(&bytes, w->hello);
	buf_put(&bytes, w->early);
	part = (struct iovec){ .iov_base = bytes.p, .iov_len = bytes.n };
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) != 0)
		log_debug(NULL, "handover.buffer", KV("errno", errno));
	if (w->client_fd >= 0)
		ipc_put_fd(&packet, &fd_room, w->client_fd);
	return sendmsg(fd, &packet, MSG_NOSIGNAL) == (ssize_t)bytes.n;
}

static uint32_t
read_u32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

/* What is not there now comes no more. */
static bool
is_left(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	return poll(&p, 1, 0) > 0;
}

static enum parse
look_at_lengths(int fd, size_t *total, uint32_t *hello)
{
	char head[HEAD];
	ssize_t n = recv(fd, head, sizeof(head), MSG_PEEK | MSG_DONTWAIT);
	uint32_t early;
	int queued;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return MORE;
	if (n <= 0)
		return BAD;
	if (n < HEAD)
		return MORE;
	*hello = read_u32(head);
	early = read_u32(head + 4);
	if (*hello > HANDOVER_MAX || early > HANDOVER_MAX || *hello + early > HANDOVER_MAX)
		return BAD;
	*total = HEAD + (size_t)*hello + early;
	if (ioctl(fd, FIONREAD, &queued) != 0)
		return BAD;
	return (size_t)queued >= *total ? PARSED : MORE;
}

/* The last one stays, any others (the buffer is rounded up, so there is room for two) are closed. */
static void
take_descriptors(struct cmsghdr *c, int *fd)
{
	size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < count; i++) {
		close_fd(fd);
		memcpy(fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
}

/* What is there, at most n octets; a descriptor among them goes to *client_fd. */
static bool
receive_part(int fd, struct buf *storage, size_t n, int *client_fd)
{
	union ipc_fd_room control;
	struct iovec part = { .iov_base = buf_room(storage, n), .iov_len = n };
	struct msghdr packet = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
	    .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *c;
	ssize_t got = recvmsg(fd, &packet, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (got < 0)
		return errno == EINTR;
	c = CMSG_FIRSTHDR(&packet);
	if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		take_descriptors(c, client_fd);
	buf_added(storage, (size_t)got);
	/* Truncated: no descriptor was left to take the client's. */
	return got > 0 && !(packet.msg_flags & MSG_CTRUNC);
}

enum parse
handover_receive(int fd, struct buf *storage, struct handover_words *out)
{
	int client_fd = -1;
	uint32_t hello;
	size_t total;
	bool left = is_left(fd);	/* before looking: what came last counts */
	enum parse state = look_at_lengths(fd, &total, &hello);

	if (state != PARSED)
		return state == MORE && left ? BAD : state;
	/* unix(7): one call takes no more than up to the end of the part that carries a descriptor. */
	buf_clear(storage);
	while (storage->n < total)
		if (!receive_part(fd, storage, total - storage->n, &client_fd)) {
			close_fd(&client_fd);
			return BAD;
		}
	out->client_fd = client_fd;
	out->hello = str_sub(buf_str(storage), HEAD, hello);
	out->early = str_from(buf_str(storage), HEAD + hello);
	return PARSED;
}

/* ---- the front's side ---- */

struct handover {
	struct loop *loop;
	struct pump *pump;
	struct stream *line;	/* plaintext: open as long as the keeper's session lives */
	struct timer *late;	/* tells a failure from the loop */
	loop_call *ended;
	void *context;
};

static void
finish(struct handover *h)
{
	loop_call *ended = h->ended;
	void *context = h->context;

	h->pump = NULL;
	handover_free(h);
	ended(context);
}

static void
on_pump_ended(void *context)
{
	finish(context);
}

static void
on_late(void *context)
{
	finish(context);
}

static void
on_line(void *context, struct stream *line, enum stream_event event)
{
	(void)line;
	if (event == STREAM_EOF || event == STREAM_BROKEN)
		finish(context);
}

struct handover *
handover_new(struct process *p, struct stream *client, int keeper_fd, struct str sid,
    struct str hello, loop_call *ended, void *context)
{
	struct handover *h = xcalloc(1, sizeof(*h));
	struct handover_words words = { .hello = hello, .client_fd = -1 };
	scoped_buf early = BUF_INIT;
	bool pumped, sent;

	*h = (struct handover){ .loop = p->loop, .ended = ended, .context = context };
	/* A client that did not take our last words yet keeps its stream here, too. */
	stream_flush(client);
	pumped = stream_is_secure(client) || stream_output(client)->n > 0;
	if (pumped) {
		buf_put(&early, buf_str(stream_input(client)));
		buf_clear(stream_input(client));
	} else {
		words.client_fd = stream_detach(client, &early);
	}
	words.early = buf_str(&early);
	sent = handover_send(keeper_fd, &words);
	close_fd(&words.client_fd);
	if (!sent) {
		log_warn(NULL, "handover.failed", KV("sid", sid), KV("errno", errno));
		close(keeper_fd);
		if (pumped)
			stream_free(client);
		h->late = timer_new(p->loop, on_late, h);
		timer_set(h->late, 0);
	} else if (pumped) {
		h->pump = pump_new(client, stream_new(p->loop, keeper_fd, on_line, h),
		    on_pump_ended, h);
	} else {
		h->line = stream_new(p->loop, keeper_fd, on_line, h);
	}
	return h;
}

void
handover_free(struct handover *h)
{
	if (h == NULL)
		return;
	pump_free(h->pump);
	stream_free(h->line);
	timer_free(h->late);
	free(h);
}
