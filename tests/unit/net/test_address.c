/* SPDX-License-Identifier: ISC */
/* Addresses, ports and networks as text and as the system has them; and what one address may do in a minute. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/net/address.h"
#include "common/net/rate.h"

static struct net_address
address(const char *text)
{
	struct net_address a;

	if (!net_address_parse(str_of(text), &a))
		fail_msg("%s is an address", text);
	return a;
}

static void
addresses_are_read_and_written(void **state)
{
	static const struct {
		const char *text, *canonical, *literal;
	} rows[] = {
		{ "192.0.2.1", "192.0.2.1", "[192.0.2.1]" },
		{ "[192.0.2.1]", "192.0.2.1", "[192.0.2.1]" },
		{ "2001:DB8::1", "2001:db8::1", "[IPv6:2001:db8::1]" },
		{ "[2001:db8:0:0:0:0:0:1]", "2001:db8::1", "[IPv6:2001:db8::1]" },
		{ "::ffff:192.0.2.1", "192.0.2.1", "[192.0.2.1]" },
		{ "::ffff:c000:201", "192.0.2.1", "[192.0.2.1]" },
		{ "::", "::", "[IPv6:::]" },
	};

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		struct net_address a = address(rows[i].text);
		scoped_buf text = BUF_INIT, literal = BUF_INIT;

		net_address_put(&text, &a);
		net_address_put_literal(&literal, &a);
		assert_string_equal(buf_z(&text), rows[i].canonical);
		assert_string_equal(buf_z(&literal), rows[i].literal);
	}
}

static void
what_is_no_address_is_refused(void **state)
{
	static const char *const rows[] = {
		"", "192.0.2", "192.0.2.256", "0x7f.0.0.1", "192.0.2.1 ", " 192.0.2.1", "127.1",
		"010.0.0.1", "localhost", "[192.0.2.1", "192.0.2.1]", "[]", "fe80::1%eth0", "1::2::3",
		"12345::", "192.0.2.1:25", "*", "2001:db8::1/64", "[[::1]]",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0001",
	};
	struct net_address a;

	(void)state;
	for (size_t i = 0; i < countof(rows); i++)
		if (net_address_parse(str_of(rows[i]), &a))
			fail_msg("'%s' was taken for an address", rows[i]);
	assert_false(net_address_parse((struct str){ "192.0.2.1\0x", 11 }, &a));
}

static void
ports_are_read(void **state)
{
	static const struct {
		const char *text, *canonical;
	} rows[] = {
		{ "192.0.2.1:25", "192.0.2.1:25" },
		{ "[2001:db8::1]:465", "[2001:db8::1]:465" },
		{ "*:143", "*:143" },
		{ "127.0.0.1@5353", "127.0.0.1:5353" },
		{ "2001:db8::1@53", "[2001:db8::1]:53" },
		{ "[::ffff:127.0.0.1]:65535", "127.0.0.1:65535" },
	};
	static const char *const bad[] = {
		"", ":25", "192.0.2.1", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:-1",
		"192.0.2.1:25x", "2001:db8::1:25", "[2001:db8::1]", "[*]:25", "192.0.2.1@", "@53", "**:25",
	};
	struct net_address a;

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		scoped_buf text = BUF_INIT;

		assert_true(net_address_parse_port(str_of(rows[i].text), &a));
		net_address_put_port(&text, &a);
		assert_string_equal(buf_z(&text), rows[i].canonical);
	}
	for (size_t i = 0; i < countof(bad); i++)
		if (net_address_parse_port(str_of(bad[i]), &a))
			fail_msg("'%s' was taken for an address with port", bad[i]);
}

static void
networks_hold_their_addresses(void **state)
{
	static const struct {
		const char *network, *address;
		bool in;
	} rows[] = {
		{ "192.0.2.0/24", "192.0.2.255", true },
		{ "192.0.2.0/24", "192.0.3.0", false },
		{ "192.0.2.0/24", "::ffff:192.0.2.7", true },
		{ "192.0.2.128/25", "192.0.2.127", false },
		{ "192.0.2.128/25", "192.0.2.129", true },
		{ "192.0.2.1", "192.0.2.1", true },
		{ "192.0.2.1", "192.0.2.2", false },
		{ "0.0.0.0/0", "255.255.255.255", true },
		{ "0.0.0.0/0", "::1", false },
		{ "::/0", "192.0.2.1", false },
		{ "::/0", "2001:db8::1", true },
		{ "2001:db8::/33", "2001:db8:7fff::1", true },
		{ "2001:db8::/33", "2001:db8:8000::1", false },
		{ "[2001:db8::]/32", "2001:db8:8000::1", true },
		{ "::ffff:192.0.2.0/120", "192.0.2.9", true },
	};
	static const char *const bad[] = {
		"", "/", "192.0.2.0/", "/24", "192.0.2.1/24", "192.0.2.0/33", "2001:db8::/129", "192.0.2.0/24/24",
		"192.0.2.0/-1", "2001:db8::1/64", "::ffff:0.0.0.0/80", "::ffff:192.0.2.0/129", "*/0", "a/8",
	};
	struct net_network n;

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		struct net_address a = address(rows[i].address);

		if (!net_network_parse(str_of(rows[i].network), &n))
			fail_msg("%s is a network", rows[i].network);
		if (net_network_has(&n, &a) != rows[i].in)
			fail_msg("%s in %s", rows[i].address, rows[i].network);
	}
	for (size_t i = 0; i < countof(bad); i++)
		if (net_network_parse(str_of(bad[i]), &n))
			fail_msg("'%s' was taken for a network", bad[i]);
}

static void
equality_loopback_and_limits(void **state)
{
	struct net_address a = address("2001:db8:1:2:3:4:5:6"), b = address("2001:db8:1:2::9");
	struct net_address any = { .any = true }, limit = net_address_for_limits(&a);
	struct net_address other = net_address_for_limits(&b);

	(void)state;
	assert_false(net_address_eq(&a, &b));
	assert_true(net_address_eq(&limit, &other));
	assert_false(net_address_eq(&any, &a));
	a.port = 25;
	b = address("2001:db8:1:2:3:4:5:6");
	assert_true(net_address_eq(&a, &b));
	a = address("127.9.9.9");
	assert_true(net_address_is_loopback(&a));
	a = address("::1");
	assert_true(net_address_is_loopback(&a));
	a = address("::ffff:127.0.0.1");
	assert_true(net_address_is_loopback(&a));
	a = address("128.0.0.1");
	assert_false(net_address_is_loopback(&a));
	assert_false(net_address_is_loopback(&any));
}

static void
sockaddr_there_and_back(void **state)
{
	static const char *const rows[] = { "192.0.2.1:25", "[2001:db8::1]:993" };
	struct sockaddr_storage sa;
	struct net_address a, b, any = { .any = true, .port = 25 };

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		assert_true(net_address_parse_port(str_of(rows[i]), &a));
		net_address_to_sockaddr(&a, &sa);
		net_address_from_sockaddr((struct sockaddr *)&sa, &b);
		assert_true(net_address_eq(&a, &b));
		assert_int_equal(a.port, b.port);
	}
	assert_int_equal(net_address_to_sockaddr(&any, &sa), sizeof(struct sockaddr_in6));
	assert_int_equal(sa.ss_family, AF_INET6);
}

static void
things_at_once_are_limited_per_address(void **state)
{
	struct rate *r = rate_new(100);
	struct net_address a = address("192.0.2.1"), b = address("192.0.2.2");
	struct net_address v6 = address("2001:db8::1"), neighbour = address("2001:db8::2");

	(void)state;
	assert_true(rate_enter(r, &a, 2));
	assert_true(rate_enter(r, &a, 2));
	assert_false(rate_enter(r, &a, 2));
	assert_true(rate_enter(r, &b, 2));
	rate_leave(r, &a);
	assert_true(rate_enter(r, &a, 2));
	assert_false(rate_enter(r, &a, 2));
	assert_true(rate_enter(r, &v6, 1));
	assert_false(rate_enter(r, &neighbour, 1));
	rate_leave(r, &v6);
	rate_leave(r, &v6);
	assert_true(rate_enter(r, &neighbour, 1));
	assert_false(rate_enter(r, &a, 0));
	rate_free(r);
}

static void
events_are_counted(void **state)
{
	struct rate *r = rate_new(100);
	struct net_address a = address("192.0.2.1"), b = address("192.0.2.2");

	(void)state;
	assert_int_equal(rate_recent(r, &a), 0);
	for (int i = 0; i < 7; i++)
		rate_count(r, &a);
	rate_count(r, &b);
	assert_int_equal(rate_recent(r, &a), 7);
	assert_int_equal(rate_recent(r, &b), 1);
	rate_free(r);
}

static void
the_table_is_bounded_and_keeps_the_loud(void **state)
{
	struct rate *r = rate_new(50);
	struct net_address loud = address("192.0.2.1"), open = address("192.0.2.2"), a = address("10.0.0.0");

	(void)state;
	assert_true(rate_enter(r, &open, 1));
	for (int i = 0; i < 9; i++)
		rate_count(r, &loud);
	for (int i = 0; i < 5000; i++) {
		a.bytes[2] = (uint8_t)(i / 256);
		a.bytes[3] = (uint8_t)i;
		rate_count(r, &a);
	}
	assert_int_equal(rate_recent(r, &loud), 9);
	assert_false(rate_enter(r, &open, 1));
	assert_int_equal(rate_recent(r, &a), 1);
	a = address("10.0.0.0");
	assert_int_equal(rate_recent(r, &a), 0);
	rate_free(r);
}

static void
a_table_full_of_open_ones_lets_nobody_in(void **state)
{
	struct rate *r = rate_new(3);
	struct net_address a = address("10.0.0.0");

	(void)state;
	for (uint8_t i = 0; i < 3; i++) {
		a.bytes[3] = i;
		assert_true(rate_enter(r, &a, 5));
	}
	a.bytes[3] = 9;
	assert_false(rate_enter(r, &a, 5));
	rate_count(r, &a);
	assert_int_equal(rate_recent(r, &a), 0);
	a.bytes[3] = 1;
	rate_leave(r, &a);
	a.bytes[3] = 9;
	assert_true(rate_enter(r, &a, 5));
	rate_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read_and_written),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(ports_are_read),
		cmocka_unit_test(networks_hold_their_addresses),
		cmocka_unit_test(equality_loopback_and_limits),
		cmocka_unit_test(sockaddr_there_and_back),
		cmocka_unit_test(things_at_once_are_limited_per_address),
		cmocka_unit_test(events_are_counted),
		cmocka_unit_test(the_table_is_bounded_and_keeps_the_loud),
		cmocka_unit_test(a_table_full_of_open_ones_lets_nobody_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
