/* SPDX-License-Identifier: ISC */
/* A DNS packet: whatever it says, each record and each name lies within it. */
#include <stdlib.h>

#include "common/net/dns_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str packet = { (const char *)data, size };
	struct dns_walk walk;
	struct dns_record r;

	if (size > UINT16_MAX || !dns_walk_begin(&walk, packet))
		return 0;
	while (dns_walk_next(&walk, &r) == PARSED) {
		scoped_buf name = BUF_INIT;
		size_t at = r.at;

		if (r.at + r.n > size)
			abort();
		if (!dns_name_read(packet, &at, &name))
			continue;
		if (at > size || (name.n > 0 && !dns_name_valid(buf_str(&name))))
			abort();
	}
	return 0;
}
