/* SPDX-License-Identifier: ISC */
/* One process at a time makes or rebuilds an account's index: a lock on .trivet/lock. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "maildir/private.h"

enum { LOCK_WAIT_MS = 30000, LOCK_LOOK_MS = 20 };

enum store_result
lock_take(struct account *a)
{
	int64_t until = clock_monotonic_ms() + LOCK_WAIT_MS;

	if (a->lock_depth++ > 0)
		return STORE_OK;
	if (files_is_planted(a->ours, "lock"))
		(void)!files_set_aside(&a->log, a->ours, "lock");
	a->lock_fd = files_open(a->ours, "lock", O_RDWR | O_CREAT, 0600);
	if (a->lock_fd < 0) {
		a->lock_depth--;
		return files_failed(&a->log, "open", STR(".trivet/lock"));
	}
	while (flock(a->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		if ((errno != EWOULDBLOCK && errno != EINTR) || clock_monotonic_ms() > until) {
			log_warn(&a->log, "rebuild-lock-busy", KV("errno", errno));
			lock_release(a);
			return STORE_BUSY;
		}
		usleep(LOCK_LOOK_MS * 1000);
	}
	return STORE_OK;
}

void
lock_release(struct account *a)
{
	if (--a->lock_depth == 0)
		close_fd(&a->lock_fd);
}
