/* SPDX-License-Identifier: ISC */
#include "common/daemon/front_signer.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/daemon/messages.h"

struct front_signer {
	struct process *process;
	struct tls_context *tls;	/* stays when the signer dies: handshakes fail until there is another */
	unsigned index;
	bool has_signer;
	loop_call *ready;
	void *context;
};

struct front_signer *
front_signer_new(struct process *p, loop_call *ready, void *context)
{
	struct front_signer *f = xcalloc(1, sizeof(*f));

	f->process = p;
	f->ready = ready;
	f->context = context;
	return f;
}

void
front_signer_free(struct front_signer *f)
{
	if (f == NULL)
		return;
	tls_context_free(f->tls);
	free(f);
}

struct tls_context *
front_signer_tls(const struct front_signer *f)
{
	return f->tls;
}

/* ---- signatures ---- */

static bool
read_signature(struct str packet, struct buf *signature)
{
	struct msg m;
	struct str given;

	if (!msg_parse(packet, &m) || m.type != MSG_SIGNATURE)
		return false;
	given = msg_get_str(&m);
	if (!msg_end(&m) || given.n == 0)
		return false;
	buf_put(signature, given);
	return true;
}

/* It hangs, or talks nonsense: master ends it and starts another. One that died is gone already. */
static void
give_up_signer(struct front_signer *f)
{
	struct buf m = BUF_INIT;

	f->has_signer = false;
	msg_begin(&m, MSG_SIGNER_FAILED);
	msg_put_u32(&m, f->index);
	process_send(f->process, ROLE_MASTER, 0, &m, -1);
}

static bool
sign(void *context, uint16_t scheme, struct str input, struct buf *signature)
{
	struct front_signer *f = context;
	struct buf m = BUF_INIT;
	scoped_buf answer = BUF_INIT;

	if (!f->has_signer) {
		log_warn(NULL, "tls.no_signature", KV("why", "the signer is being started again"));
		return false;
	}
	msg_begin(&m, MSG_SIGN);
	msg_put_u32(&m, scheme);
	msg_put_str(&m, input);
	if (process_ask(f->process, ROLE_SIGNER, f->index, &m, SIGNER_MS, &answer) &&
	    read_signature(buf_str(&answer), signature))
		return true;
	log_warn(NULL, "tls.no_signature", KV("why", "the signer died or does not answer"));
	give_up_signer(f);
	return false;
}

/* ---- messages ---- */

static bool
on_certificate(struct front_signer *f, unsigned index, struct msg *m)
{
	struct str chain = msg_get_str(m);
	struct tls_context *fresh;
	char *why;

	if (!msg_end(m))
		return false;
	fresh = tls_server_new(chain, f->process->service->protocol, sign, f, &why);
	if (fresh == NULL)
		process_fail(f->process, "%s (setting tls_certificate in %s)", why,
		    f->process->settings->config_path);
	tls_context_free(f->tls);
	f->tls = fresh;
	f->index = index;
	f->has_signer = true;
	f->ready(f->context);
	return true;
}

static bool
on_ticket_keys(struct msg *m)
{
	struct str current = msg_get_str(m), previous = msg_get_str(m);

	if (!msg_end(m) || current.n != TLS_TICKET_KEY ||
	    (previous.n != 0 && previous.n != TLS_TICKET_KEY))
		return false;
	tls_use_ticket_keys(current, previous);
	return true;
}

bool
front_signer_on_message(struct front_signer *f, enum role from, unsigned index, struct msg *m,
    bool *ok)
{
	if (from == ROLE_SIGNER)
		*ok = m->type == MSG_CERTIFICATE && on_certificate(f, index, m);
	else if (from == ROLE_AUTH && m->type == MSG_TICKET_KEYS)
		*ok = on_ticket_keys(m);
	else
		return false;
	return true;
}

void
front_signer_on_peer_lost(struct front_signer *f, enum role role, unsigned index)
{
	if (role != ROLE_SIGNER || index != f->index || !f->has_signer)
		return;
	f->has_signer = false;
	log_warn(NULL, "signer.lost", KV("signer", index));
}
