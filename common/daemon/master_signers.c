/* SPDX-License-Identifier: ISC */
/*
 * master's pairs of a front and its signer. A signer belongs to one front for life: it ends when the front's channel does,
 * and the next front gets a new one, with the key that the file has then. A front that outlives its signer gets
 * another; not so one that is draining, whose certificate may no longer be the file's.
 */
#include "common/daemon/master.h"
#include "common/daemon/messages.h"

static struct child *
find_single(struct master *m, enum role role)
{
	struct child *c;

	TAILQ_FOREACH(c, &m->children, entry)
		if (c->role == role && !c->draining && c->partner == NULL)
			return c;
	return NULL;
}

void
signers_join(struct master *m)
{
	struct child *front, *signer;

	while ((front = find_single(m, ROLE_FRONT)) != NULL &&
	    (signer = find_single(m, ROLE_SIGNER)) != NULL) {
		front->partner = signer;
		signer->partner = front;
		master_join(front, signer);
	}
}

void
signers_on_reload(struct master *m)
{
	struct buf stop = BUF_INIT;
	struct child *c;

	TAILQ_FOREACH(c, &m->children, entry) {
		if (c->role != ROLE_SIGNER)
			continue;
		c->draining = true;
		if (c->partner != NULL)
			continue;
		msg_begin(&stop, MSG_STOP);
		master_send(c, &stop, -1);
	}
}

void
signers_on_death(struct child *c)
{
	if (c->partner == NULL)
		return;
	c->partner->partner = NULL;
	/* Nobody needs this signer any more: it goes by itself. */
	if (c->role == ROLE_FRONT)
		c->partner->draining = true;
}

bool
signers_on_failed(struct child *front, struct msg *msg)
{
	uint32_t index = msg_get_u32(msg);

	if (!msg_end(msg))
		return false;
	/* It may have died meanwhile, and this be the next one. */
	if (front->partner != NULL && front->partner->index == index)
		master_kill(front->partner);
	return true;
}
