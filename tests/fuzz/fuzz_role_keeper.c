/* SPDX-License-Identifier: ISC */
/*
 * A keeper, that of smtpd: sessions announced by master with any first words of a front on their line, limits,
 * and the queue's deliveries into a Maildir.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "common/daemon/keeper.h"
#include "smtpd/messages.h"
#include "smtpd/submit.h"
#include "tests/fuzz/role.h"

static const struct role_kind kinds[] = {
	{ ROLE_MASTER, MSG_SESSION_OPEN, .line = true }, { ROLE_MASTER, MSG_QUOTA },
	{ ROLE_QUEUE, MSG_DELIVER_PREPARE }, { ROLE_QUEUE, MSG_DELIVER_PUBLISH },
	{ ROLE_QUEUE, MSG_DELIVER_ABANDON }, { ROLE_QUEUE, MSG_SESSION_OPEN },
	{ ROLE_MASTER, MSG_DELIVER_PREPARE }, { ROLE_FRONT, MSG_DELIVER_PREPARE },
};

static const struct service service = { .name = "smtpd", .protocol = "smtp" };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
start(struct process *p)
{
	/* Not for ever more mail. */
	struct keeper_grant grant = { .address = p->label, .maildir = STR("/"),
		.uid = (uid_t)-1, .gid = (gid_t)-1, .quota_messages = 20 };
	scoped_buf path = BUF_INIT;
	int fd;

	buf_printf(&path, "%s/maildir", role_folder());
	if (mkdir(buf_z(&path), 0700) != 0 ||
	    (fd = open(buf_z(&path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		fatal("no Maildir");
	deliver_keeper_start(p, &grant, fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct process *process;

	if (process == NULL) {
		process = role_process(ROLE_KEEPER, &service, "");
		start(process);
	}
	role_play(process, kinds, countof(kinds), (struct str){ (const char *)data, size });
	return 0;
}
