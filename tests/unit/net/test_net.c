/* SPDX-License-Identifier: ISC */
/* Pumps, listeners, and the faults of certificates and of old clients that TLS tells in plain words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <fcntl.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/base/log.h"
#include "common/net/listener.h"
#include "common/net/pump.h"
#include "common/net/tls_session.h"
#include "tests/unit/net/peers.h"

/* A client and a keeper, each at the far end of a stream that a pump owns. */
struct pumped {
	struct pair far;	/* a: the client, b: the keeper */
	struct pump *pump;
	int ended;
};

static void
on_ended(void *context)
{
	struct pumped *t = context;

	t->ended++;
	t->pump = NULL;
}

static void
pumped_open(struct pumped *t)
{
	int client[2], keeper[2];
	struct stream *near_client, *near_keeper;

	*t = (struct pumped){ 0 };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, client), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, keeper), 0);
	pair_open_with(&t->far, client[0], keeper[0]);
	near_client = stream_new(t->far.loop, client[1], NULL, NULL);
	near_keeper = stream_new(t->far.loop, keeper[1], NULL, NULL);
	say(&t->far.a, "pipelined before the pump;");
	run_ms(&t->far, 5);
	t->pump = pump_new(near_client, near_keeper, on_ended, t);
	run_until(&t->far, t->far.b.in.n == 26);
	t->far.b.received = 0;
	t->far.b.garbled = false;
}

static void
pumped_close(struct pumped *t)
{
	pump_free(t->pump);
	pair_close(&t->far);
}

static void
pump_carries_both_ways_and_ends_with_the_keeper(void **state)
{
	enum { MUCH = 3 * 1000 * 1000 };
	struct pumped t;

	(void)state;
	pumped_open(&t);
	t.far.a.to_send = t.far.b.to_send = MUCH;
	produce(&t.far.a);
	produce(&t.far.b);
	run_until(&t.far, t.far.a.received == MUCH && t.far.b.received == MUCH);
	assert_false(t.far.a.garbled || t.far.b.garbled);
	say(&t.far.b, "* BYE");
	stream_finish(t.far.b.stream);
	t.far.b.stream = NULL;
	run_until(&t.far, t.far.a.seen[STREAM_EOF]);
	assert_int_equal(t.far.a.received, MUCH + 5);
	assert_int_equal(t.ended, 1);
	pumped_close(&t);
}

static void
pump_holds_little_for_a_slow_client_and_loses_nothing_at_the_end(void **state)
{
	enum { MUCH = 2 * 1000 * 1000 };
	struct pumped t;

	(void)state;
	pumped_open(&t);
	stream_pause(t.far.a.stream);
	t.far.b.to_send = MUCH;
	produce(&t.far.b);
	run_ms(&t.far, 50);
	/* Two socket buffers, the pump's output and one input: not all of it. */
	assert_true(t.far.b.sent - stream_output(t.far.b.stream)->n < MUCH - 200 * 1000);
	stream_resume(t.far.a.stream);
	run_until(&t.far, t.far.b.sent == MUCH && stream_output(t.far.b.stream)->n == 0);
	stream_pause(t.far.a.stream);
	stream_free(t.far.b.stream);
	t.far.b.stream = NULL;
	run_ms(&t.far, 20);
	stream_resume(t.far.a.stream);
	run_until(&t.far, t.far.a.seen[STREAM_EOF]);
	assert_int_equal(t.far.a.received, MUCH);
	assert_false(t.far.a.garbled);
	run_until(&t.far, t.ended == 1);
	pumped_close(&t);
}

static void
pump_tells_the_keeper_of_the_clients_end_and_brings_the_answer(void **state)
{
	struct pumped t;

	(void)state;
	pumped_open(&t);
	say(&t.far.a, "LOGOUT");
	stream_shut_output(t.far.a.stream);
	run_until(&t.far, t.far.b.seen[STREAM_EOF]);
	assert_int_equal(t.far.b.received, 6);
	assert_int_equal(t.ended, 0);
	say(&t.far.b, "BYE");
	stream_finish(t.far.b.stream);
	t.far.b.stream = NULL;
	run_until(&t.far, t.far.a.seen[STREAM_EOF]);
	assert_int_equal(t.far.a.received, 3);
	assert_int_equal(t.ended, 1);
	pumped_close(&t);
}

static void
pump_hears_an_end_from_before_it_was_made(void **state)
{
	struct pair far;
	struct pumped t = { 0 };
	int client[2], keeper[2];
	struct stream *near_client;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, client), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, keeper), 0);
	pair_open_with(&far, client[0], keeper[0]);
	near_client = stream_new(far.loop, client[1], NULL, NULL);
	stream_shut_output(far.a.stream);
	run_ms(&far, 5);
	t.pump = pump_new(near_client, stream_new(far.loop, keeper[1], NULL, NULL), on_ended, &t);
	run_until(&far, far.b.seen[STREAM_EOF]);
	pump_free(t.pump);
	pair_close(&far);
}

static void
pump_ends_when_the_client_is_gone(void **state)
{
	struct pumped t;

	(void)state;
	pumped_open(&t);
	stream_free(t.far.a.stream);
	t.far.a.stream = NULL;
	run_until(&t.far, t.far.b.seen[STREAM_EOF]);
	say(&t.far.b, "anybody there?");
	run_until(&t.far, t.ended == 1);
	pumped_close(&t);
}

static void
on_tick(void *context)
{
	loop_stop(context);
}

struct accepting {
	struct listener *listener;
	int count, fds[40];
	struct net_address peer, local;
	bool frees;
};

static void
on_accepted(void *context, int fd, const struct net_address *peer, const struct net_address *local)
{
	struct accepting *t = context;

	assert_true(t->count < 40);
	t->fds[t->count++] = fd;
	t->peer = *peer;
	t->local = *local;
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	if (t->frees) {
		listener_free(t->listener);
		t->listener = NULL;
	}
}

static int
bind_somewhere(struct net_address *at)
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);
	int fd;

	*at = (struct net_address){ .bytes = { 127, 0, 0, 1 } };
	fd = listener_bind(at, false);
	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	net_address_from_sockaddr((struct sockaddr *)&sa, at);
	return fd;
}

static int
connect_to(const struct net_address *at)
{
	struct sockaddr_storage sa;
	socklen_t n = net_address_to_sockaddr(at, &sa);
	int fd = socket(sa.ss_family, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&sa, n), 0);
	return fd;
}

static void
listener_accepts_pauses_and_resumes(void **state)
{
	struct pair p = { .loop = loop_new() };
	struct accepting t = { 0 };
	struct net_address at;
	int fd = bind_somewhere(&at), clients[40];

	(void)state;
	p.tick = timer_new(p.loop, on_tick, p.loop);
	t.listener = listener_new(p.loop, fd, on_accepted, &t);
	for (int i = 0; i < 30; i++)
		clients[i] = connect_to(&at);
	run_until(&p, t.count == 30);
	assert_true(net_address_is_loopback(&t.peer));
	assert_int_equal(t.local.port, at.port);
	listener_pause(t.listener);
	clients[30] = connect_to(&at);
	run_ms(&p, 10);
	assert_int_equal(t.count, 30);
	listener_resume(t.listener);
	run_until(&p, t.count == 31);
	t.frees = true;
	clients[31] = connect_to(&at);
	clients[32] = connect_to(&at);
	run_until(&p, t.listener == NULL);
	run_ms(&p, 5);
	assert_int_equal(t.count, 32);
	for (int i = 0; i < 33; i++)
		close(clients[i]);
	for (int i = 0; i < t.count; i++)
		close(t.fds[i]);
	close(fd);
	timer_free(p.tick);
	loop_free(p.loop);
}

static int complaints;

static void
count_complaint(struct str line)
{
	if (str_find(line, STR("accept-paused")) < line.n)
		complaints++;
}

static void
out_of_descriptors_pauses_accepting(void **state)
{
	struct pair p = { .loop = loop_new() };
	struct accepting t = { 0 };
	struct net_address at;
	struct rlimit before, none;
	int fd = bind_somewhere(&at), client = connect_to(&at);

	(void)state;
	log_set_sink(count_complaint);
	p.tick = timer_new(p.loop, on_tick, p.loop);
	t.listener = listener_new(p.loop, fd, on_accepted, &t);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){ (rlim_t)client + 1, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	run_ms(&p, 250);
	assert_int_equal(t.count, 0);
	assert_int_equal(complaints, 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	run_until(&p, t.count == 1);
	close(t.fds[0]);
	listener_free(t.listener);
	close(client);
	close(fd);
	timer_free(p.tick);
	loop_free(p.loop);
}

static void
all_addresses_are_one_socket(void **state)
{
	struct net_address any = { .any = true }, at = { .bytes = { 127, 0, 0, 1 } }, bound;
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);
	int fd = listener_bind(&any, false), client, again;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	net_address_from_sockaddr((struct sockaddr *)&sa, &bound);
	at.port = bound.port;
	client = connect_to(&at);
	again = listener_bind(&at, false);
	assert_int_equal(again, -1);
	/* Unless the two share the port, as at a reload that narrows it. */
	assert_true(listener_share(fd, true));
	assert_int_equal(listener_bind(&at, false), -1);
	again = listener_bind(&at, true);
	assert_true(again >= 0);
	close(again);
	close(client);
	close(fd);
}

static void
certificate_faults_are_told_in_plain_words(void **state)
{
	static const struct {
		const char *certificate, *key, *words;
	} rows[] = {
		{ "/nowhere/a.crt", "ec.key", "No such file" },
		{ "ec.crt", "/nowhere/a.key", "No such file" },
		{ "ec.key", "ec.key", "no usable certificate" },
		{ "ec.crt", "ec.crt", "no usable private key" },
		{ "ec.crt", "rsa.key", "does not fit the certificate" },
	};

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		const char *certificate = rows[i].certificate, *key = rows[i].key;
		scoped_buf chain = BUF_INIT;
		char *why = NULL;

		if (certificate[0] != '/')
			certificate = test_file(certificate);
		if (key[0] != '/')
			key = test_file(key);
		assert_null(tls_key_read(certificate, key, &chain, &why));
		assert_non_null(why);
		assert_non_null(strstr(why, rows[i].words));
		assert_non_null(strchr(why, ';'));
		free(why);
	}
}

/* One handshake by hand, with a client that offers this ALPN (or none) and speaks at most this version. */
static bool
handshake_works(struct tls_context *server, const char *alpn, int version)
{
	struct pair p;
	int ends[2];
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	bool works;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	pair_open_with(&p, dup(ends[1]), ends[0]);
	stream_pause(p.a.stream);
	stream_accept_tls(p.b.stream, server);
	SSL_set_fd(ssl, ends[1]);
	SSL_set_security_level(ssl, 0);
	SSL_set_min_proto_version(ssl, 0);
	SSL_set_max_proto_version(ssl, version);
	if (alpn != NULL)
		SSL_set_alpn_protos(ssl, (const unsigned char *)alpn, (unsigned)strlen(alpn));
	SSL_set_connect_state(ssl);
	while (!p.b.seen[STREAM_SECURE] && !p.b.seen[STREAM_BROKEN]) {
		SSL_do_handshake(ssl);
		run_ms(&p, 1);
	}
	works = SSL_do_handshake(ssl) == 1 && p.b.seen[STREAM_SECURE];
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(ends[1]);
	pair_close(&p);
	return works;
}

static void
alpn_of_another_protocol_is_refused(void **state)
{
	struct tls_context *imap = server_context();

	(void)state;
	assert_true(handshake_works(imap, NULL, TLS1_3_VERSION));
	assert_true(handshake_works(imap, "\4imap", TLS1_3_VERSION));
	assert_true(handshake_works(imap, "\2h2\4imap", TLS1_3_VERSION));
	assert_false(handshake_works(imap, "\2h2\10http/1.1", TLS1_3_VERSION));
	assert_false(handshake_works(imap, "\4pop3", TLS1_2_VERSION));
}

static void
old_versions_are_refused(void **state)
{
	struct tls_context *rsa = server_with("rsa.crt", "rsa.key", "pop3");

	(void)state;
	assert_true(handshake_works(rsa, "\4pop3", TLS1_2_VERSION));
	assert_false(handshake_works(rsa, NULL, TLS1_1_VERSION));
	tls_context_free(rsa);
}

static void
streams_outlive_their_context(void **state)
{
	struct pair p;
	struct tls_context *server = server_with("ec.crt", "ec.key", "smtp");

	(void)state;
	pair_open(&p, PLAIN);
	stream_accept_tls(p.b.stream, server);
	tls_context_free(server);
	stream_connect_tls(p.a.stream, client_context(), "127.0.0.1");
	run_until(&p, p.a.seen[STREAM_SECURE] && p.b.seen[STREAM_SECURE]);
	say(&p.b, "still here");
	run_until(&p, p.a.in.n == 10);
	pair_close(&p);
}

static int arrivals;

static void
on_arrival(void *context)
{
	(void)context;
	arrivals++;
}

static void
signals_come_from_the_loop(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, PLAIN);
	loop_on_signal(p.loop, SIGUSR1, on_arrival, NULL);
	raise(SIGUSR1);
	assert_int_equal(arrivals, 0);
	run_until(&p, arrivals == 1);
	pair_close(&p);
}

static void
child_has_a_loop_of_its_own(void **state)
{
	struct pair p;
	pid_t child;
	int status;

	(void)state;
	pair_open(&p, PLAIN);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		loop_after_fork(p.loop);
		stream_free(p.a.stream);
		say(&p.b, "from the child");
		run_ms(&p, 5);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	run_until(&p, p.a.in.n == 14);
	pair_close(&p);
}

static void
stop_before_run_is_not_lost(void **state)
{
	struct loop *loop = loop_new();

	(void)state;
	loop_stop(loop);
	loop_run(loop);
	loop_free(loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pump_carries_both_ways_and_ends_with_the_keeper),
		cmocka_unit_test(pump_holds_little_for_a_slow_client_and_loses_nothing_at_the_end),
		cmocka_unit_test(pump_tells_the_keeper_of_the_clients_end_and_brings_the_answer),
		cmocka_unit_test(pump_hears_an_end_from_before_it_was_made),
		cmocka_unit_test(pump_ends_when_the_client_is_gone),
		cmocka_unit_test(listener_accepts_pauses_and_resumes),
		cmocka_unit_test(out_of_descriptors_pauses_accepting),
		cmocka_unit_test(all_addresses_are_one_socket),
		cmocka_unit_test(certificate_faults_are_told_in_plain_words),
		cmocka_unit_test(alpn_of_another_protocol_is_refused),
		cmocka_unit_test(old_versions_are_refused),
		cmocka_unit_test(streams_outlive_their_context),
		cmocka_unit_test(signals_come_from_the_loop),
		cmocka_unit_test(child_has_a_loop_of_its_own),
		cmocka_unit_test(stop_before_run_is_not_lost),
	};

	return cmocka_run_group_tests(tests, contexts_make, contexts_free);
}
