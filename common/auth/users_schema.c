/* SPDX-License-Identifier: ISC */
/*
 * The tables of users.db and how an older file becomes a newer one: one function per step,
 * all steps in one transaction, PRAGMA user_version counts them. A step is never changed once
 * it was released; a new one is added below it.
 */
#include <stdio.h>

#include "common/auth/users_private.h"

typedef bool migration(sqlite3 *);

static bool
make_first_tables(sqlite3 *db)
{
	static const char sql[] =
		"CREATE TABLE domains ("
		" name TEXT PRIMARY KEY NOT NULL,"
		" created INTEGER NOT NULL"
		") WITHOUT ROWID;"
		"CREATE TABLE accounts ("
		" id INTEGER PRIMARY KEY,"	/* their order is that of age */
		" address TEXT NOT NULL UNIQUE,"
		" domain TEXT NOT NULL REFERENCES domains(name),"
		" verifier TEXT NOT NULL,"
		" enabled INTEGER NOT NULL,"
		" quota_octets INTEGER,"	/* NULL: its domain's, or the site's default */
		" quota_messages INTEGER,"
		" mail_dir TEXT,"
		" created INTEGER NOT NULL"
		");"
		"CREATE INDEX accounts_by_domain ON accounts(domain);"
		"CREATE TABLE aliases ("
		" address TEXT NOT NULL,"	/* '*@domain': whatever is not there */
		" target TEXT NOT NULL,"
		" domain TEXT NOT NULL REFERENCES domains(name),"
		" PRIMARY KEY (address, target)"
		") WITHOUT ROWID;"
		"CREATE INDEX aliases_by_domain ON aliases(domain);";

	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/* NULL: the site's default. */
static bool
give_domains_quotas(sqlite3 *db)
{
	return sqlite3_exec(db, "ALTER TABLE domains ADD COLUMN quota_octets INTEGER;"
		"ALTER TABLE domains ADD COLUMN quota_messages INTEGER;", NULL, NULL, NULL) == SQLITE_OK;
}

static migration *const migrations[] = {
	make_first_tables,
	give_domains_quotas,
};

int
users_schema_ours(void)
{
	return (int)countof(migrations);
}

int
users_schema_of(struct users *users)
{
	enum users_result result;
	sqlite3_stmt *statement = users_prepare(users, "PRAGMA user_version", &result);
	int version = -1;

	if (statement != NULL && users_next_row(users, statement) == USERS_OK)
		version = sqlite3_column_int(statement, 0);
	users_done(users, statement);
	return version;
}

static bool
run_steps(struct users *users, int version)
{
	char set_version[64];

	for (; version < users_schema_ours(); version++)
		if (!migrations[version](users->db))
			return false;
	snprintf(set_version, sizeof(set_version), "PRAGMA user_version = %d", version);
	return sqlite3_exec(users->db, set_version, NULL, NULL, NULL) == SQLITE_OK;
}

/* Within BEGIN IMMEDIATE, so that two programs that start together do not both migrate. */
static bool
migrate_locked(struct users *users, char **why)
{
	int version = users_schema_of(users);

	if (version > users_schema_ours()) {
		*why = users_explain_schema(users, version);
		return false;
	}
	if (version >= 0 && run_steps(users, version)
	    && sqlite3_exec(users->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK)
		return true;
	*why = users_explain("%s: cannot be brought from schema %d to %d: %s", users->path,
		version, users_schema_ours(), sqlite3_errmsg(users->db));
	return false;
}

bool
users_migrate(struct users *users, char **why)
{
	if (users_schema_of(users) == users_schema_ours())
		return true;
	if (sqlite3_exec(users->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
		*why = users_explain("%s: cannot be written: %s", users->path,
			sqlite3_errmsg(users->db));
		return false;
	}
	if (migrate_locked(users, why))
		return true;
	sqlite3_exec(users->db, "ROLLBACK", NULL, NULL, NULL);
	return false;
}
