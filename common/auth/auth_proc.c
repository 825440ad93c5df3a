/* SPDX-License-Identifier: ISC */
/* The auth process: who asks what. The answers are found in auth_login.c and auth_recipient.c. */
#include "common/auth/auth_proc.h"

#include <stdlib.h>

#include "common/auth/auth_inside.h"
#include "common/base/log.h"
#include "common/daemon/messages.h"
#include "common/daemon/sandbox.h"
#include "common/daemon/ticket_keys.h"

static bool
on_message(struct process *p, enum role from, unsigned index, struct msg *m)
{
	struct auth *a = p->state;

	if (from == ROLE_FRONT && m->type == MSG_LOGIN)
		return auth_on_login(a, index, m);
	if ((from == ROLE_FRONT || from == ROLE_QUEUE) && m->type == MSG_RECIPIENT)
		return auth_on_recipient(a, from, index, m);
	if (from == ROLE_QUEUE && m->type == MSG_ACCOUNT_WANTED)
		return auth_on_account_wanted(a, index, m);
	if (from == ROLE_AUTH_HASH && m->type == MSG_HASH_ANSWER)
		return auth_on_hash_answer(a, m);
	if (from == ROLE_AUTH_PAM && m->type == MSG_PAM_ANSWER)
		return auth_on_pam_answer(a, m);
	if (from == ROLE_MASTER && m->type == MSG_USAGE)
		return auth_on_usage(a, m);
	if (from == ROLE_MASTER && m->type == MSG_KEEPER_GONE)
		return auth_on_keeper_gone(a, m);
	return false;
}

static void
on_peer(struct process *p, enum role role, unsigned index, struct str label)
{
	struct auth *a = p->state;

	(void)label;
	if (role == ROLE_FRONT)
		ticket_keys_tell(a->ticket_keys, index);
	auth_on_worker(p->state, role, index);
}

static void
on_peer_lost(struct process *p, enum role role, unsigned index)
{
	auth_on_worker_lost(p->state, role, index);
}

static void on_stop(struct process *);

static void
on_reload(struct process *p)
{
	struct auth *a = p->state;
	char *why;

	/* Another file has its name now, and our walls know the old one: the next auth reads the new one. */
	if (auth_users_are_others(a)) {
		log_info(NULL, "users.replaced");
		on_stop(p);
		return;
	}
	why = auth_open_users(a);
	if (why != NULL)
		log_error(NULL, "reload.failed", KV("why", why));
	free(why);
}

static void
on_stop(struct process *p)
{
	struct auth *a = p->state;

	auth_login_free(a);
	auth_recipient_free(a);
	ticket_keys_free(a->ticket_keys);
	ipc_free(a->names);
	users_close(a->users);
	free(a);
	p->state = NULL;
	process_end(p);
}

static void
auth_start(struct process *p)
{
	struct auth *a = xcalloc(1, sizeof(*a));
	char *why;

	a->process = p;
	p->state = a;
	process_handle(p, &(struct process_handlers){ .on_message = on_message,
	    .on_peer = on_peer, .on_peer_lost = on_peer_lost, .on_reload = on_reload,
	    .on_stop = on_stop });
	why = auth_open_users(a);
	if (why != NULL)
		process_fail(p, "%s", why);
	auth_allow_users(a);
	a->ticket_keys = ticket_keys_new(p);
	auth_login_init(a);
	auth_recipient_init(a);
}

const struct auth_roles auth_roles = {
	.start = auth_start, .hash_start = auth_hash_start, .pam_start = auth_pam_start,
};
