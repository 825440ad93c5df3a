/* SPDX-License-Identifier: ISC */
/*
 * The first line is the items of a FETCH, the rest a message: whatever both are, each section lies inside the message, or is
 * made of no more than its header, and its partial holds (RFC 3501 6.4.5). The parts are those of one cache, as in
 * a session.
 */
#include "common/mime/header.h"
#include "imapd/imapd.h"

/* As much of the store as a section asks for. */
struct content {
	struct str message;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

uint64_t
content_size(const struct content *content)
{
	return content->message.n;
}

enum store_result
content_bytes(struct content *content, struct str *out)
{
	*out = content->message;
	return STORE_OK;
}

uint32_t
mailbox_uidvalidity(const struct mailbox *mailbox)
{
	(void)mailbox;
	return 1;
}

struct str
mailbox_id(const struct mailbox *mailbox)
{
	(void)mailbox;
	return STR("mailbox");
}

static void
must(bool truth, const char *what)
{
	if (!truth)
		fatal("not true: %s", what);
}

static void
look_at_piece(const struct section *section, const struct piece *piece, struct str message)
{
	uint64_t n = piece->kind == PIECE_TEXT ? piece->text.n : piece->n;

	if (piece->kind == PIECE_NIL)
		return;
	must(piece->kind != PIECE_CONTENT || (piece->from <= message.n && n <= message.n - piece->from),
	    "a section lies inside its message");
	must(n <= message.n + 2, "a section is no more than its message");
	must(!section->partial || n <= section->length, "a partial is no more than was asked for");
}

static void
look_at_encoded(const struct encoded_part *part, struct str message)
{
	must(!part->exists || (part->from <= message.n && part->n <= message.n - part->from),
	    "a part lies inside its message");
}

static void
find(struct content *content, const struct fetch_arguments *fetch, struct arena *arena)
{
	struct str header = str_sub(content->message, 0, header_end(content->message));
	struct part_cache *cache = NULL, *again = NULL;
	struct section_memory memory = { .uid = 0 };
	struct encoded_part part, same_part;
	struct piece piece, same;

	section_memory_of(&memory, NULL, 7);

	for (size_t i = 0; i < fetch->count; i++) {
		const struct section *section = &fetch->items[i].section;

		if (fetch->items[i].kind == FETCH_SECTION) {
			must(section_find(content, header, section, arena, &cache, &memory, &piece) == STORE_OK,
			    "a section can be looked for");
			look_at_piece(section, &piece, content->message);
			must(section_find(content, header, section, arena, &again, &(struct section_memory){ .uid = 0 },
			    &same) == STORE_OK && same.kind == piece.kind &&
			    (same.kind != PIECE_CONTENT || (same.from == piece.from && same.n == piece.n)),
			    "a section is where it is, remembered or not");
		}
		/* What is no section has no path: the message itself. */
		must(section_find_encoded(content, section, arena, &cache, &memory, &part) == STORE_OK,
		    "a part can be looked for");
		must(section_find_encoded(content, section, arena, &again, &(struct section_memory){ .uid = 0 },
		    &same_part) == STORE_OK && same_part.exists == part.exists && same_part.from == part.from &&
		    same_part.n == part.n && same_part.encoding == part.encoding, "a part is where it is");
		look_at_encoded(&part, content->message);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct content content = { { (const char *)data, size } };
	struct arena *arena = arena_new();
	scoped_buf command = BUF_INIT;
	struct lexer lexer;
	struct request req;
	struct str items;

	if (str_cut(&content.message, '\n', &items)) {
		buf_put_z(&command, "a FETCH 1 ");
		buf_put(&command, items);
		lexer = lexer_of(arena, buf_str(&command));
		if (parse_head(&lexer, &req) == PARSED && parse_fetch(&lexer, &req) == PARSED)
			find(&content, &req.fetch, arena);
	}
	arena_free(arena);
	return 0;
}
