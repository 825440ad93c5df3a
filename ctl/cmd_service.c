/* SPDX-License-Identifier: ISC */
/* trivet start, stop, reload and status. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ctl/daemons.h"
#include "ctl/process_tree.h"
#include "ctl/supervise.h"

enum { TAIL_OCTETS = 2048, TAIL_LINES = 5 };

/* ---- start ---- */

/* The last lines of the log, for a daemon that ended without a word. */
static void
print_log_tail(const struct settings *settings)
{
	char *path = daemons_log_path(settings);
	scoped_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	char text[TAIL_OCTETS];
	ssize_t n = fd < 0 ? 0
		: pread(fd, text, sizeof(text), size > TAIL_OCTETS ? size - TAIL_OCTETS : 0);
	struct str rest = { text, n > 0 ? (size_t)n : 0 };
	size_t lines = 0, from = rest.n;

	while (from > 0 && lines <= TAIL_LINES)
		lines += rest.p[--from] == '\n';
	fprintf(stderr, "The log, %s, ends with:\n%.*s\n", path,
		STR_ARG(str_trim(str_from(rest, from))));
	free(path);
}

/* One of several lines; each is told with the daemon's name, which the daemon may say itself. */
static void
print_fault(const struct starting *s, const struct settings *settings)
{
	struct str rest = str_trim(buf_str(&s->said)), line;
	bool spoke = rest.n > 0;

	while (str_cut(&rest, '\n', &line)) {
		if (str_starts(line, str_of(s->name)))
			ctl_fail("%.*s", STR_ARG(line));
		else
			ctl_fail("%s: %.*s", s->name, STR_ARG(line));
	}
	if (spoke)
		return;
	ctl_fail("%s ended before it was ready and did not say why", s->name);
	print_log_tail(settings);
}

/* users.db has to be there, of our schema, before auth opens it for reading. */
static bool
prepare_site(struct ctl *ctl)
{
	if (!ctl_open_users(ctl, USERS_WRITE))
		return false;
	users_close(ctl->users);
	ctl->users = NULL;
	return true;
}

/* Starts what does not run. False where one of them did not become ready. */
static bool
start_missing(struct ctl *ctl, struct daemons *daemons, int log_fd)
{
	struct starting starting[DAEMON_COUNT];
	size_t count = 0;
	bool ok = true;

	for (size_t i = 0; i < DAEMON_COUNT; i++) {
		if (daemons->all[i].pid != 0)
			printf("%s runs already, process %d.\n", daemons->all[i].name,
				(int)daemons->all[i].pid);
		else
			daemon_start(&starting[count++], daemon_names[i], ctl->settings, log_fd);
	}
	daemons_wait_ready(starting, count);
	for (size_t i = 0; i < count; i++) {
		if (starting[i].ready)
			printf("%s runs, process %d.\n", starting[i].name, (int)starting[i].pid);
		else
			print_fault(&starting[i], ctl->settings);
		ok = ok && starting[i].ready;
		buf_free(&starting[i].said);
	}
	fflush(stdout);
	return ok;
}

static int
start_in_background(struct ctl *ctl)
{
	struct daemons daemons;
	scoped_fd log_fd = daemons_open_log(ctl->settings);
	char *path;
	bool ok;

	if (log_fd < 0) {
		path = daemons_log_path(ctl->settings);
		ctl_fail("cannot open the log %s: %s", path, strerror(errno));
		free(path);
		return CTL_FAILED;
	}
	daemons_find(&daemons, ctl->settings);
	ok = start_missing(ctl, &daemons, log_fd);
	daemons_forget(&daemons);
	return ok ? CTL_OK : CTL_FAILED;
}

static int
start_in_foreground(struct ctl *ctl)
{
	scoped_fd signal_fd = supervise_signals();
	struct daemons daemons;
	bool ok;
	int code = CTL_FAILED;

	if (signal_fd < 0)
		return ctl_fail("signals cannot be taken: %s", strerror(errno));
	daemons_find(&daemons, ctl->settings);
	ok = start_missing(ctl, &daemons, STDERR_FILENO);
	daemons_forget(&daemons);
	daemons_find(&daemons, ctl->settings);
	if (ok)
		code = supervise(ctl, &daemons, signal_fd);
	else
		daemons_stop(&daemons);
	daemons_forget(&daemons);
	return code;
}

int
cmd_start(struct ctl *ctl)
{
	struct ctl_option foreground = { .name = "foreground" };

	if (!ctl_take_options(ctl, &foreground, 1, 0, 0))
		return CTL_USAGE;
	if (!ctl_read_settings(ctl) || !prepare_site(ctl))
		return CTL_FAILED;
	return foreground.given ? start_in_foreground(ctl) : start_in_background(ctl);
}

/* ---- stop and reload ---- */

int
cmd_stop(struct ctl *ctl)
{
	struct daemons daemons;
	bool ran[DAEMON_COUNT];
	int code = CTL_OK;

	if (!ctl_take_options(ctl, NULL, 0, 0, 0))
		return CTL_USAGE;
	if (!ctl_read_settings(ctl))
		return CTL_FAILED;
	daemons_find(&daemons, ctl->settings);
	for (size_t i = 0; i < DAEMON_COUNT; i++)
		ran[i] = daemons.all[i].pid != 0;
	daemons_stop(&daemons);
	for (size_t i = 0; i < DAEMON_COUNT; i++) {
		if (daemons.all[i].pid != 0)
			code = ctl_fail("%s still runs, process %d", daemon_names[i],
				(int)daemons.all[i].pid);
		else
			printf("%s %s.\n", daemon_names[i], ran[i] ? "has ended" : "did not run");
	}
	daemons_forget(&daemons);
	return code;
}

int
cmd_reload(struct ctl *ctl)
{
	struct daemons daemons;
	int code = CTL_OK;

	if (!ctl_take_options(ctl, NULL, 0, 0, 0))
		return CTL_USAGE;
	/* A bad configuration is told here, and nobody is asked to read it. */
	if (!ctl_read_settings(ctl) || !prepare_site(ctl))
		return CTL_FAILED;
	daemons_find(&daemons, ctl->settings);
	for (size_t i = 0; i < DAEMON_COUNT; i++) {
		if (daemons.all[i].pid == 0) {
			code = ctl_fail("%s does not run; \"trivet start\" starts it",
				daemon_names[i]);
			continue;
		}
		daemon_signal(&daemons.all[i], SIGHUP);
		printf("%s reads its configuration anew.\n", daemon_names[i]);
	}
	daemons_forget(&daemons);
	return code;
}

/* ---- status ---- */

struct tree {
	const struct process_node *nodes;
	size_t count;
};

static json_t *
json_of_process(const struct tree *tree, const struct process_node *node)
{
	json_t *children = json_array();

	for (size_t i = 0; i < tree->count; i++)
		if (tree->nodes[i].parent == node->pid)
			json_array_append_new(children, json_of_process(tree, &tree->nodes[i]));
	return json_pack("{s:i, s:o, s:o}", "pid", (int)node->pid, "title",
		ctl_json_str(node->title), "children", children);
}

static void
print_process(const struct tree *tree, const struct process_node *node, int depth)
{
	printf("%*s%7d  %.*s\n", 2 * depth, "", (int)node->pid, STR_ARG(node->title));
	for (size_t i = 0; i < tree->count; i++)
		if (tree->nodes[i].parent == node->pid)
			print_process(tree, &tree->nodes[i], depth + 1);
}

static const struct process_node *
find_process(const struct tree *tree, pid_t pid)
{
	for (size_t i = 0; pid != 0 && i < tree->count; i++)
		if (tree->nodes[i].pid == pid)
			return &tree->nodes[i];
	return NULL;
}

static void
print_daemon(const struct tree *tree, const struct daemon *d)
{
	const struct process_node *master = find_process(tree, d->pid);

	printf("%s %s\n", d->name, d->pid != 0 ? "runs" : "does not run");
	if (master != NULL)
		print_process(tree, master, 1);
}

static json_t *
json_of_daemon(const struct tree *tree, const struct daemon *d)
{
	const struct process_node *master = find_process(tree, d->pid);

	return json_pack("{s:s, s:b, s:o, s:o}", "name", d->name, "running", d->pid != 0,
		"pid", d->pid != 0 ? json_integer(d->pid) : json_null(),
		"process", master != NULL ? json_of_process(tree, master) : json_null());
}

int
cmd_status(struct ctl *ctl)
{
	struct daemons daemons;
	struct tree tree;
	json_t *list;
	bool all;

	if (!ctl_take_options(ctl, NULL, 0, 0, 0))
		return CTL_USAGE;
	if (!ctl_read_settings(ctl))
		return CTL_FAILED;
	daemons_find(&daemons, ctl->settings);
	all = daemons_running(&daemons) == DAEMON_COUNT;
	tree.nodes = process_list(ctl->arena, &tree.count);
	list = json_array();
	if (!ctl->json)
		printf("%s: %u of %d daemons run\n", ctl->settings->config_path,
			daemons_running(&daemons), DAEMON_COUNT);
	for (size_t i = 0; i < DAEMON_COUNT; i++) {
		if (ctl->json)
			json_array_append_new(list, json_of_daemon(&tree, &daemons.all[i]));
		else
			print_daemon(&tree, &daemons.all[i]);
	}
	if (ctl->json)
		ctl_print_json(json_pack("{s:s, s:b, s:O}", "config",
			ctl->settings->config_path, "running", all, "daemons", list));
	json_decref(list);
	daemons_forget(&daemons);
	return all ? CTL_OK : CTL_FAILED;
}
