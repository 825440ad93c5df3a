/* SPDX-License-Identifier: ISC */
/* EHLO, HELO: RFC 5321 4.1.1.1; what we can, by door and state. */
#include "smtpd/smtpd.h"

/* RFC 5321 4.1.4: a new greeting ends a transaction, as RSET does. */
static void
greeted(struct session *s, bool extended)
{
	session_forget_mail(s);
	buf_clear(&s->hello);
	buf_put(&s->hello, s->request.hello.name);
	s->extended = extended;
	log_info(&s->log, "hello", KV("name", s->request.hello.name), KV("extended", extended));
}

enum next
cmd_helo(struct session *s)
{
	scoped_buf text = BUF_INIT;

	greeted(s, false);
	buf_put_z(&text, "250 ");
	buf_put(&text, session_hostname(s));
	reply_line(s, buf_str(&text));
	return GO;
}

static void
offer_auth(struct session *s)
{
	scoped_buf text = BUF_INIT;

	buf_put_z(&text, "250-AUTH");
	for (size_t i = 0; sasl_mechanism_name(i) != NULL; i++) {
		buf_put_c(&text, ' ');
		buf_put_z(&text, sasl_mechanism_name(i));
	}
	reply_line(s, buf_str(&text));
}

enum next
cmd_ehlo(struct session *s)
{
	scoped_buf text = BUF_INIT;

	greeted(s, true);
	buf_put_z(&text, "250-");
	buf_put(&text, session_hostname(s));
	reply_line(s, buf_str(&text));
	reply(s, "250-PIPELINING");
	buf_clear(&text);
	buf_put_z(&text, "250-SIZE ");
	buf_put_u64(&text, s->process->settings->message_size_limit);
	reply_line(s, buf_str(&text));
	if (!stream_is_secure(s->stream) && front_tls(s->process) != NULL)
		reply(s, "250-STARTTLS");
	if (auth_is_offered(s))
		offer_auth(s);
	reply(s, "250-ENHANCEDSTATUSCODES");
	reply(s, "250 8BITMIME");
	return GO;
}
