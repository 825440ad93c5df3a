/* SPDX-License-Identifier: ISC */
/* What a front asks of its signer: any scheme, any input; only a handshake's is ever signed. */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/net/tls_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A key with its certificate, through a file that is gone when we return. */
static struct tls_key *
make_key(void)
{
	char path[] = "/tmp/trivet-fuzz-XXXXXX", *why;
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	scoped_buf chain = BUF_INIT;
	struct tls_key *key;

	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, pkey);
	if (f == NULL || X509_sign(x, pkey, EVP_sha256()) <= 0 || PEM_write_X509(f, x) != 1 ||
	    PEM_write_PrivateKey(f, pkey, NULL, NULL, 0, NULL, NULL) != 1)
		abort();
	fclose(f);
	key = tls_key_read(path, path, &chain, &why);
	unlink(path);
	X509_free(x);
	EVP_PKEY_free(pkey);
	if (key == NULL)
		abort();
	return key;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tls_key *key;
	scoped_buf signature = BUF_INIT;
	struct str input;

	if (key == NULL)
		key = make_key();
	if (size < 2)
		return 0;
	input = (struct str){ (const char *)data + 2, size - 2 };
	if (tls_key_sign(key, (uint16_t)(data[0] << 8 | data[1]), input, &signature) &&
	    (input.n < 64 + 4 + 32 || signature.n == 0))
		__builtin_trap();
	return 0;
}
