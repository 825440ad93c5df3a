/* SPDX-License-Identifier: ISC */
#include "maildir/search_db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "maildir/index_vfs.h"

enum { CLEARED_AT_ONCE = 500 };		/* messages */

static const char file[] = "search.db";
static const char *const files[] = { "search.db", "search.db-wal", "search.db-shm" };

/* Never the same twice in a process, whatever is closed and opened. */
static unsigned last_generation;

/*
 * messages is narrow, as an order is made of all its rows at once; header and body are apart because a header's
 * field needs only the one, and FROM and its kind only a few lines of that.
 */
static const char schema[] =
	"CREATE TABLE boxes (number INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE,"
	" uidvalidity INTEGER NOT NULL, done INTEGER NOT NULL, held INTEGER NOT NULL) STRICT;"
	"CREATE TABLE messages (key INTEGER PRIMARY KEY, block INTEGER NOT NULL,"
	" sent_day INTEGER NOT NULL, sorting BLOB NOT NULL) STRICT;"
	"CREATE INDEX tail ON messages (key) WHERE block = 0;"
	"CREATE TABLE headers (key INTEGER PRIMARY KEY, record BLOB NOT NULL) STRICT;"
	"CREATE TABLE briefs (key INTEGER PRIMARY KEY, record BLOB NOT NULL) STRICT;"
	"CREATE TABLE bodies (key INTEGER PRIMARY KEY, record BLOB NOT NULL) STRICT;"
	"CREATE TABLE blocks (number INTEGER PRIMARY KEY AUTOINCREMENT, box INTEGER NOT NULL,"
	" members BLOB NOT NULL) STRICT;"
	"CREATE INDEX blocks_box ON blocks (box, number);"
	"CREATE TABLE grams (key INTEGER PRIMARY KEY, row BLOB NOT NULL) STRICT;"
	"PRAGMA user_version = 3;";

static const char *const queries[] = {
	[S_READ] = "BEGIN",
	[S_WRITE] = "BEGIN IMMEDIATE",
	[S_COMMIT] = "COMMIT",
	[S_ROLLBACK] = "ROLLBACK",
	[S_VERSION] = "PRAGMA data_version",
	[S_BOX_FIND] = "SELECT number, id, uidvalidity, done, held FROM boxes WHERE id = ?",
	[S_BOX_ADD] = "INSERT INTO boxes (id, uidvalidity, done, held) VALUES (?, ?, 0, 0)",
	[S_BOX_LIST] = "SELECT number, id, uidvalidity, done, held FROM boxes ORDER BY number",
	[S_BOX_SAVE] = "UPDATE boxes SET uidvalidity = ?, done = ?, held = ? WHERE number = ?",
	[S_BOX_DROP] = "DELETE FROM boxes WHERE number = ?",
	[S_MESSAGE_ADD] = "INSERT OR REPLACE INTO messages (key, block, sent_day, sorting)"
		" VALUES (?, ?, ?, ?)",
	[S_MESSAGE_BLOCK] = "UPDATE messages SET block = ? WHERE key = ?",
	[S_MESSAGE_DROP] = "DELETE FROM messages WHERE key = ?",
	[S_MESSAGES] = "SELECT key FROM messages WHERE key BETWEEN ? AND ? ORDER BY key LIMIT ?",
	[S_MESSAGES_CLEAR] = "DELETE FROM messages WHERE key BETWEEN ? AND ?",
	[S_SORTING] = "SELECT key, sorting FROM messages WHERE key BETWEEN ? AND ? ORDER BY key",
	[S_TAIL] = "SELECT key, sent_day FROM messages WHERE block = 0 AND key BETWEEN ? AND ?"
		" ORDER BY key",
	[S_HEADER_ADD] = "INSERT OR REPLACE INTO headers (key, record) VALUES (?, ?)",
	[S_HEADER_GET] = "SELECT record FROM headers WHERE key = ?",
	[S_HEADER_SCAN] = "SELECT key, record FROM headers WHERE key BETWEEN ? AND ? ORDER BY key",
	[S_HEADER_DROP] = "DELETE FROM headers WHERE key = ?",
	[S_HEADERS_CLEAR] = "DELETE FROM headers WHERE key BETWEEN ? AND ?",
	[S_BRIEF_ADD] = "INSERT OR REPLACE INTO briefs (key, record) VALUES (?, ?)",
	[S_BRIEF_SCAN] = "SELECT key, record FROM briefs WHERE key BETWEEN ? AND ? ORDER BY key",
	[S_BRIEF_DROP] = "DELETE FROM briefs WHERE key = ?",
	[S_BRIEFS_CLEAR] = "DELETE FROM briefs WHERE key BETWEEN ? AND ?",
	[S_BODY_ADD] = "INSERT OR REPLACE INTO bodies (key, record) VALUES (?, ?)",
	[S_BODY_GET] = "SELECT record FROM bodies WHERE key = ?",
	[S_BODY_SCAN] = "SELECT key, record FROM bodies WHERE key BETWEEN ? AND ? ORDER BY key",
	[S_BODY_DROP] = "DELETE FROM bodies WHERE key = ?",
	[S_BODIES_CLEAR] = "DELETE FROM bodies WHERE key BETWEEN ? AND ?",
	[S_BLOCK_ADD] = "INSERT INTO blocks (box, members) VALUES (?, ?)",
	[S_BLOCKS] = "SELECT number, members FROM blocks WHERE box = ? ORDER BY number",
	[S_BLOCK_COUNT] = "SELECT count(*) FROM blocks WHERE box = ?",
	[S_BLOCK_FIRST] = "SELECT number FROM blocks WHERE box = ? ORDER BY number LIMIT 1",
	[S_BLOCK_DROP] = "DELETE FROM blocks WHERE number = ?",
	[S_GRAM_ADD] = "INSERT INTO grams (key, row) VALUES (?, ?)",
	[S_GRAM_GET] = "SELECT row FROM grams WHERE key = ?",
	[S_GRAM_RANGE] = "SELECT row FROM grams WHERE key BETWEEN ? AND ?",
	[S_GRAMS_CLEAR] = "DELETE FROM grams WHERE key BETWEEN ? AND ?",
};
_Static_assert(countof(queries) == SEARCH_QUERY_COUNT, "each query has its text");

/* ---- statements ---- */

static bool
failed(struct search_db *db, int code, const char *doing)
{
	const char *why = db->db ? sqlite3_errmsg(db->db) : sqlite3_errstr(code);
	const bool known = db->damaged;

	db->failed = true;
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return false;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
	case SQLITE_ERROR:	/* a table is not there */
		db->damaged = true;
		break;
	default:
		break;
	}
	if (!known)
		log_warn(&db->account->log, "search-db-failed", KV("doing", doing),
		    KV("code", code), KV("why", why));
	return false;
}

void
search_db_distrust(struct search_db *db)
{
	if (!db->damaged)
		log_warn(&db->account->log, "search-db-damaged");
	db->damaged = true;
}

sqlite3_stmt *
search_db_ask(struct search_db *db, enum search_query query, const struct value *values)
{
	sqlite3_stmt **q = &db->statements[query];
	int code = SQLITE_OK;

	db->failed = false;
	if (*q == NULL)
		code = sqlite3_prepare_v3(db->db, queries[query], -1, SQLITE_PREPARE_PERSISTENT, q,
		    NULL);
	for (int i = 0; code == SQLITE_OK && values[i].kind != VALUE_END; i++) {
		if (values[i].kind == VALUE_NUMBER)
			code = sqlite3_bind_int64(*q, i + 1, values[i].number);
		else
			code = sqlite3_bind_blob(*q, i + 1, values[i].text.p ? values[i].text.p : "",
			    (int)values[i].text.n, SQLITE_STATIC);
	}
	if (code == SQLITE_OK)
		return *q;
	failed(db, code, queries[query]);
	return NULL;
}

bool
search_db_row(struct search_db *db, sqlite3_stmt *q)
{
	int code;

	if (q == NULL)
		return false;
	code = sqlite3_step(q);
	if (code == SQLITE_ROW)
		return true;
	return code == SQLITE_DONE ? false : failed(db, code, sqlite3_sql(q));
}

bool
search_db_end(struct search_db *db, sqlite3_stmt *q)
{
	if (q != NULL) {
		sqlite3_reset(q);
		sqlite3_clear_bindings(q);
	}
	return !db->failed;
}

bool
search_db_do(struct search_db *db, enum search_query query, const struct value *values)
{
	sqlite3_stmt *q = search_db_ask(db, query, values);

	while (search_db_row(db, q))
		continue;
	return search_db_end(db, q);
}

struct str
search_db_bytes(sqlite3_stmt *q, int column)
{
	const char *p = sqlite3_column_blob(q, column);

	return (struct str){ p ? p : "", p ? (size_t)sqlite3_column_bytes(q, column) : 0 };
}

bool
search_db_finish(struct search_db *db, bool ok)
{
	if (ok && search_db_do(db, S_COMMIT, BIND()))
		return true;
	if (!sqlite3_get_autocommit(db->db))
		(void)!search_db_do(db, S_ROLLBACK, BIND());
	return false;
}

/* ---- the file ---- */

static bool
note_inode(struct account *a, uint64_t *device, uint64_t *inode)
{
	struct stat st;

	if (fstatat(a->ours, file, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	*device = st.st_dev;
	*inode = st.st_ino;
	return true;
}

static void
free_db(struct search_db *db)
{
	for (size_t i = 0; i < SEARCH_QUERY_COUNT; i++)
		sqlite3_finalize(db->statements[i]);
	if (sqlite3_close(db->db) != SQLITE_OK)
		fatal("search.db closed with a statement open");
	free(db);
}

void
search_db_close(struct account *a)
{
	if (a->search != NULL)
		free_db(a->search);
	a->search = NULL;
}

/*
 * The database goes first: whoever makes a new one beside its log starts empty, and then SQLite
 * removes the log.
 */
static void
throw_away(struct account *a)
{
	for (size_t i = 0; i < countof(files); i++)
		if (unlinkat(a->ours, files[i], 0) != 0 && errno != ENOENT)
			(void)!files_failed(&a->log, "remove", str_of(files[i]));
}

static int
read_version(struct search_db *db)
{
	sqlite3_stmt *q = NULL;
	int version = -1;

	if (sqlite3_prepare_v2(db->db, "PRAGMA user_version", -1, &q, NULL) == SQLITE_OK &&
	    sqlite3_step(q) == SQLITE_ROW)
		version = sqlite3_column_int(q, 0);
	sqlite3_finalize(q);
	return version;
}

static int
connect(struct search_db *db, int flags)
{
	scoped_buf path = BUF_INIT;
	int code, one = 1;

	index_vfs_install();
	index_vfs_put_path(&path, db->account->dir, file);
	code = sqlite3_open_v2(buf_z(&path), &db->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
	if (code != SQLITE_OK)
		return code;
	/* As with the index: see there. Nobody waits for a lock: what cannot be had now is done later. */
	sqlite3_file_control(db->db, "main", SQLITE_FCNTL_PERSIST_WAL, &one);
	return sqlite3_exec(db->db, "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL;"
	    "PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; PRAGMA secure_delete = FAST;"
	    "PRAGMA wal_autocheckpoint = 1000; PRAGMA journal_size_limit = 8388608;"
	    "PRAGMA cache_size = -4096; PRAGMA trusted_schema = OFF", NULL, NULL, NULL);
}

/* Two processes may make it at once: the second finds the schema there. */
static int
create(struct search_db *db)
{
	int code = sqlite3_exec(db->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	if (code == SQLITE_OK && read_version(db) == 0)
		code = sqlite3_exec(db->db, schema, NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_exec(db->db, "COMMIT", NULL, NULL, NULL);
	return code;
}

/* What SQLite would open or write to and is no file of ours goes out of the way. False: it cannot. */
static bool
put_planted_aside(struct account *a)
{
	for (size_t i = 0; i < countof(files); i++)
		if (files_is_planted(a->ours, files[i]) &&
		    !files_set_aside(&a->log, a->ours, files[i]))
			return false;
	return true;
}

static struct search_db *
open_db(struct account *a, bool make)
{
	struct search_db *db;
	int code;

	if (!put_planted_aside(a))
		return NULL;
	db = xcalloc(1, sizeof(*db));
	db->account = a;
	db->generation = ++last_generation;
	code = connect(db, SQLITE_OPEN_READWRITE | (make ? SQLITE_OPEN_CREATE : 0));
	if (code == SQLITE_OK && make && read_version(db) == 0)
		code = create(db);
	if (code != SQLITE_OK)
		failed(db, code, "open");
	else if (read_version(db) != SEARCH_SCHEMA)
		db->damaged = true;
	if (code == SQLITE_OK && !db->damaged && note_inode(a, &db->device, &db->inode))
		return db;
	if (db->damaged) {
		log_info(&a->log, "search-db-dropped");
		throw_away(a);
	}
	free_db(db);
	return NULL;
}

struct search_db *
search_db(struct account *a, bool make)
{
	uint64_t device, inode;
	bool there = note_inode(a, &device, &inode);

	if (a->search != NULL && (a->search->damaged || !there || device != a->search->device ||
	    inode != a->search->inode)) {
		if (a->search->damaged && there && inode == a->search->inode) {
			throw_away(a);
			there = false;
		}
		search_db_close(a);
	}
	if (a->search == NULL && (there || make))
		a->search = open_db(a, make);
	return a->search;
}

/* ---- mailboxes in it ---- */

static void
read_box(sqlite3_stmt *q, struct search_box *out)
{
	struct str id = search_db_bytes(q, 1);

	*out = (struct search_box){
		.number = sqlite3_column_int64(q, 0),
		.uidvalidity = (uint32_t)sqlite3_column_int64(q, 2),
		.done = (uint32_t)sqlite3_column_int64(q, 3),
		.held = (uint32_t)sqlite3_column_int64(q, 4),
	};
	memcpy(out->id, id.p, id.n < sizeof(out->id) ? id.n : sizeof(out->id) - 1);
}

bool
search_box_find(struct search_db *db, struct str id, struct search_box *out)
{
	sqlite3_stmt *q = search_db_ask(db, S_BOX_FIND, BIND(V(id)));
	bool found = search_db_row(db, q);

	if (found)
		read_box(q, out);
	return search_db_end(db, q) && found;
}

bool
search_box_list(struct search_db *db, struct buf *out)
{
	sqlite3_stmt *q = search_db_ask(db, S_BOX_LIST, BIND());
	struct search_box box;

	while (search_db_row(db, q)) {
		read_box(q, &box);
		buf_put(out, (struct str){ (const char *)&box, sizeof(box) });
	}
	return search_db_end(db, q);
}

bool
search_box_add(struct search_db *db, struct str id, uint32_t uidvalidity, struct search_box *out)
{
	return search_db_do(db, S_BOX_ADD, BIND(V(id), V(uidvalidity))) &&
	    search_box_find(db, id, out);
}

bool
search_box_save(struct search_db *db, const struct search_box *box)
{
	return search_db_do(db, S_BOX_SAVE, BIND(V(box->uidvalidity), V(box->done), V(box->held),
	    V(box->number)));
}

/* One block, its grams with it. */
static bool
clear_block(struct search_db *db, const struct search_box *box, bool *found)
{
	sqlite3_stmt *q = search_db_ask(db, S_BLOCK_FIRST, BIND(V(box->number)));
	int64_t block;

	*found = search_db_row(db, q);
	block = *found ? sqlite3_column_int64(q, 0) : 0;
	if (!search_db_end(db, q) || !*found)
		return !db->failed;
	return search_db_do(db, S_GRAMS_CLEAR, BIND(V(gram_key(block, 0, 0)),
	    V(gram_key(block + 1, 0, 0) - 1))) && search_db_do(db, S_BLOCK_DROP, BIND(V(block)));
}

static bool
clear_messages(struct search_db *db, const struct search_box *box, bool *more)
{
	const int64_t first = message_key(box->number, 0);
	int64_t last = message_key(box->number, UINT32_MAX);
	sqlite3_stmt *q = search_db_ask(db, S_MESSAGES, BIND(V(first), V(last),
	    V((int64_t)CLEARED_AT_ONCE)));
	size_t count = 0;

	for (; search_db_row(db, q); count++)
		last = sqlite3_column_int64(q, 0);
	*more = count == CLEARED_AT_ONCE;
	return search_db_end(db, q) && (count == 0 ||
	    (search_db_do(db, S_MESSAGES_CLEAR, BIND(V(first), V(last))) &&
	    search_db_do(db, S_HEADERS_CLEAR, BIND(V(first), V(last))) &&
	    search_db_do(db, S_BRIEFS_CLEAR, BIND(V(first), V(last))) &&
	    search_db_do(db, S_BODIES_CLEAR, BIND(V(first), V(last)))));
}

bool
search_box_clear(struct search_db *db, const struct search_box *box, bool *more)
{
	struct search_box empty = *box;

	db->generation = ++last_generation;
	/* Nobody uses what is half gone, and the next slice knows what was begun. */
	empty.uidvalidity = empty.done = empty.held = 0;
	return search_box_save(db, &empty) && clear_block(db, box, more) &&
	    (*more || clear_messages(db, box, more));
}
