/* SPDX-License-Identifier: ISC */
/*
 * The front's side of its signer: the certificates that come from it, the signatures that are asked of it, and the keys
 * for session tickets that auth sends. A signature is the one thing that a front waits for, SIGNER_MS at most.
 */
#pragma once

#include "common/daemon/process.h"
#include "common/net/tls.h"

enum { SIGNER_MS = 2000 };

struct front_signer;

/* ready is called each time there is a new context: at the start, and when the signer was started again. */
struct front_signer *front_signer_new(struct process *, loop_call *ready, void *context);
void front_signer_free(struct front_signer *);
/* NULL: no signer has come yet. */
struct tls_context *front_signer_tls(const struct front_signer *);

/* Feed these first; true: it was ours (*ok false: it was bad). */
bool front_signer_on_message(struct front_signer *, enum role from, unsigned index, struct msg *,
    bool *ok);
void front_signer_on_peer_lost(struct front_signer *, enum role, unsigned index);
