/* SPDX-License-Identifier: ISC */
/* What the tests of imapd's parsers share: a command is given as its text, and is good or bad. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "imapd/parse.h"

#define assert_str(a, text) assert_true(str_eq((a), str_of(text)))

static struct arena *arena;
static struct request req;
static const char *why;

static inline int
set_up(void **state)
{
	(void)state;
	arena = arena_new();
	return 0;
}

static inline int
tear_down(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

static inline enum parse
parse(parse_arguments *arguments, struct str text)
{
	struct lexer lexer = lexer_of(arena, text);
	enum parse answer = parse_head(&lexer, &req);

	if (answer == PARSED)
		answer = arguments(&lexer, &req);
	why = lexer.why;
	assert_true(answer == PARSED || why != NULL);
	return answer;
}

static inline void
good(parse_arguments *arguments, const char *text)
{
	if (parse(arguments, str_of(text)) == PARSED)
		return;
	print_error("%s: %s\n", text, why);
	fail();
}

static inline void
all_bad(parse_arguments *arguments, const char *const *texts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (parse(arguments, str_of(texts[i])) == BAD)
			continue;
		print_error("taken: %s\n", texts[i]);
		fail();
	}
}

#define BAD_ONES(arguments, ...) do { \
	static const char *const texts[] = { __VA_ARGS__ }; \
	all_bad(arguments, texts, countof(texts)); \
} while (0)

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
