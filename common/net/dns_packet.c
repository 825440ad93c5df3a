/* SPDX-License-Identifier: ISC */
/*
 * The DNS wire format, RFC 1035 4.1. Every read is bounded by the packet; a compression
 * pointer must point before where the name so far began, so names end.
 */
#include "common/net/dns_packet.h"

enum { HEADER = 12, NAME_MOST = 253, LABEL_MOST = 63, POINTER = 0xc0 };

static unsigned
u8_at(struct str packet, size_t at)
{
	return (unsigned char)packet.p[at];
}

static unsigned
u16_at(struct str packet, size_t at)
{
	return u8_at(packet, at) << 8 | u8_at(packet, at + 1);
}

/* Moves *at behind a name without reading it. */
static bool
skip_name(struct str packet, size_t *at)
{
	while (*at < packet.n) {
		unsigned n = u8_at(packet, *at);

		if ((n & POINTER) == POINTER) {
			*at += 2;
			return *at <= packet.n;
		}
		if (n > LABEL_MOST)
			return false;
		*at += 1 + n;
		if (n == 0)
			return true;
	}
	return false;
}

bool
dns_walk_begin(struct dns_walk *walk, struct str packet)
{
	unsigned questions;

	if (packet.n < HEADER)
		return false;
	*walk = (struct dns_walk){ .packet = packet, .at = HEADER, .left = u16_at(packet, 6) };
	questions = u16_at(packet, 4);
	for (unsigned i = 0; i < questions; i++) {
		if (!skip_name(packet, &walk->at))
			return false;
		walk->at += 4;
		if (walk->at > packet.n)
			return false;
	}
	return true;
}

enum parse
dns_walk_next(struct dns_walk *walk, struct dns_record *record)
{
	struct str packet = walk->packet;
	size_t at = walk->at;

	if (walk->left == 0)
		return MORE;
	if (!skip_name(packet, &at) || packet.n - at < 10)
		return BAD;
	record->type = (uint16_t)u16_at(packet, at);
	record->class = (uint16_t)u16_at(packet, at + 2);
	record->n = u16_at(packet, at + 8);
	record->at = at + 10;
	if (packet.n - record->at < record->n)
		return BAD;
	walk->at = record->at + record->n;
	walk->left--;
	return PARSED;
}

static bool
is_host_byte(char c)
{
	return ascii_is_alnum(c) || c == '-' || c == '_';
}

static bool
put_label(struct buf *out, struct str label)
{
	if (out->n > 0)
		buf_put_c(out, '.');
	for (size_t i = 0; i < label.n; i++) {
		if (!is_host_byte(label.p[i]))
			return false;
		buf_put_c(out, ascii_lower(label.p[i]));
	}
	return out->n <= NAME_MOST;
}

bool
dns_name_read(struct str packet, size_t *at, struct buf *out)
{
	scoped_buf name = BUF_INIT;
	size_t here = *at, began = *at, end = 0;
	unsigned n;

	for (;;) {
		if (here >= packet.n)
			return false;
		n = u8_at(packet, here);
		if ((n & POINTER) == POINTER) {
			if (packet.n - here < 2)
				return false;
			if (end == 0)
				end = here + 2;
			here = u16_at(packet, here) & 0x3fff;
			if (here >= began)
				return false;
			began = here;
			continue;
		}
		if (n > LABEL_MOST || packet.n - here - 1 < n)
			return false;
		if (n == 0)
			break;
		if (!put_label(&name, str_sub(packet, here + 1, n)))
			return false;
		here += 1 + n;
	}
	*at = end != 0 ? end : here + 1;
	buf_put(out, buf_str(&name));
	return true;
}

bool
dns_name_valid(struct str name)
{
	struct str label;

	if (str_ends(name, STR(".")))
		name.n--;
	if (name.n == 0 || name.n > NAME_MOST || str_ends(name, STR(".")))
		return false;
	while (str_cut(&name, '.', &label)) {
		if (label.n == 0 || label.n > LABEL_MOST)
			return false;
		for (size_t i = 0; i < label.n; i++)
			if (!is_host_byte(label.p[i]))
				return false;
	}
	return true;
}
