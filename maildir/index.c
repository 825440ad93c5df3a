/* SPDX-License-Identifier: ISC */
#include "maildir/index.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "maildir/index_vfs.h"
#include "maildir/private.h"

#define MADE_TABLE \
	"CREATE TABLE made (key INTEGER PRIMARY KEY, email TEXT, thread TEXT, preview TEXT) STRICT;"
#define TEXTS_TABLE \
	"CREATE TABLE texts (key INTEGER PRIMARY KEY, envelope TEXT, bodystructure TEXT);"

/*
 * messages is narrow, because a whole mailbox of it is loaded at once; names, texts and headers are
 * apart, because a scan reads only names and FETCH only texts, and those are short beside headers.
 */
static const char schema[] =
	"CREATE TABLE state (key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
	"CREATE TABLE mailboxes (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
	" id TEXT NOT NULL UNIQUE, uidvalidity INTEGER NOT NULL, uid_next INTEGER NOT NULL,"
	" uid_reserve INTEGER NOT NULL, modseq INTEGER NOT NULL, modseq_reserve INTEGER NOT NULL,"
	" messages INTEGER NOT NULL, unseen INTEGER NOT NULL, bytes INTEGER NOT NULL,"
	" recent_uid INTEGER NOT NULL, special_use INTEGER NOT NULL, subscribed INTEGER NOT NULL,"
	" keywords TEXT NOT NULL, cur_mtime INTEGER NOT NULL, new_mtime INTEGER NOT NULL,"
	" control INTEGER NOT NULL) STRICT;"
	"CREATE TABLE names (name TEXT PRIMARY KEY) WITHOUT ROWID;"
	"CREATE TABLE messages (key INTEGER PRIMARY KEY, mailbox INTEGER NOT NULL,"
	" modseq INTEGER NOT NULL, flags INTEGER NOT NULL, keywords INTEGER NOT NULL,"
	" size INTEGER NOT NULL, internal_date INTEGER NOT NULL, name_flags TEXT NOT NULL,"
	" pending INTEGER NOT NULL) STRICT;"
	"CREATE INDEX messages_modseq ON messages (mailbox, modseq);"
	"CREATE INDEX messages_pending ON messages (key) WHERE pending = 1;"
	"CREATE TABLE files (key INTEGER PRIMARY KEY, base TEXT NOT NULL, saved INTEGER, no_nul INTEGER) STRICT;"
	TEXTS_TABLE
	"CREATE TABLE headers (key INTEGER PRIMARY KEY, header TEXT);"
	MADE_TABLE
	"CREATE TABLE expunged (mailbox INTEGER NOT NULL, modseq INTEGER NOT NULL,"
	" uid INTEGER NOT NULL, base TEXT NOT NULL,"
	" at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),"
	" PRIMARY KEY (mailbox, modseq, uid)) WITHOUT ROWID;"
	"CREATE INDEX expunged_uid ON expunged (mailbox, uid);"
	"CREATE TABLE deliveries (trace TEXT, recipient TEXT, id TEXT NOT NULL, uid INTEGER NOT NULL,"
	" uidvalidity INTEGER NOT NULL, seconds INTEGER NOT NULL, PRIMARY KEY (trace, recipient))"
	" WITHOUT ROWID;"
	"PRAGMA user_version = 5;";

/* Of the versions that are brought up to date as they are: what only an index knows is not lost for a column. */
static const struct {
	int version;
	const char *step;	/* to the next one; in one transaction with the others */
} upgrades[] = {
	{ 2, "ALTER TABLE files ADD COLUMN saved INTEGER;" MADE_TABLE "PRAGMA user_version = 3;" },
	{ 3, "ALTER TABLE files ADD COLUMN no_nul INTEGER; PRAGMA user_version = 4;" },
	/* Headers stay where they are: to write them all once more would take seconds and twice the room. */
	{ 4, TEXTS_TABLE "INSERT INTO texts SELECT key, envelope, bodystructure FROM cache;"
	    "ALTER TABLE cache RENAME TO headers; PRAGMA user_version = 5;" },
};

#define BOX_COLUMNS "number, name, id, uidvalidity, uid_next, uid_reserve, modseq," \
	" modseq_reserve, messages, unseen, bytes, recent_uid, special_use, subscribed, keywords," \
	" cur_mtime, new_mtime, control"

static const char *const queries[] = {
	[Q_BEGIN] = "BEGIN IMMEDIATE",
	[Q_COMMIT] = "COMMIT",
	[Q_ROLLBACK] = "ROLLBACK",
	[Q_STATE_GET] = "SELECT value FROM state WHERE key = ?",
	[Q_STATE_PUT] = "INSERT OR REPLACE INTO state (key, value) VALUES (?, ?)",
	[Q_STATE_RANGE] = "SELECT key, value FROM state WHERE key BETWEEN ? AND ?",
	[Q_STATE_DROP] = "DELETE FROM state WHERE key BETWEEN ? AND ?",
	[Q_BOX_ADD] = "INSERT INTO mailboxes (name, id, uidvalidity, uid_next, uid_reserve, modseq,"
		" modseq_reserve, messages, unseen, bytes, recent_uid, special_use, subscribed,"
		" keywords, cur_mtime, new_mtime, control) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, 0, ?, ?, ?, ?, 0, 0, ?)"
		" RETURNING number",
	[Q_BOX_GET] = "SELECT " BOX_COLUMNS " FROM mailboxes WHERE number = ?",
	[Q_BOX_FIND] = "SELECT " BOX_COLUMNS " FROM mailboxes WHERE name = ?",
	[Q_BOX_BY_ID] = "SELECT " BOX_COLUMNS " FROM mailboxes WHERE id = ?",
	[Q_BOX_LIST] = "SELECT name, special_use, subscribed FROM mailboxes",
	[Q_BOX_NUMBERS] = "SELECT number FROM mailboxes ORDER BY number",
	[Q_BOX_DROP] = "DELETE FROM mailboxes WHERE number = ?",
	[Q_BOX_RENAME] = "UPDATE mailboxes SET name = ? WHERE number = ?",
	[Q_BOX_COUNTS] = "UPDATE mailboxes SET uid_next = ?, modseq = ?, messages = ?, unseen = ?,"
		" bytes = ? WHERE number = ?",
	[Q_BOX_SETTINGS] = "UPDATE mailboxes SET special_use = ?, subscribed = ?, keywords = ?"
		" WHERE number = ?",
	[Q_BOX_CONTROL] = "UPDATE mailboxes SET control = ? WHERE number = ?",
	[Q_BOX_RESERVE] = "UPDATE mailboxes SET uid_reserve = ?, modseq_reserve = ? WHERE number = ?",
	[Q_BOX_RECENT] = "UPDATE mailboxes SET recent_uid = ? WHERE number = ?",
	[Q_BOX_MTIMES] = "UPDATE mailboxes SET cur_mtime = ?, new_mtime = ? WHERE number = ?",
	[Q_BOX_CUR_MTIME] = "UPDATE mailboxes SET cur_mtime = ? WHERE number = ?",
	[Q_BOX_IDENTITY] = "UPDATE mailboxes SET id = ?, uidvalidity = ? WHERE number = ?",
	[Q_MESSAGE_COUNT] = "SELECT count(*) FROM messages WHERE key BETWEEN ? AND ?",
	[Q_DELETED_COUNT] = "SELECT count(*), coalesce(sum(size), 0) FROM messages"
		" WHERE key BETWEEN ? AND ? AND flags & ? != 0",
	[Q_USAGE] = "SELECT coalesce(sum(bytes), 0), coalesce(sum(messages), 0) FROM mailboxes",
	[Q_NAME_ADD] = "INSERT OR IGNORE INTO names (name) VALUES (?)",
	[Q_NAME_DROP] = "DELETE FROM names WHERE name = ?",
	[Q_NAME_LIST] = "SELECT name FROM names ORDER BY name",
	[Q_MESSAGE_ADD] = "INSERT INTO messages (key, mailbox, modseq, flags, keywords, size,"
		" internal_date, name_flags, pending) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
	[Q_MESSAGE_GET] = "SELECT flags, keywords, modseq, size, internal_date, name_flags, base, no_nul"
		" FROM messages JOIN files USING (key) WHERE key = ?",
	[Q_MESSAGE_RANGE] = "SELECT key, flags, keywords, size, internal_date, name_flags, base, saved, no_nul"
		" FROM messages JOIN files USING (key) WHERE key BETWEEN ? AND ? ORDER BY key",
	[Q_MESSAGE_AHEAD] = "SELECT key, size, internal_date, name_flags, base, no_nul"
		" FROM messages JOIN files USING (key) WHERE key BETWEEN ? AND ? ORDER BY key LIMIT ?",
	[Q_MESSAGE_DROP] = "DELETE FROM messages WHERE key = ?",
	[Q_SNAPSHOT] = "SELECT take_row(key, flags, keywords, modseq, size, internal_date) FROM messages"
		" WHERE key BETWEEN ? AND ?",
	[Q_MESSAGES] = "SELECT key, flags, keywords, modseq, size, internal_date FROM messages"
		" WHERE key BETWEEN ? AND ? ORDER BY key",
	[Q_MESSAGES_SINCE] = "SELECT key, flags, keywords, modseq, size, internal_date FROM messages"
		" WHERE mailbox = ? AND modseq > ?",
	[Q_MESSAGE_FLAGS] = "UPDATE messages SET flags = ?, keywords = ?, modseq = ?, pending = 1"
		" WHERE key = ?",
	[Q_MESSAGE_NAMED] = "UPDATE messages SET name_flags = ?, pending = ? WHERE key = ?",
	[Q_MESSAGES_TOUCH] = "UPDATE messages SET modseq = ? WHERE key BETWEEN ? AND ?",
	[Q_MESSAGES_CLEAR] = "DELETE FROM messages WHERE key BETWEEN ? AND ?",
	[Q_PENDING] = "SELECT key, flags, keywords, name_flags, base FROM messages JOIN files USING (key)"
		" WHERE pending = 1 ORDER BY key LIMIT ?",
	[Q_FILE_ADD] = "INSERT INTO files (key, base, saved, no_nul) VALUES (?, ?, ?, ?)",
	[Q_FILE_GET] = "SELECT base, name_flags FROM files JOIN messages USING (key) WHERE key = ?",
	[Q_FILE_NO_NUL] = "UPDATE files SET no_nul = 1 WHERE key = ?",
	[Q_FILE_DROP] = "DELETE FROM files WHERE key = ?",
	[Q_FILES] = "SELECT key, base, name_flags, pending FROM files JOIN messages USING (key)"
		" WHERE key BETWEEN ? AND ? ORDER BY key",
	[Q_FILES_CLEAR] = "DELETE FROM files WHERE key BETWEEN ? AND ?",
	[Q_SAVED_GET] = "SELECT saved, base FROM files WHERE key = ?",
	[Q_MADE_PUT] = "INSERT INTO made (key, email, thread, preview) SELECT ?1, ?2, ?3, ?4"
		" WHERE EXISTS (SELECT 1 FROM files WHERE key = ?1) ON CONFLICT (key) DO UPDATE SET"
		" email = coalesce(excluded.email, email), thread = coalesce(excluded.thread, thread),"
		" preview = coalesce(excluded.preview, preview)",
	[Q_MADE_GET] = "SELECT email, thread, preview FROM made WHERE key = ?",
	[Q_MADE_ANY] = "SELECT 1 FROM made WHERE key BETWEEN ? AND ? LIMIT 1",
	[Q_MADE_COPY] = "INSERT OR IGNORE INTO made (key, email, thread, preview)"
		" SELECT ?1, email, thread, preview FROM made WHERE key = ?2"
		" AND EXISTS (SELECT 1 FROM files WHERE key = ?1)",
	[Q_MADE_DROP] = "DELETE FROM made WHERE key = ?",
	[Q_MADE_CLEAR] = "DELETE FROM made WHERE key BETWEEN ? AND ?",
	[Q_TEXTS_ADD] = "INSERT OR REPLACE INTO texts (key, envelope, bodystructure) VALUES (?, ?, ?)",
	[Q_TEXTS_DROP] = "DELETE FROM texts WHERE key = ?",
	[Q_TEXTS_COPY] = "INSERT OR IGNORE INTO texts (key, envelope, bodystructure)"
		" SELECT ?1, envelope, bodystructure FROM texts WHERE key = ?2"
		" AND EXISTS (SELECT 1 FROM files WHERE key = ?1)",
	[Q_TEXTS_CLEAR] = "DELETE FROM texts WHERE key BETWEEN ? AND ?",
	[Q_HEADER_ADD] = "INSERT OR REPLACE INTO headers (key, header) VALUES (?, ?)",
	[Q_HEADER_DROP] = "DELETE FROM headers WHERE key = ?",
	[Q_HEADER_COPY] = "INSERT OR IGNORE INTO headers (key, header) SELECT ?1, header FROM headers WHERE key = ?2"
		" AND EXISTS (SELECT 1 FROM files WHERE key = ?1)",
	[Q_HEADERS_CLEAR] = "DELETE FROM headers WHERE key BETWEEN ? AND ?",
	[Q_ENVELOPES] = "SELECT key, envelope FROM texts WHERE key >= ? ORDER BY key",
	[Q_STRUCTURES] = "SELECT key, bodystructure FROM texts WHERE key >= ? ORDER BY key",
	[Q_HEADERS] = "SELECT key, header FROM headers WHERE key >= ? ORDER BY key",
	[Q_EXPUNGED_ADD] = "INSERT OR REPLACE INTO expunged (mailbox, modseq, uid, base)"
		" VALUES (?, ?, ?, ?)",
	[Q_EXPUNGED_RANGE] = "INSERT OR REPLACE INTO expunged (mailbox, modseq, uid, base)"
		" SELECT ?, ?, key & 4294967295, base FROM files WHERE key BETWEEN ? AND ?",
	[Q_EXPUNGED_SINCE] = "SELECT uid, modseq FROM expunged WHERE mailbox = ? AND modseq > ?"
		" ORDER BY modseq, uid",
	[Q_EXPUNGED_BASE] = "SELECT base FROM expunged WHERE mailbox = ? AND uid = ?",
	[Q_EXPUNGED_FILE] = "SELECT base, at FROM expunged WHERE mailbox = ? AND uid = ?",
	[Q_EXPUNGED_MARK] = "UPDATE expunged SET base = '/' || base WHERE mailbox = ? AND modseq = ?",
	[Q_EXPUNGED_DROP] = "DELETE FROM expunged WHERE mailbox = ? AND uid = ?",
	[Q_EXPUNGED_CLEAR] = "DELETE FROM expunged WHERE mailbox = ?",
	[Q_DELIVERY_ADD] = "INSERT INTO deliveries (trace, recipient, id, uid, uidvalidity, seconds)"
		" VALUES (?, ?, ?, ?, ?, ?)",
	[Q_DELIVERY_GET] = "SELECT uid, uidvalidity, id FROM deliveries WHERE trace = ? AND recipient = ?",
	[Q_DELIVERY_DROP] = "DELETE FROM deliveries WHERE trace = ? AND recipient = ?",
	[Q_DELIVERY_PRUNE] = "DELETE FROM deliveries WHERE seconds < ?",
};
_Static_assert(countof(queries) == QUERY_COUNT, "each query has its text");

const char *const index_files[INDEX_FILES] = { "index.db", "index.db-wal", "index.db-shm" };

enum { CONNECT_AGAIN_MS = 10 };

static enum store_result open_file(struct account *a);
static bool note_inode(struct account *a, uint64_t *device, uint64_t *inode);
static enum store_result heed_copy(struct account *a);

enum store_result
index_open(struct account *a)
{
	/* Found corrupt in use: its first page may look well all the same. */
	uint64_t corrupt = a->index_lost ? a->index_inode : 0, device, inode;
	enum store_result r;

	index_vfs_install();
	account_rest_later(a);
	if (corrupt == 0) {
		r = open_file(a);
		if (r != STORE_OK && !a->index_lost)
			index_close(a);		/* SQLite never uses it again: the next to come opens it anew */
		if (!a->index_lost && (r != STORE_OK || !index_is_copied(a)))
			return r;
	}
	/* Missing, broken or put back. Two processes may see it at once: one rebuilds, one waits. */
	index_close(a);
	r = lock_take(a);
	if (r != STORE_OK)
		return r;
	a->index_lost = true;
	if (!note_inode(a, &device, &inode) && errno != ENOENT) {
		a->index_lost = false;
		r = files_failed(&a->log, "look at", STR("index.db"));
	} else if (inode != corrupt) {
		r = open_file(a);
	}
	if (r == STORE_OK && !a->index_lost)
		r = heed_copy(a);
	if (a->index_lost) {
		index_close(a);
		r = rebuild_index(a);
	}
	lock_release(a);
	if (r != STORE_OK)
		index_close(a);
	return r;
}

enum store_result
index_look(struct account *a)
{
	enum store_result r;

	index_vfs_install();
	r = open_file(a);
	if (r == STORE_OK && a->index_lost)
		r = STORE_GONE;
	if (r != STORE_OK)
		index_close(a);
	return r;
}

static bool
note_inode(struct account *a, uint64_t *device, uint64_t *inode)
{
	struct stat st;

	*device = *inode = 0;
	if (fstatat(a->ours, "index.db", &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	*device = st.st_dev;
	*inode = st.st_ino;
	return true;
}

static bool
state_is(struct account *a, const char *key, int64_t value)
{
	int64_t known;

	return state_get(a, key, &known) == STORE_OK && known == value;
}

static int64_t
index_ctime(struct account *a)
{
	struct stat st;

	return fstatat(a->ours, "index.db", &st, AT_SYMLINK_NOFOLLOW) != 0 ? 0 :
	    (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec;
}

/*
 * A copy in the place of the index, or a backup written over it: it may be older than what clients were told. SQLite
 * writes into the file, so only its times tell of the latter.
 */
bool
index_is_copied(struct account *a)
{
	if (!state_is(a, "index_file", files_identity(a->ours, "index.db")))
		return true;
	return files_times_set(a->ours, "index.db") && !state_is(a, "index_ctime", index_ctime(a));
}

enum store_result
index_note_file(struct account *a)
{
	enum store_result r = state_put(a, "index_file", files_identity(a->ours, "index.db"));

	return r == STORE_OK ? state_put(a, "index_ctime", index_ctime(a)) : r;
}

/* What was put back may be half of one thing and half of another. */
static bool
is_sound(struct account *a)
{
	sqlite3_stmt *q = NULL;
	bool sound = sqlite3_prepare_v2(a->db, "PRAGMA quick_check(1)", -1, &q, NULL) == SQLITE_OK &&
	    sqlite3_step(q) == SQLITE_ROW && str_eq(index_text(q, 0), STR("ok"));

	sqlite3_finalize(q);
	return sound;
}

/* Within the lock: somebody may have seen to it already. */
static enum store_result
heed_copy(struct account *a)
{
	if (!index_is_copied(a))
		return STORE_OK;
	a->index_lost = !is_sound(a);
	return a->index_lost ? STORE_OK : renew_account(a, RENEW_COPY);
}

static int
connect(struct account *a, int flags)
{
	static const char settings[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
	    "PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 4000;"
	    "PRAGMA journal_size_limit = 8388608; PRAGMA cache_size = -4096;"
	    "PRAGMA trusted_schema = OFF";
	scoped_buf path = BUF_INIT;
	int code, one = 1;
	int64_t until;

	index_vfs_put_path(&path, a->dir, "index.db");
	/* One thread: nobody to be kept out. */
	code = sqlite3_open_v2(buf_z(&path), &a->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
	if (code == SQLITE_OK)
		code = snapshot_install(a);
	if (code != SQLITE_OK)
		return code;
	sqlite3_busy_timeout(a->db, INDEX_BUSY_MS);
	/*
	 * The WAL stays, emptied, at the last close: a process that still has an index open
	 * which was moved aside would otherwise remove the WAL of the new one.
	 */
	sqlite3_file_control(a->db, "main", SQLITE_FCNTL_PERSIST_WAL, &one);
	/*
	 * While another makes the index, or takes it back from a crash, SQLite says BUSY to the first of these without
	 * waiting.
	 */
	until = clock_monotonic_ms() + INDEX_BUSY_MS;
	while ((code = sqlite3_exec(a->db, settings, NULL, NULL, NULL)) == SQLITE_BUSY &&
	    clock_monotonic_ms() < until)
		sqlite3_sleep(CONNECT_AGAIN_MS);
	return code;
}

static int
version_of(struct account *a, int *out)
{
	sqlite3_stmt *q = NULL;
	int code = sqlite3_prepare_v2(a->db, "PRAGMA user_version", -1, &q, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(q);
	if (code == SQLITE_ROW)
		*out = sqlite3_column_int(q, 0);
	sqlite3_finalize(q);
	return code;
}

/* Under the write lock it may turn out that another has done it. */
static int
upgrade_steps(struct account *a, int *version)
{
	int code = version_of(a, version);

	if (code != SQLITE_ROW)
		return code;
	code = SQLITE_OK;
	for (size_t i = 0; code == SQLITE_OK && i < countof(upgrades); i++)
		if (upgrades[i].version == *version) {
			code = sqlite3_exec(a->db, upgrades[i].step, NULL, NULL, NULL);
			++*version;
		}
	return code;
}

static int
upgrade(struct account *a, int *version)
{
	int from = *version;
	int code = sqlite3_exec(a->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	if (code != SQLITE_OK)
		return code;
	code = upgrade_steps(a, version);
	if (code == SQLITE_OK)
		code = sqlite3_exec(a->db, "COMMIT", NULL, NULL, NULL);
	if (code == SQLITE_OK)
		log_info(&a->log, "index-upgraded", KV("from", from), KV("to", *version));
	else if (!sqlite3_get_autocommit(a->db))
		(void)sqlite3_exec(a->db, "ROLLBACK", NULL, NULL, NULL);
	return code;
}

static bool
is_earlier(int version)
{
	return version >= upgrades[0].version && version < INDEX_SCHEMA;
}

/*
 * Opens what is there, and brings one of an earlier version up to date. index_lost is set where there is no whole index
 * of a version that we know.
 */
static enum store_result
open_file(struct account *a)
{
	int code, found = 0;
	uint64_t device, inode;

	a->index_lost = !note_inode(a, &a->index_device, &a->index_inode) && errno == ENOENT;
	if (a->index_lost)
		return STORE_OK;
	if (a->index_inode == 0)
		return files_failed(&a->log, "look at", STR("index.db"));
	/* What SQLite would open or write to is no index: it is moved out of the way by a rebuild. */
	for (size_t i = 0; i < countof(index_files); i++)
		a->index_lost |= files_is_planted(a->ours, index_files[i]);
	if (a->index_lost)
		return STORE_OK;
	code = connect(a, SQLITE_OPEN_READWRITE);
	if (code == SQLITE_OK)
		code = version_of(a, &found);
	/* Somebody who makes it anew has moved it aside meanwhile: to be waited for. */
	if (code != SQLITE_ROW && (note_inode(a, &device, &inode) ? inode != a->index_inode : errno == ENOENT)) {
		a->index_lost = true;
		return STORE_OK;
	}
	/* What cannot be read now is not lost. */
	if (code != SQLITE_ROW)
		return index_failed(a, code, "open");
	if (is_earlier(found)) {
		code = upgrade(a, &found);
		if (code != SQLITE_OK)
			return index_failed(a, code, "upgrade");
	}
	/* Version 0: somebody died before the schema was in. A later one is not ours to read. */
	a->index_lost = found != INDEX_SCHEMA;
	return STORE_OK;
}

void
index_forget_statements(struct account *a)
{
	for (size_t i = 0; i < QUERY_COUNT; i++) {
		sqlite3_finalize(a->statements[i]);
		a->statements[i] = NULL;
	}
}

void
index_close(struct account *a)
{
	index_forget_statements(a);
	if (sqlite3_close(a->db) != SQLITE_OK)
		fatal("index closed with a statement open");
	a->db = NULL;
}

enum store_result
index_create(struct account *a)
{
	int code = connect(a, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);

	if (code == SQLITE_OK)
		code = sqlite3_exec(a->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_exec(a->db, schema, NULL, NULL, NULL);
	if (code != SQLITE_OK)
		return index_failed(a, code, "create");
	a->index_lost = false;
	(void)note_inode(a, &a->index_device, &a->index_inode);
	return index_note_file(a);
}

enum store_result
index_alive(struct account *a)
{
	uint64_t device, inode;
	enum store_result r;

	if (a->rebuilding)
		return STORE_OK;
	if (a->resting) {
		r = index_wake(a);
		if (r != STORE_GONE)
			return r;
	}
	/* What has begun in one index is not gone on with in another. */
	if (a->db != NULL && !sqlite3_get_autocommit(a->db))
		return a->index_lost ? STORE_BUSY : STORE_OK;
	if (a->db != NULL && !a->index_lost && !a->index_doubt) {
		if (note_inode(a, &device, &inode) && device == a->index_device &&
		    inode == a->index_inode)
			return STORE_OK;
		if (inode == 0 && errno != ENOENT)
			return files_failed(&a->log, "look at", STR("index.db"));
	}
	log_warn(&a->log, a->index_doubt ? "index-again" : "index-lost",
	    KV("corrupt", a->index_lost));
	a->index_doubt = false;
	index_close(a);
	r = index_open(a);
	a->generation++;
	memset(a->known, 0, sizeof(a->known));
	memset(a->synced, 0, sizeof(a->synced));
	return r;
}

/* A fault that does not pass: what can be read elsewhere makes a new index. */
static void
note_unreadable(struct account *a)
{
	if (a->db == NULL || sqlite3_extended_errcode(a->db) != SQLITE_IOERR_READ)
		return;
	if (a->unreadable_since == 0)
		a->unreadable_since = clock_monotonic_ms();
	a->index_lost |= clock_monotonic_ms() - a->unreadable_since > UNREADABLE_MS;
}

/* Memory or descriptors: it passes. */
static bool
is_short_of_something(struct account *a, int code)
{
	int error = a->db != NULL ? sqlite3_system_errno(a->db) : 0;

	return (code & 0xff) == SQLITE_NOMEM || ((code & 0xff) == SQLITE_CANTOPEN &&
	    (error == EMFILE || error == ENFILE || error == ENOMEM));
}

enum store_result
index_failed(struct account *a, int code, const char *doing)
{
	const char *why = a->db ? sqlite3_errmsg(a->db) : sqlite3_errstr(code);

	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		log_warn(&a->log, "index-busy", KV("doing", doing));
		return STORE_BUSY;
	case SQLITE_FULL:
		log_error(&a->log, "index-full", KV("doing", doing));
		return STORE_FULL;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		/* The next to come rebuilds it: this one is told to try again. */
		log_error(&a->log, "index-corrupt", KV("doing", doing), KV("why", why));
		a->index_lost = true;
		return STORE_BUSY;
	default:
		/* After some failures SQLite stays as it is, a read-only file for one: better to open anew. */
		a->index_doubt = true;
		note_unreadable(a);
		if (a->db != NULL && sqlite3_system_errno(a->db) == ENOSPC) {
			log_error(&a->log, "index-full", KV("doing", doing));
			return STORE_FULL;
		}
		if (is_short_of_something(a, code)) {
			log_warn(&a->log, "index-busy", KV("doing", doing), KV("why", why));
			return STORE_BUSY;
		}
		log_error(&a->log, "index-failed", KV("doing", doing), KV("code", code),
		    KV("why", why), KV("errno", a->db ? sqlite3_system_errno(a->db) : 0));
		return STORE_BROKEN;
	}
}

sqlite3_stmt *
index_ask(struct account *a, enum query query, const struct value *values)
{
	sqlite3_stmt **q = &a->statements[query];
	int code = SQLITE_OK;

	a->index_asked = true;
	a->statement_result = a->resting ? index_wake(a) : STORE_OK;
	/* Not lost: the next to begin opens another one. What has begun does not go on there. */
	if (a->db == NULL && (a->statement_result == STORE_OK || a->statement_result == STORE_GONE))
		a->statement_result = STORE_BUSY;
	if (a->db == NULL)
		return NULL;
	if (*q == NULL)
		code = sqlite3_prepare_v3(a->db, queries[query], -1, SQLITE_PREPARE_PERSISTENT, q,
		    NULL);
	for (int i = 0; code == SQLITE_OK && values[i].kind != VALUE_END; i++) {
		if (values[i].kind == VALUE_NUMBER)
			code = sqlite3_bind_int64(*q, i + 1, values[i].number);
		else if (values[i].kind == VALUE_TEXT)
			code = sqlite3_bind_text(*q, i + 1, values[i].text.p ? values[i].text.p : "",
			    (int)values[i].text.n, SQLITE_STATIC);
	}
	if (code == SQLITE_OK)
		return *q;
	a->statement_result = index_failed(a, code, queries[query]);
	return NULL;
}

bool
index_row(struct account *a, sqlite3_stmt *q)
{
	int code;

	if (q == NULL)
		return false;
	code = sqlite3_step(q);
	if (code == SQLITE_ROW)
		return true;
	a->statement_result = code == SQLITE_DONE ? STORE_OK : index_failed(a, code, sqlite3_sql(q));
	return false;
}

enum store_result
index_end(struct account *a, sqlite3_stmt *q)
{
	if (q != NULL) {
		sqlite3_reset(q);
		sqlite3_clear_bindings(q);
	}
	return a->statement_result;
}

enum store_result
index_do(struct account *a, enum query query, const struct value *values)
{
	sqlite3_stmt *q = index_ask(a, query, values);

	while (index_row(a, q))
		continue;
	return index_end(a, q);
}

struct str
index_text(sqlite3_stmt *q, int column)
{
	const char *p = (const char *)sqlite3_column_text(q, column);

	return (struct str){ p ? p : "", p ? (size_t)sqlite3_column_bytes(q, column) : 0 };
}

int
index_changed(const struct account *a)
{
	return sqlite3_changes(a->db);
}
