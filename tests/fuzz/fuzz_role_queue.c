/* SPDX-License-Identifier: ISC */
/* The queue: whatever its fronts hand in, and keepers, couriers and auth answer. */
#include "smtpd/messages.h"
#include "smtpd/submit.h"
#include "tests/fuzz/role.h"

static const struct role_kind kinds[] = {
	{ ROLE_FRONT, MSG_SUBMIT_BEGIN }, { ROLE_FRONT, MSG_SUBMIT_RECIPIENTS },
	{ ROLE_FRONT, MSG_SUBMIT_BYTES }, { ROLE_FRONT, MSG_SUBMIT_END },
	{ ROLE_FRONT, MSG_SUBMIT_ABANDON }, { ROLE_KEEPER, MSG_DELIVER_VERDICT },
	{ ROLE_KEEPER, MSG_DELIVERED }, { ROLE_COURIER, MSG_ATTEMPT_ANSWER },
	{ ROLE_COURIER, MSG_ATTEMPT_DONE }, { ROLE_AUTH, MSG_ACCOUNT_ANSWER },
	{ ROLE_AUTH, MSG_RECIPIENT_ANSWER }, { ROLE_AUTH, MSG_LOGIN_ANSWER },
	{ ROLE_COURIER, MSG_SUBMIT_BEGIN }, { ROLE_KEEPER, MSG_ATTEMPT_DONE },
};

static const struct service service = { .name = "smtpd", .protocol = "smtp",
	.queue_start = queue_start };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct process *process;

	if (process == NULL) {
		process = role_process(ROLE_QUEUE, &service, "message_size_limit = 100k");
		queue_start(process);
	}
	role_play(process, kinds, countof(kinds), (struct str){ (const char *)data, size });
	return 0;
}
