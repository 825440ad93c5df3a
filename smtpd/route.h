/* SPDX-License-Identifier: ISC */
/* Where mail for a destination goes: its MX hosts (RFC 5321 5.1), an address literal, or the relay host. */
#pragma once

#include "common/daemon/settings.h"
#include "common/net/dns.h"

enum {
	ROUTE_MX_MAX = 10,		/* hosts looked up; the rest is worse anyway */
	ROUTE_HOSTS_MAX = 20,		/* addresses tried in one attempt */
	ROUTE_ADDRESSES_PER_HOST = 4,
};

struct route_host {
	struct str name;		/* "mx.example.org", or "[192.0.2.1]" */
	struct net_address address;	/* with its port */
};

enum route_result {
	ROUTE_FOUND,
	ROUTE_DEFERRED,		/* the DNS could not tell now */
	ROUTE_FAILED,		/* nobody takes mail there */
};

struct route_answer {
	enum route_result result;
	struct route_host *hosts;	/* in the order to be tried */
	size_t count;
	struct str status;	/* "5.1.2"; where not FOUND */
	struct str text;	/* in words */
};

/* What this host is: mail is not sent back to it. */
struct route_self {
	struct net_address *interfaces;
	size_t count;
};

/* Reads the addresses of the interfaces, for the process's life; none where the system does not tell. */
void route_self_read(struct route_self *);

struct route;

/* The answer lives during the call; the route has been freed after it. */
typedef void route_answered(void *context, const struct route_answer *);
/* Calls once, never from inside. Settings and self outlive it. */
struct route *route_new(struct loop *, struct dns *, const struct settings *,
    const struct route_self *, struct str destination, route_answered *, void *context);
/* No call any more. Takes NULL. */
void route_free(struct route *);
