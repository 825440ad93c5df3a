/* SPDX-License-Identifier: ISC */
#include "common/base/id.h"

#include <errno.h>
#include <sys/random.h>

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

void
id_random_bytes(void *p, size_t n)
{
	char *at = p;
	ssize_t got;

	while (n > 0) {
		got = getrandom(at, n, 0);
		if (got < 0 && errno != EINTR)
			fatal("getrandom: errno %d", errno);
		if (got > 0) {
			at += got;
			n -= (size_t)got;
		}
	}
}

void
id_put_new(struct buf *out)
{
	unsigned char random[ID_LENGTH];

	id_random_bytes(random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		buf_put_c(out, alphabet[random[i] & 31]);
}

bool
id_valid(struct str s)
{
	if (s.n != ID_LENGTH)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!str_has_char(STR("abcdefghijklmnopqrstuvwxyz234567"), s.p[i]))
			return false;
	return true;
}
