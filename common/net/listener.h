/* SPDX-License-Identifier: ISC */
/* Bound sockets, made by master, and accepting on them, done by the fronts. */
#pragma once

#include "common/net/address.h"
#include "common/net/loop.h"

/*
 * A listening, non-blocking, close-on-exec socket, or -1 with errno. SO_REUSEADDR; `any` is dual-stack.
 * share: the port may be that of others that share it, too, by the same user.
 */
must_check int listener_bind(const struct net_address *, bool share);
/* Whether another may be bound to this one's port. False: errno. */
bool listener_share(int fd, bool on);

struct listener;
/* fd is the connection's, non-blocking; the callee owns it. */
typedef void listener_accepted(void *context, int fd, const struct net_address *peer,
    const struct net_address *local);
/* Accepts from the shared socket fd (not owned). Out of descriptors: pauses for 100 ms and logs. */
struct listener *listener_new(struct loop *, int fd, listener_accepted *, void *context);
void listener_pause(struct listener *);
void listener_resume(struct listener *);
void listener_free(struct listener *);
