/* SPDX-License-Identifier: ISC */
/* Verifiers of every scheme, ours and others', right and wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/auth/password.h"

/* PBKDF2 with 4096 rounds: RFC 7677 section 3's example, user "user", password "pencil". */
#define RFC_7677_SALT "W22ZaJ0SNY7soEsUEjb6gQ=="

static void
each_scheme_verifies_what_it_made(void **state)
{
	(void)state;
	for (enum password_scheme s = 0; s < PASSWORD_SCHEMES; s++) {
		scoped_buf one = BUF_INIT, two = BUF_INIT;

		assert_true(password_make(&one, STR("s\xc3\xa9same, open"), s));
		assert_true(password_make(&two, STR("s\xc3\xa9same, open"), s));
		assert_false(str_eq(buf_str(&one), buf_str(&two)));
		assert_true(password_verifier_valid(buf_str(&one)));
		assert_true(password_verify(buf_str(&one), STR("s\xc3\xa9same, open")));
		assert_false(password_verify(buf_str(&one), STR("s\xc3\xa9same, opem")));
		assert_false(password_verify(buf_str(&one), STR("s\xc3\xa9same, open ")));
		assert_false(password_verify(buf_str(&one), STR("")));
	}
}

static void
known_verifiers_of_other_programs_match(void **state)
{
	(void)state;
	/* The example of SHA-crypt's specification, and bcrypt's "U*U". */
	assert_true(password_verify(STR("$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI"
		"68u4OTLiBFdcbYEdFCoEOfaS35inz1"), STR("Hello world!")));
	assert_true(password_verify(STR("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
		STR("U*U")));
	assert_false(password_verify(STR("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
		STR("U*V")));
}

/* RFC 7677 3: keys of "pencil", as any SCRAM implementation derives them. */
static void
scram_keys_of_the_rfc_example_match(void **state)
{
	const struct str keys = STR("{SCRAM-SHA-256}4096," RFC_7677_SALT ","
		"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
		"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");

	(void)state;
	assert_true(password_verify(keys, STR("pencil")));
	assert_false(password_verify(keys, STR("Pencil")));
}

static void
locked_and_broken_verifiers_match_nothing(void **state)
{
	static const char *const bad[] = {
		"", "!", "*", "x", "!$6$saltstring$svn8Uo", "secret", "$", "$6$", "$9$abc$def", "*0",
		"{SCRAM-SHA-256}", "{SCRAM-SHA-256}4096", "{SCRAM-SHA-256}4096,,,",
		"{SCRAM-SHA-256}1," RFC_7677_SALT ",WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
		"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		"{SCRAM-SHA-256}99999999," RFC_7677_SALT ",WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
		"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		"{SCRAM-SHA-256}4096," RFC_7677_SALT ",WG5d8oPm3OtcPnkdi4Uo7A==,"
		"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		"{PLAIN}secret",
	};

	(void)state;
	for (size_t i = 0; i < countof(bad); i++) {
		assert_false(password_verify(str_of(bad[i]), STR("secret")));
		assert_false(password_verify(str_of(bad[i]), str_of(bad[i])));
	}
}

static void
impossible_passwords_are_refused(void **state)
{
	char longest[PASSWORD_MAX + 2];
	scoped_buf out = BUF_INIT;

	(void)state;
	memset(longest, 'a', sizeof(longest));
	assert_false(password_make(&out, STR(""), PASSWORD_SHA512));
	assert_false(password_make(&out, (struct str){ "a\0b", 3 }, PASSWORD_SHA512));
	assert_false(password_make(&out, STR("\xff"), PASSWORD_SHA512));
	assert_false(password_make(&out, (struct str){ longest, PASSWORD_MAX + 1 }, PASSWORD_SHA512));
	assert_int_equal(out.n, 0);
	assert_true(password_make(&out, (struct str){ longest, PASSWORD_MAX }, PASSWORD_SHA512));
	assert_true(password_verify(buf_str(&out), (struct str){ longest, PASSWORD_MAX }));
	assert_false(password_verify(buf_str(&out), (struct str){ longest, PASSWORD_MAX + 1 }));
	/* Not what stands before a NUL either. */
	buf_clear(&out);
	assert_true(password_make(&out, STR("a"), PASSWORD_SHA512));
	assert_false(password_verify(buf_str(&out), (struct str){ "a\0b", 3 }));
}

static void
the_dummy_is_a_verifier_that_stays_the_same(void **state)
{
	(void)state;
	assert_true(str_starts(password_dummy(), STR("$y$")));
	assert_true(str_eq(password_dummy(), password_dummy()));
	assert_true(password_verifier_valid(password_dummy()));
	assert_false(password_verify(password_dummy(), STR("secret")));
}

static void
schemes_have_names(void **state)
{
	enum password_scheme found;

	(void)state;
	for (enum password_scheme s = 0; s < PASSWORD_SCHEMES; s++) {
		assert_true(password_scheme_find(str_of(password_scheme_name(s)), &found));
		assert_int_equal(found, s);
	}
	assert_true(password_scheme_find(STR("SCRAM-SHA-256"), &found));
	assert_false(password_scheme_find(STR("md5"), &found));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_scheme_verifies_what_it_made),
		cmocka_unit_test(known_verifiers_of_other_programs_match),
		cmocka_unit_test(scram_keys_of_the_rfc_example_match),
		cmocka_unit_test(locked_and_broken_verifiers_match_nothing),
		cmocka_unit_test(impossible_passwords_are_refused),
		cmocka_unit_test(the_dummy_is_a_verifier_that_stays_the_same),
		cmocka_unit_test(schemes_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
