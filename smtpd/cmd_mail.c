/* SPDX-License-Identifier: ISC */
/* MAIL, RCPT, RSET: RFC 5321 4.1.1.2, 4.1.1.3, 4.1.1.5; SIZE of RFC 1870. Who may is policy.c's word. */
#include "smtpd/smtpd.h"

#include "common/base/id.h"

static enum next run_await_sender(struct session *);

static const struct step await_sender = { .name = "await_sender", .run = run_await_sender, .ours = true };

static enum next decide_sender(struct session *, enum sender);
static enum next refuse_sender(struct session *, const char *refusal);
static void on_sender(void *context, enum recipient_result, const struct target *, size_t count);

enum next
cmd_mail(struct session *s)
{
	const struct mail_request *mail = &s->request.mail;
	enum trust trust = session_trust(s);

	/* RFC 1870 6.1: what is declared too large need not be sent. */
	if (mail->has_size && mail->size > s->process->settings->message_size_limit)
		return refuse_sender(s, "552 5.3.4 Message too large");
	if (!policy_asks_for_sender(s->purpose, trust))
		return decide_sender(s, SENDER_NOT_OWN);
	if (mail->path.kind == PATH_NULL)
		return decide_sender(s, SENDER_NULL);
	if (mail->path.kind != PATH_NAMED)
		return decide_sender(s, SENDER_NOT_OWN);
	if (str_eq_nocase(mail->path.address, buf_str(&s->account)))
		return decide_sender(s, SENDER_OWN);
	s->answered = false;
	s->step = &await_sender;
	s->question = recipient_ask(s->process, mail->path.address, 0, on_sender, s);
	return GO;
}

/* An address is yours if mail to it reaches you, full or not. */
static void
on_sender(void *context, enum recipient_result result, const struct target *targets, size_t count)
{
	struct session *s = context;
	enum sender sender = SENDER_NOT_OWN;

	s->question = NULL;
	if (result == RECIPIENT_UNAVAILABLE)
		sender = SENDER_UNKNOWN;
	for (size_t i = 0; i < count; i++)
		if (targets[i].kind == TARGET_LOCAL &&
		    str_eq(targets[i].address, buf_str(&s->account)))
			sender = SENDER_OWN;
	s->sender = sender;
	session_answered(s);
}

static enum next
run_await_sender(struct session *s)
{
	if (!s->answered)
		return WAIT;
	s->step = &read_command;
	session_be_patient(s);
	return decide_sender(s, s->sender);
}

static enum next
refuse_sender(struct session *s, const char *refusal)
{
	const struct mail_request *mail = &s->request.mail;

	log_info(&s->log, "sender.refused", KV("from", mail->path.address),
	    KV("size", mail->has_size ? mail->size : 0), KV("reply", refusal));
	return reply_error(s, refusal);
}

static enum next
decide_sender(struct session *s, enum sender sender)
{
	const struct mail_request *mail = &s->request.mail;
	scoped_buf trace = BUF_INIT;
	const char *refusal = policy_sender(s->purpose, session_trust(s), sender);

	if (refusal != NULL)
		return refuse_sender(s, refusal);
	session_forget_mail(s);
	id_put_new(&trace);
	s->mail.trace = arena_str(s->mail_arena, buf_str(&trace));
	s->mail.open = true;
	s->mail.eight_bit = mail->body_8bit;
	s->mail.size = mail->has_size ? mail->size : 0;
	s->mail.sender = arena_str(s->mail_arena, mail->path.address);
	s->settled = true;
	log_info(&s->log, "sender.accepted", MAIL_TRACE(s), KV("from", s->mail.sender),
	    KV("size", s->mail.size));
	reply(s, "250 2.1.0 Ok");
	return GO;
}

enum next
cmd_rcpt(struct session *s)
{
	/* RFC 5321 4.5.3.1.10: 452, and the client goes on with those that it has. */
	if (s->mail.count >= s->process->settings->recipient_limit) {
		log_info(&s->log, "recipient.refused", MAIL_TRACE(s),
		    KV("to", s->request.rcpt.path.address), KV("from", s->mail.sender),
		    KV("reply", "452 4.5.3 Too many recipients"));
		reply(s, "452 4.5.3 Too many recipients");
		return GO;
	}
	return recipient_check(s);
}

enum next
cmd_rset(struct session *s)
{
	session_forget_mail(s);
	reply(s, "250 2.0.0 Ok");
	return GO;
}
