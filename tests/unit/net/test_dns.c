/* SPDX-License-Identifier: ISC */
/* RFC 5321 5.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/net/dns.h"
#include "common/net/dns_packet.h"

enum { NOERROR = 0, SERVFAIL = 2, NXDOMAIN = 3, CNAME = 5 };

/* A DNS server of a few rows, and one question to it. */
struct fake {
	struct loop *loop;
	struct timer *limit;
	struct watch *watch;
	struct dns *dns;
	int fd, asked;
	bool done;
	struct dns_answer answer;	/* the counts and the result only */
	struct buf text;		/* "10 a.test,20 b.test" or addresses */
	struct dns_question *cancels;
};

static const struct row {
	const char *name;
	unsigned type, preference;
	const char *data;	/* an address, or a name; "" is the root */
} rows[] = {
	{ "example.test", DNS_TYPE_MX, 20, "b.example.test" },
	{ "example.test", DNS_TYPE_MX, 10, "a.example.test" },
	{ "example.test", DNS_TYPE_MX, 300, "c.example.test" },
	{ "equal.test", DNS_TYPE_MX, 5, "m1.test" },
	{ "equal.test", DNS_TYPE_MX, 5, "m2.test" },
	{ "null.test", DNS_TYPE_MX, 0, "" },
	{ "broken.test", DNS_TYPE_MX, 10, "with space.test" },
	{ "half.test", DNS_TYPE_MX, 10, "with space.test" },
	{ "half.test", DNS_TYPE_MX, 20, "good.test" },
	{ "alias.test", CNAME, 0, "example.test" },
	{ "a.example.test", DNS_TYPE_A, 0, "192.0.2.1" },
	{ "a.example.test", DNS_TYPE_AAAA, 0, "2001:db8::1" },
	{ "v4.test", DNS_TYPE_A, 0, "192.0.2.4" },
	{ "xn--bcher-kva.test", DNS_TYPE_A, 0, "192.0.2.5" },
};

static void
put_u16(struct buf *out, unsigned n)
{
	buf_put_c(out, (char)(n >> 8));
	buf_put_c(out, (char)n);
}

static void
put_name(struct buf *out, struct str name)
{
	struct str label;

	while (str_cut(&name, '.', &label)) {
		buf_put_c(out, (char)label.n);
		buf_put(out, label);
	}
	buf_put_c(out, 0);
}

static void
put_record(struct buf *out, const struct row *row)
{
	scoped_buf data = BUF_INIT;
	struct net_address a;

	if (row->type == DNS_TYPE_MX)
		put_u16(&data, row->preference);
	if (row->type == DNS_TYPE_MX || row->type == CNAME)
		put_name(&data, str_of(row->data));
	else if (net_address_parse(str_of(row->data), &a))
		buf_put(&data, (struct str){ (char *)a.bytes, a.is_v6 ? 16 : 4 });
	put_name(out, str_of(row->name));
	put_u16(out, row->type);
	put_u16(out, DNS_CLASS_IN);
	put_u16(out, 0);
	put_u16(out, 60);
	put_u16(out, (unsigned)data.n);
	buf_put(out, buf_str(&data));
}

/* Puts the matching records; tells whether the name is there at all. */
static bool
put_answers(struct buf *out, struct str name, unsigned type, unsigned *count)
{
	bool there = false;

	for (size_t i = 0; i < countof(rows); i++) {
		if (!str_eq_nocase(str_of(rows[i].name), name))
			continue;
		there = true;
		if (rows[i].type != type && rows[i].type != CNAME)
			continue;
		put_record(out, &rows[i]);
		(*count)++;
		if (rows[i].type == CNAME && type != CNAME)
			put_answers(out, str_of(rows[i].data), type, count);
	}
	return there;
}

static void
serve(void *context, unsigned ready)
{
	struct fake *f = context;
	char packet[512];
	struct sockaddr_storage from;
	socklen_t from_n = sizeof(from);
	ssize_t n = recvfrom(f->fd, packet, sizeof(packet), 0, (struct sockaddr *)&from, &from_n);
	scoped_buf name = BUF_INIT, answers = BUF_INIT, out = BUF_INIT;
	size_t at = 12;
	unsigned count = 0, rcode, type;

	(void)ready;
	assert_true(n > 12);
	assert_true(dns_name_read((struct str){ packet, (size_t)n }, &at, &name));
	type = (unsigned)(unsigned char)packet[at] << 8 | (unsigned char)packet[at + 1];
	f->asked++;
	if (str_eq_nocase(buf_str(&name), STR("silent.test")))
		return;
	rcode = put_answers(&answers, buf_str(&name), type, &count) ? NOERROR : NXDOMAIN;
	if (str_eq_nocase(buf_str(&name), STR("fails.test")))
		rcode = SERVFAIL;
	buf_put(&out, (struct str){ packet, 2 });
	put_u16(&out, 0x8180 | rcode);
	put_u16(&out, 1);
	put_u16(&out, count);
	put_u16(&out, 0);
	put_u16(&out, 0);
	buf_put(&out, (struct str){ packet + 12, at + 4 - 12 });
	buf_put(&out, buf_str(&answers));
	sendto(f->fd, out.p, out.n, 0, (struct sockaddr *)&from, from_n);
}

static void
on_answered(void *context, const struct dns_answer *answer)
{
	struct fake *f = context;

	f->done = true;
	f->answer = *answer;
	for (size_t i = 0; i < answer->mx_count; i++)
		buf_printf(&f->text, "%s%u %.*s", i > 0 ? "," : "", answer->mx[i].preference,
		    STR_ARG(answer->mx[i].host));
	for (size_t i = 0; i < answer->address_count; i++) {
		if (f->text.n > 0)
			buf_put_c(&f->text, ',');
		net_address_put(&f->text, &answer->addresses[i]);
	}
	dns_cancel(f->cancels);
	loop_stop(f->loop);
}

static void
on_limit(void *context)
{
	struct fake *f = context;

	loop_stop(f->loop);
}

static int
fake_open(void **state)
{
	struct fake *f = xcalloc(1, sizeof(*f));
	struct net_address at = { .bytes = { 127, 0, 0, 1 } };
	struct sockaddr_storage sa;
	socklen_t n = net_address_to_sockaddr(&at, &sa);
	scoped_buf server = BUF_INIT;
	const char *servers[1];
	char *why = NULL;

	f->loop = loop_new();
	f->limit = timer_new(f->loop, on_limit, f);
	f->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(f->fd, (struct sockaddr *)&sa, n), 0);
	n = sizeof(sa);
	getsockname(f->fd, (struct sockaddr *)&sa, &n);
	net_address_from_sockaddr((struct sockaddr *)&sa, &at);
	buf_printf(&server, "127.0.0.1@%u", at.port);
	f->watch = watch_new(f->loop, f->fd, WATCH_READ, serve, f);
	servers[0] = buf_z(&server);
	f->dns = dns_new(f->loop, servers, 1, &why);
	assert_non_null(f->dns);
	*state = f;
	return 0;
}

static int
fake_close(void **state)
{
	struct fake *f = *state;

	dns_free(f->dns);
	watch_free(f->watch);
	timer_free(f->limit);
	loop_free(f->loop);
	close(f->fd);
	buf_free(&f->text);
	free(f);
	return 0;
}

static void
wait_for(struct fake *f)
{
	assert_false(f->done);
	timer_set(f->limit, 8000);
	loop_run(f->loop);
	timer_stop(f->limit);
	assert_true(f->done);
	f->done = false;
}

static const char *
mx_of(struct fake *f, const char *domain)
{
	buf_clear(&f->text);
	dns_ask_mx(f->dns, str_of(domain), on_answered, f);
	wait_for(f);
	return buf_z(&f->text);
}

static const char *
addresses_of(struct fake *f, const char *host)
{
	buf_clear(&f->text);
	dns_ask_addresses(f->dns, str_of(host), on_answered, f);
	wait_for(f);
	return buf_z(&f->text);
}

static void
mail_exchangers_come_by_preference(void **state)
{
	struct fake *f = *state;
	const char *in_order = "10 a.example.test,20 b.example.test,300 c.example.test";

	assert_string_equal(mx_of(f, "example.test"), in_order);
	assert_int_equal(f->answer.result, DNS_FOUND);
	assert_false(f->answer.secure);
	assert_string_equal(mx_of(f, "Example.Test."), in_order);
	assert_string_equal(mx_of(f, "alias.test"), in_order);
}

static void
equal_preferences_are_shuffled(void **state)
{
	struct fake *f = *state;
	int first = 0;

	for (int i = 0; i < 60; i++)
		first += strcmp(mx_of(f, "equal.test"), "5 m1.test,5 m2.test") == 0;
	assert_in_range(first, 5, 55);
	/* The rest came from the cache, and still not from inside the question. */
	assert_in_range(f->asked, 1, 3);
}

static void
null_mx_is_an_empty_host(void **state)
{
	struct fake *f = *state;

	assert_string_equal(mx_of(f, "null.test"), "0 ");
	assert_int_equal(f->answer.mx_count, 1);
}

static void
malformed_hosts_are_left_out_and_alone_are_a_failure(void **state)
{
	struct fake *f = *state;

	assert_string_equal(mx_of(f, "half.test"), "20 good.test");
	assert_string_equal(mx_of(f, "broken.test"), "");
	assert_int_equal(f->answer.result, DNS_FAILED);
}

static void
both_families_in_one_answer(void **state)
{
	struct fake *f = *state;
	const char *text = addresses_of(f, "a.example.test");

	assert_int_equal(f->answer.address_count, 2);
	assert_non_null(strstr(text, "192.0.2.1"));
	assert_non_null(strstr(text, "2001:db8::1"));
	assert_string_equal(addresses_of(f, "v4.test"), "192.0.2.4");
	assert_int_equal(f->answer.result, DNS_FOUND);
	assert_string_equal(addresses_of(f, "localhost"), "127.0.0.1,::1");
}

static void
idn_is_asked_as_a_labels(void **state)
{
	struct fake *f = *state;

	assert_string_equal(addresses_of(f, "B\xc3\xbc" "cher.test"), "192.0.2.5");
}

static void
what_is_not_there_is_told_apart(void **state)
{
	struct fake *f = *state;

	mx_of(f, "nowhere.test");
	assert_int_equal(f->answer.result, DNS_NO_NAME);
	mx_of(f, "v4.test");
	assert_int_equal(f->answer.result, DNS_NO_DATA);
	addresses_of(f, "example.test");
	assert_int_equal(f->answer.result, DNS_NO_DATA);
	mx_of(f, "fails.test");
	assert_int_equal(f->answer.result, DNS_FAILED);
	addresses_of(f, "fails.test");
	assert_int_equal(f->answer.result, DNS_FAILED);
}

static void
impossible_names_are_not_asked(void **state)
{
	static const char *const names[] = {
		"", ".", "..", "a..test", ".test", "a b.test", "x\\032.test", "\xff\xfe.test", "a;b",
		"0123456789012345678901234567890123456789012345678901234567890123.test",
	};
	struct fake *f = *state;

	for (size_t i = 0; i < countof(names); i++) {
		mx_of(f, names[i]);
		assert_int_equal(f->answer.result, DNS_NO_NAME);
	}
	assert_int_equal(f->asked, 0);
}

static void
silence_is_a_failure_in_time(void **state)
{
	struct fake *f = *state;
	int64_t begun = clock_monotonic_ms();

	dns_set_timeout_ms(f->dns, 150);
	mx_of(f, "silent.test");
	assert_int_equal(f->answer.result, DNS_FAILED);
	assert_in_range(clock_monotonic_ms() - begun, 145, 3000);
	/* The late look-up finds nobody; the next question is not its victim. */
	assert_string_equal(addresses_of(f, "v4.test"), "192.0.2.4");
}

static void
cancelled_questions_are_not_answered(void **state)
{
	struct fake *f = *state;
	struct dns_question *q = dns_ask_mx(f->dns, STR("equal.test"), on_answered, f);

	dns_cancel(q);
	dns_cancel(NULL);
	dns_ask_addresses(f->dns, STR("silent.test"), on_answered, f);
	assert_string_equal(mx_of(f, "null.test"), "0 ");
	/* One's own question, from inside its answer, is gone already. */
	buf_clear(&f->text);
	f->cancels = dns_ask_mx(f->dns, STR("null.test"), on_answered, f);
	wait_for(f);
}

static void
too_many_questions_fail_and_do_no_harm(void **state)
{
	enum { MANY = 1100 };
	struct fake *f = *state;
	struct dns_question *q[MANY];
	scoped_buf name = BUF_INIT;

	for (int i = 0; i < MANY; i++) {
		buf_clear(&name);
		buf_printf(&name, "x%d.test", i);
		q[i] = dns_ask_mx(f->dns, buf_str(&name), on_answered, f);
	}
	wait_for(f);
	assert_int_equal(f->answer.result, DNS_FAILED);
	assert_non_null(q[0]);
}

static void
without_servers_the_system_files_are_read(void **state)
{
	struct fake *f = *state;
	char *why = NULL;

	dns_free(f->dns);
	f->dns = dns_new(f->loop, NULL, 0, &why);
	assert_non_null(f->dns);
	assert_non_null(strstr(addresses_of(f, "localhost"), "127.0.0.1"));
}

static void
servers_must_be_addresses(void **state)
{
	static const char *const names[] = { "ns.example.test", "127.0.0.1@0", "127.0.0.1@x", "" };
	struct fake *f = *state;

	for (size_t i = 0; i < countof(names); i++) {
		char *why = NULL;

		assert_null(dns_new(f->loop, &names[i], 1, &why));
		assert_non_null(why);
		free(why);
	}
}

static void
names_in_packets_end(void **state)
{
	static const char loop[] = "\x01" "a" "\xc0\x00", forward[] = "\xc0\x02\x01" "a\x00";
	static const char good[] = "\x01" "a\x00\x01" "b\xc0\x00";
	scoped_buf out = BUF_INIT;
	size_t at = 0;

	(void)state;
	assert_false(dns_name_read((struct str){ loop, 4 }, &at, &out));
	at = 2;
	assert_false(dns_name_read((struct str){ loop, 4 }, &at, &out) && out.n > 2);
	at = 0;
	assert_false(dns_name_read((struct str){ forward, 5 }, &at, &out));
	at = 3;
	buf_clear(&out);
	assert_true(dns_name_read((struct str){ good, 7 }, &at, &out));
	assert_int_equal(at, 7);
	assert_string_equal(buf_z(&out), "b.a");
	at = 3;
	assert_false(dns_name_read((struct str){ good, 6 }, &at, &out));
}

#define with_server(test) cmocka_unit_test_setup_teardown(test, fake_open, fake_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_server(mail_exchangers_come_by_preference),
		with_server(equal_preferences_are_shuffled),
		with_server(null_mx_is_an_empty_host),
		with_server(malformed_hosts_are_left_out_and_alone_are_a_failure),
		with_server(both_families_in_one_answer),
		with_server(idn_is_asked_as_a_labels),
		with_server(what_is_not_there_is_told_apart),
		with_server(impossible_names_are_not_asked),
		with_server(silence_is_a_failure_in_time),
		with_server(cancelled_questions_are_not_answered),
		with_server(too_many_questions_fail_and_do_no_harm),
		with_server(without_servers_the_system_files_are_read),
		with_server(servers_must_be_addresses),
		cmocka_unit_test(names_in_packets_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
