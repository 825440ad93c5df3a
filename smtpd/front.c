/* SPDX-License-Identifier: ISC */
/* The front of smtpd: joins the daemon's frame with sessions, and the queue's answers with submit.h. */
#include "smtpd/smtpd.h"


static void
on_connection(struct process *process, const struct front_connection *connection)
{
	session_new(process, connection);
}

static bool
on_message(struct process *process, enum role from, unsigned index, struct msg *m)
{
	bool ok = false;

	(void)index;
	return submit_on_message(process, from, m, &ok) && ok;
}

static void
on_peer(struct process *process, enum role role, unsigned index, struct str label)
{
	(void)label;
	submit_on_peer(process, role, index);
}

static void
on_peer_lost(struct process *process, enum role role, unsigned index)
{
	(void)index;
	submit_on_peer_lost(process, role);
}

static void
on_drained(struct process *process, enum role role, unsigned index)
{
	(void)index;
	submit_on_drained(process, role);
}

static void
on_closing(struct process *process)
{
	(void)process;
	session_close_all();
}

static const struct front_frame frame = {
	.connection = on_connection, .on_message = on_message,
	.on_peer = on_peer, .on_peer_lost = on_peer_lost,
	.on_drained = on_drained, .closing = on_closing,
};

void
front_start(struct process *process)
{
	front_run(process, &frame);
}
