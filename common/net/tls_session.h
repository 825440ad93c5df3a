/* SPDX-License-Identifier: ISC */
/* What wire.c needs of a TLS context; for nobody else. */
#pragma once

#include <openssl/ssl.h>

#include "common/net/tls.h"

/* A new TLS session on fd (not owned); it keeps the context's insides alive. name: clients only. */
SSL *tls_session_new(struct tls_context *, int fd, bool is_server, const char *name);
