/* SPDX-License-Identifier: ISC */
/* Questions to the DNS, by libunbound in the loop. Bounded in time (30 s) and number. */
#pragma once

#include "common/base/arena.h"
#include "common/net/address.h"
#include "common/net/loop.h"

struct dns;

/*
 * servers: `count` texts, ADDRESS or ADDRESS@PORT; none: those of /etc/resolv.conf. /etc/hosts is asked too.
 * All files are read now and never again. NULL: *why (heap). Answers are validated where the
 * system has a trust anchor and no servers were given.
 */
must_check struct dns *dns_new(struct loop *, const char *const *servers, size_t count,
    char **why);
/* Questions still open are not answered any more. */
void dns_free(struct dns *);
/* Instead of 30 s, for questions asked from now on. */
void dns_set_timeout_ms(struct dns *, int64_t ms);

enum dns_result {
	DNS_FOUND,
	DNS_NO_NAME,	/* NXDOMAIN */
	DNS_NO_DATA,	/* the name is there, not this type */
	DNS_FAILED,	/* SERVFAIL, timeout, bogus: passes, try again */
};

struct dns_mx {
	uint16_t preference;
	struct str host;	/* without the last dot; empty: null MX (RFC 7505) */
};

struct dns_answer {
	enum dns_result result;
	bool secure;		/* validated by DNSSEC */
	struct dns_mx *mx;	/* by preference, equal ones shuffled */
	size_t mx_count;
	struct net_address *addresses;	/* without ports; 100 of each family at most */
	size_t address_count;
};

struct dns_question;
typedef void dns_answered(void *context, const struct dns_answer *);

/*
 * The name may be UTF-8 (IDNA). One that cannot exist is DNS_NO_NAME; records that are there, but all
 * malformed, are DNS_FAILED. The answer lives during the call; the question is gone
 * with it. Cancelling (also NULL) means no call any more. Never answers from inside the question.
 */
struct dns_question *dns_ask_mx(struct dns *, struct str domain, dns_answered *, void *context);
/* A and AAAA together; what one of them has is DNS_FOUND. */
struct dns_question *dns_ask_addresses(struct dns *, struct str host, dns_answered *,
    void *context);
void dns_cancel(struct dns_question *);
