/* SPDX-License-Identifier: ISC */
#include "tests/fuzz/role.h"

#include <event2/event.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/id.h"
#include "common/base/log.h"
#include "common/daemon/sandbox.h"

enum { LETTERS_MAX = 60 * 1024, FOLDER_DEPTH = 16 };

static struct process the_process;
static struct process_inside the_inside;
static char folder[] = "/tmp/trivet-fuzz-XXXXXX";
static char folder_in_memory[] = "/dev/shm/trivet-fuzz-XXXXXX";
static char *folder_made;
static uint64_t asked[ROLE_ASKED];	/* the last first */
static struct buf ids;			/* of this run, one after the other */

/* ---- what process.c is to a role ---- */

const char *
role_name(enum role role)
{
	(void)role;
	return "role";
}

void
process_handle(struct process *p, const struct process_handlers *handlers)
{
	p->inside->handlers = *handlers;
}

bool
process_send(struct process *p, enum role to, unsigned index, struct buf *message, int fd)
{
	struct msg m;

	(void)p;
	(void)to;
	(void)index;
	if (!msg_parse(buf_str(message), &m))
		fatal("a message without a type is sent");
	if (message->n > IPC_MESSAGE_MAX)
		fatal("a message beyond the limit is sent");
	memmove(asked + 1, asked, sizeof(asked) - sizeof(*asked));
	asked[0] = msg_get_u64(&m);
	close_fd(&fd);
	buf_wipe(message);
	return true;
}

bool
process_has_peer(const struct process *p, enum role role, unsigned index)
{
	(void)p;
	(void)role;
	return index < ROLE_PEERS;
}

bool
process_is_full(const struct process *p, enum role role, unsigned index)
{
	(void)p;
	(void)role;
	(void)index;
	return false;
}

/* No signer answers here: a handshake fails, as with one that died. */
bool
process_ask(struct process *p, enum role to, unsigned index, struct buf *message, int64_t ms,
    struct buf *answer)
{
	(void)p;
	(void)to;
	(void)index;
	(void)ms;
	(void)answer;
	buf_wipe(message);
	return false;
}

bool
process_next_peer(const struct process *p, enum role role, size_t *at, unsigned *index)
{
	(void)p;
	(void)role;
	if (*at >= ROLE_PEERS)
		return false;
	*index = (unsigned)(*at)++;
	return true;
}

enum log_level
process_log_level(const struct settings *settings)
{
	(void)settings;
	return LOG_LEVEL_ERROR;
}

const struct process_door *
process_doors(const struct process *p, size_t *count)
{
	(void)p;
	*count = 0;
	return NULL;
}

void
process_close_doors(struct process *p)
{
	(void)p;
}

void
process_end(struct process *p)
{
	(void)p;
}

void
process_became_helper(int keep)
{
	(void)keep;
	fatal("no helper here");
}

_Noreturn void
process_fail(struct process *p, const char *format, ...)
{
	(void)p;
	fatal("the role gives up: %s", format);
}

/* ---- the process ---- */

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

bool
role_remove(const char *path)
{
	return nftw(path, remove_one, FOLDER_DEPTH, FTW_DEPTH | FTW_PHYS) == 0;
}

static void
remove_folder(void)
{
	(void)role_remove(folder_made);
}

const char *
role_folder(void)
{
	if (folder_made != NULL)
		return folder_made;
	folder_made = mkdtemp(folder_in_memory);
	if (folder_made == NULL)
		folder_made = mkdtemp(folder);
	if (folder_made == NULL)
		fatal("cannot make a folder");
	atexit(remove_folder);
	return folder_made;
}

static void
log_nothing(struct str line)
{
	(void)line;
}

struct process *
role_process(enum role role, const struct service *service, const char *more)
{
	scoped_buf text = BUF_INIT;
	char *why = NULL;

	log_set_sink(log_nothing);
	sandbox_set(&(struct sandbox_options){ .off = true });
	buf_printf(&text, "hostname = mx.example\nstate_dir = %s\nmail_dir = %s/mail\n%s\n",
	    role_folder(), role_folder(), more);
	the_process = (struct process){ .service = service, .role = role, .loop = loop_new(),
		.label = STR("alice@example.test"), .inside = &the_inside };
	the_process.settings = settings_parse("/trivet.conf", buf_str(&text), &why);
	if (the_process.settings == NULL)
		fatal("settings: %s", why);
	return &the_process;
}

static void
turn(const struct process *p)
{
	event_base_loop(loop_base(p->loop), EVLOOP_NONBLOCK);
}

/* ---- the script ---- */

struct play {
	struct process *process;
	const struct role_kind *kinds;
	size_t count;
	const struct role_kind *kind;	/* of the message being put together; NULL: none */
	unsigned index;
	struct buf message;
	int fd;
	unsigned turns;
};

static uint64_t
number_of(struct str text)
{
	uint64_t number = 0;

	return str_to_u64(text, &number) ? number : 0;
}

static uint64_t
next_number(struct str *rest)
{
	struct str word;

	return str_word(rest, &word) ? number_of(word) : 0;
}

/* As ipc.c does it: what the handler leaves of the descriptor is closed; a bad message ends the channel. */
static void
deliver(struct play *play)
{
	struct process *p = play->process;
	enum role from = play->kind != NULL ? play->kind->from : ROLE_MASTER;
	struct msg m;

	if (play->kind == NULL)
		return;
	play->kind = NULL;
	if (!msg_parse(buf_str(&play->message), &m))
		fatal("a message without a type");
	m.fd = play->fd;
	play->fd = -1;
	if (play->message.n <= IPC_MESSAGE_MAX &&
	    !p->inside->handlers.on_message(p, from, play->index, &m) &&
	    from != ROLE_MASTER && p->inside->handlers.on_peer_lost != NULL)
		p->inside->handlers.on_peer_lost(p, from, play->index);
	close_fd(&m.fd);
	buf_clear(&play->message);
}

static void
begin(struct play *play, struct str rest)
{
	deliver(play);
	play->kind = &play->kinds[next_number(&rest) % play->count];
	play->index = (unsigned)(next_number(&rest) % ROLE_PEERS);
	msg_begin(&play->message, play->kind->type);
}

static void
put_letters(struct buf *out, uint64_t count)
{
	scoped_buf letters = BUF_INIT;
	size_t n = count < LETTERS_MAX ? (size_t)count : LETTERS_MAX;

	memset(buf_room(&letters, n), 'a', n);
	buf_added(&letters, n);
	msg_put_str(out, buf_str(&letters));
}

static void
put_id(struct buf *out, uint64_t n)
{
	msg_put_str(out, str_sub(buf_str(&ids), n % ROLE_PEERS * ID_LENGTH, ID_LENGTH));
}

static void
attach_file(struct play *play, struct str text)
{
	close_fd(&play->fd);
	play->fd = memfd_create("message", MFD_CLOEXEC);
	if (play->fd >= 0 && write(play->fd, text.p, text.n) != (ssize_t)text.n)
		close_fd(&play->fd);
}

static void
attach_socket(struct play *play, struct str text)
{
	int ends[2];

	close_fd(&play->fd);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
		return;
	play->fd = ends[0];
	if (write(ends[1], text.p, text.n) != (ssize_t)text.n)
		close_fd(&play->fd);
	close(ends[1]);
}

static void
peer_comes(struct play *play, struct str rest)
{
	enum role role = (enum role)(next_number(&rest) % ROLE_COUNT);
	unsigned index = (unsigned)(next_number(&rest) % ROLE_PEERS);
	struct process *p = play->process;

	if (p->inside->handlers.on_peer != NULL)
		p->inside->handlers.on_peer(p, role, index, str_from(rest, 1));
}

static void
peer_goes(struct play *play, struct str rest)
{
	enum role role = (enum role)(next_number(&rest) % ROLE_COUNT);
	unsigned index = (unsigned)(next_number(&rest) % ROLE_PEERS);
	struct process *p = play->process;

	if (p->inside->handlers.on_peer_lost != NULL)
		p->inside->handlers.on_peer_lost(p, role, index);
}

static void
put_field(struct play *play, char letter, struct str rest)
{
	struct buf *out = &play->message;

	switch (letter) {
	case '1': msg_put_u8(out, (uint8_t)number_of(rest)); break;
	case '4': msg_put_u32(out, (uint32_t)number_of(rest)); break;
	case '8': msg_put_u64(out, number_of(rest)); break;
	case 'b': msg_put_bool(out, number_of(rest) & 1); break;
	case 's': msg_put_str(out, rest); break;
	case 'l': put_letters(out, number_of(rest)); break;
	case 'i': put_id(out, number_of(rest)); break;
	case 'q': msg_put_u64(out, asked[number_of(rest) % ROLE_ASKED]); break;
	case 'x': buf_put(out, rest); break;
	case 'f': play->kind->line ? attach_socket(play, rest) : attach_file(play, rest); break;
	case 'c': attach_socket(play, rest); break;
	}
}

static void
play_line(struct play *play, struct str line)
{
	char letter = line.n > 0 ? line.p[0] : '\0';
	struct str rest = str_from(line, 2);

	if (letter == 'm') {
		begin(play, rest);
	} else if (letter == 'p' || letter == 'g' || letter == 'w') {
		deliver(play);
		if (letter == 'p')
			peer_comes(play, rest);
		else if (letter == 'g')
			peer_goes(play, rest);
		else if (play->turns++ < ROLE_TURNS_MAX)
			turn(play->process);
	} else if (play->kind != NULL) {
		put_field(play, letter, rest);
	}
}

static void
end(struct play *play)
{
	struct process *p = play->process;

	for (size_t k = 0; k < play->count; k++)
		for (unsigned index = 0; index < ROLE_PEERS; index++)
			if (play->kinds[k].from != ROLE_MASTER &&
			    p->inside->handlers.on_peer_lost != NULL)
				p->inside->handlers.on_peer_lost(p, play->kinds[k].from, index);
	turn(p);
	turn(p);
}

void
role_play(struct process *p, const struct role_kind *kinds, size_t count, struct str script)
{
	struct play play = { .process = p, .kinds = kinds, .count = count, .fd = -1 };
	struct str line;

	buf_clear(&ids);
	for (size_t i = 0; i < ROLE_PEERS; i++)
		id_put_new(&ids);
	while (str_cut(&script, '\n', &line))
		play_line(&play, line);
	deliver(&play);
	close_fd(&play.fd);
	buf_free(&play.message);
	end(&play);
}
