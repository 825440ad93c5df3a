/* SPDX-License-Identifier: ISC */
/* Modified UTF-7 both ways: what can be decoded is its own encoding, what can be encoded comes back. */
#include "common/base/utf8.h"
#include "imapd/mutf7.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
decode_and_back(struct str name)
{
	scoped_buf utf8 = BUF_INIT;
	scoped_buf again = BUF_INIT;

	if (!mutf7_decode(&utf8, name))
		return;
	if (!utf8_valid(buf_str(&utf8)))
		fatal("the name is not UTF-8");
	if (!mutf7_encode(&again, buf_str(&utf8)) || !str_eq(buf_str(&again), name))
		fatal("the name has two forms");
}

static void
encode_and_back(struct str utf8)
{
	scoped_buf name = BUF_INIT;
	scoped_buf again = BUF_INIT;

	if (!mutf7_encode(&name, utf8))
		return;
	if (!mutf7_decode(&again, buf_str(&name)) || !str_eq(buf_str(&again), utf8))
		fatal("the name did not come back");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str bytes = { (const char *)data, size };

	decode_and_back(bytes);
	encode_and_back(bytes);
	return 0;
}
