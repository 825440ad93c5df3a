/* SPDX-License-Identifier: ISC */
/* Every fault a configuration can have, and that what is printed is what is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/daemon/host_name.h"
#include "common/daemon/settings.h"

static struct settings *
read_good(const char *text)
{
	char *why = NULL;
	struct settings *s = settings_parse("/etc/t/trivet.conf", str_of(text), &why);

	if (s == NULL)
		print_error("%s\n", why);
	free(why);
	assert_non_null(s);
	return s;
}

static void
an_empty_file_gives_the_defaults(void **state)
{
	struct settings *s = read_good("");

	(void)state;
	assert_string_equal(s->hostname, "");
	assert_string_equal(s->state_dir, "/var/lib/trivet");
	assert_int_equal(s->smtp_listen.count, 1);
	assert_int_equal(s->smtp_listen.addresses[0].port, 25);
	assert_true(s->smtp_listen.addresses[0].any);
	assert_int_equal(s->message_size_limit, 50 << 20);
	assert_int_equal(s->queue_retry.count, 1);
	assert_int_equal(s->queue_retry.seconds[0], 1800);
	assert_int_equal(s->queue_lifetime, 5 * 86400);
	assert_int_equal(s->plaintext_login.count, 0);
	settings_free(s);
}

static void
values_are_read_as_written(void **state)
{
	struct settings *s = read_good("\xef\xbb\xbf# a comment\r\n"
		"\r\n"
		"hostname=mail.example.org\r\n"
		"  state_dir =  ../var/state dir  \n"
		"\tsmtp_listen = 127.0.0.1:2525, [::1]:2525\n"
		"imaps_listen =\n"
		"plaintext_login = 127.0.0.0/8 ::1/128\n"
		"queue_retry = 5m,15m, 30m\n"
		"relay_domains = a.example, b.example\n"
		"default_quota = 1G\n"
		"recipient_delimiter =\n"
		"dns_servers = 127.0.0.1@5353, ::1\n"
		"relay_host = smart.example:587");

	(void)state;
	assert_string_equal(s->hostname, "mail.example.org");
	assert_string_equal(s->state_dir, "/etc/t/../var/state dir");
	assert_int_equal(s->smtp_listen.count, 2);
	assert_true(s->smtp_listen.addresses[1].is_v6);
	assert_int_equal(s->imaps_listen.count, 0);
	assert_int_equal(s->plaintext_login.count, 2);
	assert_int_equal(s->plaintext_login.networks[1].prefix, 128);
	assert_int_equal(s->queue_retry.count, 3);
	assert_int_equal(s->queue_retry.seconds[1], 900);
	assert_string_equal(s->relay_domains.words[1], "b.example");
	assert_int_equal(s->default_quota, 1 << 30);
	assert_string_equal(s->recipient_delimiter, "");
	assert_string_equal(s->relay_host, "smart.example:587");
	settings_free(s);
}

struct fault {
	const char *text;
	const char *said;	/* within *why */
};

static const struct fault faults[] = {
	{ "nosuch_thing_at_all = 1", "t.conf:1: there is no setting \"nosuch_thing_at_all\"; see" },
	{ "\n#x\nhostnam = a", "t.conf:3: there is no setting \"hostnam\"; is hostname meant?" },
	{ "Imap_Listen = *:1", "is imap_listen meant?" },
	{ "hostname", "t.conf:1: hostname: expected \"hostname = VALUE\"" },
	{ "user = a\nuser = b", "t.conf:2: user: is set in line 1 already" },
	{ "processes = two", "processes: expected a whole number, not \"two\"" },
	{ "processes = 4294967296", "processes: expected a whole number" },
	{ "processes = -1", "processes: expected a whole number" },
	{ "processes = 1000", "processes: expected 0 to 256" },
	{ "processes =", "processes: expected a whole number, not \"\"" },
	{ "message_size_limit = 5x", "expected a size in octets" },
	{ "message_size_limit = k", "expected a size in octets" },
	{ "message_size_limit = 9999999999G", "expected a size in octets" },
	{ "message_size_limit = 1k", "message_size_limit: expected 64k to 2047M" },
	{ "queue_lifetime = 5 days", "expected a time such as" },
	{ "queue_lifetime = 99999d", "expected a time such as" },
	{ "queue_lifetime = 0", "queue_lifetime: expected 1 to" },
	{ "queue_lifetime = 1h\nqueue_delay_notice = 2h", "t.conf:2: queue_delay_notice: expected less" },
	{ "queue_retry = 5m, 0", "expected times of at least 1s" },
	{ "queue_retry =", "expected times of at least 1s" },
	{ "smtp_listen = 127.0.0.1", "smtp_listen: expected ADDRESS:PORT" },
	{ "smtp_listen = *:0", "smtp_listen: expected ADDRESS:PORT" },
	{ "smtp_listen = mail.example:25", "smtp_listen: expected ADDRESS:PORT" },
	{ "imap_listen = 127.0.0.1:25", "t.conf:1: imap_listen: port 25 is used by smtp_listen already" },
	{ "imap_listen = *:1143, *:1143", "imap_listen: port 1143 is used by imap_listen already" },
	{ "plaintext_login = 10.0.0.1/8", "plaintext_login: expected networks" },
	{ "plaintext_login = localhost", "plaintext_login: expected networks" },
	{ "tls_key = key.pem", "t.conf:1: tls_key: needs tls_certificate" },
	{ "tls_certificate = c.pem", "t.conf:1: tls_certificate: needs tls_key" },
	{ "imaps_listen = *:1993", "t.conf:1: imaps_listen: needs tls_certificate and tls_key" },
	{ "pam_service = trivet", "t.conf:1: pam_service: needs pam_domain" },
	{ "pam_domain = a.example", "t.conf:1: pam_domain: needs pam_service" },
	{ "pam_service = ../x\npam_domain = a.example", "t.conf:1: pam_service: expected the name" },
	{ "pam_mail_dir = mail", "pam_mail_dir: expected a path that begins" },
	{ "hostname = two words", "hostname: expected a name such as" },
	{ "hostname = -a.example", "hostname: expected a name such as" },
	{ "default_domain = a..b", "default_domain: expected a name such as" },
	{ "relay_domains = ok.example, no_good", "relay_domains: expected a name such as" },
	{ "capabilities = -IDLE, QUOTA", "capabilities: expected -NAME or user@domain:-NAME" },
	{ "capabilities = alice:-IDLE", "not \"alice:-IDLE\"" },
	{ "capabilities = a@b.example:-imap4rev1", "but IMAP4rev1" },
	{ "log_level = loud", "log_level: expected error, warn, info or debug" },
	{ "recipient_delimiter = +-", "recipient_delimiter: expected one of" },
	{ "recipient_delimiter = .", "recipient_delimiter: expected one of" },
	{ "recipient_limit = 99", "recipient_limit: expected 100 to" },
	{ "relay_host = smart.example", "relay_host: expected NAME:PORT" },
	{ "relay_host = smart.example:70000", "relay_host: expected NAME:PORT" },
	{ "relay_host = *:25", "relay_host: expected NAME:PORT" },
	{ "dns_servers = 127.0.0.1, dns.example", "dns_servers: expected ADDRESS or" },
	{ "dns_servers = 127.0.0.1:53", "dns_servers: expected ADDRESS or" },
	{ "outgoing_smtp_port = 0", "outgoing_smtp_port: expected 1 to 65535" },
	{ "state_dir =", "state_dir: expected a folder" },
	{ "hostname = a\x01z", "hostname: the value holds a control character" },
	{ "log_file = \xff", "log_file: the value is not UTF-8" },
	{ "\x01 = 1", "found what is no text" },
};

static void
each_fault_is_named_with_its_line(void **state)
{
	char *why;

	(void)state;
	for (size_t i = 0; i < countof(faults); i++) {
		why = NULL;
		assert_null(settings_parse("/t.conf", str_of(faults[i].text), &why));
		assert_non_null(why);
		if (strstr(why, faults[i].said) == NULL)
			fail_msg("for \"%s\":\n%s\nwithout \"%s\"", faults[i].text, why,
				faults[i].said);
		free(why);
	}
}

static void
all_faults_are_told_at_once(void **state)
{
	char *why = NULL;

	(void)state;
	assert_null(settings_parse("/t.conf", STR("what = 1\nprocesses = x\nuser\n"), &why));
	assert_non_null(strstr(why, "/t.conf:1: "));
	assert_non_null(strstr(why, "\n/t.conf:2: "));
	assert_non_null(strstr(why, "\n/t.conf:3: "));
	free(why);
}

/* The sample with every setting's comment sign taken off. */
static void
take_comments_off(struct str sample, struct buf *out)
{
	struct str line;

	while (str_cut(&sample, '\n', &line)) {
		if (str_has_char(line, '=') && line.n > 1 && line.p[0] == '#'
		    && ascii_is_alpha(line.p[1]))
			line = str_from(line, 1);
		buf_put(out, line);
		buf_put_c(out, '\n');
	}
}

static void
the_sample_is_the_defaults(void **state)
{
	scoped_buf sample = BUF_INIT, bare = BUF_INIT, a = BUF_INIT, b = BUF_INIT;
	struct settings *defaults = read_good(""), *sampled, *bared;
	char *why = NULL;

	(void)state;
	settings_put_sample(&sample);
	sampled = read_good(buf_z(&sample));
	settings_put_values(&a, defaults, false);
	settings_put_values(&b, sampled, false);
	assert_string_equal(buf_z(&a), buf_z(&b));
	take_comments_off(buf_str(&sample), &bare);
	/* Set by hand, the doors of TLS want a certificate. */
	assert_null(settings_parse("/t", buf_str(&bare), &why));
	assert_non_null(strstr(why, "imaps_listen: needs tls_certificate"));
	free(why);
	buf_clear(&bare);
	take_comments_off(buf_str(&sample), &bare);
	buf_clear(&a);
	for (struct str rest = buf_str(&bare), line; str_cut(&rest, '\n', &line);)
		if (!str_starts(line, STR("imaps_listen")) && !str_starts(line, STR("pop3s_listen"))
		    && !str_starts(line, STR("submissions_listen"))) {
			buf_put(&a, line);
			buf_put_c(&a, '\n');
		}
	bared = read_good(buf_z(&a));
	buf_clear(&a);
	settings_put_values(&a, bared, false);
	assert_string_equal(buf_z(&a), buf_z(&b));
	settings_free(defaults);
	settings_free(sampled);
	settings_free(bared);
}

static void
what_is_printed_is_read_back(void **state)
{
	static const char text[] = "hostname = a.example\nsmtp_listen = 127.0.0.1:1, [::1]:1\n"
		"queue_retry = 90s, 1h\ndefault_quota = 1500k\nplaintext_login = ::1/128\n"
		"default_quota_messages = 7\nqueue_delay_notice = 0\nrelay_domains = x.example\nqueue_lifetime = 61s\n"
		"imaps_listen =\npop3s_listen =\nsubmissions_listen =\n";
	struct settings *first = read_good(text), *second;
	scoped_buf a = BUF_INIT, b = BUF_INIT;

	(void)state;
	settings_put_values(&a, first, false);
	second = read_good(buf_z(&a));
	settings_put_values(&b, second, false);
	assert_string_equal(buf_z(&a), buf_z(&b));
	assert_non_null(strstr(buf_z(&a), "default_quota = 1500k\n"));
	assert_non_null(strstr(buf_z(&a), "queue_retry = 90s, 1h\n"));
	settings_put_values(&b, first, true);
	assert_non_null(strstr(buf_z(&b), "\"default_quota\": 1536000,"));
	settings_free(first);
	settings_free(second);
}

static void
a_missing_file_says_what_to_do(void **state)
{
	char *why = NULL;

	(void)state;
	assert_null(settings_read("/nonexistent/trivet.conf", &why));
	assert_non_null(strstr(why, "there is no such file"));
	assert_non_null(strstr(why, "-c"));
	free(why);
	assert_null(settings_read("/", &why));
	assert_non_null(strstr(why, "cannot be read"));
	free(why);
}

static void
names_of_hosts(void **state)
{
	char long_label[66];

	(void)state;
	memset(long_label, 'a', 65);
	long_label[64] = '\0';
	assert_true(host_name_valid(STR("a")));
	assert_true(host_name_valid(STR("3com.example")));
	assert_true(host_name_valid(STR("xn--bcher-kva.example")));
	assert_false(host_name_valid(STR("")));
	assert_false(host_name_valid(STR(".")));
	assert_false(host_name_valid(STR("a.")));
	assert_false(host_name_valid(STR(".a")));
	assert_false(host_name_valid(STR("a..b")));
	assert_false(host_name_valid(STR("a-.b")));
	assert_false(host_name_valid(STR("a_b.c")));
	assert_false(host_name_valid(str_of(long_label)));
	assert_true(host_name_valid(str_from(str_of(long_label), 1)));
}

static void
the_hosts_file_gives_the_full_name(void **state)
{
	const struct str text = STR("127.0.0.1 localhost\n"
		"# 127.0.1.1 box.wrong.example box\n"
		"127.0.1.1\tbox.example.org box # it\n");
	struct str full;

	(void)state;
	assert_true(host_name_in_hosts(text, STR("box"), &full));
	assert_true(str_eq(full, STR("box.example.org")));
	assert_false(host_name_in_hosts(text, STR("localhost"), &full));
	assert_false(host_name_in_hosts(text, STR("other"), &full));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_file_gives_the_defaults),
		cmocka_unit_test(values_are_read_as_written),
		cmocka_unit_test(each_fault_is_named_with_its_line),
		cmocka_unit_test(all_faults_are_told_at_once),
		cmocka_unit_test(the_sample_is_the_defaults),
		cmocka_unit_test(what_is_printed_is_read_back),
		cmocka_unit_test(a_missing_file_says_what_to_do),
		cmocka_unit_test(names_of_hosts),
		cmocka_unit_test(the_hosts_file_gives_the_full_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
