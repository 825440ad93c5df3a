/* SPDX-License-Identifier: ISC */
#include "common/daemon/ticket_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/daemon/messages.h"
#include "common/net/tls.h"

enum {
	KEY_S = 3600,
	LOOK_MS = 60 * 1000,		/* whether it is time for a new one */
	LOOK_TURNABLE_MS = 200,		/* where a test may turn the clock */
};

struct ticket_keys {
	struct process *process;
	struct timer *timer;
	int64_t made_at;
	bool has_previous;
	char current[TLS_TICKET_KEY];
	char previous[TLS_TICKET_KEY];
};

static void
make_key(struct ticket_keys *k)
{
	/* Up to 256 octets come whole (getrandom(2)). */
	if (getrandom(k->current, sizeof(k->current), 0) != (ssize_t)sizeof(k->current))
		fatal("no random numbers: errno %d", errno);
	k->made_at = clock_now();
}

static void
put_keys(const struct ticket_keys *k, struct buf *m)
{
	msg_begin(m, MSG_TICKET_KEYS);
	msg_put_str(m, (struct str){ k->current, sizeof(k->current) });
	msg_put_str(m, (struct str){ k->previous, k->has_previous ? sizeof(k->previous) : 0 });
}

void
ticket_keys_tell(struct ticket_keys *k, unsigned front)
{
	struct buf m = BUF_INIT;

	put_keys(k, &m);
	process_send(k->process, ROLE_FRONT, front, &m, -1);
}

static void
rotate(struct ticket_keys *k, int64_t now)
{
	bool too_old = now - k->made_at >= 2 * KEY_S;	/* the machine slept */
	unsigned index;
	size_t at = 0;

	memcpy(k->previous, k->current, sizeof(k->previous));
	make_key(k);
	if (too_old)
		memcpy(k->previous, k->current, sizeof(k->previous));
	k->has_previous = true;
	while (process_next_peer(k->process, ROLE_FRONT, &at, &index))
		ticket_keys_tell(k, index);
	log_debug(NULL, "tls.new_ticket_key");
}

static void
look(void *context)
{
	struct ticket_keys *k = context;
	int64_t now = clock_now();

	/* A clock set back must not keep a key for years. */
	if (now - k->made_at >= KEY_S || now < k->made_at)
		rotate(k, now);
	timer_set(k->timer, clock_is_turnable() ? LOOK_TURNABLE_MS : LOOK_MS);
}

struct ticket_keys *
ticket_keys_new(struct process *p)
{
	struct ticket_keys *k = xcalloc(1, sizeof(*k));

	k->process = p;
	k->timer = timer_new(p->loop, look, k);
	make_key(k);
	look(k);
	return k;
}

void
ticket_keys_free(struct ticket_keys *k)
{
	if (k == NULL)
		return;
	timer_free(k->timer);
	explicit_bzero(k, sizeof(*k));
	free(k);
}
