/* SPDX-License-Identifier: ISC */
/* The queue's side of its syncers, see sync.h. Invariant: each request is in one lane's list until its `done` is called. */
#include "smtpd/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/log.h"
#include "smtpd/messages.h"

struct ask {
	TAILQ_ENTRY(ask) link;
	uint64_t number;
	struct sync_request request;	/* fd: our own, until sent; -1 afterwards */
	bool sent;
	sync_done *done;
	void *context;
};

struct lane {
	bool present;
	unsigned syncer;
	uint64_t key;		/* of the descriptor that the syncer holds */
	TAILQ_HEAD(, ask) asks;	/* in the order asked, those sent first */
};

struct syncs {
	struct process *process;
	uint64_t last_number;
	struct lane lanes[SYNC_LANES];
	/* Came before the loss was seen of those whose place they take. */
	unsigned spare[SYNC_LANES];
	size_t spare_count;
};

struct syncs *
syncs_new(struct process *process)
{
	struct syncs *s = xcalloc(1, sizeof(*s));

	s->process = process;
	for (int i = 0; i < SYNC_LANES; i++)
		TAILQ_INIT(&s->lanes[i].asks);
	return s;
}

static void
send_ask(struct syncs *s, struct lane *lane, struct ask *ask)
{
	struct sync_request *r = &ask->request;
	bool same = r->key != 0 && r->key == lane->key;
	scoped_buf message = BUF_INIT;

	if (same)
		close_fd(&r->fd);
	lane->key = r->key;
	msg_begin(&message, MSG_SYNC);
	msg_put_u64(&message, ask->number);
	msg_put_u8(&message, (uint8_t)r->kind);
	msg_put_u64(&message, r->size);
	msg_put_bool(&message, same);
	ask->sent = true;
	(void)process_send(s->process, ROLE_SYNCER, lane->syncer, &message, r->fd);
	r->fd = -1;
}

static void
finish(struct lane *lane, struct ask *ask, int error)
{
	TAILQ_REMOVE(&lane->asks, ask, link);
	errno = error;
	ask->done(ask->context, error == 0);
	close_fd(&ask->request.fd);
	free(ask);
}

void
syncs_ask(struct syncs *s, const struct sync_request *request, sync_done *done, void *context)
{
	struct lane *lane = &s->lanes[request->lane];
	struct ask *ask = xcalloc(1, sizeof(*ask));

	ask->number = ++s->last_number;
	ask->request = *request;
	ask->done = done;
	ask->context = context;
	ask->request.fd = -1;
	if (!lane->present || request->key == 0 || request->key != lane->key) {
		ask->request.fd = fcntl(request->fd, F_DUPFD_CLOEXEC, 3);
		if (ask->request.fd < 0)	/* the syncer has nothing to sync, and says so */
			log_error(NULL, "sync_trouble", KV("doing", "dup"),
			    KV("error", strerror(errno)));
	}
	TAILQ_INSERT_TAIL(&lane->asks, ask, link);
	if (lane->present)
		send_ask(s, lane, ask);
}

static struct lane *
lane_of(struct syncs *s, unsigned syncer)
{
	for (int i = 0; i < SYNC_LANES; i++) {
		if (s->lanes[i].present && s->lanes[i].syncer == syncer)
			return &s->lanes[i];
	}
	return NULL;
}

/* A syncer answers in the order it was asked. */
bool
syncs_on_message(struct syncs *s, unsigned syncer, struct msg *m)
{
	struct lane *lane = lane_of(s, syncer);
	uint64_t number = msg_get_u64(m);
	uint32_t error = msg_get_u32(m);
	struct ask *ask;

	if (m->type != MSG_SYNCED || !msg_end(m) || !lane)
		return false;
	ask = TAILQ_FIRST(&lane->asks);
	if (!ask || !ask->sent || ask->number != number)
		return false;
	if (error != 0)
		log_error(NULL, "sync_failed", KV("lane", (int)ask->request.lane),
		    KV("error", strerror((int)error)));
	finish(lane, ask, (int)error);
	return true;
}

static void
serve(struct syncs *s, struct lane *lane, unsigned syncer)
{
	struct ask *ask;

	lane->present = true;
	lane->syncer = syncer;
	lane->key = 0;
	TAILQ_FOREACH(ask, &lane->asks, link)
		send_ask(s, lane, ask);
}

/* Serves the first lane that has nobody. */
void
syncs_on_peer(struct syncs *s, unsigned syncer)
{
	for (int i = 0; i < SYNC_LANES; i++) {
		if (!s->lanes[i].present) {
			serve(s, &s->lanes[i], syncer);
			return;
		}
	}
	if (s->spare_count < SYNC_LANES)
		s->spare[s->spare_count++] = syncer;
}

static void
forget_spare(struct syncs *s, unsigned syncer)
{
	for (size_t i = 0; i < s->spare_count; i++) {
		if (s->spare[i] == syncer)
			s->spare[i--] = s->spare[--s->spare_count];
	}
}

void
syncs_on_peer_lost(struct syncs *s, unsigned syncer)
{
	struct lane *lane = lane_of(s, syncer);
	struct ask *ask;

	forget_spare(s, syncer);
	if (!lane)
		return;
	lane->present = false;
	/* What is asked meanwhile is not sent, and stands behind. */
	while ((ask = TAILQ_FIRST(&lane->asks)) && ask->sent)
		finish(lane, ask, EIO);
	if (s->spare_count > 0)
		serve(s, lane, s->spare[--s->spare_count]);
}
