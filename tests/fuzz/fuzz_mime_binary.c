/* SPDX-License-Identifier: ISC */
/*
 * Any bytes: what comes out true has no NUL, what had nothing to encode comes out as it was, and what was encoded once needs no
 * encoding again.
 */
#include "common/mime/binary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool truth, const char *what)
{
	if (!truth)
		fatal("broken: %s", what);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str message = { (const char *)data, size };
	scoped_buf once = BUF_INIT, twice = BUF_INIT;
	bool good = binary_encode(&once, message);

	must(good == !str_has_char(buf_str(&once), '\0'), "no NUL is left");
	must(once.n <= 2 * size + 1000 * PART_COUNT_MAX, "it does not explode");
	if (!good)
		return 0;
	must(binary_encode(&twice, buf_str(&once)), "what is good stays good");
	return 0;
}
