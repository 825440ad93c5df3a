/* SPDX-License-Identifier: ISC */
/*
 * Addresses of hosts and networks. An IPv4 address mapped into IPv6 (::ffff:a.b.c.d)
 * is the IPv4 address, everywhere: net_address never holds a mapped one.
 */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "common/base/buf.h"

struct net_address {
	bool any;		/* "*": all addresses, both families */
	bool is_v6;
	uint8_t bytes[16];	/* network order; IPv4 in the first four */
	uint16_t port;		/* 0: none */
};

struct net_network {
	struct net_address address;
	unsigned prefix;	/* bits */
};

/* "192.0.2.1" or "2001:db8::1", brackets allowed; no names, no port. */
must_check bool net_address_parse(struct str text, struct net_address *out);
/* "192.0.2.1:25", "[2001:db8::1]:25", "*:25"; also ADDRESS@PORT. */
must_check bool net_address_parse_port(struct str text, struct net_address *out);
/* "192.0.2.0/24", or an address for itself alone; bits below the prefix must be 0. */
must_check bool net_network_parse(struct str text, struct net_network *out);
bool net_network_has(const struct net_network *, const struct net_address *);
bool net_address_eq(const struct net_address *, const struct net_address *);	/* without ports */
bool net_address_is_loopback(const struct net_address *);
/* "192.0.2.1", "2001:db8::1"; with port "192.0.2.1:25", "[2001:db8::1]:25". */
void net_address_put(struct buf *out, const struct net_address *);
void net_address_put_port(struct buf *out, const struct net_address *);
/* "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 4.1.3). */
void net_address_put_literal(struct buf *out, const struct net_address *);
/* What limits count by: the address, or the /64 of an IPv6 one. */
struct net_address net_address_for_limits(const struct net_address *);

void net_address_from_sockaddr(const struct sockaddr *, struct net_address *out);
/* `any` becomes the IPv6 any address (a dual-stack socket). Returns the length. */
socklen_t net_address_to_sockaddr(const struct net_address *, struct sockaddr_storage *out);
