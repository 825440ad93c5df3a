/* SPDX-License-Identifier: ISC */
/*
 * A front that has asked: two logins, two recipients, a submission. Whatever auth, master and the queue answer, each
 * question is answered once at most, and what is answered is one of the words there are. Even
 * sizes: a front of smtpd; odd ones: of imapd, where a login is a session from master.
 */
#include "common/daemon/messages.h"
#include "smtpd/messages.h"
#include "smtpd/submit.h"
#include "tests/fuzz/role.h"

static const struct role_kind kinds[] = {
	{ ROLE_AUTH, MSG_LOGIN_ANSWER }, { ROLE_AUTH, MSG_RECIPIENT_ANSWER },
	{ ROLE_MASTER, MSG_SESSION }, { ROLE_QUEUE, MSG_SUBMIT_ANSWER },
	{ ROLE_AUTH, MSG_SESSION }, { ROLE_QUEUE, MSG_LOGIN_ANSWER },
};

static const struct service services[] = {
	{ .name = "smtpd", .protocol = "smtp", .queue_start = queue_start },
	{ .name = "imapd", .protocol = "imap" },
};

/* What is under way; NULL: answered. */
static struct question *logins[2], *recipients[2];
static struct submission *submission;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void
queue_start(struct process *p)
{
	(void)p;
}

static void
on_login(void *context, enum login_result result, struct str address, int fd)
{
	struct question **question = context;

	if (*question == NULL || result > LOGIN_TOO_MANY || address.n > IPC_MESSAGE_MAX)
		fatal("a login is answered wrongly");
	*question = NULL;
	close_fd(&fd);
}

static void
on_recipient(void *context, enum recipient_result result, const struct target *targets, size_t count)
{
	struct question **question = context;

	if (*question == NULL || result > RECIPIENT_UNAVAILABLE)
		fatal("a recipient is answered wrongly");
	for (size_t i = 0; i < count; i++)
		if (targets[i].kind > TARGET_REMOTE || targets[i].address.n > IPC_MESSAGE_MAX)
			fatal("a target that is none");
	*question = NULL;
}

static void
on_submitted(void *context, enum submit_result result)
{
	struct submission **sub = context;

	if (*sub == NULL || result > SUBMIT_TOO_LARGE)
		fatal("a submission is answered wrongly");
	*sub = NULL;
}

static bool
on_message(struct process *p, enum role from, unsigned index, struct msg *m)
{
	bool ok;

	(void)index;
	if (login_on_message(p, from, m, &ok))
		return ok;
	return submit_on_message(p, from, m, &ok) && ok;
}

static void
on_peer(struct process *p, enum role role, unsigned index, struct str label)
{
	(void)label;
	login_on_peer(p, role, index);
	submit_on_peer(p, role, index);
}

static void
on_peer_lost(struct process *p, enum role role, unsigned index)
{
	login_on_peer_lost(p, role, index);
	submit_on_peer_lost(p, role);
}

static void
ask(struct process *p)
{
	static const struct target target = { TARGET_LOCAL, { "alice@example.test", 18 } };
	const struct envelope_recipient to = { STR("alice@example.test"), &target, 1 };
	const struct envelope envelope = { .sender = STR_EMPTY, .recipients = &to, .count = 1 };
	const struct credential credential = { CREDENTIAL_NONE, STR_EMPTY, STR("192.0.2.1") };
	const struct submit_options options = { STR("abcdefghijklmnop"), STR_EMPTY, STR_EMPTY };
	const struct net_address peer = { .any = false };
	const struct login_question login = { .sid = STR("s"), .peer = &peer,
		.authzid = STR_EMPTY, .authcid = STR("alice"), .password = STR("secret") };

	on_peer(p, ROLE_AUTH, 0, STR_EMPTY);
	for (size_t i = 0; i < countof(logins); i++) {
		logins[i] = login_ask(p, &login, on_login, &logins[i]);
		recipients[i] = recipient_ask(p, target.address, 0, on_recipient, &recipients[i]);
	}
	submission = submit_begin(p, &envelope, &credential, &options, NULL, NULL);
	submit_write(submission, STR("Subject: hello\r\n\r\n"));
	submit_end(submission, on_submitted, &submission);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct process *process;

	if (process == NULL) {
		process = role_process(ROLE_FRONT, NULL, "");
		process_handle(process, &(struct process_handlers){ .on_message = on_message,
		    .on_peer = on_peer, .on_peer_lost = on_peer_lost });
	}
	process->service = &services[size % countof(services)];
	ask(process);
	role_play(process, kinds, countof(kinds), (struct str){ (const char *)data, size });
	submit_abandon(submission);
	submission = NULL;
	login_forget(process);
	for (size_t i = 0; i < countof(logins); i++)
		logins[i] = recipients[i] = NULL;
	return 0;
}
