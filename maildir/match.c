/* SPDX-License-Identifier: ISC */
#include "maildir/match.h"

#include "common/base/utf8.h"
#include "common/mime/casemap.h"

bool
match_fold_key(struct buf *out, struct str key)
{
	if (!utf8_valid(key))
		return false;
	casemap_put(out, key);
	return true;
}

void
match_begin(struct match *m, struct match_key *const *keys, size_t count)
{
	m->keys = keys;
	m->count = count;
	m->overlap = 0;
	for (size_t i = 0; i < count; i++)
		if (!keys[i]->found && !keys[i]->absent && keys[i]->folded.n > m->overlap + 1)
			m->overlap = keys[i]->folded.n - 1;
	buf_clear(&m->text);
	buf_clear(&m->window);
}

static size_t
piece_length(struct str text)
{
	size_t n = MATCH_PIECE;

	while (n > 0 && !casemap_may_cut(text.p[n]))
		n--;
	if (n > 0)
		return n;
	n = MATCH_PIECE;
	while (n > MATCH_PIECE - 4 && ((unsigned char)text.p[n] & 0xC0) == 0x80)
		n--;
	return n;
}

static bool
look_at(struct match *m, struct str piece)
{
	struct str window;
	bool any = false;

	casemap_put(&m->window, piece);
	window = buf_str(&m->window);
	for (size_t i = 0; i < m->count; i++) {
		struct match_key *key = m->keys[i];

		if (key->found || key->absent || str_find(window, key->folded) == window.n)
			continue;
		key->found = any = true;
	}
	if (m->window.n > m->overlap)
		buf_take(&m->window, m->window.n - m->overlap);
	return any;
}

bool
match_feed(struct match *m, struct str utf8)
{
	bool any = false;

	buf_put(&m->text, utf8);
	while (m->text.n > MATCH_PIECE) {
		size_t n = piece_length(buf_str(&m->text));

		any |= look_at(m, str_sub(buf_str(&m->text), 0, n));
		buf_take(&m->text, n);
	}
	return any;
}

void
match_fold_text(struct buf *out, struct str utf8)
{
	while (utf8.n > MATCH_PIECE) {
		size_t n = piece_length(utf8);

		casemap_put(out, str_sub(utf8, 0, n));
		utf8 = str_from(utf8, n);
	}
	casemap_put(out, utf8);
}

bool
match_end(struct match *m)
{
	bool any = look_at(m, buf_str(&m->text));

	buf_clear(&m->text);
	buf_clear(&m->window);
	return any;
}

void
match_free(struct match *m)
{
	buf_free(&m->text);
	buf_free(&m->window);
}
