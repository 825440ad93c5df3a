/* SPDX-License-Identifier: ISC */
/* Identifiers that never repeat: 80 random bits, from getrandom(2) alone. */
#pragma once

#include "common/base/buf.h"

enum { ID_LENGTH = 16 };

/* Appends ID_LENGTH characters of a-z and 2-7: a session, a trace, a mailbox. */
void id_put_new(struct buf *out);
bool id_valid(struct str s);
void id_random_bytes(void *p, size_t n);
