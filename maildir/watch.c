/* SPDX-License-Identifier: ISC */
/*
 * How a change made elsewhere becomes known: our other daemons send a byte to a datagram
 * socket in .trivet/, other programs are seen by inotify, or by looking at the directories
 * each second where the system has no inotify left.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "maildir/private.h"
#include "maildir/search_db.h"

enum {
	DRAIN_MAX = 64,		/* datagrams taken at a time; the rest wakes us again */
	EVENTS_BYTES = 16 * 1024,
	NAMES_MAX = 200,	/* names looked up singly; with more, the directory is listed */
};

static const char *const daemons[] = { "imapd", "pop3d", "smtpd" };

static void take_events(struct account *a);

static void
add_to_events(struct account *a, int fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data = { .fd = fd } };

	if (fd >= 0 && epoll_ctl(a->events, EPOLL_CTL_ADD, fd, &e) != 0)
		log_warn(&a->log, "watch-failed", KV("errno", errno));
}

/* A path short enough for a socket's name that leads to .trivet/ wherever that is. */
static void
socket_address(struct sockaddr_un *address, int dir, const char *name)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d%s%s", dir,
	    name ? "/" : "", name ? name : "");
}

static void
bind_socket(struct account *a)
{
	struct sockaddr_un address;
	struct stat st;

	a->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (a->socket < 0)
		return;
	/* One keeper of a daemon per account: a socket that is there is a dead one's. */
	unlinkat(a->ours, buf_z(&a->daemon), 0);
	socket_address(&address, a->ours, buf_z(&a->daemon));
	/* unix(7): the file's mode is the socket's at bind; to change it by name later might change another's. */
	(void)!fchmod(a->socket, 0600);
	if (bind(a->socket, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
	    fstatat(a->ours, buf_z(&a->daemon), &st, AT_SYMLINK_NOFOLLOW) != 0) {
		log_warn(&a->log, "notify-socket-failed", KV("errno", errno));
		close_fd(&a->socket);
		return;
	}
	a->socket_device = st.st_dev;
	a->socket_inode = st.st_ino;
}

void
watch_open(struct account *a)
{
	a->events = epoll_create1(EPOLL_CLOEXEC);
	if (a->events < 0)
		fatal("epoll_create1: errno %d", errno);
	bind_socket(a);
	add_to_events(a, a->socket);
}

void
watch_close(struct account *a)
{
	struct stat st;

	if (a->socket >= 0 && fstatat(a->ours, buf_z(&a->daemon), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_dev == a->socket_device && st.st_ino == a->socket_inode)
		unlinkat(a->ours, buf_z(&a->daemon), 0);
	close_fd(&a->socket);
	close_fd(&a->inotify);
	close_fd(&a->events);
}

int
account_event_fd(const struct account *a)
{
	return a->events;
}

static int
watch_dir(struct account *a, int dir)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", dir);
	return inotify_add_watch(a->inotify, path,
	    IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR);
}

/*
 * To watch a directory takes the kernel a look at each name of it that it remembers, 10 ms and more where there are
 * 100,000: a session that is gone within a second does not pay for that.
 */
void
watch_folder(struct folder *f)
{
	struct account *a = f->account;

	a->unwatch_due = 0;
	if (a->poll_due == 0)
		a->poll_due = clock_monotonic_ms() + POLL_MS;
}

/* An instance only for an account with a mailbox open: there are few of them. */
static void
begin_watch(struct folder *f)
{
	struct account *a = f->account;

	f->watch_tried = true;
	if (a->inotify < 0) {
		a->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		add_to_events(a, a->inotify);
	}
	if (a->inotify >= 0) {
		f->watch_cur = watch_dir(a, f->place.cur);
		f->watch_new = watch_dir(a, f->place.new);
	}
}

/* What we heard of and nobody looked at is looked at by the next to open it. */
static void
doubt(struct folder *f)
{
	struct account *a = f->account;

	touch_note(a, f->box.number, 0);
	if (txn_begin(a) == STORE_OK)
		(void)!txn_end(a, touch_doubt(a, f->box.number));
}

/* Two of one directory, whose mailbox was deleted and made anew meanwhile, have one watch. */
static void
unwatch(const struct folder *f, int watch)
{
	const struct folder *other;

	TAILQ_FOREACH(other, &f->account->folders, link)
		if (other != f && (other->watch_cur == watch || other->watch_new == watch))
			return;
	if (watch >= 0)
		inotify_rm_watch(f->account->inotify, watch);
}

void
watch_forget(struct folder *f)
{
	struct account *a = f->account;

	take_events(a);
	if (f->look && !f->gone && f->generation == a->generation)
		doubt(f);
	unwatch(f, f->watch_cur);
	unwatch(f, f->watch_new);
	/* To close an instance takes the kernel 15 ms, too long for the next session to wait for. */
	if (TAILQ_FIRST(&a->folders) == f && TAILQ_NEXT(f, link) == NULL && a->inotify >= 0)
		a->unwatch_due = clock_monotonic_ms() + UNWATCH_DELAY_MS;
}

void
watch_rest(struct account *a)
{
	if (TAILQ_EMPTY(&a->folders))
		close_fd(&a->inotify);
}

/* ---- events ---- */

/* Does the index say just what this event says? Then it was we, or one of our daemons. */
static bool
is_explained(struct folder *f, struct str text, bool appeared)
{
	struct account *a = f->account;
	struct file_name name;
	sqlite3_stmt *q;
	bool same = false;

	if (!file_name_parse(text, &name))
		return true;
	if (!name.has_uid)
		return false;
	q = index_ask(a, Q_FILE_GET, BIND(V(message_key(f->box.number, name.uid))));
	while (index_row(a, q))
		same = str_eq(index_text(q, 0), name.base) &&
		    str_eq(index_text(q, 1), name.letters);
	return index_end(a, q) == STORE_OK && same == appeared;
}

/* Made or removed by a COPY or MOVE of ours that is at work: many, and none has to be looked up. */
static bool
is_claimed(const struct folder *f, struct str text)
{
	struct file_name name;

	return claims_are_live(f->account, f->box.number) && file_name_parse(text, &name) && name.has_uid &&
	    claim_is_live(f->account, f->box.number, name.uid);
}

static void
see_event(struct account *a, const struct inotify_event *e, size_t *looked_up)
{
	struct folder *f;
	bool appeared = (e->mask & (IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE)) != 0;

	TAILQ_FOREACH(f, &a->folders, link) {
		if ((e->mask & IN_Q_OVERFLOW) != 0)
			f->look = true;
		if (f->look || f->gone || e->wd < 0 || e->len == 0 ||
		    (e->wd != f->watch_cur && e->wd != f->watch_new) ||
		    (e->wd == f->watch_cur && f->generation == a->generation && is_claimed(f, str_of(e->name))))
			continue;
		f->look = e->wd == f->watch_new || ++*looked_up > NAMES_MAX ||
		    f->generation != a->generation ||
		    !is_explained(f, str_of(e->name), appeared);
	}
}

static void
take_events(struct account *a)
{
	_Alignas(struct inotify_event) char bytes[EVENTS_BYTES];
	size_t looked_up = 0;
	ssize_t n;

	if (a->inotify < 0)
		return;
	while ((n = read(a->inotify, bytes, sizeof(bytes))) > 0)
		for (char *p = bytes; p < bytes + n;) {
			const struct inotify_event *e = (const struct inotify_event *)(void *)p;

			see_event(a, e, &looked_up);
			p += sizeof(*e) + e->len;
		}
}

void
account_on_event(struct account *a)
{
	char byte[16];

	for (int i = 0; i < DRAIN_MAX && a->socket >= 0; i++)
		if (recv(a->socket, byte, sizeof(byte), 0) < 0)
			break;
	take_events(a);
	if (a->kept != NULL)
		account_on_event(a->kept);
	if (a->searches)
		search_build_later(a);
}

static void
look_at_times(struct folder *f)
{
	struct account *a = f->account;
	scoped_box box = BOX_NONE;
	int64_t cur = files_mtime_ns(f->place.cur), new = files_mtime_ns(f->place.new);

	if (f->look || f->gone || f->generation != a->generation ||
	    box_get(a, f->box.number, &box) != STORE_OK)
		return;
	f->look = new != box.new_mtime || (cur != box.cur_mtime && !touch_knows(a, f->box.number, cur));
	f->seen_cur = f->look ? 0 : scan_settled(cur);
	f->seen_new = f->look ? 0 : scan_settled(new);
}

void
watch_look(struct folder *f)
{
	if (f->watch_cur < 0 || f->watch_new < 0)
		look_at_times(f);
}

void
watch_poll(struct account *a)
{
	struct folder *f;

	TAILQ_FOREACH(f, &a->folders, link) {
		if (f->watch_cur >= 0 && f->watch_new >= 0)
			continue;
		/* Begun first: what comes while we look is told. */
		if (!f->watch_tried)
			begin_watch(f);
		if (f->watch_cur < 0 || f->watch_new < 0)
			a->poll_due = clock_monotonic_ms() + POLL_MS;
		/* An index that rests is not opened where nothing has moved. */
		if (f->seen_cur == files_mtime_ns(f->place.cur) && f->seen_new == files_mtime_ns(f->place.new))
			continue;
		a->news = true;
		look_at_times(f);
	}
}

/* ---- telling the others ---- */

void
watch_notify(struct account *a)
{
	struct sockaddr_un address;
	struct stat st;

	for (size_t i = 0; i < countof(daemons) && a->socket >= 0; i++) {
		scoped_fd fd = -1;

		if (str_eq(buf_str(&a->daemon), str_of(daemons[i])))
			continue;
		/* What lies there may be anything; a link is not followed. */
		fd = files_open(a->ours, daemons[i], O_PATH, 0);
		if (fd < 0 || fstat(fd, &st) != 0 || !S_ISSOCK(st.st_mode))
			continue;
		socket_address(&address, fd, NULL);
		(void)!sendto(a->socket, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL,
		    (const struct sockaddr *)&address, sizeof(address));
	}
}
