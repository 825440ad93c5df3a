/* SPDX-License-Identifier: ISC */
/* The conversations of tests/imap, as chunks of octets that clients say: what they expect to hear is passed over. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "maildir/files.h"
#include "tests/fuzz/sessions.h"

struct conversation *seeds;
size_t seed_count;

struct chunk *
add_chunk(struct conversation *c, unsigned connection)
{
	if (c->count == CHUNKS_MAX)
		return NULL;
	c->chunks[c->count] = (struct chunk){ .connection = connection };
	return &c->chunks[c->count++];
}

void
free_chunks(struct conversation *c)
{
	for (size_t i = 0; i < c->count; i++)
		buf_free(&c->chunks[i].octets);
	c->count = 0;
}

/* Their variables: users of ours, and numbers. */
static void
put_expanded(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		size_t n = i + 1;

		if (text.p[i] != '$') {
			buf_put_c(out, text.p[i]);
			continue;
		}
		while (n < text.n && ascii_is_alnum(text.p[n]))
			n++;
		if (str_starts(str_from(text, i + 1), STR("USER")))
			buf_put_z(out, "user@example.test");
		else if (n > i + 1)
			buf_put_z(out, "1");
		else
			buf_put_c(out, '$');
		i = n - 1;
	}
}

static void
put_repeated(struct buf *out, struct str count, char c)
{
	uint32_t n;

	if (str_to_u32(count, &n))
		for (uint32_t i = 0; i < n && i < INPUT_MAX / 4; i++)
			buf_put_c(out, c);
}

/* What R: understands: \r \n \xHH {N*c}. The length of what was taken. */
static size_t
put_escape(struct buf *out, struct str text)
{
	size_t star = str_index(text, '*');

	if (text.p[0] == '{' && star + 2 < text.n && text.p[star + 2] == '}') {
		put_repeated(out, str_sub(text, 1, star - 1), text.p[star + 1]);
		return star + 3;
	}
	if (text.p[0] == '\\' && text.n >= 4 && text.p[1] == 'x' && ascii_hex(text.p[2]) >= 0 &&
	    ascii_hex(text.p[3]) >= 0) {
		buf_put_c(out, (char)(ascii_hex(text.p[2]) * 16 + ascii_hex(text.p[3])));
		return 4;
	}
	if (text.p[0] == '\\' && text.n >= 2 && (text.p[1] == 'r' || text.p[1] == 'n')) {
		buf_put_c(out, text.p[1] == 'r' ? '\r' : '\n');
		return 2;
	}
	buf_put_c(out, text.p[0]);
	return 1;
}

static void
put_raw(struct buf *out, struct str text)
{
	scoped_buf expanded = BUF_INIT;

	put_expanded(&expanded, text);
	text = buf_str(&expanded);
	while (text.n > 0)
		text = str_from(text, put_escape(out, text));
}

/* "text <<END": a message follows, up to the line END. */
static void
put_document(struct buf *out, struct str text, struct str *rest)
{
	size_t mark = str_find(text, STR(" <<"));
	struct str end = str_from(text, mark + 3), line;
	scoped_buf document = BUF_INIT;

	while (str_cut(rest, '\n', &line) && !str_eq(line, end)) {
		buf_put(&document, line);
		buf_put_z(&document, "\r\n");
	}
	put_expanded(out, str_sub(text, 0, mark));
	buf_printf(out, " {%zu+}\r\n", document.n);
	buf_put(out, buf_str(&document));
	buf_put_z(out, "\r\n");
}

static bool
connection_of(struct conversation *c, char name, unsigned *out)
{
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		if (c->names[i] == '\0')
			c->names[i] = name;
		if (c->names[i] != name)
			continue;
		*out = i;
		return true;
	}
	return false;
}

static void
read_line(struct conversation *c, struct str line, struct str *rest)
{
	unsigned connection;
	struct chunk *chunk;
	struct str words = str_from(line, 3);

	if (line.n < 4 || line.p[1] != ':' || !connection_of(c, line.p[0], &connection))
		return;
	if (!str_starts(words, STR("login")) && !str_starts(words, STR("eof")) &&
	    !str_starts(words, STR("close")) && !str_starts(words, STR("C: ")) &&
	    !str_starts(words, STR("R: ")) && !str_starts(words, STR("M: ")))
		return;
	chunk = add_chunk(c, connection);
	if (chunk == NULL)
		return;
	if (str_starts(words, STR("eof")) || str_starts(words, STR("close"))) {
		chunk->kind = CHUNK_EOF;
	} else if (str_starts(words, STR("login"))) {
		buf_put_z(&chunk->octets, "login LOGIN user@example.test secret\r\n");
	} else if (words.p[0] == 'C') {
		put_expanded(&chunk->octets, str_from(words, 3));
		buf_put_z(&chunk->octets, "\r\n");
	} else if (words.p[0] == 'R') {
		put_raw(&chunk->octets, str_from(words, 3));
	} else {
		put_document(&chunk->octets, str_from(words, 3), rest);
	}
}

static void
read_conversation(const char *path)
{
	struct conversation *c;
	scoped_buf text = BUF_INIT;
	scoped_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	struct str rest, line;

	if (fd < 0 || !files_read_all(fd, 1 << 20, &text))
		fatal("%s: %s", path, strerror(errno));
	seeds = xrealloc(seeds, (seed_count + 1) * sizeof(*seeds));
	c = &seeds[seed_count++];
	*c = (struct conversation){ 0 };
	rest = buf_str(&text);
	while (str_cut(&rest, '\n', &line))
		read_line(c, line, &rest);
}

static int
is_conversation(const struct dirent *entry)
{
	return str_ends(str_of(entry->d_name), STR(".conv"));
}

void
read_conversations(const char *folder)
{
	struct dirent **names;
	int count = scandir(folder, &names, is_conversation, alphasort);

	for (int i = 0; i < count; i++) {
		scoped_buf path = BUF_INIT;

		buf_printf(&path, "%s/%s", folder, names[i]->d_name);
		read_conversation(buf_z(&path));
		free(names[i]);
	}
	if (count <= 0)
		fatal("no conversations in %s", folder);
	free(names);
}

void
copy_chunk(struct conversation *to, const struct chunk *from, unsigned connection)
{
	struct chunk *chunk = add_chunk(to, connection);

	if (chunk == NULL)
		return;
	chunk->kind = from->kind;
	buf_put(&chunk->octets, buf_str(&from->octets));
}
