/* SPDX-License-Identifier: ISC */
/*
 * Who makes a daemon's keys for TLS session tickets: auth, which every front knows and which keeps secrets anyway. A new
 * key comes each hour, tickets under the one before are taken for one hour more; no key is ever written
 * down, and none is another daemon's.
 */
#pragma once

#include "common/daemon/process.h"

struct ticket_keys;

/* Begins with a fresh key. */
struct ticket_keys *ticket_keys_new(struct process *);
void ticket_keys_free(struct ticket_keys *);
/* A new front: tells it; at each change all are told. */
void ticket_keys_tell(struct ticket_keys *, unsigned front);
