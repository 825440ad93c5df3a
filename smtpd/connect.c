/* SPDX-License-Identifier: ISC */
/* Non-blocking connect(2): started, then told by the descriptor becoming writable, or by the clock. */
#include "smtpd/connect.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct connect {
	int fd;
	int error;		/* of the start: told from the loop */
	struct watch *watch;
	struct timer *timer;
	connect_done *done;
	void *context;
};

static void on_ready(void *context, unsigned ready);
static void on_timer(void *context);
static void finish(struct connect *, int error);

static bool
begin(struct connect *c, const struct net_address *address)
{
	struct sockaddr_storage to;
	socklen_t n = net_address_to_sockaddr(address, &to);

	c->fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd >= 0 && (connect(c->fd, (struct sockaddr *)&to, n) == 0 || errno == EINPROGRESS))
		return true;
	c->error = errno;
	return false;
}

struct connect *
connect_new(struct loop *loop, const struct net_address *address, int64_t ms,
    connect_done *done, void *context)
{
	struct connect *c = xcalloc(1, sizeof(*c));

	c->done = done;
	c->context = context;
	c->timer = timer_new(loop, on_timer, c);
	if (begin(c, address)) {
		c->error = ETIMEDOUT;
		c->watch = watch_new(loop, c->fd, WATCH_WRITE, on_ready, c);
		timer_set(c->timer, ms);
	} else {
		timer_set(c->timer, 0);
	}
	return c;
}

void
connect_free(struct connect *c)
{
	if (!c)
		return;
	watch_free(c->watch);
	timer_free(c->timer);
	close_fd(&c->fd);
	free(c);
}

static void
on_ready(void *context, unsigned ready)
{
	struct connect *c = context;
	int error = 0;
	socklen_t n = sizeof(error);

	(void)ready;
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
		error = errno;
	finish(c, error);
}

static void
on_timer(void *context)
{
	struct connect *c = context;

	finish(c, c->error);
}

static void
finish(struct connect *c, int error)
{
	connect_done *done = c->done;
	void *context = c->context;
	int fd = -1;

	if (error == 0) {
		fd = c->fd;
		c->fd = -1;
	}
	connect_free(c);
	done(context, fd, error);
}
