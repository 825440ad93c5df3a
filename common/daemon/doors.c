/* SPDX-License-Identifier: ISC */
/* The listening sockets of a daemon: bound by master, before anybody gives up a privilege. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/daemon/master.h"
#include "common/net/listener.h"

/* After master was killed, its fronts need a moment to notice and to let go of the ports. */
enum { BIND_PATIENCE_MS = 3000, BIND_PAUSE_US = 20000 };

static int
find_kept(const struct process_door *keep, size_t count, unsigned door,
    const struct net_address *a)
{
	for (size_t i = 0; i < count; i++)
		if (keep[i].door == door && net_address_eq(&keep[i].address, a) &&
		    keep[i].address.port == a->port && keep[i].address.any == a->any)
			return keep[i].fd;
	return -1;
}

static int
bind_patiently(const struct net_address *a, bool share)
{
	int64_t until = clock_monotonic_ms() + BIND_PATIENCE_MS;
	int fd;

	while ((fd = listener_bind(a, share)) < 0 && errno == EADDRINUSE && clock_monotonic_ms() < until)
		usleep(BIND_PAUSE_US);
	return fd;
}

static const struct setting_listen *
addresses_of(const struct service *service, const struct settings *settings, size_t door)
{
	return (const struct setting_listen *)(const void *)
	    ((const char *)settings + service->doors[door].setting);
}

static char *
explain(const struct service *service, const struct settings *settings, size_t door,
    const struct net_address *a, int error)
{
	struct buf why = BUF_INIT;

	buf_put_z(&why, "cannot listen at ");
	net_address_put_port(&why, a);
	buf_printf(&why, " (setting %s_listen in %s): %s", service->doors[door].name,
	    settings->config_path, strerror(error));
	if (error == EADDRINUSE)
		buf_put_z(&why, "; another program has this port: stop it or choose another port");
	else if (error == EACCES)
		buf_put_z(&why, "; ports below 1024 need root: start as root or choose a higher port");
	else if (error == EADDRNOTAVAIL)
		buf_put_z(&why, "; this machine has no such address");
	buf_z(&why);
	return why.base;
}

struct process_door *
doors_bind(const struct service *service, const struct settings *settings,
    const struct process_door *keep, size_t keep_count, size_t *count, char **why)
{
	struct process_door *doors = NULL;
	size_t n = 0;

	for (size_t i = 0; i < service->door_count; i++) {
		const struct setting_listen *list = addresses_of(service, settings, i);

		for (size_t k = 0; k < list->count; k++) {
			const struct net_address *a = &list->addresses[k];
			int fd = find_kept(keep, keep_count, (unsigned)i, a);

			fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : bind_patiently(a, keep_count > 0);
			if (fd < 0) {
				*why = explain(service, settings, i, a, errno);
				doors_close(doors, n);
				return NULL;
			}
			doors = xrealloc(doors, (n + 1) * sizeof(*doors));
			doors[n++] = (struct process_door){ fd, (unsigned)i, *a };
		}
	}
	*count = n;
	return doors ? doors : xcalloc(1, sizeof(*doors));
}

/* For a moment: then *:143 may become 127.0.0.1:143 while the fronts that go still hold the old one. */
static void
share_ports(const struct process_door *doors, size_t count, bool on)
{
	for (size_t i = 0; i < count; i++)
		if (!listener_share(doors[i].fd, on))
			log_warn(NULL, "port-share", KV("errno", errno));
}

bool
doors_rebind(struct master *m, const struct settings *fresh)
{
	struct process_door *doors;
	size_t count;
	char *why;

	share_ports(m->doors, m->door_count, true);
	doors = doors_bind(m->service, fresh, m->doors, m->door_count, &count, &why);
	share_ports(m->doors, m->door_count, false);
	if (doors == NULL) {
		log_error(NULL, "reload.failed", KV("why", why));
		free(why);
		return false;
	}
	share_ports(doors, count, false);
	doors_close(m->doors, m->door_count);
	m->doors = doors;
	m->door_count = count;
	return true;
}

void
doors_close(struct process_door *doors, size_t count)
{
	for (size_t i = 0; i < count; i++)
		close(doors[i].fd);
	free(doors);
}
