/* SPDX-License-Identifier: ISC */
/*
 * The syncers' process: syncs the descriptors that the queue hands it, one after the other, and opens none.
 * It knows no name of any file. syncfs(2) takes 150 ms and more, a flush what the disk takes; here that holds up
 * nobody who has something else to do.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "smtpd/messages.h"
#include "smtpd/submit.h"
#include "smtpd/sync.h"

enum { ZEROS_CHUNK = 256 * 1024 };

struct syncer {
	int fd;			/* the last one; used again where the queue says so */
	bool stopping;
};

static int
write_zeros(int fd, uint64_t size)
{
	char *zeros = xcalloc(1, ZEROS_CHUNK);
	uint64_t at = 0;
	int error = 0;

	while (at < size && error == 0) {
		uint64_t left = size - at;
		ssize_t n = pwrite(fd, zeros, left < ZEROS_CHUNK ? (size_t)left : ZEROS_CHUNK,
		    (off_t)at);

		if (n < 0 && errno != EINTR)
			error = errno;
		if (n > 0)
			at += (uint64_t)n;
	}
	free(zeros);
	return error;
}

/* 0 or errno. Never tried again: after a failure the kernel may have dropped the pages. */
static int
sync_one(int fd, enum sync_kind kind, uint64_t size)
{
	int error;

	switch (kind) {
	case SYNC_SYSTEM:
		return syncfs(fd) < 0 ? errno : 0;
	case SYNC_ZEROS:
		error = write_zeros(fd, size);
		if (error != 0)
			return error;
		break;
	case SYNC_DATA:
	case SYNC_KINDS:
		break;
	}
	return fdatasync(fd) < 0 ? errno : 0;
}

static bool
on_message(struct process *process, enum role from, unsigned index, struct msg *m)
{
	struct syncer *s = process->state;
	uint64_t number = msg_get_u64(m);
	uint8_t kind = msg_get_u8(m);
	uint64_t size = msg_get_u64(m);
	bool same = msg_get_bool(m);
	scoped_buf answer = BUF_INIT;

	if (from != ROLE_QUEUE || m->type != MSG_SYNC || !msg_end(m) || kind >= SYNC_KINDS)
		return false;
	if (!same) {
		close_fd(&s->fd);
		s->fd = msg_take_fd(m);
	}
	msg_begin(&answer, MSG_SYNCED);
	msg_put_u64(&answer, number);
	msg_put_u32(&answer, (uint32_t)sync_one(s->fd, (enum sync_kind)kind, size));
	(void)process_send(process, ROLE_QUEUE, index, &answer, -1);
	return true;
}

/* The queue has gone: nobody waits for us any more. */
static void
on_peer_lost(struct process *process, enum role role, unsigned index)
{
	struct syncer *s = process->state;

	(void)index;
	if (role != ROLE_QUEUE)
		return;
	close_fd(&s->fd);
	if (s->stopping)
		process_end(process);
}

/* Stays while the queue is there: what it has not synced it cannot promise. */
static void
on_stop(struct process *process)
{
	struct syncer *s = process->state;

	s->stopping = true;
}

static const struct process_handlers handlers = {
	.on_message = on_message,
	.on_peer_lost = on_peer_lost,
	.on_stop = on_stop,
};

void
syncer_start(struct process *process)
{
	struct syncer *s = xcalloc(1, sizeof(*s));

	s->fd = -1;
	process->state = s;
	process_handle(process, &handlers);
}
