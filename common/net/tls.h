/* SPDX-License-Identifier: ISC */
/*
 * TLS contexts over OpenSSL: TLS 1.2 and newer, no renegotiation, no compression. A server's context holds
 * the certificates only: the private key is in another process (common/net/tls_key.h), asked for
 * one signature in each full handshake.
 */
#pragma once

#include "common/base/buf.h"

struct tls_context;

/*
 * Has input signed by the scheme (RFC 8446 4.2.3) with the private key, wherever it is. False: it cannot be
 * had, and the handshake fails. Blocks; limits its time itself.
 */
typedef bool tls_sign(void *context, uint16_t scheme, struct str input, struct buf *signature);

/*
 * For a server of this service ("imap", "pop3", "smtp": ALPN, and tickets stay within it). chain: the certificate and then
 * its issuers, PEM. sign's context must outlive every stream. NULL: *why (heap) tells the fault.
 */
must_check struct tls_context *tls_server_new(struct str chain, const char *service, tls_sign *,
    void *context, char **why);
/* Before a process forks others that see no files: OpenSSL reads its configuration now. */
void tls_prepare(void);
/* For clients: opportunistic, certificates are not verified. */
must_check struct tls_context *tls_client_new(char **why);
/* Streams that use it keep it alive. */
void tls_context_free(struct tls_context *);

/* A ticket key is its name of 16 octets, an AES-256 key and a key for HMAC-SHA-256. */
enum { TLS_TICKET_NAME = 16, TLS_TICKET_KEY = TLS_TICKET_NAME + 32 + 32 };

/*
 * From now on this process's servers give tickets under current (TLS_TICKET_KEY octets), and take those under it and
 * under previous; where that is empty, the current one of before is the previous one. Until the first call
 * every handshake is a full one. RFC 5077, RFC 8446 4.6.1.
 */
void tls_use_ticket_keys(struct str current, struct str previous);
