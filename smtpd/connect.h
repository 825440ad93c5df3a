/* SPDX-License-Identifier: ISC */
/* A connection to another host, made without blocking. */
#pragma once

#include "common/net/address.h"
#include "common/net/loop.h"

struct connect;

/* fd >= 0: connected, owned by the callee; else -1 and why (an errno). The connect has been freed already. */
typedef void connect_done(void *context, int fd, int error);
/* Calls once, never from inside; within `ms` (else ETIMEDOUT). */
struct connect *connect_new(struct loop *, const struct net_address *, int64_t ms, connect_done *,
    void *context);
/* No call any more. Takes NULL. */
void connect_free(struct connect *);
