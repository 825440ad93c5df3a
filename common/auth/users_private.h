/* SPDX-License-Identifier: ISC */
/* Private to users*.c: the handle, and statements as they are written there. */
#pragma once

#include <sqlite3.h>

#include "common/auth/users.h"

enum { USERS_PREPARED_MAX = 24 };	/* statements kept for their next use */

struct users {
	sqlite3 *db;
	struct users_prepared {
		const char *sql;	/* a literal: known by its address */
		sqlite3_stmt *statement;
		bool in_use;
	} prepared[USERS_PREPARED_MAX];
	unsigned reading;	/* depth of users_read_begin */
	bool own_read;		/* it has begun a transaction */
	char *path;
	char *system_domain;	/* "" where there are no system accounts */
	users_system_exists *system_exists;
	void *system_context;
};

/* Logs what SQLite says about what we did, and makes it a word. */
enum users_result users_fault(struct users *, const char *what);

/*
 * NULL after a fault, which *result then tells. sql is a string literal: the statement is kept for its next
 * use, which users_done makes possible.
 */
sqlite3_stmt *users_prepare(struct users *, const char *sql, enum users_result *result);
void users_done(struct users *, sqlite3_stmt *);
void users_bind_str(sqlite3_stmt *, int i, struct str);
struct str users_column_str(sqlite3_stmt *, int i, struct arena *);
/* SQLITE_ROW: USERS_OK; SQLITE_DONE: USERS_NO_SUCH; else a fault. */
enum users_result users_next_row(struct users *, sqlite3_stmt *);
/* Runs a statement that gives no rows, and is done with it. */
enum users_result users_run(struct users *, sqlite3_stmt *);
/* The number of rows (at most one) that a query with one str parameter gives. */
enum users_result users_exists(struct users *, const char *sql, struct str value);

/* Brings the schema to ours. False with *why: it is newer, or the database failed. */
bool users_migrate(struct users *, char **why);
/* 0 is an empty file; -1 after a fault. */
int users_schema_of(struct users *);
int users_schema_ours(void);
/* Lines for *why, heap: any; and why a file of that schema cannot be used. */
char *users_explain(const char *format, ...) printf_like(1, 2);
char *users_explain_schema(struct users *, int version);

/* Of two columns side by side. */
struct users_quota users_column_quota(sqlite3_stmt *, int i);
void users_read_account(sqlite3_stmt *, struct arena *, struct account *out);
#define USERS_ACCOUNT_COLUMNS "address, verifier, enabled, quota_octets, quota_messages, " \
	"mail_dir, created," \
	" (SELECT quota_octets FROM domains WHERE name = accounts.domain)," \
	" (SELECT quota_messages FROM domains WHERE name = accounts.domain)"
