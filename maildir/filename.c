/* SPDX-License-Identifier: ISC */
/* Names of message files: time.unique.host,S=size,W=wire,U=uid:2,FLAGS. Pure. */
#include "maildir/layout.h"
#include "maildir/store.h"

/* The last second that a date of four digits can name. */
static const uint64_t TIME_LAST = 253402300799;

/* Maildir's letters (cr.yp.to, maildir): T is "trashed", P "passed" has its own keyword. */
static const struct {
	char letter;
	uint32_t flag;
} flag_letters[] = {
	{ 'D', FLAG_DRAFT },
	{ 'F', FLAG_FLAGGED },
	{ 'R', FLAG_ANSWERED },
	{ 'S', FLAG_SEEN },
	{ 'T', FLAG_DELETED },
};

bool
file_name_parse(struct str name, struct file_name *out)
{
	size_t info = str_find(name, STR(":2,"));
	struct str rest, field;
	bool in_prefix = true;

	*out = (struct file_name){ .base = str_sub(name, 0, info),
		.letters = str_from(name, info + 3) };
	if (name.n == 0 || name.p[0] == '.' || out->base.n == 0)
		return false;
	out->prefix = out->base;
	rest = out->base;
	while (str_cut(&rest, ',', &field)) {
		if (str_starts(field, STR("S=")))
			out->has_size |= str_to_u64(str_from(field, 2), &out->size);
		else if (str_starts(field, STR("W=")))
			out->has_wire |= str_to_u64(str_from(field, 2), &out->wire);
		else if (str_starts(field, STR("U=")))
			out->has_uid |= str_to_u32(str_from(field, 2), &out->uid);
		else
			continue;
		if (in_prefix && field.p > out->base.p)
			out->prefix.n = (size_t)(field.p - out->base.p) - 1;
		in_prefix = false;
	}
	if (out->uid == 0)
		out->has_uid = false;
	return out->prefix.n > 0 && !str_starts(out->base, STR("S="));
}

bool
file_name_time(struct str name, int64_t *out)
{
	size_t dot = str_index(name, '.');
	uint64_t seconds;

	if (dot == name.n || !str_to_u64(str_sub(name, 0, dot), &seconds) || seconds == 0 ||
	    seconds > TIME_LAST)
		return false;
	*out = (int64_t)seconds;
	return true;
}

void
file_name_put_base(struct buf *out, struct str prefix, uint64_t size, uint64_t wire, uint32_t uid)
{
	buf_put(out, prefix);
	buf_put_z(out, ",S=");
	buf_put_u64(out, size);
	buf_put_z(out, ",W=");
	buf_put_u64(out, wire);
	buf_put_z(out, ",U=");
	buf_put_u64(out, uid);
}

void
file_name_put(struct buf *out, struct str base, struct str letters)
{
	buf_put(out, base);
	buf_put_z(out, ":2,");
	buf_put(out, letters);
}

void
letters_put_sorted(struct buf *out, struct str letters)
{
	uint64_t seen = 0;

	for (size_t i = 0; i < letters.n; i++)
		if (ascii_is_alpha(letters.p[i]))
			seen |= (uint64_t)1 << (letters.p[i] - 'A');
	for (int c = 'A'; seen != 0; c++, seen >>= 1)
		if ((seen & 1) != 0)
			buf_put_c(out, (char)c);
}

void
letters_put_flags(struct buf *out, uint32_t flags)
{
	for (size_t i = 0; i < countof(flag_letters); i++)
		if ((flags & flag_letters[i].flag) != 0)
			buf_put_c(out, flag_letters[i].letter);
}

uint32_t
letters_flags(struct str letters)
{
	uint32_t flags = 0;

	for (size_t i = 0; i < countof(flag_letters); i++)
		if (str_has_char(letters, flag_letters[i].letter))
			flags |= flag_letters[i].flag;
	return flags;
}

bool
letter_is_flag(char letter)
{
	for (size_t i = 0; i < countof(flag_letters); i++)
		if (flag_letters[i].letter == letter)
			return true;
	return false;
}
