/* SPDX-License-Identifier: ISC */
/* NOOP VRFY EXPN HELP QUIT: RFC 5321 4.1.1.6 to 4.1.1.10. None of them touches a transaction. */
#include "smtpd/smtpd.h"

enum next
cmd_noop(struct session *s)
{
	reply(s, "250 2.0.0 Ok");
	return GO;
}

/* RFC 5321 3.5.3, 7.3: who is here is nobody's business; RCPT tells what has to be told. */
enum next
cmd_vrfy(struct session *s)
{
	reply(s, "252 2.5.0 Cannot verify, but send it and I will try");
	return GO;
}

enum next
cmd_expn(struct session *s)
{
	return reply_error(s, "502 5.5.1 EXPN is not available");
}

enum next
cmd_help(struct session *s)
{
	reply(s, "214 2.0.0 EHLO HELO MAIL RCPT DATA RSET NOOP QUIT VRFY STARTTLS AUTH: see RFC 5321");
	return GO;
}

enum next
cmd_quit(struct session *s)
{
	scoped_buf text = BUF_INIT;

	buf_put_z(&text, "221 2.0.0 ");
	buf_put(&text, session_hostname(s));
	buf_put_z(&text, " closing");
	reply_line(s, buf_str(&text));
	return END;
}

/* Nothing of the lines that follow such a command may be taken for SMTP. */
enum next
cmd_foreign(struct session *s)
{
	return reply_goodbye(s, "4.7.0", "This is a mail server");
}
