/* SPDX-License-Identifier: ISC */
/*
 * auth: the one process that reads password verifiers. It tells master who was let in, and the front only
 * yes or no; it says whether a recipient exists and has room. What is slow is done by its workers.
 */
#pragma once

#include "common/daemon/process.h"

/* For struct service: auth and its two kinds of worker. */
extern const struct auth_roles auth_roles;
