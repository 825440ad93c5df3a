/* SPDX-License-Identifier: ISC */
/* What an address of ours comes to: aliases, details, catch-alls, postmaster and system accounts. */
#include <sqlite3.h>

#include "tests/unit/auth/users_file.h"

/* The targets of an address as "L:a@b R:c@d", or the name of what it is not. */
static const char *
resolve(struct fixture *f, const char *address)
{
	static struct buf text;
	static const char letters[] = "LSR";
	struct users_targets targets;

	buf_clear(&text);
	switch (users_resolve(f->users, str_of(address), STR("+"), f->arena, &targets)) {
	case USERS_OK:
		for (size_t i = 0; i < targets.count; i++) {
			buf_printf(&text, "%s%c:%.*s", i ? " " : "",
				letters[targets.items[i].kind], STR_ARG(targets.items[i].address));
			if (targets.items[i].detail.n > 0)
				buf_printf(&text, "(%.*s)", STR_ARG(targets.items[i].detail));
		}
		return buf_z(&text);
	case USERS_NO_SUCH:
		return "no such";
	case USERS_NOT_OURS:
		return "not ours";
	case USERS_TOO_MANY:
		return "too many";
	case USERS_BROKEN:
		return "broken";
	case USERS_EXISTS: case USERS_IN_USE: case USERS_INVALID: case USERS_BUSY:
		break;
	}
	return "fault";
}

static void
aliases_lead_to_accounts_and_elsewhere(void **state)
{
	struct fixture *f = *state;

	add_account(f, "bob@example.test");
	add_account(f, "eve@example.test");
	assert_string_equal(resolve(f, "Bob@Example.test"), "L:bob@example.test");
	assert_string_equal(resolve(f, "nobody@example.test"), "no such");
	assert_string_equal(resolve(f, "x@elsewhere.test"), "not ours");
	assert_string_equal(resolve(f, "x"), "no such");
	add_alias(f, "Staff@example.test", "BOB@example.test");
	add_alias(f, "staff@example.test", "eve@example.test");
	add_alias(f, "staff@example.test", "Joe@Elsewhere.test");
	assert_int_equal(users_add_alias(f->users, STR("staff@example.test"),
		STR("bob@example.test")), USERS_EXISTS);
	assert_string_equal(resolve(f, "staff@example.test"),
		"R:Joe@elsewhere.test L:bob@example.test L:eve@example.test");
	add_alias(f, "all@example.test", "staff@example.test");
	add_alias(f, "all@example.test", "bob@example.test");
	assert_string_equal(resolve(f, "ALL@example.test"),
		"L:bob@example.test R:Joe@elsewhere.test L:eve@example.test");
	/* A target that does not exist takes nothing from the others. */
	add_alias(f, "all@example.test", "gone@example.test");
	assert_string_equal(resolve(f, "all@example.test"),
		"L:bob@example.test R:Joe@elsewhere.test L:eve@example.test");
	assert_int_equal(users_remove_alias(f->users, STR("staff@example.test"),
		STR("Bob@example.test")), USERS_OK);
	assert_string_equal(resolve(f, "staff@example.test"),
		"R:Joe@elsewhere.test L:eve@example.test");
}

static void
odd_addresses_are_never_ours(void **state)
{
	struct fixture *f = *state;

	add_account(f, "bob@example.test");
	assert_string_equal(resolve(f, "bob%elsewhere.test@example.test"), "no such");
	assert_string_equal(resolve(f, "elsewhere.test!bob@example.test"), "no such");
	assert_string_equal(resolve(f, "bob@elsewhere.test@example.test"), "no such");
	assert_string_equal(resolve(f, "a b@example.test"), "no such");
	assert_string_equal(resolve(f, "a b@elsewhere.test"), "not ours");
	assert_string_equal(resolve(f, "bob@[127.0.0.1]"), "not ours");
	assert_string_equal(resolve(f, "@example.test"), "no such");
	assert_string_equal(resolve(f, ""), "no such");
}

static void
loops_end_where_they_close(void **state)
{
	struct fixture *f = *state;

	add_account(f, "bob@example.test");
	add_alias(f, "a@example.test", "b@example.test");
	add_alias(f, "b@example.test", "a@example.test");
	assert_string_equal(resolve(f, "a@example.test"), "no such");
	add_alias(f, "b@example.test", "bob@example.test");
	assert_string_equal(resolve(f, "a@example.test"), "L:bob@example.test");
	/* Named by its own alias: a copy stays; not named: it goes on. */
	add_alias(f, "bob@example.test", "x@elsewhere.test");
	assert_string_equal(resolve(f, "bob@example.test"), "R:x@elsewhere.test");
	add_alias(f, "bob@example.test", "bob@example.test");
	assert_string_equal(resolve(f, "a@example.test"),
		"L:bob@example.test R:x@elsewhere.test");
	assert_string_equal(resolve(f, "bob+d@example.test"),
		"L:bob@example.test(d) R:x@elsewhere.test");
}

static void
accounts_that_alias_each_other_still_get_their_mail(void **state)
{
	struct fixture *f = *state;

	add_account(f, "p@example.test");
	add_account(f, "q@example.test");
	add_alias(f, "p@example.test", "q@example.test");
	add_alias(f, "q@example.test", "p@example.test");
	assert_string_equal(resolve(f, "p@example.test"), "L:p@example.test");
	assert_string_equal(resolve(f, "q@example.test"), "L:q@example.test");
}

static void
expansion_has_its_limits(void **state)
{
	struct fixture *f = *state;
	char from[32], to[32];

	add_account(f, "n0@example.test");
	for (int i = 1; i <= USERS_ALIAS_DEPTH; i++) {
		snprintf(from, sizeof(from), "n%d@example.test", i);
		snprintf(to, sizeof(to), "n%d@example.test", i - 1);
		add_alias(f, from, to);
	}
	assert_string_equal(resolve(f, from), "L:n0@example.test");
	/* One more is refused and not kept. */
	assert_int_equal(users_add_alias(f->users, STR("deep@example.test"), str_of(from)),
		USERS_TOO_MANY);
	assert_string_equal(resolve(f, "deep@example.test"), "no such");
}

static void
a_list_of_a_thousand_is_the_largest(void **state)
{
	struct fixture *f = *state;
	struct users_targets targets;
	char *fault = NULL;
	sqlite3 *db;

	/* Put there behind our back, because a thousand durable changes take their time. */
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL"
		" SELECT i + 1 FROM n WHERE i < 1000) INSERT INTO aliases"
		" SELECT 'many@example.test', 't' || i || '@elsewhere.test', 'example.test' FROM n",
		NULL, NULL, &fault), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(users_resolve(f->users, STR("many@example.test"), STR("+"), f->arena,
		&targets), USERS_OK);
	assert_int_equal(targets.count, USERS_TARGETS_MAX);
	assert_int_equal(users_add_alias(f->users, STR("many@example.test"), STR("one@more.test")),
		USERS_TOO_MANY);
}

static void
what_follows_the_delimiter_is_detail(void **state)
{
	struct fixture *f = *state;
	struct users_targets targets;

	add_account(f, "bob@example.test");
	add_account(f, "with+plus@example.test");
	add_alias(f, "list@example.test", "bob@example.test");
	assert_string_equal(resolve(f, "bob+Lists@example.test"), "L:bob@example.test(lists)");
	assert_string_equal(resolve(f, "bob+@example.test"), "L:bob@example.test");
	assert_string_equal(resolve(f, "bob+a+b@example.test"), "L:bob@example.test(a+b)");
	assert_string_equal(resolve(f, "list+x@example.test"), "L:bob@example.test(x)");
	assert_string_equal(resolve(f, "with+plus@example.test"), "L:with+plus@example.test");
	assert_string_equal(resolve(f, "+x@example.test"), "no such");
	assert_int_equal(users_resolve(f->users, STR("bob+x@example.test"), STR(""), f->arena,
		&targets), USERS_NO_SUCH);
}

static void
a_catch_all_takes_what_nobody_has(void **state)
{
	struct fixture *f = *state;

	add_account(f, "bob@example.test");
	add_account(f, "eve@example.test");
	add_alias(f, "*@example.test", "eve@example.test");
	add_alias(f, "lost@example.test", "gone@nowhere.test");
	assert_string_equal(resolve(f, "bob@example.test"), "L:bob@example.test");
	assert_string_equal(resolve(f, "bob+x@example.test"), "L:bob@example.test(x)");
	assert_string_equal(resolve(f, "any+x@example.test"), "L:eve@example.test");
	assert_string_equal(resolve(f, "lost@example.test"), "R:gone@nowhere.test");
	assert_string_equal(resolve(f, "a/b@example.test"), "no such");
	assert_int_equal(users_remove_alias(f->users, STR("*@example.test"), STR("")), USERS_OK);
	add_alias(f, "*@example.test", "missing@example.test");
	assert_string_equal(resolve(f, "any@example.test"), "no such");
}

static void
postmaster_is_always_taken(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(resolve(f, "postmaster@example.test"), "no such");
	assert_int_equal(users_add_domain(f->users, STR("second.test")), USERS_OK);
	add_account(f, "zoe@example.test");
	add_account(f, "amy@example.test");
	assert_string_equal(resolve(f, "Postmaster@example.test"), "L:zoe@example.test");
	assert_string_equal(resolve(f, "abuse@example.test"), "L:zoe@example.test");
	assert_string_equal(resolve(f, "PostMaster"), "L:zoe@example.test");
	/* A domain without accounts: the site's first. */
	assert_string_equal(resolve(f, "postmaster@second.test"), "L:zoe@example.test");
	add_account(f, "kim@second.test");
	assert_string_equal(resolve(f, "postmaster@second.test"), "L:kim@second.test");
	add_alias(f, "postmaster@example.test", "amy@example.test");
	assert_string_equal(resolve(f, "postmaster@example.test"), "L:amy@example.test");
	assert_string_equal(resolve(f, "webmaster@example.test"), "no such");
}

static enum users_result
is_kim(void *context, struct str name)
{
	(void)context;
	if (str_eq(name, STR("lost")))
		return USERS_BROKEN;
	return str_eq(name, STR("kim")) ? USERS_OK : USERS_NO_SUCH;
}

static void
system_accounts_are_a_second_source(void **state)
{
	struct fixture *f = *state;

	users_set_system(f->users, STR("Host.test"), is_kim, NULL);
	assert_int_equal(users_domain_is_ours(f->users, STR("host.test")), USERS_OK);
	assert_string_equal(resolve(f, "Kim+x@host.test"), "S:kim@host.test(x)");
	assert_string_equal(resolve(f, "lee@host.test"), "no such");
	assert_string_equal(resolve(f, "kim@example.test"), "no such");
	/* What cannot be looked up now is not refused for ever. */
	assert_string_equal(resolve(f, "lost@host.test"), "broken");
	add_alias(f, "boss@example.test", "kim@host.test");
	assert_string_equal(resolve(f, "boss@example.test"), "S:kim@host.test");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FILE(aliases_lead_to_accounts_and_elsewhere),
		WITH_FILE(odd_addresses_are_never_ours),
		WITH_FILE(loops_end_where_they_close),
		WITH_FILE(accounts_that_alias_each_other_still_get_their_mail),
		WITH_FILE(expansion_has_its_limits),
		WITH_FILE(a_list_of_a_thousand_is_the_largest),
		WITH_FILE(what_follows_the_delimiter_is_detail),
		WITH_FILE(a_catch_all_takes_what_nobody_has),
		WITH_FILE(postmaster_is_always_taken),
		WITH_FILE(system_accounts_are_a_second_source),
	};

	log_set_sink(quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
