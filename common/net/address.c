/* SPDX-License-Identifier: ISC */
/*
 * Addresses as text, as bytes and as the system's structs. Every way in ends in
 * unmap(), so a mapped IPv4 address never survives (RFC 4291 2.5.5.2).
 */
#include "common/net/address.h"

#include <arpa/inet.h>

enum { MAPPED_PREFIX = 96 };

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

static void
set_v4(struct net_address *a, const void *bytes)
{
	*a = (struct net_address){ 0 };
	memcpy(a->bytes, bytes, 4);
}

/* True where it was a mapped one. */
static bool
set_v6(struct net_address *a, const uint8_t bytes[16])
{
	if (memcmp(bytes, mapped, sizeof(mapped)) == 0) {
		set_v4(a, bytes + sizeof(mapped));
		return true;
	}
	*a = (struct net_address){ .is_v6 = true };
	memcpy(a->bytes, bytes, 16);
	return false;
}

/* inet_pton reads neither names nor scopes, octal nor short forms. */
static bool
parse_plain(struct str text, struct net_address *out, bool *was_mapped)
{
	char copy[INET6_ADDRSTRLEN];
	uint8_t bytes[16];

	*was_mapped = false;
	if (text.n >= sizeof(copy) || str_has_char(text, '\0'))
		return false;
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	if (inet_pton(AF_INET, copy, bytes) == 1) {
		set_v4(out, bytes);
		return true;
	}
	if (inet_pton(AF_INET6, copy, bytes) != 1)
		return false;
	*was_mapped = set_v6(out, bytes);
	return true;
}

bool
net_address_parse(struct str text, struct net_address *out)
{
	bool was_mapped;

	if (str_starts(text, STR("[")) && str_ends(text, STR("]")))
		text = str_sub(text, 1, text.n - 2);
	return parse_plain(text, out, &was_mapped);
}

static bool
parse_port(struct str text, uint16_t *port)
{
	uint32_t n;

	if (!str_to_u32(text, &n) || n == 0 || n > UINT16_MAX)
		return false;
	*port = (uint16_t)n;
	return true;
}

bool
net_address_parse_port(struct str text, struct net_address *out)
{
	size_t at = str_last_index(text, '@');
	bool by_colon = at == text.n;
	struct net_address address;
	struct str host;
	uint16_t port;

	if (by_colon)
		at = str_last_index(text, ':');
	host = str_sub(text, 0, at);
	if (at == text.n || !parse_port(str_from(text, at + 1), &port))
		return false;
	/* 2001:db8::1:25 could mean two things; the colon needs brackets. */
	if (by_colon && str_has_char(host, ':') && !str_starts(host, STR("[")))
		return false;
	if (str_eq(host, STR("*")))
		address = (struct net_address){ .any = true };
	else if (!net_address_parse(host, &address))
		return false;
	address.port = port;
	*out = address;
	return true;
}

static bool
same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

static bool
has_bits_below(const uint8_t *bytes, unsigned prefix, unsigned width)
{
	for (unsigned i = prefix; i < width; i++)
		if (bytes[i / 8] & (0x80 >> i % 8))
			return true;
	return false;
}

bool
net_network_parse(struct str text, struct net_network *out)
{
	struct net_network n;
	struct str host = text;
	uint32_t prefix;
	unsigned width;
	bool was_mapped;

	if (!str_cut(&text, '/', &host))
		return false;
	if (str_starts(host, STR("[")) && str_ends(host, STR("]")))
		host = str_sub(host, 1, host.n - 2);
	if (!parse_plain(host, &n.address, &was_mapped))
		return false;
	width = n.address.is_v6 ? 128 : 32;
	n.prefix = width;
	if (host.p + host.n != text.p + text.n) {
		if (!str_to_u32(text, &prefix))
			return false;
		if (was_mapped && prefix < MAPPED_PREFIX)
			return false;
		n.prefix = was_mapped ? prefix - MAPPED_PREFIX : prefix;
	}
	if (n.prefix > width || has_bits_below(n.address.bytes, n.prefix, width))
		return false;
	*out = n;
	return true;
}

bool
net_network_has(const struct net_network *n, const struct net_address *a)
{
	return !a->any && a->is_v6 == n->address.is_v6 &&
	    same_bits(a->bytes, n->address.bytes, n->prefix);
}

bool
net_address_eq(const struct net_address *a, const struct net_address *b)
{
	if (a->any || b->any)
		return a->any && b->any;
	return a->is_v6 == b->is_v6 && memcmp(a->bytes, b->bytes, a->is_v6 ? 16 : 4) == 0;
}

bool
net_address_is_loopback(const struct net_address *a)
{
	static const uint8_t one[16] = { [15] = 1 };

	if (a->any)
		return false;
	return a->is_v6 ? memcmp(a->bytes, one, 16) == 0 : a->bytes[0] == 127;
}

void
net_address_put(struct buf *out, const struct net_address *a)
{
	char text[INET6_ADDRSTRLEN];

	if (a->any)
		buf_put_c(out, '*');
	else if (inet_ntop(a->is_v6 ? AF_INET6 : AF_INET, a->bytes, text, sizeof(text)) != NULL)
		buf_put_z(out, text);
}

void
net_address_put_port(struct buf *out, const struct net_address *a)
{
	bool brackets = a->is_v6 && !a->any;

	if (brackets)
		buf_put_c(out, '[');
	net_address_put(out, a);
	if (brackets)
		buf_put_c(out, ']');
	buf_put_c(out, ':');
	buf_put_u64(out, a->port);
}

void
net_address_put_literal(struct buf *out, const struct net_address *a)
{
	buf_put_z(out, a->is_v6 ? "[IPv6:" : "[");
	net_address_put(out, a);
	buf_put_c(out, ']');
}

struct net_address
net_address_for_limits(const struct net_address *a)
{
	struct net_address limit = *a;

	limit.port = 0;
	if (a->is_v6)
		memset(limit.bytes + 8, 0, 8);
	return limit;
}

void
net_address_from_sockaddr(const struct sockaddr *sa, struct net_address *out)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;

	*out = (struct net_address){ 0 };
	if (sa->sa_family == AF_INET) {
		set_v4(out, &v4->sin_addr);
		out->port = ntohs(v4->sin_port);
	} else if (sa->sa_family == AF_INET6) {
		set_v6(out, v6->sin6_addr.s6_addr);
		out->port = ntohs(v6->sin6_port);
	}
}

socklen_t
net_address_to_sockaddr(const struct net_address *a, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (!a->is_v6 && !a->any) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(a->port);
		memcpy(&v4->sin_addr, a->bytes, 4);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(a->port);
	if (!a->any)
		memcpy(&v6->sin6_addr, a->bytes, 16);
	return sizeof(*v6);
}
