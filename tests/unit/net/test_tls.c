/* SPDX-License-Identifier: ISC */
/*
 * Keys that are elsewhere: what they sign and what they do not, with each kind of key and both versions
 * of TLS, and session tickets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/ssl.h>
#include <sys/socket.h>

#include "tests/unit/net/peers.h"

enum { RSA_PKCS1 = 0x0401, RSA_PSS = 0x0804, ECDSA_256 = 0x0403, ED25519 = 0x0807 };

struct visit {
	int version;
	const char *ciphers;		/* of TLS 1.2 */
	const char *algorithms;		/* SSL_CTX_set1_sigalgs_list */
	SSL_SESSION *resume;		/* taken over */
	/* results */
	bool works;
	bool resumed;
	int signature;			/* NID of its kind */
	SSL_SESSION *session;		/* what the server gave, if anything */
};

static int
keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct visit *v = SSL_get_app_data(ssl);

	SSL_SESSION_free(v->session);
	v->session = session;
	return 1;
}

static SSL *
make_client(SSL_CTX *ctx, struct visit *v, int fd)
{
	SSL *ssl;

	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, keep_session);
	if (v->algorithms != NULL)
		assert_int_equal(SSL_CTX_set1_sigalgs_list(ctx, v->algorithms), 1);
	if (v->ciphers != NULL)
		assert_int_equal(SSL_CTX_set_cipher_list(ctx, v->ciphers), 1);
	ssl = SSL_new(ctx);
	SSL_set_app_data(ssl, v);
	SSL_set_fd(ssl, fd);
	SSL_set_max_proto_version(ssl, v->version);
	SSL_set_min_proto_version(ssl, v->version);
	if (v->resume != NULL)
		assert_int_equal(SSL_set_session(ssl, v->resume), 1);
	SSL_SESSION_free(v->resume);
	v->resume = NULL;
	SSL_set_connect_state(ssl);
	return ssl;
}

/* A handshake and one line from the server, behind which the tickets have come. */
static void
visit(struct tls_context *server, struct visit *v)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct pair p;
	char line[8];
	int ends[2], got = -1;
	SSL *ssl;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	pair_open_with(&p, dup(ends[1]), ends[0]);
	stream_pause(p.a.stream);
	stream_accept_tls(p.b.stream, server);
	ssl = make_client(ctx, v, ends[1]);
	while (!p.b.seen[STREAM_SECURE] && !p.b.seen[STREAM_BROKEN]) {
		SSL_do_handshake(ssl);
		run_ms(&p, 1);
	}
	v->works = SSL_do_handshake(ssl) == 1 && p.b.seen[STREAM_SECURE];
	if (v->works) {
		v->resumed = SSL_session_reused(ssl) == 1;
		SSL_get_peer_signature_type_nid(ssl, &v->signature);
		say(&p.b, "hello");
		run_until(&p, (got = SSL_read(ssl, line, sizeof(line))) > 0);
		assert_int_equal(got, 5);
	}
	/* OpenSSL resumes no session that ended without a goodbye. */
	SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(ends[1]);
	pair_close(&p);
}

static bool
visit_works(struct tls_context *server, int version, const char *ciphers, const char *algorithms)
{
	struct visit v = { .version = version, .ciphers = ciphers, .algorithms = algorithms };

	visit(server, &v);
	SSL_SESSION_free(v.session);
	return v.works;
}

/* ---- handshakes ---- */

static void
every_kind_of_key_serves_both_versions(void **state)
{
	static const struct {
		const char *certificate, *key;
		int signature;
	} rows[] = {
		{ "ec.crt", "ec.key", EVP_PKEY_EC },
		{ "p384.crt", "p384.key", EVP_PKEY_EC },
		{ "rsa.crt", "rsa.key", EVP_PKEY_RSA_PSS },
		{ "ed.crt", "ed.key", EVP_PKEY_ED25519 },
	};
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

	(void)state;
	for (size_t i = 0; i < countof(rows) * 2; i++) {
		struct tls_context *server = server_with(rows[i / 2].certificate, rows[i / 2].key,
		    "imap");
		struct visit v = { .version = versions[i % 2] };

		visit(server, &v);
		assert_true(v.works);
		assert_int_equal(v.signature, rows[i / 2].signature);
		assert_null(v.session);		/* there are no ticket keys yet */
		tls_context_free(server);
	}
}

static void
every_algorithm_of_an_rsa_key_is_served(void **state)
{
	struct tls_context *server = server_with("rsa.crt", "rsa.key", "imap");

	(void)state;
	assert_true(visit_works(server, TLS1_2_VERSION, NULL, "RSA+SHA256"));
	assert_true(visit_works(server, TLS1_2_VERSION, NULL, "RSA+SHA384"));
	assert_true(visit_works(server, TLS1_2_VERSION, NULL, "RSA+SHA512"));
	assert_true(visit_works(server, TLS1_2_VERSION, NULL, "RSA-PSS+SHA384"));
	assert_true(visit_works(server, TLS1_3_VERSION, NULL, "RSA-PSS+SHA512:RSA+SHA256"));
	assert_true(visit_works(server, TLS1_2_VERSION, "DHE-RSA-AES256-GCM-SHA384", NULL));
	assert_false(visit_works(server, TLS1_2_VERSION, NULL, "RSA+SHA1:RSA+SHA224"));
	tls_context_free(server);
}

static void
nobody_may_encrypt_to_the_key(void **state)
{
	struct tls_context *server = server_with("rsa.crt", "rsa.key", "imap");

	(void)state;
	assert_false(visit_works(server, TLS1_2_VERSION, "kRSA", NULL));
	tls_context_free(server);
}

static bool
refuse(void *calls, uint16_t scheme, struct str input, struct buf *signature)
{
	(void)scheme;
	(void)input;
	(void)signature;
	++*(int *)calls;
	return false;
}

static bool
sign_nonsense(void *calls, uint16_t scheme, struct str input, struct buf *signature)
{
	(void)scheme;
	(void)input;
	for (size_t i = 0; i < 10000; i++)
		buf_put_c(signature, 'x');
	++*(int *)calls;
	return true;
}

static void
a_signature_that_cannot_be_had_fails_only_the_handshake(void **state)
{
	tls_sign *const bad[] = { refuse, sign_nonsense };

	(void)state;
	for (size_t i = 0; i < countof(bad); i++) {
		scoped_buf chain = BUF_INIT;
		char *why = NULL;
		struct tls_key *key = tls_key_read(test_file("ec.crt"), test_file("ec.key"), &chain, &why);
		int calls = 0;
		struct tls_context *server = tls_server_new(buf_str(&chain), "imap", bad[i], &calls,
		    &why);

		assert_non_null(key);
		assert_non_null(server);
		assert_false(visit_works(server, TLS1_3_VERSION, NULL, NULL));
		assert_false(visit_works(server, TLS1_2_VERSION, NULL, NULL));
		assert_int_equal(calls, 2);
		tls_context_free(server);
		tls_key_free(key);
	}
}

static void
a_chain_without_a_certificate_is_told(void **state)
{
	char *why = NULL;

	(void)state;
	assert_null(tls_server_new(STR("no certificate"), "imap", refuse, NULL, &why));
	assert_non_null(why);
	free(why);
}

/* ---- what is signed ---- */

static struct tls_key *
key_of(const char *certificate, const char *key)
{
	scoped_buf chain = BUF_INIT;
	char *why = NULL;
	struct tls_key *made = tls_key_read(test_file(certificate), test_file(key), &chain, &why);

	assert_non_null(made);
	return made;
}

static bool
signs(const char *name, uint16_t scheme, struct str input)
{
	scoped_buf signature = BUF_INIT, crt = BUF_INIT, pem = BUF_INIT;
	struct tls_key *key;
	bool done;

	buf_printf(&crt, "%s.crt", name);
	buf_printf(&pem, "%s.key", name);
	key = key_of(buf_z(&crt), buf_z(&pem));
	done = tls_key_sign(key, scheme, input, &signature);
	assert_true(done == (signature.n > 0));
	tls_key_free(key);
	return done;
}

static void
put_certificate_verify(struct buf *out, const char *words, size_t hash)
{
	buf_clear(out);
	for (size_t i = 0; i < 64; i++)
		buf_put_c(out, ' ');
	buf_put(out, (struct str){ words, strlen(words) + 1 });
	for (size_t i = 0; i < hash; i++)
		buf_put_c(out, (char)i);
}

static void
only_tls13_handshakes_of_a_server_are_signed(void **state)
{
	const char *words = "TLS 1.3, server CertificateVerify";
	scoped_buf input = BUF_INIT;

	(void)state;
	put_certificate_verify(&input, words, 32);
	assert_true(signs("ec", ECDSA_256, buf_str(&input)));
	assert_true(signs("rsa", RSA_PSS, buf_str(&input)));
	assert_true(signs("ed", ED25519, buf_str(&input)));
	/* RFC 8446 4.4.3: not by RSASSA-PKCS1-v1_5. */
	assert_false(signs("rsa", RSA_PKCS1, buf_str(&input)));
	assert_false(signs("ec", RSA_PSS, buf_str(&input)));
	assert_false(signs("rsa", ECDSA_256, buf_str(&input)));
	assert_false(signs("ec", 0, buf_str(&input)));
	input.p[0] = '!';
	assert_false(signs("ec", ECDSA_256, buf_str(&input)));
	put_certificate_verify(&input, words, 48);
	assert_true(signs("ec", ECDSA_256, buf_str(&input)));
	put_certificate_verify(&input, words, 33);
	assert_false(signs("ec", ECDSA_256, buf_str(&input)));
	put_certificate_verify(&input, "TLS 1.3, client CertificateVerify", 32);
	assert_false(signs("ec", ECDSA_256, buf_str(&input)));
	assert_false(signs("ec", ECDSA_256, STR("From: a@example.test")));
	assert_false(signs("ec", ECDSA_256, STR_EMPTY));
}

static void
put_many(struct buf *out, char c, size_t n)
{
	while (n-- > 0)
		buf_put_c(out, c);
}

static void
only_tls12_key_exchanges_are_signed(void **state)
{
	scoped_buf input = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < 64; i++)
		buf_put_c(&input, (char)(i * 7));
	assert_false(signs("ec", ECDSA_256, buf_str(&input)));
	buf_put(&input, (struct str){ "\3\0\27\2xy", 6 });		/* a named curve, too short a point */
	assert_false(signs("ec", ECDSA_256, buf_str(&input)));
	buf_cut(&input, 64);
	buf_put(&input, (struct str){ "\3\0\35\40", 4 });		/* X25519 */
	put_many(&input, 'x', 32);
	assert_true(signs("ec", ECDSA_256, buf_str(&input)));
	assert_true(signs("rsa", RSA_PKCS1, buf_str(&input)));
	assert_true(signs("rsa", RSA_PSS, buf_str(&input)));
	buf_put_c(&input, 'z');
	assert_false(signs("ec", ECDSA_256, buf_str(&input)));
	buf_cut(&input, input.n - 2);
	assert_false(signs("ec", ECDSA_256, buf_str(&input)));
	buf_cut(&input, 64);
	buf_put(&input, (struct str){ "\0\1p\0\1g\0\1y", 9 });		/* p, g, Ys */
	put_many(&input, 'z', 512);
	assert_false(signs("rsa", RSA_PKCS1, buf_str(&input)));
	buf_cut(&input, 64);
	buf_put(&input, (struct str){ "\1\0", 2 });
	put_many(&input, 'p', 256);
	buf_put(&input, (struct str){ "\0\1g\1\0", 5 });
	put_many(&input, 'y', 256);
	assert_true(signs("rsa", RSA_PKCS1, buf_str(&input)));
	buf_put_c(&input, 'z');
	assert_false(signs("rsa", RSA_PKCS1, buf_str(&input)));
}

/* ---- tickets: these come last, keys do not go away ---- */

static struct str
ticket_key(char c, char *room)
{
	memset(room, c, TLS_TICKET_KEY);
	return (struct str){ room, TLS_TICKET_KEY };
}

/* A session from one server, taken to another of the same daemon (or not). */
static bool
is_resumed(struct tls_context *from, struct tls_context *to, int version, struct str current,
    struct str previous)
{
	struct visit v = { .version = version };

	visit(from, &v);
	assert_true(v.works);
	assert_non_null(v.session);
	if (current.n > 0)
		tls_use_ticket_keys(current, previous);
	v.resume = v.session;
	v.session = NULL;
	visit(to, &v);
	assert_true(v.works);
	SSL_SESSION_free(v.session);
	return v.resumed;
}

static void
tickets_are_taken_under_two_keys_by_all_servers_of_a_service(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct tls_context *one = server_with("ec.crt", "ec.key", "imap");
	struct tls_context *other = server_with("rsa.crt", "rsa.key", "imap");
	struct tls_context *pop3 = server_with("ec.crt", "ec.key", "pop3");
	char a[TLS_TICKET_KEY], b[TLS_TICKET_KEY], c[TLS_TICKET_KEY], d[TLS_TICKET_KEY];

	(void)state;
	ticket_key('a', a);
	ticket_key('b', b);
	for (size_t i = 0; i < countof(versions); i++) {
		tls_use_ticket_keys(ticket_key('a', a), STR_EMPTY);
		assert_true(is_resumed(one, one, versions[i], STR_EMPTY, STR_EMPTY));
		assert_true(is_resumed(one, other, versions[i], STR_EMPTY, STR_EMPTY));
		assert_false(is_resumed(one, pop3, versions[i], STR_EMPTY, STR_EMPTY));
		assert_true(is_resumed(one, one, versions[i], ticket_key('b', b), (struct str){ a, sizeof(a) }));
		/* One that was started again and knows no previous key. */
		assert_true(is_resumed(one, one, versions[i], ticket_key('c', c), STR_EMPTY));
		assert_false(is_resumed(one, one, versions[i], ticket_key('d', d), (struct str){ a, sizeof(a) }));
		/* The same one told again forgets nothing. */
		tls_use_ticket_keys(ticket_key('a', a), STR_EMPTY);
		tls_use_ticket_keys(ticket_key('b', b), STR_EMPTY);
		assert_true(is_resumed(one, one, versions[i], ticket_key('c', c), STR_EMPTY));
		tls_use_ticket_keys(ticket_key('d', d), STR_EMPTY);
		assert_true(is_resumed(one, one, versions[i], ticket_key('d', d), STR_EMPTY));
	}
	tls_context_free(one);
	tls_context_free(other);
	tls_context_free(pop3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_key_serves_both_versions),
		cmocka_unit_test(every_algorithm_of_an_rsa_key_is_served),
		cmocka_unit_test(nobody_may_encrypt_to_the_key),
		cmocka_unit_test(a_signature_that_cannot_be_had_fails_only_the_handshake),
		cmocka_unit_test(a_chain_without_a_certificate_is_told),
		cmocka_unit_test(only_tls13_handshakes_of_a_server_are_signed),
		cmocka_unit_test(only_tls12_key_exchanges_are_signed),
		cmocka_unit_test(tickets_are_taken_under_two_keys_by_all_servers_of_a_service),
	};

	return cmocka_run_group_tests(tests, contexts_make, contexts_free);
}
