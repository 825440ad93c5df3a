/* SPDX-License-Identifier: ISC */
/* users.db on a real file: addresses, accounts, domains, lists, and a reader beside a writer. */
#include "common/auth/grants.h"
#include "tests/unit/auth/users_file.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FILE(our_addresses_have_one_safe_form),
		WITH_FILE(login_names_may_lack_the_domain),
		WITH_FILE(accounts_are_kept_with_their_fields),
		WITH_FILE(a_limit_is_the_accounts_else_the_domains_else_the_sites),
		WITH_FILE(accounts_need_a_domain_of_ours_and_a_sane_path),
		WITH_FILE(domains_go_only_when_empty),
		WITH_FILE(lists_are_in_order_and_by_domain),
		WITH_FILE(a_reader_sees_what_a_writer_does),
	};

	log_set_sink(quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
