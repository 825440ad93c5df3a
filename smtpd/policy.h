/* SPDX-License-Identifier: ISC */
/*
 * Who may send what to whom: two tables, no state, no input or output. All that keeps us from
 * being an open relay is decided here and nowhere else.
 */
#pragma once

#include "common/daemon/login.h"
#include "smtpd/parse_command.h"

/* Who is on the other side. A login counts more than the network it comes from. */
enum trust {
	TRUST_STRANGER,
	TRUST_NETWORK,	/* relay_networks */
	TRUST_ACCOUNT,	/* logged in */
};

/* Where a recipient's address leads. */
enum place {
	PLACE_OURS,		/* an account or alias of ours */
	PLACE_NO_SUCH,		/* a domain of ours, no such address */
	PLACE_FULL,		/* the mailbox is full */
	PLACE_UNKNOWN,		/* it could not be found out now */
	PLACE_RELAY_DOMAIN,	/* in relay_domains */
	PLACE_ELSEWHERE,
};

/* Whose the sender's address is. */
enum sender {
	SENDER_NULL,
	SENDER_OWN,		/* of the account that has logged in, or an alias that leads to it */
	SENDER_NOT_OWN,		/* somebody else's, nobody's or of another domain */
	SENDER_UNKNOWN,		/* it could not be found out now */
};

/* NULL: accept. Else the finished reply without its line end. */
const char *policy_sender(enum purpose, enum trust, enum sender);
/* An accepted PLACE_OURS goes to its targets; the other accepted ones are relayed. */
const char *policy_recipient(enum purpose, enum trust, enum place);

/* Does it matter whose the sender is? Where not, nobody need be asked. */
bool policy_asks_for_sender(enum purpose, enum trust);

enum place policy_place(enum recipient_result, bool in_relay_domains);
