/* SPDX-License-Identifier: ISC */
/* Messages between processes: any packet, read with any sequence of getters. */
#include "common/daemon/keeper.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct keeper_grant grant;
	struct msg m;
	size_t plan = size < 8 ? size : 8;

	if (!msg_parse((struct str){ (const char *)data + plan, size - plan }, &m))
		return 0;
	for (size_t i = 0; i < plan; i++) {
		switch (data[i] % 6) {
		case 0: msg_get_u8(&m); break;
		case 1: msg_get_u32(&m); break;
		case 2: msg_get_u64(&m); break;
		case 3: msg_get_bool(&m); break;
		case 4:
			if (msg_get_str(&m).n > size)
				__builtin_trap();
			break;
		case 5:
			grant = msg_get_grant(&m);
			if (grant.maildir.n > size)
				__builtin_trap();
			break;
		}
	}
	if (msg_end(&m) && m.rest.n > 0)
		__builtin_trap();
	return 0;
}
