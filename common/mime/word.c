/* SPDX-License-Identifier: ISC */
#include "common/mime/word.h"

#include "common/base/base64.h"
#include "common/base/utf8.h"
#include "common/mime/charset.h"
#include "common/mime/lex.h"
#include "common/mime/transfer.h"

/* RFC 2047 2: an encoded word has at most 75 characters, 12 of them are its frame. */
enum { WORD_LENGTH = 75, FRAME_LENGTH = 12, LINE_LENGTH = 76 };

struct word {
	struct str charset;
	char encoding;		/* 'b' or 'q' */
	struct str text;
	size_t length;		/* all of it, frame included */
};

/* Bytes of adjacent words of one charset wait here: a character may be split. */
struct decoder {
	struct buf *out;
	struct str charset;
	struct buf bytes;
	bool in_words;
	bool no_more_ends;	/* no "?=" follows any more: keeps the search linear */
};

/* RFC 2047 2; RFC 2231 5 adds "*language" to the charset. */
static bool
read_word(struct decoder *d, struct str s, struct word *word)
{
	size_t charset, end;
	struct str text;

	if (d->no_more_ends || !str_starts(s, STR("=?")))
		return false;
	/* RFC 2047 leaves a charset's name no room beyond one word. */
	charset = str_index(str_sub(s, 2, WORD_LENGTH), '?');
	if (charset == 0 || charset + 5 >= s.n || s.p[charset + 2] != '?' ||
	    s.p[charset + 4] != '?')
		return false;
	word->charset = str_sub(s, 2, charset);
	word->charset.n = str_index(word->charset, '*');
	word->encoding = ascii_lower(s.p[charset + 3]);
	if (word->encoding != 'b' && word->encoding != 'q')
		return false;
	text = str_from(s, charset + 5);
	end = str_find(text, STR("?="));
	if (end == text.n) {
		d->no_more_ends = true;
		return false;
	}
	word->text = str_sub(text, 0, end);
	word->length = charset + 5 + end + 2;
	return true;
}

static void
put_q(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		int high = i + 2 < text.n && text.p[i] == '=' ? ascii_hex(text.p[i + 1]) : -1;
		int low = high >= 0 ? ascii_hex(text.p[i + 2]) : -1;

		if (low >= 0) {
			buf_put_c(out, (char)(high << 4 | low));
			i += 2;
		} else if (text.p[i] == '_') {
			buf_put_c(out, ' ');	/* RFC 2047 4.2 (2) */
		} else if (text.p[i] != '\r' && text.p[i] != '\n') {
			buf_put_c(out, text.p[i]);
		}
	}
}

static void
flush_words(struct decoder *d)
{
	if (d->in_words)
		charset_put_utf8(d->out, d->charset, buf_str(&d->bytes));
	buf_clear(&d->bytes);
	d->in_words = false;
}

static void
take_word(struct decoder *d, const struct word *word)
{
	if (d->in_words && !str_eq_nocase(d->charset, word->charset))
		flush_words(d);
	d->charset = word->charset;
	d->in_words = true;
	if (word->encoding == 'b')
		transfer_decode(&d->bytes, TRANSFER_BASE64, word->text);
	else
		put_q(&d->bytes, word->text);
}

static void
take_plain(struct decoder *d, struct str text)
{
	scoped_buf clean = BUF_INIT;

	if (text.n == 0)
		return;
	flush_words(d);
	lex_put_clean(&clean, text);
	charset_put_guess(d->out, buf_str(&clean));
}

/* Where the next encoded word may begin, or text.n. */
static size_t
find_start(struct str text, size_t from)
{
	return from + str_find(str_from(text, from), STR("=?"));
}

void
word_put_utf8(struct buf *out, struct str value)
{
	struct decoder d = { .out = out };
	size_t plain = 0, at = find_start(value, 0);
	struct word word;

	while (at < value.n) {
		if (!read_word(&d, str_from(value, at), &word)) {
			at = find_start(value, at + 2);
			continue;
		}
		/* RFC 2047 6.2: white space between two encoded words does not show. */
		if (!d.in_words || str_trim(str_sub(value, plain, at - plain)).n > 0)
			take_plain(&d, str_sub(value, plain, at - plain));
		take_word(&d, &word);
		plain = at + word.length;
		at = find_start(value, plain);
	}
	flush_words(&d);
	take_plain(&d, str_from(value, plain));
	buf_free(&d.bytes);
}

static bool
is_safe(struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] < ' ' || (unsigned char)text.p[i] >= 127)
			return false;
	return str_find(text, STR("=?")) == text.n;
}

/* As many whole characters as fit; never none, a broken byte counts as one. */
static struct str
take_characters(struct str *rest, size_t bytes)
{
	struct str taken = *rest, left = *rest;
	uint32_t c;

	while (left.n > 0) {
		struct str next = left;

		if (!utf8_next(&next, &c))
			next = str_from(left, 1);
		if (rest->n - next.n > bytes && left.n < rest->n)
			break;
		left = next;
	}
	taken.n = rest->n - left.n;
	*rest = left;
	return taken;
}

static void
put_words(struct buf *out, struct str text, size_t column)
{
	size_t room = column + WORD_LENGTH < LINE_LENGTH ? WORD_LENGTH :
	    column + FRAME_LENGTH + 8 < LINE_LENGTH ? LINE_LENGTH - column : 0;

	if (room == 0) {
		buf_put(out, STR("\r\n "));
		room = WORD_LENGTH;
	}
	while (text.n > 0) {
		struct str part = take_characters(&text, (room - FRAME_LENGTH) / 4 * 3);

		buf_put(out, STR("=?UTF-8?B?"));
		base64_encode(out, part);
		buf_put(out, text.n > 0 ? STR("?=\r\n ") : STR("?="));
		room = WORD_LENGTH;
	}
}

void
word_put_encoded(struct buf *out, struct str utf8, size_t column)
{
	scoped_buf clean = BUF_INIT;
	struct str text;

	buf_put(&clean, utf8);
	for (size_t i = 0; i < clean.n; i++)
		if (ascii_is_control(clean.p[i]))
			clean.p[i] = ' ';
	text = buf_str(&clean);
	if (is_safe(text))
		buf_put(out, text);
	else
		put_words(out, text, column);
}
