/* SPDX-License-Identifier: ISC */
/*
 * Words of the house that every file may use: attributes, counts, and the
 * end of the process when an invariant is broken. Hostile input never
 * reaches fatal(); see contrib/STYLE.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define must_check __attribute__((warn_unused_result))
#define printf_like(text, first) __attribute__((__format__(__printf__, text, first)))
#define countof(array) (sizeof(array) / sizeof((array)[0]))

/* What every pure parser answers; BAD comes with a `const char *why`. */
enum parse { PARSED, MORE, BAD };

/* Ends the process: a broken invariant, or no memory where dying is allowed. */
_Noreturn void fatal(const char *format, ...) printf_like(1, 2);

/* Allocation that cannot fail (ends the process instead). Free with free(). */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *text);

/* Closes *fd and sets it to -1; for scoped_fd in straight-line code. */
void close_fd(int *fd);
#define scoped_fd __attribute__((cleanup(close_fd))) int
