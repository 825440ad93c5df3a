/* SPDX-License-Identifier: ISC */
/* What ps shows: "imapd: keeper alice@example.test". */
#pragma once

#include "common/base/defs.h"

/* Once, first thing in main: makes room in place of the arguments (environ is moved). */
void title_init(int argc, char **argv);
/* "NAME: ROLE LABEL"; label may be NULL. Cut to the room there is. */
void title_set(const char *name, const char *role, const char *label);
