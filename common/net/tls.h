/* SPDX-License-Identifier: ISC */
/*
 * TLS contexts over OpenSSL: TLS 1.2 and newer, no renegotiation, no compression. The private
 * key is used through one function here, so that a signer process can take its place.
 */
#pragma once

#include "common/base/defs.h"

struct tls_context;

/* For a server of this service ("imap", "pop3", "smtp": ALPN, and tickets stay within it). NULL: *why (heap) names the file and the fault. */
must_check struct tls_context *tls_server_new(const char *certificate_path, const char *key_path,
    const char *service, char **why);
/* For clients: opportunistic, certificates are not verified. */
must_check struct tls_context *tls_client_new(char **why);
/* Streams that use it keep it alive. */
void tls_context_free(struct tls_context *);
