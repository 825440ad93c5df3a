/* SPDX-License-Identifier: ISC */
/*
 * A view of bytes: never owns, never ends in NUL by promise. It lives as long
 * as the buffer or arena behind it. Case-insensitive means ASCII only.
 */
#pragma once

#include <string.h>

#include "common/base/defs.h"

struct str {
	const char *p;
	size_t n;
};

#define STR(literal) ((struct str){ ("" literal), sizeof(literal) - 1 })
#define STR_EMPTY ((struct str){ "", 0 })
/* For printf's "%.*s". */
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str
str_of(const char *text)
{
	return (struct str){ text ? text : "", text ? strlen(text) : 0 };
}

bool str_eq(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
bool str_ends_nocase(struct str s, struct str suffix);
/* Order by bytes, as memcmp; the shorter comes first. */
int str_cmp(struct str a, struct str b);
bool str_has_char(struct str s, char c);
/* No octet above 127. */
bool str_is_ascii(struct str s);
/* Index of the first c (or needle), or s.n where there is none. */
size_t str_index(struct str s, char c);
size_t str_last_index(struct str s, char c);
size_t str_find(struct str s, struct str needle);
/* The part from `from`, at most n bytes; out of range gives less, never fails. */
struct str str_sub(struct str s, size_t from, size_t n);
struct str str_from(struct str s, size_t from);
/* Without spaces, tabs, CR and LF at both ends. */
struct str str_trim(struct str s);
/*
 * Takes the part before the first sep off *rest; false (and nothing changed)
 * when *rest is empty. Without sep the whole rest is taken.
 */
bool str_cut(struct str *rest, char sep, struct str *head);
/* The next word, words being separated by any of spaces and tabs. */
bool str_word(struct str *rest, struct str *word);

/* Decimal numbers: no sign, no blanks, no trailing bytes, no overflow. */
must_check bool str_to_u32(struct str s, uint32_t *out);
must_check bool str_to_u64(struct str s, uint64_t *out);

/* NUL-terminated copy for the system's door; NULL if s holds a NUL. free() it. */
char *str_path(struct str s);
/* NUL-terminated copy in heap; embedded NULs are kept as they are. free() it. */
char *str_dup(struct str s);

static inline char
ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static inline char
ascii_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

static inline bool
ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
ascii_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool
ascii_is_alnum(char c)
{
	return ascii_is_digit(c) || ascii_is_alpha(c);
}

/* Space, tab, CR, LF. */
static inline bool
ascii_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* 0-31 and 127. */
static inline bool
ascii_is_control(char c)
{
	return (unsigned char)c < 32 || c == 127;
}

/* The value of a hexadecimal digit, or -1. */
int ascii_hex(char c);
