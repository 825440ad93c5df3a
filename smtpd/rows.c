/* SPDX-License-Identifier: ISC */
/*
 * queue.db over SQLite, in WAL mode so that `trivet queue` reads beside us. Statements are prepared once, and
 * none stays open across a return. synchronous=OFF: a crash of this process loses nothing, one of the machine
 * is what rebuilding is for.
 */
#include "smtpd/rows.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "smtpd/database.h"

enum {
	ROWS_VERSION = 1,
	BUSY_MS = 2000,		/* `trivet queue` holds the lock for one insert */
};

static const char schema[] =
	"PRAGMA user_version = 1;"
	"CREATE TABLE IF NOT EXISTS message(trace TEXT PRIMARY KEY, sender TEXT NOT NULL,"
	"	credential TEXT NOT NULL, arrived INTEGER NOT NULL, size INTEGER NOT NULL,"
	"	notified INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS recipient(trace TEXT NOT NULL, n INTEGER NOT NULL,"
	"	given TEXT NOT NULL, address TEXT NOT NULL, kind TEXT NOT NULL,"
	"	domain TEXT NOT NULL, destination TEXT NOT NULL, state INTEGER NOT NULL,"
	"	attempts INTEGER NOT NULL, next_at INTEGER NOT NULL, last_at INTEGER NOT NULL,"
	"	status TEXT NOT NULL, answer TEXT NOT NULL, host TEXT NOT NULL,"
	"	PRIMARY KEY(trace, n)) WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS recipient_due"
	"	ON recipient(state, destination, next_at);"
	"CREATE INDEX IF NOT EXISTS recipient_next ON recipient(state, next_at);"
	"CREATE INDEX IF NOT EXISTS message_notified ON message(notified, arrived);"
	"CREATE TABLE IF NOT EXISTS request(id INTEGER PRIMARY KEY, verb TEXT NOT NULL,"
	"	trace TEXT NOT NULL);"
	"UPDATE recipient SET state = 0 WHERE state = 1;";

enum statement {
	ADD_MESSAGE, ADD_RECIPIENT, HAVE, REMOVE_MESSAGE, REMOVE_RECIPIENTS, UPDATE, LOAD,
	LOAD_NOTIFIED, SET_NOTIFIED, SET_RELAY, DUE_DESTINATIONS, TAKE_TRACE, TAKE_ROWS,
	TAKE_MARK, RELEASE, REOPEN_LOCAL, NEXT_UNNOTIFIED, NEXT_DUE, OLDEST_UNNOTIFIED, DATA_VERSION, NEXT_REQUEST,
	REMOVE_REQUEST, HURRY, HURRY_ALL, BEGIN, COMMIT, ROLLBACK, STATEMENT_COUNT
};

/* An UNNOTIFIED message counts from its first attempt on: before, there is nothing to tell. */
#define UNNOTIFIED "FROM message WHERE notified = 0 AND sender <> '' AND EXISTS" \
	" (SELECT 1 FROM recipient WHERE recipient.trace = message.trace AND state = 0" \
	" AND attempts > 0)"

static const char *const texts[] = {
	[ADD_MESSAGE] = "INSERT OR REPLACE INTO message(trace, sender, credential, arrived, size)"
	    " VALUES(?,?,?,?,?)",
	[ADD_RECIPIENT] = "INSERT OR REPLACE INTO recipient(trace, n, given, address, kind, domain,"
	    " destination, state, attempts, next_at, last_at, status, answer, host)"
	    " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
	[HAVE] = "SELECT 1 FROM message WHERE trace = ?",
	[REMOVE_MESSAGE] = "DELETE FROM message WHERE trace = ?",
	[REMOVE_RECIPIENTS] = "DELETE FROM recipient WHERE trace = ?",
	[UPDATE] = "UPDATE recipient SET state = ?, attempts = ?, next_at = ?, last_at = ?,"
	    " status = ?, answer = ?, host = ? WHERE trace = ? AND n = ?",
	[LOAD] = "SELECT n, state, attempts, next_at, last_at, status, answer, host"
	    " FROM recipient WHERE trace = ?",
	[LOAD_NOTIFIED] = "SELECT notified FROM message WHERE trace = ?",
	[SET_NOTIFIED] = "UPDATE message SET notified = 1 WHERE trace = ?",
	[SET_RELAY] = "UPDATE recipient SET destination = CASE ?1 WHEN '' THEN domain ELSE ?1 END"
	    " WHERE kind = 'remote'",
	[DUE_DESTINATIONS] = "SELECT DISTINCT destination FROM recipient"
	    " WHERE state = 0 AND next_at <= ? LIMIT ?",
	[TAKE_TRACE] = "SELECT trace FROM recipient WHERE state = 0 AND destination = ?"
	    " AND next_at <= ? ORDER BY next_at LIMIT 1",
	[TAKE_ROWS] = "SELECT n FROM recipient WHERE trace = ? AND state = 0 AND destination = ?"
	    " AND next_at <= ? ORDER BY n LIMIT ?",
	[TAKE_MARK] = "UPDATE recipient SET state = 1 WHERE trace = ? AND n = ?",
	[RELEASE] = "UPDATE recipient SET state = 0 WHERE state = 1 AND trace = ?",
	[REOPEN_LOCAL] = "UPDATE recipient SET state = 0, next_at = ?1 WHERE trace = ?2"
	    " AND kind = 'local' AND state = 2 AND status LIKE '2.%'",
	[NEXT_UNNOTIFIED] = "SELECT trace " UNNOTIFIED " AND arrived <= ? ORDER BY arrived LIMIT 1",
	[NEXT_DUE] = "SELECT min(next_at) FROM recipient WHERE state = 0",
	[OLDEST_UNNOTIFIED] = "SELECT min(arrived) " UNNOTIFIED,
	[DATA_VERSION] = "PRAGMA data_version",
	[NEXT_REQUEST] = "SELECT id, verb, trace FROM request ORDER BY id LIMIT 1",
	[REMOVE_REQUEST] = "DELETE FROM request WHERE id = ?",
	[HURRY] = "UPDATE recipient SET next_at = min(next_at, ?1) WHERE state = 0 AND trace = ?2",
	[HURRY_ALL] = "UPDATE recipient SET next_at = min(next_at, ?1) WHERE state = 0",
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
};
_Static_assert(countof(texts) == STATEMENT_COUNT, "every statement has its text");

struct rows {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENT_COUNT];
	struct buf relay_host;
	int64_t data_version;
};

static void
log_trouble(struct rows *rows, const char *what)
{
	log_error(NULL, "queue_db_trouble", KV("doing", what),
	    KV("error", rows->db ? sqlite3_errmsg(rows->db) : "not open"));
}

/* ---- opening ---- */

/* Sets *lost where there is nothing that could be read another time. */
static bool
try_open(struct rows *rows, const char *path, bool *lost)
{
	int64_t version;
	int code, one = 1;

	*lost = false;
	if (sqlite3_open_v2(path, &rows->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
	    SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return false;
	sqlite3_busy_timeout(rows->db, BUSY_MS);
	/* What SQLite needs to open it stays, so that this takes no room on a full disk. */
	sqlite3_file_control(rows->db, "main", SQLITE_FCNTL_PERSIST_WAL, &one);
	version = database_version(rows->db);
	code = sqlite3_errcode(rows->db);
	*lost = code == SQLITE_CORRUPT || code == SQLITE_NOTADB ||
	    (version > 0 && version != ROWS_VERSION);
	if (version < 0 || *lost)
		return false;
	/* A new one becomes a WAL's without a file of a rollback journal. */
	if ((version == 0 && sqlite3_exec(rows->db, "PRAGMA journal_mode = MEMORY", NULL, NULL,
	    NULL) != SQLITE_OK) ||
	    sqlite3_exec(rows->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
	    "PRAGMA temp_store = MEMORY;", NULL, NULL, NULL) != SQLITE_OK ||
	    (version == 0 && sqlite3_exec(rows->db, schema, NULL, NULL, NULL) != SQLITE_OK)) {
		*lost = sqlite3_errcode(rows->db) == SQLITE_CORRUPT;
		return false;
	}
	return database_prepare(rows->db, texts, rows->statements, STATEMENT_COUNT);
}

struct rows *
rows_open(const char *path)
{
	struct rows *rows = xcalloc(1, sizeof(*rows));
	bool lost;

	if (try_open(rows, path, &lost))
		return rows;
	/* What a full or failing disk hides now tells later who had what. */
	log_trouble(rows, lost ? "opening; making it anew" : "opening");
	if (lost) {
		database_close(&rows->db, rows->statements, STATEMENT_COUNT);
		database_discard(path);
		if (try_open(rows, path, &lost))
			return rows;
		log_trouble(rows, "making it anew");
	}
	rows_close(rows);
	return NULL;
}

void
rows_close(struct rows *rows)
{
	if (!rows)
		return;
	database_close(&rows->db, rows->statements, STATEMENT_COUNT);
	buf_free(&rows->relay_host);
	free(rows);
}

/* ---- statements ---- */

static sqlite3_stmt *
start(struct rows *rows, enum statement which)
{
	sqlite3_stmt *s = rows->statements[which];

	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	return s;
}

static void
bind_str(sqlite3_stmt *s, int at, struct str text)
{
	sqlite3_bind_text64(s, at, text.p, text.n, SQLITE_STATIC, SQLITE_UTF8);
}

/* Runs a statement without rows; its reset also ends its transaction. */
static bool
run(struct rows *rows, sqlite3_stmt *s)
{
	int result = sqlite3_step(s);

	if (result != SQLITE_DONE)
		log_trouble(rows, sqlite3_sql(s));
	sqlite3_reset(s);
	return result == SQLITE_DONE;
}

static bool
next(struct rows *rows, sqlite3_stmt *s)
{
	int result = sqlite3_step(s);

	if (result == SQLITE_ROW)
		return true;
	if (result != SQLITE_DONE)
		log_trouble(rows, sqlite3_sql(s));
	sqlite3_reset(s);
	return false;
}

static struct str
column_str(sqlite3_stmt *s, int column, struct arena *arena)
{
	const char *p = (const char *)sqlite3_column_text(s, column);

	return arena_str(arena, (struct str){ p ? p : "",
	    (size_t)sqlite3_column_bytes(s, column) });
}

/* One number, or `none` where there is no row or a NULL. */
static int64_t
number(struct rows *rows, enum statement which, int64_t none)
{
	sqlite3_stmt *s = start(rows, which);

	if (next(rows, s)) {
		if (sqlite3_column_type(s, 0) != SQLITE_NULL)
			none = sqlite3_column_int64(s, 0);
		sqlite3_reset(s);
	}
	return none;
}

static bool
finish(struct rows *rows, bool ok)
{
	if (ok && run(rows, start(rows, COMMIT)))
		return true;
	(void)run(rows, start(rows, ROLLBACK));
	return false;
}

/* ---- messages ---- */

static void
put_credential(struct buf *out, const struct record *record)
{
	switch (record->credential) {
	case CREDENTIAL_NONE:
		buf_put_z(out, "none ");
		break;
	case CREDENTIAL_ACCOUNT:
		buf_put_z(out, "account ");
		buf_put(out, record->account);
		return;
	case CREDENTIAL_NETWORK:
		buf_put_z(out, "network ");
		break;
	case CREDENTIAL_INTERNAL:
		buf_put_z(out, "internal");
		break;
	}
	buf_put(out, record->peer);
}

static struct str
domain_of(struct str address)
{
	size_t at = str_last_index(address, '@');

	return at == address.n ? STR_EMPTY : str_from(address, at + 1);
}

static void
put_lower(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		buf_put_c(out, ascii_lower(text.p[i]));
}

void
rows_put_destination(struct rows *rows, struct buf *out, enum target_kind kind,
    struct str address)
{
	if (kind == TARGET_LOCAL)
		buf_put(out, address);
	else if (rows->relay_host.n > 0)
		buf_put(out, buf_str(&rows->relay_host));
	else
		put_lower(out, domain_of(address));
}

static bool
add_recipient(struct rows *rows, struct str trace, const struct record_recipient *recipient,
    const struct row *row)
{
	sqlite3_stmt *s = start(rows, ADD_RECIPIENT);
	scoped_buf domain = BUF_INIT;
	scoped_buf destination = BUF_INIT;

	put_lower(&domain, domain_of(recipient->address));
	rows_put_destination(rows, &destination, recipient->kind, recipient->address);
	bind_str(s, 1, trace);
	sqlite3_bind_int64(s, 2, row->n);
	bind_str(s, 3, recipient->given);
	bind_str(s, 4, recipient->address);
	bind_str(s, 5, recipient->kind == TARGET_LOCAL ? STR("local") : STR("remote"));
	bind_str(s, 6, buf_str(&domain));
	bind_str(s, 7, buf_str(&destination));
	sqlite3_bind_int64(s, 8, row->state);
	sqlite3_bind_int64(s, 9, row->attempts);
	sqlite3_bind_int64(s, 10, row->next_at);
	sqlite3_bind_int64(s, 11, row->last_at);
	bind_str(s, 12, row->status.p ? row->status : STR_EMPTY);
	bind_str(s, 13, row->answer.p ? row->answer : STR_EMPTY);
	bind_str(s, 14, row->host.p ? row->host : STR_EMPTY);
	return run(rows, s);
}

bool
rows_add(struct rows *rows, const struct record *record, const struct row *list)
{
	scoped_buf credential = BUF_INIT;
	sqlite3_stmt *s = start(rows, ADD_MESSAGE);
	bool ok;

	if (!run(rows, start(rows, BEGIN)))
		return false;
	put_credential(&credential, record);
	bind_str(s, 1, record->trace);
	bind_str(s, 2, record->sender);
	bind_str(s, 3, buf_str(&credential));
	sqlite3_bind_int64(s, 4, record->arrived);
	sqlite3_bind_int64(s, 5, (int64_t)record->size);
	ok = run(rows, s);
	for (size_t i = 0; ok && i < record->count; i++)
		ok = add_recipient(rows, record->trace, &record->recipients[i], &list[i]);
	return finish(rows, ok);
}

bool
rows_have(struct rows *rows, struct str trace)
{
	sqlite3_stmt *s = start(rows, HAVE);
	bool have;

	bind_str(s, 1, trace);
	have = next(rows, s);
	sqlite3_reset(s);
	return have;
}

void
rows_remove(struct rows *rows, struct str trace)
{
	sqlite3_stmt *message = start(rows, REMOVE_MESSAGE);
	sqlite3_stmt *recipients = start(rows, REMOVE_RECIPIENTS);

	if (!run(rows, start(rows, BEGIN)))
		return;
	bind_str(message, 1, trace);
	bind_str(recipients, 1, trace);
	(void)finish(rows, run(rows, message) && run(rows, recipients));
}

bool
rows_update(struct rows *rows, struct str trace, const struct row *row)
{
	sqlite3_stmt *s = start(rows, UPDATE);

	sqlite3_bind_int64(s, 1, row->state);
	sqlite3_bind_int64(s, 2, row->attempts);
	sqlite3_bind_int64(s, 3, row->next_at);
	sqlite3_bind_int64(s, 4, row->last_at);
	bind_str(s, 5, row->status.p ? row->status : STR_EMPTY);
	bind_str(s, 6, row->answer.p ? row->answer : STR_EMPTY);
	bind_str(s, 7, row->host.p ? row->host : STR_EMPTY);
	bind_str(s, 8, trace);
	sqlite3_bind_int64(s, 9, row->n);
	return run(rows, s);
}

bool
rows_load(struct rows *rows, struct str trace, struct arena *arena, struct row *list,
    size_t count, bool *notified)
{
	sqlite3_stmt *s = start(rows, LOAD_NOTIFIED);

	bind_str(s, 1, trace);
	if (!next(rows, s))
		return false;
	*notified = sqlite3_column_int(s, 0) != 0;
	sqlite3_reset(s);	/* an open statement would hold the whole database at this moment */
	s = start(rows, LOAD);
	bind_str(s, 1, trace);
	while (next(rows, s)) {
		int64_t n = sqlite3_column_int64(s, 0);

		if (n < 0 || (uint64_t)n >= count)
			continue;
		list[n] = (struct row){
			.n = (uint32_t)n,
			.state = (enum row_state)sqlite3_column_int(s, 1),
			.attempts = (uint32_t)sqlite3_column_int64(s, 2),
			.next_at = sqlite3_column_int64(s, 3),
			.last_at = sqlite3_column_int64(s, 4),
			.status = column_str(s, 5, arena),
			.answer = column_str(s, 6, arena),
			.host = column_str(s, 7, arena),
		};
	}
	return true;
}

bool
rows_set_notified(struct rows *rows, struct str trace)
{
	sqlite3_stmt *s = start(rows, SET_NOTIFIED);

	bind_str(s, 1, trace);
	return run(rows, s);
}

/* ---- what is due ---- */

void
rows_set_relay(struct rows *rows, struct str relay_host)
{
	sqlite3_stmt *s = start(rows, SET_RELAY);

	buf_clear(&rows->relay_host);
	put_lower(&rows->relay_host, relay_host);
	bind_str(s, 1, buf_str(&rows->relay_host));
	(void)run(rows, s);
}

size_t
rows_due_destinations(struct rows *rows, int64_t now, struct arena *arena, struct str *out,
    size_t most)
{
	sqlite3_stmt *s = start(rows, DUE_DESTINATIONS);
	size_t count = 0;

	sqlite3_bind_int64(s, 1, now);
	sqlite3_bind_int64(s, 2, (int64_t)most);
	while (count < most && next(rows, s))
		out[count++] = column_str(s, 0, arena);
	sqlite3_reset(s);
	return count;
}

static bool
mark_taken(struct rows *rows, const struct taken *taken)
{
	bool ok = true;

	for (size_t i = 0; ok && i < taken->count; i++) {
		sqlite3_stmt *s = start(rows, TAKE_MARK);

		bind_str(s, 1, taken->trace);
		sqlite3_bind_int64(s, 2, taken->n[i]);
		ok = run(rows, s);
	}
	return ok;
}

bool
rows_take(struct rows *rows, struct str destination, int64_t now, size_t most,
    struct arena *arena, struct taken *out)
{
	sqlite3_stmt *s = start(rows, TAKE_TRACE);
	struct taken taken = { .n = arena_array(arena, uint32_t, most) };

	bind_str(s, 1, destination);
	sqlite3_bind_int64(s, 2, now);
	if (!next(rows, s))
		return false;
	taken.trace = column_str(s, 0, arena);
	sqlite3_reset(s);
	s = start(rows, TAKE_ROWS);
	bind_str(s, 1, taken.trace);
	bind_str(s, 2, destination);
	sqlite3_bind_int64(s, 3, now);
	sqlite3_bind_int64(s, 4, (int64_t)most);
	while (taken.count < most && next(rows, s))
		taken.n[taken.count++] = (uint32_t)sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	if (taken.count == 0 || !run(rows, start(rows, BEGIN)) ||
	    !finish(rows, mark_taken(rows, &taken)))
		return false;
	*out = taken;
	return true;
}

void
rows_release(struct rows *rows, struct str trace)
{
	sqlite3_stmt *s = start(rows, RELEASE);

	bind_str(s, 1, trace);
	(void)run(rows, s);
}

bool
rows_next_unnotified(struct rows *rows, int64_t arrived_by, struct arena *arena,
    struct str *trace)
{
	sqlite3_stmt *s = start(rows, NEXT_UNNOTIFIED);

	sqlite3_bind_int64(s, 1, arrived_by);
	if (!next(rows, s))
		return false;
	*trace = column_str(s, 0, arena);
	sqlite3_reset(s);
	return true;
}

int64_t
rows_next_due(struct rows *rows)
{
	return number(rows, NEXT_DUE, INT64_MAX);
}

int64_t
rows_oldest_unnotified(struct rows *rows)
{
	return number(rows, OLDEST_UNNOTIFIED, INT64_MAX);
}

void
rows_reopen_local(struct rows *rows, struct str trace, int64_t now)
{
	sqlite3_stmt *s = start(rows, REOPEN_LOCAL);

	sqlite3_bind_int64(s, 1, now);
	bind_str(s, 2, trace);
	(void)run(rows, s);
}

/* ---- what the administrator wants ---- */

bool
rows_changed_outside(struct rows *rows)
{
	int64_t version = number(rows, DATA_VERSION, rows->data_version);
	bool changed = version != rows->data_version;

	rows->data_version = version;
	return changed;
}

bool
rows_next_request(struct rows *rows, struct arena *arena, struct request *out)
{
	sqlite3_stmt *s = start(rows, NEXT_REQUEST);
	struct request request;
	int64_t id;

	if (!next(rows, s))
		return false;
	id = sqlite3_column_int64(s, 0);
	request.verb = column_str(s, 1, arena);
	request.trace = column_str(s, 2, arena);
	sqlite3_reset(s);
	s = start(rows, REMOVE_REQUEST);
	sqlite3_bind_int64(s, 1, id);
	if (!run(rows, s))
		return false;	/* or it would be done for ever */
	*out = request;
	return true;
}

void
rows_hurry(struct rows *rows, struct str trace, int64_t now)
{
	bool all = str_eq(trace, STR("ALL"));
	sqlite3_stmt *s = start(rows, all ? HURRY_ALL : HURRY);

	sqlite3_bind_int64(s, 1, now);
	if (!all)
		bind_str(s, 2, trace);
	(void)run(rows, s);
}
