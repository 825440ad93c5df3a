/* SPDX-License-Identifier: ISC */
/*
 * The server in one process and one loop: the real front until login, the hand-over, and the real keeper with a small
 * account. role.c stands in for common/daemon/process.c, this file for the doors and for auth.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/daemon/front.h"
#include "common/daemon/login.h"
#include "common/daemon/messages.h"
#include "imapd/imapd.h"
#include "tests/fuzz/role.h"
#include "tests/fuzz/sessions.h"

enum {
	MESSAGES = 12,
	LONG_LINES = 600,	/* of the last one, whose octets go from its file */
	LAST_TURNS = 10,	/* of the loop, after all sessions were ended */
};

static struct {
	struct process *keeper;
	struct process front;
	struct process_inside front_inside;
	const struct front_frame *frame;
	uint64_t connections, left, logins;
} server;

static const struct service service = { .name = "imapd", .protocol = "imap" };
static const struct service_door door = { .name = "imap" };

struct question {
	struct timer *timer;
	login_answered *call;
	void *context;
	bool right;
};

void
front_run(struct process *p, const struct front_frame *its)
{
	(void)p;
	server.frame = its;
}

void
front_leave(struct process *p, void *place)
{
	(void)p;
	(void)place;
	server.left++;
}

void
front_know(struct process *p, void *place)
{
	(void)p;
	(void)place;
}

struct tls_context *
front_tls(struct process *p)
{
	(void)p;
	return NULL;
}

void
question_cancel(struct question *q)
{
	if (q == NULL)
		return;
	timer_free(q->timer);
	free(q);
}

static void
open_session(int fd)
{
	scoped_buf message = BUF_INIT;
	struct msg m;

	msg_begin(&message, MSG_SESSION_OPEN);
	msg_put_str(&message, STR("abcdefghijklmnop"));
	msg_put_str(&message, STR("127.0.0.1"));
	msg_put_bool(&message, false);
	if (!msg_parse(buf_str(&message), &m))
		fatal("no message");
	m.fd = fd;
	if (!server.keeper->inside->handlers.on_message(server.keeper, ROLE_MASTER, 0, &m))
		fatal("the keeper did not take a session");
	server.logins++;
}

static void
answer(void *context)
{
	struct question *q = context;
	login_answered *call = q->call;
	void *caller = q->context;
	bool right = q->right;
	int ends[2];

	question_cancel(q);
	if (right && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0) {
		open_session(ends[1]);
		call(caller, LOGIN_OK, STR("user@example.test"), ends[0]);
		return;
	}
	call(caller, LOGIN_WRONG, STR_EMPTY, -1);
}

struct question *
login_ask(struct process *p, const struct login_question *asked, login_answered *call, void *context)
{
	struct question *q = xcalloc(1, sizeof(*q));

	q->timer = timer_new(p->loop, answer, q);
	q->call = call;
	q->context = context;
	q->right = str_eq(asked->password, STR("secret"));
	timer_set(q->timer, 0);
	return q;
}

/* role.c lets nobody hear anything. */
static void
tell_the_last_word(struct str line)
{
	if (str_find(line, STR("fatal")) < line.n)
		(void)!write(STDERR_FILENO, line.p, line.n);
}

void
server_start(void)
{
	server.keeper = role_process(ROLE_KEEPER, &service, "");
	log_set_sink(tell_the_last_word);
	server.front = *server.keeper;
	server.front.role = ROLE_FRONT;
	server.front.inside = &server.front_inside;
	front_start(&server.front);
}

void
server_connect(int fd, void *place)
{
	struct front_connection connection = { .door = &door, .plaintext_login = true, .place = place };

	connection.stream = stream_new(server.front.loop, fd, NULL, NULL);
	server.connections++;
	server.frame->connection(&server.front, &connection);
}

void
server_turn(void)
{
	event_base_loop(loop_base(server.front.loop), EVLOOP_NONBLOCK);
}

bool
server_is_alone(void)
{
	return server.left == server.connections;
}

uint64_t
server_connections(void)
{
	return server.connections;
}

uint64_t
server_logins(void)
{
	return server.logins;
}

/* ---- the account ---- */

static void
put_message(struct account *account, struct str octets)
{
	struct append *append;
	struct appended appended;

	if (append_begin(account, &(struct append_options){ .mailbox = STR("INBOX") }, &append) != STORE_OK ||
	    append_write(append, octets) != STORE_OK ||
	    append_publish(append, false, &appended) != STORE_OK)
		fatal("the account cannot be filled");
}

static const char *const messages[] = {
	"From: Ann <ann@a.test>\r\nTo: bob@b.test\r\nSubject: hello\r\nDate: Sat, 21 Nov 2026 18:48:32 +0000\r\n"
	    "Message-ID: <1@a.test>\r\n\r\nHi Bob\r\n",
	"Subject: =?utf-8?B?7ZWc6rWt?=\r\nReferences: <1@a.test>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n"
	    "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ninner\r\n--b\r\nContent-Type: text/html; charset=koi8-r\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\n<b>=C1</b>\r\n--b--\r\n",
	"\r\nno header\r\n", "Subject: no body", "From: \xff <\xff@x>\r\n\r\n\x01\r\n",
	"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8gd29ybGQ=\r\n",
};

static void
put_long_message(struct account *account)
{
	scoped_buf octets = BUF_INIT;

	buf_put_z(&octets, "Subject: long\r\n\r\n");
	for (int i = 0; i < LONG_LINES; i++)
		buf_printf(&octets, "%060d\r\n", i);
	put_message(account, buf_str(&octets));
}

static int
open_maildir(const char *path)
{
	int fd;

	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		fatal("%s: %s", path, strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fatal("%s: %s", path, strerror(errno));
	return fd;
}

/* Of accounts that were dropped. */
static struct buf rooms;

void
make_account(void)
{
	const struct account_options options = { .address = server.keeper->label, .daemon = "imapd" };
	const struct keeper_grant grant = { .address = server.keeper->label, .maildir = STR("/"),
		.uid = (uid_t)-1, .gid = (gid_t)-1, .quota_messages = 300, .quota_bytes = 4 << 20 };
	scoped_buf path = BUF_INIT;
	struct account *account;

	buf_printf(&path, "%s/maildir", role_folder());
	if (account_open(open_maildir(buf_z(&path)), &options, &account) != STORE_OK)
		fatal("no account");
	for (size_t i = 1; i < MESSAGES; i++)
		put_message(account, str_of(messages[i % countof(messages)]));
	put_long_message(account);
	account_close(account);
	keeper_start(server.keeper, &grant, open_maildir(buf_z(&path)));
}

void
drop_account(void)
{
	scoped_buf path = BUF_INIT;
	void *room = server.keeper->state;

	server.keeper->inside->handlers.on_stop(server.keeper);
	/* What is said last is still on its way. */
	for (int turns = 0; turns < LAST_TURNS; turns++)
		server_turn();
	/* A keeper has one account, and ends with it: what they shared is its end's to free, so it is no leak. */
	buf_put(&rooms, (struct str){ (const char *)&room, sizeof(room) });
	buf_printf(&path, "%s/maildir", role_folder());
	if (!role_remove(buf_z(&path)))
		fatal("the account cannot be removed: %s", strerror(errno));
}
