/* SPDX-License-Identifier: ISC */
/*
 * The signer: one process for each front, the only one that ever holds the private key. It hands its front the
 * certificates, then signs for it what a TLS handshake needs, and ends with it.
 */
#pragma once

#include "common/daemon/process.h"

/* Reads certificate and key, which may be root's alone: privileges are dropped after this. */
void signer_start(struct process *);
