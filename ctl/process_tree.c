/* SPDX-License-Identifier: ISC */
/* Reads /proc (proc(5)): ids, parents and titles. A process that goes meanwhile is left out. */
#include "ctl/process_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/utf8.h"

enum { TITLE_MAX = 256, STAT_MAX = 1024 };

static size_t
read_file(pid_t pid, const char *name, char *out, size_t room)
{
	char path[64];
	scoped_fd fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, out, room);
	return n > 0 ? (size_t)n : 0;
}

/* "PID (NAME) STATE PPID ...": NAME may hold anything, so from the last ')'. */
static bool
read_parent(pid_t pid, pid_t *parent)
{
	char text[STAT_MAX];
	struct str rest = { text, read_file(pid, "stat", text, sizeof(text)) }, word;
	uint32_t number;

	rest = str_from(rest, str_last_index(rest, ')') + 1);
	if (!str_word(&rest, &word) || !str_word(&rest, &word) || !str_to_u32(word, &number))
		return false;
	*parent = (pid_t)number;
	return true;
}

static struct str
read_title(pid_t pid, struct arena *arena)
{
	char text[TITLE_MAX];
	size_t n = read_file(pid, "cmdline", text, sizeof(text));

	for (size_t i = 0; i < n; i++)
		if (ascii_is_control(text[i]))
			text[i] = ' ';
	while (n > 0 && !utf8_valid((struct str){ text, n }))
		n--;
	return arena_str(arena, str_trim((struct str){ text, n }));
}

static int
by_pid(const void *a, const void *b)
{
	const struct process_node *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

struct process_node *
process_list(struct arena *arena, size_t *count)
{
	struct process_node *nodes = NULL, *list, node;
	size_t n = 0, room = 0;
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	uint32_t number;

	while (proc != NULL && (entry = readdir(proc)) != NULL) {
		if (!str_to_u32(str_of(entry->d_name), &number))
			continue;
		node.pid = (pid_t)number;
		if (!read_parent(node.pid, &node.parent))
			continue;
		node.title = read_title(node.pid, arena);
		if (n == room) {
			room = room ? 2 * room : 64;
			nodes = xrealloc(nodes, room * sizeof(*nodes));
		}
		nodes[n++] = node;
	}
	if (proc != NULL)
		closedir(proc);
	list = arena_array(arena, struct process_node, n + 1);
	if (n > 0) {
		qsort(nodes, n, sizeof(*nodes), by_pid);
		memcpy(list, nodes, n * sizeof(*nodes));
	}
	free(nodes);
	*count = n;
	return list;
}
