/* SPDX-License-Identifier: ISC */
#include "common/daemon/mail_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"

/* Makes what is missing of the levels of an absolute path. */
static void
make_levels(const char *path)
{
	char *text = xstrdup(path);

	for (char *slash = text; slash != NULL && slash[0] != '\0';) {
		slash = strchr(slash + 1, '/');
		if (slash != NULL)
			*slash = '\0';
		if (mkdir(text, 0700) != 0 && errno != EEXIST && errno != EACCES && errno != EROFS)
			log_error(NULL, "maildir.make", KV("path", text), KV("errno", errno));
		if (slash != NULL)
			*slash = '/';
	}
	free(text);
}

/* One level further down, made if it may be and is missing; the one above is closed. A link there leads nowhere. */
static int
step_down(int above, const char *name, int how, enum mail_folder make)
{
	int fd = -1, why;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		errno = EINVAL;
	else if (make == MAIL_FOLDER_FIND || mkdirat(above, name, 0700) == 0 || errno == EEXIST)
		fd = openat(above, name, how | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	why = errno;
	close_fd(&above);
	errno = why;
	return fd;
}

int
mail_folder_open(const struct settings *settings, struct str path, enum mail_folder make)
{
	struct str top = str_of(settings->mail_dir), rest, level;
	char *text = str_path(path), *name;
	int fd;

	if (text == NULL || text[0] != '/')
		fatal("maildir is no absolute path");
	if (!str_starts(path, top) || path.n <= top.n || path.p[top.n] != '/')
		top = str_sub(path, 0, str_last_index(path, '/'));
	rest = str_from(path, top.n + 1);
	text[top.n] = '\0';
	if (make == MAIL_FOLDER_MAKE)
		make_levels(text);
	fd = open(top.n > 0 ? text : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (fd >= 0 && str_cut(&rest, '/', &level)) {
		if (level.n == 0)
			continue;
		name = str_dup(level);
		fd = step_down(fd, name, rest.n > 0 ? O_PATH : O_RDONLY, make);
		free(name);
	}
	free(text);
	return fd;
}
