/* SPDX-License-Identifier: ISC */
/*
 * trivet queue: what is on its way, the last answer, the next attempt. queue.db is read beside the queue's
 * process; what is to be done about a message is a row of its table `request`, which the process takes out.
 */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "ctl/ctl.h"
#include "smtpd/bounce.h"

enum {
	BUSY_MS = 5000,
	TAKEN_MS = 3000,	/* how long the process may take to see a request */
	LOOK_MS = 50,
};

static const char messages_text[] =
	"SELECT trace, sender, credential, arrived, size FROM message"
	" WHERE (?1 = '' OR trace = ?1) ORDER BY arrived, trace";
static const char recipients_text[] =
	"SELECT given, address, kind, state, attempts, next_at, last_at, status, answer, host"
	" FROM recipient WHERE trace = ? AND state < 2 ORDER BY n";

/* ---- the database ---- */

/* False after telling why; *db NULL with true: there is no queue yet. */
static bool
open_queue(struct ctl *ctl, int flags, sqlite3 **db)
{
	scoped_buf path = BUF_INIT;

	*db = NULL;
	if (!ctl_read_settings(ctl))
		return false;
	buf_printf(&path, "%s/queue.db", ctl->settings->state_dir);
	if (access(buf_z(&path), F_OK) < 0 && errno == ENOENT)
		return true;
	if (sqlite3_open_v2(buf_z(&path), db, flags | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK) {
		sqlite3_busy_timeout(*db, BUSY_MS);
		return true;
	}
	ctl_fail("cannot open %s: %s", buf_z(&path), sqlite3_errmsg(*db));
	sqlite3_close(*db);
	*db = NULL;
	return false;
}

static sqlite3_stmt *
prepare(sqlite3 *db, const char *text, const char *first)
{
	sqlite3_stmt *s = NULL;

	if (sqlite3_prepare_v2(db, text, -1, &s, NULL) != SQLITE_OK) {
		ctl_fail("the queue's database: %s", sqlite3_errmsg(db));
		return NULL;
	}
	sqlite3_bind_text(s, 1, first, -1, SQLITE_STATIC);
	return s;
}

static const char *
text_of(sqlite3_stmt *s, int column)
{
	const char *text = (const char *)sqlite3_column_text(s, column);

	return text ? text : "";
}

static json_t *
json_text(sqlite3_stmt *s, int column)
{
	/* Bytes that are no UTF-8 cannot stand in JSON. */
	json_t *text = json_string(text_of(s, column));

	return text ? text : json_string("?");
}

/* ---- list and show ---- */

static void
print_span(const char *before, int64_t seconds, const char *after)
{
	scoped_buf span = BUF_INIT;

	bounce_put_span(&span, seconds);
	printf("%s%s%s", before, buf_z(&span), after);
}

static void
print_recipient(sqlite3_stmt *s)
{
	const char *given = text_of(s, 0), *address = text_of(s, 1);
	int64_t now = clock_now(), next_at = sqlite3_column_int64(s, 5);
	int attempts = sqlite3_column_int(s, 4);

	printf("    to %s", given);
	if (!str_eq_nocase(str_of(given), str_of(address)))
		printf(" (%s)", address);
	printf(", %d %s", attempts, attempts == 1 ? "attempt" : "attempts");
	if (sqlite3_column_int(s, 3) == 1)
		printf(", an attempt is under way\n");
	else if (next_at <= now)
		printf(", next attempt now\n");
	else
		print_span(", next attempt in ", next_at - now, "\n");
	if (attempts == 0)
		return;
	printf("        %s", text_of(s, 7));
	if (*text_of(s, 9))
		printf(" %s said:", text_of(s, 9));
	printf(" %s\n", text_of(s, 8));
}

static json_t *
json_recipient(sqlite3_stmt *s)
{
	int64_t last_at = sqlite3_column_int64(s, 6);

	return json_pack("{s:o, s:o, s:o, s:s, s:i, s:I, s:o, s:o, s:o, s:o}",
	    "recipient", json_text(s, 0), "address", json_text(s, 1), "kind", json_text(s, 2),
	    "state", sqlite3_column_int(s, 3) == 1 ? "under way" : "waiting",
	    "attempts", sqlite3_column_int(s, 4),
	    "next_at", (json_int_t)sqlite3_column_int64(s, 5),
	    "last_at", last_at > 0 ? json_integer(last_at) : json_null(),
	    "status", json_text(s, 7), "answer", json_text(s, 8), "host", json_text(s, 9));
}

static void
print_message(sqlite3_stmt *s)
{
	printf("%s  from <%s> (%s), %lld octets", text_of(s, 0), text_of(s, 1), text_of(s, 2),
	    (long long)sqlite3_column_int64(s, 4));
	print_span(", since ", clock_now() - sqlite3_column_int64(s, 3), "\n");
}

static json_t *
json_message(sqlite3_stmt *s, json_t *recipients)
{
	return json_pack("{s:o, s:o, s:o, s:I, s:I, s:o}", "trace", json_text(s, 0),
	    "sender", json_text(s, 1), "credential", json_text(s, 2),
	    "arrived", (json_int_t)sqlite3_column_int64(s, 3),
	    "size", (json_int_t)sqlite3_column_int64(s, 4), "recipients", recipients);
}

/* One message with what is left of its recipients. False after telling why. */
static bool
tell_message(struct ctl *ctl, sqlite3 *db, sqlite3_stmt *message, json_t *list)
{
	sqlite3_stmt *s = prepare(db, recipients_text, text_of(message, 0));
	json_t *recipients = json_array();

	if (!s)
		return json_decref(recipients), false;
	if (!ctl->json)
		print_message(message);
	while (sqlite3_step(s) == SQLITE_ROW) {
		if (ctl->json)
			json_array_append_new(recipients, json_recipient(s));
		else
			print_recipient(s);
	}
	sqlite3_finalize(s);
	if (ctl->json)
		json_array_append_new(list, json_message(message, recipients));
	else
		json_decref(recipients);
	return true;
}

/* Of all messages, or the one. *count says how many there were. */
static int
tell_messages(struct ctl *ctl, sqlite3 *db, const char *trace, size_t *count)
{
	sqlite3_stmt *s = prepare(db, messages_text, trace);
	json_t *list = json_array();
	int code = s ? CTL_OK : CTL_FAILED;

	*count = 0;
	while (code == CTL_OK && sqlite3_step(s) == SQLITE_ROW) {
		if (!tell_message(ctl, db, s, list))
			code = CTL_FAILED;
		++*count;
	}
	sqlite3_finalize(s);
	if (ctl->json && code == CTL_OK && (*count > 0 || !*trace))
		return ctl_print_json(list);
	json_decref(list);
	return code;
}

int
cmd_queue_list(struct ctl *ctl)
{
	size_t count = 0;
	sqlite3 *db;
	int code = CTL_OK;

	if (!ctl_take_options(ctl, NULL, 0, 0, 0))
		return CTL_USAGE;
	if (!open_queue(ctl, SQLITE_OPEN_READONLY, &db))
		return CTL_FAILED;
	if (db)
		code = tell_messages(ctl, db, "", &count);
	else if (ctl->json)
		code = ctl_print_json(json_array());
	if (code == CTL_OK && !ctl->json && count == 0)
		puts("The queue is empty.");
	else if (code == CTL_OK && !ctl->json)
		printf("%zu %s in the queue.\n", count, count == 1 ? "message" : "messages");
	sqlite3_close(db);
	return code;
}

static int
no_such(const char *trace)
{
	return ctl_fail("%s: there is no such message in the queue; \"trivet queue list\" shows "
	    "all", trace);
}

int
cmd_queue_show(struct ctl *ctl)
{
	size_t count = 0;
	sqlite3 *db;
	int code = CTL_OK;

	if (!ctl_take_options(ctl, NULL, 0, 1, 1))
		return CTL_USAGE;
	if (!open_queue(ctl, SQLITE_OPEN_READONLY, &db))
		return CTL_FAILED;
	if (db && id_valid(str_of(ctl->words[0])))
		code = tell_messages(ctl, db, ctl->words[0], &count);
	if (code == CTL_OK && count == 0)
		code = no_such(ctl->words[0]);
	sqlite3_close(db);
	return code;
}

/* ---- retry and delete ---- */

static bool
is_there(sqlite3 *db, const char *trace)
{
	sqlite3_stmt *s = prepare(db, messages_text, trace);
	bool there = s && sqlite3_step(s) == SQLITE_ROW;

	sqlite3_finalize(s);
	return there;
}

static bool
put_request(sqlite3 *db, const char *verb, const char *trace, sqlite3_int64 *id)
{
	sqlite3_stmt *s = prepare(db, "INSERT INTO request(verb, trace) VALUES(?, ?)", verb);
	bool done;

	if (!s)
		return false;
	sqlite3_bind_text(s, 2, trace, -1, SQLITE_STATIC);
	done = sqlite3_step(s) == SQLITE_DONE;
	if (!done)
		ctl_fail("the queue's database: %s", sqlite3_errmsg(db));
	sqlite3_finalize(s);
	*id = sqlite3_last_insert_rowid(db);
	return done;
}

/* Has the queue's process taken the request? */
static bool
wait_until_taken(sqlite3 *db, sqlite3_int64 id)
{
	bool there = true;

	for (int ms = 0; there && ms < TAKEN_MS; ms += LOOK_MS) {
		sqlite3_stmt *s = prepare(db, "SELECT 1 FROM request WHERE id = ?", "");

		if (!s)
			return false;
		sqlite3_bind_int64(s, 1, id);
		there = sqlite3_step(s) == SQLITE_ROW;
		sqlite3_finalize(s);
		if (there)
			usleep(LOOK_MS * 1000);
	}
	return !there;
}

static int
request(struct ctl *ctl, const char *verb, bool may_be_all, const char *done)
{
	bool all = may_be_all && strcmp(ctl->words[0], "ALL") == 0;
	const char *trace = ctl->words[0];
	sqlite3_int64 id;
	sqlite3 *db;
	int code = CTL_OK;

	if (!open_queue(ctl, SQLITE_OPEN_READWRITE, &db))
		return CTL_FAILED;
	if (!db || (!all && (!id_valid(str_of(trace)) || !is_there(db, trace))))
		code = no_such(trace);
	else if (!put_request(db, verb, trace, &id))
		code = CTL_FAILED;
	else if (wait_until_taken(db, id))
		printf("%s: %s\n", all ? "All messages" : trace, done);
	else
		code = ctl_fail("smtpd does not run, or is busy; it is done as soon as it sees it");
	sqlite3_close(db);
	return code;
}

int
cmd_queue_retry(struct ctl *ctl)
{
	if (!ctl_take_options(ctl, NULL, 0, 1, 1))
		return CTL_USAGE;
	return request(ctl, "retry", true, "tried again now.");
}

int
cmd_queue_delete(struct ctl *ctl)
{
	if (!ctl_take_options(ctl, NULL, 0, 1, 1))
		return CTL_USAGE;
	return request(ctl, "delete", false, "removed; nobody is told.");
}
