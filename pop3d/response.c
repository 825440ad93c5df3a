/* SPDX-License-Identifier: ISC */
/* The only writer: status indicators, response codes (RFC 2449 8, RFC 3206), multi-line endings. */
#include "pop3d/pop3d.h"

printf_like(3, 0) static void
put_line(struct session *s, const char *indicator, const char *format, va_list args)
{
	struct buf *out = stream_output(s->stream);

	buf_put_z(out, indicator);
	buf_vprintf(out, format, args);
	buf_put_z(out, "\r\n");
}

void
respond_ok(struct session *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_line(s, "+OK ", format, args);
	va_end(args);
}

void
respond_error(struct session *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_line(s, "-ERR ", format, args);
	va_end(args);
}

void
respond_line(struct session *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_line(s, "", format, args);
	va_end(args);
}

void
respond_dot(struct session *s)
{
	buf_put_z(stream_output(s->stream), ".\r\n");
}

void
respond_store(struct session *s, enum store_result result)
{
	switch (result) {
	case STORE_OK:
		respond_ok(s, "done");
		return;
	case STORE_NO_SUCH: case STORE_GONE:
		respond_error(s, "that message is gone, another program removed it");
		return;
	case STORE_BUSY:
		respond_error(s, "[IN-USE] the mailbox is busy, try again in a moment");
		return;
	case STORE_FULL:
		respond_error(s, "[SYS/TEMP] the server's disk is full, try again later");
		return;
	case STORE_EXISTS: case STORE_BAD_NAME: case STORE_NOT_ALLOWED: case STORE_READ_ONLY:
	case STORE_OVER_QUOTA: case STORE_TOO_LARGE: case STORE_BROKEN:
		break;
	}
	respond_error(s, "[SYS/TEMP] the mailbox cannot be read now, the log says why");
}
