/* SPDX-License-Identifier: ISC */
/*
 * smtpd: takes mail in and sends mail out. Its doors and its rooms; the way of a message goes from session.c
 * through submit.c to the queue, and from there to a keeper (deliver.c) or to the courier (relay.c).
 */
#include "common/auth/auth_proc.h"
#include "common/mime/charset.h"
#include "smtpd/smtpd.h"
#include "smtpd/sync.h"
#include "smtpd/trace.h"
#include "maildir/store.h"

static const struct service_door doors[] = {
	{ "smtp", offsetof(struct settings, smtp_listen), DOOR_STARTTLS, PURPOSE_MX },
	{ "submission", offsetof(struct settings, submission_listen), DOOR_STARTTLS,
	    PURPOSE_SUBMISSION },
	{ "submissions", offsetof(struct settings, submissions_listen), DOOR_TLS,
	    PURPOSE_SUBMISSION },
};

static const struct service_belonging belongings[] = {
	{ ROLE_QUEUE, BELONGING_DATABASE, "queue.db" },
	{ ROLE_QUEUE, BELONGING_FOLDER, "journal" },
	{ ROLE_QUEUE, BELONGING_FOLDER, "spool" },
	{ ROLE_RECORDER, BELONGING_DATABASE, "trace.db" },
};

static const struct service service = {
	.name = "smtpd",
	.protocol = "smtp",
	.doors = doors,
	.door_count = countof(doors),
	.auth = &auth_roles,
	.front_start = front_start,
	.keeper_start = deliver_keeper_start,
	.queue_start = queue_start,
	.courier_start = courier_start,
	.syncer_start = syncer_start,
	.syncers = SYNC_LANES,
	.trace = &trace_reader,
	.belongings = belongings,
	.belonging_count = countof(belongings),
};

int
main(int argc, char **argv)
{
	/* Before anybody's walls close: all share what is loaded here. */
	charset_preload();
	store_preload();
	return service_main(&service, argc, argv);
}
