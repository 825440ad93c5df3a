/* SPDX-License-Identifier: ISC */
/* RFC 4616 2, 4, RFC 4422 3.1, 3.4.1. */
/* Exchanges of PLAIN and LOGIN as clients really have them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/auth/sasl.h"

#define assert_str(a, b) assert_true(str_eq((a), (b)))
#define BYTES(literal) ((struct str){ (literal), sizeof(literal) - 1 })

struct plain_case {
	struct str message;
	const char *authorise_as, *user, *password;	/* user NULL: BAD */
};

static void
plain_takes_the_message_apart(void **state)
{
	char name[SASL_NAME_MAX + 16];
	const struct plain_case cases[] = {
		{ BYTES("\0tim\0tanstaaftanstaaf"), "", "tim", "tanstaaftanstaaf" },
		{ BYTES("Ursel\0Kurt\0xipj3plmq"), "Ursel", "Kurt", "xipj3plmq" },
		{ BYTES("\0a@b.example\0 p w "), "", "a@b.example", " p w " },
		{ BYTES("\0u\0\xff\xfe"), "", "u", "\xff\xfe" },
		{ BYTES(""), NULL, NULL, NULL },
		{ BYTES("tim"), NULL, NULL, NULL },
		{ BYTES("\0tim"), NULL, NULL, NULL },
		{ BYTES("\0tim\0"), NULL, NULL, NULL },
		{ BYTES("\0\0secret"), NULL, NULL, NULL },
		{ BYTES("\0tim\0a\0b"), NULL, NULL, NULL },
		{ BYTES("\0\xff\0secret"), NULL, NULL, NULL },
		{ { name, sizeof(name) }, NULL, NULL, NULL },
	};

	(void)state;
	memset(name, 'a', sizeof(name));
	name[0] = '\0';
	name[SASL_NAME_MAX + 2] = '\0';
	for (size_t i = 0; i < countof(cases); i++) {
		struct sasl s = SASL_INIT;
		struct sasl_reply r = sasl_start(&s, STR("plain"), &cases[i].message);

		if (cases[i].user == NULL) {
			assert_int_equal(r.result, SASL_BAD);
			assert_non_null(r.why);
		} else {
			assert_int_equal(r.result, SASL_CREDENTIALS);
			assert_str(r.credentials.authorise_as, str_of(cases[i].authorise_as));
			assert_str(r.credentials.user, str_of(cases[i].user));
			assert_str(r.credentials.password, str_of(cases[i].password));
		}
		sasl_end(&s);
	}
}

static void
plain_without_initial_response_asks_with_nothing(void **state)
{
	struct sasl s = SASL_INIT;
	struct sasl_reply r = sasl_start(&s, STR("PLAIN"), NULL);

	(void)state;
	assert_int_equal(r.result, SASL_CHALLENGE);
	assert_int_equal(r.challenge.n, 0);
	r = sasl_step(&s, BYTES("\0u\0p"));
	assert_int_equal(r.result, SASL_CREDENTIALS);
	r = sasl_step(&s, BYTES("\0u\0p"));
	assert_int_equal(r.result, SASL_BAD);
	sasl_end(&s);
}

static void
login_asks_twice(void **state)
{
	struct sasl s = SASL_INIT;
	struct sasl_reply r = sasl_start(&s, STR("LOGIN"), NULL);

	(void)state;
	assert_int_equal(r.result, SASL_CHALLENGE);
	assert_str(r.challenge, STR("Username:"));
	r = sasl_step(&s, STR("tim"));
	assert_int_equal(r.result, SASL_CHALLENGE);
	assert_str(r.challenge, STR("Password:"));
	r = sasl_step(&s, STR("secret"));
	assert_int_equal(r.result, SASL_CREDENTIALS);
	assert_str(r.credentials.user, STR("tim"));
	assert_str(r.credentials.password, STR("secret"));
	assert_int_equal(r.credentials.authorise_as.n, 0);
	r = sasl_step(&s, STR("more"));
	assert_int_equal(r.result, SASL_BAD);
	sasl_end(&s);
}

static void
login_takes_the_user_as_initial_response(void **state)
{
	struct str user = STR("tim");
	struct sasl s = SASL_INIT;
	struct sasl_reply r = sasl_start(&s, STR("login"), &user);

	(void)state;
	assert_int_equal(r.result, SASL_CHALLENGE);
	assert_str(r.challenge, STR("Password:"));
	r = sasl_step(&s, STR(""));
	assert_int_equal(r.result, SASL_BAD);
	/* The same object serves the next try. */
	r = sasl_start(&s, STR("PLAIN"), NULL);
	assert_int_equal(r.result, SASL_CHALLENGE);
	sasl_end(&s);
}

static void
unknown_mechanisms_are_refused(void **state)
{
	struct sasl s = SASL_INIT;

	(void)state;
	assert_int_equal(sasl_start(&s, STR("CRAM-MD5"), NULL).result, SASL_BAD);
	assert_int_equal(sasl_start(&s, STR(""), NULL).result, SASL_BAD);
	assert_int_equal(sasl_step(&s, STR("x")).result, SASL_BAD);
	assert_true(sasl_mechanism_exists(STR("Login")));
	assert_false(sasl_mechanism_exists(STR("CRAM-MD5")));
	assert_string_equal(sasl_mechanism_name(0), "PLAIN");
	assert_null(sasl_mechanism_name(2));
	sasl_end(&s);
}

static void
lines_are_decoded(void **state)
{
	scoped_buf out = BUF_INIT;

	(void)state;
	assert_int_equal(sasl_decode(STR("*"), false, &out), SASL_LINE_CANCEL);
	assert_int_equal(sasl_decode(STR("="), true, &out), SASL_LINE_OK);
	assert_int_equal(out.n, 0);
	assert_int_equal(sasl_decode(STR("="), false, &out), SASL_LINE_BAD);
	assert_int_equal(sasl_decode(STR(""), false, &out), SASL_LINE_OK);
	assert_int_equal(sasl_decode(STR("AHUAcA"), false, &out), SASL_LINE_BAD);
	assert_int_equal(sasl_decode(STR("AHUAcA=="), false, &out), SASL_LINE_OK);
	assert_str(buf_str(&out), BYTES("\0u\0p"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_takes_the_message_apart),
		cmocka_unit_test(plain_without_initial_response_asks_with_nothing),
		cmocka_unit_test(login_asks_twice),
		cmocka_unit_test(login_takes_the_user_as_initial_response),
		cmocka_unit_test(unknown_mechanisms_are_refused),
		cmocka_unit_test(lines_are_decoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
