/* SPDX-License-Identifier: ISC */
/*
 * A signer as its front knows it: a process behind a channel that hands out the certificates, signs what a handshake
 * signs, and ends at the first message that no front sends.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "common/daemon/messages.h"
#include "common/daemon/process_inside.h"
#include "common/daemon/signer.h"
#include "tests/unit/net/peers.h"

enum { RSA_PSS = 0x0804, ECDSA_256 = 0x0403, ED25519 = 0x0807, SECONDS = 5 };

struct running {
	pid_t pid;
	int master, front;	/* our ends */
	char packet[IPC_MESSAGE_MAX];
};

static void
start(struct process *p, void *context)
{
	(void)context;
	signer_start(p);
}

_Noreturn static void
be_signer(const char *name, int control)
{
	static const struct service service = { .name = "testd", .protocol = "imap" };
	struct process_birth birth = { .service = &service, .role = ROLE_SIGNER,
	    .control = control };
	scoped_buf crt = BUF_INIT, key = BUF_INIT, text = BUF_INIT;
	char *why;

	buf_printf(&crt, "%s.crt", name);
	buf_printf(&key, "%s.key", name);
	buf_printf(&text, "log_level = error\ntls_certificate = %s\ntls_key = %s\n",
	    test_file(buf_z(&crt)), test_file(buf_z(&key)));
	birth.settings = settings_parse("/nowhere/trivet.conf", buf_str(&text), &why);
	if (birth.settings == NULL)
		_exit(2);
	process_live(&birth, start, NULL);
}

/* Blocking with a limit: what is not there after SECONDS does not come. */
static void
be_patient(int fd)
{
	struct timeval limit = { .tv_sec = SECONDS };

	assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
}

/* The next message; false at the end of the channel. */
static bool
hear(struct running *r, int fd, struct msg *m)
{
	ssize_t n = recv(fd, r->packet, sizeof(r->packet), 0);

	assert_true(n >= 0);
	return n > 0 && msg_parse((struct str){ r->packet, (size_t)n }, m);
}

static void
introduce(struct running *r, int fd)
{
	struct loop *loop = loop_new();
	static const struct ipc_handlers nobody;
	struct ipc *ipc = ipc_new(loop, dup(r->master), &nobody, NULL);
	struct buf m = BUF_INIT;

	msg_begin(&m, MSG_PEER);
	msg_put_u8(&m, ROLE_FRONT);
	msg_put_u32(&m, 0);
	msg_put_str(&m, STR_EMPTY);
	ipc_send(ipc, &m, fd);
	ipc_free(ipc);
	loop_free(loop);
}

static void
open_signer(struct running *r, const char *name)
{
	int control[2], pair[2];
	struct msg m;

	assert_true(ipc_pair(control));
	assert_true(ipc_pair(pair));
	r->pid = fork();
	assert_true(r->pid >= 0);
	if (r->pid == 0) {
		close(control[0]);
		close(pair[0]);
		close(pair[1]);
		be_signer(name, control[1]);
	}
	close(control[1]);
	r->master = control[0];
	r->front = pair[0];
	be_patient(r->master);
	be_patient(r->front);
	introduce(r, pair[1]);
	assert_true(hear(r, r->master, &m));
	assert_int_equal(m.type, MSG_READY);
}

/* It ends when its front does; the exit code. */
static int
close_signer(struct running *r)
{
	int status;

	close(r->front);
	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	close(r->master);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static EVP_PKEY *
hear_certificate(struct running *r)
{
	struct msg m;
	struct str pem;
	X509 *x;
	EVP_PKEY *key;
	BIO *bio;

	assert_true(hear(r, r->front, &m));
	assert_int_equal(m.type, MSG_CERTIFICATE);
	pem = msg_get_str(&m);
	assert_true(msg_end(&m));
	bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	assert_non_null(x);
	key = X509_get_pubkey(x);
	X509_free(x);
	BIO_free(bio);
	return key;
}

static void
ask(struct running *r, uint32_t scheme, struct str input)
{
	struct buf m = BUF_INIT;

	msg_begin(&m, MSG_SIGN);
	msg_put_u32(&m, scheme);
	msg_put_str(&m, input);
	assert_int_equal(send(r->front, m.p, m.n, 0), (ssize_t)m.n);
	buf_free(&m);
}

static struct str
certificate_verify(void)
{
	static char input[64 + 34 + 32];

	memset(input, ' ', 64);
	memcpy(input + 64, "TLS 1.3, server CertificateVerify", 34);
	memset(input + 98, 'h', 32);
	return (struct str){ input, sizeof(input) };
}

static bool
is_signed(EVP_PKEY *key, const char *digest, bool pss, struct str input, struct str signature)
{
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	EVP_PKEY_CTX *how;
	bool good;

	assert_int_equal(EVP_DigestVerifyInit_ex(hash, &how, digest, NULL, NULL, key, NULL), 1);
	if (pss)
		EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING);
	good = EVP_DigestVerify(hash, (const unsigned char *)signature.p, signature.n,
	    (const unsigned char *)input.p, input.n) == 1;
	EVP_MD_CTX_free(hash);
	return good;
}

static void
what_a_signer_signs_is_verified_by_its_certificate(void **state)
{
	static const struct {
		const char *name, *digest;
		uint16_t scheme;
		bool pss;
	} rows[] = {
		{ "rsa", "SHA256", RSA_PSS, true },
		{ "ec", "SHA256", ECDSA_256, false },
		{ "ed", NULL, ED25519, false },
	};

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		struct running r;
		struct msg m;
		EVP_PKEY *key;

		open_signer(&r, rows[i].name);
		key = hear_certificate(&r);
		for (int n = 0; n < 3; n++) {
			ask(&r, rows[i].scheme, certificate_verify());
			assert_true(hear(&r, r.front, &m));
			assert_int_equal(m.type, MSG_SIGNATURE);
			assert_true(is_signed(key, rows[i].digest, rows[i].pss, certificate_verify(),
			    msg_get_str(&m)));
			assert_true(msg_end(&m));
		}
		EVP_PKEY_free(key);
		assert_int_equal(close_signer(&r), 0);
	}
}

static void
what_no_front_sends_ends_the_channel(void **state)
{
	static const char *const packets[] = {
		"\1", "MSG_SIGN with nothing behind it", "a type that nobody knows", "mail", "another scheme",
	};

	(void)state;
	for (size_t i = 0; i < countof(packets); i++) {
		struct running r;
		struct msg m;
		char sign[2] = { (char)MSG_SIGN, 0 };

		open_signer(&r, "ec");
		EVP_PKEY_free(hear_certificate(&r));
		switch (i) {
		case 0: assert_int_equal(send(r.front, packets[i], 1, 0), 1); break;
		case 1: assert_int_equal(send(r.front, sign, 2, 0), 2); break;
		case 2: assert_int_equal(send(r.front, packets[i], 9, 0), 9); break;
		case 3: ask(&r, ECDSA_256, STR("From: somebody@example.test\r\n")); break;
		default: ask(&r, 0x10000 + ECDSA_256, certificate_verify()); break;
		}
		assert_false(hear(&r, r.front, &m));
		assert_int_equal(close_signer(&r), 0);
	}
}

static void
it_stays_until_its_front_has_gone(void **state)
{
	struct running r;
	struct msg m;
	char stop[2] = { MSG_STOP, 0 };

	(void)state;
	open_signer(&r, "ec");
	EVP_PKEY_free(hear_certificate(&r));
	assert_int_equal(send(r.master, stop, sizeof(stop), 0), 2);
	ask(&r, ECDSA_256, certificate_verify());
	assert_true(hear(&r, r.front, &m));
	assert_int_equal(m.type, MSG_SIGNATURE);
	assert_int_equal(close_signer(&r), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_signer_signs_is_verified_by_its_certificate),
		cmocka_unit_test(what_no_front_sends_ends_the_channel),
		cmocka_unit_test(it_stays_until_its_front_has_gone),
	};

	return cmocka_run_group_tests(tests, contexts_make, contexts_free);
}
