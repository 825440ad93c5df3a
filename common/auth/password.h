/* SPDX-License-Identifier: ISC */
/*
 * Password verifiers: what crypt(3) makes (yescrypt, bcrypt, SHA-512 and what else the
 * machine's libcrypt reads) and "{SCRAM-SHA-256}ITERATIONS,SALT,STOREDKEY,SERVERKEY" (RFC 5802 3,
 * RFC 7677). Every comparison takes constant time; every copy of a password is wiped. Slow on
 * purpose: only hash workers and trivet(8) call it.
 */
#pragma once

#include "common/base/buf.h"

enum password_scheme {
	PASSWORD_YESCRYPT, PASSWORD_BCRYPT, PASSWORD_SHA512, PASSWORD_SCRAM_SHA_256,
	PASSWORD_SCHEMES
};

enum {
	PASSWORD_MAX = 511,			/* octets, libcrypt's limit */
	PASSWORD_VERIFIER_MAX = 1024,		/* octets */
	PASSWORD_SCRAM_ITERATIONS = 100000,	/* of new verifiers */
	PASSWORD_SCRAM_ITERATIONS_MIN = 4096,	/* RFC 7677 4 */
	PASSWORD_SCRAM_ITERATIONS_MAX = 2000000,
};

const char *password_scheme_name(enum password_scheme);
must_check bool password_scheme_find(struct str name, enum password_scheme *out);

/* An empty, locked ("!", "*") or unknown verifier matches nothing. */
must_check bool password_verify(struct str verifier, struct str password);
/* Could some password match it? For verifiers that come from elsewhere. */
bool password_verifier_valid(struct str verifier);
/* False where the password is empty, too long, holds a NUL or is not UTF-8, or libcrypt lacks the scheme. */
must_check bool password_make(struct buf *out, struct str password, enum password_scheme);
/*
 * A verifier that no password matches and that costs as much as one of the default scheme: for
 * names that do not exist, so that time does not tell.
 */
struct str password_dummy(void);
