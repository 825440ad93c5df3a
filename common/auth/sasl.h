/* SPDX-License-Identifier: ISC */
/*
 * The server's side of SASL (RFC 4422): mechanisms that hand over a password, PLAIN (RFC 4616)
 * and LOGIN. Pure: bytes in, a challenge or credentials out; the three protocols carry the
 * bytes as base64 lines, sasl_decode reads those.
 */
#pragma once

#include "common/base/buf.h"

enum {
	SASL_NAME_MAX = 512,		/* octets of authzid and authcid */
	SASL_PASSWORD_MAX = 511,	/* octets */
	SASL_LINE_MAX = 12288,		/* octets of one base64 line, RFC 4954 4.4 */
};

enum sasl_result {
	SASL_CHALLENGE,		/* send .challenge, then sasl_step with the answer */
	SASL_CREDENTIALS,	/* done: ask whether .credentials are right */
	SASL_BAD,		/* .why says so: a syntax error, not a wrong password */
};

/* Views of the exchange's memory: they live until sasl_end. */
struct sasl_credentials {
	struct str authorise_as;	/* authzid; empty: the same as user */
	struct str user;		/* authcid */
	struct str password;
};

struct sasl_reply {
	enum sasl_result result;
	struct str challenge;		/* before base64; a constant, may be empty */
	struct sasl_credentials credentials;
	const char *why;
};

/* One exchange; all zero before sasl_start. */
struct sasl {
	const struct sasl_mechanism *mechanism;
	unsigned step;
	struct buf response;	/* secret */
	struct buf user;
};
#define SASL_INIT ((struct sasl){ 0 })

/* Names of the mechanisms in the order to advertise: 0, 1, ...; NULL behind the last. */
const char *sasl_mechanism_name(size_t i);
bool sasl_mechanism_exists(struct str name);

/*
 * Begins. initial: the decoded initial response, or NULL where the client sent none. An unknown
 * mechanism is SASL_BAD. Bytes are copied.
 */
must_check struct sasl_reply sasl_start(struct sasl *, struct str mechanism,
	const struct str *initial);
/* The decoded answer to the last challenge. */
must_check struct sasl_reply sasl_step(struct sasl *, struct str response);
/* Wipes what it holds; the object can start again. */
void sasl_end(struct sasl *);

/*
 * A base64 line without its end of line, appended to *out, which the caller wipes. As an initial
 * response "=" is the empty one (RFC 4954 4, RFC 4959 3, RFC 5034 4). SASL_LINE_CANCEL is "*".
 */
enum sasl_line { SASL_LINE_OK, SASL_LINE_CANCEL, SASL_LINE_BAD };
must_check enum sasl_line sasl_decode(struct str line, bool is_initial, struct buf *out);
