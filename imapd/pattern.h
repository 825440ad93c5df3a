/* SPDX-License-Identifier: ISC */
/* Patterns of LIST: "*" is anything, "%" anything but the separator (RFC 3501 6.3.8). Pure. */
#pragma once

#include "common/base/str.h"

/*
 * nocase: for INBOX, which is one name in any case. Never more than name.n * name.n *
 * pattern.n steps.
 */
bool pattern_matches(struct str pattern, struct str name, bool nocase);
/* So many octets that are no wildcards: a shorter name cannot match. */
size_t pattern_plain_length(struct str pattern);
