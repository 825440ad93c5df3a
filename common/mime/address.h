/* SPDX-License-Identifier: ISC */
/*
 * Address lists of From, To and their kind (RFC 5322 3.4 and 4.4), as IMAP's ENVELOPE
 * takes them apart (RFC 3501 7.4.2): groups, source routes, comments, quoted strings,
 * raw 8-bit text, and lists that break every rule. Whatever comes in, a list comes out,
 * in linear time. Encoded words stay encoded.
 */
#pragma once

#include <sys/queue.h>

#include "common/base/arena.h"

/* Entries one field may give; what follows is not looked at. */
enum { ADDRESS_MAX = 10000 };

enum address_kind { ADDRESS_MAILBOX, ADDRESS_GROUP_START, ADDRESS_GROUP_END };

struct address {
	STAILQ_ENTRY(address) link;
	enum address_kind kind;
	/*
	 * p is NULL where there is none. The name has lost its quotes; without a phrase
	 * it is the comment behind the address, as in "a@b (Ann)".
	 */
	struct str name;
	struct str route;	/* "@a.test,@b.test" */
	struct str mailbox;	/* of a group's start: the name of the group */
	struct str host;	/* empty, not NULL, where a mailbox has no "@host" */
};
STAILQ_HEAD(address_list, address);

/*
 * Parses a field's value, folded or not. Everything in the list lives in the arena
 * (at most a small multiple of value.n). A group left open is closed; returns the
 * number of entries.
 */
size_t address_parse(struct arena *, struct str value, struct address_list *list);
