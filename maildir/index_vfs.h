/* SPDX-License-Identifier: ISC */
/*
 * SQLite's door to the disk. Its paths are "/trivet-account/FD/.trivet/..."; they are
 * resolved beneath descriptor FD with openat2, as everything here is, and SQLite's
 * random numbers come from getrandom(2), because a sandbox has no /dev/urandom.
 */
#pragma once

#include "common/base/buf.h"

/* Once per process, before the first index is opened. Other paths work as before. */
void index_vfs_install(void);
/* Appends the path of a database in the .trivet of the account at dirfd. */
void index_vfs_put_path(struct buf *out, int dirfd, const char *name);
