/* SPDX-License-Identifier: ISC */
/*
 * What makes two submissions the same one sent again: sender, recipients, who hands it in, and every octet
 * but our own Received field on top (its time and id differ). 128 bits of SHA-256: nobody can make
 * two that are taken for each other.
 */
#pragma once

#include "smtpd/record.h"

struct fingerprint;

struct fingerprint *fingerprint_new(const struct record *);
void fingerprint_add(struct fingerprint *, struct str bytes);
/* The result; frees it. */
void fingerprint_end(struct fingerprint *, char out[FINGERPRINT_SIZE]);
/* Takes NULL. */
void fingerprint_free(struct fingerprint *);
