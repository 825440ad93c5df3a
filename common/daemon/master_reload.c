/* SPDX-License-Identifier: ISC */
/*
 * master at SIGHUP: the settings are read once, here, and handed to those who live on, because walls are between
 * them and the file. Fronts, their signers and the courier get successors instead.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/daemon/master.h"
#include "common/daemon/messages.h"

/* A file that was moved away gets a successor. Where none can be opened, all stays as it is. */
static void
reopen_log(struct master *m)
{
	int log = recorder_open_log(m->settings);

	if (log < 0)
		return;
	if (m->files.log != STDERR_FILENO)
		close(m->files.log);
	m->files.log = log;
}

/* The file's text in memory, which nobody who gets it can change; -1 (logged): none. */
static int
share_text(struct str text)
{
	int fd = memfd_create("settings", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0)
		return fd;
	log_error(NULL, "reload.failed", KV("errno", errno));
	close_fd(&fd);
	return -1;
}

/* Walls are between them and the file. */
static void
send_settings(struct child *c, int text)
{
	struct buf m = BUF_INIT;

	if (c->role == ROLE_RECORDER)
		master_send_word(c, MSG_NEW_LOG, fcntl(c->master->files.log, F_DUPFD_CLOEXEC, 0));
	msg_begin(&m, MSG_RELOAD);
	msg_put_str(&m, str_of(c->master->settings->hostname));
	master_send(c, &m, fcntl(text, F_DUPFD_CLOEXEC, 0));
}

void
master_reload(void *context)
{
	struct master *m = context;
	scoped_buf text = BUF_INIT;
	scoped_fd shared = -1;
	struct settings *fresh;
	struct child *c;
	char *why;

	fresh = settings_read_text(m->settings->config_path, &text, &why);
	if (fresh == NULL) {
		log_error(NULL, "reload.failed", KV("why", why));
		free(why);
		return;
	}
	shared = share_text(buf_str(&text));
	if (shared < 0 || !doors_rebind(m, fresh)) {
		settings_free(fresh);
		return;
	}
	settings_free(m->settings);
	m->settings = fresh;
	master_count_roles(m);
	reopen_log(m);
	owners_give(m);
	TAILQ_FOREACH(c, &m->children, entry)
		if (c->role != ROLE_FRONT && c->role != ROLE_COURIER) {
			send_settings(c, shared);
		} else if (!c->draining) {
			c->draining = true;
			master_send_word(c, MSG_DRAIN, -1);
		}
	signers_on_reload(m);
	log_info(NULL, "reload");
	master_start_missing(m);
}
