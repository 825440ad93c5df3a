/* SPDX-License-Identifier: ISC */
/* The courier: any attempts the queue may ask for. All ways lead to a closed port of this machine. */
#include "smtpd/messages.h"
#include "smtpd/submit.h"
#include "tests/fuzz/role.h"

static const struct role_kind kinds[] = {
	{ ROLE_QUEUE, MSG_ATTEMPT }, { ROLE_QUEUE, MSG_ATTEMPT_DONE }, { ROLE_FRONT, MSG_ATTEMPT },
};

static const struct service service = { .name = "smtpd", .protocol = "smtp" };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct process *process;

	if (process == NULL) {
		process = role_process(ROLE_COURIER, &service,
		    "relay_host = 127.0.0.1:1\ndns_servers = 127.0.0.1@1\n"
		    "outgoing_smtp_port = 1");
		courier_start(process);
	}
	role_play(process, kinds, countof(kinds), (struct str){ (const char *)data, size });
	return 0;
}
