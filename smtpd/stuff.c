/* SPDX-License-Identifier: ISC */
/* Dots doubled, line ends made CRLF, across any cut of the input. Whole runs are copied, not octets. */
#include "smtpd/stuff.h"

static void
put_line_end(struct stuffing *s, struct buf *out)
{
	buf_put(out, STR("\r\n"));
	s->inside_line = false;
	s->after_cr = false;
}

/* Octets before the next CR or LF. */
static size_t
run_length(struct str bytes)
{
	size_t n = 0;

	while (n < bytes.n && bytes.p[n] != '\r' && bytes.p[n] != '\n')
		n++;
	return n;
}

void
stuff_put(struct stuffing *s, struct buf *out, struct str bytes)
{
	while (bytes.n > 0) {
		size_t n;

		if (s->after_cr) {
			put_line_end(s, out);
			if (bytes.p[0] == '\n')
				bytes = str_from(bytes, 1);
			continue;
		}
		n = run_length(bytes);
		if (n > 0) {
			if (!s->inside_line && bytes.p[0] == '.')
				buf_put_c(out, '.');
			s->inside_line = true;
			buf_put(out, str_sub(bytes, 0, n));
		} else if (bytes.p[0] == '\r') {
			s->after_cr = true;
			n = 1;
		} else {
			put_line_end(s, out);
			n = 1;
		}
		bytes = str_from(bytes, n);
	}
}

void
stuff_end(struct stuffing *s, struct buf *out)
{
	if (s->after_cr || s->inside_line)
		put_line_end(s, out);
	buf_put(out, STR(".\r\n"));
}
