/* SPDX-License-Identifier: ISC */
/* Passwords from a person or a pipe; they are shown nowhere and wiped. */
#include <errno.h>
#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include "common/auth/password.h"
#include "ctl/ctl.h"

enum { INTERRUPT = 3, LINE_MAX_OCTETS = PASSWORD_MAX + 2 };

/* One line without its end. False at a fault, the end of input or ^C. */
static bool
read_line(int fd, struct buf *out)
{
	char c = '\0';
	ssize_t n = 1;

	/* One octet at a time: what follows the line is not ours. */
	while (out->n < LINE_MAX_OCTETS && (n = read(fd, &c, 1)) == 1 && c != '\n') {
		if (c == INTERRUPT)
			return false;
		buf_put_c(out, c);
	}
	if (out->n > 0 && out->p[out->n - 1] == '\r')
		buf_cut(out, out->n - 1);
	return n == 1 || out->n > 0;
}

/* Signals of the terminal are off as well, so that echo is always put back. */
static bool
ask(int tty, const char *question, const char *who, struct buf *out)
{
	struct termios before, silent;
	bool ok;

	if (tcgetattr(tty, &before) != 0)
		return false;
	silent = before;
	silent.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	silent.c_lflag |= ICANON;
	/* Silence first: what is typed behind the question must be neither shown nor flushed. */
	ok = tcsetattr(tty, TCSAFLUSH, &silent) == 0;
	dprintf(tty, "%s %s: ", question, who);
	ok = ok && read_line(tty, out);
	(void)tcsetattr(tty, TCSAFLUSH, &before);
	dprintf(tty, "\n");
	return ok;
}

static bool
ask_twice(const char *who, struct buf *out)
{
	scoped_fd tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	struct buf again = BUF_INIT;
	bool ok;

	if (tty < 0) {
		ctl_fail("there is no terminal to ask for the password on; use --password-stdin");
		return false;
	}
	ok = ask(tty, "New password of", who, out) && ask(tty, "Again, password of", who, &again);
	if (!ok)
		ctl_fail("no password was given");
	else if (!str_eq(buf_str(out), buf_str(&again)))
		ctl_fail("the two passwords are not the same; nothing was changed");
	ok = ok && str_eq(buf_str(out), buf_str(&again));
	buf_wipe(&again);
	return ok;
}

bool
ctl_read_password(const char *who, bool from_stdin, struct buf *out)
{
	/* Room from the start: a buffer that grows would leave copies behind. */
	(void)buf_room(out, 2 * LINE_MAX_OCTETS);
	if (!from_stdin)
		return ask_twice(who, out);
	if (read_line(STDIN_FILENO, out))
		return true;
	ctl_fail("no password came on standard input");
	return false;
}
