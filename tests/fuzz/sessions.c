/* SPDX-License-Identifier: ISC */
/*
 * Whole sessions of imapd with mutated conversations: the real front until login, the hand-over, and the real keeper
 * with a small account, in one process and one loop; role.c stands in for common/daemon/process.c, this file for the
 * doors and for auth. The seeds are the conversations of tests/imap. Each input must be over within a bound of turns
 * and of time, all its sessions must end with their clients, and neither memory nor descriptors may grow with the number
 * of inputs.
 *
 *	sessions FOLDER INPUTS [SEED [FIRST]]
 *
 * The same seed makes the same inputs. FIRST skips inputs, to come sooner to the one that is named when something
 * breaks: a multiple of GROUP, after which the account is made anew.
 */
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <ftw.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/daemon/front.h"
#include "common/daemon/login.h"
#include "common/daemon/messages.h"
#include "imapd/imapd.h"
#include "maildir/files.h"
#include "tests/fuzz/role.h"

enum {
	GROUP = 100,			/* inputs with one account */
	CONNECTIONS_MAX = 4,		/* of one conversation */
	CHUNKS_MAX = 400,
	INPUT_MAX = 64 * 1024,		/* octets */
	MUTATIONS_MAX = 8,
	QUIET_TURNS = 4,		/* so often nothing moved: all waits for us */
	TURNS_MAX = 100 * 1000,		/* of the loop, for one chunk */
	LAST_TURNS = 10,		/* ... after all sessions were ended */
	CPU_SECONDS_MAX = 20,		/* of one input, with sanitizers on a busy machine */
	GROWTH_MAX = 1024 * 1024,	/* octets in use without an account, after the first tenth */
	PEAK_MAX = 512,			/* MB of memory, with sanitizers too */
	MESSAGES = 12,
};

/* ---- chance ---- */

static uint64_t chance;

static uint64_t
next_chance(void)
{
	chance ^= chance >> 12;
	chance ^= chance << 25;
	chance ^= chance >> 27;
	return chance * 0x2545f4914f6cdd1du;
}

static size_t
below(size_t n)
{
	return n == 0 ? 0 : (size_t)((next_chance() >> 16) % n);
}

/* The input's own, whatever came before. */
static void
set_chance(uint64_t seed, uint64_t number)
{
	chance = (seed + 1) * 0x9e3779b97f4a7c15u ^ (number + 1) * 0xbf58476d1ce4e5b9u;
	for (int i = 0; i < 8; i++)
		(void)next_chance();
}

/* ---- conversations ---- */

enum chunk_kind { CHUNK_OCTETS, CHUNK_EOF };

struct chunk {
	enum chunk_kind kind;
	unsigned connection;
	struct buf octets;
};

struct conversation {
	struct chunk chunks[CHUNKS_MAX];
	size_t count;
	char names[CONNECTIONS_MAX];
};

static struct conversation *seeds;
static size_t seed_count;

static struct chunk *
add_chunk(struct conversation *c, unsigned connection)
{
	if (c->count == CHUNKS_MAX)
		return NULL;
	c->chunks[c->count] = (struct chunk){ .connection = connection };
	return &c->chunks[c->count++];
}

static void
free_chunks(struct conversation *c)
{
	for (size_t i = 0; i < c->count; i++)
		buf_free(&c->chunks[i].octets);
	c->count = 0;
}

/* Their variables: users of ours, and numbers. */
static void
put_expanded(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		size_t n = i + 1;

		if (text.p[i] != '$') {
			buf_put_c(out, text.p[i]);
			continue;
		}
		while (n < text.n && ascii_is_alnum(text.p[n]))
			n++;
		if (str_starts(str_from(text, i + 1), STR("USER")))
			buf_put_z(out, "user@example.test");
		else if (n > i + 1)
			buf_put_z(out, "1");
		else
			buf_put_c(out, '$');
		i = n - 1;
	}
}

static void
put_repeated(struct buf *out, struct str count, char c)
{
	uint32_t n;

	if (str_to_u32(count, &n))
		for (uint32_t i = 0; i < n && i < INPUT_MAX / 4; i++)
			buf_put_c(out, c);
}

/* What R: understands: \r \n \xHH {N*c}. The length of what was taken. */
static size_t
put_escape(struct buf *out, struct str text)
{
	size_t star = str_index(text, '*');

	if (text.p[0] == '{' && star + 2 < text.n && text.p[star + 2] == '}') {
		put_repeated(out, str_sub(text, 1, star - 1), text.p[star + 1]);
		return star + 3;
	}
	if (text.p[0] == '\\' && text.n >= 4 && text.p[1] == 'x' && ascii_hex(text.p[2]) >= 0 &&
	    ascii_hex(text.p[3]) >= 0) {
		buf_put_c(out, (char)(ascii_hex(text.p[2]) * 16 + ascii_hex(text.p[3])));
		return 4;
	}
	if (text.p[0] == '\\' && text.n >= 2 && (text.p[1] == 'r' || text.p[1] == 'n')) {
		buf_put_c(out, text.p[1] == 'r' ? '\r' : '\n');
		return 2;
	}
	buf_put_c(out, text.p[0]);
	return 1;
}

static void
put_raw(struct buf *out, struct str text)
{
	scoped_buf expanded = BUF_INIT;

	put_expanded(&expanded, text);
	text = buf_str(&expanded);
	while (text.n > 0)
		text = str_from(text, put_escape(out, text));
}

/* "text <<END": a message follows, up to the line END. */
static void
put_document(struct buf *out, struct str text, struct str *rest)
{
	size_t mark = str_find(text, STR(" <<"));
	struct str end = str_from(text, mark + 3), line;
	scoped_buf document = BUF_INIT;

	while (str_cut(rest, '\n', &line) && !str_eq(line, end)) {
		buf_put(&document, line);
		buf_put_z(&document, "\r\n");
	}
	put_expanded(out, str_sub(text, 0, mark));
	buf_printf(out, " {%zu+}\r\n", document.n);
	buf_put(out, buf_str(&document));
	buf_put_z(out, "\r\n");
}

static bool
connection_of(struct conversation *c, char name, unsigned *out)
{
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		if (c->names[i] == '\0')
			c->names[i] = name;
		if (c->names[i] != name)
			continue;
		*out = i;
		return true;
	}
	return false;
}

static void
read_line(struct conversation *c, struct str line, struct str *rest)
{
	unsigned connection;
	struct chunk *chunk;
	struct str words = str_from(line, 3);

	if (line.n < 4 || line.p[1] != ':' || !connection_of(c, line.p[0], &connection))
		return;
	if (!str_starts(words, STR("login")) && !str_starts(words, STR("eof")) &&
	    !str_starts(words, STR("close")) && !str_starts(words, STR("C: ")) &&
	    !str_starts(words, STR("R: ")) && !str_starts(words, STR("M: ")))
		return;
	chunk = add_chunk(c, connection);
	if (chunk == NULL)
		return;
	if (str_starts(words, STR("eof")) || str_starts(words, STR("close"))) {
		chunk->kind = CHUNK_EOF;
	} else if (str_starts(words, STR("login"))) {
		buf_put_z(&chunk->octets, "login LOGIN user@example.test secret\r\n");
	} else if (words.p[0] == 'C') {
		put_expanded(&chunk->octets, str_from(words, 3));
		buf_put_z(&chunk->octets, "\r\n");
	} else if (words.p[0] == 'R') {
		put_raw(&chunk->octets, str_from(words, 3));
	} else {
		put_document(&chunk->octets, str_from(words, 3), rest);
	}
}

static void
read_conversation(const char *path)
{
	struct conversation *c;
	scoped_buf text = BUF_INIT;
	scoped_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	struct str rest, line;

	if (fd < 0 || !files_read_all(fd, 1 << 20, &text))
		fatal("%s: %s", path, strerror(errno));
	seeds = xrealloc(seeds, (seed_count + 1) * sizeof(*seeds));
	c = &seeds[seed_count++];
	*c = (struct conversation){ 0 };
	rest = buf_str(&text);
	while (str_cut(&rest, '\n', &line))
		read_line(c, line, &rest);
}

static int
is_conversation(const struct dirent *entry)
{
	return str_ends(str_of(entry->d_name), STR(".conv"));
}

static void
read_conversations(const char *folder)
{
	struct dirent **names;
	int count = scandir(folder, &names, is_conversation, alphasort);

	for (int i = 0; i < count; i++) {
		scoped_buf path = BUF_INIT;

		buf_printf(&path, "%s/%s", folder, names[i]->d_name);
		read_conversation(buf_z(&path));
		free(names[i]);
	}
	if (count <= 0)
		fatal("no conversations in %s", folder);
	free(names);
}

/* ---- mutations ---- */

static const char *const words[] = {
	"\r\n", "\n", "\r", "\"", "\\", "(", ")", "{", "}", "[", "]", "<", ">", "*", "%", "&", "~", "+", " ", "\t", "/",
	"{0}\r\n", "{1}\r\n", "{3+}\r\nabc", "{99999999}\r\n", "{99999999999999999999+}\r\n", "~{2+}\r\n\1", "NIL", "1:*", "*:1", "4294967295",
	"0", "18446744073709551615", "UID ", "x UID FETCH 1:* (FLAGS BODY.PEEK[])\r\n", "x SELECT INBOX\r\n", "x LOGOUT\r\n", "DONE\r\n",
	"x IDLE\r\n", "x NOOP\r\n", "x CLOSE\r\n", "x EXPUNGE\r\n", "x STORE 1:* +FLAGS (\\Deleted)\r\n", "x APPEND INBOX {1+}\r\nx\r\n",
	"x ENABLE UTF8=ACCEPT QRESYNC IMAP4rev2\r\n", "x COMPRESS DEFLATE\r\n", "x FETCH 1:* (ENVELOPE BODYSTRUCTURE PREVIEW BINARY[1])\r\n",
	"x SEARCH RETURN (SAVE ALL) TEXT a\r\n", "x SORT (SUBJECT) UTF-8 ALL\r\n", "x LIST \"\" * RETURN (STATUS (MESSAGES SIZE))\r\n",
	"x UNSELECT\r\n", "x RENAME INBOX y\r\n", "x REPLACE 1 INBOX {1+}\r\nx\r\n", "x COPY 1:* Trash\r\n", "x MOVE 1:2 Trash\r\n", "\\Seen", "$",
	"BODY[1.1.1.HEADER.FIELDS (a)]<0.1>", "\xff", "\xed\x95\x9c", "&1VytbcW0-", "((((((((((((((((", "NOT NOT NOT NOT ", "OR ALL ",
};

static void
insert(struct buf *octets, size_t at, struct str text)
{
	scoped_buf tail = BUF_INIT;

	buf_put(&tail, str_from(buf_str(octets), at));
	buf_cut(octets, at);
	buf_put(octets, text);
	buf_put(octets, buf_str(&tail));
}

static void
remove_range(struct buf *octets, size_t at, size_t n)
{
	scoped_buf tail = BUF_INIT;

	buf_put(&tail, str_from(buf_str(octets), at + n));
	buf_cut(octets, at);
	buf_put(octets, buf_str(&tail));
}

static void
change_number(struct buf *octets, size_t at)
{
	static const char *const numbers[] = { "0", "1", "2", "9", "100", "65536", "4294967295", "4294967296",
		"18446744073709551616" };
	size_t n = 0;

	while (at < octets->n && !ascii_is_digit(octets->p[at]))
		at++;
	while (at + n < octets->n && ascii_is_digit(octets->p[at + n]))
		n++;
	remove_range(octets, at, n);
	insert(octets, at, str_of(numbers[below(countof(numbers))]));
}

static void
mutate_octets(struct buf *octets)
{
	size_t at = below(octets->n + 1), n = 1 + below(20);
	scoped_buf copy = BUF_INIT;

	switch (below(7)) {
	case 0:
		if (at < octets->n)
			octets->p[at] = (char)(octets->p[at] ^ (1 << below(8)));
		break;
	case 1:
		if (at < octets->n)
			octets->p[at] = (char)next_chance();
		break;
	case 2:
		remove_range(octets, at, n < octets->n - at ? n : octets->n - at);
		break;
	case 3:
		buf_put(&copy, str_sub(buf_str(octets), at, n * n));
		insert(octets, at, buf_str(&copy));
		break;
	case 4:
		insert(octets, at, str_of(words[below(countof(words))]));
		break;
	case 5:
		change_number(octets, at);
		break;
	case 6:
		buf_cut(octets, at);
		break;
	}
}

static void
copy_chunk(struct conversation *to, const struct chunk *from, unsigned connection)
{
	struct chunk *chunk = add_chunk(to, connection);

	if (chunk == NULL)
		return;
	chunk->kind = from->kind;
	buf_put(&chunk->octets, buf_str(&from->octets));
}

static void
swap_chunks(struct conversation *c, size_t a, size_t b)
{
	struct chunk chunk = c->chunks[a];

	c->chunks[a] = c->chunks[b];
	c->chunks[b] = chunk;
}

/* Some of another conversation's, from somewhere on, go behind ours. */
static void
add_others(struct conversation *c)
{
	const struct conversation *other = &seeds[below(seed_count)];
	size_t from = below(other->count), n = 1 + below(10);

	for (size_t i = from; i < from + n && i < other->count; i++)
		copy_chunk(c, &other->chunks[i], other->chunks[i].connection);
}

static void
mutate(struct conversation *c)
{
	size_t at = below(c->count);

	if (c->count == 0)
		return;
	switch (below(8)) {
	case 0:
		swap_chunks(c, at, below(c->count));
		break;
	case 1:
		c->chunks[at].kind = CHUNK_OCTETS;
		buf_clear(&c->chunks[at].octets);
		break;
	case 2:
		copy_chunk(c, &c->chunks[at], c->chunks[below(c->count)].connection);
		break;
	case 3:
		add_others(c);
		break;
	default:
		mutate_octets(&c->chunks[at].octets);
		break;
	}
}

static void
make_input(struct conversation *out)
{
	const struct conversation *seed = &seeds[below(seed_count)];
	size_t mutations = below(16) == 0 ? 0 : 1 + below(MUTATIONS_MAX), octets = 0;

	*out = (struct conversation){ 0 };
	for (size_t i = 0; i < seed->count; i++)
		copy_chunk(out, &seed->chunks[i], seed->chunks[i].connection);
	while (mutations-- > 0)
		mutate(out);
	for (size_t i = 0; i < out->count; i++) {
		octets += out->chunks[i].octets.n;
		if (octets > INPUT_MAX)
			buf_clear(&out->chunks[i].octets);
	}
}

/* ---- what the server has around it ---- */

static struct process *keeper;
static struct process front;
static struct process_inside front_inside;
static const struct front_frame *frame;
static size_t connections, connections_left;
static uint64_t logins, answers;

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
	frame = its;
}

void
front_leave(struct process *p, void *place)
{
	(void)p;
	(void)place;
	connections_left++;
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
	if (!keeper->inside->handlers.on_message(keeper, ROLE_MASTER, 0, &m))
		fatal("the keeper did not take a session");
	logins++;
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

static void
make_account(void)
{
	const struct account_options options = { .address = keeper->label, .daemon = "imapd" };
	const struct keeper_grant grant = { .address = keeper->label, .maildir = STR("/"),
		.uid = (uid_t)-1, .gid = (gid_t)-1, .quota_messages = 300, .quota_bytes = 4 << 20 };
	scoped_buf path = BUF_INIT;
	struct account *account;

	buf_printf(&path, "%s/maildir", role_folder());
	if (account_open(open_maildir(buf_z(&path)), &options, &account) != STORE_OK)
		fatal("no account");
	for (size_t i = 0; i < MESSAGES; i++)
		put_message(account, str_of(messages[i % countof(messages)]));
	account_close(account);
	keeper_start(keeper, &grant, open_maildir(buf_z(&path)));
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void
drop_account(void)
{
	scoped_buf path = BUF_INIT;

	keeper->inside->handlers.on_stop(keeper);
	/* What is said last is still on its way. */
	for (int turns = 0; turns < LAST_TURNS; turns++)
		event_base_loop(loop_base(front.loop), EVLOOP_NONBLOCK);
	buf_printf(&path, "%s/maildir", role_folder());
	if (nftw(buf_z(&path), remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
		fatal("the account cannot be removed: %s", strerror(errno));
}

/* ---- an input ---- */

struct client {
	int fd;			/* -1: not open */
	struct buf unsent;
	bool eof;
};

struct play {
	struct client clients[CONNECTIONS_MAX];
	bool deaf;		/* nothing is read before all has been said */
};

static void
connect_client(struct client *client)
{
	struct front_connection connection = { .door = &door, .plaintext_login = true, .place = client };
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
		fatal("no socket: %s", strerror(errno));
	client->fd = ends[0];
	connection.stream = stream_new(front.loop, ends[1], NULL, NULL);
	connections++;
	frame->connection(&front, &connection);
}

static bool
write_some(struct client *client)
{
	ssize_t n;

	if (client->fd < 0 || client->unsent.n == 0)
		return false;
	n = send(client->fd, client->unsent.p, client->unsent.n, MSG_NOSIGNAL);
	if (n > 0)
		buf_take(&client->unsent, (size_t)n);
	else if (errno != EAGAIN)
		buf_clear(&client->unsent);
	return n > 0;
}

static bool
read_some(struct client *client)
{
	char octets[65536];
	ssize_t n;

	if (client->fd < 0)
		return false;
	n = recv(client->fd, octets, sizeof(octets), 0);
	for (ssize_t i = 0; i < n; i++)
		answers += octets[i] == '\n';
	return n > 0;
}

static bool
move_octets(struct play *play, bool reads)
{
	bool moved = false;

	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		moved |= write_some(&play->clients[i]);
		if (reads)
			moved |= read_some(&play->clients[i]);
	}
	return moved;
}

/* Until all wait for more. */
static void
settle(struct play *play, bool reads)
{
	size_t turns = 0;

	for (int quiet = 0; quiet < QUIET_TURNS; turns++) {
		event_base_loop(loop_base(front.loop), EVLOOP_NONBLOCK);
		quiet = move_octets(play, reads) ? 0 : quiet + 1;
		if (turns == TURNS_MAX)
			fatal("it does not come to rest");
	}
}

static void
say(struct play *play, const struct chunk *chunk)
{
	struct client *client = &play->clients[chunk->connection];

	if (client->fd < 0)
		connect_client(client);
	if (client->eof)
		return;
	buf_put(&client->unsent, buf_str(&chunk->octets));
	settle(play, !play->deaf);
	if (chunk->kind != CHUNK_EOF)
		return;
	shutdown(client->fd, SHUT_WR);
	client->eof = true;
}

static void
end_all(struct play *play)
{
	settle(play, true);
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		buf_free(&play->clients[i].unsent);
		close_fd(&play->clients[i].fd);
	}
	for (size_t turns = 0; connections_left < connections; turns++) {
		event_base_loop(loop_base(front.loop), EVLOOP_NONBLOCK);
		if (turns == TURNS_MAX)
			fatal("a session does not end with its client");
	}
}

static void
play_input(const struct conversation *input)
{
	struct play play = { .deaf = below(8) == 0 };

	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		play.clients[i].fd = -1;
	for (size_t i = 0; i < input->count; i++)
		say(&play, &input->chunks[i]);
	end_all(&play);
}

/* ---- all of them ---- */

static double
seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

/* Of the heap, exactly. */
static size_t
octets_in_use(void)
{
	if (__sanitizer_get_current_allocated_bytes != NULL)
		return __sanitizer_get_current_allocated_bytes();
	return mallinfo2().uordblks;
}

/* Of memory, at most, ever. */
static size_t
peak_megabytes(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss >> 10 : 0;
}

/* Those that are open; .what tells of each. */
static size_t
descriptors(struct buf *what)
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;
	char target[300];
	size_t count = 0;
	ssize_t n;

	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		n = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target));
		if (n > 0)
			buf_printf(what, "%s%.*s", count++ > 0 ? ", " : "", (int)n, target);
	}
	if (folder != NULL)
		closedir(folder);
	return count;
}

static void
run_one(uint64_t seed, uint64_t number, double *slowest)
{
	/* A hang ends here, with the number of the input in its parent's hands. */
	const struct itimerval limit = { .it_value.tv_sec = CPU_SECONDS_MAX };
	struct conversation input;
	double before = seconds(CLOCK_PROCESS_CPUTIME_ID), took;

	setitimer(ITIMER_PROF, &limit, NULL);
	set_chance(seed, number);
	make_input(&input);
	play_input(&input);
	free_chunks(&input);
	took = seconds(CLOCK_PROCESS_CPUTIME_ID) - before;
	*slowest = took > *slowest ? took : *slowest;
}

/* role.c lets nobody hear anything. */
static void
tell_the_last_word(struct str line)
{
	if (str_find(line, STR("fatal")) < line.n)
		(void)!write(STDERR_FILENO, line.p, line.n);
}

static void
run_all(uint64_t seed, uint64_t first, uint64_t count, _Atomic uint64_t *at)
{
	size_t warm = 0, now = 0, open_now, open_before = 0;
	double slowest = 0, began = seconds(CLOCK_MONOTONIC);
	scoped_buf what = BUF_INIT;

	keeper = role_process(ROLE_KEEPER, &service, "");
	log_set_sink(tell_the_last_word);
	front = *keeper;
	front.role = ROLE_FRONT;
	front.inside = &front_inside;
	front_start(&front);
	for (uint64_t number = first; number < first + count; number++) {
		*at = number;
		if ((number - first) % GROUP == 0)
			make_account();
		run_one(seed, number, &slowest);
		if ((number - first) % GROUP != GROUP - 1 && number != first + count - 1)
			continue;
		drop_account();
		buf_clear(&what);
		now = octets_in_use();
		open_now = descriptors(&what);
		if (open_before != 0 && open_now > open_before)
			fatal("%zu descriptors are open, there were %zu: %s", open_now, open_before, buf_z(&what));
		open_before = open_now;
		if (number - first < count / 10 || warm == 0)
			warm = now;
		if (now > warm + GROWTH_MAX)
			fatal("%zu octets are in use, there were %zu", now, warm);
		if (peak_megabytes() > PEAK_MAX)
			fatal("%zu MB of memory were needed at once", peak_megabytes());
	}
	printf("%llu inputs from %llu on, seed %llu: %llu sessions, %llu logins, %llu lines of answers; %.0f a second, the slowest "
	    "%.2f s; %zu octets in use after a tenth, %zu at the end; %zu MB at most\n", (unsigned long long)count, (unsigned long long)first,
	    (unsigned long long)seed, (unsigned long long)connections, (unsigned long long)logins, (unsigned long long)answers,
	    (double)count / (seconds(CLOCK_MONOTONIC) - began), slowest, warm, now, peak_megabytes());
	if (logins < count / 2 && count >= GROUP)
		fatal("most inputs do not get to a mailbox");
}

static uint64_t
argument(int argc, char **argv, int n, uint64_t otherwise)
{
	uint64_t number = otherwise;

	if (n < argc && !str_to_u64(str_of(argv[n]), &number))
		fatal("%s is no number", argv[n]);
	return number;
}

const char *__asan_default_options(void);

/* Freed memory that is held back looks like growth. */
const char *
__asan_default_options(void)
{
	return "quarantine_size_mb=8:detect_leaks=0";
}

int
main(int argc, char **argv)
{
	uint64_t count = argument(argc, argv, 2, 3 * GROUP), seed = argument(argc, argv, 3, 1);
	uint64_t first = argument(argc, argv, 4, 0);
	_Atomic uint64_t *at = mmap(NULL, sizeof(*at), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const char *source = getenv("srcdir");
	scoped_buf folder = BUF_INIT;
	int status;
	pid_t child;

	buf_printf(&folder, "%s/tests/imap", source != NULL ? source : ".");
	read_conversations(argc > 1 ? argv[1] : buf_z(&folder));
	child = fork();
	if (child == 0) {
		run_all(seed, first, count, at);
		exit(0);
	}
	if (at == MAP_FAILED || child < 0 || waitpid(child, &status, 0) != child)
		fatal("no child: %s", strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	fprintf(stderr, "input %llu of seed %llu: %s %d\n", (unsigned long long)*at, (unsigned long long)seed,
	    WIFSIGNALED(status) ? "signal" : "exit code", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return 1;
}
