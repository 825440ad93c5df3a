/* SPDX-License-Identifier: ISC */
/*
 * One process for one account's mail. The mail's user may have filled the folder with anything, so whoever reads it
 * has that user's rights and a keeper's walls; root only reads lines from a pipe.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/daemon/mail_folder.h"
#include "common/daemon/sandbox.h"
#include "ctl/mail.h"
#include "ctl/mail_work.h"

enum { CHILD_DONE, CHILD_FAILED, CHILD_NONE, CHILD_CLOSED };

enum { LINE_MAX_OCTETS = 1024 * 1024 };

static void
become(struct ctl *ctl, const struct keeper_grant *g)
{
	uid_t uid = g->uid;
	gid_t gid = g->gid;

	if (geteuid() != 0)
		return;
	if (uid == (uid_t)-1 && !ctl_find_daemon_user(ctl, &uid, &gid))
		_exit(CHILD_FAILED);
	/* "user = root": a trial. */
	if (uid == (uid_t)-1)
		return;
	if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
		fatal("cannot become user id %u: errno %d", (unsigned)uid, errno);
}

static void
say(FILE *out, json_t *line)
{
	json_dumpf(line, out, JSON_COMPACT);
	fputc('\n', out);
	json_decref(line);
}

static int
work(struct ctl *ctl, const struct keeper_grant *g, const struct mail_order *order, int out)
{
	struct mail_work w = { .address = g->address, .quota_bytes = g->quota_bytes,
		.quota_messages = g->quota_messages, .repair = order->repair, .progress = order->progress,
		.dry_run = order->dry_run, .since = order->since, .folder = order->folder,
		.undelete_days = ctl->settings->undelete_days };
	enum store_result r = STORE_BROKEN;
	int folder;

	become(ctl, g);
	umask(0077);
	folder = mail_folder_open(ctl->settings, g->maildir, MAIL_FOLDER_FIND);
	if (folder < 0 && errno == ENOENT)
		return CHILD_NONE;
	w.out = fdopen(out, "w");
	if (w.out == NULL)
		return CHILD_FAILED;
	if (folder < 0) {
		say(w.out, json_pack("{s:s}", "error", strerror(errno)));
		fflush(w.out);
		return CHILD_FAILED;
	}
	sandbox_allow(folder, SANDBOX_FOLDER);
	sandbox_allow_path("/proc/sys/kernel/random/boot_id", SANDBOX_READ);
	sandbox_close(ROLE_KEEPER);
	switch (order->task) {
	case MAIL_CHECK:
		r = mail_work_check(&w, folder);
		break;
	case MAIL_LOOK:
		r = mail_work_look(&w, folder);
		break;
	case MAIL_RECOUNT:
		r = mail_work_recount(&w, folder);
		break;
	case MAIL_UNDELETE:
		r = mail_work_undelete(&w, folder);
		break;
	}
	if (r != STORE_OK)
		say(w.out, json_pack("{s:s}", "error", mail_result_words(r)));
	return fflush(w.out) == 0 && r == STORE_OK ? CHILD_DONE : CHILD_FAILED;
}

/* ---- the other end ---- */

static void
read_line(struct str line, const char *address, mail_line *tell, void *context)
{
	json_t *object = json_loadb(line.p, line.n, 0, NULL);
	const char *why;

	if (object != NULL && json_unpack(object, "{s:s}", "error", &why) == 0)
		ctl_fail("%s: %s", address, why);
	else if (object != NULL)
		tell(context, object);
	json_decref(object);
}

static void
read_lines(int fd, const char *address, mail_line *tell, void *context)
{
	scoped_buf in = BUF_INIT;
	ssize_t n;

	while ((n = read(fd, buf_room(&in, 65536), 65536)) != 0) {
		size_t end;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || in.n > LINE_MAX_OCTETS)
			return;
		buf_added(&in, (size_t)n);
		while ((end = str_index(buf_str(&in), '\n')) < in.n) {
			read_line(str_sub(buf_str(&in), 0, end), address, tell, context);
			buf_take(&in, end + 1);
		}
	}
}

static enum mail_end
wait_for(pid_t pid, const char *address)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (WIFSIGNALED(status)) {
		ctl_fail("%s: the process that looked at it was ended by signal %d", address, WTERMSIG(status));
		return MAIL_FAILED;
	}
	if (WEXITSTATUS(status) == CHILD_NONE)
		return MAIL_NONE;
	return WEXITSTATUS(status) == CHILD_DONE ? MAIL_DONE : MAIL_FAILED;
}

enum mail_end
mail_run(struct ctl *ctl, const struct keeper_grant *g, const struct mail_order *order,
	mail_line *tell, void *context)
{
	const char *address = arena_str(ctl->arena, g->address).p;
	pid_t pid;
	int ends[2];

	fflush(stdout);
	if (pipe2(ends, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
		ctl_fail("%s: no process can be made for it: %s", address, strerror(errno));
		return MAIL_FAILED;
	}
	if (pid == 0) {
		close(ends[0]);
		_exit(work(ctl, g, order, ends[1]));
	}
	close(ends[1]);
	read_lines(ends[0], address, tell, context);
	close(ends[0]);
	return wait_for(pid, address);
}

void
mail_put_size(struct buf *out, uint64_t octets)
{
	static const char units[] = "kMGTP";
	double value = (double)octets;
	int unit = -1;

	while (value >= 1024 && units[unit + 1] != '\0') {
		value /= 1024;
		unit++;
	}
	if (unit < 0)
		buf_printf(out, "%llu", (unsigned long long)octets);
	else
		buf_printf(out, "%.1f%c", value, units[unit]);
}
