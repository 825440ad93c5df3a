/* SPDX-License-Identifier: ISC */
/* The lists of users.db, whole, in the caller's arena: for trivet(8). */
#include "common/auth/users_private.h"

/* Reads one row into the element it is given. */
typedef void read_row(sqlite3_stmt *, struct arena *, void *out);

struct list_query {
	const char *count;	/* both with one parameter: a domain, or "" for all */
	const char *rows;
	read_row *read;
	size_t element;
};

static enum users_result
count_rows(struct users *users, const char *sql, struct str domain, size_t *count)
{
	enum users_result result;
	sqlite3_stmt *statement = users_prepare(users, sql, &result);

	if (statement == NULL)
		return result;
	users_bind_str(statement, 1, domain);
	result = users_next_row(users, statement);
	if (result == USERS_OK)
		*count = (size_t)sqlite3_column_int64(statement, 0);
	users_done(users, statement);
	return result;
}

static enum users_result
read_rows(struct users *users, const struct list_query *query, struct str domain,
	struct arena *arena, void **out, size_t *count)
{
	enum users_result result;
	sqlite3_stmt *statement;
	size_t room = 0, n = 0;
	char *items;

	result = count_rows(users, query->count, domain, &room);
	if (result != USERS_OK)
		return result;
	items = arena_alloc_many(arena, room + 1, query->element);
	statement = users_prepare(users, query->rows, &result);
	if (statement == NULL)
		return result;
	users_bind_str(statement, 1, domain);
	while (n < room && (result = users_next_row(users, statement)) == USERS_OK)
		query->read(statement, arena, items + query->element * n++);
	users_done(users, statement);
	if (result != USERS_OK && result != USERS_NO_SUCH)
		return result;
	*out = items;
	*count = n;
	return USERS_OK;
}

/* In one read transaction, so that the count and the rows are of one moment. */
static enum users_result
list(struct users *users, const struct list_query *query, struct str domain,
	struct arena *arena, void **out, size_t *count)
{
	enum users_result result = USERS_OK;
	const char *why;

	if (domain.n > 0 && !user_domain_normalise(domain, arena, &domain, &why))
		return USERS_NOT_OURS;
	if (domain.n > 0)
		result = users_domain_is_ours(users, domain);
	if (result != USERS_OK)
		return result;
	if (sqlite3_exec(users->db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
		return users_fault(users, "begin");
	result = read_rows(users, query, domain, arena, out, count);
	sqlite3_exec(users->db, "COMMIT", NULL, NULL, NULL);
	return result;
}

static void
read_domain(sqlite3_stmt *statement, struct arena *arena, void *out)
{
	struct users_domain *domain = out;

	domain->name = users_column_str(statement, 0, arena);
	domain->accounts = (uint64_t)sqlite3_column_int64(statement, 1);
	domain->aliases = (uint64_t)sqlite3_column_int64(statement, 2);
	domain->quota = users_column_quota(statement, 3);
}

enum users_result
users_list_domains(struct users *users, struct arena *arena, struct users_domain **out,
	size_t *count)
{
	static const struct list_query query = {
		"SELECT count(*) FROM domains WHERE ?1 = '' OR name = ?1",
		"SELECT name,"
		" (SELECT count(*) FROM accounts WHERE domain = name),"
		" (SELECT count(DISTINCT address) FROM aliases WHERE domain = name),"
		" quota_octets, quota_messages"
		" FROM domains WHERE ?1 = '' OR name = ?1 ORDER BY name",
		read_domain, sizeof(struct users_domain),
	};
	void *items;
	enum users_result result = list(users, &query, STR_EMPTY, arena, &items, count);

	if (result == USERS_OK)
		*out = items;
	return result;
}

static void
read_account(sqlite3_stmt *statement, struct arena *arena, void *out)
{
	users_read_account(statement, arena, out);
}

enum users_result
users_list_accounts(struct users *users, struct str domain, struct arena *arena,
	struct account **out, size_t *count)
{
	static const struct list_query query = {
		"SELECT count(*) FROM accounts WHERE ?1 = '' OR domain = ?1",
		"SELECT " USERS_ACCOUNT_COLUMNS " FROM accounts"
		" WHERE ?1 = '' OR domain = ?1 ORDER BY domain, address",
		read_account, sizeof(struct account),
	};
	void *items;
	enum users_result result = list(users, &query, domain, arena, &items, count);

	if (result == USERS_OK)
		*out = items;
	return result;
}

static void
read_alias(sqlite3_stmt *statement, struct arena *arena, void *out)
{
	struct users_alias *alias = out;

	alias->address = users_column_str(statement, 0, arena);
	alias->target = users_column_str(statement, 1, arena);
}

enum users_result
users_list_aliases(struct users *users, struct str domain, struct arena *arena,
	struct users_alias **out, size_t *count)
{
	static const struct list_query query = {
		"SELECT count(*) FROM aliases WHERE ?1 = '' OR domain = ?1",
		"SELECT address, target FROM aliases"
		" WHERE ?1 = '' OR domain = ?1 ORDER BY domain, address, target",
		read_alias, sizeof(struct users_alias),
	};
	void *items;
	enum users_result result = list(users, &query, domain, arena, &items, count);

	if (result == USERS_OK)
		*out = items;
	return result;
}
