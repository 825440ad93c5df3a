/* SPDX-License-Identifier: ISC */
/*
 * A server's private key, for the one process that holds it: read once, then only used to sign what a TLS server
 * signs in a handshake. Nobody else can have anything signed with it: neither mail nor a certificate.
 */
#pragma once

#include "common/base/buf.h"

enum {
	TLS_CHAIN_MAX = 64 * 1024,	/* octets of a certificate file */
	TLS_SIGN_INPUT_MAX = 4096,	/* octets that a handshake has signed */
	TLS_SIGNATURE_MAX = 2048,	/* RSA of 16384 bits */
};

struct tls_key;

/*
 * Reads both files, and looks whether they fit. chain gets the certificate file's text, for tls_server_new.
 * NULL: *why (heap) names the file, the fault and what to do.
 */
must_check struct tls_key *tls_key_read(const char *certificate_path, const char *key_path,
    struct buf *chain, char **why);
void tls_key_free(struct tls_key *);

/*
 * scheme: a SignatureScheme of RFC 8446 4.2.3. False where the key cannot do it, or where input is not
 * what a handshake signs (RFC 8446 4.4.3, RFC 5246 7.4.3, RFC 8422 5.4).
 */
must_check bool tls_key_sign(const struct tls_key *, uint16_t scheme, struct str input,
    struct buf *signature);
