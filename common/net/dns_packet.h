/* SPDX-License-Identifier: ISC */
/* Reads answers in the DNS wire format (RFC 1035 4). Pure; bounded by the packet's 64 KB. */
#pragma once

#include "common/base/buf.h"

enum { DNS_TYPE_A = 1, DNS_TYPE_MX = 15, DNS_TYPE_AAAA = 28, DNS_CLASS_IN = 1 };

/* A place in the answer section. */
struct dns_walk {
	struct str packet;
	size_t at;
	unsigned left;		/* records not yet read */
};

struct dns_record {
	uint16_t type, class;
	size_t at, n;		/* the record's data, within the packet */
};

/* False: the packet ends too early or is malformed. */
must_check bool dns_walk_begin(struct dns_walk *, struct str packet);
/* The next record of the answer section; MORE: there are no more; BAD: malformed. */
must_check enum parse dns_walk_next(struct dns_walk *, struct dns_record *);
/*
 * The name at *at as text in lower case without the last dot (the root is empty); *at moves behind it.
 * False, with out as it was, where it is malformed or holds bytes that no host name has:
 * other than letters, digits, '-' and '_'.
 */
must_check bool dns_name_read(struct str packet, size_t *at, struct buf *out);
/* May this text be asked for: labels of 1-63 such bytes, 253 in all; a dot at the end is allowed. */
bool dns_name_valid(struct str name);
