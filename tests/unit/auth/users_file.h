/* SPDX-License-Identifier: ISC */
/* What the tests of users.db share: a real file with the domain example.test in it, and short ways to fill it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/auth/users.h"
#include "common/base/log.h"

#define assert_str(a, b) assert_true(str_eq((a), (b)))

struct fixture {
	char folder[32];
	char path[64];
	struct users *users;
	struct arena *arena;
};

static inline int
set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	char *why = NULL;

	strcpy(f->folder, "/tmp/trivet-test-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/users.db", f->folder);
	f->users = users_open(f->path, USERS_WRITE, &why);
	if (f->users == NULL)
		fail_msg("%s", why);
	f->arena = arena_new();
	assert_int_equal(users_add_domain(f->users, STR("Example.TEST")), USERS_OK);
	*state = f;
	return 0;
}

static inline int
tear_down(void **state)
{
	struct fixture *f = *state;
	char *command;

	users_close(f->users);
	arena_free(f->arena);
	assert_true(asprintf(&command, "rm -r %s", f->folder) > 0);
	assert_int_equal(system(command), 0);
	free(command);
	free(f);
	return 0;
}

static inline void
add_account(struct fixture *f, const char *address)
{
	const struct account account = { .address = str_of(address), .verifier = STR("x"),
		.enabled = true };

	assert_int_equal(users_add_account(f->users, &account), USERS_OK);
}

static inline void
add_alias(struct fixture *f, const char *address, const char *target)
{
	assert_int_equal(users_add_alias(f->users, str_of(address), str_of(target)), USERS_OK);
}

static inline void
quiet(struct str line)
{
	(void)line;
}

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
