/* SPDX-License-Identifier: ISC */
/*
 * The first octet says how the rest is chopped and whether it is mended: chopped and whole give the same message, end and
 * faults; a good message holds no lone CR or LF; and dotted again it comes back.
 */
#include "smtpd/dots.h"
#include "smtpd/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t
take(struct dots *dots, bool mend, struct str input, size_t step, struct buf *out)
{
	size_t used = 0;

	*dots = (struct dots){ .mend = mend };
	for (size_t at = 0; at < input.n && !dots_at_end(dots); at += step)
		used += dots_take(dots, str_sub(input, at, step), out);
	return used;
}

static void
check_ends(struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\n' && (i == 0 || text.p[i - 1] != '\r'))
			fatal("a lone LF came through");
		if (text.p[i] == '\r' && i + 1 < text.n && text.p[i + 1] != '\n')
			fatal("a lone CR came through");
	}
}

static void
check_again(struct str text)
{
	scoped_buf dotted = BUF_INIT;
	scoped_buf out = BUF_INIT;
	struct dots dots;

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '.' && (i == 0 || text.p[i - 1] == '\n'))
			buf_put_c(&dotted, '.');
		buf_put_c(&dotted, text.p[i]);
	}
	buf_put(&dotted, STR(".\r\n"));
	if (take(&dots, false, buf_str(&dotted), dotted.n, &out) != dotted.n || !dots_at_end(&dots) ||
	    !str_eq(buf_str(&out), text))
		fatal("a message does not come back");
}

static void
check_head(struct str text, size_t step)
{
	struct head whole = HEAD_INIT, chopped = HEAD_INIT;
	scoped_buf a = BUF_INIT;
	scoped_buf b = BUF_INIT;

	head_take(&whole, text, &a);
	for (size_t at = 0; at < text.n; at += step)
		head_take(&chopped, str_sub(text, at, step), &b);
	head_end(&whole, &a);
	head_end(&chopped, &b);
	if (!str_eq(buf_str(&a), buf_str(&b)) || whole.received != chopped.received)
		fatal("chopping changed a header");
	if (!str_ends(buf_str(&a), text))
		fatal("a message was changed");
	head_free(&whole);
	head_free(&chopped);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = { (const char *)data + 1, size - 1 };
	struct dots whole, chopped;
	scoped_buf a = BUF_INIT;
	scoped_buf b = BUF_INIT;
	size_t step;
	bool mend;

	if (size < 2)
		return 0;
	step = data[0] % 16 + 1;
	mend = data[0] & 128;
	if (take(&whole, mend, input, input.n, &a) != take(&chopped, mend, input, step, &b) ||
	    whole.at != chopped.at || whole.faults != chopped.faults ||
	    !str_eq(buf_str(&a), buf_str(&b)))
		fatal("chopping changed a message");
	check_head(buf_str(&a), step);
	if (dots_at_end(&whole) && whole.faults == 0) {
		check_ends(buf_str(&a));
		check_again(buf_str(&a));
	}
	return 0;
}
