/* SPDX-License-Identifier: ISC */
/* Inputs: a seed with some octets, lines and numbers changed, repeated or lost. The same numbers make the same input. */
#include "tests/fuzz/sessions.h"

enum { MUTATIONS_MAX = 8 };

static uint64_t chance;

static uint64_t
next_chance(void)
{
	chance ^= chance >> 12;
	chance ^= chance << 25;
	chance ^= chance >> 27;
	return chance * 0x2545f4914f6cdd1du;
}

size_t
below(size_t n)
{
	return n == 0 ? 0 : (size_t)((next_chance() >> 16) % n);
}

void
set_chance(uint64_t seed, uint64_t number)
{
	chance = (seed + 1) * 0x9e3779b97f4a7c15u ^ (number + 1) * 0xbf58476d1ce4e5b9u;
	for (int i = 0; i < 8; i++)
		(void)next_chance();
}

static const char *const words[] = {
	"\r\n", "\n", "\r", "\"", "\\", "(", ")", "{", "}", "[", "]", "<", ">", "*", "%", "&", "~", "+", " ", "\t", "/",
	"{0}\r\n", "{1}\r\n", "{3+}\r\nabc", "{99999999}\r\n", "{99999999999999999999+}\r\n", "~{2+}\r\n\1", "NIL", "1:*", "*:1", "4294967295",
	"0", "18446744073709551615", "UID ", "x UID FETCH 1:* (FLAGS BODY.PEEK[])\r\n", "x SELECT INBOX\r\n", "x LOGOUT\r\n", "DONE\r\n",
	"x IDLE\r\n", "x NOOP\r\n", "x CLOSE\r\n", "x EXPUNGE\r\n", "x STORE 1:* +FLAGS (\\Deleted)\r\n", "x APPEND INBOX {1+}\r\nx\r\n",
	"x ENABLE UTF8=ACCEPT QRESYNC IMAP4rev2\r\n", "x COMPRESS DEFLATE\r\n", "x FETCH 1:* (ENVELOPE BODYSTRUCTURE PREVIEW BINARY[1])\r\n",
	"x SEARCH RETURN (SAVE ALL) TEXT a\r\n", "x SORT (SUBJECT) UTF-8 ALL\r\n", "x LIST \"\" * RETURN (STATUS (MESSAGES SIZE))\r\n",
	"x FETCH * (BODY.PEEK[]<9.20000> BODY[TEXT])\r\n", "x UNSELECT\r\n", "x RENAME INBOX y\r\n", "x REPLACE 1 INBOX {1+}\r\nx\r\n", "x COPY 1:* Trash\r\n", "x MOVE 1:2 Trash\r\n", "\\Seen", "$",
	"BODY[1.1.1.HEADER.FIELDS (a)]<0.1>", "\xff", "\xed\x95\x9c", "&1VytbcW0-", "((((((((((((((((", "NOT NOT NOT NOT ", "OR ALL ",
};

static void
insert(struct buf *octets, size_t at, struct str text)
{
	scoped_buf tail = BUF_INIT;

	buf_put(&tail, str_from(buf_str(octets), at));
	buf_cut(octets, at);
	buf_put(octets, text);
	buf_put(octets, buf_str(&tail));
}

static void
remove_range(struct buf *octets, size_t at, size_t n)
{
	scoped_buf tail = BUF_INIT;

	buf_put(&tail, str_from(buf_str(octets), at + n));
	buf_cut(octets, at);
	buf_put(octets, buf_str(&tail));
}

static void
change_number(struct buf *octets, size_t at)
{
	static const char *const numbers[] = { "0", "1", "2", "9", "100", "65536", "4294967295", "4294967296",
		"18446744073709551616" };
	size_t n = 0;

	while (at < octets->n && !ascii_is_digit(octets->p[at]))
		at++;
	while (at + n < octets->n && ascii_is_digit(octets->p[at + n]))
		n++;
	remove_range(octets, at, n);
	insert(octets, at, str_of(numbers[below(countof(numbers))]));
}

static void
mutate_octets(struct buf *octets)
{
	size_t at = below(octets->n + 1), n = 1 + below(20);
	scoped_buf copy = BUF_INIT;

	switch (below(7)) {
	case 0:
		if (at < octets->n)
			octets->p[at] = (char)(octets->p[at] ^ (1 << below(8)));
		break;
	case 1:
		if (at < octets->n)
			octets->p[at] = (char)next_chance();
		break;
	case 2:
		remove_range(octets, at, n < octets->n - at ? n : octets->n - at);
		break;
	case 3:
		buf_put(&copy, str_sub(buf_str(octets), at, n * n));
		insert(octets, at, buf_str(&copy));
		break;
	case 4:
		insert(octets, at, str_of(words[below(countof(words))]));
		break;
	case 5:
		change_number(octets, at);
		break;
	case 6:
		buf_cut(octets, at);
		break;
	}
}

static void
swap_chunks(struct conversation *c, size_t a, size_t b)
{
	struct chunk chunk = c->chunks[a];

	c->chunks[a] = c->chunks[b];
	c->chunks[b] = chunk;
}

/* Some of another conversation's, from somewhere on, go behind ours. */
static void
add_others(struct conversation *c)
{
	const struct conversation *other = &seeds[below(seed_count)];
	size_t from = below(other->count), n = 1 + below(10);

	for (size_t i = from; i < from + n && i < other->count; i++)
		copy_chunk(c, &other->chunks[i], other->chunks[i].connection);
}

static void
mutate(struct conversation *c)
{
	size_t at = below(c->count);

	if (c->count == 0)
		return;
	switch (below(8)) {
	case 0:
		swap_chunks(c, at, below(c->count));
		break;
	case 1:
		c->chunks[at].kind = CHUNK_OCTETS;
		buf_clear(&c->chunks[at].octets);
		break;
	case 2:
		copy_chunk(c, &c->chunks[at], c->chunks[below(c->count)].connection);
		break;
	case 3:
		add_others(c);
		break;
	default:
		mutate_octets(&c->chunks[at].octets);
		break;
	}
}

void
make_input(struct conversation *out)
{
	const struct conversation *seed = &seeds[below(seed_count)];
	size_t mutations = below(16) == 0 ? 0 : 1 + below(MUTATIONS_MAX), octets = 0;

	*out = (struct conversation){ 0 };
	for (size_t i = 0; i < seed->count; i++)
		copy_chunk(out, &seed->chunks[i], seed->chunks[i].connection);
	while (mutations-- > 0)
		mutate(out);
	for (size_t i = 0; i < out->count; i++) {
		octets += out->chunks[i].octets.n;
		if (octets > INPUT_MAX)
			buf_clear(&out->chunks[i].octets);
	}
}
