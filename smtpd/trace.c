/* SPDX-License-Identifier: ISC */
/*
 * Rows are gathered in one transaction for COMMIT_MS. The oldest go when they are older than trace_days or
 * the file is larger than trace_size, a slice after each commit, so that no single step takes long.
 */
#include "smtpd/trace.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/daemon/sandbox.h"
#include "common/mime/casemap.h"
#include "smtpd/database.h"

enum {
	COMMIT_MS = 200,
	COMMIT_ROWS = 5000,	/* or as soon as there are so many */
	PRUNE_ROWS = 10000,	/* a slice: more than come in the meantime */
	PRUNE_PART = 8,		/* and never more than this part of all, for the size's sake */
	AGAIN_MS = 10 * 1000,	/* after a failure */
	BUSY_MS = 2000,
	NAME_MAX_OCTETS = 500,	/* of an address or Message-ID that is found again */
};

enum statement {
	BEGIN, COMMIT, ADD_EVENT, ADD_SUBJECT, OLDEST, PRUNE, PRUNE_SUBJECTS, PAGES, STATEMENT_COUNT
};

static const char octets_in_use[] =
	"SELECT (page_count - freelist_count) * page_size"
	" FROM pragma_page_count, pragma_freelist_count, pragma_page_size";

static const char *const texts[STATEMENT_COUNT] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ADD_EVENT] = "INSERT INTO event(at, word, sid, trace, a, b, pairs) VALUES(?, ?, ?, ?, ?, ?, ?)",
	[ADD_SUBJECT] = "INSERT INTO subject(event, folded) VALUES(?, ?)",
	[OLDEST] = "SELECT id, at, (SELECT max(id) FROM event) FROM event ORDER BY id LIMIT 1",
	[PRUNE] = "DELETE FROM event WHERE id < ? AND at < ?",
	[PRUNE_SUBJECTS] = "DELETE FROM subject WHERE event < ?",
	[PAGES] = octets_in_use,
};

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS event(id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL,"
	" word TEXT NOT NULL, sid TEXT, trace TEXT, a TEXT, b TEXT, pairs TEXT NOT NULL);"
	"CREATE INDEX IF NOT EXISTS event_at ON event(at);"
	"CREATE INDEX IF NOT EXISTS event_sid ON event(sid) WHERE sid IS NOT NULL;"
	"CREATE INDEX IF NOT EXISTS event_trace ON event(trace) WHERE trace IS NOT NULL;"
	"CREATE INDEX IF NOT EXISTS event_a ON event(a) WHERE a IS NOT NULL;"
	"CREATE INDEX IF NOT EXISTS event_b ON event(b) WHERE b IS NOT NULL;"
	"CREATE TABLE IF NOT EXISTS subject(event INTEGER PRIMARY KEY, folded TEXT NOT NULL);"
	"PRAGMA user_version = 2;";
_Static_assert(TRACE_VERSION == 2, "the schema says so too");

struct trace {
	struct process *process;
	struct buf path;
	sqlite3 *db;		/* NULL: cannot be used now */
	sqlite3_stmt *statements[STATEMENT_COUNT];
	struct timer *commit;	/* of what is gathered; of the next slice to prune */
	struct timer *again;
	uint64_t rows;		/* in the open transaction; 0: none is open */
	uint64_t lost;		/* lines that are missing, not told yet */
	bool troubled;		/* it was told that it cannot be used */
};

static struct trace *self;	/* a recorder's only one */

static void open_db(void *context);
static void commit(void *context);

/* ---- opening and failing ---- */

/* Closed, and opened again later; anew where it is no database (any more). */
static void
fail(struct trace *t, const char *what)
{
	int code = t->db != NULL ? sqlite3_errcode(t->db) : SQLITE_NOMEM;

	if (!t->troubled)
		log_error(NULL, "trace_db_trouble", KV("doing", what),
		    KV("error", t->db != NULL ? sqlite3_errmsg(t->db) : "out of memory"));
	t->troubled = true;
	t->lost += t->rows;
	t->rows = 0;
	database_close(&t->db, t->statements, STATEMENT_COUNT);
	if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
		database_discard(buf_z(&t->path));
	timer_stop(t->commit);
	timer_set(t->again, AGAIN_MS);
}

static bool
try_open(struct trace *t)
{
	int64_t version;

	if (sqlite3_open_v2(buf_z(&t->path), &t->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
	    SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return false;
	sqlite3_busy_timeout(t->db, BUSY_MS);
	version = database_version(t->db);
	if (version > 0 && version != TRACE_VERSION) {
		database_close(&t->db, t->statements, STATEMENT_COUNT);
		database_discard(buf_z(&t->path));
		return false;
	}
	/* A new one is no WAL database yet, and behind our walls no other journal can be made. */
	if (version == 0 && sqlite3_exec(t->db, "PRAGMA journal_mode = MEMORY", NULL, NULL, NULL) != SQLITE_OK)
		return false;
	if (sqlite3_exec(t->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
	    "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384; PRAGMA journal_size_limit = 16777216;",
	    NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(t->db, schema, NULL, NULL, NULL) != SQLITE_OK)
		return false;
	return database_prepare(t->db, texts, t->statements, STATEMENT_COUNT);
}

static void
open_db(void *context)
{
	struct trace *t = context;

	if (t->process->settings->trace_days == 0) {
		timer_set(t->again, AGAIN_MS);
		return;
	}
	/* Of another version it has been removed: once more. */
	if (!try_open(t) && (t->db != NULL || !try_open(t))) {
		fail(t, "opening");
		return;
	}
	t->troubled = false;
	if (t->lost > 0)
		log_warn(NULL, "trace.lost", KV("n", t->lost));
	t->lost = 0;
	timer_set(t->commit, COMMIT_MS);
}

static void
trace_start(struct process *p)
{
	struct trace *t = xcalloc(1, sizeof(*t));

	self = t;
	t->process = p;
	buf_printf(&t->path, "%s/trace.db", p->settings->state_dir);
	t->commit = timer_new(p->loop, commit, t);
	t->again = timer_new(p->loop, open_db, t);
	open_db(t);
	sandbox_allow_database(buf_z(&t->path), SANDBOX_WRITE);
}

static void
trace_stop(struct process *p)
{
	struct trace *t = self;

	(void)p;
	if (t->rows > 0)
		commit(t);
	database_close(&t->db, t->statements, STATEMENT_COUNT);
	timer_free(t->commit);
	timer_free(t->again);
	buf_free(&t->path);
	free(t);
	self = NULL;
}

/* ---- statements ---- */

/* Steps a statement that is bound; false: it failed, and was told. */
static bool
run(struct trace *t, enum statement which)
{
	sqlite3_stmt *s = t->statements[which];
	bool done = sqlite3_step(s) == SQLITE_DONE;

	sqlite3_reset(s);
	if (!done)
		fail(t, which == COMMIT ? "committing" : "writing");
	return done;
}

static void
bind_text(sqlite3_stmt *s, int at, const struct buf *text)
{
	if (text->n > 0)
		sqlite3_bind_text(s, at, text->p, (int)text->n, SQLITE_TRANSIENT);
	else
		sqlite3_bind_null(s, at);
}

static int64_t
number_of(struct trace *t, enum statement which, int column)
{
	sqlite3_stmt *s = t->statements[which];
	int64_t number = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, column) : -1;

	sqlite3_reset(s);
	return number;
}

/* ---- pruning ---- */

static bool
is_too_large(struct trace *t)
{
	uint64_t limit = t->process->settings->trace_size;
	int64_t octets = limit > 0 ? number_of(t, PAGES, 0) : 0;

	return octets > 0 && (uint64_t)octets > limit;
}

/* What is older than this has been there long enough; ms since 1970. */
static int64_t
oldest_wanted(const struct trace *t)
{
	return clock_now_ms() - (int64_t)t->process->settings->trace_days * 24 * 3600 * 1000;
}

static bool
has_too_much(struct trace *t)
{
	int64_t oldest = number_of(t, OLDEST, 1);

	return oldest >= 0 && (oldest < oldest_wanted(t) || is_too_large(t));
}

/* One slice: what is too old of it, or all of it where the file is too large. */
static bool
prune(struct trace *t)
{
	bool all = is_too_large(t);
	int64_t first = number_of(t, OLDEST, 0), last = number_of(t, OLDEST, 2);
	int64_t rows = all ? 1 + (last - first) / PRUNE_PART : PRUNE_ROWS;
	int64_t left;

	if (rows > PRUNE_ROWS)
		rows = PRUNE_ROWS;
	sqlite3_bind_int64(t->statements[PRUNE], 1, first + rows);
	sqlite3_bind_int64(t->statements[PRUNE], 2, all ? INT64_MAX : oldest_wanted(t));
	if (!run(t, BEGIN) || !run(t, PRUNE))
		return false;
	left = number_of(t, OLDEST, 0);
	sqlite3_bind_int64(t->statements[PRUNE_SUBJECTS], 1, left >= 0 ? left : last + 1);
	return run(t, PRUNE_SUBJECTS) && run(t, COMMIT);
}

static void
commit(void *context)
{
	struct trace *t = context;

	if (t->rows > 0 && !run(t, COMMIT))
		return;
	t->rows = 0;
	if (has_too_much(t) && prune(t) && has_too_much(t))
		timer_set(t->commit, COMMIT_MS);
}

/* ---- lines ---- */

struct names {
	struct buf sid, trace, a, b, subject, value;
};

static void
free_names(struct names *n)
{
	struct buf *all[] = { &n->sid, &n->trace, &n->a, &n->b, &n->subject, &n->value };

	for (size_t i = 0; i < countof(all); i++)
		buf_free(all[i]);
}

/* An address, or a Message-ID without its brackets; two different ones are kept. */
static void
take_name(struct names *n, struct str text)
{
	struct buf *free_one = n->a.n == 0 ? &n->a : &n->b;
	scoped_buf lower = BUF_INIT;

	if (text.n > 2 && text.p[0] == '<' && text.p[text.n - 1] == '>')
		text = str_sub(text, 1, text.n - 2);
	if (text.n == 0 || text.n > NAME_MAX_OCTETS || free_one->n > 0)
		return;
	for (size_t i = 0; i < text.n; i++)
		buf_put_c(&lower, ascii_lower(text.p[i]));
	if (!str_eq(buf_str(&lower), buf_str(&n->a)))
		buf_put(free_one, buf_str(&lower));
}

static bool
is_name(struct str key)
{
	static const char *const keys[] = { "to", "given", "from", "user", "account", "message_id" };

	for (size_t i = 0; i < countof(keys); i++)
		if (str_eq(key, str_of(keys[i])))
			return true;
	return false;
}

static void
take_names(struct names *n, struct str pairs)
{
	struct str key;

	while (log_parse_next(&pairs, &key, &n->value)) {
		if (str_eq(key, STR("sid")))
			buf_put(&n->sid, buf_str(&n->value));
		else if (str_eq(key, STR("trace")))
			buf_put(&n->trace, buf_str(&n->value));
		else if (str_eq(key, STR("subject")))
			casemap_put(&n->subject, buf_str(&n->value));
		else if (is_name(key))
			take_name(n, buf_str(&n->value));
	}
}

static bool
add(struct trace *t, const struct log_line *line, const struct names *n)
{
	sqlite3_stmt *s = t->statements[ADD_EVENT];

	if (t->rows == 0 && !run(t, BEGIN))
		return false;
	if (t->rows == 0)
		timer_set(t->commit, COMMIT_MS);
	sqlite3_bind_int64(s, 1, line->at_ms);
	sqlite3_bind_text(s, 2, line->event.p, (int)line->event.n, SQLITE_STATIC);
	bind_text(s, 3, &n->sid);
	bind_text(s, 4, &n->trace);
	bind_text(s, 5, &n->a);
	bind_text(s, 6, &n->b);
	sqlite3_bind_text(s, 7, line->pairs.p, (int)line->pairs.n, SQLITE_STATIC);
	t->rows++;
	if (!run(t, ADD_EVENT))
		return false;
	if (n->subject.n == 0)
		return true;
	s = t->statements[ADD_SUBJECT];
	sqlite3_bind_int64(s, 1, sqlite3_last_insert_rowid(t->db));
	bind_text(s, 2, &n->subject);
	return run(t, ADD_SUBJECT);
}

static void
trace_line(struct process *p, const struct log_line *line)
{
	struct trace *t = self;
	struct names names = { 0 };

	if (p->settings->trace_days == 0 || str_eq(line->event, STR("disconnected")))
		return;
	take_names(&names, line->pairs);
	if (names.sid.n > 0 || names.trace.n > 0) {
		if (t->db == NULL)
			t->lost++;
		else if (add(t, line, &names) && t->rows >= COMMIT_ROWS)
			commit(t);
	}
	free_names(&names);
}

static void
trace_passed_over(struct process *p, uint64_t lines)
{
	(void)p;
	log_warn(NULL, "trace.lost", KV("n", lines));
}

const struct recorder_reader trace_reader = {
	.start = trace_start, .line = trace_line, .passed_over = trace_passed_over, .stop = trace_stop,
};
