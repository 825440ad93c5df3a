/* SPDX-License-Identifier: ISC */
/*
 * A child's side of the daemon: its channel to master, its channels to other roles, and its end.
 * A child never outlives master: when the control channel closes, it ends.
 */
#include "common/daemon/process.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/map.h"
#include "common/daemon/crowd.h"
#include "common/daemon/login.h"
#include "common/daemon/messages.h"
#include "common/daemon/process_inside.h"
#include "common/daemon/recorder.h"
#include "common/daemon/sandbox.h"
#include "common/daemon/title.h"
#include "common/net/stream.h"

enum {
	LAST_MOMENT_MS = 5000,
	MEMORY_KEPT = 2 * 1024 * 1024,
	MEMORY_KEPT_ELSE = 256 * 1024,
	SETTINGS_CHUNK = 16 * 1024,
	PIECE_MAX = 4096, COARSE = 256, FINE_MAX = 1024, FINE = 16,	/* malloc's sizes */
};

struct peer {
	struct process *process;
	enum role role;
	unsigned index;
	struct ipc *ipc;
};

static const char *const role_names[ROLE_COUNT] = {
	[ROLE_MASTER] = "master", [ROLE_FRONT] = "front", [ROLE_AUTH] = "auth",
	[ROLE_AUTH_HASH] = "auth: hash", [ROLE_AUTH_PAM] = "auth: pam",
	[ROLE_KEEPER] = "keeper", [ROLE_QUEUE] = "queue", [ROLE_COURIER] = "courier",
	[ROLE_SYNCER] = "syncer",
	[ROLE_SIGNER] = "signer", [ROLE_RECORDER] = "recorder",
	[ROLE_NURSERY] = "nursery",
};

const char *
role_name(enum role role)
{
	return role < ROLE_COUNT ? role_names[role] : "unknown";
}

/* ---- the log ---- */

/* Who reads the log wants all that happens; the file gets what log_level says. */
static void
set_log_level(const struct process *p)
{
	enum log_level level = process_log_level(p->settings);

	if (p->service->trace != NULL && level < LOG_LEVEL_INFO)
		level = LOG_LEVEL_INFO;
	log_set_level(level);
}

enum log_level
process_log_level(const struct settings *settings)
{
	const char *word = settings->log_level;

	return strcmp(word, "error") == 0 ? LOG_LEVEL_ERROR :
	    strcmp(word, "warn") == 0 ? LOG_LEVEL_WARN :
	    strcmp(word, "debug") == 0 ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
}

/* ---- peers ---- */

static bool on_peer_message(void *context, struct ipc *, struct msg *);
static void on_peer_closed(void *context, struct ipc *);
static void on_peer_drained(void *context, struct ipc *);

static const struct ipc_handlers peer_handlers = {
	.received = on_peer_message, .closed = on_peer_closed, .drained = on_peer_drained,
};

struct peer_key {
	uint32_t role;
	uint32_t index;
};

static struct str
key_of(const struct peer_key *key)
{
	return (struct str){ (const char *)key, sizeof(*key) };
}

static struct peer *
find_peer(const struct process *p, enum role role, unsigned index)
{
	struct peer_key key = { role, index };

	return map_get(p->inside->peers, key_of(&key));
}

static void
forget_peer(struct peer *peer)
{
	struct peer_key key = { peer->role, peer->index };

	map_remove(peer->process->inside->peers, key_of(&key));
	ipc_free(peer->ipc);
	free(peer);
}

static void
meet_peer(struct process *p, enum role role, unsigned index, struct str label, int fd)
{
	struct peer_key key = { role, index };
	struct peer *peer = find_peer(p, role, index);

	if (peer != NULL)
		forget_peer(peer);
	peer = xcalloc(1, sizeof(*peer));
	peer->process = p;
	peer->role = role;
	peer->index = index;
	peer->ipc = ipc_new(p->loop, fd, &peer_handlers, peer);
	map_set(p->inside->peers, key_of(&key), peer);
	if (p->inside->handlers.on_peer != NULL)
		p->inside->handlers.on_peer(p, role, index, label);
}

static bool
on_peer_message(void *context, struct ipc *ipc, struct msg *m)
{
	struct peer *peer = context;
	struct process *p = peer->process;

	(void)ipc;
	if (p->inside->handlers.on_message == NULL)
		return p->inside->ended;
	return p->inside->handlers.on_message(p, peer->role, peer->index, m);
}

static void
on_peer_closed(void *context, struct ipc *ipc)
{
	struct peer *peer = context;
	struct process *p = peer->process;
	enum role role = peer->role;
	unsigned index = peer->index;

	(void)ipc;
	forget_peer(peer);
	if (p->inside->handlers.on_peer_lost != NULL)
		p->inside->handlers.on_peer_lost(p, role, index);
}

static void
on_peer_drained(void *context, struct ipc *ipc)
{
	struct peer *peer = context;
	struct process *p = peer->process;

	(void)ipc;
	if (p->inside->handlers.on_drained != NULL)
		p->inside->handlers.on_drained(p, peer->role, peer->index);
}

bool
process_send(struct process *p, enum role to, unsigned index, struct buf *message, int fd)
{
	struct peer *peer;

	if (to == ROLE_MASTER) {
		ipc_send(p->inside->master, message, fd);
		return true;
	}
	peer = find_peer(p, to, index);
	if (peer == NULL) {
		close_fd(&fd);
		buf_wipe(message);
		return false;
	}
	ipc_send(peer->ipc, message, fd);
	return true;
}

bool
process_ask(struct process *p, enum role to, unsigned index, struct buf *message, int64_t ms,
    struct buf *answer)
{
	struct peer *peer = find_peer(p, to, index);

	if (peer == NULL) {
		buf_wipe(message);
		return false;
	}
	return ipc_ask(peer->ipc, message, ms, answer);
}

bool
process_next_peer(const struct process *p, enum role role, size_t *at, unsigned *index)
{
	struct str key;
	void *value;

	while (map_next(p->inside->peers, at, &key, &value)) {
		const struct peer *peer = value;

		*index = peer->index;
		if (peer->role == role)
			return true;
	}
	return false;
}

bool
process_has_peer(const struct process *p, enum role role, unsigned index)
{
	return find_peer(p, role, index) != NULL;
}

bool
process_is_full(const struct process *p, enum role role, unsigned index)
{
	struct peer *peer = find_peer(p, role, index);

	return peer != NULL && ipc_is_full(peer->ipc);
}

const struct process_door *
process_doors(const struct process *p, size_t *count)
{
	*count = p->inside->door_count;
	return p->inside->doors;
}

void
process_handle(struct process *p, const struct process_handlers *handlers)
{
	p->inside->handlers = *handlers;
}

/* ---- master's words ---- */

/* master read and checked it, when walls were between us and the file. All have one open file: no offset is used. */
static struct settings *
take_settings(const char *path, struct str host_name, int fd, char **why)
{
	scoped_buf text = BUF_INIT;
	ssize_t n;

	while ((n = pread(fd, buf_room(&text, SETTINGS_CHUNK), SETTINGS_CHUNK, (off_t)text.n)) > 0)
		buf_added(&text, (size_t)n);
	if (n < 0) {
		*why = xstrdup(strerror(errno));
		return NULL;
	}
	return settings_parse_for(path, buf_str(&text), host_name, why);
}

static void
reload(struct process *p, struct str host_name, int fd)
{
	struct settings *old = (struct settings *)(uintptr_t)p->settings;
	struct settings *fresh;
	char *why;

	fresh = take_settings(old->config_path, host_name, fd, &why);
	if (fresh == NULL) {
		log_error(NULL, "reload.failed", KV("why", why));
		free(why);
		return;
	}
	p->settings = fresh;
	set_log_level(p);
	if (p->inside->handlers.on_reload != NULL)
		p->inside->handlers.on_reload(p);
	settings_free(old);
}

static void
last_moment(void *context)
{
	struct process *p = context;

	loop_stop(p->loop);
}

static void
stop(struct process *p)
{
	if (p->inside->stopping)
		return;
	p->inside->stopping = true;
	p->inside->last_moment = timer_new(p->loop, last_moment, p);
	timer_set(p->inside->last_moment, LAST_MOMENT_MS);
	if (p->inside->handlers.on_stop != NULL)
		p->inside->handlers.on_stop(p);
	else
		process_end(p);
}

void
process_end(struct process *p)
{
	p->inside->ended = true;
	p->inside->handlers = (struct process_handlers){ 0 };
	p->inside->on_drain = NULL;
	loop_stop(p->loop);
}

static bool
on_master_message(void *context, struct ipc *ipc, struct msg *m)
{
	struct process *p = context;
	struct str label;
	unsigned index;
	uint8_t role;

	(void)ipc;
	switch (m->type) {
	case MSG_PEER:
		role = msg_get_u8(m);
		index = msg_get_u32(m);
		label = msg_get_str(m);
		if (!msg_end(m) || role >= ROLE_COUNT)
			return false;
		/* Out of descriptors: what is open goes on without that peer, until it is a new one. */
		if (m->fd < 0)
			return true;
		meet_peer(p, role, index, label, msg_take_fd(m));
		return true;
	case MSG_NEW_LOG:
		if (m->fd >= 0 && p->inside->on_new_log != NULL)
			p->inside->on_new_log(p, msg_take_fd(m));
		return true;
	case MSG_RELOAD:
		label = msg_get_str(m);
		if (!msg_end(m))
			return false;
		/* Out of descriptors: the settings stay as they are. */
		if (m->fd >= 0)
			reload(p, label, m->fd);
		return true;
	case MSG_STOP:
		stop(p);
		return true;
	case MSG_DRAIN:
		if (p->inside->on_drain != NULL)
			p->inside->on_drain(p);
		else if (p->inside->handlers.on_drain != NULL)
			p->inside->handlers.on_drain(p);
		return true;
	default:
		if (p->inside->handlers.on_message == NULL)
			return p->inside->ended;
		return p->inside->handlers.on_message(p, ROLE_MASTER, 0, m);
	}
}

static void
on_master_closed(void *context, struct ipc *ipc)
{
	struct process *p = context;

	(void)ipc;
	log_warn(NULL, "process.master_gone");
	/* A keeper closes its account properly, the recorder hears the rest; nobody else has anything to close. */
	if ((p->role == ROLE_KEEPER || p->role == ROLE_RECORDER) &&
	    p->inside->handlers.on_stop != NULL)
		p->inside->handlers.on_stop(p);
	_exit(0);
}

static const struct ipc_handlers master_handlers = {
	.received = on_master_message, .closed = on_master_closed,
};

_Noreturn void
process_fail(struct process *p, const char *format, ...)
{
	scoped_buf why = BUF_INIT;
	struct buf m = BUF_INIT;
	va_list args;

	va_start(args, format);
	buf_vprintf(&why, format, args);
	va_end(args);
	log_error(NULL, "process.failed", KV("why", buf_str(&why)));
	msg_begin(&m, MSG_FAILED);
	msg_put_str(&m, buf_str(&why));
	ipc_send(p->inside->master, &m, -1);
	_exit(1);
}

void
process_became_helper(int keep)
{
	int log_fd = recorder_used();
	unsigned low = (unsigned)(keep < log_fd ? keep : log_fd);
	unsigned high = (unsigned)(keep < log_fd ? log_fd : keep);

	/* Each of the two may be a standard one, or none. */
	if (log_fd <= STDERR_FILENO)
		low = high = (unsigned)keep;
	if (low > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, low - 1, 0);
	if (high > low + 1)
		close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0U, 0);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		log_warn(NULL, "process.helper", KV("errno", errno));
}

static void
free_inside(struct process *p)
{
	size_t at = 0;
	struct str key;
	void *value;

	while (map_next(p->inside->peers, &at, &key, &value))
		forget_peer(value);
	map_free(p->inside->peers);
	ipc_free(p->inside->master);
	login_forget(p);
	stream_finish_none();
	timer_free(p->inside->last_moment);
	process_close_doors(p);
	crowd_free(p->inside->crowd);
	free(p->inside->frame);	/* a keeper's; a front has freed its own */
	free(p->inside);
}

void
process_close_doors(struct process *p)
{
	for (size_t i = 0; i < p->inside->door_count; i++)
		close(p->inside->doors[i].fd);
	free(p->inside->doors);
	p->inside->doors = NULL;
	p->inside->door_count = 0;
}

void
process_forget(struct process *p)
{
	free_inside(p);
	loop_free(p->loop);
}

/*
 * Front and queue see every octet of mail: their buffers are not to be given back to the kernel for each. All others
 * give back what one large message took; left to itself malloc would keep it, in each of many keepers.
 */
static void
set_memory_kept(enum role role)
{
	int kept = role == ROLE_FRONT || role == ROLE_QUEUE ? MEMORY_KEPT : MEMORY_KEPT_ELSE;

	(void)mallopt(M_TRIM_THRESHOLD, kept);
	(void)mallopt(M_MMAP_THRESHOLD, kept);
}

/*
 * Between the memory of settings and libraries lie free pieces, on pages that all keepers share. Who took one would get
 * that page for itself: so the nursery takes them, and what keepers take lies together behind all of it. None is given
 * back: it would be the first to be taken.
 */
static void
take_free_pieces(void)
{
	static void **taken;
	const char *end = (const char *)sbrk(0) - mallinfo2().keepcost;
	void **piece;

	for (size_t size = PIECE_MAX; size > 0; size -= size > FINE_MAX ? COARSE : FINE)
		do {
			piece = xmalloc(size);
			*piece = taken;
			taken = piece;
		} while ((const char *)piece < end);
}

_Noreturn void
process_live(const struct process_birth *birth, void (*start)(struct process *, void *),
    void *context)
{
	struct buf ready = BUF_INIT;
	struct process p = {
		.service = birth->service, .settings = birth->settings,
		.role = birth->role, .index = birth->index, .label = str_of(birth->label),
	};

	set_memory_kept(p.role);
	if (p.role == ROLE_NURSERY)
		take_free_pieces();
	p.loop = loop_new();
	title_set(p.service->name, role_name(p.role), birth->label);
	log_set_name(p.service->name, role_name(p.role));
	set_log_level(&p);
	p.inside = xcalloc(1, sizeof(*p.inside));
	p.inside->peers = map_new();
	p.inside->doors = birth->doors;
	p.inside->door_count = birth->door_count;
	p.inside->crowd = birth->crowd;
	p.inside->crowd_slot = birth->crowd_slot;
	p.inside->master = ipc_new(p.loop, birth->control, &master_handlers, &p);
	start(&p, context);
	/* A keeper closes its own when it knows its account: a blank one has none yet. */
	if (p.role != ROLE_KEEPER)
		sandbox_close(p.role);
	msg_begin(&ready, MSG_READY);
	ipc_send(p.inside->master, &ready, -1);
	loop_run(p.loop);
	process_forget(&p);
	settings_free((struct settings *)(uintptr_t)p.settings);
	exit(0);
}
