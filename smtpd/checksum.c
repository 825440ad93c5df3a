/* SPDX-License-Identifier: ISC */
/*
 * CRC-32C, eight octets a step: table[k][b] is the effect of octet b with k zero octets after it.
 * The polynomial is 0x1EDC6F41, bits reversed. Where the processor has an instruction for it, that is used.
 */
#include "smtpd/checksum.h"

#include <string.h>

static uint32_t table[8][256];

static void
make_table(void)
{
	for (uint32_t b = 0; b < 256; b++) {
		uint32_t crc = b;

		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
		table[0][b] = crc;
	}
	for (int k = 1; k < 8; k++) {
		for (int b = 0; b < 256; b++)
			table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 255];
	}
}

static uint32_t
add_by_table(uint32_t crc, const unsigned char *p, size_t n)
{
	if (table[0][1] == 0)
		make_table();
	for (; n >= 8; n -= 8, p += 8) {
		crc ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
		    (uint32_t)p[3] << 24;
		crc = table[7][crc & 255] ^ table[6][crc >> 8 & 255] ^
		    table[5][crc >> 16 & 255] ^ table[4][crc >> 24] ^
		    table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
	}
	for (; n > 0; n--, p++)
		crc = crc >> 8 ^ table[0][(crc ^ *p) & 255];
	return crc;
}

#ifdef __x86_64__

__attribute__((target("sse4.2"))) static uint32_t
add_by_instruction(uint32_t crc, const unsigned char *p, size_t n)
{
	uint64_t wide = crc, eight;

	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&eight, p, sizeof(eight));
		wide = __builtin_ia32_crc32di(wide, eight);
	}
	for (crc = (uint32_t)wide; n > 0; n--, p++)
		crc = __builtin_ia32_crc32qi(crc, *p);
	return crc;
}

static bool
has_instruction(void)
{
	return __builtin_cpu_supports("sse4.2");
}

#else

static uint32_t
add_by_instruction(uint32_t crc, const unsigned char *p, size_t n)
{
	return add_by_table(crc, p, n);
}

static bool
has_instruction(void)
{
	return false;
}

#endif

uint32_t
checksum_add(uint32_t crc, struct str bytes)
{
	const unsigned char *p = (const unsigned char *)bytes.p;

	return has_instruction() ? ~add_by_instruction(~crc, p, bytes.n) :
	    ~add_by_table(~crc, p, bytes.n);
}

uint32_t
checksum_add_plainly(uint32_t crc, struct str bytes)
{
	return ~add_by_table(~crc, (const unsigned char *)bytes.p, bytes.n);
}
