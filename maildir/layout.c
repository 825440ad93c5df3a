/* SPDX-License-Identifier: ISC */
/*
 * Mailbox names as Maildir++ directories. Each level is modified UTF-7 (RFC 3501 5.1.3),
 * where besides what that RFC says also '.' and other octets that the scheme cannot hold
 * are written in base64, so that every name has exactly one directory and back.
 */
#include "maildir/layout.h"

#include <stdlib.h>
#include <uninorm.h>

#include "common/base/utf8.h"
#include "maildir/store.h"

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static bool level_ok(struct str level);
static void put_level(struct buf *out, struct str level, bool hide_first);
static bool take_level(struct str text, struct buf *out);

/* RFC 6855 3, RFC 5198 2: one text has one form, whatever a client's keyboard makes of it. */
static bool
put_composed(struct buf *out, struct str name)
{
	uint8_t *composed;
	size_t n = 0;

	composed = u8_normalize(UNINORM_NFC, (const uint8_t *)name.p, name.n, NULL, &n);
	if (composed == NULL)
		return false;
	buf_put(out, (struct str){ (const char *)composed, n });
	free(composed);
	return true;
}

bool
layout_name(struct str given, struct buf *out)
{
	struct str rest, level;
	size_t depth = 0;
	scoped_buf dir = BUF_INIT, composed = BUF_INIT;

	buf_clear(out);
	if (given.n > 1 && given.p[given.n - 1] == '/')
		given.n--;
	if (given.n == 0 || given.n > MAILBOX_NAME_MAX || !utf8_valid(given) ||
	    given.p[given.n - 1] == '/')
		return false;
	if (!str_is_ascii(given)) {
		if (!put_composed(&composed, given) || composed.n > MAILBOX_NAME_MAX)
			return false;
		given = buf_str(&composed);
	}
	for (rest = given; str_cut(&rest, '/', &level); depth++) {
		if (!level_ok(level))
			return false;
		if (depth > 0)
			buf_put_c(out, '/');
		buf_put(out, depth == 0 && str_eq_nocase(level, STR("INBOX")) ?
		    STR("INBOX") : level);
	}
	layout_put_dir(&dir, buf_str(out));
	return depth <= MAILBOX_DEPTH_MAX && dir.n <= DISK_NAME_MAX;
}

static bool
level_ok(struct str level)
{
	uint32_t c;

	if (level.n == 0)
		return false;
	while (utf8_next(&level, &c))
		if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == '%' || c == '*' || c == 0x2028 || c == 0x2029)
			return false;
	return true;
}

void
layout_put_dir(struct buf *out, struct str name)
{
	struct str level;
	/* The directory of our own files; only the whole name can clash with it. */
	bool ours = str_eq(name, STR("trivet"));

	if (layout_is_inbox(name)) {
		buf_put_c(out, '.');
		return;
	}
	while (str_cut(&name, '/', &level)) {
		buf_put_c(out, '.');
		put_level(out, level, ours);
	}
}

/* RFC 3501 5.1.3: '&' starts base64 of UTF-16BE, '-' ends it, "&-" is '&' itself. */
struct shift {
	struct buf *out;
	uint32_t bits;
	int count;	/* of bits not yet written */
	bool open;
};

static void
shift_put(struct shift *s, uint32_t unit)
{
	if (!s->open)
		buf_put_c(s->out, '&');
	s->open = true;
	s->bits = (s->bits << 16) | unit;
	for (s->count += 16; s->count >= 6; s->count -= 6)
		buf_put_c(s->out, base64[(s->bits >> (s->count - 6)) & 63]);
	s->bits &= (1u << s->count) - 1;
}

static void
shift_close(struct shift *s)
{
	if (!s->open)
		return;
	if (s->count > 0)
		buf_put_c(s->out, base64[(s->bits << (6 - s->count)) & 63]);
	buf_put_c(s->out, '-');
	s->open = false;
	s->bits = 0;
	s->count = 0;
}

static void
put_level(struct buf *out, struct str level, bool hide_first)
{
	struct shift s = { .out = out };
	uint32_t c;

	for (; utf8_next(&level, &c); hide_first = false) {
		if (c >= 0x20 && c < 0x7f && c != '.' && !hide_first) {
			shift_close(&s);
			buf_put_c(out, (char)c);
			if (c == '&')
				buf_put_c(out, '-');
		} else if (c >= 0x10000) {
			shift_put(&s, 0xd800 + ((c - 0x10000) >> 10));
			shift_put(&s, 0xdc00 + ((c - 0x10000) & 0x3ff));
		} else {
			shift_put(&s, c);
		}
	}
	shift_close(&s);
}

bool
layout_name_of_dir(struct str dir, struct buf *name, bool *canonical)
{
	scoped_buf raw = BUF_INIT, again = BUF_INIT;
	struct str rest = str_from(dir, 1), level;

	if (dir.n < 2 || dir.p[0] != '.' || dir.p[dir.n - 1] == '.' ||
	    str_eq(dir, STR(".trivet")))
		return false;
	while (str_cut(&rest, '.', &level)) {
		if (raw.n > 0)
			buf_put_c(&raw, '/');
		if (level.n == 0 || !take_level(level, &raw))
			return false;
	}
	if (!layout_name(buf_str(&raw), name) || layout_is_inbox(buf_str(name)))
		return false;
	layout_put_dir(&again, buf_str(name));
	*canonical = str_eq(buf_str(&again), dir);
	return true;
}

/* The characters of one "&...-", without the '&' and the '-'. */
static bool
take_shifted(struct str text, struct buf *out)
{
	uint32_t bits = 0, high = 0, unit;
	int count = 0;
	const char *at;

	for (size_t i = 0; i < text.n; i++) {
		at = memchr(base64, text.p[i], 64);
		if (at == NULL)
			return false;
		bits = ((bits << 6) | (uint32_t)(at - base64)) & 0x3fffff;
		count += 6;
		if (count < 16)
			continue;
		count -= 16;
		unit = (bits >> count) & 0xffff;
		if (high != 0 && (unit & 0xfc00) != 0xdc00)
			return false;
		if ((unit & 0xfc00) == 0xd800)
			high = unit;
		else if (high != 0)
			utf8_put(out, 0x10000 + ((high & 0x3ff) << 10) + (unit & 0x3ff));
		else if ((unit & 0xfc00) == 0xdc00 || unit == '/')
			return false;
		else
			utf8_put(out, unit);
		if ((unit & 0xfc00) != 0xd800)
			high = 0;
	}
	return high == 0;
}

/*
 * Lenient: what other programs wrote as plain UTF-8, or with an '&' that starts nothing,
 * is taken as it stands; the caller sees that it is not canonical.
 */
static bool
take_level(struct str text, struct buf *out)
{
	size_t end, before;

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '/')
			return false;
		buf_put_c(out, text.p[i]);
		end = i + str_index(str_from(text, i), '-');
		if (text.p[i] != '&' || end >= text.n)
			continue;
		before = out->n;
		if (end > i + 1) {
			buf_cut(out, before - 1);
			if (take_shifted(str_sub(text, i + 1, end - i - 1), out)) {
				i = end;
				continue;
			}
			buf_cut(out, before - 1);
			buf_put_c(out, '&');
		} else {
			i = end;
		}
	}
	return true;
}

struct str
layout_parent(struct str name)
{
	size_t at = str_last_index(name, '/');

	return at == name.n ? STR_EMPTY : str_sub(name, 0, at);
}

bool
layout_is_inbox(struct str name)
{
	return str_eq(name, STR("INBOX"));
}

bool
layout_is_below(struct str name, struct str parent)
{
	return name.n > parent.n && str_starts(name, parent) && name.p[parent.n] == '/';
}
