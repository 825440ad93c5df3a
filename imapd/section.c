/* SPDX-License-Identifier: ISC */
/*
 * A section of a FETCH becomes octets: a range of the message as it is stored, or fields
 * picked from a header (RFC 3501 6.4.5). Messages are taken apart only when a part's number
 * asks for it, once per message.
 */
#include "common/mime/header.h"
#include "common/mime/part.h"
#include "imapd/imapd.h"

struct part_cache {
	struct str message;
	struct part *root;	/* NULL: not parsed yet */
};

/* ---- what was asked for before ---- */

void
section_memory_of(struct section_memory *memory, const struct mailbox *mailbox, uint32_t uid)
{
	struct str id = mailbox_id(mailbox);

	if (memory->uid == uid && memory->uidvalidity == mailbox_uidvalidity(mailbox) &&
	    str_eq(str_of(memory->mailbox), id))
		return;
	*memory = (struct section_memory){ .uidvalidity = mailbox_uidvalidity(mailbox), .uid = uid };
	if (id.n < sizeof(memory->mailbox))
		memcpy(memory->mailbox, id.p, id.n);
	else
		memory->uid = 0;
}

/* Fields that are picked are another text each time. */
static bool
is_known_kind(const struct section *section)
{
	return section->path_length > 0 && section->path_length <= SECTION_KNOWN_DEPTH &&
	    section->kind != SECTION_HEADER_FIELDS && section->kind != SECTION_HEADER_FIELDS_NOT;
}

static const struct encoded_part *
recall(const struct section_memory *memory, const struct section *section)
{
	if (memory->uid == 0 || !is_known_kind(section))
		return NULL;
	for (size_t i = 0; i < countof(memory->known); i++) {
		const struct known_section *known = &memory->known[i];

		if (known->path_length == section->path_length && known->kind == section->kind &&
		    memcmp(known->path, section->path, known->path_length * sizeof(*known->path)) == 0)
			return &known->part;
	}
	return NULL;
}

static void
remember(struct section_memory *memory, const struct section *section, const struct encoded_part *part)
{
	struct known_section *known = &memory->known[memory->next % countof(memory->known)];

	if (memory->uid == 0 || !is_known_kind(section))
		return;
	memory->next++;
	known->path_length = section->path_length;
	memcpy(known->path, section->path, section->path_length * sizeof(*known->path));
	known->kind = section->kind;
	known->part = *part;
}

/* ---- sections ---- */

bool
section_is_header(const struct section *section)
{
	return section->path_length == 0 && (section->kind == SECTION_HEADER ||
	    section->kind == SECTION_HEADER_FIELDS || section->kind == SECTION_HEADER_FIELDS_NOT);
}

/* RFC 3501 6.4.5, partial: what lies beyond the end is not there, that is no error. */
static struct piece
cut(struct piece piece, const struct section *section)
{
	uint64_t all = piece.kind == PIECE_TEXT ? piece.text.n : piece.n;
	uint64_t from = section->offset < all ? section->offset : all;
	uint64_t n = section->length < all - from ? section->length : all - from;

	if (!section->partial || piece.kind == PIECE_NIL)
		return piece;
	piece.text = str_sub(piece.text, from, n);
	piece.from += from;
	piece.n = n;
	return piece;
}

static struct piece
picked_fields(struct str header, const struct section *section, struct arena *arena)
{
	scoped_buf out = BUF_INIT;

	header_put_fields(&out, header, section->kind == SECTION_HEADER_FIELDS ?
	    HEADER_ONLY : HEADER_ALL_BUT, section->fields, section->field_count);
	return (struct piece){ .kind = PIECE_TEXT, .text = arena_str(arena, buf_str(&out)) };
}

static struct piece
of_header(struct str header, const struct section *section, struct arena *arena)
{
	if (section->kind != SECTION_HEADER)
		return picked_fields(header, section, arena);
	return (struct piece){ .kind = PIECE_TEXT, .text = header };
}

static enum part_section
part_section_of(enum section_kind kind)
{
	switch (kind) {
	case SECTION_ALL:
		break;
	case SECTION_HEADER:
	case SECTION_HEADER_FIELDS:
	case SECTION_HEADER_FIELDS_NOT:
		return PART_HEADER;
	case SECTION_TEXT:
		return PART_TEXT;
	case SECTION_MIME:
		return PART_MIME;
	}
	return PART_WHOLE;
}

static struct piece
range(const struct part_cache *cache, struct str bytes)
{
	return (struct piece){
		.kind = PIECE_CONTENT,
		.from = (uint64_t)(bytes.p - cache->message.p),
		.n = bytes.n,
	};
}

static struct piece
of_part(struct part_cache *cache, const struct section *section, struct arena *arena)
{
	struct str bytes;

	if (cache->root == NULL)
		cache->root = part_parse(arena, cache->message);
	if (!part_find_section(cache->root, cache->message, section->path,
	    section->path_length, part_section_of(section->kind), &bytes))
		return (struct piece){ .kind = PIECE_NIL };
	if (section->kind == SECTION_HEADER_FIELDS || section->kind == SECTION_HEADER_FIELDS_NOT)
		return picked_fields(bytes, section, arena);
	return range(cache, bytes);
}

static enum store_result
load(struct content *content, struct arena *arena, struct part_cache **cache)
{
	struct str message;
	enum store_result result;

	if (*cache != NULL)
		return STORE_OK;
	result = content_bytes(content, &message);
	if (result != STORE_OK)
		return result;
	*cache = arena_one(arena, struct part_cache);
	(*cache)->message = message;
	return STORE_OK;
}

/* A section behind a part's number. */
static enum store_result
find_in_part(struct content *content, const struct section *section, struct arena *arena,
    struct part_cache **cache, struct section_memory *memory, struct encoded_part *out)
{
	const struct encoded_part *before = recall(memory, section);
	const struct part *part;
	struct piece piece;
	enum store_result result;

	if (before != NULL) {
		*out = *before;
		return STORE_OK;
	}
	result = load(content, arena, cache);
	if (result != STORE_OK)
		return result;
	piece = of_part(*cache, section, arena);
	part = part_find((*cache)->root, section->path, section->path_length);
	*out = (struct encoded_part){ .exists = piece.kind == PIECE_CONTENT && part != NULL,
		.from = piece.from, .n = piece.n };
	/* RFC 2045 6.4: what has parts is not encoded as a whole, whatever it says. */
	if (out->exists && section->kind == SECTION_ALL && part->kind == PART_LEAF) {
		out->encoding = transfer_of(part->encoding);
		out->is_text = str_eq(part->type, STR("text"));
	}
	remember(memory, section, out);
	return STORE_OK;
}

static enum store_result
find_piece(struct content *content, const struct section *section, struct arena *arena,
    struct part_cache **cache, struct section_memory *memory, struct piece *out)
{
	struct encoded_part part;
	enum store_result result;

	if (is_known_kind(section)) {
		result = find_in_part(content, section, arena, cache, memory, &part);
		if (result == STORE_OK)
			*out = (struct piece){ .kind = part.exists ? PIECE_CONTENT : PIECE_NIL,
				.from = part.from, .n = part.n };
		return result;
	}
	result = load(content, arena, cache);
	if (result != STORE_OK)
		return result;
	if (section->path_length > 0)
		*out = of_part(*cache, section, arena);
	else
		*out = range(*cache, str_from((*cache)->message, header_end((*cache)->message)));
	return STORE_OK;
}

enum store_result
section_find(struct content *content, struct str header, const struct section *section,
    struct arena *arena, struct part_cache **cache, struct section_memory *memory, struct piece *out)
{
	struct piece piece;
	enum store_result result = STORE_OK;

	if (section_is_header(section))
		piece = of_header(header, section, arena);
	else if (section->path_length == 0 && section->kind == SECTION_ALL)
		piece = (struct piece){ .kind = PIECE_CONTENT, .n = content_size(content) };
	else
		result = find_piece(content, section, arena, cache, memory, &piece);
	if (result == STORE_OK)
		*out = cut(piece, section);
	return result;
}

enum store_result
section_find_encoded(struct content *content, const struct section *section, struct arena *arena,
    struct part_cache **cache, struct section_memory *memory, struct encoded_part *out)
{
	if (section->path_length > 0)
		return find_in_part(content, section, arena, cache, memory, out);
	*out = (struct encoded_part){ .exists = true, .n = content_size(content) };
	return STORE_OK;
}
