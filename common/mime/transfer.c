/* SPDX-License-Identifier: ISC */
#include "common/mime/transfer.h"

#include "common/base/base64.h"

enum {
	LINE_BYTES = 57,	/* 76 digits of base64 */
	LINE_LENGTH = 76,
	PENDING_MAX = 1000,	/* blanks beyond it are text, whatever follows */
};

enum transfer_encoding
transfer_of(struct str name)
{
	name = str_trim(name);
	if (str_eq_nocase(name, STR("base64")))
		return TRANSFER_BASE64;
	if (str_eq_nocase(name, STR("quoted-printable")))
		return TRANSFER_QUOTED_PRINTABLE;
	/* RFC 2045 6.1: absent means 7bit. "7-bit" and its kind are common mistakes. */
	if (name.n == 0 || str_eq_nocase(name, STR("7bit")) || str_eq_nocase(name, STR("8bit")) ||
	    str_eq_nocase(name, STR("binary")) || str_eq_nocase(name, STR("7-bit")) ||
	    str_eq_nocase(name, STR("8-bit")) || str_eq_nocase(name, STR("none")))
		return TRANSFER_IDENTITY;
	return TRANSFER_UNKNOWN;
}

static void
end_group(struct transfer *t, char **to)
{
	if (t->digits >= 2)
		*(*to)++ = (char)(t->digits == 2 ? t->group >> 4 : t->group >> 10);
	if (t->digits == 3)
		*(*to)++ = (char)(t->group >> 2);
	t->group = t->digits = 0;
}

static void
feed_base64(struct transfer *t, struct buf *out, struct str bytes)
{
	char *start = buf_room(out, bytes.n + 3), *to = start;

	for (size_t i = 0; i < bytes.n; i++) {
		int digit = base64_digit(bytes.p[i]);

		if (digit < 0) {
			if (bytes.p[i] == '=')
				end_group(t, &to);
			continue;
		}
		t->group = t->group << 6 | (uint32_t)digit;
		if (++t->digits < 4)
			continue;
		*to++ = (char)(t->group >> 16);
		*to++ = (char)(t->group >> 8);
		*to++ = (char)t->group;
		t->group = t->digits = 0;
	}
	buf_added(out, (size_t)(to - start));
}

static void
release(struct transfer *t, struct buf *out)
{
	buf_put(out, buf_str(&t->pending));
	buf_clear(&t->pending);
}

/* RFC 2045 6.7 (5): "=", blanks that mail systems added, line end. False: not one. */
static bool
goes_on_soft_break(const struct buf *pending, char c)
{
	char last = pending->p[pending->n - 1];

	if (ascii_hex(last) >= 0)
		return false;
	if (c == ' ' || c == '\t' || c == '\r')
		return last != '\r';
	return c == '\n';
}

static void
feed_escape(struct transfer *t, struct buf *out, char c)
{
	if (t->pending.n < PENDING_MAX && goes_on_soft_break(&t->pending, c)) {
		if (c == '\n')
			buf_clear(&t->pending);
		else
			buf_put_c(&t->pending, c);
		return;
	}
	if (t->pending.n == 1 && ascii_hex(c) >= 0) {
		buf_put_c(&t->pending, c);
		return;
	}
	if (t->pending.n == 2 && ascii_hex(t->pending.p[1]) >= 0 && ascii_hex(c) >= 0) {
		buf_put_c(out, (char)(ascii_hex(t->pending.p[1]) << 4 | ascii_hex(c)));
		buf_clear(&t->pending);
		return;
	}
	release(t, out);	/* an "=" that begins nothing */
	transfer_feed(t, out, (struct str){ &c, 1 });
}

/* Blanks wait for what comes: RFC 2045 6.7 (3), at a line's end they vanish. */
static void
feed_after_blanks(struct transfer *t, struct buf *out, char c)
{
	bool had_cr = t->pending.p[t->pending.n - 1] == '\r';

	if ((c == ' ' || c == '\t' || c == '\r') && !had_cr && t->pending.n < PENDING_MAX) {
		buf_put_c(&t->pending, c);
		return;
	}
	if (c == '\n') {
		buf_clear(&t->pending);
		buf_put_z(out, had_cr ? "\r\n" : "\n");
		return;
	}
	release(t, out);
	transfer_feed(t, out, (struct str){ &c, 1 });
}

static bool
is_plain(char c)
{
	return c != '=' && c != ' ' && c != '\t' && c != '\r';
}

static void
feed_quoted_printable(struct transfer *t, struct buf *out, struct str bytes)
{
	for (size_t i = 0; i < bytes.n; i++) {
		size_t start = i;

		if (t->pending.n > 0) {
			if (t->pending.p[0] == '=')
				feed_escape(t, out, bytes.p[i]);
			else
				feed_after_blanks(t, out, bytes.p[i]);
			continue;
		}
		while (i < bytes.n && is_plain(bytes.p[i]))
			i++;
		buf_put(out, str_sub(bytes, start, i - start));
		if (i < bytes.n)
			buf_put_c(&t->pending, bytes.p[i]);
	}
}

void
transfer_feed(struct transfer *t, struct buf *out, struct str bytes)
{
	switch (t->encoding) {
	case TRANSFER_BASE64:
		feed_base64(t, out, bytes);
		break;
	case TRANSFER_QUOTED_PRINTABLE:
		feed_quoted_printable(t, out, bytes);
		break;
	case TRANSFER_IDENTITY:
	case TRANSFER_UNKNOWN:
		buf_put(out, bytes);
		break;
	}
}

void
transfer_end(struct transfer *t, struct buf *out)
{
	char *start = buf_room(out, 3), *to = start;

	end_group(t, &to);
	buf_added(out, (size_t)(to - start));
	/* A soft break or blanks at the very end need no line end to vanish. */
	if (t->pending.n > 1 && ascii_hex(t->pending.p[1]) >= 0)
		release(t, out);
	buf_free(&t->pending);
}

void
transfer_decode(struct buf *out, enum transfer_encoding encoding, struct str bytes)
{
	struct transfer t = { .encoding = encoding };

	transfer_feed(&t, out, bytes);
	transfer_end(&t, out);
}

void
transfer_put_base64(struct buf *out, struct str bytes)
{
	for (size_t i = 0; i < bytes.n; i += LINE_BYTES) {
		base64_encode(out, str_sub(bytes, i, LINE_BYTES));
		buf_put(out, STR("\r\n"));
	}
}

static bool
needs_quoting(struct str line, size_t i)
{
	char c = line.p[i];

	if (c == ' ' || c == '\t')
		return i + 1 == line.n;
	if (i == 0 && (c == '.' || str_starts(line, STR("From "))))
		return true;
	return c == '=' || c < ' ' || c == 127;	/* 8-bit is negative or above */
}

static void
put_line(struct buf *out, struct str line)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t column = 0;

	for (size_t i = 0; i < line.n; i++) {
		unsigned char c = (unsigned char)line.p[i];
		bool quoted = c >= 128 || needs_quoting(line, i);
		size_t width = quoted ? 3 : 1;

		/* The last column is the soft break's, unless this ends the line. */
		if (column + width > LINE_LENGTH - (i + 1 < line.n)) {
			buf_put(out, STR("=\r\n"));
			column = 0;
		}
		if (quoted) {
			buf_put_c(out, '=');
			buf_put_c(out, hex[c >> 4]);
			c = (unsigned char)hex[c & 15];
		}
		buf_put_c(out, (char)c);
		column += width;
	}
}

void
transfer_put_quoted_printable(struct buf *out, struct str text)
{
	while (text.n > 0) {
		size_t n = str_index(text, '\n');
		struct str line = str_sub(text, 0, n);

		if (n < text.n && line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		put_line(out, line);
		if (n < text.n)
			buf_put(out, STR("\r\n"));
		text = str_from(text, n + 1);
	}
}
