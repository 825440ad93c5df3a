/* SPDX-License-Identifier: ISC */
/*
 * One recipient: where its address leads (auth knows), whether it may be sent there (policy.c decides), and the
 * envelope's new entry. The address is asked for as it is: nothing in a local part is ever a route.
 */
#include "smtpd/smtpd.h"

static enum next run_await_recipient(struct session *);

static const struct step await_recipient = {
	.name = "await_recipient", .run = run_await_recipient, .ours = true
};

static void on_recipient(void *context, enum recipient_result, const struct target *,
    size_t count);

static bool
in_relay_domains(const struct session *s, struct str domain)
{
	const struct setting_list *list = &s->process->settings->relay_domains;

	for (size_t i = 0; i < list->count; i++)
		if (str_eq_nocase(str_of(list->words[i]), domain))
			return true;
	return false;
}

enum next
recipient_check(struct session *s)
{
	const struct path *path = &s->request.rcpt.path;

	s->step = &await_recipient;
	s->answered = false;
	/* A host of that address, not a domain of ours. */
	if (path->kind == PATH_LITERAL)
		on_recipient(s, RECIPIENT_NOT_OURS, NULL, 0);
	/* RFC 6409 4.3: who has not logged in learns nothing, not even by the time it takes. */
	else if (policy_recipient(s->purpose, session_trust(s), PLACE_OURS) != NULL)
		on_recipient(s, RECIPIENT_NO_SUCH, NULL, 0);
	else
		s->question = recipient_ask(s->process, path->address, s->mail.size,
		    on_recipient, s);
	return GO;
}

/* Makes room for one more; what is outgrown stays in the arena, which is less than the array again. */
static struct envelope_recipient *
new_recipient(struct session *s, struct str given)
{
	struct mail *mail = &s->mail;
	struct envelope_recipient *all = mail->recipients;

	if (mail->count == mail->room) {
		mail->room = mail->room > 0 ? 2 * mail->room : 4;
		all = arena_array(s->mail_arena, struct envelope_recipient, mail->room);
		if (mail->count > 0)
			memcpy(all, mail->recipients, mail->count * sizeof(*all));
		mail->recipients = all;
	}
	all[mail->count].given = arena_str(s->mail_arena, given);
	return &all[mail->count++];
}

static void
add_recipient(struct session *s, struct str given, const struct target *targets, size_t count)
{
	struct envelope_recipient *recipient = new_recipient(s, given);
	struct target *copies = arena_array(s->mail_arena, struct target, count);

	for (size_t i = 0; i < count; i++) {
		copies[i].kind = targets[i].kind;
		copies[i].address = arena_str(s->mail_arena, targets[i].address);
	}
	recipient->targets = copies;
	recipient->target_count = count;
	s->mail.targets += count;
}

static void
on_recipient(void *context, enum recipient_result result, const struct target *targets,
    size_t count)
{
	struct session *s = context;
	const struct path *path = &s->request.rcpt.path;
	struct target relayed = { TARGET_REMOTE, path->address };

	s->question = NULL;
	if (result == RECIPIENT_OK && count == 0)
		result = RECIPIENT_UNAVAILABLE;
	/* Where nobody is postmaster there is nowhere to relay it to. */
	if (result == RECIPIENT_NOT_OURS && path->kind == PATH_POSTMASTER)
		result = RECIPIENT_NO_SUCH;
	s->where = policy_place(result, in_relay_domains(s, path->domain));
	s->refusal = policy_recipient(s->purpose, session_trust(s), s->where);
	if (result == RECIPIENT_NOT_OURS) {
		targets = &relayed;
		count = 1;
	}
	if (s->refusal == NULL && s->mail.targets + count > SUBMIT_TARGETS_MAX)
		s->refusal = "452 4.5.3 Too many recipients";
	if (s->refusal == NULL)
		add_recipient(s, path->address, targets, count);
	session_answered(s);
}

/* A trusted sender's list may hold dead addresses; a stranger with many is guessing. */
static enum next
refuse(struct session *s)
{
	bool guessing = session_trust(s) == TRUST_STRANGER && s->where == PLACE_NO_SUCH;

	log_info(&s->log, "recipient.refused", MAIL_TRACE(s),
	    KV("to", s->request.rcpt.path.address), KV("from", s->mail.sender),
	    KV("reply", s->refusal));
	if (session_trust(s) == TRUST_STRANGER && !guessing)
		return reply_error(s, s->refusal);
	reply(s, s->refusal);
	if (guessing && ++s->unknown_recipients > UNKNOWN_RECIPIENTS_MAX)
		return reply_goodbye(s, "4.7.0", "Too many unknown recipients");
	return GO;
}

static enum next
run_await_recipient(struct session *s)
{
	if (!s->answered)
		return WAIT;
	s->step = &read_command;
	session_be_patient(s);
	if (s->refusal != NULL)
		return refuse(s);
	log_info(&s->log, "recipient.accepted", MAIL_TRACE(s),
	    KV("to", s->request.rcpt.path.address));
	reply(s, "250 2.1.5 Ok");
	return GO;
}
