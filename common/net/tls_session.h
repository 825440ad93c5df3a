/* SPDX-License-Identifier: ISC */
/* What the files about TLS share, and wire.c needs of them; for nobody else. */
#pragma once

#include <openssl/ssl.h>

#include "common/net/tls.h"

/* A new TLS session on fd (not owned); it keeps the context's insides alive. name: clients only. */
SSL *tls_session_new(struct tls_context *, int fd, bool is_server, const char *name);

/* "PATH: FAULT; ADVICE", on the heap. */
char *tls_words(const char *path, const char *fault, const char *advice);
/* Why OpenSSL's last call failed. */
const char *tls_fault(void);
/* The first certificate of the PEM text is the server's, the others its issuers. False: tls_fault. */
must_check bool tls_use_chain(SSL_CTX *, struct str chain);

/* tls_remote.c: a private key of which only the public half is here. NULL: tls_fault. */
must_check EVP_PKEY *tls_remote_key_new(EVP_PKEY *public, tls_sign *, void *context);

/* tls_tickets.c */
void tls_tickets_enable(SSL_CTX *);
bool tls_tickets_are_ready(void);
