/* SPDX-License-Identifier: ISC */
/*
 * The courier's process: takes attempts from the queue, finds the way (route.c), talks to the other server
 * (relay.c) and says what came of each recipient. It has the network and no files but the descriptors that
 * come with attempts. What the system says of the DNS it reads when it begins: a reload gives it a successor.
 */
#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/arena.h"
#include "common/net/dns.h"
#include "common/net/tls.h"
#include "smtpd/relay.h"
#include "smtpd/submit.h"

enum {
	RECIPIENTS_MAX = 1000,		/* of one attempt: the queue sends 100 at most */
	STOP_MS = 4 * 1000,		/* for sessions under way to end */
	STOP_LOOK_MS = 50,
};

struct courier {
	struct process *process;
	struct dns *dns;
	struct tls_context *tls;
	struct route_self self;
	TAILQ_HEAD(, job) jobs;
	struct timer *end;
	struct timer *patience;
	bool draining;
	bool stopping;
};

/* An attempt. */
struct job {
	TAILQ_ENTRY(job) all;
	struct courier *courier;
	unsigned queue;			/* index of the queue that asked */
	uint64_t number;
	struct arena *arena;
	struct log log;
	struct str destination;
	struct relay_message message;
	uint32_t *numbers;		/* as the queue counts them */
	struct route *route;
	struct route_host *hosts;
	struct relay *relay;
	struct timer *soon;
};

static bool on_message(struct process *, enum role from, unsigned index, struct msg *);
static void on_peer_lost(struct process *, enum role, unsigned index);
static void on_peer(struct process *, enum role, unsigned index, struct str label);
static void on_drain(struct process *);
static void look_for_end(void *context);
static void on_stop(struct process *);
static bool on_attempt(struct courier *, unsigned queue, struct msg *);
static void find_route(void *context);
static void on_route(void *context, const struct route_answer *);
static void on_answer(void *context, uint32_t n, const struct answer *);
static void on_end(void *context);
static void job_free(struct job *);

static const struct process_handlers handlers = {
	.on_message = on_message,
	.on_peer = on_peer,
	.on_peer_lost = on_peer_lost,
	.on_drain = on_drain,
	.on_stop = on_stop,
};

static struct dns *
open_dns(struct process *process, char **why)
{
	const struct setting_list *servers = &process->settings->dns_servers;

	return dns_new(process->loop, servers->words, servers->count, why);
}

void
courier_start(struct process *process)
{
	struct courier *c = xcalloc(1, sizeof(*c));
	char *why = NULL;

	c->process = process;
	TAILQ_INIT(&c->jobs);
	c->end = timer_new(process->loop, look_for_end, c);
	process->state = c;
	process_handle(process, &handlers);
	route_self_read(&c->self);
	c->dns = open_dns(process, &why);
	if (!c->dns)
		process_fail(process, "the courier cannot ask the DNS: %s", why);
	c->tls = tls_client_new(&why);
	if (!c->tls)
		process_fail(process, "the courier cannot speak TLS: %s", why);
}

static bool
on_message(struct process *process, enum role from, unsigned index, struct msg *m)
{
	if (from == ROLE_QUEUE && m->type == MSG_ATTEMPT)
		return on_attempt(process->state, index, m);
	return false;
}

/* Its queue is gone: nobody would hear what came of it, and the next one tries again. */
static void
on_peer_lost(struct process *process, enum role role, unsigned index)
{
	struct courier *c = process->state;
	struct job *job, *next;

	if (role != ROLE_QUEUE)
		return;
	for (job = TAILQ_FIRST(&c->jobs); job; job = next) {
		next = TAILQ_NEXT(job, all);
		/* A message half said is better said to its end than said twice. */
		if (job->queue == index && !job->relay)
			job_free(job);
	}
}

/* ---- the end ---- */

static void
look_for_end(void *context)
{
	struct courier *c = context;

	if (TAILQ_EMPTY(&c->jobs))
		process_end(c->process);
	else
		timer_set(c->end, STOP_LOOK_MS);
}

static void
stop_now(void *context)
{
	struct courier *c = context;

	process_end(c->process);
}

static void
tell_leaving(struct process *process, unsigned queue)
{
	scoped_buf message = BUF_INIT;

	msg_begin(&message, MSG_COURIER_LEAVES);
	(void)process_send(process, ROLE_QUEUE, queue, &message, -1);
}

/* One that was started while we leave. */
static void
on_peer(struct process *process, enum role role, unsigned index, struct str label)
{
	struct courier *c = process->state;

	(void)label;
	if (role == ROLE_QUEUE && c->draining)
		tell_leaving(process, index);
}

/* Sessions under way are said to their end, however long that takes. */
static void
on_drain(struct process *process)
{
	struct courier *c = process->state;
	unsigned index;
	size_t at = 0;

	if (c->draining || c->stopping)
		return;
	c->draining = true;
	while (process_next_peer(process, ROLE_QUEUE, &at, &index))
		tell_leaving(process, index);
	timer_set(c->end, 0);
}

static void
on_stop(struct process *process)
{
	struct courier *c = process->state;

	c->stopping = true;
	c->patience = timer_new(process->loop, stop_now, c);
	timer_set(c->end, 0);
	timer_set(c->patience, STOP_MS);
}

/* ---- an attempt ---- */

/* Finds the way; again after the DNS was opened anew. */
static void
find_route(void *context)
{
	struct job *job = context;
	struct courier *c = job->courier;

	job->route = route_new(c->process->loop, c->dns, c->process->settings, &c->self,
	    job->destination, on_route, job);
}

/* The recipients that can be named in SMTP; others are answered at once. */
static bool
read_recipients(struct job *job, struct msg *m, uint32_t count)
{
	static const struct answer unsendable = {
		.outcome = OUTCOME_FAILED, .status = { "5.1.3", 5 },
		.text = { "this is no address", 18 }, .host = { "", 0 },
	};
	struct str *recipients = arena_array(job->arena, struct str, count);

	job->numbers = arena_array(job->arena, uint32_t, count);
	job->message.recipients = recipients;
	for (uint32_t i = 0; i < count; i++) {
		struct str address = msg_get_str(m);

		job->numbers[job->message.count] = i;
		if (relay_is_sendable(address) && relay_is_sendable(job->message.sender))
			recipients[job->message.count++] = arena_str(job->arena, address);
		else if (!m->bad)
			on_answer(job, (uint32_t)job->message.count, &unsendable);
	}
	return msg_end(m);
}

static bool
read_attempt(struct job *job, struct msg *m)
{
	struct str trace;
	uint32_t count;

	job->number = msg_get_u64(m);
	trace = msg_get_str(m);
	job->destination = arena_str(job->arena, msg_get_str(m));
	job->message.sender = arena_str(job->arena, msg_get_str(m));
	job->message.eight_bit = msg_get_bool(m);
	job->message.size = msg_get_u64(m);
	count = msg_get_u32(m);
	if (m->bad || count == 0 || count > RECIPIENTS_MAX || !read_recipients(job, m, count))
		return false;
	log_add_field(&job->log, KV("trace", trace));
	job->message.fd = msg_take_fd(m);
	return job->message.fd >= 0;
}

static bool
on_attempt(struct courier *c, unsigned queue, struct msg *m)
{
	struct job *job = xcalloc(1, sizeof(*job));
	bool ok;

	job->courier = c;
	job->queue = queue;
	job->arena = arena_new();
	job->message.fd = -1;
	job->soon = timer_new(c->process->loop, find_route, job);
	TAILQ_INSERT_TAIL(&c->jobs, job, all);
	ok = read_attempt(job, m);
	if (!ok)
		job_free(job);
	else if (c->stopping || job->message.count == 0)
		on_end(job);
	else
		find_route(job);
	return ok;
}

static void
answer_all(struct job *job, const struct answer *answer)
{
	for (uint32_t n = 0; n < job->message.count; n++)
		on_answer(job, n, answer);
	on_end(job);
}

/* The answer's hosts live during the call only. */
static void
keep_hosts(struct job *job, const struct route_answer *answer)
{
	job->hosts = arena_array(job->arena, struct route_host, answer->count);
	for (size_t i = 0; i < answer->count; i++) {
		job->hosts[i].name = arena_str(job->arena, answer->hosts[i].name);
		job->hosts[i].address = answer->hosts[i].address;
	}
}

static void
on_route(void *context, const struct route_answer *route)
{
	struct job *job = context;
	struct courier *c = job->courier;
	const struct settings *settings = c->process->settings;
	struct answer answer = { .status = route->status, .text = route->text,
	    .host = STR_EMPTY };
	struct relay_setup setup = {
		.loop = c->process->loop, .tls = c->tls, .hello = str_of(settings->hostname),
		.connect_ms = (int64_t)settings->connect_timeout * 1000,
		.reply_ms = (int64_t)settings->reply_timeout * 1000, .log = &job->log,
	};

	job->route = NULL;
	switch (route->result) {
	case ROUTE_FOUND:
		keep_hosts(job, route);
		/* The name may change with the settings while the session runs. */
		setup.hello = arena_str(job->arena, setup.hello);
		job->relay = relay_new(&setup, job->hosts, route->count, &job->message,
		    on_answer, on_end, job);
		return;
	case ROUTE_DEFERRED:
		answer.outcome = OUTCOME_DEFERRED;
		break;
	case ROUTE_FAILED:
		answer.outcome = OUTCOME_FAILED;
		break;
	}
	answer_all(job, &answer);
}

static void
on_answer(void *context, uint32_t n, const struct answer *answer)
{
	struct job *job = context;
	scoped_buf message = BUF_INIT;

	msg_begin(&message, MSG_ATTEMPT_ANSWER);
	msg_put_u64(&message, job->number);
	msg_put_u32(&message, job->numbers[n]);
	msg_put_u8(&message, (uint8_t)answer->outcome);
	msg_put_str(&message, answer->status);
	msg_put_str(&message, answer->text);
	msg_put_str(&message, answer->host);
	msg_put_bool(&message, answer->secure);
	(void)process_send(job->courier->process, ROLE_QUEUE, job->queue, &message, -1);
}

static void
on_end(void *context)
{
	struct job *job = context;
	scoped_buf message = BUF_INIT;

	job->relay = NULL;	/* freed already */
	msg_begin(&message, MSG_ATTEMPT_DONE);
	msg_put_u64(&message, job->number);
	(void)process_send(job->courier->process, ROLE_QUEUE, job->queue, &message, -1);
	job_free(job);
}

static void
job_free(struct job *job)
{
	TAILQ_REMOVE(&job->courier->jobs, job, all);
	route_free(job->route);
	relay_free(job->relay);
	timer_free(job->soon);
	close_fd(&job->message.fd);
	log_free(&job->log);
	arena_free(job->arena);
	free(job);
}
