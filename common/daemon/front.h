/* SPDX-License-Identifier: ISC */
/*
 * The front's frame, the same in all three daemons: listens at the doors, keeps the limits (connections in
 * all and per client address over all fronts, descriptors), has the TLS context, and after a reload serves its last
 * connections while a new front has taken over the doors. The daemon adds the protocol.
 */
#pragma once

#include "common/daemon/process.h"
#include "common/net/address.h"
#include "common/net/stream.h"
#include "common/net/tls.h"

struct front_connection {
	struct stream *stream;	/* owned by the callee; no handler yet. DOOR_TLS: the handshake has been started */
	struct net_address peer;
	struct net_address local;
	const struct service_door *door;
	bool plaintext_login;	/* may log in without TLS from there */
	bool over_limit;	/* too many from there, or in all: say so and end */
	void *place;		/* give it back with front_leave when the connection (handed over or not) is over */
};

struct front_frame {
	void (*connection)(struct process *, const struct front_connection *);
	/* Own messages, after login.h had its look. May be NULL. */
	bool (*on_message)(struct process *, enum role from, unsigned index, struct msg *);
	void (*on_peer)(struct process *, enum role, unsigned index, struct str label);
	void (*on_peer_lost)(struct process *, enum role, unsigned index);
	void (*on_drained)(struct process *, enum role, unsigned index);
	/* SIGTERM: tell every client (BYE, 421) and stream_finish; the process ends soon after. */
	void (*closing)(struct process *);
};

/* Called once by front_start. The frame must outlive the process. */
void front_run(struct process *, const struct front_frame *);
void front_leave(struct process *, void *place);
/*
 * Its client has logged in: connections_per_address is for those who have not (one address may be a webmail's or an office's,
 * with many users); sessions_per_user is for those who have.
 */
void front_know(struct process *, void *place);
/* NULL: no certificate is set, so there is no TLS. */
struct tls_context *front_tls(struct process *);
/* Failed logins and such from there: in the last minute, and one more. */
uint32_t front_failures(struct process *, const struct net_address *);
void front_count_failure(struct process *, const struct net_address *);
