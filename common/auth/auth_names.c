/* SPDX-License-Identifier: ISC */
/*
 * The machine's own accounts, for auth: its walls keep it from what getpwnam(3) takes (files, libraries, other
 * services' sockets), so `auth: pam` looks them up, over a channel of its own on which each question is answered
 * at once. Above auth's half, below the worker's.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/auth/auth_inside.h"
#include "common/auth/pam_worker.h"
#include "common/base/log.h"
#include "common/daemon/messages.h"

enum { ANSWER_MS = 5000 };	/* auth does nothing else meanwhile */

/* ---- auth ---- */

static bool
on_unasked(void *context, struct ipc *ipc, struct msg *m)
{
	(void)context;
	(void)ipc;
	(void)m;
	return false;
}

static void
on_closed(void *context, struct ipc *ipc)
{
	struct auth *a = context;

	ipc_free(ipc);
	a->names = NULL;
}

static const struct ipc_handlers asker = { .received = on_unasked, .closed = on_closed };

static bool
open_channel(struct auth *a)
{
	struct buf m = BUF_INIT;
	int ends[2];

	if (a->names != NULL)
		return true;
	if (!a->has_pam_worker || !ipc_pair(ends))
		return false;
	a->names = ipc_new(a->process->loop, ends[0], &asker, a);
	msg_begin(&m, MSG_NAMES);
	process_send(a->process, ROLE_AUTH_PAM, a->pam_worker, &m, ends[1]);
	return true;
}

static enum users_result
read_answer(struct str packet, struct arena *arena, struct system_account *out)
{
	struct system_account found;
	struct msg m;
	uint8_t result;

	if (!msg_parse(packet, &m) || m.type != MSG_NAME_ANSWER)
		return USERS_BROKEN;
	result = msg_get_u8(&m);
	found.name = arena_str(arena, msg_get_str(&m));
	found.home = arena_str(arena, msg_get_str(&m));
	found.uid = (uid_t)msg_get_u32(&m);
	found.gid = (gid_t)msg_get_u32(&m);
	if (!msg_end(&m) || (result != USERS_OK && result != USERS_NO_SUCH))
		return USERS_BROKEN;
	if (result == USERS_OK)
		*out = found;
	return (enum users_result)result;
}

enum users_result
auth_system_account(struct auth *a, struct str name, struct arena *arena, struct system_account *out)
{
	struct buf m = BUF_INIT;
	scoped_buf answer = BUF_INIT;

	if (name.n > SYSTEM_NAME_MAX)
		return USERS_NO_SUCH;
	if (!open_channel(a))
		return USERS_BUSY;
	msg_begin(&m, MSG_NAME);
	msg_put_str(&m, name);
	if (ipc_ask(a->names, &m, ANSWER_MS, &answer))
		return read_answer(buf_str(&answer), arena, out);
	log_error(NULL, "names.none", KV("why", "auth: pam did not answer"));
	return USERS_BUSY;
}

/* ---- the worker ---- */

static bool
on_name(void *context, struct ipc *ipc, struct msg *m)
{
	struct arena *arena = arena_new();
	struct system_account found = { .name = STR_EMPTY, .home = STR_EMPTY };
	struct buf answer = BUF_INIT;
	struct str name = msg_get_str(m);
	bool ok = m->type == MSG_NAME && msg_end(m);

	(void)context;
	if (ok) {
		msg_begin(&answer, MSG_NAME_ANSWER);
		msg_put_u8(&answer, (uint8_t)system_account_find(name, arena, &found));
		msg_put_str(&answer, found.name);
		msg_put_str(&answer, found.home);
		msg_put_u32(&answer, (uint32_t)found.uid);
		msg_put_u32(&answer, (uint32_t)found.gid);
		ipc_send(ipc, &answer, -1);
	}
	arena_free(arena);
	return ok;
}

static void
on_asker_gone(void *context, struct ipc *ipc)
{
	struct ipc **names = context;

	ipc_free(ipc);
	*names = NULL;
}

static const struct ipc_handlers answerer = { .received = on_name, .closed = on_asker_gone };

void
auth_names_serve(struct process *p, struct ipc **names, int fd)
{
	ipc_free(*names);
	*names = ipc_new(p->loop, fd, &answerer, names);
}
