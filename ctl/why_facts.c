/* SPDX-License-Identifier: ISC */
/* From the rows of trace.db to a story: its events, who it came from, what became of each recipient. */
#include "ctl/why.h"

#include <stdlib.h>

#include "common/base/log_parse.h"

enum {
	EVENTS_MAX = 5000,	/* of one story; a message to very many is told in part */
	FIELDS_MAX = 40,	/* of one event */
};

static const char *const state_words[] = {
	[WHY_ASKED] = "accepted", [WHY_REFUSED] = "refused", [WHY_ON_ITS_WAY] = "on its way",
	[WHY_WAITING] = "waiting", [WHY_DELIVERED] = "delivered", [WHY_RELAYED] = "relayed",
	[WHY_FAILED] = "failed", [WHY_EXPIRED] = "expired", [WHY_REMOVED] = "removed",
};
_Static_assert(countof(state_words) == WHY_STATE_COUNT, "a word for each state");

const char *
why_state_word(enum why_state state)
{
	return state_words[state];
}

/* ---- events ---- */

bool
why_is(const struct why_event *e, const char *word)
{
	return str_eq(e->word, str_of(word));
}

struct str
why_value(const struct why_event *e, const char *key)
{
	for (size_t i = 0; e != NULL && i < e->field_count; i++)
		if (str_eq(e->fields[i].key, str_of(key)))
			return e->fields[i].value;
	return STR_EMPTY;
}

uint64_t
why_number(const struct why_event *e, const char *key)
{
	uint64_t n;

	return str_to_u64(why_value(e, key), &n) ? n : 0;
}

static struct str
column(sqlite3_stmt *s, int at, struct arena *arena)
{
	const char *text = (const char *)sqlite3_column_text(s, at);
	struct str view = { text, (size_t)sqlite3_column_bytes(s, at) };

	return text != NULL ? arena_str(arena, view) : STR_EMPTY;
}

static void
set_fields(struct why_event *e, struct str pairs, struct arena *arena)
{
	struct why_field *fields = arena_array(arena, struct why_field, FIELDS_MAX);
	scoped_buf value = BUF_INIT;
	struct str key;

	e->fields = fields;
	while (e->field_count < FIELDS_MAX && log_parse_next(&pairs, &key, &value)) {
		fields[e->field_count].key = arena_str(arena, key);
		fields[e->field_count++].value = arena_str(arena, buf_str(&value));
	}
}

static bool
load_events(sqlite3 *db, struct arena *arena, const char *query, struct str key, struct buf *out)
{
	sqlite3_stmt *s = NULL;
	size_t count = 0;
	int code;

	if (sqlite3_prepare_v2(db, query, -1, &s, NULL) != SQLITE_OK) {
		ctl_fail("trace.db: %s", sqlite3_errmsg(db));
		return false;
	}
	sqlite3_bind_text(s, 1, key.p, (int)key.n, SQLITE_STATIC);
	while ((code = sqlite3_step(s)) == SQLITE_ROW && count++ < EVENTS_MAX) {
		struct why_event e = {
			.id = sqlite3_column_int64(s, 0), .at_ms = sqlite3_column_int64(s, 1),
			.word = column(s, 2, arena), .trace = column(s, 3, arena),
			.a = column(s, 4, arena), .b = column(s, 5, arena),
		};

		set_fields(&e, column(s, 6, arena), arena);
		buf_put(out, (struct str){ (const char *)&e, sizeof(e) });
	}
	if (code != SQLITE_DONE && code != SQLITE_ROW)
		ctl_fail("trace.db: %s", sqlite3_errmsg(db));
	sqlite3_finalize(s);
	return code == SQLITE_DONE || code == SQLITE_ROW;
}

static int
by_id(const void *one, const void *two)
{
	const struct why_event *a = one, *b = two;

	return a->id < b->id ? -1 : a->id > b->id;
}

/* ---- recipients ---- */

static struct why_recipient *
recipient_of(struct why_story *story, struct str address)
{
	struct why_recipient *r;

	for (size_t i = 0; i < story->recipient_count; i++)
		if (str_eq_nocase(story->recipients[i].address, address))
			return &story->recipients[i];
	r = &story->recipients[story->recipient_count++];
	*r = (struct why_recipient){ .address = address, .given = STR_EMPTY, .host = STR_EMPTY,
	    .status = STR_EMPTY, .answer = STR_EMPTY, .folder = STR_EMPTY, .uid = STR_EMPTY };
	return r;
}

struct outcome_row {
	const char *word;
	enum why_state state;
};

static const struct outcome_row outcomes[] = {
	{ "recipient.accepted", WHY_ASKED }, { "recipient.refused", WHY_REFUSED },
	{ "interrupted", WHY_ON_ITS_WAY }, { "published", WHY_DELIVERED },
	{ "delivered", WHY_DELIVERED }, { "relayed", WHY_RELAYED }, { "deferred", WHY_WAITING },
	{ "rejected", WHY_FAILED }, { "expired", WHY_EXPIRED }, { "bounced", WHY_STATE_COUNT },
	{ "bounce_dropped", WHY_STATE_COUNT },
};

static void
keep(struct str *old, struct str fresh)
{
	if (fresh.n > 0)
		*old = fresh;
}

static void
set_outcome(struct why_recipient *r, const struct why_event *e, enum why_state state)
{
	keep(&r->given, why_value(e, "given"));
	if (state == WHY_STATE_COUNT) {
		r->told = why_is(e, "bounced");
		return;
	}
	r->state = state;
	keep(&r->folder, why_value(e, "folder"));
	keep(&r->uid, why_value(e, "uid"));
	if (state == WHY_DELIVERED || state == WHY_ON_ITS_WAY)
		return;
	r->host = why_value(e, "host");
	r->status = why_value(e, "status");
	r->answer = why_value(e, why_is(e, "recipient.refused") ? "reply" : "answer");
	r->secure = why_number(e, "tls") == 1;
	if (why_number(e, "attempts") > 0)
		r->attempts = (uint32_t)why_number(e, "attempts");
	r->next_at_ms = state == WHY_WAITING ?
	    e->at_ms + 1000 * (int64_t)why_number(e, "next_in") : 0;
}

static void
apply(struct why_story *story, const struct why_event *e)
{
	for (size_t i = 0; i < countof(outcomes); i++)
		if (why_is(e, outcomes[i].word))
			set_outcome(recipient_of(story, why_value(e, "to")), e, outcomes[i].state);
	if (!why_is(e, "removed"))
		return;
	for (size_t i = 0; i < story->recipient_count; i++)
		if (story->recipients[i].state == WHY_WAITING)
			story->recipients[i].state = WHY_REMOVED;
}

/* What was said to RCPT of an alias is told by its targets, once there are some. */
static void
drop_aliases(struct why_story *story)
{
	struct why_recipient *all = story->recipients;
	size_t kept = 0;

	for (size_t i = 0; i < story->recipient_count; i++) {
		bool has_targets = false;

		for (size_t k = 0; k < story->recipient_count; k++)
			has_targets |= k != i && str_eq_nocase(all[k].given, all[i].address);
		if (all[i].state != WHY_ASKED || !has_targets)
			all[kept++] = all[i];
	}
	story->recipient_count = kept;
}

/* ---- the story ---- */

/* Facts of the connection count up to where the message begins. */
static void
take_connection_fact(struct why_story *story, const struct why_event *e, bool begun)
{
	if (begun)
		return;
	if (why_is(e, "connected"))
		story->connected = e;
	else if (why_is(e, "hello"))
		story->hello = e;
	else if (why_is(e, "secure"))
		story->secure = e;
	else if (why_is(e, "login"))
		story->login = e;
}

static void
take_fact(struct why_story *story, const struct why_event *e)
{
	if (why_is(e, "message.headers"))
		story->headers = e;
	else if (why_is(e, "submitted"))
		story->submitted = e;
	else if (why_is(e, "sender.accepted"))
		story->sender = e;
	else if (why_is(e, "message.refused") || why_is(e, "data.cut"))
		story->refusal = e;
	else if (why_is(e, "sender.refused") || why_is(e, "login.failed"))
		story->refusal = e;
}

/* Whom nothing is told of shares the message's fate. */
static void
conclude(const struct why_story *story, struct why_recipient *r)
{
	if (r->state != WHY_ASKED)
		return;
	if (story->submitted != NULL) {
		r->state = WHY_ON_ITS_WAY;
	} else if (story->refusal != NULL && why_is(story->refusal, "message.refused")) {
		r->state = WHY_REFUSED;
		r->answer = why_value(story->refusal, "reply");
	}
}

static void
understand(struct why_story *story)
{
	bool begun = false;

	for (size_t i = 0; i < story->count; i++) {
		const struct why_event *e = &story->events[i];

		/* Of a connection's story the messages tell their own. */
		if (story->trace.n == 0 && e->trace.n > 0)
			continue;
		begun |= e->trace.n > 0;
		take_connection_fact(story, e, begun);
		take_fact(story, e);
		if (e->trace.n > 0)
			apply(story, e);
	}
	drop_aliases(story);
	for (size_t i = 0; i < story->recipient_count; i++)
		conclude(story, &story->recipients[i]);
}

bool
why_load(sqlite3 *db, struct arena *arena, struct str trace, struct str sid,
    struct why_story *story)
{
	static const char by_trace[] =
		"SELECT id, at, word, trace, a, b, pairs, sid FROM event WHERE trace = ? ORDER BY id";
	static const char by_sid[] =
		"SELECT id, at, word, trace, a, b, pairs, sid FROM event WHERE sid = ? AND trace IS NULL ORDER BY id";
	static const char all_of_sid[] =
		"SELECT id, at, word, trace, a, b, pairs, sid FROM event WHERE sid = ? ORDER BY id";
	scoped_buf found = BUF_INIT;
	struct why_event *events;
	size_t count;

	if (trace.n > 0 && !load_events(db, arena, by_trace, trace, &found))
		return false;
	for (size_t i = 0; i < found.n / sizeof(*events) && sid.n == 0; i++)
		sid = why_value((const struct why_event *)(const void *)found.p + i, "sid");
	if (sid.n > 0 && !load_events(db, arena, trace.n > 0 ? by_sid : all_of_sid, sid, &found))
		return false;
	count = found.n / sizeof(*events);
	events = arena_array(arena, struct why_event, count + 1);
	memcpy(events, found.n > 0 ? found.p : "", found.n);
	qsort(events, count, sizeof(*events), by_id);
	*story = (struct why_story){ .trace = trace, .sid = sid, .events = events, .count = count };
	story->recipients = arena_array(arena, struct why_recipient, count + 1);
	understand(story);
	return true;
}

bool
why_is_worth_telling(const struct why_story *story)
{
	static const char *const words[] = { "sender.refused", "login.failed", "dismissed" };
	bool has_message = false;

	if (story->trace.n > 0)
		return story->count > 0;
	for (size_t i = 0; i < story->count; i++) {
		has_message |= story->events[i].trace.n > 0;
		for (size_t w = 0; w < countof(words); w++)
			if (why_is(&story->events[i], words[w]))
				return true;
	}
	return story->count > 0 && !has_message;
}
