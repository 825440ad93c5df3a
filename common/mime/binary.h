/* SPDX-License-Identifier: ISC */
/*
 * A message with binary parts (RFC 2045 6.2, RFC 3516 6) as one that everybody can be sent. Pure: bytes in,
 * bytes out.
 */
#pragma once

#include "common/mime/part.h"

/*
 * Appends the message with each part that is labelled binary, and holds a NUL or an LF without CR, in base64 and labelled so;
 * all else as it stands. False where NULs are left: in headers, and in parts that are labelled otherwise.
 */
must_check bool binary_encode(struct buf *out, struct str message);
