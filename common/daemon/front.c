/* SPDX-License-Identifier: ISC */
#include "common/daemon/front.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/daemon/crowd.h"
#include "common/daemon/front_signer.h"
#include "common/daemon/login.h"
#include "common/daemon/process_inside.h"
#include "common/net/listener.h"
#include "common/net/rate.h"

enum {
	ADDRESSES_REMEMBERED = 100000,
	FULL_PERCENT = 90,	/* of the descriptors: refuse from here on, so that what is open can go on */
	CROWDED_PERCENT = 95,	/* where even those who were refused take too many: close at once */
	CLOSING_MS = 1000,	/* for the goodbyes to go out */
};

struct place {
	TAILQ_ENTRY(place) entry;
	struct net_address peer;
	bool counted;		/* in this front's own count of its address */
	bool known;		/* its client has logged in: it counts for no address */
};

TAILQ_HEAD(places, place);

struct front {
	struct process *process;
	const struct front_frame *frame;
	struct front_listener *doors;
	size_t door_count;
	struct front_signer *signer;
	struct rate *connections;
	struct rate *failures;
	struct places places;
	size_t count;
	size_t count_most;
	int descriptor_most;
	struct timer *end;
	bool draining;
};

struct front_listener {
	struct front *front;
	const struct service_door *door;
	struct listener *listener;
};

static bool on_message(struct process *, enum role from, unsigned index, struct msg *);
static void on_peer(struct process *, enum role, unsigned index, struct str label);
static void on_peer_lost(struct process *, enum role, unsigned index);
static void on_drained(struct process *, enum role, unsigned index);
static void on_stop(struct process *);
static void on_drain(struct process *);
static void on_accepted(void *context, int fd, const struct net_address *peer,
    const struct net_address *local);
static void end_now(void *context);

static size_t
most_connections(const struct settings *settings)
{
	struct rlimit limit;
	size_t most = settings->connections;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	    limit.rlim_cur / 2 * FULL_PERCENT / 100 < most)
		most = limit.rlim_cur / 2 * FULL_PERCENT / 100;
	return most > 0 ? most : 1;
}

static int
most_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX)
		return INT_MAX;
	return (int)(limit.rlim_cur / 100 * CROWDED_PERCENT);
}

static void
listen_at_doors(struct front *f)
{
	const struct process_door *doors = process_doors(f->process, &f->door_count);

	f->doors = xcalloc(f->door_count, sizeof(*f->doors));
	for (size_t i = 0; i < f->door_count; i++) {
		const struct service_door *door = &f->process->service->doors[doors[i].door];

		if (door->kind == DOOR_TLS && front_signer_tls(f->signer) == NULL) {
			log_warn(NULL, "door.closed", KV("door", door->name),
			    KV("why", "no tls_certificate is set"));
			continue;
		}
		f->doors[i].front = f;
		f->doors[i].door = door;
		f->doors[i].listener = listener_new(f->process->loop, doors[i].fd, on_accepted,
		    &f->doors[i]);
	}
}

static void
on_certificate(void *context)
{
	struct front *f = context;

	if (f->doors == NULL && !f->draining)
		listen_at_doors(f);
}

void
front_run(struct process *p, const struct front_frame *frame)
{
	struct front *f = xcalloc(1, sizeof(*f));

	f->process = p;
	f->frame = frame;
	TAILQ_INIT(&f->places);
	p->inside->frame = f;
	p->inside->on_drain = on_drain;
	process_handle(p, &(struct process_handlers){ .on_message = on_message,
	    .on_peer = on_peer, .on_peer_lost = on_peer_lost, .on_drained = on_drained,
	    .on_stop = on_stop });
	f->connections = rate_new(ADDRESSES_REMEMBERED);
	f->failures = rate_new(ADDRESSES_REMEMBERED);
	f->count_most = most_connections(p->settings);
	f->descriptor_most = most_descriptors();
	f->end = timer_new(p->loop, end_now, f);
	f->signer = front_signer_new(p, on_certificate, f);
	/* Who comes before the signer waits at the door. */
	if (p->settings->tls_certificate[0] == '\0')
		listen_at_doors(f);
}

/* ---- connections ---- */

static bool
is_in(const struct setting_networks *list, const struct net_address *a)
{
	for (size_t i = 0; i < list->count; i++)
		if (net_network_has(&list->networks[i], a))
			return true;
	return false;
}

static void
no_handler_yet(void *context, struct stream *stream, enum stream_event event)
{
	(void)context;
	(void)stream;
	(void)event;
}

/* Counted first and looked at afterwards: of two fronts at once none lets one too many in. */
static struct place *
take_place(struct front *f, const struct net_address *peer)
{
	struct process_inside *inside = f->process->inside;
	uint32_t limit = f->process->settings->connections_per_address;
	struct place *place = xcalloc(1, sizeof(*place));
	uint32_t elsewhere;

	place->peer = *peer;
	crowd_add(inside->crowd, inside->crowd_slot, peer);
	elsewhere = crowd_elsewhere(inside->crowd, inside->crowd_slot, peer);
	place->counted = elsewhere < limit && rate_enter(f->connections, peer, limit - elsewhere);
	TAILQ_INSERT_TAIL(&f->places, place, entry);
	f->count++;
	return place;
}

static void
on_accepted(void *context, int fd, const struct net_address *peer,
    const struct net_address *local)
{
	struct front_listener *l = context;
	struct front *f = l->front;
	const struct settings *s = f->process->settings;
	struct front_connection c = { .peer = *peer, .local = *local, .door = l->door };
	struct place *place;

	/* The kernel gives the lowest number that is free. */
	if (fd >= f->descriptor_most) {
		close(fd);
		return;
	}
	c.place = place = take_place(f, peer);
	c.plaintext_login = is_in(&s->plaintext_login, peer);
	c.over_limit = !place->counted || f->count > f->count_most ||
	    crowd_total(f->process->inside->crowd) > s->connections;
	c.stream = stream_new(f->process->loop, fd, no_handler_yet, NULL);
	if (l->door->kind == DOOR_TLS && !c.over_limit)
		stream_accept_tls(c.stream, front_signer_tls(f->signer));
	f->frame->connection(f->process, &c);
}

void
front_know(struct process *p, void *of)
{
	struct front *f = p->inside->frame;
	struct place *place = of;

	if (place->known)
		return;
	if (place->counted)
		rate_leave(f->connections, &place->peer);
	crowd_know(p->inside->crowd, p->inside->crowd_slot, &place->peer);
	place->known = true;
}

static void
free_place(struct front *f, struct place *place)
{
	struct process_inside *inside = f->process->inside;

	front_know(f->process, place);
	crowd_leave(inside->crowd, inside->crowd_slot);
	TAILQ_REMOVE(&f->places, place, entry);
	f->count--;
	free(place);
}

void
front_leave(struct process *p, void *place)
{
	struct front *f = p->inside->frame;

	free_place(f, place);
	if (f->draining && f->count == 0)
		timer_set(f->end, CLOSING_MS);
}

struct tls_context *
front_tls(struct process *p)
{
	struct front *f = p->inside->frame;

	return front_signer_tls(f->signer);
}

uint32_t
front_failures(struct process *p, const struct net_address *a)
{
	struct front *f = p->inside->frame;

	return rate_recent(f->failures, a);
}

void
front_count_failure(struct process *p, const struct net_address *a)
{
	struct front *f = p->inside->frame;

	rate_count(f->failures, a);
}

/* ---- messages ---- */

static bool
on_message(struct process *p, enum role from, unsigned index, struct msg *m)
{
	struct front *f = p->inside->frame;
	bool ok;

	if (front_signer_on_message(f->signer, from, index, m, &ok))
		return ok;
	if (login_on_message(p, from, m, &ok))
		return ok;
	return f->frame->on_message != NULL && f->frame->on_message(p, from, index, m);
}

static void
on_peer(struct process *p, enum role role, unsigned index, struct str label)
{
	struct front *f = p->inside->frame;

	login_on_peer(p, role, index);
	if (f->frame->on_peer != NULL)
		f->frame->on_peer(p, role, index, label);
}

static void
on_peer_lost(struct process *p, enum role role, unsigned index)
{
	struct front *f = p->inside->frame;

	front_signer_on_peer_lost(f->signer, role, index);
	login_on_peer_lost(p, role, index);
	if (f->frame->on_peer_lost != NULL)
		f->frame->on_peer_lost(p, role, index);
}

static void
on_drained(struct process *p, enum role role, unsigned index)
{
	struct front *f = p->inside->frame;

	if (f->frame->on_drained != NULL)
		f->frame->on_drained(p, role, index);
}

/* ---- the end ---- */

static void
close_doors(struct front *f)
{
	for (size_t i = 0; i < f->door_count; i++) {
		listener_free(f->doors[i].listener);
		f->doors[i].listener = NULL;
	}
	process_close_doors(f->process);
}

static void
on_drain(struct process *p)
{
	struct front *f = p->inside->frame;

	/* At each further reload it only gets the new log. */
	if (f->draining)
		return;
	close_doors(f);
	f->draining = true;
	if (f->count == 0)
		timer_set(f->end, CLOSING_MS);
}

static void
on_stop(struct process *p)
{
	struct front *f = p->inside->frame;
	bool alone = f->count == 0;

	if (!f->draining)
		close_doors(f);
	f->draining = true;
	f->frame->closing(p);
	timer_set(f->end, alone ? 0 : CLOSING_MS);
}

static void
end_now(void *context)
{
	struct front *f = context;
	struct process *p = f->process;

	if (f->draining && f->count > 0 && !p->inside->stopping)
		return;
	while (!TAILQ_EMPTY(&f->places))
		free_place(f, TAILQ_FIRST(&f->places));
	login_forget(p);
	front_signer_free(f->signer);
	rate_free(f->connections);
	rate_free(f->failures);
	timer_free(f->end);
	free(f->doors);
	free(f);
	p->inside->frame = NULL;
	process_end(p);
}
