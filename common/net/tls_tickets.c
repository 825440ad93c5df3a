/* SPDX-License-Identifier: ISC */
/*
 * Session tickets under keys that come from outside, so that all processes of a daemon take each other's. A process
 * has one ring of two keys: it gives tickets under the current one and takes them under both.
 * RFC 5077 4 (AES-CBC, then HMAC-SHA-256 over it; here with the keys of 256 bits), RFC 8446 4.6.1.
 */
#include <openssl/core_names.h>
#include <openssl/rand.h>

#include "common/net/tls_session.h"

enum { AES_KEY = 32, MAC_KEY = 32, LIFE_S = 3600 };

static char current[TLS_TICKET_KEY], previous[TLS_TICKET_KEY];
static bool has_current, has_previous;

void
tls_use_ticket_keys(struct str new_current, struct str new_previous)
{
	if (new_current.n != TLS_TICKET_KEY || (new_previous.n != 0 && new_previous.n != TLS_TICKET_KEY))
		fatal("a ticket key of %zu octets", new_current.n);
	/* The same key told again leaves the one before as it is. */
	if (new_previous.n == 0 && has_current &&
	    memcmp(current, new_current.p, TLS_TICKET_KEY) != 0)
		new_previous = (struct str){ current, TLS_TICKET_KEY };
	if (new_previous.n > 0) {
		memcpy(previous, new_previous.p, TLS_TICKET_KEY);
		has_previous = true;
	}
	memcpy(current, new_current.p, TLS_TICKET_KEY);
	has_current = true;
}

bool
tls_tickets_are_ready(void)
{
	return has_current;
}

static bool
use(const char *key, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, const unsigned char *iv, int is_new)
{
	const unsigned char *aes = (const unsigned char *)key + TLS_TICKET_NAME;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY,
		    (void *)(uintptr_t)(aes + AES_KEY), MAC_KEY),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
		    (char *)(uintptr_t)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, aes, iv, is_new) == 1 &&
	    EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* OpenSSL's answers: below 0 a failure, 0 no such key, 1 done, 2 done and the client should have a new one. */
static int
choose_key(SSL *session, unsigned char name[16], unsigned char iv[EVP_MAX_IV_LENGTH],
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_new)
{
	(void)session;
	if (is_new) {
		if (!has_current || RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
			return -1;
		memcpy(name, current, TLS_TICKET_NAME);
		return use(current, cipher, mac, iv, 1) ? 1 : -1;
	}
	if (has_current && memcmp(name, current, TLS_TICKET_NAME) == 0)
		return use(current, cipher, mac, iv, 0) ? 1 : -1;
	if (has_previous && memcmp(name, previous, TLS_TICKET_NAME) == 0)
		return use(previous, cipher, mac, iv, 0) ? 2 : -1;
	return 0;
}

void
tls_tickets_enable(SSL_CTX *ssl)
{
	SSL_CTX_set_timeout(ssl, LIFE_S);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, choose_key);
}
