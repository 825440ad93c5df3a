/* SPDX-License-Identifier: ISC */
/* users.db on a real file: addresses, accounts, aliases, and files of other versions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "common/auth/pam_worker.h"
#include "common/auth/grants.h"
#include "common/auth/users.h"
#include "common/base/log.h"

#define assert_str(a, b) assert_true(str_eq((a), (b)))

enum {
	NOBODY = 65534,
};

struct fixture {
	char folder[32];
	char path[64];
	struct users *users;
	struct arena *arena;
};

static int
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

static int
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

static void
add_account(struct fixture *f, const char *address)
{
	const struct account account = { .address = str_of(address), .verifier = STR("x"),
		.enabled = true };

	assert_int_equal(users_add_account(f->users, &account), USERS_OK);
}

static void
add_alias(struct fixture *f, const char *address, const char *target)
{
	assert_int_equal(users_add_alias(f->users, str_of(address), str_of(target)), USERS_OK);
}

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

struct form {
	const char *text;
	const char *normal;	/* NULL: refused */
};

static const struct form our_forms[] = {
	{ "User@Example.TEST", "user@example.test" },
	{ "a.b-c_d+e=f@x", "a.b-c_d+e=f@x" },
	{ "u@B\xc3\x9c" "cher.example", "u@xn--bcher-kva.example" },
	{ "u@b\xc3\xbc" "cher.example", "u@xn--bcher-kva.example" },
	{ "user", NULL }, { "@example.test", NULL }, { "user@", NULL }, { "", NULL },
	{ ".user@example.test", NULL }, { "user.@example.test", NULL },
	{ "u..r@example.test", NULL }, { "..@example.test", NULL }, { ".@example.test", NULL },
	{ "a/b@example.test", NULL }, { "../x@example.test", NULL }, { "a b@example.test", NULL },
	{ "a\tb@example.test", NULL }, { "a\x01@example.test", NULL }, { "a@b@c", NULL },
	{ "a%b@example.test", NULL }, { "a!b@example.test", NULL }, { "*@example.test", NULL },
	{ "|cmd@example.test", NULL }, { "\"q\"@example.test", NULL }, { "u\xc3\xbc@x", NULL },
	{ "u@[127.0.0.1]", NULL }, { "u@a..b", NULL }, { "u@-a", NULL }, { "u@../x", NULL },
	{ "u@a/b", NULL }, { "u@a_b", NULL }, { "u@\xff", NULL }, { "u@.", NULL },
	{ "u@x.", NULL },
	{ "a2345678901234567890123456789012345678901234567890123456789012345@x", NULL },
};

static void
our_addresses_have_one_safe_form(void **state)
{
	struct fixture *f = *state;
	struct user_address address;
	const char *why;

	for (size_t i = 0; i < countof(our_forms); i++) {
		bool ok = user_address_normalise(str_of(our_forms[i].text), f->arena, &address, &why);

		if (ok != (our_forms[i].normal != NULL))
			fail_msg("\"%s\" is %s", our_forms[i].text, ok ? "taken" : why);
		if (ok)
			assert_str(address.whole, str_of(our_forms[i].normal));
	}
	assert_false(user_address_normalise((struct str){ "a\0b@x", 5 }, f->arena, &address, &why));
	assert_false(user_address_normalise((struct str){ "a@x\0y", 5 }, f->arena, &address, &why));
	assert_true(user_address_normalise_any(STR("A%b/C@X"), f->arena, &address, &why));
	assert_str(address.whole, STR("A%b/C@x"));
}

static void
login_names_may_lack_the_domain(void **state)
{
	struct fixture *f = *state;
	struct user_address a;

	assert_true(user_address_of_login(STR("User1"), STR("example.test"), f->arena, &a));
	assert_str(a.whole, STR("user1@example.test"));
	assert_true(user_address_of_login(STR("u@x"), STR("example.test"), f->arena, &a));
	assert_str(a.whole, STR("u@x"));
	assert_false(user_address_of_login(STR("user1"), STR(""), f->arena, &a));
	assert_false(user_address_of_login(STR("../u"), STR("example.test"), f->arena, &a));
}

static void
accounts_are_kept_with_their_fields(void **state)
{
	struct fixture *f = *state;
	struct account out, in = { .address = STR("Alice@example.test"),
		.verifier = STR("$y$x"), .enabled = true, .quota.has_octets = true,
		.quota.octets = 1ull << 40, .mail_dir = STR("/srv/alice") };

	assert_int_equal(users_add_account(f->users, &in), USERS_OK);
	assert_int_equal(users_add_account(f->users, &in), USERS_EXISTS);
	assert_int_equal(users_find_account(f->users, STR("ALICE@Example.test"), f->arena, &out),
		USERS_OK);
	assert_str(out.address, STR("alice@example.test"));
	assert_str(out.verifier, STR("$y$x"));
	assert_true(out.enabled && out.quota.has_octets && !out.quota.has_messages);
	assert_int_equal(out.quota.octets, 1ull << 40);
	assert_str(out.mail_dir, STR("/srv/alice"));
	assert_true(out.created > 1700000000);

	in = (struct account){ .address = STR("alice@example.test"), .verifier = STR("new"),
		.quota.has_messages = true, .quota.messages = 7 };
	assert_int_equal(users_change_account(f->users, &in,
		ACCOUNT_ENABLED | ACCOUNT_QUOTA_MESSAGES | ACCOUNT_QUOTA_OCTETS), USERS_OK);
	assert_int_equal(users_find_account(f->users, in.address, f->arena, &out), USERS_OK);
	assert_str(out.verifier, STR("$y$x"));
	assert_true(!out.enabled && !out.quota.has_octets && out.quota.has_messages);
	assert_int_equal(out.quota.messages, 7);
	assert_str(out.mail_dir, STR("/srv/alice"));
	assert_int_equal(users_change_account(f->users, &in, ACCOUNT_VERIFIER | ACCOUNT_MAIL_DIR),
		USERS_OK);
	assert_int_equal(users_find_account(f->users, in.address, f->arena, &out), USERS_OK);
	assert_str(out.verifier, STR("new"));
	assert_int_equal(out.mail_dir.n, 0);
	assert_int_equal(users_remove_account(f->users, in.address), USERS_OK);
	assert_int_equal(users_find_account(f->users, in.address, f->arena, &out), USERS_NO_SUCH);
	assert_int_equal(users_remove_account(f->users, in.address), USERS_NO_SUCH);
	assert_int_equal(users_change_account(f->users, &in, ACCOUNT_ENABLED), USERS_NO_SUCH);
}

static void
a_limit_is_the_accounts_else_the_domains_else_the_sites(void **state)
{
	struct fixture *f = *state;
	struct settings site = { .mail_dir = "/srv/mail", .default_quota = 500, .default_quota_messages = 5 };
	struct users_quota domain = { .has_octets = true, .octets = 300, .has_messages = true, .messages = 3 };
	struct account out, in = { .address = STR("alice@example.test"), .verifier = STR_EMPTY };
	struct keeper_grant g;

	assert_int_equal(users_add_account(f->users, &in), USERS_OK);
	assert_int_equal(users_find_account(f->users, in.address, f->arena, &out), USERS_OK);
	g = grant_of_account(&site, f->arena, &out);
	assert_int_equal(g.quota_bytes, 500);
	assert_int_equal(g.quota_messages, 5);
	assert_str(g.maildir, STR("/srv/mail/example.test/alice"));
	assert_int_equal(users_change_domain_quota(f->users, STR("Example.Test"), &domain,
		ACCOUNT_QUOTA_OCTETS), USERS_OK);
	assert_int_equal(users_find_account(f->users, in.address, f->arena, &out), USERS_OK);
	g = grant_of_account(&site, f->arena, &out);
	assert_int_equal(g.quota_bytes, 300);
	assert_int_equal(g.quota_messages, 5);
	domain.octets = 0;	/* no limit */
	assert_int_equal(users_change_domain_quota(f->users, STR("example.test"), &domain,
		ACCOUNT_QUOTA_OCTETS | ACCOUNT_QUOTA_MESSAGES), USERS_OK);
	in.quota = (struct users_quota){ .has_messages = true, .messages = 0 };
	assert_int_equal(users_change_account(f->users, &in, ACCOUNT_QUOTA_MESSAGES), USERS_OK);
	assert_int_equal(users_find_account(f->users, in.address, f->arena, &out), USERS_OK);
	g = grant_of_account(&site, f->arena, &out);
	assert_int_equal(g.quota_bytes, 0);
	assert_int_equal(g.quota_messages, 0);
	assert_int_equal(users_change_domain_quota(f->users, STR("else.test"), &domain,
		ACCOUNT_QUOTA_OCTETS), USERS_NOT_OURS);
}

static void
accounts_need_a_domain_of_ours_and_a_sane_path(void **state)
{
	struct fixture *f = *state;
	struct account a = { .address = STR("u@elsewhere.test"), .enabled = true };

	assert_int_equal(users_add_account(f->users, &a), USERS_NOT_OURS);
	a.address = STR("../u@example.test");
	assert_int_equal(users_add_account(f->users, &a), USERS_INVALID);
	a.address = STR("u@example.test");
	a.mail_dir = STR("relative");
	assert_int_equal(users_add_account(f->users, &a), USERS_INVALID);
}

static void
domains_go_only_when_empty(void **state)
{
	struct fixture *f = *state;
	struct users_domain *domains;
	size_t count;

	assert_int_equal(users_add_domain(f->users, STR("example.test")), USERS_EXISTS);
	assert_int_equal(users_add_domain(f->users, STR("a b")), USERS_INVALID);
	assert_int_equal(users_add_domain(f->users, STR("b\xc3\xbc" "cher.example")), USERS_OK);
	assert_int_equal(users_domain_is_ours(f->users, STR("XN--bcher-kva.example")), USERS_OK);
	assert_int_equal(users_domain_is_ours(f->users, STR("cher.example")), USERS_NOT_OURS);
	add_account(f, "u@example.test");
	add_alias(f, "a@example.test", "u@example.test");
	add_alias(f, "a@example.test", "v@elsewhere.test");
	assert_int_equal(users_list_domains(f->users, f->arena, &domains, &count), USERS_OK);
	assert_int_equal(count, 2);
	assert_str(domains[0].name, STR("example.test"));
	assert_int_equal(domains[0].accounts, 1);
	assert_int_equal(domains[0].aliases, 1);
	assert_int_equal(users_remove_domain(f->users, STR("example.test")), USERS_IN_USE);
	assert_int_equal(users_remove_account(f->users, STR("u@example.test")), USERS_OK);
	assert_int_equal(users_remove_domain(f->users, STR("example.test")), USERS_IN_USE);
	assert_int_equal(users_remove_alias(f->users, STR("a@example.test"), STR("")), USERS_OK);
	assert_int_equal(users_remove_domain(f->users, STR("example.test")), USERS_OK);
	assert_int_equal(users_remove_domain(f->users, STR("example.test")), USERS_NOT_OURS);
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

static void
lists_are_in_order_and_by_domain(void **state)
{
	struct fixture *f = *state;
	struct users_alias *aliases;
	struct account *accounts;
	size_t count;

	assert_int_equal(users_add_domain(f->users, STR("a.test")), USERS_OK);
	add_account(f, "b@example.test");
	add_account(f, "a@example.test");
	add_account(f, "c@a.test");
	add_alias(f, "x@a.test", "c@a.test");
	assert_int_equal(users_list_accounts(f->users, STR(""), f->arena, &accounts, &count),
		USERS_OK);
	assert_int_equal(count, 3);
	assert_str(accounts[0].address, STR("c@a.test"));
	assert_str(accounts[2].address, STR("b@example.test"));
	assert_int_equal(users_list_accounts(f->users, STR("A.test"), f->arena, &accounts, &count),
		USERS_OK);
	assert_int_equal(count, 1);
	assert_int_equal(users_list_accounts(f->users, STR("no.test"), f->arena, &accounts, &count),
		USERS_NOT_OURS);
	assert_int_equal(users_list_aliases(f->users, STR(""), f->arena, &aliases, &count), USERS_OK);
	assert_int_equal(count, 1);
	assert_str(aliases[0].target, STR("c@a.test"));
}

static void
a_reader_sees_what_a_writer_does(void **state)
{
	struct fixture *f = *state;
	struct users *reader;
	struct account account;
	uint64_t before;
	char *why = NULL;

	reader = users_open(f->path, USERS_READ, &why);
	assert_non_null(reader);
	before = users_generation(reader);
	assert_true(users_generation(reader) == before);
	assert_int_equal(users_find_account(reader, STR("u@example.test"), f->arena, &account),
		USERS_NO_SUCH);
	add_account(f, "u@example.test");
	assert_int_equal(users_find_account(reader, STR("u@example.test"), f->arena, &account),
		USERS_OK);
	assert_true(users_generation(reader) != before);
	assert_int_equal(users_add_domain(reader, STR("x.test")), USERS_BROKEN);
	users_close(reader);
}

static void
run_sql(const char *path, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void
files_of_other_versions_are_told_or_updated(void **state)
{
	struct fixture *f = *state;
	char path[80], *why = NULL;
	struct users *users;
	struct stat st;

	snprintf(path, sizeof(path), "%s/old.db", f->folder);
	assert_null(users_open(path, USERS_READ, &why));
	assert_non_null(strstr(why, "there is no such file"));
	free(why);
	/* Schema 0: a database without our tables. */
	run_sql(path, "CREATE TABLE stray (a); PRAGMA user_version = 0");
	assert_null(users_open(path, USERS_READ, &why));
	assert_non_null(strstr(why, "older schema"));
	free(why);
	users = users_open(path, USERS_WRITE, &why);
	assert_non_null(users);
	assert_int_equal(users_add_domain(users, STR("x.test")), USERS_OK);
	users_close(users);
	users = users_open(path, USERS_READ, &why);
	assert_non_null(users);
	users_close(users);
	run_sql(path, "PRAGMA user_version = 99");
	assert_null(users_open(path, USERS_WRITE, &why));
	assert_non_null(strstr(why, "newer Trivet (schema 99"));
	free(why);
	assert_null(users_open(path, USERS_READ, &why));
	assert_non_null(strstr(why, "newer Trivet"));
	free(why);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

/* In a child that is not root: root may open what belongs to nobody else. */
static int
opened_by_an_ordinary_user(const char *path)
{
	struct users *users;
	char *why = NULL;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
			_exit(2);
		users = users_open(path, USERS_READ, &why);
		_exit(users != NULL ? 0 : 1);
	}
	assert_int_equal(usleep(100000), 0);
	return waitpid(pid, &status, WNOHANG) == pid ? WEXITSTATUS(status) : -(int)pid;
}

static void
a_journal_that_is_not_yet_given_away_is_waited_for(void **state)
{
	struct fixture *f = *state;
	char wal[80];
	int status, child;

	users_close(f->users);
	f->users = NULL;
	snprintf(wal, sizeof(wal), "%s-wal", f->path);
	assert_int_equal(chmod(f->folder, 0777), 0);
	assert_int_equal(chmod(f->path, 0666), 0);
	fclose(fopen(wal, "w"));
	assert_int_equal(chmod(wal, 0), 0);
	child = opened_by_an_ordinary_user(f->path);
	assert_true(child < 0);		/* it waits */
	assert_int_equal(chmod(wal, 0666), 0);
	assert_int_equal(waitpid(-child, &status, 0), -child);
	assert_int_equal(status, 0);
}

static void
a_migration_that_fails_leaves_the_file_alone(void **state)
{
	struct fixture *f = *state;
	char path[80], *why = NULL;

	snprintf(path, sizeof(path), "%s/clash.db", f->folder);
	run_sql(path, "CREATE TABLE aliases (a)");
	assert_null(users_open(path, USERS_WRITE, &why));
	assert_non_null(strstr(why, "cannot be brought from schema 0"));
	free(why);
	/* The tables that were made before the clash are gone again. */
	run_sql(path, "CREATE TABLE domains (a)");
	assert_null(users_open("/nonexistent/users.db", USERS_WRITE, &why));
	assert_non_null(strstr(why, "cannot be made"));
	free(why);
	snprintf(path, sizeof(path), "%s/rubbish.db", f->folder);
	FILE *rubbish = fopen(path, "w");
	assert_non_null(rubbish);
	fputs("this is no database, and long enough to be looked at as one by SQLite......"
		"........................................................................", rubbish);
	fclose(rubbish);
	assert_null(users_open(path, USERS_WRITE, &why));
	assert_non_null(strstr(why, "cannot be used"));
	free(why);
}

static void
root_is_no_mail_account(void **state)
{
	struct fixture *f = *state;
	struct system_account account;

	assert_int_equal(system_account_find(STR("root"), f->arena, &account), USERS_NO_SUCH);
	assert_int_equal(system_account_find(STR("no-such-user-here"), f->arena, &account), USERS_NO_SUCH);
	assert_int_equal(system_account_find((struct str){ "daemon\0x", 8 }, f->arena, &account), USERS_NO_SUCH);
	assert_int_equal(system_account_find(STR("daemon"), f->arena, &account), USERS_OK);
	assert_true(account.uid != 0);
}

static void
pam_without_its_service_lets_nobody_in(void **state)
{
	(void)state;
	/* Which of the two depends on the machine's fallback service "other". */
	assert_int_not_equal(pam_check("trivet-no-such-service", "no-such-user-here", "x",
		"192.0.2.1"), PAM_ANSWER_YES);
}

static void
quiet(struct str line)
{
	(void)line;
}

int
main(void)
{
#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_FILE(our_addresses_have_one_safe_form),
		WITH_FILE(login_names_may_lack_the_domain),
		WITH_FILE(accounts_are_kept_with_their_fields),
		WITH_FILE(a_limit_is_the_accounts_else_the_domains_else_the_sites),
		WITH_FILE(accounts_need_a_domain_of_ours_and_a_sane_path),
		WITH_FILE(domains_go_only_when_empty),
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
		WITH_FILE(lists_are_in_order_and_by_domain),
		WITH_FILE(a_reader_sees_what_a_writer_does),
		WITH_FILE(files_of_other_versions_are_told_or_updated),
		WITH_FILE(a_journal_that_is_not_yet_given_away_is_waited_for),
		WITH_FILE(a_migration_that_fails_leaves_the_file_alone),
		WITH_FILE(root_is_no_mail_account),
		cmocka_unit_test(pam_without_its_service_lets_nobody_in),
	};

	log_set_sink(quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
