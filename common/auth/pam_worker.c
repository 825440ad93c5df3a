/* SPDX-License-Identifier: ISC */
/*
 * One question to PAM (pam(3)): the conversation answers every prompt without echo by the
 * password, once, and nothing else, because nobody is there to be asked more.
 */
#include "common/auth/pam_worker.h"

#include <errno.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"

enum { PASSWD_ROOM = 16 * 1024 };

struct conversation {
	const char *password;
};

static void
forget_answers(struct pam_response *answers, int count)
{
	for (int i = 0; i < count; i++) {
		if (answers[i].resp != NULL)
			explicit_bzero(answers[i].resp, strlen(answers[i].resp));
		free(answers[i].resp);
	}
	free(answers);
}

/* PAM frees the answers with free(3), so they come from malloc. */
static int
converse(int count, const struct pam_message **messages, struct pam_response **out, void *context)
{
	const struct conversation *conversation = context;
	struct pam_response *answers;

	if (count <= 0 || count > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	answers = calloc((size_t)count, sizeof(*answers));
	if (answers == NULL)
		return PAM_BUF_ERR;
	for (int i = 0; i < count; i++) {
		switch (messages[i]->msg_style) {
		case PAM_PROMPT_ECHO_OFF:
			answers[i].resp = strdup(conversation->password);
			if (answers[i].resp != NULL)
				break;
			forget_answers(answers, count);
			return PAM_BUF_ERR;
		case PAM_TEXT_INFO:
		case PAM_ERROR_MSG:
			break;
		default:
			forget_answers(answers, count);
			return PAM_CONV_ERR;
		}
	}
	*out = answers;
	return PAM_SUCCESS;
}

/* What a module says of the user, and what it says of itself. */
static enum pam_answer
answer_of(int code)
{
	switch (code) {
	case PAM_SUCCESS:
		return PAM_ANSWER_YES;
	case PAM_AUTH_ERR:
	case PAM_USER_UNKNOWN:
	case PAM_MAXTRIES:
	case PAM_PERM_DENIED:
	case PAM_ACCT_EXPIRED:
	case PAM_NEW_AUTHTOK_REQD:
	case PAM_CRED_INSUFFICIENT:
	case PAM_CRED_EXPIRED:
	case PAM_CONV_ERR:
		return PAM_ANSWER_NO;
	default:
		return PAM_ANSWER_LATER;
	}
}

/*
 * Modules ask for a pause of seconds after a wrong password (pam_fail_delay(3)). auth has its own way to
 * slow guesses, in which nobody else's question waits.
 */
static void
do_not_wait(int code, unsigned microseconds, void *context)
{
	(void)code;
	(void)microseconds;
	(void)context;
}

static int
ask(pam_handle_t *pam, const char *remote_host)
{
	int code = PAM_SUCCESS;

	if (remote_host[0] != '\0')
		code = pam_set_item(pam, PAM_RHOST, remote_host);
	if (code == PAM_SUCCESS)
		code = pam_set_item(pam, PAM_TTY, "trivet");
	if (code == PAM_SUCCESS)
		code = pam_set_item(pam, PAM_FAIL_DELAY, (const void *)(uintptr_t)do_not_wait);
	if (code == PAM_SUCCESS)
		code = pam_authenticate(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	if (code == PAM_SUCCESS)
		code = pam_acct_mgmt(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	return code;
}

enum pam_answer
pam_check(const char *service, const char *user, const char *password, const char *remote_host)
{
	struct conversation conversation = { password };
	const struct pam_conv conv = { converse, &conversation };
	pam_handle_t *pam = NULL;
	enum pam_answer answer;
	int code;

	code = pam_start(service, user, &conv, &pam);
	if (code != PAM_SUCCESS) {
		log_error(NULL, "pam-start", KV("service", service), KV("code", code));
		return PAM_ANSWER_LATER;
	}
	code = ask(pam, remote_host);
	answer = answer_of(code);
	if (answer == PAM_ANSWER_LATER)
		log_error(NULL, "pam-failed", KV("service", service), KV("user", user),
			KV("error", pam_strerror(pam, code)));
	pam_end(pam, code);
	return answer;
}

enum users_result
system_account_find(struct str name, struct arena *arena, struct system_account *out)
{
	char *path = name.n > SYSTEM_NAME_MAX ? NULL : str_path(name);
	char *room = arena_alloc(arena, PASSWD_ROOM);
	struct passwd entry, *found = NULL;
	int error;

	if (path == NULL)
		return USERS_NO_SUCH;
	error = getpwnam_r(path, &entry, room, PASSWD_ROOM, &found);
	free(path);
	/* getpwnam(3): these, too, are ways to say that there is none. */
	if (error == ENOENT || error == ESRCH || error == EBADF || error == EPERM)
		error = 0;
	if (error != 0) {
		log_error(NULL, "getpwnam", KV("name", name), KV("error", strerror(error)));
		return USERS_BROKEN;
	}
	if (found == NULL || entry.pw_uid == 0)
		return USERS_NO_SUCH;
	out->name = str_of(entry.pw_name);
	out->home = str_of(entry.pw_dir);
	out->uid = entry.pw_uid;
	out->gid = entry.pw_gid;
	return USERS_OK;
}
