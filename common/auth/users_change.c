/* SPDX-License-Identifier: ISC */
/*
 * Lists of users.db and every change of it. A change is one BEGIN IMMEDIATE ... COMMIT, so it
 * waits for another writer at its start and nowhere else.
 */
#include "common/auth/users_private.h"
#include "common/base/clock.h"

static enum users_result
begin(struct users *users)
{
	if (sqlite3_exec(users->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK)
		return USERS_OK;
	return users_fault(users, "begin");
}

/* Commits where all went well, else undoes; returns what became of it. */
static enum users_result
end(struct users *users, enum users_result result)
{
	if (result == USERS_OK
	    && sqlite3_exec(users->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
		result = users_fault(users, "commit");
	if (result != USERS_OK)
		sqlite3_exec(users->db, "ROLLBACK", NULL, NULL, NULL);
	return result;
}

/* For conditions: what it means where the row is there, and where it is not. */
static enum users_result
expect(enum users_result found, enum users_result if_there, enum users_result if_not)
{
	if (found == USERS_OK)
		return if_there;
	return found == USERS_NO_SUCH ? if_not : found;
}

static enum users_result
expect_domain(struct users *users, struct str name, enum users_result if_there, enum users_result if_not)
{
	return expect(users_exists(users, "SELECT 1 FROM domains WHERE name = ?", name), if_there, if_not);
}

static enum users_result
run_with(struct users *users, const char *sql, struct str first, struct str second)
{
	enum users_result result;
	sqlite3_stmt *statement = users_prepare(users, sql, &result);

	if (statement == NULL)
		return result;
	users_bind_str(statement, 1, first);
	if (sqlite3_bind_parameter_count(statement) > 1)
		users_bind_str(statement, 2, second);
	return users_run(users, statement);
}

static enum users_result
insert_domain(struct users *users, struct str name)
{
	enum users_result result;
	sqlite3_stmt *statement;

	result = expect_domain(users, name, USERS_EXISTS, USERS_OK);
	if (result != USERS_OK)
		return result;
	statement = users_prepare(users, "INSERT INTO domains (name, created) VALUES (?, ?)",
		&result);
	if (statement == NULL)
		return result;
	users_bind_str(statement, 1, name);
	sqlite3_bind_int64(statement, 2, clock_now());
	return users_run(users, statement);
}

static enum users_result
delete_domain(struct users *users, struct str name)
{
	enum users_result result;

	result = expect_domain(users, name, USERS_OK, USERS_NOT_OURS);
	if (result == USERS_OK)
		result = expect(users_exists(users, "SELECT 1 FROM accounts WHERE domain = ?1"
			" UNION ALL SELECT 1 FROM aliases WHERE domain = ?1", name),
			USERS_IN_USE, USERS_OK);
	if (result != USERS_OK)
		return result;
	return run_with(users, "DELETE FROM domains WHERE name = ?", name, STR_EMPTY);
}

typedef enum users_result domain_change(struct users *, struct str name);

static enum users_result
change_domain(struct users *users, struct str name, domain_change *change)
{
	struct arena *arena = arena_new();
	enum users_result result = USERS_INVALID;
	const char *why;

	if (user_domain_normalise(name, arena, &name, &why)) {
		result = begin(users);
		if (result == USERS_OK)
			result = end(users, change(users, name));
	}
	arena_free(arena);
	return result;
}

enum users_result
users_add_domain(struct users *users, struct str name)
{
	return change_domain(users, name, insert_domain);
}

enum users_result
users_remove_domain(struct users *users, struct str name)
{
	return change_domain(users, name, delete_domain);
}

static void
bind_quota(sqlite3_stmt *statement, int i, const struct users_quota *quota)
{
	if (quota->has_octets)
		sqlite3_bind_int64(statement, i, (int64_t)quota->octets);
	if (quota->has_messages)
		sqlite3_bind_int64(statement, i + 1, quota->messages);
}

static enum users_result
update_domain(struct users *users, struct str name, const struct users_quota *quota, unsigned fields)
{
	enum users_result result;
	sqlite3_stmt *statement;

	result = expect_domain(users, name, USERS_OK, USERS_NOT_OURS);
	if (result != USERS_OK)
		return result;
	/* The bits are those of enum account_field. */
	statement = users_prepare(users, "UPDATE domains SET"
		" quota_octets = iif(?4 & 4, ?2, quota_octets),"
		" quota_messages = iif(?4 & 8, ?3, quota_messages)"
		" WHERE name = ?1", &result);
	if (statement == NULL)
		return result;
	users_bind_str(statement, 1, name);
	bind_quota(statement, 2, quota);
	sqlite3_bind_int64(statement, 4, fields);
	return users_run(users, statement);
}

enum users_result
users_change_domain_quota(struct users *users, struct str name, const struct users_quota *quota,
	unsigned fields)
{
	struct arena *arena = arena_new();
	enum users_result result = USERS_INVALID;
	const char *why;

	if (quota->octets <= INT64_MAX && user_domain_normalise(name, arena, &name, &why)) {
		result = begin(users);
		if (result == USERS_OK)
			result = end(users, update_domain(users, name, quota, fields));
	}
	arena_free(arena);
	return result;
}

static void
bind_account(sqlite3_stmt *statement, const struct account *account)
{
	users_bind_str(statement, 2, account->verifier);
	sqlite3_bind_int(statement, 3, account->enabled);
	bind_quota(statement, 4, &account->quota);
	if (account->mail_dir.n > 0)
		users_bind_str(statement, 6, account->mail_dir);
}

static enum users_result
insert_account(struct users *users, const struct account *account, struct user_address address)
{
	enum users_result result;
	sqlite3_stmt *statement;

	result = expect_domain(users, address.domain, USERS_OK, USERS_NOT_OURS);
	if (result == USERS_OK)
		result = expect(users_exists(users, "SELECT 1 FROM accounts WHERE address = ?",
			address.whole), USERS_EXISTS, USERS_OK);
	if (result != USERS_OK)
		return result;
	statement = users_prepare(users, "INSERT INTO accounts (address, verifier, enabled,"
		" quota_octets, quota_messages, mail_dir, domain, created)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?)", &result);
	if (statement == NULL)
		return result;
	users_bind_str(statement, 1, address.whole);
	bind_account(statement, account);
	users_bind_str(statement, 7, address.domain);
	sqlite3_bind_int64(statement, 8, clock_now());
	return users_run(users, statement);
}

static bool
account_valid(const struct account *account)
{
	return account->quota.octets <= INT64_MAX
		&& (account->mail_dir.n == 0 || account->mail_dir.p[0] == '/');
}

enum users_result
users_add_account(struct users *users, const struct account *account)
{
	struct arena *arena = arena_new();
	enum users_result result = USERS_INVALID;
	struct user_address address;
	const char *why;

	if (account_valid(account)
	    && user_address_normalise(account->address, arena, &address, &why)) {
		result = begin(users);
		if (result == USERS_OK)
			result = end(users, insert_account(users, account, address));
	}
	arena_free(arena);
	return result;
}

static enum users_result
update_account(struct users *users, const struct account *account, struct str address,
	unsigned fields)
{
	enum users_result result;
	sqlite3_stmt *statement;

	result = users_exists(users, "SELECT 1 FROM accounts WHERE address = ?", address);
	if (result != USERS_OK)
		return result;
	/* The bits are those of enum account_field. */
	statement = users_prepare(users, "UPDATE accounts SET"
		" verifier = iif(?7 & 1, ?2, verifier),"
		" enabled = iif(?7 & 2, ?3, enabled),"
		" quota_octets = iif(?7 & 4, ?4, quota_octets),"
		" quota_messages = iif(?7 & 8, ?5, quota_messages),"
		" mail_dir = iif(?7 & 16, ?6, mail_dir)"
		" WHERE address = ?1", &result);
	if (statement == NULL)
		return result;
	users_bind_str(statement, 1, address);
	bind_account(statement, account);
	sqlite3_bind_int64(statement, 7, fields);
	return users_run(users, statement);
}

enum users_result
users_change_account(struct users *users, const struct account *account, unsigned fields)
{
	struct arena *arena = arena_new();
	enum users_result result = USERS_NO_SUCH;
	struct user_address address;
	const char *why;

	if (!account_valid(account)) {
		result = USERS_INVALID;
	} else if (user_address_normalise(account->address, arena, &address, &why)) {
		result = begin(users);
		if (result == USERS_OK)
			result = end(users, update_account(users, account, address.whole, fields));
	}
	arena_free(arena);
	return result;
}

enum users_result
users_remove_account(struct users *users, struct str text)
{
	struct arena *arena = arena_new();
	enum users_result result = USERS_NO_SUCH;
	struct user_address address;
	const char *why;

	if (user_address_normalise(text, arena, &address, &why)) {
		result = begin(users);
		if (result == USERS_OK) {
			result = users_exists(users, "SELECT 1 FROM accounts WHERE address = ?",
				address.whole);
			if (result == USERS_OK)
				result = run_with(users, "DELETE FROM accounts WHERE address = ?",
					address.whole, STR_EMPTY);
			result = end(users, result);
		}
	}
	arena_free(arena);
	return result;
}

/* An address of ours, or "*@DOMAIN". */
static bool
alias_normalise(struct str text, struct arena *arena, struct user_address *out)
{
	const char *why;

	if (!str_starts(text, STR("*@")))
		return user_address_normalise(text, arena, out, &why);
	if (!user_domain_normalise(str_from(text, 2), arena, &out->domain, &why))
		return false;
	out->whole = arena_printf(arena, "*@%.*s", STR_ARG(out->domain));
	out->local = str_sub(out->whole, 0, 1);
	return true;
}

/* Of ours in our form, of others' as it is written. */
static bool
target_normalise(struct users *users, struct str text, struct arena *arena, struct str *out)
{
	struct user_address target;
	const char *why;

	if (!user_address_normalise_any(text, arena, &target, &why))
		return false;
	if (users_domain_is_ours(users, target.domain) == USERS_OK
	    && !user_address_normalise(text, arena, &target, &why))
		return false;
	*out = target.whole;
	return true;
}

/* Would mail to it still find its way? A catch-all is tried with a name that nobody has. */
static enum users_result
check_alias(struct users *users, struct user_address address, struct arena *arena)
{
	struct users_targets targets;
	struct str probe = address.whole;
	enum users_result result;

	if (str_eq(address.local, STR("*")))
		probe = arena_printf(arena, "~^catch~^all@%.*s", STR_ARG(address.domain));
	result = users_resolve(users, probe, STR_EMPTY, arena, &targets);
	return result == USERS_NO_SUCH ? USERS_OK : result;
}

static enum users_result
insert_alias(struct users *users, struct user_address address, struct str target,
	struct arena *arena)
{
	enum users_result result;
	sqlite3_stmt *statement;

	result = expect_domain(users, address.domain, USERS_OK, USERS_NOT_OURS);
	if (result != USERS_OK)
		return result;
	statement = users_prepare(users, "INSERT OR IGNORE INTO aliases"
		" (address, target, domain) VALUES (?, ?, ?)", &result);
	if (statement == NULL)
		return result;
	users_bind_str(statement, 1, address.whole);
	users_bind_str(statement, 2, target);
	users_bind_str(statement, 3, address.domain);
	result = users_run(users, statement);
	if (result == USERS_OK && sqlite3_changes(users->db) == 0)
		return USERS_EXISTS;
	return result == USERS_OK ? check_alias(users, address, arena) : result;
}

enum users_result
users_add_alias(struct users *users, struct str text, struct str target_text)
{
	struct arena *arena = arena_new();
	enum users_result result = USERS_INVALID;
	struct user_address address;
	struct str target;

	if (alias_normalise(text, arena, &address)
	    && target_normalise(users, target_text, arena, &target)) {
		result = begin(users);
		if (result == USERS_OK)
			result = end(users, insert_alias(users, address, target, arena));
	}
	arena_free(arena);
	return result;
}

static enum users_result
delete_alias(struct users *users, struct str address, struct str target)
{
	enum users_result result;

	result = run_with(users, target.n > 0
		? "DELETE FROM aliases WHERE address = ?1 AND target = ?2"
		: "DELETE FROM aliases WHERE address = ?1", address, target);
	if (result == USERS_OK && sqlite3_changes(users->db) == 0)
		return USERS_NO_SUCH;
	return result;
}

enum users_result
users_remove_alias(struct users *users, struct str text, struct str target_text)
{
	struct arena *arena = arena_new();
	struct str target = STR_EMPTY;
	enum users_result result = USERS_NO_SUCH;
	struct user_address address;

	if (alias_normalise(text, arena, &address) && (target_text.n == 0
	    || target_normalise(users, target_text, arena, &target))) {
		result = begin(users);
		if (result == USERS_OK)
			result = end(users, delete_alias(users, address.whole, target));
	}
	arena_free(arena);
	return result;
}
