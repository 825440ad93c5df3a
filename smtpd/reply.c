/* SPDX-License-Identifier: ISC */
/*
 * The only writer: whole lines into the stream's output, flushed by the driver before it waits
 * (RFC 2920 3.2: replies to pipelined commands go out together).
 */
#include "smtpd/smtpd.h"

void
reply_line(struct session *s, struct str text)
{
	log_debug(&s->log, "reply", KV("text", text));
	buf_put(stream_output(s->stream), text);
	buf_put(stream_output(s->stream), STR("\r\n"));
}

void
reply(struct session *s, const char *text)
{
	reply_line(s, str_of(text));
}

enum next
reply_error(struct session *s, const char *text)
{
	reply(s, text);
	if (text[0] != '5' || ++s->errors < ERRORS_MAX)
		return GO;
	return reply_goodbye(s, "4.7.0", "Too many errors");
}

/* RFC 5321 3.8, 4.2.3: 421 before we close the channel on our own account. */
enum next
reply_goodbye(struct session *s, const char *status, const char *why)
{
	scoped_buf text = BUF_INIT;

	buf_put_z(&text, "421 ");
	buf_put_z(&text, status);
	buf_put_c(&text, ' ');
	buf_put(&text, session_hostname(s));
	buf_put_c(&text, ' ');
	buf_put_z(&text, why);
	log_info(&s->log, "dismissed", KV("why", why));
	reply_line(s, buf_str(&text));
	return END;
}

/* RFC 5321 2.3.8: only CRLF ends a line; what is behind another end may be read in two ways. */
enum next
reply_bare_line(struct session *s)
{
	log_info(&s->log, "dismissed", KV("why", "A line does not end in CR LF"));
	reply(s, "500 5.5.2 Lines end in CR LF and hold neither alone, nor NUL");
	return END;
}
