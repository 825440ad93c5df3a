/* SPDX-License-Identifier: ISC */
#include "maildir/sorting.h"

#include "common/mime/address.h"
#include "common/mime/casemap.h"
#include "common/mime/date.h"
#include "common/mime/header.h"
#include "common/mime/subject.h"
#include "common/mime/word.h"
#include "maildir/varint.h"

static const int64_t second_base = INT64_C(1) << 40;
enum { DAY_BASE = 1 << 22, HASH_BYTES = 8, UNREADABLE = 0xFF };

/* ---- making ---- */

/*
 * A character that the cut would split goes whole. RFC 5255 4.6: what could not be converted (it has a U+FFFD now)
 * comes behind all that could, as it is: no UTF-8 begins with the octet before it.
 */
static void
put_text(struct buf *out, struct str utf8)
{
	scoped_buf folded = BUF_INIT;
	size_t n = 2 * SORTING_TEXT_MAX;

	while (n < utf8.n && ((unsigned char)utf8.p[n] & 0xC0) == 0x80)
		n--;
	utf8 = str_sub(utf8, 0, n);
	if (str_find(utf8, STR("\xef\xbf\xbd")) < utf8.n) {
		buf_put_c(&folded, (char)UNREADABLE);
		buf_put(&folded, utf8);
	} else {
		casemap_put(&folded, utf8);
	}
	n = folded.n < SORTING_TEXT_MAX ? folded.n : SORTING_TEXT_MAX;
	while (n > 0 && n < folded.n && ((unsigned char)folded.p[n] & 0xC0) == 0x80)
		n--;
	varint_put(out, n);
	buf_put(out, str_sub(buf_str(&folded), 0, n));
}

static struct str
value_of(struct str header, const char *name)
{
	struct header_field field;

	return header_find(header, str_of(name), &field) ? field.value : STR_EMPTY;
}

/* RFC 5256 3: FROM, TO and CC are the mailbox of the first address; a group's name is one too. */
static const struct address *
first_address(struct arena *arena, struct str value)
{
	struct address_list list;
	const struct address *address;

	address_parse(arena, value, &list);
	STAILQ_FOREACH(address, &list, link)
		if (address->kind != ADDRESS_GROUP_END)
			return address;
	return NULL;
}

static void
put_mailbox(struct buf *out, const struct address *address)
{
	scoped_buf text = BUF_INIT;

	if (address != NULL)
		word_put_utf8(&text, address->mailbox);
	put_text(out, buf_str(&text));
}

/* RFC 5957 3: the name as a person reads it; where there is none, the address. */
static void
put_display(struct buf *out, const struct address *address)
{
	scoped_buf text = BUF_INIT;

	if (address != NULL)
		word_put_utf8(&text, address->name);
	if (address != NULL && str_trim(buf_str(&text)).n == 0) {
		buf_clear(&text);
		word_put_utf8(&text, address->mailbox);
		if (address->kind == ADDRESS_MAILBOX && address->host.n > 0) {
			buf_put_c(&text, '@');
			word_put_utf8(&text, address->host);
		}
	}
	put_text(out, str_trim(buf_str(&text)));
}

static void
put_texts(struct buf *out, struct str header, struct str base_subject)
{
	struct arena *arena = arena_new();
	const struct address *from = first_address(arena, value_of(header, "From"));
	const struct address *to = first_address(arena, value_of(header, "To"));
	const struct address *cc = first_address(arena, value_of(header, "Cc"));

	put_text(out, base_subject);
	put_mailbox(out, from);
	put_mailbox(out, to);
	put_mailbox(out, cc);
	put_display(out, from);
	put_display(out, to);
	arena_free(arena);
}

/* ---- Message-IDs ---- */

/* FNV-1a; never 0. */
static uint64_t
hash_of(struct str id)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < id.n; i++)
		h = (h ^ (unsigned char)id.p[i]) * UINT64_C(0x100000001b3);
	return h != 0 ? h : 1;
}

/*
 * RFC 5256 3: ids are compared without the quotes and escapes that do not change their meaning.
 * Takes the next "<...>" off *rest; false: no more.
 */
static bool
take_id(struct str *rest, struct buf *plain)
{
	bool quoted = false;
	size_t i = str_index(*rest, '<');

	buf_clear(plain);
	for (i++; i < rest->n && (quoted || rest->p[i] != '>'); i++) {
		const char c = rest->p[i];

		if (c == '"')
			quoted = !quoted;
		else if (c == '\\' && quoted && i + 1 < rest->n)
			buf_put_c(plain, rest->p[++i]);
		else if (!ascii_is_space(c))
			buf_put_c(plain, c);
	}
	if (i >= rest->n) {
		*rest = STR_EMPTY;
		return false;
	}
	*rest = str_from(*rest, i + 1);
	return true;
}

/* Of the next one that has anything in it; 0: there is none. */
static uint64_t
next_id(struct str *rest)
{
	scoped_buf plain = BUF_INIT;

	while (take_id(rest, &plain))
		if (plain.n > 0)
			return hash_of(buf_str(&plain));
	return 0;
}

static void
put_hash(struct buf *out, uint64_t h)
{
	for (size_t i = 0; i < HASH_BYTES; i++)
		buf_put_c(out, (char)(h >> 8 * i));
}

static uint64_t
get_hash(const char *p)
{
	uint64_t h = 0;

	for (size_t i = 0; i < HASH_BYTES; i++)
		h |= (uint64_t)(unsigned char)p[i] << 8 * i;
	return h;
}

/* RFC 5256 3: References; where it names none, the first of In-Reply-To. */
static void
put_references(struct buf *out, struct str header)
{
	struct str rest = value_of(header, "References");
	scoped_buf all = BUF_INIT;
	uint64_t id;
	size_t count, extra;

	while ((id = next_id(&rest)) != 0)
		put_hash(&all, id);
	rest = value_of(header, "In-Reply-To");
	if (all.n == 0 && (id = next_id(&rest)) != 0)
		put_hash(&all, id);
	count = all.n / HASH_BYTES;
	extra = count > SORTING_REFERENCES_MAX ? count - SORTING_REFERENCES_MAX : 0;
	varint_put(out, count - extra);
	buf_put(out, str_sub(buf_str(&all), 0, HASH_BYTES));
	buf_put(out, str_from(buf_str(&all), (extra + 1) * HASH_BYTES));
}

bool
sorting_put_root(struct buf *out, struct str header)
{
	static const char *const fields[] = { "References", "In-Reply-To", "Message-ID" };
	scoped_buf plain = BUF_INIT;

	for (size_t i = 0; i < countof(fields); i++) {
		struct str rest = value_of(header, fields[i]);

		while (take_id(&rest, &plain)) {
			if (plain.n == 0)
				continue;
			buf_put(out, buf_str(&plain));
			return true;
		}
	}
	return false;
}

void
sorting_put(struct buf *out, struct str header, int64_t internal_date)
{
	const bool far = internal_date <= -second_base || internal_date >= second_base;
	struct date date = { .seconds = far ? 0 : internal_date };
	struct str id = value_of(header, "Message-ID");
	scoped_buf subject = BUF_INIT;
	enum subject_kind kind = subject_put_base(&subject, value_of(header, "Subject"));

	date.day = date_day_of(date.seconds, 0);
	(void)!date_parse(value_of(header, "Date"), &date);
	varint_put(out, (uint64_t)(date.seconds + second_base));
	varint_put(out, (uint64_t)(date.day + DAY_BASE));
	buf_put_c(out, kind == SUBJECT_REPLY_OR_FORWARD);
	put_texts(out, header, buf_str(&subject));
	put_hash(out, next_id(&id));
	put_references(out, header);
}

/* ---- reading ---- */

static bool
take(struct str *rest, uint64_t n, struct str *out)
{
	if (n > rest->n)
		return false;
	*out = str_sub(*rest, 0, (size_t)n);
	*rest = str_from(*rest, (size_t)n);
	return true;
}

bool
sorting_read(struct str record, struct sorting *out)
{
	struct str rest = record, reply, id;
	uint64_t sent, day, n;
	struct sorting s;

	if (!varint_take(&rest, &sent) || sent > 2 * (uint64_t)second_base ||
	    !varint_take(&rest, &day) || day > 2 * DAY_BASE || !take(&rest, 1, &reply))
		return false;
	s.sent = (int64_t)sent - second_base;
	s.sent_day = (int32_t)day - DAY_BASE;
	s.is_reply = reply.p[0] != 0;
	for (size_t i = 0; i < SORTING_TEXT_COUNT; i++)
		if (!varint_take(&rest, &n) || !take(&rest, n, &s.text[i]))
			return false;
	if (!take(&rest, HASH_BYTES, &id) || !varint_take(&rest, &n) ||
	    n > SORTING_REFERENCES_MAX || rest.n != n * HASH_BYTES)
		return false;
	s.id = get_hash(id.p);
	s.references = rest;
	s.reference_count = (size_t)n;
	*out = s;
	return true;
}

uint64_t
sorting_reference(const struct sorting *s, size_t n)
{
	return get_hash(s->references.p + n * HASH_BYTES);
}
