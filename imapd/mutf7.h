/* SPDX-License-Identifier: ISC */
/* Mailbox names on the wire: modified UTF-7, RFC 3501 5.1.3. */
#pragma once

#include "common/base/buf.h"

/* Appends a UTF-8 name encoded. False (out as it was) if it is not UTF-8 or holds NUL, CR or LF. */
must_check bool mutf7_encode(struct buf *out, struct str utf8);
/*
 * Appends the UTF-8 of a name. Strict: what mutf7_encode would not have written is
 * refused (8-bit octets, controls, printables in base64, needless shifts, stray bits,
 * lone surrogates). False leaves out as it was.
 */
must_check bool mutf7_decode(struct buf *out, struct str name);
