/* SPDX-License-Identifier: ISC */
/*
 * Where mail for an address goes. Addresses wait in a queue and each is looked at once, so
 * a loop of aliases ends where it closes, and time and memory are bound by USERS_TARGETS_MAX.
 */
#include <sys/queue.h>

#include "common/auth/users_private.h"
#include "common/base/log.h"
#include "common/base/map.h"

struct step {
	TAILQ_ENTRY(step) link;
	struct user_address address;
	struct str detail;
	unsigned depth;
};
TAILQ_HEAD(step_list, step);

struct resolving {
	struct users *users;
	struct arena *arena;
	struct str delimiter;
	struct step_list waiting;
	struct map *seen;	/* every address that was in the queue */
	struct map *targets;	/* the addresses of items */
	struct users_target *items;
	size_t count, room;
	size_t steps;
};

/* Has this step's address something of its own? USERS_NO_SUCH: look elsewhere. */
typedef enum users_result lookup(struct resolving *, const struct step *);

static void
make_room(struct resolving *r)
{
	struct users_target *items;

	if (r->count < r->room)
		return;
	r->room = r->room ? 2 * r->room : 4;
	items = arena_array(r->arena, struct users_target, r->room);
	if (r->count > 0)
		memcpy(items, r->items, r->count * sizeof(*items));
	r->items = items;
}

static enum users_result
add_target(struct resolving *r, enum users_target_kind kind, struct str address, struct str detail)
{
	if (map_get(r->targets, address) != NULL)
		return USERS_OK;
	if (r->count == USERS_TARGETS_MAX)
		return USERS_TOO_MANY;
	make_room(r);
	r->items[r->count++] = (struct users_target){ kind, address, detail };
	(void)map_set(r->targets, address, r);
	return USERS_OK;
}

static enum users_result
add_account(struct resolving *r, struct user_address address, struct str detail)
{
	enum users_result result;

	result = users_exists(r->users, "SELECT 1 FROM accounts WHERE address = ?",
		address.whole);
	if (result == USERS_OK)
		return add_target(r, USERS_LOCAL, address.whole, detail);
	if (result != USERS_NO_SUCH || r->users->system_exists == NULL
	    || !str_eq(address.domain, str_of(r->users->system_domain)))
		return result;
	result = r->users->system_exists(r->users->system_context, address.local);
	if (result != USERS_OK)
		return result;
	return add_target(r, USERS_SYSTEM, address.whole, detail);
}

/* depth 0: the address asked for. */
static enum users_result
wait_for(struct resolving *r, struct user_address address, struct str detail, unsigned depth)
{
	enum users_result result = users_domain_is_ours(r->users, address.domain);
	struct step *step;
	const char *why;

	if (result == USERS_NOT_OURS && depth > 0)
		return add_target(r, USERS_REMOTE, address.whole, STR_EMPTY);
	if (result != USERS_OK)
		return result;
	if (!user_address_normalise(address.whole, r->arena, &address, &why))
		return USERS_NO_SUCH;
	if (map_get(r->seen, address.whole) != NULL)
		return USERS_OK;
	if (depth > USERS_ALIAS_DEPTH || ++r->steps > USERS_TARGETS_MAX)
		return USERS_TOO_MANY;
	step = arena_one(r->arena, struct step);
	*step = (struct step){ .address = address, .detail = detail, .depth = depth };
	(void)map_set(r->seen, address.whole, step);
	TAILQ_INSERT_TAIL(&r->waiting, step, link);
	return USERS_OK;
}

/* One bad target must not keep the mail from the others. */
static enum users_result
target_missing(const struct step *step, struct str target)
{
	log_warn(NULL, "alias-target-missing", KV("address", step->address.whole),
		KV("target", target));
	return USERS_OK;
}

static enum users_result
follow_target(struct resolving *r, const struct step *step, struct str target)
{
	enum users_result result;
	struct user_address address;
	const char *why;

	if (!user_address_normalise_any(target, r->arena, &address, &why))
		return target_missing(step, target);
	/* An alias that names itself keeps a copy in the account of that address. */
	if (str_eq(address.whole, step->address.whole))
		result = add_account(r, address, step->detail);
	else
		result = wait_for(r, address, step->detail, step->depth + 1);
	return result == USERS_NO_SUCH ? target_missing(step, target) : result;
}

/* Targets are read to the end first: no statement stays open over other queries. */
static enum users_result
follow_aliases_of(struct resolving *r, const struct step *step, struct str address)
{
	struct str targets[USERS_TARGETS_MAX];
	enum users_result result;
	sqlite3_stmt *statement;
	size_t count = 0;

	statement = users_prepare(r->users,
		"SELECT target FROM aliases WHERE address = ? ORDER BY target", &result);
	if (statement == NULL)
		return result;
	users_bind_str(statement, 1, address);
	while ((result = users_next_row(r->users, statement)) == USERS_OK
	    && count < USERS_TARGETS_MAX)
		targets[count++] = users_column_str(statement, 0, r->arena);
	users_done(r->users, statement);
	if (result == USERS_OK)
		return USERS_TOO_MANY;
	if (result == USERS_NO_SUCH && count > 0)
		result = USERS_OK;
	for (size_t i = 0; result == USERS_OK && i < count; i++)
		result = follow_target(r, step, targets[i]);
	return result;
}

static enum users_result
try_itself(struct resolving *r, const struct step *step)
{
	enum users_result result = follow_aliases_of(r, step, step->address.whole);

	if (result != USERS_NO_SUCH)
		return result;
	return add_account(r, step->address, step->detail);
}

static enum users_result
try_without_detail(struct resolving *r, const struct step *step)
{
	struct str local = step->address.local;
	size_t at = r->delimiter.n > 0 ? str_find(local, r->delimiter) : local.n;
	struct step shorter = *step;

	if (at == 0 || at == local.n)
		return USERS_NO_SUCH;
	shorter.detail = str_from(local, at + r->delimiter.n);
	shorter.address.whole = arena_printf(r->arena, "%.*s@%.*s", STR_ARG(str_sub(local, 0, at)),
		STR_ARG(step->address.domain));
	shorter.address.local = str_sub(shorter.address.whole, 0, at);
	shorter.address.domain = str_from(shorter.address.whole, at + 1);
	return try_itself(r, &shorter);
}

/* The account that has been there longest, of the domain or else of the site. */
static enum users_result
try_oldest_account(struct resolving *r, const struct step *step)
{
	enum users_result result;
	sqlite3_stmt *statement;
	struct str address;

	/* RFC 5321 4.5.1: mail to postmaster is taken in every domain; RFC 2142 4: abuse. */
	if (!str_eq(step->address.local, STR("postmaster"))
	    && !str_eq(step->address.local, STR("abuse")))
		return USERS_NO_SUCH;
	statement = users_prepare(r->users, "SELECT address FROM accounts"
		" ORDER BY domain <> ?, id LIMIT 1", &result);
	if (statement == NULL)
		return result;
	users_bind_str(statement, 1, step->address.domain);
	result = users_next_row(r->users, statement);
	if (result == USERS_OK)
		address = users_column_str(statement, 0, r->arena);
	users_done(r->users, statement);
	return result == USERS_OK ? add_target(r, USERS_LOCAL, address, STR_EMPTY) : result;
}

static enum users_result
try_catch_all(struct resolving *r, const struct step *step)
{
	return follow_aliases_of(r, step,
		arena_printf(r->arena, "*@%.*s", STR_ARG(step->address.domain)));
}

/* In this order; the first that has something is it. */
static lookup *const lookups[] = {
	try_itself, try_without_detail, try_oldest_account, try_catch_all,
};

static enum users_result
take_step(struct resolving *r, const struct step *step)
{
	enum users_result result = USERS_NO_SUCH;

	for (size_t i = 0; result == USERS_NO_SUCH && i < countof(lookups); i++)
		result = lookups[i](r, step);
	if (result == USERS_NO_SUCH && step->depth > 0)
		return target_missing(step, step->address.whole);
	return result;
}

static enum users_result
take_steps(struct resolving *r)
{
	const struct step *first = TAILQ_FIRST(&r->waiting);
	enum users_result result = USERS_OK;
	struct step *step;

	while (result == USERS_OK && (step = TAILQ_FIRST(&r->waiting)) != NULL) {
		TAILQ_REMOVE(&r->waiting, step, link);
		result = take_step(r, step);
	}
	if (result != USERS_OK || r->count > 0)
		return result;
	/* Aliases that only lead to each other: the account of the address, if there is one. */
	return add_account(r, first->address, first->detail);
}

/* RFC 5321 4.1.1.3: "postmaster" without a domain, in any case of letters. */
static enum users_result
site_postmaster(struct users *users, struct arena *arena, struct str *address)
{
	enum users_result result;
	sqlite3_stmt *statement = users_prepare(users,
		"SELECT name FROM domains ORDER BY created, name LIMIT 1", &result);

	if (statement == NULL)
		return result;
	result = users_next_row(users, statement);
	if (result == USERS_OK)
		*address = arena_printf(arena, "postmaster@%.*s",
			STR_ARG(users_column_str(statement, 0, arena)));
	users_done(users, statement);
	return result;
}

/* Quoted and other odd local parts: no such address of ours, or somebody else's affair. */
static enum users_result
odd_address(struct users *users, struct str address)
{
	size_t at = str_last_index(address, '@');
	enum users_result result;

	if (address.n > USER_ADDRESS_MAX || at == address.n)
		return USERS_NO_SUCH;
	result = users_domain_is_ours(users, str_from(address, at + 1));
	return result == USERS_OK ? USERS_NO_SUCH : result;
}

static enum users_result
resolve(struct users *users, struct str address, struct str delimiter, struct arena *arena,
	struct users_targets *out)
{
	struct resolving r = { .users = users, .arena = arena, .delimiter = delimiter };
	enum users_result result = USERS_OK;
	struct user_address first;
	const char *why;

	if (str_eq_nocase(address, STR("postmaster")))
		result = site_postmaster(users, arena, &address);
	if (result != USERS_OK)
		return result;
	if (!user_address_normalise_any(address, arena, &first, &why))
		return odd_address(users, address);
	TAILQ_INIT(&r.waiting);
	r.seen = map_new();
	r.targets = map_new();
	result = wait_for(&r, first, STR_EMPTY, 0);
	if (result == USERS_OK)
		result = take_steps(&r);
	map_free(r.seen);
	map_free(r.targets);
	if (result == USERS_OK)
		*out = (struct users_targets){ r.items, r.count };
	return result;
}

enum users_result
users_resolve(struct users *users, struct str address, struct str delimiter, struct arena *arena,
	struct users_targets *out)
{
	enum users_result result;

	users_read_begin(users);
	result = resolve(users, address, delimiter, arena, out);
	users_read_end(users);
	return result;
}
