/* SPDX-License-Identifier: ISC */
/*
 * The texts that FETCH copies: rendered when a message arrives, kept in the index's texts and headers,
 * and made anew from the file where they are missing (after a rebuild, say). BODY is made of BODYSTRUCTURE each time.
 */
#include <unistd.h>

#include "common/base/arena.h"
#include "common/mime/header.h"
#include "common/mime/render.h"
#include "maildir/private.h"

enum { HEADER_PIECE = 256 * 1024 };

static enum store_result render_file(struct folder *, uint32_t uid, unsigned missing, struct str out[TEXT_COUNT]);

void
texts_free(struct texts *t)
{
	for (size_t i = 0; i < TEXTS_KEPT; i++)
		buf_free(&t->text[i]);
	*t = (struct texts){ 0 };
}

void
texts_render(struct texts *out, struct str message)
{
	struct arena *arena = arena_new();
	struct part *root = part_parse(arena, message);

	render_envelope(&out->text[TEXT_ENVELOPE], message);
	render_bodystructure(&out->text[TEXT_BODYSTRUCTURE], root, message);
	buf_put(&out->text[TEXT_HEADER], str_sub(message, 0, header_end(message)));
	out->no_nul = !str_has_char(message, '\0');
	arena_free(arena);
}

enum store_result
texts_save(struct account *a, int64_t key, const struct texts *t)
{
	const struct buf *header = &t->text[TEXT_HEADER];
	enum store_result r = index_do(a, Q_TEXTS_ADD, BIND(V(key), V(buf_str(&t->text[TEXT_ENVELOPE])),
	    V(buf_str(&t->text[TEXT_BODYSTRUCTURE]))));

	if (r == STORE_OK && header->n <= HEADER_CACHE_MAX)
		r = index_do(a, Q_HEADER_ADD, BIND(V(key), V(buf_str(header))));
	return r;
}

enum store_result
texts_copy(struct account *a, int64_t to, int64_t from)
{
	enum store_result r = index_do(a, Q_TEXTS_COPY, BIND(V(to), V(from)));

	return r == STORE_OK ? index_do(a, Q_HEADER_COPY, BIND(V(to), V(from))) : r;
}

enum store_result
texts_drop(struct account *a, int64_t key)
{
	enum store_result r = index_do(a, Q_TEXTS_DROP, BIND(V(key)));

	return r == STORE_OK ? index_do(a, Q_HEADER_DROP, BIND(V(key))) : r;
}

/* ---- one message after the other ---- */

struct kept {
	int64_t key;
	size_t n;
};

/* What is not kept has no row or no text: who asks for it gets it the long way. */
static enum store_result
read_texts(struct account *a, enum message_text text, int64_t first, int64_t last)
{
	static const enum query queries[] = {
		[TEXT_ENVELOPE] = Q_ENVELOPES, [TEXT_BODYSTRUCTURE] = Q_STRUCTURES, [TEXT_HEADER] = Q_HEADERS,
	};
	struct text_ahead *ahead = &a->ahead[text];
	sqlite3_stmt *q = index_ask(a, queries[text], BIND(V(first)));
	size_t left = AHEAD_TEXTS;
	struct kept kept;
	const char *p;

	_Static_assert(countof(queries) == TEXTS_KEPT, "each text that is kept has its query");
	ahead->next = 0;
	buf_clear(&ahead->texts);
	while (left-- > 0 && ahead->texts.n < AHEAD_BYTES && index_row(a, q)) {
		kept.key = sqlite3_column_int64(q, 0);
		if (kept.key > last)
			break;
		p = (const char *)sqlite3_column_text(q, 1);
		if (p == NULL)
			continue;
		kept.n = (size_t)sqlite3_column_bytes(q, 1);
		buf_put(&ahead->texts, (struct str){ (const char *)&kept, sizeof(kept) });
		buf_put(&ahead->texts, (struct str){ p, kept.n });
	}
	return index_end(a, q);
}

static bool
take_text(struct text_ahead *ahead, int64_t key, struct str *out)
{
	struct kept kept = { 0 };

	while (ahead->next < ahead->texts.n) {
		memcpy(&kept, ahead->texts.p + ahead->next, sizeof(kept));
		if (kept.key >= key)
			break;
		ahead->next += sizeof(kept) + kept.n;
	}
	*out = str_sub(buf_str(&ahead->texts), ahead->next + sizeof(kept), kept.n);
	return kept.key == key;
}

/* Where the one asked for last was shortly before it, those that follow are read along. */
static enum store_result
find_text(struct account *a, enum message_text text, int64_t key, struct str *out, bool *found)
{
	struct text_ahead *ahead = &a->ahead[text];
	bool walks = ahead->generation == a->generation && key > ahead->asked &&
	    key - ahead->asked <= AHEAD_TEXTS;
	enum store_result r = STORE_OK;

	ahead->generation = a->generation;
	ahead->asked = key;
	*found = walks && take_text(ahead, key, out);
	if (*found || (walks && ahead->next < ahead->texts.n))
		return STORE_OK;
	r = read_texts(a, text, key, walks ? message_key(key_box(key), UINT32_MAX) : key);
	*found = r == STORE_OK && take_text(ahead, key, out);
	return r;
}

void
texts_rest(struct account *a)
{
	for (size_t i = 0; i < TEXTS_KEPT; i++) {
		buf_free(&a->ahead[i].texts);
		a->ahead[i] = (struct text_ahead){ 0 };
	}
}

static enum store_result
put_body(struct folder *f, uint32_t uid, struct str out[TEXT_COUNT])
{
	struct account *a = f->account;
	enum store_result r;

	buf_clear(&a->body);
	/* No such text is in an index by itself: somebody has written there. */
	if (!render_body(&a->body, out[TEXT_BODYSTRUCTURE])) {
		r = render_file(f, uid, 1u << TEXT_BODYSTRUCTURE, out);
		if (r == STORE_OK && !render_body(&a->body, out[TEXT_BODYSTRUCTURE]))
			r = STORE_BROKEN;
		if (r != STORE_OK)
			return r;
	}
	out[TEXT_BODY] = buf_str(&a->body);
	return STORE_OK;
}

enum store_result
message_texts(struct mailbox *m, uint32_t uid, unsigned which, struct str out[TEXT_COUNT])
{
	struct account *a = m->folder->account;
	enum store_result r = folder_ready(m->folder);
	unsigned missing = 0;
	bool found;

	if (which & 1u << TEXT_BODY)
		which |= 1u << TEXT_BODYSTRUCTURE;
	for (unsigned t = 0; r == STORE_OK && t < TEXTS_KEPT; t++) {
		if ((which >> t & 1) == 0)
			continue;
		r = find_text(a, (enum message_text)t, message_key(m->folder->box.number, uid), &out[t], &found);
		missing |= (unsigned)!found << t;
	}
	if (r == STORE_OK && missing != 0)
		r = render_file(m->folder, uid, missing, out);
	return r == STORE_OK && which & 1u << TEXT_BODY ? put_body(m->folder, uid, out) : r;
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
render_file(struct folder *f, uint32_t uid, unsigned missing, struct str out[TEXT_COUNT])
{
	struct account *a = f->account;
	scoped_message row = MESSAGE_NONE;
	scoped_buf message = BUF_INIT;
	scoped_fd fd = -1;
	enum store_result r = message_get(a, f->box.number, uid, &row);

	if (r == STORE_OK)
		r = message_open_file(a, f->box.number, &f->place, &row, &fd);
	if (r != STORE_OK) {
		f->look |= r == STORE_GONE;
		return r;
	}
	texts_free(&a->texts);
	if (missing == 1u << TEXT_HEADER && read_header(fd, &a->texts.text[TEXT_HEADER])) {
		out[TEXT_HEADER] = buf_str(&a->texts.text[TEXT_HEADER]);
		return STORE_OK;
	}
	r = message_read(a, fd, &message);
	if (r != STORE_OK)
		return r;
	texts_render(&a->texts, buf_str(&message));
	for (unsigned t = 0; t < TEXTS_KEPT; t++)
		if ((missing >> t & 1) != 0)
			out[t] = buf_str(&a->texts.text[t]);
	/* Not kept is no fault: the next one renders it again. */
	(void)!keep_made(a, message_key(f->box.number, uid), &a->texts);
	return STORE_OK;
}
