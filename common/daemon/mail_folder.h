/* SPDX-License-Identifier: ISC */
/* The way to an account's Maildir, which its user may have filled with anything. */
#pragma once

#include "common/daemon/settings.h"

enum mail_folder { MAIL_FOLDER_FIND, MAIL_FOLDER_MAKE };

/*
 * Opens the folder of that absolute path as whoever we are, and makes it if it is missing and that is asked for. Up to
 * mail_dir, or where the folder lies elsewhere up to the one above it, links are the administrator's; below that they are
 * not followed. -1 with errno.
 */
must_check int mail_folder_open(const struct settings *, struct str path, enum mail_folder);
