/* SPDX-License-Identifier: ISC */
/*
 * A client that costs little: many sessions at once from one process, for tests/bench/run. It says how much was done
 * in how long; what the server spent on it is looked up by its caller. A session is a list of lines to
 * say, each said when the answer to the one before is complete; any answer that is not the good one ends the program.
 */
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"

enum { CONNECTIONS_MAX = 1000, COMMANDS_MAX = 32, READ_SIZE = 256 * 1024, PATIENCE_MS = 60000 };

struct session {
	int fd;			/* -1: over */
	unsigned number;	/* 1, 2 .. */
	unsigned step;
	unsigned left;		/* of what the step repeats: recipients, messages */
	uint64_t literal;	/* octets to come that are no lines */
	bool multiline;		/* POP3: up to the line with a dot */
	struct buf in;
	struct buf out;
};

struct protocol {
	const char *name;
	/* Looks at one line. PARSED: the answer is complete and good; MORE; BAD. */
	enum parse (*line)(struct session *, struct str);
	/* Says the next thing in s->out; false: the session is over. */
	bool (*say)(struct session *);
};

static const char *host = "127.0.0.1", *port, *user = "user1", *password = "secret",
	*domain = "example.test", *items = "(UID FLAGS)", *mailbox = "INBOX", *commands[COMMANDS_MAX] = { "NOOP" };
static unsigned command_count;
static unsigned connections = 1, total = 100, users = 10, size = 4096, messages = 1;
static bool one_user;		/* SMTP: all to `user`, not to each in turn */
static unsigned begun, done;	/* messages handed in, or sessions; of `each`, commands */
static unsigned selected;	/* of `each`: sessions that wait for the others to be ready too */
static bool started;
static int64_t started_at;
static uint64_t octets;
static struct buf body = BUF_INIT;
static const struct protocol *protocol;

_Noreturn static void
stop(const char *what, struct str words)
{
	fprintf(stderr, "load: %s%s%.*s\n", what, words.n ? ": " : "", (int)words.n,
		words.n ? words.p : "");
	exit(1);
}

/* ---- SMTP: message after message in each connection ---- */

static void
make_body(void)
{
	static const char line[] = "The quick brown fox jumps over the lazy dog, and once more it does so.\r\n";

	buf_put_z(&body, "From: load@bench.test\r\nSubject: load\r\nDate: Sat, 21 Nov 2026 18:48:32 +0000\r\n"
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n");
	while (body.n < size)
		buf_put_z(&body, line);
	buf_put_z(&body, ".\r\n");
}

static enum parse
smtp_line(struct session *s, struct str line)
{
	(void)s;
	if (line.n < 4 || line.p[0] > '3')
		return BAD;
	return line.p[3] == ' ' ? PARSED : MORE;
}

enum { SMTP_HELLO, SMTP_MAIL, SMTP_RCPT, SMTP_DATA, SMTP_BODY, SMTP_QUIT, SMTP_OVER };

static bool
smtp_say(struct session *s)
{
	switch (s->step) {
	case SMTP_HELLO:
		buf_put_z(&s->out, "EHLO load.bench.test\r\n");
		break;
	case SMTP_MAIL:
		if (s->left > 0)
			done++;
		if (begun == total) {
			buf_put_z(&s->out, "QUIT\r\n");
			s->step = SMTP_OVER;
			return true;
		}
		s->left = ++begun;
		buf_put_z(&s->out, "MAIL FROM:<load@bench.test>\r\n");
		break;
	case SMTP_RCPT:
		if (one_user)
			buf_printf(&s->out, "RCPT TO:<%s@%s>\r\n", user, domain);
		else
			buf_printf(&s->out, "RCPT TO:<user%u@%s>\r\n", s->left % users + 1, domain);
		break;
	case SMTP_DATA:
		buf_put_z(&s->out, "DATA\r\n");
		break;
	case SMTP_BODY:
		buf_printf(&s->out, "Message-ID: <%u.%d@bench.test>\r\n", s->left, (int)getpid());
		buf_put(&s->out, buf_str(&body));
		octets += body.n;
		s->step = SMTP_MAIL;
		return true;
	default:
		return false;
	}
	s->step++;
	return true;
}

/* ---- IMAP: whole sessions ---- */

static enum parse
imap_line(struct session *s, struct str line)
{
	struct str count;
	uint32_t n;

	if (line.n > 2 && line.p[line.n - 1] == '}') {
		count = str_from(line, str_last_index(line, '{') + 1);
		if (str_to_u32(str_sub(count, 0, count.n - 1), &n))
			s->literal = n;
		return MORE;
	}
	if (s->step == 0)
		return str_starts(line, STR("* OK")) ? PARSED : BAD;
	if (!str_starts(line, STR("t ")))
		return MORE;
	return str_starts(line, STR("t OK")) ? PARSED : BAD;
}

static bool
imap_say(struct session *s)
{
	switch (s->step++) {
	case 0:
		buf_printf(&s->out, "t LOGIN %s@%s %s\r\n", user, domain, password);
		return true;
	case 1:
		buf_put_z(&s->out, "t SELECT INBOX\r\n");
		return true;
	case 2:
		buf_printf(&s->out, "t FETCH 1:* %s\r\n", items);
		return true;
	case 3:
		buf_put_z(&s->out, "t LOGOUT\r\n");
		return true;
	default:
		return false;
	}
}

/* ---- IMAP: one command again and again, each connection as another user, all from the same moment on ---- */

/* In the command # is how many there have been, and {} a message. */
static void
put_command(struct session *s, const char *command)
{
	buf_put_z(&s->out, "t ");
	for (const char *c = command; *c != '\0'; c++) {
		if (*c == '#') {
			buf_printf(&s->out, "%u", s->left);
		} else if (c[0] == '{' && c[1] == '}') {
			buf_printf(&s->out, "{%zu+}\r\n", body.n);
			buf_put(&s->out, buf_str(&body));
			c++;
		} else {
			buf_put_c(&s->out, *c);
		}
	}
	buf_put_z(&s->out, "\r\n");
}

static bool
each_say(struct session *s)
{
	switch (s->step) {
	case 0:
		buf_printf(&s->out, "t LOGIN user%u@%s %s\r\n", s->number, domain, password);
		break;
	case 1:
		buf_printf(&s->out, "t SELECT %s\r\n", mailbox);
		break;
	case 2:
		if (!started) {
			selected++;
			return true;
		}
		if (s->left > 0)
			done++;
		if (s->left++ < messages) {
			put_command(s, commands[0]);
			return true;
		}
		buf_put_z(&s->out, "t LOGOUT\r\n");
		break;
	default:
		return false;
	}
	s->step++;
	return true;
}

/* ---- IMAP: sessions of some commands, of one user after the other ---- */

static bool
script_say(struct session *s)
{
	if (s->step == 0)
		buf_printf(&s->out, "t LOGIN user%u@%s %s\r\n", s->number % users + 1, domain, password);
	else if (s->step <= command_count)
		put_command(s, commands[s->step - 1]);
	else if (s->step == command_count + 1)
		buf_put_z(&s->out, "t LOGOUT\r\n");
	else
		return false;
	s->step++;
	s->left = s->number;
	return true;
}

/* ---- POP3: whole sessions ---- */

static enum parse
pop3_line(struct session *s, struct str line)
{
	if (s->multiline) {
		s->multiline = !str_eq(line, STR("."));
		return s->multiline ? MORE : PARSED;
	}
	if (!str_starts(line, STR("+OK")))
		return BAD;
	s->multiline = s->step == 4;
	return s->multiline ? MORE : PARSED;
}

static bool
pop3_say(struct session *s)
{
	switch (s->step) {
	case 0:
		buf_printf(&s->out, "USER %s@%s\r\n", user, domain);
		break;
	case 1:
		buf_printf(&s->out, "PASS %s\r\n", password);
		break;
	case 2:
		buf_put_z(&s->out, "STAT\r\n");
		break;
	case 3:
	case 4:
		s->step = 4;
		if (s->left < messages) {
			buf_printf(&s->out, "RETR %u\r\n", ++s->left);
			return true;
		}
		buf_put_z(&s->out, "QUIT\r\n");
		break;
	default:
		return false;
	}
	s->step++;
	return true;
}

static const struct protocol protocols[] = {
	{ "smtp", smtp_line, smtp_say },
	{ "imap", imap_line, imap_say },
	{ "pop3", pop3_line, pop3_say },
	{ "each", imap_line, each_say },
	{ "script", imap_line, script_say },
};

/* ---- connections ---- */

static int
dial(void)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
	int fd, on = 1;

	if (getaddrinfo(host, port, &hints, &found) != 0)
		stop("there is no such host", str_of(host));
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0)
		stop("connect", str_of(strerror(errno)));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	freeaddrinfo(found);
	return fd;
}

static bool
is_smtp(void)
{
	return protocol == &protocols[0];
}

static bool
is_each(void)
{
	return protocol->say == each_say;
}

static void
open_session(struct session *s)
{
	if (!is_smtp())
		begun++;
	if (protocol->say == script_say)
		s->number = begun;
	s->fd = dial();
	s->step = 0;
	s->left = 0;
	s->multiline = false;
	buf_clear(&s->in);
	buf_clear(&s->out);
}

static void
close_session(struct session *s)
{
	close(s->fd);
	s->fd = -1;
	if (is_smtp() || is_each())
		return;
	done++;
	if (begun < total)
		open_session(s);
}

/* Answers are small or plain text, so the sockets take what we say at once. */
static void
flush(struct session *s)
{
	size_t at = 0;
	ssize_t n;

	while (at < s->out.n) {
		n = send(s->fd, s->out.p + at, s->out.n - at, MSG_NOSIGNAL);
		if (n < 0)
			stop("send", str_of(strerror(errno)));
		at += (size_t)n;
	}
	buf_clear(&s->out);
}

/* Takes one line, or a piece of a literal, off the input. False: there is none yet. */
static bool
take_line(struct session *s, size_t *at, struct str *line)
{
	struct str rest = str_from(buf_str(&s->in), *at);
	size_t n;

	if (s->literal > 0) {
		n = rest.n < s->literal ? rest.n : (size_t)s->literal;
		s->literal -= n;
		*at += n;
		rest = str_from(rest, n);
	}
	n = str_index(rest, '\n');
	if (n == rest.n)
		return false;
	*at += n + 1;
	*line = str_sub(rest, 0, n > 0 && rest.p[n - 1] == '\r' ? n - 1 : n);
	return true;
}

static void
on_input(struct session *s)
{
	struct str line;
	size_t at = 0;

	while (take_line(s, &at, &line)) {
		switch (protocol->line(s, line)) {
		case MORE:
			continue;
		case BAD:
			stop(protocol->name, line);
		case PARSED:
			break;
		}
		if (!protocol->say(s)) {
			close_session(s);
			return;
		}
	}
	buf_take(&s->in, at);
	flush(s);
}

static void
read_some(struct session *s)
{
	ssize_t n = recv(s->fd, buf_room(&s->in, READ_SIZE), READ_SIZE, 0);

	if (n <= 0)
		stop("the server ended a session", n < 0 ? str_of(strerror(errno)) : STR_EMPTY);
	buf_added(&s->in, (size_t)n);
	if (!is_smtp())
		octets += (uint64_t)n;
	on_input(s);
}

static void
start_each(struct session *sessions)
{
	started = true;
	started_at = clock_monotonic_ms();
	for (unsigned i = 0; i < connections; i++) {
		(void)each_say(&sessions[i]);
		flush(&sessions[i]);
	}
}

static void
run(void)
{
	struct session *sessions = xcalloc(connections, sizeof(*sessions));
	struct pollfd *polled = xcalloc(connections, sizeof(*polled));
	bool open = true;

	for (unsigned i = 0; i < connections; i++) {
		sessions[i].number = i + 1;
		open_session(&sessions[i]);
	}
	while (open) {
		open = false;
		for (unsigned i = 0; i < connections; i++) {
			polled[i] = (struct pollfd){ .fd = sessions[i].fd, .events = POLLIN };
			open = open || sessions[i].fd >= 0;
		}
		if (open && poll(polled, connections, PATIENCE_MS) == 0)
			stop("nothing came for a minute", STR_EMPTY);
		for (unsigned i = 0; open && i < connections; i++)
			if (sessions[i].fd >= 0 && polled[i].revents != 0)
				read_some(&sessions[i]);
		if (is_each() && !started && selected == connections)
			start_each(sessions);
	}
	for (unsigned i = 0; i < connections; i++) {
		buf_free(&sessions[i].in);
		buf_free(&sessions[i].out);
	}
	free(sessions);
	free(polled);
}

/* ---- what is wanted ---- */

static unsigned
number(const char *text)
{
	uint32_t n;

	if (!str_to_u32(str_of(text), &n) || n == 0)
		stop("expected a number above 0", str_of(text));
	return n;
}

static void
take_options(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "h:c:n:u:s:m:l:p:d:f:b:x:")) != -1) {
		switch (option) {
		case 'h': host = optarg; break;
		case 'c': connections = number(optarg); break;
		case 'n': total = number(optarg); break;
		case 'u': users = number(optarg); break;
		case 's': size = number(optarg); break;
		case 'm': messages = number(optarg); break;
		case 'l': user = optarg; one_user = true; break;
		case 'p': password = optarg; break;
		case 'd': domain = optarg; break;
		case 'f': items = optarg; break;
		case 'b': mailbox = optarg; break;
		case 'x':
			if (command_count == COMMANDS_MAX)
				stop("too many commands", STR_EMPTY);
			commands[command_count++] = optarg;
			break;
		default: argc = 0;
		}
	}
	for (size_t i = 0; i < countof(protocols) && optind + 2 == argc; i++)
		if (strcmp(protocols[i].name, argv[optind]) == 0)
			protocol = &protocols[i];
	if (protocol == NULL)
		stop("usage: load [-h HOST] [-c CONNECTIONS] [-n MESSAGES-OR-SESSIONS] [-u USERS] "
			"[-s OCTETS]\n\t[-m MESSAGES-TO-RETR-OR-COMMANDS] [-l USER] [-p PASSWORD] [-d DOMAIN] "
			"[-f FETCH-ITEMS]\n\t[-b MAILBOX] [-x COMMAND ...] smtp|imap|pop3|each|script PORT", STR_EMPTY);
	port = argv[optind + 1];
	if (connections > CONNECTIONS_MAX)
		stop("too many connections", STR_EMPTY);
	if (connections > total)
		connections = total;
}

int
main(int argc, char **argv)
{
	take_options(argc, argv);
	make_body();
	started_at = clock_monotonic_ms();
	run();
	printf("%u %lld %llu\n", done, (long long)(clock_monotonic_ms() - started_at),
		(unsigned long long)octets);
	buf_free(&body);
	return 0;
}
