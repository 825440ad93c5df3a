/* SPDX-License-Identifier: ISC */
/* The form of host names (RFC 1035 2.3.1 as widened by RFC 1123 2.1), and our own. */
#include "common/daemon/host_name.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

enum { HOSTS_FILE_MAX = 1024 * 1024 };

static bool
label_valid(struct str label)
{
	if (label.n == 0 || label.n > HOST_LABEL_MAX_OCTETS)
		return false;
	if (label.p[0] == '-' || label.p[label.n - 1] == '-')
		return false;
	for (size_t i = 0; i < label.n; i++)
		if (!ascii_is_alnum(label.p[i]) && label.p[i] != '-')
			return false;
	return true;
}

bool
host_name_valid(struct str name)
{
	struct str label;

	if (name.n == 0 || name.n > HOST_NAME_MAX_OCTETS || str_ends(name, STR(".")))
		return false;
	while (str_cut(&name, '.', &label))
		if (!label_valid(label))
			return false;
	return true;
}

static bool
line_gives_full_name(struct str line, struct str name, struct str *full)
{
	struct str word;
	bool matches = false, found = false;

	if (!str_word(&line, &word))	/* the address */
		return false;
	while (str_word(&line, &word)) {
		if (str_eq_nocase(word, name))
			matches = true;
		if (!found && str_has_char(word, '.') && host_name_valid(word)
		    && word.n > name.n && word.p[name.n] == '.'
		    && str_starts_nocase(word, name)) {
			*full = word;
			found = true;
		}
	}
	return matches && found;
}

bool
host_name_in_hosts(struct str text, struct str name, struct str *full)
{
	struct str line;

	while (str_cut(&text, '\n', &line)) {
		line = str_trim(str_sub(line, 0, str_index(line, '#')));
		if (line_gives_full_name(line, name, full))
			return true;
	}
	return false;
}

static void
read_hosts(struct buf *out)
{
	scoped_fd fd = open("/etc/hosts", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	while (fd >= 0 && out->n < HOSTS_FILE_MAX) {
		n = read(fd, buf_room(out, 4096), 4096);
		if (n <= 0)
			return;
		buf_added(out, (size_t)n);
	}
}

bool
host_name_own(struct buf *out)
{
	char own[HOST_NAME_MAX + 1] = "";
	scoped_buf hosts = BUF_INIT;
	struct str name, full;

	if (gethostname(own, sizeof(own) - 1) != 0)
		return false;
	name = str_of(own);
	if (!host_name_valid(name))
		return false;
	read_hosts(&hosts);
	if (!str_has_char(name, '.') && host_name_in_hosts(buf_str(&hosts), name, &full))
		name = full;
	buf_put(out, name);
	return true;
}
