/* SPDX-License-Identifier: ISC */
#include "common/daemon/signer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "common/base/log.h"
#include "common/daemon/messages.h"
#include "common/net/tls_key.h"

struct signer {
	struct tls_key *key;
	struct buf chain;
	bool has_front;
};

static void
on_peer(struct process *p, enum role role, unsigned index, struct str label)
{
	struct signer *s = p->state;
	struct buf m = BUF_INIT;

	(void)label;
	s->has_front = true;
	msg_begin(&m, MSG_CERTIFICATE);
	msg_put_str(&m, buf_str(&s->chain));
	process_send(p, role, index, &m, -1);
}

/*
 * A question that no handshake asks ends the channel, and so us: the front gets another signer, and
 * nothing signed.
 */
static bool
on_message(struct process *p, enum role from, unsigned index, struct msg *m)
{
	struct signer *s = p->state;
	uint32_t scheme = msg_get_u32(m);
	struct str input = msg_get_str(m);
	scoped_buf signature = BUF_INIT;
	struct buf answer = BUF_INIT;

	if (from != ROLE_FRONT || m->type != MSG_SIGN || !msg_end(m) || scheme > UINT16_MAX ||
	    !tls_key_sign(s->key, (uint16_t)scheme, input, &signature))
		return false;
	msg_begin(&answer, MSG_SIGNATURE);
	msg_put_str(&answer, buf_str(&signature));
	process_send(p, from, index, &answer, -1);
	return true;
}

static void
finish(struct process *p)
{
	struct signer *s = p->state;

	tls_key_free(s->key);
	buf_free(&s->chain);
	free(s);
	p->state = NULL;
	process_end(p);
}

static void
on_peer_lost(struct process *p, enum role role, unsigned index)
{
	(void)role;
	(void)index;
	finish(p);
}

/* The front says its goodbyes first, and some of its clients may be in a handshake. */
static void
on_stop(struct process *p)
{
	struct signer *s = p->state;

	if (!s->has_front)
		finish(p);
}

void
signer_start(struct process *p)
{
	const struct settings *settings = p->settings;
	struct signer *s = xcalloc(1, sizeof(*s));
	char *why;

	p->state = s;
	process_handle(p, &(struct process_handlers){ .on_message = on_message,
	    .on_peer = on_peer, .on_peer_lost = on_peer_lost, .on_stop = on_stop });
	/* Others of our user cannot look into us, and no core file gets the key. */
	if (prctl(PR_SET_DUMPABLE, 0) != 0)
		log_warn(NULL, "signer.dumpable", KV("errno", errno));
	s->key = tls_key_read(settings->tls_certificate, settings->tls_key, &s->chain, &why);
	if (s->key == NULL)
		process_fail(p, "%s (settings tls_certificate and tls_key in %s)", why,
		    settings->config_path);
}
