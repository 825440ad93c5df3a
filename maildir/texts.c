/* SPDX-License-Identifier: ISC */
/*
 * The texts that FETCH copies: rendered when a message arrives, kept in the index's cache,
 * and made anew from the file where they are missing (after a rebuild, say).
 */
#include <unistd.h>

#include "common/base/arena.h"
#include "common/mime/header.h"
#include "common/mime/render.h"
#include "maildir/private.h"

enum { HEADER_PIECE = 256 * 1024 };

static enum store_result render_file(struct folder *f, uint32_t uid, unsigned missing);

void
texts_free(struct texts *t)
{
	for (size_t i = 0; i < TEXT_COUNT; i++)
		buf_free(&t->text[i]);
}

void
texts_render(struct texts *out, struct str message)
{
	struct arena *arena = arena_new();
	struct part *root = part_parse(arena, message);

	texts_free(out);
	*out = (struct texts){ 0 };
	render_envelope(&out->text[TEXT_ENVELOPE], message);
	render_body(&out->text[TEXT_BODY], root, message);
	render_bodystructure(&out->text[TEXT_BODYSTRUCTURE], root, message);
	buf_put(&out->text[TEXT_HEADER], str_sub(message, 0, header_end(message)));
	out->no_nul = !str_has_char(message, '\0');
	arena_free(arena);
}

enum store_result
texts_save(struct account *a, int64_t key, const struct texts *t)
{
	const struct buf *header = &t->text[TEXT_HEADER];

	return index_do(a, Q_CACHE_ADD, BIND(V(key), V(buf_str(&t->text[TEXT_ENVELOPE])),
	    V(buf_str(&t->text[TEXT_BODY])), V(buf_str(&t->text[TEXT_BODYSTRUCTURE])),
	    header->n <= HEADER_CACHE_MAX ? V(buf_str(header)) : V_NULL));
}

/* Fills t with what the cache has of `which`; *found says what that is. */
static enum store_result
read_cache(struct account *a, enum query query, int64_t key, unsigned which, unsigned *found)
{
	unsigned first = query == Q_CACHE_HEADER ? TEXT_HEADER : TEXT_ENVELOPE;
	unsigned last = query == Q_CACHE_HEADER ? TEXT_HEADER : TEXT_BODYSTRUCTURE;
	sqlite3_stmt *q;

	for (; first <= last && (which >> first & 1) == 0; first++)
		continue;
	if (first > last)
		return STORE_OK;
	q = index_ask(a, query, BIND(V(key)));
	if (index_row(a, q))
		for (unsigned t = first; t <= last; t++) {
			int column = query == Q_CACHE_HEADER ? 0 : (int)t;

			if ((which >> t & 1) == 0 || sqlite3_column_type(q, column) == SQLITE_NULL)
				continue;
			buf_put(&a->texts.text[t], index_text(q, column));
			*found |= 1u << t;
		}
	return index_end(a, q);
}

/* ---- one message after the other ---- */

static bool
read_ahead_row(struct texts_ahead *ahead, sqlite3_stmt *q)
{
	struct str text;

	ahead->messages[ahead->count].uid = key_uid(sqlite3_column_int64(q, 0));
	for (unsigned t = 0; t < TEXT_COUNT; t++) {
		if ((ahead->which >> t & 1) == 0)
			continue;
		/* Some are not kept: who asks for this one gets it the long way. */
		if (sqlite3_column_type(q, (int)t + 1) == SQLITE_NULL)
			return false;
		text = index_text(q, (int)t + 1);
		ahead->messages[ahead->count].text[t].at = ahead->bytes.n;
		ahead->messages[ahead->count].text[t].n = text.n;
		buf_put(&ahead->bytes, text);
	}
	return true;
}

static enum store_result
read_ahead(struct account *a, int64_t key)
{
	struct texts_ahead *ahead = &a->ahead;
	sqlite3_stmt *q = index_ask(a, Q_CACHE_RANGE, BIND(V(key),
	    V(message_key(ahead->box, UINT32_MAX)), V(AHEAD_MESSAGES)));

	ahead->count = ahead->next = 0;
	buf_clear(&ahead->bytes);
	while (ahead->count < AHEAD_MESSAGES && ahead->bytes.n < AHEAD_BYTES && index_row(a, q))
		if (read_ahead_row(ahead, q))
			ahead->count++;
	return index_end(a, q);
}

static bool
take_ahead(struct texts_ahead *ahead, uint32_t uid, struct str out[TEXT_COUNT])
{
	while (ahead->next < ahead->count && ahead->messages[ahead->next].uid < uid)
		ahead->next++;
	if (ahead->next == ahead->count || ahead->messages[ahead->next].uid != uid)
		return false;
	for (unsigned t = 0; t < TEXT_COUNT; t++)
		if ((ahead->which >> t & 1) != 0)
			out[t] = str_sub(buf_str(&ahead->bytes), ahead->messages[ahead->next].text[t].at,
			    ahead->messages[ahead->next].text[t].n);
	return true;
}

/* True: it was read before, or the one asked for last was the one before it and it has been read now. */
static bool
find_ahead(struct account *a, int64_t box, uint32_t uid, unsigned which,
    struct str out[TEXT_COUNT])
{
	struct texts_ahead *ahead = &a->ahead;
	bool same = ahead->box == box && ahead->generation == a->generation && ahead->which == which;
	bool walks = same && uid > ahead->asked && uid - ahead->asked <= AHEAD_MESSAGES;

	if (!same) {
		ahead->count = ahead->next = 0;
		ahead->box = box;
		ahead->generation = a->generation;
		ahead->which = which;
	}
	ahead->asked = uid;
	if (!walks) {
		ahead->count = ahead->next = 0;
		return false;
	}
	if (take_ahead(ahead, uid, out))
		return true;
	return ahead->next == ahead->count && read_ahead(a, message_key(box, uid)) == STORE_OK &&
	    take_ahead(ahead, uid, out);
}

enum store_result
message_texts(struct mailbox *m, uint32_t uid, unsigned which, struct str out[TEXT_COUNT])
{
	struct account *a = m->folder->account;
	enum store_result r = folder_ready(m->folder);
	unsigned found = 0;
	int64_t key;

	which &= (1u << TEXT_COUNT) - 1;
	if (r == STORE_OK && find_ahead(a, m->folder->box.number, uid, which, out))
		return STORE_OK;
	for (unsigned t = 0; t < TEXT_COUNT; t++)
		buf_clear(&a->texts.text[t]);
	key = message_key(m->folder->box.number, uid);
	if (r == STORE_OK)
		r = read_cache(a, Q_CACHE_GET, key, which, &found);
	if (r == STORE_OK)
		r = read_cache(a, Q_CACHE_HEADER, key, which, &found);
	if (r == STORE_OK && found != which)
		r = render_file(m->folder, uid, which & ~found);
	for (unsigned t = 0; t < TEXT_COUNT && r == STORE_OK; t++)
		if ((which >> t & 1) != 0)
			out[t] = buf_str(&a->texts.text[t]);
	return r;
}

/* The header alone, without reading a large message whole. */
static bool
read_header(int fd, struct buf *out)
{
	scoped_buf raw = BUF_INIT;
	bool last_cr = false;
	size_t end;

	if (!files_read_at(fd, 0, HEADER_PIECE, &raw))
		return false;
	end = header_end(buf_str(&raw));
	if (end == raw.n)
		return false;
	crlf_put(out, str_sub(buf_str(&raw), 0, end), &last_cr);
	return true;
}

static enum store_result
keep_made(struct account *a, int64_t key, const struct texts *made)
{
	enum store_result r = txn_begin(a);

	if (r != STORE_OK)
		return r;
	r = texts_save(a, key, made);
	if (r == STORE_OK && made->no_nul)
		r = index_do(a, Q_FILE_NO_NUL, BIND(V(key)));
	return txn_end(a, r);
}

/* The message is read; all its texts are kept, so that this happens once. */
static enum store_result
render_file(struct folder *f, uint32_t uid, unsigned missing)
{
	struct account *a = f->account;
	scoped_message row = MESSAGE_NONE;
	scoped_texts made = { 0 };
	scoped_buf message = BUF_INIT;
	scoped_fd fd = -1;
	enum store_result r = message_get(a, f->box.number, uid, &row);

	if (r == STORE_OK)
		r = message_open_file(a, f->box.number, &f->place, &row, &fd);
	if (r != STORE_OK) {
		f->look |= r == STORE_GONE;
		return r;
	}
	if (missing == 1u << TEXT_HEADER && read_header(fd, &a->texts.text[TEXT_HEADER]))
		return STORE_OK;
	r = message_read(a, fd, &message);
	if (r != STORE_OK)
		return r;
	texts_render(&made, buf_str(&message));
	for (unsigned t = 0; t < TEXT_COUNT; t++)
		if ((missing >> t & 1) != 0)
			buf_put(&a->texts.text[t], buf_str(&made.text[t]));
	/* Not kept is no fault: the next one renders it again. */
	(void)!keep_made(a, message_key(f->box.number, uid), &made);
	return STORE_OK;
}
