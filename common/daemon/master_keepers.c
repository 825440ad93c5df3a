/* SPDX-License-Identifier: ISC */
/*
 * master's keepers: one process for each account in use, taken from the nursery when somebody who was let in by
 * auth needs it. Never two for one account: while one leaves, what comes for its account waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/map.h"
#include "common/daemon/mail_folder.h"
#include "common/daemon/master.h"
#include "common/daemon/messages.h"
#include "common/daemon/sandbox.h"

enum {
	KEEPERS_MAX = 20000,
	WISHES_MAX = 1000,		/* for one leaving keeper */
	DESCRIPTORS_SPARE = 64,		/* of master's, for all but its keepers, each of which takes one */
};

/* What somebody wants of an account. */
struct wish {
	bool session;		/* else only that the keeper be there, joined with queue */
	unsigned front;
	uint64_t question;
	struct str sid;
	struct str peer;
	bool secure;
	struct keeper_grant grant;
};

/* Wishes that wait until a leaving keeper is gone: the messages as they came. */
struct wishes {
	struct buf *packets;
	bool *session;
	size_t count;
};

/* ---- the new process ---- */

static void
become(const struct keeper_grant *g)
{
	if (g->uid == (uid_t)-1 || geteuid() != 0)
		return;
	if (setgroups(0, NULL) != 0 || setresgid(g->gid, g->gid, g->gid) != 0 ||
	    setresuid(g->uid, g->uid, g->uid) != 0)
		fatal("cannot become user id %u: errno %d", (unsigned)g->uid, errno);
}

void
keepers_begin(struct process *p, const struct keeper_grant *g)
{
	int fd;

	become(g);
	umask(0077);
	fd = mail_folder_open(p->settings, g->maildir, MAIL_FOLDER_MAKE);
	if (fd < 0)
		log_error(NULL, "maildir.open", KV("path", g->maildir), KV("errno", errno),
		    KV("why", "look at its owner and mode; a link is not followed"));
	/* From here on it reads what others wrote. Without its folder it tells whoever comes that there is none now. */
	if (fd >= 0)
		sandbox_allow(fd, SANDBOX_FOLDER);
	sandbox_allow_path("/proc/sys/kernel/random/boot_id", SANDBOX_READ);
	sandbox_close(ROLE_KEEPER);
	p->service->keeper_start(p, g, fd);
}

static size_t
keepers_most(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= KEEPERS_MAX + DESCRIPTORS_SPARE)
		return KEEPERS_MAX;
	return limit.rlim_cur > DESCRIPTORS_SPARE ? limit.rlim_cur - DESCRIPTORS_SPARE : 1;
}

static struct child *
find_or_take(struct master *m, const struct keeper_grant *grant)
{
	struct child *c = map_get(m->keepers, grant->address);
	struct child *auth = master_first(m, ROLE_AUTH);
	struct keeper_grant g = *grant;

	/* One that died a moment ago: its signal may still be waiting behind this wish. */
	if (c != NULL && master_bury_dead(c))
		c = map_get(m->keepers, grant->address);
	if (c != NULL || map_count(m->keepers) >= keepers_most())
		return c;
	if (g.uid == (uid_t)-1) {
		g.uid = m->uid;
		g.gid = m->gid;
	}
	c = nursery_take(m, &g);
	if (c == NULL)
		return NULL;
	c->quota_bytes = g.quota_bytes;
	c->quota_messages = g.quota_messages;
	c->told_auth = auth ? auth->index + 1 : 0;
	map_set(m->keepers, g.address, c);
	return c;
}

/* ---- wishes ---- */

static void
answer_front(struct master *m, const struct wish *w, int fd)
{
	struct child *front = master_find(m, ROLE_FRONT, w->front);
	struct buf answer = BUF_INIT;

	if (front == NULL) {
		close_fd(&fd);
		return;
	}
	msg_begin(&answer, MSG_SESSION);
	msg_put_u64(&answer, w->question);
	msg_put_str(&answer, w->grant.address);
	master_send(front, &answer, fd);
}

static void
open_session(struct child *keeper, const struct wish *w)
{
	struct buf m = BUF_INIT;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
		log_error(NULL, "session.socketpair", KV("errno", errno));
		answer_front(keeper->master, w, -1);
		return;
	}
	keeper->sessions++;
	msg_begin(&m, MSG_SESSION_OPEN);
	msg_put_str(&m, w->sid);
	msg_put_str(&m, w->peer);
	msg_put_bool(&m, w->secure);
	master_send(keeper, &m, ends[0]);
	answer_front(keeper->master, w, ends[1]);
}

static void
wait_for_leaving(struct child *keeper, const struct wish *w)
{
	struct wishes *all = keeper->wishes;
	struct buf m = BUF_INIT;

	if (all == NULL)
		all = keeper->wishes = xcalloc(1, sizeof(*all));
	if (all->count >= WISHES_MAX) {
		if (w->session)
			answer_front(keeper->master, w, -1);
		return;
	}
	if (w->session) {
		msg_put_u32(&m, w->front);
		msg_put_u64(&m, w->question);
		msg_put_str(&m, w->sid);
		msg_put_str(&m, w->peer);
		msg_put_bool(&m, w->secure);
	}
	msg_put_grant(&m, &w->grant);
	all->packets = xrealloc(all->packets, (all->count + 1) * sizeof(*all->packets));
	all->session = xrealloc(all->session, (all->count + 1) * sizeof(*all->session));
	all->packets[all->count] = m;
	all->session[all->count++] = w->session;
}

/*
 * The administrator may have changed the limits since the keeper was started. Told to it, it tells
 * how full it is, which a restarted auth does not know.
 */
static void
tell_quota(struct master *master, struct child *keeper, const struct keeper_grant *g)
{
	struct child *auth = master_first(master, ROLE_AUTH);
	bool known = auth == NULL || keeper->told_auth == auth->index + 1;
	struct buf m = BUF_INIT;

	if (known && keeper->quota_bytes == g->quota_bytes &&
	    keeper->quota_messages == g->quota_messages)
		return;
	keeper->told_auth = auth ? auth->index + 1 : 0;
	keeper->quota_bytes = g->quota_bytes;
	keeper->quota_messages = g->quota_messages;
	msg_begin(&m, MSG_QUOTA);
	msg_put_u64(&m, g->quota_bytes);
	msg_put_u64(&m, g->quota_messages);
	master_send(keeper, &m, -1);
}

/* Once for each queue there is: a restarted one is another one. */
static void
join_queue(struct master *m, struct child *keeper)
{
	struct child *queue = master_first(m, ROLE_QUEUE);

	if (queue == NULL || keeper->joined_queue == queue->index + 1)
		return;
	keeper->joined_queue = queue->index + 1;
	master_join(queue, keeper);
}

static bool
grant_wish(struct master *m, const struct wish *w)
{
	struct child *keeper;

	/* What would be begun now would not be told to stop. */
	if (m->stopping) {
		if (w->session)
			answer_front(m, w, -1);
		return true;
	}
	keeper = find_or_take(m, &w->grant);
	if (keeper == NULL) {
		log_error(NULL, "keeper.none", KV("user", w->grant.address),
		    KV("keepers", map_count(m->keepers)));
		if (w->session)
			answer_front(m, w, -1);
		return true;
	}
	/* It died, but is no zombie yet that could be buried. */
	if (keeper->ipc == NULL || ipc_is_left(keeper->ipc))
		keeper->leaving = true;
	if (keeper->leaving) {
		wait_for_leaving(keeper, w);
		return true;
	}
	tell_quota(m, keeper, &w->grant);
	join_queue(m, keeper);
	if (w->session)
		open_session(keeper, w);
	return true;
}

static bool
read_wish(struct msg *m, bool session, struct wish *w)
{
	*w = (struct wish){ .session = session };
	if (session) {
		w->front = msg_get_u32(m);
		w->question = msg_get_u64(m);
		w->sid = msg_get_str(m);
		w->peer = msg_get_str(m);
		w->secure = msg_get_bool(m);
	}
	w->grant = msg_get_grant(m);
	/*
	 * auth reads what strangers send: whatever became of it, it gets no keeper that is root, and none whose
	 * label is another string than its address.
	 */
	return msg_end(m) && w->grant.address.n > 0 && w->grant.maildir.n > 0 && w->grant.uid != 0 &&
	    !str_has_char(w->grant.address, '\0') && !str_has_char(w->grant.maildir, '\0');
}

bool
keepers_on_session_wanted(struct master *m, struct msg *msg)
{
	struct wish w;

	return read_wish(msg, true, &w) && grant_wish(m, &w);
}

bool
keepers_on_keeper_wanted(struct master *m, struct msg *msg)
{
	struct wish w;

	return read_wish(msg, false, &w) && grant_wish(m, &w);
}

/* Only a keeper that has had every session we ever sent may go. */
bool
keepers_on_idle(struct child *keeper, struct msg *msg)
{
	uint64_t had = msg_get_u64(msg);
	struct buf m = BUF_INIT;

	if (!msg_end(msg))
		return false;
	if (had != keeper->sessions)
		return true;
	keeper->leaving = true;
	msg_begin(&m, MSG_STOP);
	master_send(keeper, &m, -1);
	return true;
}

void
keepers_on_death(struct child *keeper)
{
	struct master *m = keeper->master;
	struct child *auth = master_first(m, ROLE_AUTH);
	struct wishes *all = keeper->wishes;
	struct buf gone = BUF_INIT;
	struct wish w;

	map_remove(m->keepers, str_of(keeper->label));
	if (auth != NULL) {
		msg_begin(&gone, MSG_KEEPER_GONE);
		msg_put_str(&gone, str_of(keeper->label));
		master_send(auth, &gone, -1);
	}
	keeper->wishes = NULL;
	for (size_t i = 0; all != NULL && i < all->count; i++) {
		struct msg packet = { .rest = buf_str(&all->packets[i]), .fd = -1 };

		if (read_wish(&packet, all->session[i], &w))
			grant_wish(m, &w);
		buf_free(&all->packets[i]);
	}
	if (all != NULL) {
		free(all->packets);
		free(all->session);
		free(all);
	}
}
