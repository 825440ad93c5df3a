/* SPDX-License-Identifier: ISC */
/*
 * `--escape-attempts`, master's part: makes decoys, then forks each role as ever, one after the other; each tries
 * what escape.c has. Not the whole service: nobody is joined with anybody, and no loop runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/daemon/escape.h"
#include "common/daemon/master.h"

struct decoys {
	struct buf top, own, other, mail, empty, socket, users;
	int listener;
	pid_t victim;
};

/* What keepers of this site own. */
static void
give(const struct master *m, const char *path)
{
	if (m->uid != (uid_t)-1 && lchown(path, m->uid, m->gid) != 0)
		fatal("cannot give %s away: errno %d", path, errno);
}

static void
make_folder(const struct master *m, const char *path)
{
	if (mkdir(path, 0700) != 0)
		fatal("cannot make %s: errno %d", path, errno);
	give(m, path);
}

static void
make_file(const struct master *m, const char *path, struct str text)
{
	scoped_fd fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n)
		fatal("cannot make %s: errno %d", path, errno);
	give(m, path);
}

static int
make_socket(const struct master *m, const char *path)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&name, sizeof(name)) != 0 || listen(fd, SOMAXCONN) != 0)
		fatal("cannot make the socket %s: errno %d", path, errno);
	give(m, path);
	return fd;
}

/* A process of the same user, like any other role's. */
static pid_t
make_victim(const struct master *m)
{
	pid_t pid = fork();

	if (pid < 0)
		fatal("cannot fork: errno %d", errno);
	if (pid > 0)
		return pid;
	signal(SIGTERM, SIG_DFL);
	if (m->uid != (uid_t)-1 && (setresgid(m->gid, m->gid, m->gid) != 0 || setresuid(m->uid, m->uid, m->uid) != 0))
		_exit(1);
	for (;;)
		pause();
}

static void
make_decoys(struct master *m, struct decoys *d)
{
	buf_printf(&d->top, "%s/escape-%d", m->settings->mail_dir, (int)getpid());
	buf_printf(&d->own, "%s/own", buf_z(&d->top));
	buf_printf(&d->other, "%s/other", buf_z(&d->top));
	buf_printf(&d->mail, "%s/message", buf_z(&d->other));
	buf_printf(&d->empty, "%s/empty", buf_z(&d->other));
	buf_printf(&d->socket, "%s/socket", buf_z(&d->other));
	buf_printf(&d->users, "%s/users.db", m->settings->state_dir);
	make_folder(m, buf_z(&d->top));
	make_folder(m, buf_z(&d->own));
	make_folder(m, buf_z(&d->other));
	make_file(m, buf_z(&d->mail), STR("Subject: for other eyes\r\n\r\n"));
	make_file(m, buf_z(&d->empty), STR_EMPTY);
	d->listener = make_socket(m, buf_z(&d->socket));
	d->victim = make_victim(m);
}

static void
remove_decoys(struct decoys *d)
{
	kill(d->victim, SIGKILL);
	waitpid(d->victim, NULL, 0);
	close_fd(&d->listener);
	unlink(buf_z(&d->mail));
	unlink(buf_z(&d->empty));
	unlink(buf_z(&d->socket));
	if (rmdir(buf_z(&d->own)) != 0 || rmdir(buf_z(&d->other)) != 0 || rmdir(buf_z(&d->top)) != 0)
		fprintf(stderr, "%s is left over: %s\n", buf_z(&d->top), strerror(errno));
	buf_free(&d->top);
	buf_free(&d->own);
	buf_free(&d->other);
	buf_free(&d->mail);
	buf_free(&d->empty);
	buf_free(&d->socket);
	buf_free(&d->users);
}

/* Did all go as it should? */
static bool
await(struct child *c)
{
	int status = -1;

	if (c == NULL)
		return false;
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	master_free_child(c);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
start_keeper(struct process *p, void *context)
{
	keepers_begin(p, context);
}

static bool
try_keeper(struct master *m, const struct decoys *d)
{
	struct keeper_grant grant = { .address = STR("own@escape.test"), .maildir = buf_str(&d->own),
	    .uid = m->uid, .gid = m->gid };

	return await(master_fork(m, ROLE_KEEPER, "own@escape.test", start_keeper, &grant));
}

_Noreturn void
master_try_escapes(struct master *m)
{
	struct decoys d = { 0 };
	bool ok = true;

	make_decoys(m, &d);
	escape_set(m->service->name, &(struct escape_targets){ .other_mail = buf_z(&d.mail),
	    .other_empty = buf_z(&d.empty), .other_folder = buf_z(&d.other), .other_socket = buf_z(&d.socket),
	    .own_folder = buf_z(&d.own), .users = buf_z(&d.users), .key = m->settings->tls_key,
	    .log = m->settings->log_file, .state = m->settings->state_dir, .victim = d.victim });
	for (enum role role = ROLE_RECORDER; role < ROLE_COUNT; role++) {
		if (role == ROLE_KEEPER)
			ok &= try_keeper(m, &d);
		else if (role != ROLE_AUTH_PAM && role != ROLE_NURSERY && m->roles[role].count > 0)
			ok &= await(master_fork(m, role, NULL, master_start_role, m));
	}
	remove_decoys(&d);
	printf("%s: %s\n", m->service->name, ok ? "every attempt was refused" : "the walls have holes");
	exit(ok ? 0 : 1);
}
