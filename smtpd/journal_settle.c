/* SPDX-License-Identifier: ISC */
/*
 * From DONE to SETTLED (journal.c has all states): the file systems of mailboxes are synced, and what was
 * marked before that is forgotten. One descriptor for each, opened before the first write, tells whether
 * all of it reached the disk; where it did not, or nobody knows, the copies are asked for again.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "smtpd/journal_inside.h"

static void on_system_synced(void *context, bool ok);
static void end_settling(struct journal *);

void
journal_add_system(struct journal *j, int fd)
{
	struct mail_system system = { .fd = fd };
	struct stat st;

	if (fstat(fd, &st) < 0) {
		journal_log("looking at", "a mailbox");
		close(fd);
		return;
	}
	system.device = st.st_dev;
	for (size_t i = 0; i < j->systems.n; i += sizeof(system)) {
		struct mail_system *known = (void *)(j->systems.p + i);

		if (known->device == system.device) {
			close(fd);
			return;
		}
	}
	buf_put(&j->systems, (struct str){ (const char *)&system, sizeof(system) });
}

/* Those whose mark is written; any of them in a mailbox? */
static size_t
count_settling(struct journal *j, bool *in_mailboxes)
{
	struct kept *k;
	size_t n = 0;

	*in_mailboxes = false;
	TAILQ_FOREACH(k, &j->done, in_done) {
		if (!k->marked)
			break;
		*in_mailboxes |= k->delivered_count > 0;
		n++;
	}
	return n;
}

void
journal_settle(void *context)
{
	struct journal *j = context;
	struct sync_request sync = { .lane = SYNC_MAIL, .kind = SYNC_SYSTEM };
	bool in_mailboxes;

	if (j->system_syncs > 0 || TAILQ_EMPTY(&j->done))
		return;
	j->settling = count_settling(j, &in_mailboxes);
	j->settle_to = segment_end(j);
	j->systems_ok = true;
	if (in_mailboxes && j->systems.n == 0)
		j->settling = 0;
	if (j->settling == 0 || !in_mailboxes) {
		end_settling(j);
		return;
	}
	j->system_syncs = j->systems.n / sizeof(struct mail_system);
	for (size_t i = 0; i < j->systems.n; i += sizeof(struct mail_system)) {
		sync.fd = ((struct mail_system *)(void *)(j->systems.p + i))->fd;
		j->host.sync(j->host.context, &sync, on_system_synced, j);
	}
}

static void
on_system_synced(void *context, bool ok)
{
	struct journal *j = context;

	j->systems_ok = j->systems_ok && ok;
	if (--j->system_syncs == 0)
		end_settling(j);
}

/* What was written to mailboxes since the last sync may be lost: all of it is asked for again. */
static void
reopen_all(struct journal *j)
{
	struct kept *k, *next;
	struct str trace;
	void *value;
	size_t at = 0;

	log_warn(NULL, "mailboxes_renewed", KV("messages", j->settling));
	j->settle_from = segment_end(j);
	for (k = TAILQ_FIRST(&j->done); k; k = next) {
		next = TAILQ_NEXT(k, in_done);
		if (k->delivered_count > 0)
			journal_reopen(j, k);
	}
	while (map_next(j->kepts, &at, &trace, &value)) {
		k = value;
		if (k->done)
			continue;
		k->renew = true;
		replay_found(j, k, true);
	}
}

static void
end_settling(struct journal *j)
{
	static const char nobody[ID_LENGTH];
	scoped_buf places = BUF_INIT;
	struct place at;

	if (!j->systems_ok)
		reopen_all(j);
	else if (j->settling > 0) {
		for (size_t n = j->settling; n > 0; n--)
			kept_free(j, TAILQ_FIRST(&j->done));
		place_put(&places, j->settle_from);
		place_put(&places, j->settle_to);
		(void)(j->current && segment_mark(j, FRAME_SYNCED, nobody, buf_str(&places), &at));
	}
	j->settling = 0;
	segment_drop_old(j);
	if (!TAILQ_EMPTY(&j->done))
		timer_set(j->settle, SETTLE_MS);
}
