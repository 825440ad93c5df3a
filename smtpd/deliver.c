/* SPDX-License-Identifier: ISC */
/*
 * smtpd's keeper: takes deliveries for its one account from the queue. PREPARE writes a copy that nobody
 * sees and gives the verdict, PUBLISH makes it visible. A delivery is known by trace and account, so that
 * one made twice is there once. Until the queue has had the file system synced, its journal keeps the message.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/daemon/keeper.h"
#include "maildir/store.h"
#include "smtpd/messages.h"
#include "smtpd/submit.h"

enum {
	PREPARED_MAX = 256,		/* copies written and not published; the queue keeps to 32 */
	COPY_CHUNK = 128 * 1024,
	USAGE_MS = 200,			/* how full it is now is told at most this often */
};

struct prepared {
	TAILQ_ENTRY(prepared) all;
	unsigned queue;		/* index of the queue that asked */
	uint64_t number;
	struct append *append;	/* NULL: it is there from an earlier time */
	struct log log;
};

struct deliver {
	struct process *process;
	struct keeper_frame frame;
	struct buf address;
	struct account *account;	/* NULL: could not be opened; nothing is taken now */
	enum store_result opened;
	int files;		/* a file without a name, for syncing all of its file system; -1: none */
	bool told_files;	/* to this queue: */
	unsigned files_queue;
	struct timer *usage;
	bool usage_due;
	bool limited;		/* there is, or was, a limit: who asks wants to know how full it is */
	TAILQ_HEAD(, prepared) all;
	size_t count;
};

static struct deliver *deliver_of(struct process *);
static void refuse_session(struct process *, const struct session_start *);
static void on_event(struct process *);
static bool work(struct process *);
static int work_due_ms(struct process *);
static bool rests(struct process *);
static bool on_message(struct process *, enum role from, unsigned index, struct msg *);
static void on_peer_lost(struct process *, enum role, unsigned index);
static void on_quota(struct process *, uint64_t bytes, uint64_t messages);
static void closing(struct process *);
static bool is_busy(struct process *);
static void report_usage(struct deliver *);
static void on_usage_due(void *context);

void
deliver_keeper_start(struct process *process, const struct keeper_grant *grant, int maildir_fd)
{
	struct deliver *d = xcalloc(1, sizeof(*d));
	struct account_options options = {
		.address = grant->address, .daemon = "smtpd",
		.quota_bytes = grant->quota_bytes, .quota_messages = grant->quota_messages,
		.undelete_days = process->settings->undelete_days,
	};

	TAILQ_INIT(&d->all);
	d->process = process;
	buf_put(&d->address, grant->address);
	d->frame = (struct keeper_frame){
		.session = refuse_session, .event_fd = -1, .on_event = on_event, .work = work,
		.work_due_ms = work_due_ms, .rests = rests, .quota = on_quota, .on_message = on_message,
		.on_peer_lost = on_peer_lost, .closing = closing, .is_busy = is_busy,
	};
	/* Before anything is written here: so it sees every error that there will be. */
	d->files = openat(maildir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	d->opened = account_open(maildir_fd, &options, &d->account);
	if (d->opened == STORE_OK)
		d->frame.event_fd = account_event_fd(d->account);
	else
		log_error(NULL, "account_unusable", KV("account", grant->address));
	process->state = d;
	d->usage = timer_new(process->loop, on_usage_due, d);
	keeper_run(process, &d->frame);
	if (!d->account)
		keeper_leave(process);
	d->limited = grant->quota_bytes > 0 || grant->quota_messages > 0;
	if (d->limited)
		report_usage(d);
}

static struct deliver *
deliver_of(struct process *process)
{
	return process->state;
}

/* Nobody logs in to read mail here. */
static void
refuse_session(struct process *process, const struct session_start *start)
{
	(void)process;
	stream_free(start->stream);
	lease_free(start->lease);
}

static void
report_usage(struct deliver *d)
{
	struct usage usage;

	d->usage_due = false;
	if (d->account && account_usage(d->account, &usage) == STORE_OK)
		keeper_report_usage(d->process, usage.bytes, usage.messages, usage.quota_bytes,
		    usage.quota_messages);
}

static void
on_usage_due(void *context)
{
	struct deliver *d = context;

	if (d->usage_due)
		report_usage(d);
}

static void
report_usage_soon(struct deliver *d)
{
	if (!d->limited)
		return;
	if (!d->usage_due && d->usage)
		timer_set(d->usage, USAGE_MS);
	d->usage_due = true;
}

static void
on_quota(struct process *process, uint64_t bytes, uint64_t messages)
{
	struct deliver *d = deliver_of(process);

	if (d->account)
		account_set_quota(d->account, bytes, messages);
	d->limited = true;
	report_usage(d);
}

static void
on_event(struct process *process)
{
	struct deliver *d = deliver_of(process);

	if (!d->account)
		return;
	account_on_event(d->account);
	if (d->limited)
		report_usage(d);	/* another daemon may have made room */
}

static bool
work(struct process *process)
{
	struct deliver *d = deliver_of(process);

	return d->account && account_work(d->account);
}

static int
work_due_ms(struct process *process)
{
	struct deliver *d = deliver_of(process);

	return d->account ? account_work_due_ms(d->account) : -1;
}

static bool
rests(struct process *process)
{
	struct deliver *d = deliver_of(process);

	return d->account && account_rests(d->account);
}

static bool
is_busy(struct process *process)
{
	return deliver_of(process)->count > 0;
}

/* ---- deliveries ---- */

static enum verdict
verdict_of(enum store_result result)
{
	switch (result) {
	case STORE_OK:
		return VERDICT_OK;
	case STORE_OVER_QUOTA:
		return VERDICT_FULL;
	case STORE_TOO_LARGE:
		return VERDICT_REFUSED;
	case STORE_FULL:
		return VERDICT_NO_ROOM;
	case STORE_NO_SUCH:
	case STORE_EXISTS:
	case STORE_BAD_NAME:
	case STORE_NOT_ALLOWED:
	case STORE_READ_ONLY:
	case STORE_BUSY:
	case STORE_GONE:
	case STORE_BROKEN:
		return VERDICT_TRY_LATER;
	}
	return VERDICT_TRY_LATER;
}

static void
tell(struct deliver *d, unsigned queue, enum smtpd_message_type type, uint64_t number,
    enum verdict verdict)
{
	scoped_buf message = BUF_INIT;

	msg_begin(&message, (uint16_t)type);
	msg_put_u64(&message, number);
	msg_put_u8(&message, (uint8_t)verdict);
	(void)process_send(d->process, ROLE_QUEUE, queue, &message, -1);
}

struct order {
	uint64_t number;
	struct str trace;
	struct str sender;
	uint64_t size;
	int64_t arrived;
	enum again again;
	struct str body;	/* all of it, where fd is -1 */
	int fd;
};

static enum store_result
copy_file(struct append *append, int fd, uint64_t size)
{
	char *chunk = xmalloc(COPY_CHUNK);
	enum store_result result = STORE_OK;
	uint64_t at = 0;

	while (result == STORE_OK && at < size) {
		size_t want = size - at < COPY_CHUNK ? (size_t)(size - at) : COPY_CHUNK;
		ssize_t n = pread(fd, chunk, want, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			log_error(NULL, "body_trouble", KV("doing", "reading"),
			    KV("error", n < 0 ? strerror(errno) : "shorter than it was"));
			result = STORE_BROKEN;
			break;
		}
		result = append_write(append, (struct str){ chunk, (size_t)n });
		at += (uint64_t)n;
	}
	free(chunk);
	return result;
}

/* RFC 5321 4.4: the return path on top, written at final delivery. */
static enum store_result
write_copy(struct deliver *d, const struct order *order, struct append **out)
{
	struct append_options options = {
		.mailbox = STR("INBOX"), .internal_date = order->arrived,
		.trace = order->trace, .recipient = buf_str(&d->address),
		.may_create = true, .retry = order->again != AGAIN_NO,
		.renew = order->again == AGAIN_RENEW,
	};
	struct append *append = NULL;
	enum store_result result;
	scoped_buf top = BUF_INIT;

	if (!d->account)
		return d->opened;
	buf_put(&top, STR("Return-Path: <"));
	buf_put(&top, order->sender);
	buf_put(&top, STR(">\r\nDelivered-To: "));
	buf_put(&top, buf_str(&d->address));
	buf_put(&top, STR("\r\n"));
	options.size = order->size + top.n;
	result = append_begin(d->account, &options, &append);
	if (result != STORE_OK)
		return result;
	result = append_write(append, buf_str(&top));
	if (result == STORE_OK)
		result = order->fd < 0 ? append_write(append, order->body) :
		    copy_file(append, order->fd, order->size);
	if (result == STORE_OK)
		result = append_prepare(append);
	if (result == STORE_OK)
		*out = append;
	else
		append_abandon(append);
	return result;
}

static struct prepared *
find(struct deliver *d, unsigned queue, uint64_t number)
{
	struct prepared *p;

	TAILQ_FOREACH(p, &d->all, all) {
		if (p->queue == queue && p->number == number)
			return p;
	}
	return NULL;
}

static void
prepared_free(struct deliver *d, struct prepared *p)
{
	TAILQ_REMOVE(&d->all, p, all);
	d->count--;
	log_free(&p->log);
	free(p);
}

/* Once to each queue, before it hears of the first copy. */
static void
tell_files(struct deliver *d, unsigned queue)
{
	scoped_buf message = BUF_INIT;
	int fd;

	if (d->files < 0 || (d->told_files && d->files_queue == queue))
		return;
	fd = fcntl(d->files, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return;
	msg_begin(&message, MSG_DELIVER_FILES);
	d->told_files = process_send(d->process, ROLE_QUEUE, queue, &message, fd);
	d->files_queue = queue;
}

static bool
read_order(struct msg *m, struct order *order)
{
	uint8_t again;

	order->number = msg_get_u64(m);
	order->trace = msg_get_str(m);
	order->sender = msg_get_str(m);
	order->size = msg_get_u64(m);
	order->arrived = (int64_t)msg_get_u64(m);
	again = msg_get_u8(m);
	order->body = msg_get_str(m);
	order->again = (enum again)again;
	return msg_end(m) && again <= AGAIN_RENEW;
}

/* Only what may have been there before is looked for: a retry need not be written to be found out. */
static enum store_result
prepare_copy(struct deliver *d, const struct order *order, struct append **out)
{
	*out = NULL;
	if (order->again == AGAIN_RETRY && d->account &&
	    append_was_made(d->account, order->trace, buf_str(&d->address)))
		return STORE_OK;
	return write_copy(d, order, out);
}

static bool
prepare(struct deliver *d, unsigned queue, struct msg *m)
{
	struct order order;
	enum store_result result;
	struct append *append;
	struct prepared *p;
	scoped_fd fd = -1;

	if (!read_order(m, &order) || find(d, queue, order.number) || d->count == PREPARED_MAX)
		return false;
	order.fd = fd = msg_take_fd(m);
	if (fd < 0 && order.body.n != order.size)
		return false;
	tell_files(d, queue);
	result = prepare_copy(d, &order, &append);
	if (result == STORE_OK) {
		p = xcalloc(1, sizeof(*p));
		p->queue = queue;
		p->number = order.number;
		p->append = append;
		log_add_field(&p->log, KV("trace", order.trace));
		TAILQ_INSERT_TAIL(&d->all, p, all);
		d->count++;
	}
	tell(d, queue, MSG_DELIVER_VERDICT, order.number, verdict_of(result));
	return true;
}

static void
publish(struct deliver *d, struct prepared *p)
{
	struct appended appended = { .was_there = true };
	bool sync = !d->told_files || d->files_queue != p->queue;
	enum store_result result = STORE_OK;

	if (p->append)
		result = append_publish(p->append, sync, &appended);
	if (result == STORE_OK)
		log_info(&p->log, "published", KV("to", buf_str(&d->address)),
		    KV("folder", "INBOX"), KV("uid", appended.uid),
		    KV("was_there", appended.was_there));
	else
		append_abandon(p->append);
	tell(d, p->queue, MSG_DELIVERED, p->number, verdict_of(result));
	prepared_free(d, p);
	report_usage_soon(d);
	keeper_work_soon(d->process);
}

static void
abandon(struct deliver *d, struct prepared *p)
{
	append_abandon(p->append);
	prepared_free(d, p);
}

static bool
on_message(struct process *process, enum role from, unsigned index, struct msg *m)
{
	struct deliver *d = deliver_of(process);
	struct prepared *p;

	if (from != ROLE_QUEUE)
		return false;
	if (m->type == MSG_DELIVER_PREPARE)
		return prepare(d, index, m);
	if (m->type != MSG_DELIVER_PUBLISH && m->type != MSG_DELIVER_ABANDON)
		return false;
	p = find(d, index, msg_get_u64(m));
	if (!msg_end(m))
		return false;
	if (m->type == MSG_DELIVER_PUBLISH && p) {
		publish(d, p);
	} else if (m->type == MSG_DELIVER_ABANDON && p) {
		abandon(d, p);
	}
	return m->type == MSG_DELIVER_ABANDON || p;
}

/* The queue died: what it had not let us publish it asks for again. */
static void
on_peer_lost(struct process *process, enum role role, unsigned index)
{
	struct deliver *d = deliver_of(process);
	struct prepared *p, *next;

	if (role != ROLE_QUEUE)
		return;
	d->told_files = false;
	for (p = TAILQ_FIRST(&d->all); p; p = next) {
		next = TAILQ_NEXT(p, all);
		if (p->queue == index)
			abandon(d, p);
	}
}

static void
closing(struct process *process)
{
	struct deliver *d = deliver_of(process);

	while (!TAILQ_EMPTY(&d->all))
		abandon(d, TAILQ_FIRST(&d->all));
	on_usage_due(d);
	timer_free(d->usage);
	d->usage = NULL;
	if (d->account)
		account_close(d->account);
	d->account = NULL;
	close_fd(&d->files);
}
