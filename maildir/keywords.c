/* SPDX-License-Identifier: ISC */
/*
 * The keywords of one mailbox: numbers, names and letters. A number never changes its
 * meaning and is never taken away; $Forwarded has Maildir's letter P, the others a-z in
 * the order they came, those after 26 none.
 */
#include <stdlib.h>

#include "maildir/control.h"
#include "maildir/layout.h"

static bool
is_keyword(struct str name)
{
	/* RFC 3501 9: flag-keyword = atom. */
	if (name.n == 0)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (ascii_is_control(name.p[i]) || (unsigned char)name.p[i] >= 0x80 ||
		    str_has_char(STR(" (){%*\"\\]"), name.p[i]))
			return false;
	return true;
}

int
keywords_find(const struct keywords *words, struct str name)
{
	for (size_t k = 0; k < words->count; k++)
		if (str_eq_nocase(words->k[k].name, name))
			return (int)k;
	return -1;
}

static char
free_letter(const struct keywords *words)
{
	for (char c = 'a'; c <= 'z'; c++)
		if (!keywords_has_letter(words, c))
			return c;
	return LETTER_NONE;
}

enum store_result
keywords_add(struct keywords *words, struct str name, int *number)
{
	int there = keywords_find(words, name);

	if (there >= 0) {
		*number = there;
		return STORE_OK;
	}
	if (!is_keyword(name))
		return STORE_BAD_NAME;
	if (words->count >= KEYWORDS_MAX || name.n > KEYWORD_LENGTH_MAX)
		return STORE_TOO_LARGE;
	words->k[words->count].letter = str_eq_nocase(name, STR("$Forwarded")) ?
	    (char)LETTER_PASSED : free_letter(words);
	words->k[words->count].name = (struct str){ str_dup(name), name.n };
	*number = (int)words->count++;
	return STORE_OK;
}

static uint64_t
bit_of(const struct keywords *words, const char *name)
{
	int k = keywords_find(words, str_of(name));

	return k < 0 ? 0 : (uint64_t)1 << k;
}

uint64_t
keywords_excluded(const struct keywords *words, uint64_t bits)
{
	static const char *const pairs[][2] = {
		{ "$hasattachment", "$hasnoattachment" }, { "$memo", "$hasmemo" },
	};
	uint64_t out = 0;

	for (size_t i = 0; i < countof(pairs); i++) {
		uint64_t one = bit_of(words, pairs[i][0]), other = bit_of(words, pairs[i][1]);

		out |= (bits & one) != 0 ? other : 0;
		out |= (bits & other) != 0 ? one : 0;
	}
	return out;
}

enum store_result
keywords_take(struct keywords *words, const struct flags *flags, uint64_t *bits)
{
	uint64_t found = 0;
	enum store_result r;
	int number;

	for (size_t i = 0; i < flags->keyword_count; i++) {
		r = keywords_add(words, flags->keywords[i], &number);
		if (r != STORE_OK)
			return r;
		if ((keywords_excluded(words, found) >> number & 1) == 0)
			found |= (uint64_t)1 << number;
	}
	*bits = found;
	return STORE_OK;
}

uint64_t
keywords_of_flagged(const struct keywords *words)
{
	return bit_of(words, "$MailFlagBit0") | bit_of(words, "$MailFlagBit1") | bit_of(words, "$MailFlagBit2");
}

void
keywords_free(struct keywords *words)
{
	for (size_t k = 0; k < words->count; k++)
		free((char *)(uintptr_t)words->k[k].name.p);
	words->count = 0;
}

void
keywords_copy(struct keywords *to, const struct keywords *from)
{
	to->count = from->count;
	for (size_t k = 0; k < from->count; k++) {
		to->k[k].letter = from->k[k].letter;
		to->k[k].name = (struct str){ str_dup(from->k[k].name), from->k[k].name.n };
	}
}

void
keywords_put(struct buf *out, const struct keywords *words)
{
	for (size_t k = 0; k < words->count; k++) {
		if (k > 0)
			buf_put_c(out, ' ');
		buf_put_c(out, words->k[k].letter);
		buf_put(out, words->k[k].name);
	}
}

void
keywords_parse(struct keywords *words, struct str text)
{
	struct str word;
	int number;

	words->count = 0;
	while (str_cut(&text, ' ', &word))
		if (keywords_add(words, str_from(word, 1), &number) == STORE_OK)
			words->k[number].letter = word.p[0];
}

void
keywords_put_letters(struct buf *out, const struct keywords *words, uint64_t bits)
{
	for (size_t k = 0; k < words->count; k++)
		if ((bits >> k & 1) != 0 && words->k[k].letter != LETTER_NONE)
			buf_put_c(out, words->k[k].letter);
}

uint64_t
keywords_bits(const struct keywords *words, struct str letters)
{
	uint64_t bits = 0;

	for (size_t k = 0; k < words->count; k++)
		if (words->k[k].letter != LETTER_NONE && str_has_char(letters, words->k[k].letter))
			bits |= (uint64_t)1 << k;
	return bits;
}

bool
keywords_has_letter(const struct keywords *words, char letter)
{
	for (size_t k = 0; k < words->count; k++)
		if (words->k[k].letter == letter)
			return true;
	return false;
}
