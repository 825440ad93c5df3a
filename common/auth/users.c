/* SPDX-License-Identifier: ISC */
/*
 * users.db: opening it, and the plain look-ups. Every fault of the database is logged here
 * with its path, and travels up as one word.
 */
#include "common/auth/users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/auth/users_private.h"
#include "common/base/log.h"

char *
users_explain(const char *format, ...)
{
	va_list list;
	char *text;

	va_start(list, format);
	if (vasprintf(&text, format, list) < 0)
		fatal("out of memory");
	va_end(list);
	return text;
}

/*
 * An empty file that belongs to its folder's owner, so that daemons that run as that user can
 * read what root made; SQLite gives its -wal and -shm the same owner and mode.
 */
static bool
make_file(const char *path, char **why)
{
	struct str folder = str_sub(str_of(path), 0, str_last_index(str_of(path), '/'));
	scoped_fd fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	char *folder_path;
	struct stat st;

	if (fd < 0 && errno == EEXIST)
		return true;
	if (fd < 0) {
		*why = users_explain("%s: cannot be made: %s", path, strerror(errno));
		return false;
	}
	folder_path = str_path(folder);
	if (geteuid() == 0 && folder_path != NULL && stat(folder_path, &st) == 0
	    && fchown(fd, st.st_uid, st.st_gid) != 0)
		log_warn(NULL, "users-chown", KV("path", path), KV("error", strerror(errno)));
	free(folder_path);
	return true;
}

static bool
open_database(struct users *users, enum users_mode mode, char **why)
{
	int flags = mode == USERS_WRITE ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;

	if (access(users->path, F_OK) != 0 && mode == USERS_READ) {
		*why = users_explain("%s: there is no such file; \"trivet domain add DOMAIN\" makes it",
			users->path);
		return false;
	}
	if (mode == USERS_WRITE && !make_file(users->path, why))
		return false;
	if (sqlite3_open_v2(users->path, &users->db, flags | SQLITE_OPEN_NOMUTEX
	    | SQLITE_OPEN_PRIVATECACHE, NULL) != SQLITE_OK) {
		*why = users_explain("%s: cannot be opened: %s", users->path,
			users->db != NULL ? sqlite3_errmsg(users->db) : "out of memory");
		return false;
	}
	sqlite3_busy_timeout(users->db, USERS_BUSY_MS);
	sqlite3_extended_result_codes(users->db, 1);
	return true;
}

/*
 * When root is the first to open the file, SQLite makes -wal and -shm as root's and gives them
 * to the file's owner a moment later; a daemon that comes in between can't open them yet.
 */
static void
wait_for_wal(struct users *users)
{
	for (int tries = 0; tries < USERS_WAL_TRIES; tries++) {
		sqlite3_exec(users->db, "PRAGMA user_version", NULL, NULL, NULL);
		if ((sqlite3_errcode(users->db) & 0xff) != SQLITE_CANTOPEN)
			return;
		usleep(USERS_WAL_MS * 1000);
	}
}

static bool
set_up(struct users *users, enum users_mode mode, char **why)
{
	static const char for_writing[] =
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
		"PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;";
	static const char for_reading[] =
		"PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;";
	int schema;

	wait_for_wal(users);
	if (sqlite3_exec(users->db, mode == USERS_WRITE ? for_writing : for_reading,
	    NULL, NULL, NULL) != SQLITE_OK) {
		*why = users_explain("%s: cannot be used: %s", users->path, sqlite3_errmsg(users->db));
		return false;
	}
	if (mode == USERS_WRITE)
		return users_migrate(users, why);
	schema = users_schema_of(users);
	if (schema == users_schema_ours())
		return true;
	*why = users_explain_schema(users, schema);
	return false;
}

char *
users_explain_schema(struct users *users, int version)
{
	if (version < 0)
		return users_explain("%s: cannot be read: %s", users->path,
			sqlite3_errmsg(users->db));
	if (version < users_schema_ours())
		return users_explain("%s: is of an older schema (%d, not %d); any \"trivet "
			"domain\" command updates it", users->path, version, users_schema_ours());
	return users_explain("%s: was made by a newer Trivet (schema %d, this one knows %d); "
		"install that version", users->path, version, users_schema_ours());
}

struct users *
users_open(const char *path, enum users_mode mode, char **why)
{
	struct users *users = xcalloc(1, sizeof(*users));

	users->path = xstrdup(path);
	users->system_domain = xstrdup("");
	if (open_database(users, mode, why) && set_up(users, mode, why))
		return users;
	users_close(users);
	return NULL;
}

void
users_close(struct users *users)
{
	if (users == NULL)
		return;
	for (size_t i = 0; i < countof(users->prepared); i++)
		sqlite3_finalize(users->prepared[i].statement);
	sqlite3_close(users->db);
	free(users->path);
	free(users->system_domain);
	free(users);
}

void
users_set_system(struct users *users, struct str domain, users_system_exists *exists,
	void *context)
{
	struct arena *arena = arena_new();
	const char *why;

	if (user_domain_normalise(domain, arena, &domain, &why)) {
		free(users->system_domain);
		users->system_domain = str_dup(domain);
		users->system_exists = exists;
		users->system_context = context;
	}
	arena_free(arena);
}

enum users_result
users_fault(struct users *users, const char *what)
{
	int code = sqlite3_errcode(users->db) & 0xff;

	log_error(NULL, "users-db", KV("what", what), KV("path", users->path),
		KV("error", sqlite3_errmsg(users->db)));
	return code == SQLITE_BUSY || code == SQLITE_LOCKED ? USERS_BUSY : USERS_BROKEN;
}

/* The place of a statement that is kept, or may be; NULL: all are taken, or it is in use further up. */
static struct users_prepared *
prepared_for(struct users *users, const char *sql)
{
	for (size_t i = 0; i < countof(users->prepared); i++) {
		struct users_prepared *p = &users->prepared[i];

		if (p->sql == NULL || p->sql == sql)
			return p->in_use ? NULL : p;
	}
	return NULL;
}

sqlite3_stmt *
users_prepare(struct users *users, const char *sql, enum users_result *result)
{
	struct users_prepared *p = prepared_for(users, sql);
	sqlite3_stmt *statement = p != NULL ? p->statement : NULL;

	*result = USERS_OK;
	if (statement == NULL && sqlite3_prepare_v3(users->db, sql, -1,
	    p != NULL ? SQLITE_PREPARE_PERSISTENT : 0, &statement, NULL) != SQLITE_OK) {
		*result = users_fault(users, "prepare");
		return NULL;
	}
	if (p != NULL)
		*p = (struct users_prepared){ .sql = sql, .statement = statement, .in_use = true };
	return statement;
}

void
users_done(struct users *users, sqlite3_stmt *statement)
{
	if (statement == NULL)
		return;
	for (size_t i = 0; i < countof(users->prepared); i++)
		if (users->prepared[i].statement == statement) {
			users->prepared[i].in_use = false;
			sqlite3_reset(statement);
			sqlite3_clear_bindings(statement);
			return;
		}
	sqlite3_finalize(statement);
}

static bool
run_word(struct users *users, const char *sql)
{
	enum users_result result;
	sqlite3_stmt *statement = users_prepare(users, sql, &result);

	return statement != NULL && users_run(users, statement) == USERS_OK;
}

void
users_read_begin(struct users *users)
{
	if (users->reading++ == 0)
		users->own_read = sqlite3_get_autocommit(users->db) && run_word(users, "BEGIN");
}

void
users_read_end(struct users *users)
{
	if (--users->reading > 0 || !users->own_read)
		return;
	users->own_read = false;
	if (!sqlite3_get_autocommit(users->db))
		(void)run_word(users, "COMMIT");
}

void
users_bind_str(sqlite3_stmt *statement, int i, struct str s)
{
	if (sqlite3_bind_text64(statement, i, s.p, s.n, SQLITE_TRANSIENT, SQLITE_UTF8)
	    == SQLITE_NOMEM)
		fatal("out of memory");
}

struct str
users_column_str(sqlite3_stmt *statement, int i, struct arena *arena)
{
	const char *text = (const char *)sqlite3_column_text(statement, i);
	size_t n = (size_t)sqlite3_column_bytes(statement, i);

	return arena_str(arena, (struct str){ text != NULL ? text : "", text != NULL ? n : 0 });
}

enum users_result
users_next_row(struct users *users, sqlite3_stmt *statement)
{
	switch (sqlite3_step(statement)) {
	case SQLITE_ROW:
		return USERS_OK;
	case SQLITE_DONE:
		return USERS_NO_SUCH;
	default:
		return users_fault(users, "step");
	}
}

enum users_result
users_run(struct users *users, sqlite3_stmt *statement)
{
	enum users_result result = users_next_row(users, statement);

	users_done(users, statement);
	return result == USERS_NO_SUCH ? USERS_OK : result;
}

enum users_result
users_exists(struct users *users, const char *sql, struct str value)
{
	enum users_result result;
	sqlite3_stmt *statement = users_prepare(users, sql, &result);

	if (statement == NULL)
		return result;
	users_bind_str(statement, 1, value);
	result = users_next_row(users, statement);
	users_done(users, statement);
	return result;
}

uint64_t
users_generation(struct users *users)
{
	enum users_result result;
	sqlite3_stmt *statement = users_prepare(users, "PRAGMA data_version", &result);
	uint64_t generation = 0;

	/* data_version tells of others' changes, total_changes of our own. */
	if (statement != NULL && users_next_row(users, statement) == USERS_OK)
		generation = (uint64_t)sqlite3_column_int64(statement, 0) << 32;
	users_done(users, statement);
	return generation + (uint32_t)sqlite3_total_changes(users->db);
}

enum users_result
users_domain_is_ours(struct users *users, struct str domain)
{
	struct arena *arena = arena_new();
	enum users_result result = USERS_NOT_OURS;
	const char *why;

	if (user_domain_normalise(domain, arena, &domain, &why)) {
		if (users->system_domain[0] && str_eq(domain, str_of(users->system_domain)))
			result = USERS_OK;
		else
			result = users_exists(users, "SELECT 1 FROM domains WHERE name = ?", domain);
		if (result == USERS_NO_SUCH)
			result = USERS_NOT_OURS;
	}
	arena_free(arena);
	return result;
}

struct users_quota
users_column_quota(sqlite3_stmt *statement, int i)
{
	return (struct users_quota){
		.has_octets = sqlite3_column_type(statement, i) != SQLITE_NULL,
		.octets = (uint64_t)sqlite3_column_int64(statement, i),
		.has_messages = sqlite3_column_type(statement, i + 1) != SQLITE_NULL,
		.messages = (uint32_t)sqlite3_column_int64(statement, i + 1),
	};
}

void
users_read_account(sqlite3_stmt *statement, struct arena *arena, struct account *out)
{
	out->address = users_column_str(statement, 0, arena);
	out->verifier = users_column_str(statement, 1, arena);
	out->enabled = sqlite3_column_int(statement, 2) != 0;
	out->quota = users_column_quota(statement, 3);
	out->domain_quota = users_column_quota(statement, 7);
	out->mail_dir = users_column_str(statement, 5, arena);
	out->created = sqlite3_column_int64(statement, 6);
}

enum users_result
users_find_account(struct users *users, struct str address, struct arena *arena,
	struct account *out)
{
	enum users_result result;
	struct user_address normal;
	sqlite3_stmt *statement;
	const char *why;

	if (!user_address_normalise(address, arena, &normal, &why))
		return USERS_NO_SUCH;
	statement = users_prepare(users, "SELECT " USERS_ACCOUNT_COLUMNS
		" FROM accounts WHERE address = ?", &result);
	if (statement == NULL)
		return result;
	users_bind_str(statement, 1, normal.whole);
	result = users_next_row(users, statement);
	if (result == USERS_OK)
		users_read_account(statement, arena, out);
	users_done(users, statement);
	return result;
}
