/* SPDX-License-Identifier: ISC */
/* The processes of the model test: started, asked, and killed when something is wrong. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/model/coordinator.h"

static const char *const daemons[WORKERS] = { "imapd", "imapd", "pop3d", "smtpd" };

/* ---- when it goes wrong ---- */

static void
print_op(const struct op *op, const struct answer *a, int actor)
{
	fprintf(stderr, "  %d %s %s%s%s handle %d id %s uids", actor, kind_names[op->kind], op->name,
	    op->to[0] ? " to " : "", op->to, op->handle, op->id);
	for (uint32_t i = 0; i < op->count; i++)
		fprintf(stderr, " %u", op->uids[i]);
	fprintf(stderr, "%s; how %d flags %x words %x since %llu mail %u trace %u letters %s\n    %s: %d uid %u%s done %d"
	    " pairs", op->all ? " all" : "", (int)op->how, op->flags, op->words, (unsigned long long)op->unchanged_since,
	    op->mail, op->trace, op->letters, a->killed ? "killed or busy" : "answer", (int)a->result, a->uid,
	    a->was_there ? " was there" : "", a->done);
	for (uint32_t i = 0; i < a->count; i++)
		fprintf(stderr, " %u>%u", a->from[i], a->to[i]);
	fprintf(stderr, "\n");
}

static const char *
name_of(const char *id)
{
	const struct folder_state *f = id[0] == '\0' ? NULL : state_by_id(&c.now, id);

	return f != NULL ? f->name : id[0] == '\0' ? "-" : id;
}

_Noreturn void
wrong(const char *what)
{
	fprintf(stderr, "model: seed %llu, operation %llu: %s\n", (unsigned long long)c.seed, (unsigned long long)c.step,
	    what);
	for (int i = 0; i < ACTORS; i++)
		if (c.active[i])
			print_op(&c.op[i], &c.answer[i], i);
	for (int i = 0; i < WORKERS; i++)
		fprintf(stderr, "  process %d has open: %s %s\n", i, name_of(c.actor[i].open[0]), name_of(c.actor[i].open[1]));
	fprintf(stderr, "%s  the files: %s\n", buf_z(&c.why), c.path);
	for (int i = 0; i < ACTORS; i++)
		kill(c.actor[i].pid, SIGKILL);
	exit(1);
}

void
start_actor(int i)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		fatal("socketpair: errno %d", errno);
	c.actor[i] = (struct actor){ .fd = pair[0] };
	c.actor[i].pid = fork();
	if (c.actor[i].pid < 0)
		fatal("fork: errno %d", errno);
	if (c.actor[i].pid > 0) {
		close(pair[1]);
		return;
	}
	for (int k = 0; k < ACTORS; k++)
		if (k != i && c.actor[k].pid > 0)
			close(c.actor[k].fd);
	close(pair[0]);
	if (i == OUTSIDER)
		outsider_run(c.path, pair[1]);
	worker_run(c.path, daemons[i], pair[1]);
}

void
send_op(int i, const struct op *op)
{
	struct op copy = *op;

	copy.random = c.random ^ (uint64_t)i;
	if (write(c.actor[i].fd, &copy, sizeof(copy)) != (ssize_t)sizeof(copy))
		wrong("a process ended");
}

bool
receive(int i, struct answer *a)
{
	ssize_t got;

	for (size_t n = 0; n < sizeof(*a); n += (size_t)got) {
		got = read(c.actor[i].fd, (char *)a + n, sizeof(*a) - n);
		if (got <= 0)
			return false;
	}
	return true;
}

void
ask(int i, const struct op *op, struct answer *a)
{
	send_op(i, op);
	if (!receive(i, a))
		wrong("a process ended");
	if (a->trouble[0] != '\0') {
		buf_printf(&c.why, "  process %d, asked to %s %s: %s\n", i, kind_names[op->kind], op->name, a->trouble);
		wrong("what a client was told is wrong");
	}
}
