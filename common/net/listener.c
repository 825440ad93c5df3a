/* SPDX-License-Identifier: ISC */
/*
 * Bound sockets and accepting on them. Several fronts share one socket, so an accept that
 * finds nothing is normal; nothing a peer does may stop the accepting.
 */
#include "common/net/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"

enum {
	ACCEPTS_AT_ONCE = 16,		/* then the other sessions have their turn */
	PAUSE_MS = 100,
	COMPLAIN_EVERY_MS = 60 * 1000,
};

struct listener {
	int fd;
	struct watch *watch;
	struct timer *again;
	listener_accepted *accepted;
	void *context;
	int64_t complained;
	bool paused;
	bool *gone;		/* set where a callback freed us */
};

static bool
set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

bool
listener_share(int fd, bool on)
{
	return set_option(fd, SOL_SOCKET, SO_REUSEPORT, on);
}

static int
open_at(const struct net_address *address, const struct sockaddr_storage *where, socklen_t n,
    bool share)
{
	int fd = socket(where->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -1;
	/* [::] is only IPv6, so that it stands beside 0.0.0.0; both together are "*". */
	if (!set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) ||
	    (where->ss_family == AF_INET6 &&
	    !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, address->any ? 0 : 1)) ||
	    /* Inherited by what is accepted: answers must not wait for acknowledgements. */
	    !set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) || (share && !listener_share(fd, true)) ||
	    bind(fd, (const struct sockaddr *)where, n) != 0 || listen(fd, SOMAXCONN) != 0) {
		error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

int
listener_bind(const struct net_address *address, bool share)
{
	struct net_address v4 = { .port = address->port };
	struct sockaddr_storage where;
	socklen_t n = net_address_to_sockaddr(address, &where);
	int fd = open_at(address, &where, n, share);

	/* A kernel without IPv6: all addresses are all IPv4 addresses. */
	if (fd < 0 && address->any && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
		n = net_address_to_sockaddr(&v4, &where);
		fd = open_at(&v4, &where, n, share);
	}
	return fd;
}

static void
pause_a_while(struct listener *l)
{
	int64_t now = clock_monotonic_ms();

	watch_change(l->watch, 0);
	timer_set(l->again, PAUSE_MS);
	if (l->complained != 0 && now - l->complained < COMPLAIN_EVERY_MS)
		return;
	log_error(NULL, "accept-paused", KV("error", strerror(errno)), KV("pause_ms", PAUSE_MS));
	l->complained = now;
}

/* False: nothing more now. */
static bool
accept_one(struct listener *l)
{
	struct sockaddr_storage from, to;
	socklen_t from_n = sizeof(from), to_n = sizeof(to);
	struct net_address peer, local;
	int fd = accept4(l->fd, (struct sockaddr *)&from, &from_n, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			pause_a_while(l);
		/* accept(2): errors of the new connection come here too; those are its own. */
		return errno != EAGAIN && errno != EWOULDBLOCK && errno != EMFILE &&
		    errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
	}
	if (getsockname(fd, (struct sockaddr *)&to, &to_n) != 0)
		to.ss_family = AF_UNSPEC;
	net_address_from_sockaddr((struct sockaddr *)&from, &peer);
	net_address_from_sockaddr((struct sockaddr *)&to, &local);
	l->accepted(l->context, fd, &peer, &local);
	return true;
}

static void
on_ready(void *context, unsigned ready)
{
	struct listener *l = context;
	bool gone = false;

	(void)ready;
	l->gone = &gone;
	for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
		bool more = accept_one(l);

		if (gone)
			return;
		if (!more || l->paused)
			break;
	}
	l->gone = NULL;
}

static void
on_again(void *context)
{
	struct listener *l = context;

	if (!l->paused)
		watch_change(l->watch, WATCH_READ);
}

struct listener *
listener_new(struct loop *loop, int fd, listener_accepted *accepted, void *context)
{
	struct listener *l = xcalloc(1, sizeof(*l));

	l->fd = fd;
	l->accepted = accepted;
	l->context = context;
	l->again = timer_new(loop, on_again, l);
	l->watch = watch_new(loop, fd, WATCH_READ, on_ready, l);
	return l;
}

void
listener_pause(struct listener *l)
{
	l->paused = true;
	watch_change(l->watch, 0);
}

void
listener_resume(struct listener *l)
{
	l->paused = false;
	timer_stop(l->again);
	watch_change(l->watch, WATCH_READ);
}

void
listener_free(struct listener *l)
{
	if (l == NULL)
		return;
	if (l->gone != NULL)
		*l->gone = true;
	watch_free(l->watch);
	timer_free(l->again);
	free(l);
}
