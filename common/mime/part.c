/* SPDX-License-Identifier: ISC */
#include "common/mime/part.h"

#include "common/base/map.h"
#include "common/mime/header.h"
#include "common/mime/lex.h"
#include "common/mime/part_fields.h"
#include "common/mime/transfer.h"

/* An open multipart. */
struct level {
	struct str boundary;
	struct level *same;	/* an outer one with the same boundary, or NULL */
};

/*
 * The message is read line by line, once. A line that is a delimiter of an open
 * multipart ends everything inside that one: it becomes the `hit`, and each function on
 * the way up looks whether it is its own.
 */
struct scan {
	struct arena *arena;
	struct str message;
	size_t at;		/* the next line */
	size_t lines;		/* LFs before it */
	size_t parts;
	size_t header_bytes;	/* looked at so far */

	struct level levels[PART_DEPTH_MAX];	/* the open multiparts, outermost first */
	size_t open;
	struct map *by_boundary;	/* the innermost level of each boundary */

	enum { HIT_NONE, HIT_NEXT, HIT_CLOSE, HIT_END } hit;
	const struct level *hit_level;
	size_t hit_at;		/* where the body before it ends */
	size_t hit_lines;
	size_t floor_at;	/* the newest part's begin, of its header or body */
};

static void parse_entity(struct scan *, struct part *, size_t depth, bool in_digest);

static void
open_level(struct scan *s, struct str boundary)
{
	struct level *level = &s->levels[s->open++];

	if (s->by_boundary == NULL)
		s->by_boundary = map_new();
	level->boundary = boundary;
	level->same = map_set(s->by_boundary, boundary, level);
}

static void
close_level(struct scan *s)
{
	struct level *level = &s->levels[--s->open];

	if (level->same != NULL)
		map_set(s->by_boundary, level->boundary, level->same);
	else
		map_remove(s->by_boundary, level->boundary);
}

/*
 * RFC 2046 5.1.1: "--", boundary, maybe "--", white space. A whole line is asked for, so
 * that one boundary may begin with another. Of equal ones the innermost is meant.
 */
static void
match_boundary(struct scan *s, struct str line)
{
	struct str tail = lex_trim_end(str_from(line, 2));

	if (tail.n > PART_BOUNDARY_MAX + 2)
		return;
	s->hit_level = map_get(s->by_boundary, tail);
	if (s->hit_level != NULL) {
		s->hit = HIT_NEXT;
		return;
	}
	if (!str_ends(tail, STR("--")))
		return;
	s->hit_level = map_get(s->by_boundary, str_sub(tail, 0, tail.n - 2));
	if (s->hit_level != NULL)
		s->hit = HIT_CLOSE;
}

/*
 * RFC 2046 5.1.1: the line end before a delimiter belongs to it; but not the one that
 * ends a header, or a part would reach behind the end of the one around it.
 */
static void
note_hit(struct scan *s)
{
	s->hit_at = s->at;
	s->hit_lines = s->lines;
	if (s->hit == HIT_END || s->at == s->floor_at)
		return;
	s->hit_at--;
	s->hit_lines--;
	if (s->hit_at > 0 && s->message.p[s->hit_at - 1] == '\r')
		s->hit_at--;
}

/* Takes the next line; false when it is a hit, which the end of the message is too. */
static bool
next_line(struct scan *s, struct str *line)
{
	*line = str_from(s->message, s->at);
	s->hit = line->n == 0 ? HIT_END : HIT_NONE;
	line->n = header_line(*line);
	if (s->open > 0 && str_starts(*line, STR("--")))
		match_boundary(s, *line);
	if (s->hit != HIT_NONE)
		note_hit(s);
	s->at += line->n;
	s->lines += line->n > 0 && line->p[line->n - 1] == '\n';
	return s->hit == HIT_NONE;
}

static void
skip_to_hit(struct scan *s)
{
	struct str line;

	while (next_line(s, &line))
		;
}

/* Everything up to the blank line. A hit before it ends header and part. */
static void
scan_header(struct scan *s, struct part *part)
{
	struct str line;

	s->floor_at = s->at;
	part->header_at = s->at;
	while (next_line(s, &line) && !header_line_is_blank(line))
		;
	if (s->hit == HIT_NONE)
		s->floor_at = s->at;
	part->body_at = s->hit == HIT_NONE ? s->at : s->hit_at;
	part->header_size = part->body_at - part->header_at;
}

static struct part *
add_child(struct scan *s, struct part *parent)
{
	struct part *child = arena_one(s->arena, struct part);

	part_fields_init(child);
	STAILQ_INSERT_TAIL(&parent->children, child, link);
	s->parts++;
	return child;
}

/* True while the delimiter at hand begins one more part of this multipart. */
static bool
at_next_part(const struct scan *s, const struct level *level)
{
	return s->hit == HIT_NEXT && s->hit_level == level && s->parts < PART_COUNT_MAX;
}

static void
scan_multipart(struct scan *s, struct part *part, size_t depth)
{
	const struct level *level = &s->levels[s->open];

	open_level(s, part_boundary(part));
	skip_to_hit(s);		/* the preamble */
	while (at_next_part(s, level))
		parse_entity(s, add_child(s, part), depth + 1,
		    str_eq(part->subtype, STR("digest")));
	/* Delimiters of parts beyond the limit. */
	while (s->hit == HIT_NEXT && s->hit_level == level)
		skip_to_hit(s);
	close_level(s);
	if (s->hit == HIT_CLOSE && s->hit_level == level)
		skip_to_hit(s);	/* the epilogue */
}

/*
 * A multipart in which no delimiter ever came still has to have a part: all of its
 * body, as text, so that a reader sees what there is. A message/rfc822 part that its
 * header ended without a body has an empty message in it.
 */
static void
make_only_child(struct scan *s, struct part *part)
{
	struct part *child = add_child(s, part);

	part_fields_default(s->arena, child, false);
	child->header_at = child->body_at = part->body_at;
	child->body_size = part->body_size;
	child->body_lines = part->body_lines;
}

static void
decide_kind(struct scan *s, struct part *part, size_t depth)
{
	if (str_eq(part->type, STR("multipart")))
		part->kind = PART_MULTIPART;
	/* RFC 2046 5.2.1: no encoding is allowed here; an encoded one cannot be looked into. */
	else if (str_eq(part->type, STR("message")) && str_eq(part->subtype, STR("rfc822")))
		part->kind = PART_MESSAGE;
	if (part->kind == PART_LEAF)
		return;
	if (depth >= PART_DEPTH_MAX || s->parts >= PART_COUNT_MAX || (part->kind == PART_MESSAGE &&
	    transfer_of(part->encoding) != TRANSFER_IDENTITY)) {
		part->kind = PART_LEAF;
		part->type = STR("application");
		part->subtype = STR("octet-stream");
	}
}

static void
scan_body(struct scan *s, struct part *part, size_t depth)
{
	if (part->kind == PART_MULTIPART && part_boundary(part).n > 0)
		scan_multipart(s, part, depth);
	else if (part->kind == PART_MESSAGE)
		parse_entity(s, add_child(s, part), depth + 1, false);
	else
		skip_to_hit(s);
}

/* One header and body; afterwards the scan stands behind a hit. */
static void
parse_entity(struct scan *s, struct part *part, size_t depth, bool in_digest)
{
	struct str header;
	size_t lines;

	scan_header(s, part);
	lines = s->hit == HIT_NONE ? s->lines : s->hit_lines;
	header = part_header(part, s->message);
	if (header.n > PART_HEADERS_MAX - s->header_bytes)
		header.n = PART_HEADERS_MAX - s->header_bytes;
	s->header_bytes += header.n;
	part_fields_read(s->arena, part, header, in_digest);
	decide_kind(s, part, depth);
	if (s->hit == HIT_NONE)
		scan_body(s, part, depth);
	else if (part->kind == PART_MESSAGE)
		make_only_child(s, part);
	part->body_size = s->hit_at - part->body_at;
	part->body_lines = s->hit_lines - lines;
	if (part->kind == PART_MULTIPART && STAILQ_EMPTY(&part->children))
		make_only_child(s, part);
}

struct part *
part_parse(struct arena *arena, struct str message)
{
	struct scan s = { .arena = arena, .message = message, .parts = 1 };
	struct part *root = arena_one(arena, struct part);

	part_fields_init(root);
	parse_entity(&s, root, 0, false);
	map_free(s.by_boundary);
	return root;
}

struct str
part_header(const struct part *part, struct str message)
{
	return str_sub(message, part->header_at, part->header_size);
}

struct str
part_body(const struct part *part, struct str message)
{
	return str_sub(message, part->body_at, part->body_size);
}

static const struct part *
child_at(const struct part *part, uint32_t number)
{
	const struct part *child;

	STAILQ_FOREACH(child, &part->children, link)
		if (--number == 0)
			return child;
	return NULL;
}

/*
 * RFC 3501 6.4.5: numbers count the parts of a multipart; a message that is none has
 * part 1 alone; behind a message/rfc822 part they count the parts of the message within.
 */
const struct part *
part_find(const struct part *root, const uint32_t *numbers, size_t count)
{
	const struct part *part = root, *whole = root;

	for (size_t i = 0; i < count; i++) {
		if (whole == NULL || numbers[i] == 0)
			return NULL;
		if (whole->kind == PART_MULTIPART)
			part = child_at(whole, numbers[i]);
		else
			part = numbers[i] == 1 ? whole : NULL;
		if (part == NULL)
			return NULL;
		switch (part->kind) {
		case PART_LEAF:
			whole = NULL;
			break;
		case PART_MULTIPART:
			whole = part;
			break;
		case PART_MESSAGE:
			whole = STAILQ_FIRST(&part->children);
			break;
		}
	}
	return part;
}

bool
part_find_section(const struct part *root, struct str message, const uint32_t *numbers,
    size_t count, enum part_section section, struct str *bytes)
{
	const struct part *part = part_find(root, numbers, count);

	if (part == NULL || (count == 0 && section == PART_MIME))
		return false;
	if (count > 0 && (section == PART_HEADER || section == PART_TEXT)) {
		if (part->kind != PART_MESSAGE)
			return false;
		part = STAILQ_FIRST(&part->children);
	}
	switch (section) {
	case PART_WHOLE:
		*bytes = count == 0 ? message : part_body(part, message);
		break;
	case PART_HEADER:
	case PART_MIME:
		*bytes = part_header(part, message);
		break;
	case PART_TEXT:
		*bytes = part_body(part, message);
		break;
	}
	return true;
}
