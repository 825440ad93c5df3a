/* SPDX-License-Identifier: ISC */
/* RFC 5321 4.4, 7.2, 7.6, RFC 3848 1, RFC 5322 3.6.7. */
/* Every row of who may send what to whom, and the trace field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtpd/policy.h"
#include "smtpd/received.h"

#define assert_str(a, b) assert_true(str_eq((a), (b)))

/* The first three digits and the enhanced code; "" for accepted. */
static const char *const recipients[2][3][6] = {
	[PURPOSE_MX] = {
		[TRUST_STRANGER] = { "", "550 5.1.1", "452 4.2.2", "451 4.3.0", "", "550 5.7.1" },
		[TRUST_NETWORK] = { "", "550 5.1.1", "452 4.2.2", "451 4.3.0", "", "" },
		[TRUST_ACCOUNT] = { "", "550 5.1.1", "452 4.2.2", "451 4.3.0", "", "550 5.7.1" },
	},
	[PURPOSE_SUBMISSION] = {
		[TRUST_STRANGER] = { "530 5.7.0", "530 5.7.0", "530 5.7.0", "530 5.7.0", "530 5.7.0",
		    "530 5.7.0" },
		[TRUST_NETWORK] = { "", "550 5.1.1", "452 4.2.2", "451 4.3.0", "", "" },
		[TRUST_ACCOUNT] = { "", "550 5.1.1", "452 4.2.2", "451 4.3.0", "", "" },
	},
};

static const char *const senders[2][3][4] = {
	[PURPOSE_MX] = { { "", "", "", "" }, { "", "", "", "" }, { "", "", "", "" } },
	[PURPOSE_SUBMISSION] = {
		[TRUST_STRANGER] = { "530 5.7.0", "530 5.7.0", "530 5.7.0", "530 5.7.0" },
		[TRUST_NETWORK] = { "", "", "", "" },
		[TRUST_ACCOUNT] = { "", "", "553 5.7.1", "451 4.3.0" },
	},
};

static void
assert_answer(const char *reply, const char *wanted)
{
	if (wanted[0] == '\0')
		assert_null(reply);
	else
		assert_true(str_starts(str_of(reply), str_of(wanted)));
}

static void
every_recipient_gets_its_answer(void **state)
{
	(void)state;
	for (int p = 0; p < 2; p++)
		for (int t = 0; t < 3; t++)
			for (int place = 0; place < 6; place++)
				assert_answer(policy_recipient((enum purpose)p, (enum trust)t,
				    (enum place)place), recipients[p][t][place]);
}

static void
every_sender_gets_its_answer(void **state)
{
	(void)state;
	for (int p = 0; p < 2; p++)
		for (int t = 0; t < 3; t++)
			for (int sender = 0; sender < 4; sender++)
				assert_answer(policy_sender((enum purpose)p, (enum trust)t,
				    (enum sender)sender), senders[p][t][sender]);
}

static void
a_sender_is_looked_up_for_accounts_only(void **state)
{
	(void)state;
	assert_true(policy_asks_for_sender(PURPOSE_SUBMISSION, TRUST_ACCOUNT));
	assert_false(policy_asks_for_sender(PURPOSE_SUBMISSION, TRUST_NETWORK));
	assert_false(policy_asks_for_sender(PURPOSE_SUBMISSION, TRUST_STRANGER));
	assert_false(policy_asks_for_sender(PURPOSE_MX, TRUST_STRANGER));
}

static void
relay_domains_make_no_difference_to_ours(void **state)
{
	(void)state;
	assert_int_equal(policy_place(RECIPIENT_OK, true), PLACE_OURS);
	assert_int_equal(policy_place(RECIPIENT_NO_SUCH, true), PLACE_NO_SUCH);
	assert_int_equal(policy_place(RECIPIENT_FULL, true), PLACE_FULL);
	assert_int_equal(policy_place(RECIPIENT_UNAVAILABLE, true), PLACE_UNKNOWN);
	assert_int_equal(policy_place(RECIPIENT_NOT_OURS, true), PLACE_RELAY_DOMAIN);
	assert_int_equal(policy_place(RECIPIENT_NOT_OURS, false), PLACE_ELSEWHERE);
}

/* ---- the trace field ---- */

static void
a_stranger_is_named_with_his_address(void **state)
{
	struct net_address peer;
	struct received received = {
		.hello = STR("mx.b.test"), .extended = true, .peer = &peer,
		.hostname = STR("mail.example.test"), .trace = STR("aaaabbbbccccdddd"),
		.recipient = STR("user1@example.test"), .now = 1795286912,
	};
	scoped_buf out = BUF_INIT;

	(void)state;
	assert_true(net_address_parse(STR("2001:db8::1"), &peer));
	received_put(&out, &received);
	assert_str(buf_str(&out), STR(
	    "Received: from mx.b.test ([IPv6:2001:db8::1])\r\n"
	    "\tby mail.example.test (Trivet) with ESMTP\r\n"
	    "\tid aaaabbbbccccdddd for <user1@example.test>;\r\n"
	    "\tSat, 21 Nov 2026 18:48:32 +0000\r\n"));
}

static void
a_user_is_not_named(void **state)
{
	struct net_address peer;
	struct received received = {
		.hello = STR("[10.0.0.5]"), .extended = true, .secure = true, .logged_in = true,
		.tls = STR("TLSv1.3 TLS_AES_256_GCM_SHA384"), .peer = &peer,
		.hostname = STR("mail.example.test"), .trace = STR("aaaabbbbccccdddd"),
		.now = 1795286912,
	};
	scoped_buf out = BUF_INIT;

	(void)state;
	assert_true(net_address_parse(STR("192.0.2.1"), &peer));
	received_put(&out, &received);
	assert_str(buf_str(&out), STR(
	    "Received: by mail.example.test (Trivet) with ESMTPSA (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
	    "\tid aaaabbbbccccdddd;\r\n"
	    "\tSat, 21 Nov 2026 18:48:32 +0000\r\n"));
}

static void
a_clients_words_forge_nothing(void **state)
{
	struct net_address peer;
	struct received received = {
		.hello = STR("a) by evil (x; \"q\""), .peer = &peer, .hostname = STR("h"),
		.trace = STR("t"),
	};
	scoped_buf out = BUF_INIT;

	(void)state;
	assert_true(net_address_parse(STR("192.0.2.1"), &peer));
	received_put(&out, &received);
	assert_true(str_starts(buf_str(&out), STR(
	    "Received: from a??by?evil??x???q? ([192.0.2.1])\r\n\tby h (Trivet) with SMTP\r\n")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_recipient_gets_its_answer),
		cmocka_unit_test(every_sender_gets_its_answer),
		cmocka_unit_test(a_sender_is_looked_up_for_accounts_only),
		cmocka_unit_test(relay_domains_make_no_difference_to_ours),
		cmocka_unit_test(a_stranger_is_named_with_his_address),
		cmocka_unit_test(a_user_is_not_named),
		cmocka_unit_test(a_clients_words_forge_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
