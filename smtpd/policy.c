/* SPDX-License-Identifier: ISC */
/*
 * The decisions, as tables that are read like the rules they are. Codes: RFC 3463, RFC 5248.
 */
#include "smtpd/policy.h"

enum { PURPOSES = PURPOSE_SUBMISSION + 1, TRUSTS = TRUST_ACCOUNT + 1,
	PLACES = PLACE_ELSEWHERE + 1, SENDERS = SENDER_UNKNOWN + 1 };

#define ACCEPT NULL
#define NO_SUCH "550 5.1.1 No such user here"
/* Room is made by reading and deleting, so the sender's server may try again (RFC 5321 4.2.2). */
#define FULL "452 4.2.2 The mailbox is full"
#define LATER "451 4.3.0 Cannot be checked now, try again later"
#define NO_RELAY "550 5.7.1 Relaying denied"
#define LOG_IN "530 5.7.0 Authentication required"	/* RFC 4954 6 */
#define NOT_YOURS "553 5.7.1 This is not an address of yours"

static const char *const recipients[PURPOSES][TRUSTS][PLACES] = {
	[PURPOSE_MX] = {
		[TRUST_STRANGER] = {
			[PLACE_OURS] = ACCEPT, [PLACE_NO_SUCH] = NO_SUCH, [PLACE_FULL] = FULL,
			[PLACE_UNKNOWN] = LATER, [PLACE_RELAY_DOMAIN] = ACCEPT,
			[PLACE_ELSEWHERE] = NO_RELAY,
		},
		[TRUST_NETWORK] = {
			[PLACE_OURS] = ACCEPT, [PLACE_NO_SUCH] = NO_SUCH, [PLACE_FULL] = FULL,
			[PLACE_UNKNOWN] = LATER, [PLACE_RELAY_DOMAIN] = ACCEPT,
			[PLACE_ELSEWHERE] = ACCEPT,
		},
		/* Nobody logs in at this door. */
		[TRUST_ACCOUNT] = {
			[PLACE_OURS] = ACCEPT, [PLACE_NO_SUCH] = NO_SUCH, [PLACE_FULL] = FULL,
			[PLACE_UNKNOWN] = LATER, [PLACE_RELAY_DOMAIN] = ACCEPT,
			[PLACE_ELSEWHERE] = NO_RELAY,
		},
	},
	[PURPOSE_SUBMISSION] = {
		/* RFC 6409 4.3 */
		[TRUST_STRANGER] = {
			[PLACE_OURS] = LOG_IN, [PLACE_NO_SUCH] = LOG_IN, [PLACE_FULL] = LOG_IN,
			[PLACE_UNKNOWN] = LOG_IN, [PLACE_RELAY_DOMAIN] = LOG_IN,
			[PLACE_ELSEWHERE] = LOG_IN,
		},
		[TRUST_NETWORK] = {
			[PLACE_OURS] = ACCEPT, [PLACE_NO_SUCH] = NO_SUCH, [PLACE_FULL] = FULL,
			[PLACE_UNKNOWN] = LATER, [PLACE_RELAY_DOMAIN] = ACCEPT,
			[PLACE_ELSEWHERE] = ACCEPT,
		},
		[TRUST_ACCOUNT] = {
			[PLACE_OURS] = ACCEPT, [PLACE_NO_SUCH] = NO_SUCH, [PLACE_FULL] = FULL,
			[PLACE_UNKNOWN] = LATER, [PLACE_RELAY_DOMAIN] = ACCEPT,
			[PLACE_ELSEWHERE] = ACCEPT,
		},
	},
};

/*
 * For mail exchange any sender will do: a forwarder hands in mail of our own users, and who may use their
 * names is for DMARC to say. RFC 6409 6.1: a submission server may enforce it.
 */
static const char *const senders[PURPOSES][TRUSTS][SENDERS] = {
	[PURPOSE_MX] = { { ACCEPT } },
	[PURPOSE_SUBMISSION] = {
		[TRUST_STRANGER] = {
			[SENDER_NULL] = LOG_IN, [SENDER_OWN] = LOG_IN,
			[SENDER_NOT_OWN] = LOG_IN, [SENDER_UNKNOWN] = LOG_IN,
		},
		[TRUST_NETWORK] = { ACCEPT },
		[TRUST_ACCOUNT] = {
			[SENDER_NULL] = ACCEPT, [SENDER_OWN] = ACCEPT,
			[SENDER_NOT_OWN] = NOT_YOURS, [SENDER_UNKNOWN] = LATER,
		},
	},
};

const char *
policy_sender(enum purpose purpose, enum trust trust, enum sender sender)
{
	return senders[purpose][trust][sender];
}

const char *
policy_recipient(enum purpose purpose, enum trust trust, enum place place)
{
	return recipients[purpose][trust][place];
}

bool
policy_asks_for_sender(enum purpose purpose, enum trust trust)
{
	return senders[purpose][trust][SENDER_OWN] != senders[purpose][trust][SENDER_NOT_OWN];
}

enum place
policy_place(enum recipient_result result, bool in_relay_domains)
{
	switch (result) {
	case RECIPIENT_OK:
		return PLACE_OURS;
	case RECIPIENT_NO_SUCH:
		return PLACE_NO_SUCH;
	case RECIPIENT_FULL:
		return PLACE_FULL;
	case RECIPIENT_UNAVAILABLE:
		return PLACE_UNKNOWN;
	case RECIPIENT_NOT_OURS:
		break;
	}
	return in_relay_domains ? PLACE_RELAY_DOMAIN : PLACE_ELSEWHERE;
}
