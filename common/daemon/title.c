/* SPDX-License-Identifier: ISC */
#include "common/daemon/title.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static char *room;
static size_t room_size;
static char **moved;	/* the environment, which libraries may move on */
static char **environment __attribute__((used));	/* ours: environ may be taken from us at exit, and then it looks lost */

void
title_init(int argc, char **argv)
{
	char *last = argv[0] + strlen(argv[0]);
	size_t count = 0;

	for (int i = 1; i < argc; i++)
		if (argv[i] == last + 1)
			last = argv[i] + strlen(argv[i]);
	while (environ[count] != NULL)
		count++;
	moved = xcalloc(count + 1, sizeof(*moved));
	for (size_t i = 0; i < count; i++) {
		if (environ[i] == last + 1)
			last = environ[i] + strlen(environ[i]);
		moved[i] = xstrdup(environ[i]);
	}
	environment = moved;
	environ = environment;
	room = argv[0];
	room_size = (size_t)(last - argv[0]);
}

void
title_set(const char *name, const char *role, const char *label)
{
	char text[256];

	snprintf(text, sizeof(text), "%s: %s%s%s", name, role, label ? " " : "",
	    label ? label : "");
	prctl(PR_SET_NAME, text);
	if (room_size == 0)
		return;
	memset(room, 0, room_size);
	snprintf(room, room_size, "%s", text);
}
