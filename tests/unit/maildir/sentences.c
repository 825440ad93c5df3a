/* SPDX-License-Identifier: ISC */
/* Words by chance, in other charsets and encodings. */
#include <iconv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/maildir/sentences.h"

size_t
below(size_t n)
{
	static uint64_t state = 88172645463325252;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (size_t)(state % n);
}

void
put_words(struct buf *out, const char *words, size_t count)
{
	struct str all[32], rest = str_of(words);
	size_t n = 0;

	while (n < countof(all) && str_word(&rest, &all[n]))
		n++;
	for (size_t i = 0; i < count; i++) {
		buf_put(out, all[below(n)]);
		buf_put_z(out, below(12) == 0 ? "\r\n" : below(4) == 0 ? "" : " ");
	}
}

void
put_in_charset(struct buf *out, const char *charset, struct str utf8)
{
	iconv_t cd = iconv_open(charset, "UTF-8");
	size_t room = utf8.n * 4 + 64, space = room;
	char *to = buf_room(out, room), *from = (char *)utf8.p;

	assert_true(cd != (iconv_t)-1);
	if (iconv(cd, &from, &utf8.n, &to, &room) == (size_t)-1)
		fail_msg("%s has no such letter: %s", charset, from);
	iconv(cd, NULL, NULL, &to, &room);
	buf_added(out, space - room);
	iconv_close(cd);
}

void
put_encoded(struct buf *out, enum transfer_encoding encoding, struct str bytes)
{
	switch (encoding) {
	case TRANSFER_BASE64:
		transfer_put_base64(out, bytes);
		break;
	case TRANSFER_QUOTED_PRINTABLE:
		transfer_put_quoted_printable(out, bytes);
		break;
	case TRANSFER_IDENTITY:
	case TRANSFER_UNKNOWN:
		buf_put(out, bytes);
		break;
	}
}
