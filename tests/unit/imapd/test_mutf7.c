/* SPDX-License-Identifier: ISC */
/* Modified UTF-7: RFC 3501 5.1.3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "imapd/mutf7.h"

static const struct {
	const char *name;
	const char *utf8;
} pairs[] = {
	{ "", "" },
	{ "INBOX", "INBOX" },
	{ "a/b %*~\"\\", "a/b %*~\"\\" },
	{ "A&-B", "A&B" },
	{ "&-&-", "&&" },
	{ "~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/\u53f0\u5317/\u65e5\u672c\u8a9e" },
	{ "&wtzV2A-&-&0,SzVA--x", "\uc2dc\ud5d8&\ud3f4\ub354-x" },
	{ "&AOk-t&AOk-", "\u00e9t\u00e9" },
	{ "&2DTdHg-", "\U0001d11e" },
	{ "&AAE-", "\x01" },
	{ "&AH8-", "\x7f" },
};

static void
names_go_both_ways(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(pairs); i++) {
		scoped_buf encoded = BUF_INIT;
		scoped_buf decoded = BUF_INIT;

		assert_true(mutf7_encode(&encoded, str_of(pairs[i].utf8)));
		assert_string_equal(buf_z(&encoded), pairs[i].name);
		assert_true(mutf7_decode(&decoded, str_of(pairs[i].name)));
		assert_string_equal(buf_z(&decoded), pairs[i].utf8);
	}
}

static void
names_with_a_second_form_are_refused(void **state)
{
	static const char *const bad[] = {
		"R&D",			/* never closed */
		"&",
		"&AGE-",		/* a printable octet in base64 */
		"&ACY-",		/* "&" in base64 */
		"&U,BTFw-&ZeVnLIqe-",	/* a shift too many: RFC 3501 5.1.3 */
		"&AOl-",		/* stray bits */
		"&AOkA-",		/* an incomplete unit */
		"&AOk=-",		/* padding */
		"&AO/-",		/* not in this alphabet */
		"&2DQ-",		/* half a pair */
		"&3R7YNA-",		/* the halves in the wrong order */
		"&2DQAYQ-",
		"&AAA-",		/* NUL */
		"&AA0-", "&AAo-",	/* CR, LF */
		"\x01", "a\r\n", "\x7f",
		"\xc3\xa9",
	};
	scoped_buf out = BUF_INIT;

	(void)state;
	buf_put_z(&out, "before");
	for (size_t i = 0; i < countof(bad); i++)
		assert_false(mutf7_decode(&out, str_of(bad[i])));
	assert_false(mutf7_decode(&out, (struct str){ "a\0b", 3 }));
	assert_string_equal(buf_z(&out), "before");
}

static void
what_is_not_a_name_is_not_encoded(void **state)
{
	scoped_buf out = BUF_INIT;

	(void)state;
	buf_put_z(&out, "before");
	assert_false(mutf7_encode(&out, STR("a\xff")));
	assert_false(mutf7_encode(&out, STR("a\xed\xa0\x80")));
	assert_false(mutf7_encode(&out, (struct str){ "a\0b", 3 }));
	assert_false(mutf7_encode(&out, STR("a\nb")));
	assert_false(mutf7_encode(&out, STR("\uc2dc\r")));
	assert_string_equal(buf_z(&out), "before");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_go_both_ways),
		cmocka_unit_test(names_with_a_second_form_are_refused),
		cmocka_unit_test(what_is_not_a_name_is_not_encoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
