/* SPDX-License-Identifier: ISC */
/*
 * trivet why: what happened to a message, from trace.db, whether smtpd runs or not. Each word of the question
 * narrows the answer: an address or Message-ID, a trace id, a date or time, words of the subject. One of
 * them finds candidates in the database, the others are looked for in each story.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/mime/casemap.h"
#include "ctl/moment.h"
#include "ctl/why.h"
#include "smtpd/trace.h"

enum {
	BUSY_MS = 5000,
	CANDIDATES_MAX = 2000,	/* messages and connections looked at, the newest first */
	STORIES_MAX = 50,	/* told of one question */
	DAY = 24 * 3600,
};

struct question {
	struct arena *arena;
	struct str *names;	/* addresses and Message-IDs, lower case */
	size_t name_count;
	struct str *subject;	/* folded words */
	size_t subject_count;
	struct str trace;	/* or a connection's sid */
	int64_t from_ms, to_ms;	/* what began in between */
	bool has_time;
};

struct thread {
	struct str trace, sid;
};

/* ---- the question ---- */

static void
set_time(struct question *q, const struct moment *m)
{
	int64_t date = moment_date(m);

	if (m->date < 0 && m->clock < 0)
		return;
	q->has_time = true;
	q->from_ms = 1000 * (m->clock < 0 ? date : date + m->clock - m->about);
	q->to_ms = 1000 * (m->clock < 0 ? date + DAY : date + m->clock + m->about + 60);
}

static void
take_name(struct question *q, struct str word)
{
	scoped_buf lower = BUF_INIT;

	if (word.n > 2 && word.p[0] == '<' && word.p[word.n - 1] == '>')
		word = str_sub(word, 1, word.n - 2);
	for (size_t i = 0; i < word.n; i++)
		buf_put_c(&lower, ascii_lower(word.p[i]));
	q->names[q->name_count++] = arena_str(q->arena, buf_str(&lower));
}

static void
take_subject(struct question *q, struct str word)
{
	scoped_buf folded = BUF_INIT;

	casemap_put(&folded, word);
	if (folded.n > 0)
		q->subject[q->subject_count++] = arena_str(q->arena, buf_str(&folded));
}

static bool
has_id(sqlite3 *db, struct str id)
{
	sqlite3_stmt *s = NULL;
	bool there = false;

	if (!id_valid(id) || sqlite3_prepare_v2(db,
	    "SELECT 1 FROM event WHERE trace = ?1 UNION ALL SELECT 1 FROM event WHERE sid = ?1 LIMIT 1",
	    -1, &s, NULL) != SQLITE_OK)
		return false;
	sqlite3_bind_text(s, 1, id.p, (int)id.n, SQLITE_STATIC);
	there = sqlite3_step(s) == SQLITE_ROW;
	sqlite3_finalize(s);
	return there;
}

static void
take_word(struct question *q, sqlite3 *db, struct str word, struct moment *m)
{
	if (moment_take(word, m))
		return;
	if (str_has_char(word, '@'))
		take_name(q, word);
	else if (has_id(db, word))
		q->trace = word;
	else
		take_subject(q, word);
}

static bool
take_since(struct question *q, const char *text)
{
	int64_t since;

	if (!ctl_take_since(text, &since))
		return false;
	q->from_ms = 1000 * since;
	q->to_ms = INT64_MAX;
	return true;
}

/* ---- candidates ---- */

static bool
prepare(sqlite3 *db, const char *text, sqlite3_stmt **s)
{
	if (sqlite3_prepare_v2(db, text, -1, s, NULL) == SQLITE_OK)
		return true;
	ctl_fail("trace.db: %s", sqlite3_errmsg(db));
	return false;
}

static struct str
column(sqlite3_stmt *s, int at, struct arena *arena)
{
	const char *text = (const char *)sqlite3_column_text(s, at);
	struct str view = { text, (size_t)sqlite3_column_bytes(s, at) };

	return text != NULL ? arena_str(arena, view) : STR_EMPTY;
}

static const char *
candidates_text(const struct question *q)
{
	if (q->trace.n > 0)
		return "SELECT trace, sid, 0 FROM event WHERE trace = ?1 OR (sid = ?1 AND trace IS NULL)"
		    " GROUP BY coalesce(trace, sid) LIMIT ?4";
	if (q->name_count > 0)
		return "SELECT trace, sid, max(id) AS last FROM event WHERE (a = ?1 OR b = ?1)"
		    " AND at >= ?2 AND at < ?3 AND coalesce(trace, sid) IS NOT NULL"
		    " GROUP BY coalesce(trace, sid) ORDER BY last DESC LIMIT ?4";
	if (q->subject_count > 0)
		return "SELECT e.trace, e.sid, e.id AS last FROM subject AS s JOIN event AS e ON e.id = s.event"
		    " WHERE instr(s.folded, ?1) > 0 AND e.at >= ?2 AND e.at < ?3 ORDER BY last DESC LIMIT ?4";
	return "SELECT trace, sid, max(id) AS last FROM event WHERE at >= ?2 AND at < ?3"
	    " AND coalesce(trace, sid) IS NOT NULL GROUP BY coalesce(trace, sid) ORDER BY last DESC LIMIT ?4";
}

/* Newest first. False after telling why. */
static bool
find_candidates(sqlite3 *db, const struct question *q, struct buf *threads)
{
	struct str key = q->trace.n > 0 ? q->trace : q->name_count > 0 ? q->names[0] :
	    q->subject_count > 0 ? q->subject[0] : STR_EMPTY;
	sqlite3_stmt *s = NULL;
	int code;

	if (!prepare(db, candidates_text(q), &s))
		return false;
	sqlite3_bind_text(s, 1, key.p, (int)key.n, SQLITE_STATIC);
	sqlite3_bind_int64(s, 2, q->from_ms);
	sqlite3_bind_int64(s, 3, q->to_ms);
	sqlite3_bind_int64(s, 4, CANDIDATES_MAX);
	while ((code = sqlite3_step(s)) == SQLITE_ROW) {
		struct thread t = { column(s, 0, q->arena), column(s, 1, q->arena) };

		buf_put(threads, (struct str){ (const char *)&t, sizeof(t) });
	}
	if (code != SQLITE_DONE)
		ctl_fail("trace.db: %s", sqlite3_errmsg(db));
	sqlite3_finalize(s);
	return code == SQLITE_DONE;
}

/* ---- does a story answer the question? ---- */

static bool
names(const struct why_story *story, struct str name)
{
	for (size_t i = 0; i < story->count; i++)
		if (str_eq(story->events[i].a, name) || str_eq(story->events[i].b, name))
			return true;
	return false;
}

static bool
has_subject(const struct why_story *story, const struct question *q)
{
	scoped_buf folded = BUF_INIT;

	casemap_put(&folded, why_value(story->headers, "subject"));
	for (size_t i = 0; i < q->subject_count; i++)
		if (str_find(buf_str(&folded), q->subject[i]) == folded.n)
			return false;
	return true;
}

static bool
answers(const struct why_story *story, const struct question *q)
{
	int64_t began = story->count > 0 ? story->events[0].at_ms : 0;

	if (q->trace.n > 0)
		return story->count > 0;
	if (!why_is_worth_telling(story))
		return false;
	if (q->has_time && (began >= q->to_ms || story->events[story->count - 1].at_ms < q->from_ms))
		return false;
	for (size_t i = 0; i < q->name_count; i++)
		if (!names(story, q->names[i]))
			return false;
	return has_subject(story, q);
}

/* ---- the answer ---- */

static int
tell(struct ctl *ctl, const struct why_story *stories, size_t count, bool more)
{
	json_t *list = json_array();

	/* Found newest first, told as it happened. */
	for (size_t i = count; i-- > 0;) {
		if (ctl->json) {
			json_array_append_new(list, why_json(&stories[i]));
			continue;
		}
		why_print(&stories[i]);
		if (i > 0)
			putchar('\n');
	}
	if (ctl->json)
		return ctl_print_json(list);
	json_decref(list);
	if (more)
		printf("\nThere is more; these are the newest. Add a time, an address or words of the subject.\n");
	return CTL_OK;
}

static int
answer(struct ctl *ctl, sqlite3 *db, const struct question *q)
{
	struct why_story *stories = arena_array(q->arena, struct why_story, STORIES_MAX + 1);
	scoped_buf threads = BUF_INIT;
	const struct thread *all;
	size_t count = 0;

	if (!find_candidates(db, q, &threads))
		return CTL_FAILED;
	all = (const struct thread *)(const void *)threads.p;
	for (size_t i = 0; i < threads.n / sizeof(*all) && count <= STORIES_MAX; i++) {
		if (!why_load(db, q->arena, all[i].trace, all[i].sid, &stories[count]))
			return CTL_FAILED;
		count += answers(&stories[count], q);
	}
	if (count > 0)
		return tell(ctl, stories, count < STORIES_MAX ? count : STORIES_MAX, count > STORIES_MAX);
	if (ctl->json)
		ctl_print_json(json_array());
	return ctl_fail("nothing is known of that; it may be older than trace_days (%u), or never have "
	    "come here", ctl->settings->trace_days);
}

/* False after telling why. */
static bool
open_trace(struct ctl *ctl, sqlite3 **db)
{
	scoped_buf path = BUF_INIT;

	*db = NULL;
	if (!ctl_read_settings(ctl))
		return false;
	buf_printf(&path, "%s/trace.db", ctl->settings->state_dir);
	if (access(buf_z(&path), R_OK) < 0) {
		ctl_fail("cannot read %s: %s%s", buf_z(&path), strerror(errno),
		    errno == ENOENT ? "; smtpd makes it when it runs, unless trace_days is 0" : "");
		return false;
	}
	if (sqlite3_open_v2(buf_z(&path), db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK) {
		sqlite3_busy_timeout(*db, BUSY_MS);
		return true;
	}
	ctl_fail("cannot open %s: %s", buf_z(&path), sqlite3_errmsg(*db));
	sqlite3_close(*db);
	return false;
}

static void
take_words(struct question *q, struct ctl *ctl, sqlite3 *db)
{
	struct moment moment = { -1, -1, 0 };

	for (size_t i = 0; i < ctl->word_count; i++) {
		struct str rest = str_of(ctl->words[i]), word;

		while (str_word(&rest, &word))
			take_word(q, db, word, &moment);
	}
	set_time(q, &moment);
}

int
cmd_why(struct ctl *ctl)
{
	struct ctl_option since = { "since", .takes_value = true };
	struct question q = { .arena = ctl->arena, .to_ms = INT64_MAX };
	size_t room = 0;
	sqlite3 *db;
	int code = CTL_FAILED;

	if (!ctl_take_options(ctl, &since, 1, 1, SIZE_MAX))
		return CTL_USAGE;
	if (!open_trace(ctl, &db))
		return CTL_FAILED;
	for (size_t i = 0; i < ctl->word_count; i++)
		room += strlen(ctl->words[i]) + 1;
	q.names = arena_array(q.arena, struct str, room);
	q.subject = arena_array(q.arena, struct str, room);
	if (!since.given || take_since(&q, since.value)) {
		take_words(&q, ctl, db);
		code = answer(ctl, db, &q);
	}
	sqlite3_close(db);
	return code;
}
