/* SPDX-License-Identifier: ISC */
/* RFC 2045 6.2, RFC 3516 4.4: binary parts become base64, and nothing else is touched. */
#include "tests/unit/mime/test.h"

#include "common/mime/binary.h"

#define CTE "Content-Transfer-Encoding: "

static void
expect(struct str message, bool good, struct str want)
{
	scoped_buf out = BUF_INIT;

	buf_put_z(&out, "before");
	assert_int_equal(binary_encode(&out, message), good);
	if (good && !str_eq(str_from(buf_str(&out), 6), want))
		fail_msg("got: %.*s\nwant: %.*s", STR_ARG(buf_str(&out)), STR_ARG(want));
}

#define BECOMES(from, to) expect(STR(from), true, STR(to))
#define STAYS(text) expect(STR(text), true, STR(text))
#define CANNOT(text) expect(STR(text), false, STR_EMPTY)

static void
what_has_a_nul_or_a_bare_lf_is_encoded(void **state)
{
	(void)state;
	BECOMES(CTE "binary\r\n\r\n\0", CTE "base64\r\n\r\nAA==\r\n");
	BECOMES(CTE "BINARY (as it is)\n\na\nb", CTE "base64\r\n\nYQpi\r\n");
	BECOMES("A: b\r\ncontent-transfer-encoding :\r\n\tbinary\r\nC: d\r\n\r\n\n",
	    "A: b\r\n" CTE "base64\r\nC: d\r\n\r\nCg==\r\n");
	/* 57 octets are a line. */
	BECOMES(CTE "binary\r\n\r\n0123456789012345678901234567890123456789012345678901234567\0",
	    CTE "base64\r\n\r\nMDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2\r\nNwA=\r\n");
}

static void
other_parts_stay_as_they_are(void **state)
{
	(void)state;
	STAYS("");
	STAYS("no header\n");
	STAYS(CTE "binary\r\n\r\nlines\r\n\xff\x01\r\n");
	STAYS("Subject: a\n\nb\n");
	STAYS(CTE "8bit\r\n\r\na\nb\r\n");
	BECOMES("Content-Type: multipart/mixed; boundary=b\r\n" CTE "binary\r\n\r\n\n--b\r\n\r\n1\n--b\r\n" CTE "binary\r\n\r\n\0\r\n"
	    "--b\r\n" CTE "binary\r\n\r\n\0\n\r\n--b--\r\n\n",
	    "Content-Type: multipart/mixed; boundary=b\r\n" CTE "binary\r\n\r\n\n--b\r\n\r\n1\n--b\r\n" CTE "base64\r\n\r\nAA==\r\n"
	    "--b\r\n" CTE "base64\r\n\r\nAAo=\r\n--b--\r\n\n");
	BECOMES("Content-Type: message/rfc822\r\n\r\n" CTE "binary\r\n\r\n\0\0\0",
	    "Content-Type: message/rfc822\r\n\r\n" CTE "base64\r\n\r\nAAAA\r\n");
}

static void
a_nul_elsewhere_has_no_way_out(void **state)
{
	(void)state;
	CANNOT("\0");
	CANNOT("\r\n\0");
	CANNOT(CTE "8bit\r\n\r\n\0");
	CANNOT(CTE "binary\r\nX: \0\r\n\r\nx\n");
	CANNOT("Content-Type: multipart/mixed; boundary=b\r\n" CTE "binary\r\n\r\n\0\r\n--b\r\n\r\n1\r\n--b--\r\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_has_a_nul_or_a_bare_lf_is_encoded),
		cmocka_unit_test(other_parts_stay_as_they_are),
		cmocka_unit_test(a_nul_elsewhere_has_no_way_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
