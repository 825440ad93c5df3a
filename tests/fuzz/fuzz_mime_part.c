/* SPDX-License-Identifier: ISC */
/*
 * Any bytes have a tree of parts that stays inside the message, and texts of IMAP whose
 * parentheses, strings and literals are whole.
 */
#include "common/mime/casemap.h"
#include "common/mime/charset.h"
#include "common/mime/header.h"
#include "common/mime/render.h"
#include "common/mime/transfer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool truth, const char *what)
{
	if (!truth)
		fatal("broken: %s", what);
}

static void
check_part(const struct part *part, struct str message, size_t depth)
{
	const struct part *child;
	size_t last = part->body_at;

	must(depth <= PART_DEPTH_MAX + 1, "depth");
	must(part->header_at + part->header_size == part->body_at, "header before body");
	must(part->body_at <= message.n && part->body_size <= message.n - part->body_at, "bounds");
	must(part->body_lines <= part->body_size, "lines");
	must(part->type.n > 0 && part->subtype.n > 0 && part->encoding.n > 0, "defaults");
	must((part->kind == PART_LEAF) == STAILQ_EMPTY(&part->children), "children");
	STAILQ_FOREACH(child, &part->children, link) {
		must(child->header_at >= last, "order");
		last = child->body_at + child->body_size;
		must(last <= part->body_at + part->body_size, "inside the parent");
		check_part(child, message, depth + 1);
	}
	must(part->kind != PART_MESSAGE || STAILQ_NEXT(STAILQ_FIRST(&part->children), link) == NULL,
	    "one message");
}

/* Takes one string; false where there is none. */
static bool
take_string(struct str *text)
{
	size_t i = 1, end;
	uint32_t n;

	if (str_starts(*text, STR("NIL"))) {
		*text = str_from(*text, 3);
		return true;
	}
	if (text->n > 0 && text->p[0] == '"') {
		for (; i < text->n && text->p[i] != '"'; i++) {
			i += text->p[i] == '\\';
			must(i < text->n && (unsigned char)text->p[i] < 127 && text->p[i] != '\r' &&
			    text->p[i] != '\n' && text->p[i] != '\0', "quoted bytes");
		}
		must(i < text->n, "closing quote");
		*text = str_from(*text, i + 1);
		return true;
	}
	if (text->n == 0 || text->p[0] != '{')
		return false;
	end = str_index(*text, '}');
	must(str_to_u32(str_sub(*text, 1, end - 1), &n), "literal's size");
	*text = str_from(*text, end + 1);
	must(str_starts(*text, STR("\r\n")) && text->n - 2 >= n, "literal");
	must(!str_has_char(str_sub(*text, 2, n), '\0'), "NUL");
	*text = str_from(*text, n + 2);
	return true;
}

static void
check_list(struct str text)
{
	size_t depth = 0;

	while (text.n > 0) {
		if (take_string(&text))
			continue;
		if (text.p[0] == '(') {
			depth++;
			must(text.n > 1 && text.p[1] != ')', "no empty list");
		} else if (text.p[0] == ')') {
			must(depth-- > 0, "parentheses");
		} else {
			must(text.p[0] == ' ' || ascii_is_digit(text.p[0]), "text between");
		}
		text = str_from(text, 1);
	}
	must(depth == 0, "all closed");
}

static void
read_all(const struct part *part, struct str message)
{
	const struct part *child;
	scoped_buf bytes = BUF_INIT, text = BUF_INIT, name = BUF_INIT, folded = BUF_INIT;

	STAILQ_FOREACH(child, &part->children, link)
		read_all(child, message);
	if (part->kind != PART_LEAF)
		return;
	transfer_decode(&bytes, transfer_of(part->encoding), part_body(part, message));
	charset_put_utf8(&text, param_get(&part->params, STR("charset")), buf_str(&bytes));
	casemap_put(&folded, buf_str(&text));
	param_put_utf8(&name, &part->disposition_params, STR("filename"));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str message = { (const char *)data, size };
	struct arena *arena = arena_new();
	const struct part *root = part_parse(arena, message);
	static const uint32_t numbers[] = { 2, 1, 1 };
	scoped_buf out = BUF_INIT, body = BUF_INIT;
	struct str bytes;

	check_part(root, message, 0);
	must(root->header_size == header_end(message), "the header's end");
	render_envelope(&out, part_header(root, message));
	check_list(buf_str(&out));
	buf_clear(&out);
	render_bodystructure(&out, root, message);
	check_list(buf_str(&out));
	must(render_body(&body, buf_str(&out)), "a body of each structure");
	check_list(buf_str(&body));
	must(body.n < out.n, "a body is less than its structure");
	(void)!render_body(&body, message);
	for (size_t n = 0; n <= countof(numbers); n++)
		for (int section = PART_WHOLE; section <= PART_MIME; section++)
			if (part_find_section(root, message, numbers, n,
			    (enum part_section)section, &bytes))
				must(bytes.p >= message.p &&
				    bytes.p + bytes.n <= message.p + message.n, "section");
	must(part_find(root, (const uint32_t[]){ 1 }, 1) != NULL, "part 1");
	read_all(root, message);
	arena_free(arena);
	return 0;
}
