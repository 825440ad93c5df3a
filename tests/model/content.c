/* SPDX-License-Identifier: ISC */
/* Mail number n is always the same: header, body, date. And the channel between the processes. */
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "tests/model/model.h"

static const char field[] = "X-Model: ";

const char *const words[WORDS] = { "$Forwarded", "$Junk", "NonJunk", "later", "$MDNSent", "a.b", "Work", "x" };

const char *const kind_names[KINDS] = {
	"append", "deliver", "store", "copy", "move", "expunge", "select", "create", "delete", "rename",
	"several", "replace",
	"outside-flags", "outside-remove", "outside-new", "outside-cur", "outside-double", "outside-back-to-new",
	"outside-rename", "outside-carry", "outside-twin", "outside-torn", "sync", "dump", "list", "settle", "reopen",
};

void
content_put(struct buf *out, uint32_t n, bool lf)
{
	const char *end = lf ? "\n" : "\r\n";

	buf_printf(out, "From: a%u@model.test%sSubject: mail %u%s%s%u%s%s", n % 7, end, n, end, field, n, end, end);
	for (uint32_t i = 0; i < n % 13; i++)
		buf_printf(out, "line %u of %u%s", i, n, end);
}

int64_t
content_date(uint32_t n)
{
	return 1700000000 + n;
}

uint32_t
content_number(struct str header)
{
	size_t at = str_find(header, str_of(field));
	struct str rest = str_from(header, at + sizeof(field) - 1);
	uint32_t n;

	return at < header.n && str_to_u32(str_sub(rest, 0, str_index(rest, '\r')), &n) ? n : 0;
}

static bool
read_all(int fd, void *p, size_t n)
{
	ssize_t got;

	for (char *at = p; n > 0; at += got, n -= (size_t)got) {
		got = read(fd, at, n);
		if (got <= 0)
			return false;
	}
	return true;
}

bool
op_receive(int fd, struct op *out)
{
	return read_all(fd, out, sizeof(*out));
}

void
answer_send(int fd, const struct answer *a)
{
	const char *p = (const char *)a;
	ssize_t put;

	for (size_t n = sizeof(*a); n > 0; p += put, n -= (size_t)put) {
		put = write(fd, p, n);
		if (put <= 0)
			_exit(0);
	}
}
