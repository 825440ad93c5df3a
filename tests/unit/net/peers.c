/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "tests/unit/net/peers.h"

static char folder[] = "/tmp/trivet-net-XXXXXX";
static const char *const names[] = {
	"ec.crt", "ec.key", "p384.crt", "p384.key", "rsa.crt", "rsa.key", "ed.crt", "ed.key",
};
static struct tls_context *server, *client;
static struct tls_key *keys[32];
static size_t key_count;

char
pattern(size_t at)
{
	return (char)(at * 7 + at / 251);
}

void
take_all(struct peer *peer)
{
	struct buf *in = stream_input(peer->stream);

	for (size_t i = 0; i < in->n; i++)
		if (in->p[i] != pattern(peer->received + i))
			peer->garbled = true;
	if (peer->in.n < 4096)
		buf_put(&peer->in, buf_str(in));
	peer->received += in->n;
	buf_take(in, in->n);
}

void
produce(struct peer *peer)
{
	struct buf *out = stream_output(peer->stream);

	while (peer->sent < peer->to_send && !stream_is_full(peer->stream)) {
		for (size_t i = 0; i < PIECE && peer->sent < peer->to_send; i++)
			buf_put_c(out, pattern(peer->sent++));
		if (out->n > peer->most_output)
			peer->most_output = out->n;
	}
	stream_flush(peer->stream);
}

static void
on_input(struct peer *peer)
{
	if (peer->frees) {
		stream_free(peer->stream);
		peer->stream = NULL;
	} else if (peer->finishes) {
		say(peer, "bye");
		stream_finish(peer->stream);
		peer->stream = NULL;
	} else if (!peer->keeps) {
		take_all(peer);
	}
}

static void
on_event(void *context, struct stream *stream, enum stream_event event)
{
	struct peer *peer = context;

	assert_ptr_equal(stream, peer->stream);
	peer->calls++;
	peer->seen[event] = true;
	if (event == STREAM_INPUT)
		on_input(peer);
	else if (event == STREAM_DRAINED && peer->to_send > 0)
		produce(peer);
}

void
peer_begin(struct peer *peer, struct loop *loop, int fd)
{
	*peer = (struct peer){ 0 };
	peer->stream = stream_new(loop, fd, on_event, peer);
}

static void
on_tick(void *context)
{
	loop_stop(context);
}

void
pair_open_with(struct pair *p, int a, int b)
{
	p->loop = loop_new();
	p->tick = timer_new(p->loop, on_tick, p->loop);
	peer_begin(&p->a, p->loop, a);
	peer_begin(&p->b, p->loop, b);
}

void
pair_open(struct pair *p, enum kind kind)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	pair_open_with(p, ends[0], ends[1]);
	if (kind == PLAIN)
		return;
	stream_accept_tls(p->b.stream, server_context());
	stream_connect_tls(p->a.stream, client_context(), "mail.example.test");
	run_until(p, p->a.seen[STREAM_SECURE] && p->b.seen[STREAM_SECURE]);
	p->a.calls = p->b.calls = 0;
}

/* What still finishes has its second to do so: nothing may leak. */
void
pair_close(struct pair *p)
{
	stream_free(p->a.stream);
	stream_free(p->b.stream);
	run_ms(p, 10);
	timer_free(p->tick);
	loop_free(p->loop);
	buf_free(&p->a.in);
	buf_free(&p->b.in);
}

void
say(struct peer *peer, const char *text)
{
	buf_put_z(stream_output(peer->stream), text);
	stream_flush(peer->stream);
}

void
run_ms(struct pair *p, int64_t ms)
{
	timer_set(p->tick, ms);
	loop_run(p->loop);
}

int64_t
now_ms(void)
{
	return clock_monotonic_ms();
}

void
fail_after(int64_t begun)
{
	if (now_ms() - begun > PATIENCE_MS)
		fail_msg("waited in vain");
}

const char *
test_file(const char *name)
{
	static char paths[countof(names)][64];

	for (size_t i = 0; i < countof(names); i++)
		if (strcmp(names[i], name) == 0) {
			snprintf(paths[i], sizeof(paths[i]), "%s/%s", folder, name);
			return paths[i];
		}
	fatal("no test file %s", name);
}

static void
make_certificate(EVP_PKEY *key, const char *certificate_path, const char *key_path)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	FILE *f;

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"mail.example.test", -1, -1, 0);
	X509_set_issuer_name(x, name);
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, key, EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256()) > 0);
	f = fopen(certificate_path, "w");
	assert_non_null(f);
	PEM_write_X509(f, x);
	fclose(f);
	f = fopen(key_path, "w");
	assert_non_null(f);
	PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
	X509_free(x);
	EVP_PKEY_free(key);
}

bool
sign_here(void *key, uint16_t scheme, struct str input, struct buf *signature)
{
	return tls_key_sign(key, scheme, input, signature);
}

struct tls_context *
server_with(const char *certificate, const char *key, const char *service)
{
	scoped_buf chain = BUF_INIT;
	struct tls_context *made;
	char *why = NULL;

	assert_true(key_count < countof(keys));
	keys[key_count] = tls_key_read(test_file(certificate), test_file(key), &chain, &why);
	assert_non_null(keys[key_count]);
	made = tls_server_new(buf_str(&chain), service, sign_here, keys[key_count++], &why);
	assert_non_null(made);
	return made;
}

int
contexts_make(void **state)
{
	char *why = NULL;

	(void)state;
	assert_non_null(mkdtemp(folder));
	make_certificate(EVP_EC_gen("P-256"), test_file("ec.crt"), test_file("ec.key"));
	make_certificate(EVP_EC_gen("P-384"), test_file("p384.crt"), test_file("p384.key"));
	make_certificate(EVP_RSA_gen(2048), test_file("rsa.crt"), test_file("rsa.key"));
	make_certificate(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), test_file("ed.crt"),
	    test_file("ed.key"));
	server = server_with("ec.crt", "ec.key", "imap");
	client = tls_client_new(&why);
	return server == NULL || client == NULL;
}

int
contexts_free(void **state)
{
	(void)state;
	tls_context_free(server);
	tls_context_free(client);
	while (key_count > 0)
		tls_key_free(keys[--key_count]);
	for (size_t i = 0; i < countof(names); i++)
		unlink(test_file(names[i]));
	return rmdir(folder);
}

struct tls_context *
server_context(void)
{
	return server;
}

struct tls_context *
client_context(void)
{
	return client;
}
