/* SPDX-License-Identifier: ISC */
/* CRC-32C (RFC 3385, RFC 7143 13.1): tells a torn or damaged spool file from a whole one. */
#pragma once

#include "common/base/str.h"

/* Continues from `crc`, which starts as 0. */
uint32_t checksum_add(uint32_t crc, struct str bytes);
/* The same without the processor's help, for the test that compares them. */
uint32_t checksum_add_plainly(uint32_t crc, struct str bytes);
