/* SPDX-License-Identifier: ISC */
/*
 * The private key: read, held against the certificate, used. Invariant: nothing is signed but the two forms
 * that a TLS server signs, so whoever can ask us gets a handshake and nothing that would
 * mean something elsewhere. RFC 8446 4.2.3 and 4.4.3, RFC 5246 7.4.3, RFC 8422 5.4.
 */
#include "common/net/tls_key.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/net/tls_session.h"

struct tls_key {
	EVP_PKEY *pkey;
};

/* ---- reading ---- */

static bool
read_text(const char *path, struct buf *out, char **why)
{
	FILE *f = fopen(path, "re");
	size_t n;
	int fault;

	if (f == NULL) {
		*why = tls_words(path, strerror(errno), errno == ENOENT ?
		    "check the path in the settings" : "make it readable for the server");
		return false;
	}
	errno = 0;
	n = fread(buf_room(out, TLS_CHAIN_MAX + 1), 1, TLS_CHAIN_MAX + 1, f);
	fault = ferror(f) ? errno : 0;
	buf_added(out, n);
	fclose(f);
	if (fault == 0 && n <= TLS_CHAIN_MAX)
		return true;
	*why = tls_words(path, fault != 0 ? strerror(fault) : "this file is over 64 KB",
	    "it must be a file in PEM form");
	return false;
}

/* A daemon has nobody to ask: says that the key is encrypted, gives no passphrase. */
static int
no_passphrase(char *out, int size, int writing, void *asked)
{
	(void)out;
	(void)size;
	(void)writing;
	*(bool *)asked = true;
	return -1;
}

static EVP_PKEY *
parse_key(struct str text, const char *path, char **why)
{
	bool asked = false;
	scoped_buf fault = BUF_INIT;
	EVP_PKEY *key;
	BIO *from;

	ERR_clear_error();
	from = BIO_new_mem_buf(text.p, (int)text.n);
	key = from == NULL ? NULL : PEM_read_bio_PrivateKey(from, NULL, no_passphrase, &asked);
	BIO_free(from);
	if (key != NULL)
		return key;
	if (asked) {
		*why = tls_words(path, "the private key is encrypted with a passphrase",
		    "store it without one (openssl pkey -in OLD -out NEW)");
		return NULL;
	}
	buf_printf(&fault, "no usable private key in it (%s)", tls_fault());
	*why = tls_words(path, buf_z(&fault), "it must hold one RSA, EC or Ed25519 key in PEM form");
	return NULL;
}

static EVP_PKEY *
read_key(const char *path, char **why)
{
	struct buf text = BUF_INIT;
	EVP_PKEY *key = read_text(path, &text, why) ? parse_key(buf_str(&text), path, why) : NULL;

	buf_wipe(&text);
	if (key == NULL || EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "EC") ||
	    EVP_PKEY_is_a(key, "ED25519"))
		return key;
	EVP_PKEY_free(key);
	*why = tls_words(path, "a private key of a kind that is not served",
	    "it must hold one RSA, EC or Ed25519 key");
	return NULL;
}

static bool
read_chain(SSL_CTX *trial, const char *path, struct buf *chain, char **why)
{
	scoped_buf fault = BUF_INIT;

	if (!read_text(path, chain, why))
		return false;
	if (tls_use_chain(trial, buf_str(chain)))
		return true;
	buf_printf(&fault, "no usable certificate in it (%s)", tls_fault());
	*why = tls_words(path, buf_z(&fault),
	    "it must hold the certificate and then its chain, in PEM form");
	return false;
}

static bool
fits(SSL_CTX *trial, EVP_PKEY *key, const char *certificate_path, const char *key_path, char **why)
{
	scoped_buf fault = BUF_INIT;

	ERR_clear_error();
	if (SSL_CTX_use_PrivateKey(trial, key) == 1 && SSL_CTX_check_private_key(trial) == 1)
		return true;
	buf_printf(&fault, "this key does not fit the certificate in %s (%s)", certificate_path,
	    tls_fault());
	*why = tls_words(key_path, buf_z(&fault), "give the key that the certificate was made for");
	return false;
}

struct tls_key *
tls_key_read(const char *certificate_path, const char *key_path, struct buf *chain, char **why)
{
	SSL_CTX *trial = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *pkey = NULL;
	struct tls_key *key = NULL;

	if (trial == NULL) {
		*why = tls_words("TLS", tls_fault(), "look at OpenSSL's own configuration");
		return NULL;
	}
	if (read_chain(trial, certificate_path, chain, why))
		pkey = read_key(key_path, why);
	if (pkey != NULL && fits(trial, pkey, certificate_path, key_path, why)) {
		key = xcalloc(1, sizeof(*key));
		key->pkey = pkey;
	} else {
		EVP_PKEY_free(pkey);
	}
	SSL_CTX_free(trial);
	return key;
}

void
tls_key_free(struct tls_key *key)
{
	if (key == NULL)
		return;
	EVP_PKEY_free(key->pkey);
	free(key);
}

/* ---- what may be signed ---- */

/* RFC 8446 4.4.3: 64 spaces, the context, a zero, the hash of the handshake (SHA-256 or SHA-384). */
static bool
is_certificate_verify(struct str input)
{
	static const char words[] = "TLS 1.3, server CertificateVerify";
	const size_t head = 64 + sizeof(words);

	if (input.n != head + 32 && input.n != head + 48)
		return false;
	for (size_t i = 0; i < 64; i++)
		if (input.p[i] != ' ')
			return false;
	return memcmp(input.p + 64, words, sizeof(words)) == 0;
}

/* A length of so many octets and what it counts; false where there is not as much. */
static bool
skip_vector(struct str *rest, size_t width)
{
	size_t n = 0;

	if (rest->n < width)
		return false;
	for (size_t i = 0; i < width; i++)
		n = n << 8 | (unsigned char)rest->p[i];
	if (n == 0 || n > rest->n - width)
		return false;
	*rest = str_from(*rest, width + n);
	return true;
}

/* RFC 5246 7.4.3, RFC 8422 5.4: both randoms, then a named curve and a point, or p, g and Ys. */
static bool
is_key_exchange(struct str input)
{
	enum { RANDOMS = 64, NAMED_CURVE = 3, POINT_LEAST = 32, PRIME_LEAST = 256 };
	struct str curve = str_from(input, RANDOMS + 3), dh = str_from(input, RANDOMS);

	/* X25519's point is the shortest there is; a prime under 2,048 bits OpenSSL does not use. */
	if (input.n > RANDOMS + 3 + POINT_LEAST && input.p[RANDOMS] == NAMED_CURVE
	    && skip_vector(&curve, 1) && curve.n == 0)
		return true;
	return input.n > RANDOMS + 2 * PRIME_LEAST && skip_vector(&dh, 2)
	    && input.n - RANDOMS - dh.n > PRIME_LEAST
	    && skip_vector(&dh, 2) && skip_vector(&dh, 2) && dh.n == 0;
}

/* ---- signing ---- */

struct scheme {
	uint16_t number;
	const char *key;
	const char *digest;	/* NULL: the signature has its own */
	bool pss;
	bool tls13;		/* RFC 8446 4.4.3: RSASSA-PKCS1-v1_5 signs no CertificateVerify */
};

static const struct scheme schemes[] = {
	{ 0x0401, "RSA", "SHA256", false, false },
	{ 0x0501, "RSA", "SHA384", false, false },
	{ 0x0601, "RSA", "SHA512", false, false },
	{ 0x0804, "RSA", "SHA256", true, true },
	{ 0x0805, "RSA", "SHA384", true, true },
	{ 0x0806, "RSA", "SHA512", true, true },
	{ 0x0403, "EC", "SHA256", false, true },
	{ 0x0503, "EC", "SHA384", false, true },
	{ 0x0603, "EC", "SHA512", false, true },
	{ 0x0807, "ED25519", NULL, false, true },
};

static const struct scheme *
find_scheme(const struct tls_key *key, uint16_t number, struct str input)
{
	for (size_t i = 0; i < countof(schemes); i++)
		if (schemes[i].number == number)
			return EVP_PKEY_is_a(key->pkey, schemes[i].key) &&
			    (is_key_exchange(input) ||
			    (schemes[i].tls13 && is_certificate_verify(input))) ? &schemes[i] : NULL;
	return NULL;
}

static bool
sign_by(EVP_MD_CTX *hash, const struct tls_key *key, const struct scheme *scheme, struct str input,
    struct buf *signature)
{
	const unsigned char *in = (const unsigned char *)input.p;
	EVP_PKEY_CTX *how;
	size_t n = TLS_SIGNATURE_MAX;

	if (EVP_DigestSignInit_ex(hash, &how, scheme->digest, NULL, NULL, key->pkey, NULL) != 1)
		return false;
	/* RFC 8446 4.2.3: the salt is as long as the digest. */
	if (scheme->pss && (EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) != 1 ||
	    EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) != 1))
		return false;
	if (EVP_DigestSign(hash, (unsigned char *)buf_room(signature, n), &n, in, input.n) != 1)
		return false;
	buf_added(signature, n);
	return true;
}

bool
tls_key_sign(const struct tls_key *key, uint16_t number, struct str input, struct buf *signature)
{
	const struct scheme *scheme = find_scheme(key, number, input);
	EVP_MD_CTX *hash;
	bool done;

	if (scheme == NULL || input.n > TLS_SIGN_INPUT_MAX)
		return false;
	hash = EVP_MD_CTX_new();
	done = hash != NULL && sign_by(hash, key, scheme, input, signature);
	EVP_MD_CTX_free(hash);
	return done;
}
