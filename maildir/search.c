/* SPDX-License-Identifier: ISC */
/*
 * SEARCH (RFC 3501 6.4.4), in slices. Of each message first its row in memory is looked
 * at, then what search.db says of it (filter.h), then the header, then the body piece by piece, and
 * nothing that the answer of the whole tree does not hang on: an AND costs what its cheapest NO
 * costs, whatever the order of its keys, and a message is decoded once for all of them.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/mime/date.h"
#include "common/mime/header.h"
#include "maildir/digest.h"
#include "maildir/filter.h"
#include "maildir/reading.h"
#include "maildir/search_tree.h"

enum {
	SLICE_MS = 10,
	WORK_PER_LOOK = 256,	/* between looks at the clock: messages, each with what was looked through of it */
	BYTES_OF_WORK = 64,	/* looked through for one text: one more */
	WANTS_IDS = WANTS_EMAILID | WANTS_THREADID,
	LOOK_BYTES_MAX = 16 << 20,	/* gone over in a message's folded text for all keys at once */
};

/* Of a header, as search.db has it. */
enum lines { LINES_NONE, LINES_BRIEF, LINES_ALL };

struct search {
	struct mailbox *mailbox;
	struct arena *arena;
	struct search_tree tree;
	struct search_extent extent;
	uint32_t found;			/* so many */
	struct match_key **asking;	/* room for the keys of one field */
	struct filter *filter;		/* NULL: search.db has nothing of this mailbox */
	bool filter_is_open;		/* in this slice */
	size_t work;			/* since the clock was looked at */
	uint32_t next_uid;		/* the first one, in its direction, that was not looked at */

	/* Of the message in hand, where a slice ended within it. */
	uint32_t reading_uid;
	struct content *content;
	struct reading *reading;
	bool in_text;

	struct match match;
	struct buf piece;
};

static struct filter *make_filter(struct search *);
static enum store_result read_saved(struct search *, enum answer *);
static enum store_result read_ids(struct search *, enum answer *, bool *over);
static enum answer look_up(struct search *);
static enum store_result read_header(struct search *, enum answer *);
static enum store_result open_body(struct search *);
static enum answer read_body(struct search *, int64_t until);
static void close_body(struct search *);

/* ---- a search's life ---- */

struct search *
search_new(struct mailbox *mailbox, const struct search_key *key,
    const struct search_extent *extent)
{
	struct search *s = xcalloc(1, sizeof(*s));

	s->mailbox = mailbox;
	s->arena = arena_new();
	s->extent = *extent;
	s->next_uid = extent->backwards ? UINT32_MAX : 1;
	if (!extent->backwards && extent->above < UINT32_MAX)
		s->next_uid = extent->above + 1;
	search_tree_init(&s->tree, s->arena, mailbox, key);
	s->tree.now = extent->now;
	for (size_t i = 0; i < s->tree.fields.count; i++)
		s->tree.fields.nodes[i]->is_brief = digest_is_brief(s->tree.fields.nodes[i]->name);
	s->asking = arena_array(s->arena, struct match_key *, s->tree.fields.count);
	s->filter = make_filter(s);
	return s;
}

void
search_free(struct search *s)
{
	if (s == NULL)
		return;
	close_body(s);
	filter_free(s->filter);
	match_free(&s->match);
	buf_free(&s->piece);
	arena_free(s->arena);
	free(s);
}

/* What says nothing about other messages. Their files' faults are logged where they happen. */
static bool
is_of_one_message(const struct search *s, enum store_result r)
{
	if (r == STORE_BROKEN)
		return !mailbox_is_in_doubt(s->mailbox);
	return r == STORE_GONE || r == STORE_NO_SUCH || r == STORE_TOO_LARGE;
}

/* The message in hand, as far as the slice goes: MAYBE, and STORE_OK, means that it is over. */
static enum store_result
examine(struct search *s, int64_t until, enum answer *answer)
{
	enum store_result r = STORE_OK;
	bool over = false;

	if (s->reading != NULL && s->reading_uid != s->tree.message.uid)
		close_body(s);
	if (s->reading == NULL) {
		search_tree_forget(&s->tree);
		*answer = search_tree_answer(&s->tree);
		if (*answer == MAYBE && (s->tree.wants & WANTS_SAVED) != 0)
			r = read_saved(s, answer);
		if (r == STORE_OK && *answer == MAYBE && s->filter_is_open)
			*answer = look_up(s);
		if (r == STORE_OK && *answer == MAYBE && (s->tree.wants & WANTS_HEADER) != 0)
			r = read_header(s, answer);
		if (r == STORE_OK && *answer == MAYBE && (s->tree.wants & WANTS_IDS) != 0)
			r = read_ids(s, answer, &over);
		if (r == STORE_OK && *answer == MAYBE && !over)
			r = open_body(s);
	}
	if (r == STORE_OK && s->reading != NULL)
		*answer = read_body(s, until);
	if (r == STORE_OK || !is_of_one_message(s, r))
		return r;
	*answer = NO;
	return STORE_OK;
}

/* The message in hand is done with. False: there is none behind it to be looked at. */
static bool
leave_message(struct search *s, enum answer answer, struct buf *found)
{
	const uint32_t uid = s->tree.message.uid;

	if (answer == YES) {
		buf_put(found, (struct str){ (const char *)&uid, sizeof(uid) });
		if (++s->found == s->extent.most)
			return false;
	}
	if (uid == (s->extent.backwards ? s->extent.above + 1 : UINT32_MAX))
		return false;
	s->next_uid = s->extent.backwards ? uid - 1 : uid + 1;
	return true;
}

static uint32_t
next_seq(const struct search *s)
{
	if (!s->extent.backwards)
		return mailbox_seq_from_uid(s->mailbox, s->next_uid);
	return s->next_uid == UINT32_MAX ? mailbox_exists(s->mailbox) :
	    mailbox_seq_from_uid(s->mailbox, s->next_uid + 1) - 1;
}

/* The view's messages from next_uid on, while there is time. */
static enum store_result
go_on(struct search *s, int64_t until, struct buf *found, bool *done)
{
	const struct message *m = &s->tree.message;
	uint32_t seq = next_seq(s);

	for (; mailbox_message(s->mailbox, seq, &s->tree.message) && m->uid > s->extent.above;
	    seq += s->extent.backwards ? -1u : 1) {
		enum answer answer = NO;
		enum store_result r = examine(s, until, &answer);

		if (r != STORE_OK)
			return r;
		if (answer == MAYBE)
			return STORE_OK;
		if (!leave_message(s, answer, found))
			break;
		if (++s->work < WORK_PER_LOOK)
			continue;
		s->work = 0;
		if (clock_monotonic_ms() >= until)
			return STORE_OK;
	}
	*done = true;
	return STORE_OK;
}

enum store_result
search_step(struct search *s, struct buf *found, bool *done)
{
	const int64_t until = clock_monotonic_ms() + SLICE_MS;
	enum store_result r;

	*done = false;
	s->filter_is_open = s->filter != NULL && filter_begin(s->filter);
	r = go_on(s, until, found, done);
	if (s->filter_is_open)
		filter_end(s->filter);
	return r;
}

void
search_progress(const struct search *s, uint32_t *done, uint32_t *all)
{
	*all = mailbox_exists(s->mailbox);
	/* What is left out is done with, too. */
	*done = s->extent.backwards ?
	    mailbox_seq_from_uid(s->mailbox, s->extent.above + 1) - 1 + *all - next_seq(s) :
	    next_seq(s) - 1;
}

/* ---- what search.db knows ---- */

static bool
asks_for_sent_day(const struct search_node *node)
{
	const enum search_kind kind = node->key->kind;
	bool asks = kind == SEARCH_SENTBEFORE || kind == SEARCH_SENTON || kind == SEARCH_SENTSINCE;

	for (const struct search_node *child = node->first; child != NULL && !asks;
	    child = child->next)
		asks = asks_for_sent_day(child);
	return asks;
}

static struct filter *
make_filter(struct search *s)
{
	const struct node_list *nodes = &s->tree.all_texts;
	struct filter_text *texts = arena_array(s->arena, struct filter_text, nodes->count);

	if (nodes->count == 0 && !asks_for_sent_day(s->tree.root))
		return NULL;
	for (size_t i = 0; i < nodes->count; i++)
		texts[i] = (struct filter_text){ .kind = nodes->nodes[i]->key->kind,
			.name = nodes->nodes[i]->name, .folded = nodes->texts[i]->folded };
	return filter_new(s->mailbox, texts, nodes->count);
}

/* Texts of the header, and of it alone, are decided about. */
static void
look_at_lines(struct search *s, const struct digest_header *header)
{
	for (size_t i = 0; i < s->tree.all_texts.count; i++) {
		struct search_node *node = s->tree.all_texts.nodes[i];

		if (node->text.found || node->text.absent)
			continue;
		if (node->key->kind == SEARCH_HEADER) {
			node->text.found = digest_field_has(header, node->name, node->text.folded);
			node->text.absent = !node->text.found;
		} else if (node->key->kind == SEARCH_TEXT) {
			node->text.found = digest_header_has(header, node->text.folded);
		}
	}
}

static void
look_at_bodies(struct search *s, struct str record)
{
	for (size_t i = 0; i < s->tree.body_texts.count; i++) {
		struct match_key *text = s->tree.body_texts.texts[i];

		if (!text->found && !text->absent)
			text->found = digest_body_has(record, text->folded);
	}
}

/* Many texts in a long one: reading the message does it in slices. */
static bool
is_long_work(const struct node_list *texts, size_t bytes)
{
	return bytes > LOOK_BYTES_MAX / (texts->count + 1);
}

/* What of the header the texts that are not decided about have to be looked for in. */
static enum lines
lines_wanted(const struct search *s)
{
	enum lines wanted = LINES_NONE;

	for (size_t i = 0; i < s->tree.all_texts.count; i++) {
		const struct search_node *node = s->tree.all_texts.nodes[i];

		if (node->text.found || node->text.absent || node->key->kind == SEARCH_BODY)
			continue;
		if (!node->is_brief)
			return LINES_ALL;
		wanted = LINES_BRIEF;
	}
	return wanted;
}

/* False: they are not known, or it would be long work. */
static bool
look_at_header(struct search *s)
{
	const struct node_list *nodes = &s->tree.all_texts;
	const enum lines wanted = lines_wanted(s);
	struct digest_header header;
	size_t bytes;

	if (wanted == LINES_NONE)
		return true;
	if ((wanted != LINES_BRIEF || !filter_brief(s->filter, &header)) &&
	    !filter_header(s->filter, &header))
		return false;
	bytes = header.lines.n + header.parts.n;
	if (is_long_work(nodes, bytes))
		return false;
	s->work += bytes / BYTES_OF_WORK * nodes->count;
	look_at_lines(s, &header);
	return true;
}

/* MAYBE: the message has to be read. */
static enum answer
look_up(struct search *s)
{
	const struct node_list *nodes = &s->tree.all_texts;
	enum answer answer;
	struct str body;

	if (!filter_find(s->filter, s->tree.message.uid))
		return MAYBE;
	s->tree.knows_day = true;
	s->tree.sent_day = filter_sent_day(s->filter);
	for (size_t i = 0; i < nodes->count; i++) {
		const enum filter_says says = filter_ask(s->filter, i);

		nodes->texts[i]->found = says == FILTER_PRESENT;
		nodes->texts[i]->absent = says == FILTER_ABSENT;
	}
	answer = search_tree_answer(&s->tree);
	if (answer != MAYBE || !look_at_header(s))
		return answer;
	answer = search_tree_answer(&s->tree);
	if (answer != MAYBE || !filter_body(s->filter, &body) ||
	    is_long_work(&s->tree.body_texts, body.n))
		return answer;
	s->work += body.n / BYTES_OF_WORK * s->tree.body_texts.count;
	look_at_bodies(s, body);
	s->tree.has_read = READ_ALL;
	return search_tree_answer(&s->tree);
}

/* ---- the header ---- */

/* A message without a date that can be read has its internal one. */
static int32_t
sent_day(struct str header, int64_t internal_date)
{
	struct header_field field;
	struct date date;

	if (header_find(header, STR("Date"), &field) && date_parse(field.value, &date))
		return date.day;
	return date_day_of(internal_date, 0);
}

/* The keys that ask for this field and have not found theirs; returns how many. */
static size_t
keys_for(struct search *s, struct str name)
{
	size_t count = 0;

	for (size_t i = 0; i < s->tree.fields.count; i++) {
		struct search_node *node = s->tree.fields.nodes[i];

		if (node->text.found || node->text.absent || !str_eq_nocase(node->key->field, name))
			continue;
		/* RFC 3501 6.4.4: the empty string asks whether the field is there. */
		if (node->is_always)
			node->text.found = true;
		else
			s->asking[count++] = &node->text;
	}
	return count;
}

static void
look_at_field(struct search *s, const struct header_field *field)
{
	const size_t count = keys_for(s, field->name);

	if (count == 0)
		return;
	buf_clear(&s->piece);
	reading_put_value(&s->piece, field->value);
	if (digest_has_addresses(field->name, field->value))
		digest_put_envelope(&s->piece, field->value);
	match_begin(&s->match, s->asking, count);
	match_feed(&s->match, buf_str(&s->piece));
	match_end(&s->match);
}

static void
look_at_header_text(struct search *s, struct str header)
{
	struct header_walk walk = header_walk(header);
	struct header_field field;

	match_begin(&s->match, s->tree.header_texts.texts, s->tree.header_texts.count);
	while (header_next(&walk, &field)) {
		buf_clear(&s->piece);
		reading_put_field(&s->piece, &field);
		match_feed(&s->match, buf_str(&s->piece));
	}
	match_end(&s->match);
}

static enum store_result
read_header(struct search *s, enum answer *out)
{
	struct str texts[TEXT_COUNT];
	enum store_result r = message_texts(s->mailbox, s->tree.message.uid, 1u << TEXT_HEADER, texts);
	struct header_walk walk;
	struct header_field field;

	s->work = WORK_PER_LOOK;
	if (r != STORE_OK)
		return r;
	walk = header_walk(texts[TEXT_HEADER]);
	while (s->tree.fields.count > 0 && header_next(&walk, &field))
		look_at_field(s, &field);
	if (s->tree.header_texts.count > 0)
		look_at_header_text(s, texts[TEXT_HEADER]);
	s->tree.sent_day = sent_day(texts[TEXT_HEADER], s->tree.message.internal_date);
	s->tree.has_read = READ_HEADER;
	*out = search_tree_answer(&s->tree);
	return STORE_OK;
}

/* ---- what the store keeps beside it ---- */

static enum store_result
read_saved(struct search *s, enum answer *out)
{
	int64_t saved;
	enum store_result r = message_saved(s->mailbox, s->tree.message.uid, &saved);

	if (r != STORE_OK)
		return r;
	s->tree.saved_day = date_day_of(saved, 0);
	s->tree.knows_saved = true;
	*out = search_tree_answer(&s->tree);
	return STORE_OK;
}

static void
take_id(char id[FACT_ID_LENGTH + 1], struct str from)
{
	memcpy(id, from.p, FACT_ID_LENGTH);
	id[FACT_ID_LENGTH] = '\0';
}

/* *over: its message is long, and the slice with it; the store goes on where it was. */
static enum store_result
read_ids(struct search *s, enum answer *out, bool *over)
{
	unsigned which = ((s->tree.wants & WANTS_EMAILID) != 0 ? 1u << FACT_EMAILID : 0) |
	    ((s->tree.wants & WANTS_THREADID) != 0 ? 1u << FACT_THREADID : 0);
	struct str facts[FACT_COUNT];
	bool done;
	enum store_result r = message_facts(s->mailbox, s->tree.message.uid, which, 0, facts, &done);

	s->work = WORK_PER_LOOK;
	if (r != STORE_OK)
		return r;
	*over = !done;
	if (done && (which & 1u << FACT_EMAILID) != 0)
		take_id(s->tree.email_id, facts[FACT_EMAILID]);
	if (done && (which & 1u << FACT_THREADID) != 0)
		take_id(s->tree.thread_id, facts[FACT_THREADID]);
	if (done)
		*out = search_tree_answer(&s->tree);
	return STORE_OK;
}

/* ---- the body ---- */

static enum store_result
open_body(struct search *s)
{
	struct str bytes;
	enum store_result r = content_open(s->mailbox, s->tree.message.uid, &s->content);

	if (r == STORE_OK)
		r = content_bytes(s->content, &bytes);
	if (r == STORE_OK) {
		s->reading = reading_new(bytes);
		s->reading_uid = s->tree.message.uid;
	} else {
		close_body(s);
	}
	return r;
}

static void
close_body(struct search *s)
{
	reading_free(s->reading);
	s->reading = NULL;
	content_close(s->content);
	s->content = NULL;
	s->in_text = false;
}

/* One piece; true if a key was found in it. READING_ENDS: has_read says so. */
static bool
look_at_piece(struct search *s)
{
	const struct node_list *list = &s->tree.body_texts;
	enum reading_step step;

	buf_clear(&s->piece);
	step = reading_next(s->reading, &s->piece);
	if (step == READING_ENDS) {
		s->tree.has_read = READ_ALL;
		return false;
	}
	if (step == READING_TEXT_ENDS) {
		s->in_text = false;
		return match_end(&s->match);
	}
	if (!s->in_text) {
		if (step == READING_HEADER)
			list = &s->tree.header_texts;
		match_begin(&s->match, list->texts, list->count);
	}
	s->in_text = true;
	return match_feed(&s->match, buf_str(&s->piece));
}

/* Until the tree has its answer, or the slice is over (MAYBE): then it goes on from there. */
static enum answer
read_body(struct search *s, int64_t until)
{
	enum answer now = MAYBE;

	s->work = WORK_PER_LOOK;
	while (now == MAYBE) {
		if (look_at_piece(s) || s->tree.has_read == READ_ALL)
			now = search_tree_answer(&s->tree);
		else if (clock_monotonic_ms() >= until)
			return MAYBE;
	}
	close_body(s);
	return now;
}
