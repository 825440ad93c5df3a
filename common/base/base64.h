/* SPDX-License-Identifier: ISC */
/* Base64 of RFC 4648 section 4, one piece, no line breaks. */
#pragma once

#include "common/base/buf.h"

void base64_encode(struct buf *out, struct str bytes);
/* Strict: padding required, nothing but the alphabet. False leaves out as it was. */
must_check bool base64_decode(struct buf *out, struct str text);
