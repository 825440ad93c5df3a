/* SPDX-License-Identifier: ISC */
/*
 * Does this recipient exist, and has it room? Live keepers say how full their accounts are;
 * where none is, one is started, which the delivery needs anyway.
 */
#include <stdlib.h>

#include "common/auth/auth_inside.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/daemon/messages.h"

struct room_usage {
	uint64_t bytes;
	uint64_t messages;
	uint64_t quota_bytes;	/* the limits that the keeper goes by */
	uint64_t quota_messages;
};

/* A recipient whose account's keeper has been asked for. */
struct room {
	TAILQ_ENTRY(room) entry;
	struct auth *auth;
	enum role asker;
	unsigned index;
	uint64_t question;
	uint64_t size;
	struct arena *arena;
	struct target target;
	struct keeper_grant grant;
	struct timer *patience;
};

static void give_up_room(void *context);

void
auth_recipient_init(struct auth *a)
{
	a->usage = map_new();
	TAILQ_INIT(&a->rooms);
}

static void
free_room(struct room *r)
{
	TAILQ_REMOVE(&r->auth->rooms, r, entry);
	r->auth->room_count--;
	timer_free(r->patience);
	arena_free(r->arena);
	free(r);
}

void
auth_recipient_free(struct auth *a)
{
	size_t at = 0;
	struct str key;
	void *value;

	while (!TAILQ_EMPTY(&a->rooms))
		free_room(TAILQ_FIRST(&a->rooms));
	while (map_next(a->usage, &at, &key, &value))
		free(map_remove(a->usage, key));
	map_free(a->usage);
}

static void
send_answer(struct auth *a, enum role asker, unsigned index, uint64_t question,
    enum recipient_result result, const struct target *targets, size_t count)
{
	struct buf m = BUF_INIT;

	msg_begin(&m, MSG_RECIPIENT_ANSWER);
	msg_put_u64(&m, question);
	msg_put_u8(&m, (uint8_t)result);
	msg_put_u32(&m, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		msg_put_u8(&m, (uint8_t)targets[i].kind);
		msg_put_str(&m, targets[i].address);
	}
	if (m.n > IPC_MESSAGE_MAX) {
		log_error(NULL, "alias.too_large", KV("targets", count), KV("octets", m.n),
		    KV("most", (size_t)IPC_MESSAGE_MAX));
		buf_free(&m);
		send_answer(a, asker, index, question, RECIPIENT_UNAVAILABLE, NULL, 0);
		return;
	}
	process_send(a->process, asker, index, &m, -1);
}

static enum recipient_result
word_for(enum users_result result)
{
	switch (result) {
	case USERS_OK: return RECIPIENT_OK;
	case USERS_NO_SUCH: case USERS_INVALID: return RECIPIENT_NO_SUCH;
	case USERS_NOT_OURS: return RECIPIENT_NOT_OURS;
	case USERS_EXISTS: case USERS_IN_USE: case USERS_TOO_MANY: case USERS_BUSY:
	case USERS_BROKEN:
		break;
	}
	return RECIPIENT_UNAVAILABLE;
}

/* size: of what is to come, 0: not known, then a box counts as full without room for one octet. */
static bool
is_full(const struct keeper_grant *g, const struct room_usage *u, uint64_t size)
{
	uint64_t left = g->quota_bytes > u->bytes ? g->quota_bytes - u->bytes : 0;

	return (g->quota_bytes > 0 && (left == 0 || size > left)) ||
	    (g->quota_messages > 0 && u->messages >= g->quota_messages);
}

/* The administrator has changed the limits since: master tells the keeper, which tells us. */
static bool
goes_by_others(const struct room_usage *u, const struct keeper_grant *g)
{
	return u->quota_bytes != g->quota_bytes || u->quota_messages != g->quota_messages;
}

static void
want_keeper(struct auth *a, const struct keeper_grant *g)
{
	struct buf m = BUF_INIT;

	msg_begin(&m, MSG_KEEPER_WANTED);
	msg_put_grant(&m, g);
	process_send(a->process, ROLE_MASTER, 0, &m, -1);
}

static void
wait_for_usage(struct auth *a, enum role asker, unsigned index, uint64_t question, uint64_t size,
    const struct target *target, const struct keeper_grant *grant)
{
	struct room *r = xcalloc(1, sizeof(*r));

	r->auth = a;
	r->asker = asker;
	r->index = index;
	r->question = question;
	r->size = size;
	r->arena = arena_new();
	r->target = (struct target){ target->kind, arena_str(r->arena, target->address) };
	r->grant = *grant;
	r->grant.address = arena_str(r->arena, grant->address);
	r->patience = timer_new(a->process->loop, give_up_room, r);
	timer_set(r->patience, ROOM_PATIENCE_MS);
	TAILQ_INSERT_TAIL(&a->rooms, r, entry);
	a->room_count++;
	want_keeper(a, grant);
}

static void
answer_room(struct room *r, enum recipient_result result)
{
	send_answer(r->auth, r->asker, r->index, r->question, result, &r->target, 1);
	free_room(r);
}

/* Nobody could tell in time: the verdict at the end of the data will. */
static void
give_up_room(void *context)
{
	answer_room(context, RECIPIENT_OK);
}

/*
 * Only a recipient that is one account of ours with a limit can be full; where an alias has several
 * targets each one's verdict is taken at the end of the data.
 */
static void
answer_with_room(struct auth *a, enum role asker, unsigned index, uint64_t question, uint64_t size,
    const struct target *targets, size_t count, struct arena *arena)
{
	struct keeper_grant grant;
	struct room_usage *u;

	if (count != 1 || targets[0].kind != TARGET_LOCAL ||
	    auth_find_grant(a, targets[0].address, arena, &grant) != USERS_OK) {
		send_answer(a, asker, index, question, RECIPIENT_OK, targets, count);
		return;
	}
	u = map_get(a->usage, grant.address);
	if (u == NULL && grant.quota_bytes == 0 && grant.quota_messages == 0) {
		send_answer(a, asker, index, question, RECIPIENT_OK, targets, count);
		return;
	}
	if ((u == NULL || goes_by_others(u, &grant)) && a->room_count < ROOMS_MAX)
		wait_for_usage(a, asker, index, question, size, &targets[0], &grant);
	else if (u != NULL && is_full(&grant, u, size))
		send_answer(a, asker, index, question, RECIPIENT_FULL, targets, count);
	else
		send_answer(a, asker, index, question, RECIPIENT_OK, targets, count);
}

bool
auth_on_recipient(struct auth *a, enum role from, unsigned index, struct msg *m)
{
	uint64_t question = msg_get_u64(m);
	struct str address = msg_get_str(m);
	uint64_t size = msg_get_u64(m);
	struct arena *arena;
	struct users_targets found;
	struct target *targets;
	enum users_result result;

	if (!msg_end(m))
		return false;
	arena = arena_new();
	users_read_begin(a->users);
	result = users_resolve(a->users, address,
	    str_of(a->process->settings->recipient_delimiter), arena, &found);
	if (result != USERS_OK) {
		send_answer(a, from, index, question, word_for(result), NULL, 0);
	} else {
		targets = arena_array(arena, struct target, found.count);
		for (size_t i = 0; i < found.count; i++) {
			targets[i].kind = found.items[i].kind == USERS_REMOTE ?
			    TARGET_REMOTE : TARGET_LOCAL;
			targets[i].address = found.items[i].address;
		}
		answer_with_room(a, from, index, question, size, targets, found.count, arena);
	}
	users_read_end(a->users);
	arena_free(arena);
	return true;
}

/* ---- keepers for the queue ---- */

bool
auth_on_account_wanted(struct auth *a, unsigned queue, struct msg *m)
{
	struct str address = msg_get_str(m);
	struct arena *arena;
	struct keeper_grant grant;
	struct buf answer = BUF_INIT;
	enum users_result result;

	if (!msg_end(m))
		return false;
	arena = arena_new();
	result = auth_find_grant(a, address, arena, &grant);
	if (result == USERS_OK) {
		want_keeper(a, &grant);
	} else {
		msg_begin(&answer, MSG_ACCOUNT_ANSWER);
		msg_put_str(&answer, address);
		msg_put_u8(&answer, (uint8_t)word_for(result));
		process_send(a->process, ROLE_QUEUE, queue, &answer, -1);
	}
	arena_free(arena);
	return true;
}

bool
auth_on_usage(struct auth *a, struct msg *m)
{
	struct str address = msg_get_str(m);
	struct room_usage now, *u;
	struct room *r, *next;

	now.bytes = msg_get_u64(m);
	now.messages = msg_get_u64(m);
	now.quota_bytes = msg_get_u64(m);
	now.quota_messages = msg_get_u64(m);
	if (!msg_end(m))
		return false;
	u = map_get(a->usage, address);
	if (u == NULL) {
		u = xcalloc(1, sizeof(*u));
		map_set(a->usage, address, u);
	}
	*u = now;
	for (r = TAILQ_FIRST(&a->rooms); r != NULL; r = next) {
		next = TAILQ_NEXT(r, entry);
		/* What was on its way when the limits changed is not the answer. */
		if (str_eq(r->grant.address, address) && !goes_by_others(u, &r->grant))
			answer_room(r, is_full(&r->grant, u, r->size) ? RECIPIENT_FULL : RECIPIENT_OK);
	}
	return true;
}

/* What it said last is no longer known to be true. */
bool
auth_on_keeper_gone(struct auth *a, struct msg *m)
{
	struct str address = msg_get_str(m);

	if (!msg_end(m))
		return false;
	free(map_remove(a->usage, address));
	return true;
}
