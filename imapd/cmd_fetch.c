/* SPDX-License-Identifier: ISC */
/*
 * FETCH (RFC 3501 6.4.5, 7.4.2; RFC 7162 3.1.4, 3.2.6), message by message, body by body, in slices. Small items
 * go first and the bodies last, whatever the order of the request: the texts the store
 * lends live only until its next call. A message that is gone is passed over, and the
 * tagged answer says so (RFC 2180 4.1.2).
 */
#include "common/mime/date.h"
#include "imapd/fetch_binary.h"
#include "imapd/fetch_body.h"
#include "imapd/imapd.h"

struct fetch {
	struct walk walk;
	struct message message;
	const struct fetch_item **items;	/* small ones, then bodies */
	size_t count;
	size_t small;			/* so many of them */
	size_t next;			/* the next body */
	size_t told;			/* items of this message */
	struct binary_section *binary;	/* of the items of that kind, as many as items */
	bool has_binary;
	bool has_section;		/* bodies that are not of that kind */
	size_t measured;		/* items looked at, to measure those */
	bool unknown_cte;		/* RFC 3516 4.3: of a message that was passed over */
	unsigned texts;			/* of message_texts, 1 << TEXT_x */
	unsigned facts;			/* of message_facts, 1 << FACT_x */
	unsigned only_kept;		/* RFC 8970 4.1: of these only what is there already */
	unsigned kinds;			/* of the small ones, 1 << kind */
	struct uid_set vanished;
	size_t vanished_told;		/* ranges of it */
	bool became_seen;		/* this message, by this command */
	struct str found[TEXT_COUNT];
	struct str fact[FACT_COUNT];	/* in the message's arena; p NULL: not there */
	int64_t saved;
	struct part_cache *parts;
	struct body_octets body;	/* the literal under way */
	enum store_result worst;	/* of the messages passed over */
};

static enum next tell_before(struct session *);
static enum next begin(struct session *);
static enum next tell_vanished(struct session *);
static enum next next_message(struct session *);
static enum next begin_message(struct session *);
static enum next measure(struct session *);
static enum next put_binary(struct session *);
static enum next put_bodies(struct session *);
static enum next put_body(struct session *);

/* ---- the request ---- */

static const struct section all_section = { .kind = SECTION_ALL, .echo = { "RFC822", 6 } };
static const struct section header_section = {
	.kind = SECTION_HEADER, .echo = { "RFC822.HEADER", 13 },
};
static const struct section text_section = {
	.kind = SECTION_TEXT, .echo = { "RFC822.TEXT", 11 },
};

/* The section that an item is, or NULL. RFC 3501 6.4.5: RFC822 and its kind are other names. */
static const struct section *
section_of(const struct fetch_item *item)
{
	switch (item->kind) {
	case FETCH_RFC822:
		return &all_section;
	case FETCH_RFC822_HEADER:
		return &header_section;
	case FETCH_RFC822_TEXT:
		return &text_section;
	case FETCH_SECTION:
		return &item->section;
	case FETCH_FLAGS:
	case FETCH_UID:
	case FETCH_INTERNALDATE:
	case FETCH_ENVELOPE:
	case FETCH_BODY:
	case FETCH_BODYSTRUCTURE:
	case FETCH_RFC822_SIZE:
	case FETCH_MODSEQ:
	case FETCH_EMAILID:
	case FETCH_THREADID:
	case FETCH_SAVEDATE:
	case FETCH_PREVIEW:
	case FETCH_PREVIEW_LAZY:
	case FETCH_BINARY:
	case FETCH_BINARY_SIZE:
		break;
	}
	return NULL;
}

static bool
is_binary(const struct fetch_item *item)
{
	return item->kind == FETCH_BINARY || item->kind == FETCH_BINARY_SIZE;
}

static bool
is_body(const struct fetch_item *item)
{
	const struct section *section = section_of(item);

	return item->kind == FETCH_BINARY || (section != NULL && !section_is_header(section));
}

static unsigned
text_of(const struct fetch_item *item)
{
	const struct section *section = section_of(item);

	if (section != NULL)
		return section_is_header(section) ? 1u << TEXT_HEADER : 0;
	if (item->kind == FETCH_ENVELOPE)
		return 1u << TEXT_ENVELOPE;
	if (item->kind == FETCH_BODY)
		return 1u << TEXT_BODY;
	if (item->kind == FETCH_BODYSTRUCTURE)
		return 1u << TEXT_BODYSTRUCTURE;
	return 0;
}

static unsigned
fact_of(const struct fetch_item *item)
{
	if (item->kind == FETCH_EMAILID)
		return 1u << FACT_EMAILID;
	if (item->kind == FETCH_THREADID)
		return 1u << FACT_THREADID;
	return item->kind == FETCH_PREVIEW || item->kind == FETCH_PREVIEW_LAZY ? 1u << FACT_PREVIEW : 0;
}

static void
sort_items(struct session *s, struct fetch *f)
{
	const struct fetch_arguments *arguments = &s->req.fetch;

	f->items = arena_array(s->arena, const struct fetch_item *, arguments->count);
	f->binary = arena_array(s->arena, struct binary_section, arguments->count);
	for (size_t i = 0; i < arguments->count; i++) {
		const struct fetch_item *item = &arguments->items[i];

		f->texts |= text_of(item);
		f->kinds |= 1u << item->kind;
		f->facts |= fact_of(item);
		f->has_binary |= is_binary(item);
		f->has_section |= is_body(item) && !is_binary(item);
		if (!is_body(item))
			f->items[f->count++] = item;
	}
	f->only_kept = f->kinds & 1u << FETCH_PREVIEW ? 0 : 1u << FACT_PREVIEW;
	f->small = f->count;
	for (size_t i = 0; i < arguments->count; i++)
		if (is_body(&arguments->items[i]))
			f->items[f->count++] = &arguments->items[i];
}

enum next
cmd_fetch(struct session *s)
{
	const struct fetch_arguments *arguments = &s->req.fetch;
	struct fetch *f = arena_one(s->arena, struct fetch);

	if (arguments->vanished && !(s->enabled & ENABLED_QRESYNC))
		return finish_bad(s, "VANISHED wants ENABLE QRESYNC first");
	sort_items(s, f);
	s->work.own = f;
	s->work.arena = arena_new();
	if (!arguments->vanished)
		return begin(s);
	s->step = tell_before;
	return GO;
}

/*
 * RFC 7162 3.2.10: what the client has not been told of yet is gone for it by VANISHED without EARLIER; after that the
 * view is what the mailbox is, and the two kinds cannot mix.
 */
static enum next
tell_before(struct session *s)
{
	if (sync_tell(s, false) == WAIT)
		return WAIT;
	return s->mailbox != NULL ? begin(s) : finish_result(s, STORE_GONE, ABOUT_MAILBOX);
}

/*
 * The messages that the modifiers leave. RFC 9394 3.4: what PARTIAL leaves may be changed since, whatever their order.
 * False: a sequence number that is not there.
 */
static bool
walk_modified(struct session *s, struct walk *out)
{
	const struct fetch_arguments *arguments = &s->req.fetch;
	struct uid_set uids, changed;

	if (!set_to_uids(s, &arguments->set, s->req.by_uid, &uids))
		return false;
	if (arguments->is_partial)
		uids = set_part(s, &uids, &arguments->partial);
	/* RFC 7162 3.1.4.1 */
	if (arguments->changed_since != 0) {
		mailbox_changed(s->mailbox, arguments->changed_since, s->arena, &changed);
		uids = uid_set_both(&uids, &changed, s->arena);
	}
	*out = walk_of(&uids);
	return true;
}

/* RFC 7162 3.2.6. The last message may be the one that went: "*" reaches up to it. */
static enum store_result
find_vanished(struct session *s, struct fetch *f)
{
	const struct fetch_arguments *arguments = &s->req.fetch;
	struct uid_set vanished, asked = sequence_set_resolve(&arguments->set,
	    mailbox_uid_next(s->mailbox) - 1, s->arena);
	enum store_result result;

	if (arguments->set.saved)
		asked = uid_set_join(asked, saved_uids(s), s->arena);
	result = mailbox_vanished(s->mailbox, arguments->changed_since, s->arena, &vanished);
	if (result == STORE_OK)
		f->vanished = uid_set_both(&asked, &vanished, s->arena);
	return result;
}

static enum next
begin(struct session *s)
{
	const struct fetch_arguments *arguments = &s->req.fetch;
	struct fetch *f = s->work.own;
	enum store_result result = STORE_OK;

	if (arguments->changed_since != 0 || arguments->is_partial ? !walk_modified(s, &f->walk) :
	    !walk_begin(s, &arguments->set, s->req.by_uid, &f->walk))
		return finish_bad(s, "There is no message with that number");
	/* With CHANGEDSINCE it is an item too. */
	if (f->kinds & 1u << FETCH_MODSEQ)
		sync_enable(s, ENABLED_CONDSTORE);
	if (arguments->vanished)
		result = find_vanished(s, f);
	if (result != STORE_OK)
		return finish_result(s, result, ABOUT_MESSAGES);
	s->step = tell_vanished;
	return GO;
}

static enum next
tell_vanished(struct session *s)
{
	struct fetch *f = s->work.own;

	if (sync_put_vanished(s, &f->vanished, &f->vanished_told) == WAIT)
		return WAIT;
	s->step = next_message;
	return GO;
}

/* ---- one message ---- */

/* In slices: a long message takes a while to be hashed. */
static enum store_result
read_facts(struct session *s, struct fetch *f, bool *done)
{
	enum store_result result = STORE_OK;

	*done = true;
	if (f->facts != 0)
		result = message_facts(s->mailbox, f->message.uid, f->facts, f->only_kept, f->fact, done);
	if (result != STORE_OK || !*done)
		return result;
	for (size_t i = 0; f->facts != 0 && i < FACT_COUNT; i++)
		if (f->fact[i].p != NULL)
			f->fact[i] = arena_str(s->work.arena, f->fact[i]);
	return f->kinds & 1u << FETCH_SAVEDATE ? message_saved(s->mailbox, f->message.uid, &f->saved) : STORE_OK;
}

/* RFC 3501 6.4.5: fetching a body sets \Seen, and the answer tells the flags. */
static enum store_result
mark_seen(struct session *s, struct fetch *f)
{
	const struct uid_range one = { f->message.uid, f->message.uid };
	const struct uid_set set = { &one, 1 };
	const struct flags flags = { .system = FLAG_SEEN };
	struct stored stored;
	enum store_result result;

	if (!s->req.fetch.marks_seen || (f->message.flags & FLAG_SEEN) ||
	    mailbox_is_read_only(s->mailbox))
		return STORE_OK;
	result = mailbox_store(s->mailbox, &set, FLAGS_ADD, &flags, UINT64_MAX, s->work.arena,
	    &stored);
	/* The body is there all the same; a store that is full or busy must not withhold it. */
	if (result != STORE_OK)
		return result == STORE_GONE ? result : STORE_OK;
	room_flags_changed(s);
	f->became_seen = mailbox_message(s->mailbox, f->message.seq, &f->message) &&
	    (f->message.flags & FLAG_SEEN);
	return STORE_OK;
}

/* All that is still to be told is read from the file, piece by piece, however long the client takes. */
static void
forget_bytes(struct session *s, struct fetch *f)
{
	f->parts = NULL;
	content_forget(s->work.content);
}

static enum store_result
find_binaries(struct session *s, struct fetch *f)
{
	enum store_result result = STORE_OK;

	for (size_t i = 0; f->has_binary && result == STORE_OK && i < f->count; i++) {
		struct binary_section *b = &f->binary[i];

		if (!is_binary(f->items[i]))
			continue;
		*b = (struct binary_section){ 0 };
		result = binary_find(s->work.content, &f->items[i]->section, s->work.arena, &f->parts, &s->sections, b);
		if (result == STORE_OK && binary_is_unknown(b)) {
			f->unknown_cte = true;
			result = STORE_NO_SUCH;
		}
	}
	if (!f->has_section)
		forget_bytes(s, f);
	return result;
}

static enum store_result
open_message(struct session *s, struct fetch *f)
{
	enum store_result result;

	f->parts = NULL;
	f->became_seen = false;
	f->next = f->small;
	f->measured = 0;
	if (f->small == f->count && !f->has_binary)
		return STORE_OK;
	result = content_open(s->mailbox, f->message.uid, &s->work.content);
	if (result != STORE_OK) {
		s->work.content = NULL;
		return result;
	}
	section_memory_of(&s->sections, s->mailbox, f->message.uid);
	return find_binaries(s, f);
}

static void
close_message(struct session *s)
{
	if (s->work.content != NULL)
		content_close(s->work.content);
	s->work.content = NULL;
	arena_reset(s->work.arena);
}

static void
put_number(struct buf *out, const char *name, uint64_t number)
{
	buf_put_z(out, name);
	buf_put_u64(out, number);
}

static void
put_text(struct buf *out, const char *name, struct str text)
{
	buf_put_z(out, name);
	buf_put(out, text);
}

static void
put_date(struct buf *out, const char *name, int64_t seconds)
{
	buf_put_z(out, name);
	date_put_imap(out, seconds, 0);
	buf_put_c(out, '"');
}

static void
put_header(struct session *s, struct fetch *f, const struct section *section)
{
	struct buf *out = out_of(s);
	struct piece piece;

	/* Of a header alone it cannot fail: the text is there. */
	if (section_find(NULL, f->found[TEXT_HEADER], section, s->work.arena, &f->parts, &s->sections,
	    &piece) != STORE_OK)
		piece = (struct piece){ .kind = PIECE_NIL };
	buf_put(out, section->echo);
	buf_put_c(out, ' ');
	put_literal(out, piece.text);
}

/* Before each item but the first. */
static void
put_blank(struct session *s, struct fetch *f)
{
	if (f->told++ > 0)
		buf_put_c(out_of(s), ' ');
}

/* RFC 8970 3.2: NIL is not made yet, an empty one is for good. */
static void
put_preview(struct buf *out, struct str preview)
{
	buf_put_z(out, "PREVIEW ");
	if (preview.p == NULL)
		buf_put_z(out, "NIL");
	else
		put_string(out, preview);
}

static void
put_small(struct session *s, struct fetch *f, const struct fetch_item *item)
{
	const struct message *message = &f->message;
	struct buf *out = out_of(s);

	put_blank(s, f);
	switch (item->kind) {
	case FETCH_FLAGS:
		buf_put_z(out, "FLAGS ");
		put_flags(s, out, message);
		return;
	case FETCH_UID:
		put_number(out, "UID ", message->uid);
		return;
	case FETCH_RFC822_SIZE:
		put_number(out, "RFC822.SIZE ", message->size);
		return;
	case FETCH_INTERNALDATE:
		put_date(out, "INTERNALDATE \"", message->internal_date);
		return;
	case FETCH_SAVEDATE:
		put_date(out, "SAVEDATE \"", f->saved);
		return;
	case FETCH_EMAILID:
		buf_printf(out, "EMAILID (%.*s)", STR_ARG(f->fact[FACT_EMAILID]));
		return;
	case FETCH_THREADID:
		buf_printf(out, "THREADID (%.*s)", STR_ARG(f->fact[FACT_THREADID]));
		return;
	case FETCH_PREVIEW:
	case FETCH_PREVIEW_LAZY:
		put_preview(out, f->fact[FACT_PREVIEW]);
		return;
	case FETCH_BINARY:
	case FETCH_BINARY_SIZE:
		fatal("a section to be decoded is no small item");
	case FETCH_ENVELOPE:
		put_text(out, "ENVELOPE ", f->found[TEXT_ENVELOPE]);
		return;
	case FETCH_BODY:
		put_text(out, "BODY ", f->found[TEXT_BODY]);
		return;
	case FETCH_BODYSTRUCTURE:
		put_text(out, "BODYSTRUCTURE ", f->found[TEXT_BODYSTRUCTURE]);
		return;
	case FETCH_MODSEQ:
		put_modseq(s, message);
		return;
	case FETCH_RFC822:
	case FETCH_RFC822_HEADER:
	case FETCH_RFC822_TEXT:
	case FETCH_SECTION:
		put_header(s, f, section_of(item));
		return;
	}
}

/* What was not asked for, but has to be told: RFC 3501 6.4.5, RFC 7162 3.2.4. */
static void
put_became_seen(struct session *s, struct fetch *f)
{
	static const struct fetch_item news[] = {
		{ .kind = FETCH_UID }, { .kind = FETCH_FLAGS }, { .kind = FETCH_MODSEQ },
	};

	for (size_t i = 0; i < countof(news); i++)
		if (!(f->kinds & 1u << news[i].kind) &&
		    (news[i].kind == FETCH_FLAGS || (s->enabled & ENABLED_CONDSTORE)))
			put_small(s, f, &news[i]);
}

static void
put_message(struct session *s, struct fetch *f)
{
	put_number(out_of(s), "* ", f->message.seq);
	buf_put_z(out_of(s), " FETCH (");
	f->told = 0;
	for (size_t i = 0; i < f->small; i++) {
		if (!is_binary(f->items[i])) {
			put_small(s, f, f->items[i]);
			continue;
		}
		put_blank(s, f);
		binary_put_size(s, &f->binary[i]);
	}
	if (f->became_seen)
		put_became_seen(s, f);
}

static enum next
finish_fetch(struct session *s, struct fetch *f)
{
	if (f->unknown_cte)
		return finish(s, "NO [UNKNOWN-CTE] A part is encoded in a way that is not known here");
	if (f->worst == STORE_OK)
		return finish_done(s);
	if (f->worst == STORE_NO_SUCH)
		f->worst = STORE_GONE;
	return finish_result(s, f->worst, ABOUT_MESSAGES);
}

static enum next
next_message(struct session *s)
{
	struct fetch *f = s->work.own;

	close_message(s);
	if (session_must_wait(s))
		return WAIT;
	if (!walk_next(s->mailbox, &f->walk, &f->message))
		return finish_fetch(s, f);
	s->step = begin_message;
	return GO;
}

static enum next
pass_over(struct session *s, enum store_result result)
{
	struct fetch *f = s->work.own;

	f->worst = result;
	s->step = next_message;
	return GO;
}

static enum next
begin_message(struct session *s)
{
	struct fetch *f = s->work.own;
	enum store_result result;
	bool done;

	if (f->facts != 0 && session_must_wait(s))
		return WAIT;
	result = read_facts(s, f, &done);
	if (result == STORE_OK && !done)
		return GO;
	if (result == STORE_OK)
		result = open_message(s, f);
	if (result != STORE_OK)
		return pass_over(s, result);
	s->step = measure;
	return GO;
}

/* What BINARY tells has to be known before its message is begun; the texts are lent for the shortest time. */
static enum next
measure(struct session *s)
{
	struct fetch *f = s->work.own;
	enum store_result result = STORE_OK;

	for (; f->has_binary && result == STORE_OK && f->measured < f->count; f->measured++)
		if (is_binary(f->items[f->measured]) && binary_measure(s, &f->binary[f->measured],
		    f->items[f->measured]->kind == FETCH_BINARY_SIZE, &result) == WAIT)
			return WAIT;
	/* Others may have had their turn. */
	if (f->has_binary && !mailbox_message(s->mailbox, f->message.seq, &f->message))
		result = STORE_GONE;
	if (result == STORE_OK)
		result = mark_seen(s, f);
	if (result == STORE_OK && f->texts != 0)
		result = message_texts(s->mailbox, f->message.uid, f->texts, f->found);
	if (result != STORE_OK)
		return pass_over(s, result);
	put_message(s, f);
	s->step = put_bodies;
	return GO;
}

/* ---- bodies ---- */

/* True: its octets are to follow. */
static bool
begin_body(struct session *s, struct fetch *f, const struct section *section)
{
	struct buf *out = out_of(s);
	struct piece piece;
	enum store_result result = section_find(s->work.content, STR_EMPTY, section,
	    s->work.arena, &f->parts, &s->sections, &piece);

	if (result != STORE_OK) {
		f->worst = result;
		piece.kind = PIECE_NIL;
	}
	buf_put(out, section->echo);
	buf_put_c(out, ' ');
	switch (piece.kind) {
	case PIECE_NIL:
		buf_put_z(out, "NIL");
		return false;
	case PIECE_TEXT:
		put_literal(out, piece.text);
		return false;
	case PIECE_CONTENT:
		break;
	}
	if (f->next + 1 == f->count)
		forget_bytes(s, f);
	put_number(out, "{", piece.n);
	buf_put_z(out, "}\r\n");
	f->body = (struct body_octets){ .uid = f->message.uid, .at = piece.from, .left = piece.n };
	return piece.n > 0;
}

static enum next
put_bodies(struct session *s)
{
	struct fetch *f = s->work.own;

	for (; f->next < f->count; f->next++) {
		const struct fetch_item *item = f->items[f->next];

		put_blank(s, f);
		if (is_binary(item) ? binary_begin(s, &f->binary[f->next]) : begin_body(s, f, section_of(item))) {
			s->step = is_binary(item) ? put_binary : put_body;
			return GO;
		}
	}
	buf_put_z(out_of(s), ")\r\n");
	s->step = next_message;
	return GO;
}

static enum next
put_binary(struct session *s)
{
	struct fetch *f = s->work.own;
	enum next next;

	s->work.mid_response = true;
	next = binary_put(s, &f->binary[f->next]);
	if (next == END)
		log_error(&s->log, "body_unreadable", KV("uid", f->message.uid), KV("at", f->binary[f->next].raw_at));
	if (next != GO)
		return next;
	s->work.mid_response = false;
	f->next++;
	s->step = put_bodies;
	return GO;
}

static enum next
put_body(struct session *s)
{
	struct fetch *f = s->work.own;
	enum next next = body_put(s, &f->body, f->next + 1 == f->count);

	if (next != GO)
		return next;
	f->next++;
	s->step = put_bodies;
	return GO;
}
