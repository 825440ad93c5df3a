/* SPDX-License-Identifier: ISC */
/* What smtpd's two databases, queue.db and trace.db, have in common: each can be made anew without losing mail. */
#pragma once

#include <sqlite3.h>

#include "common/base/defs.h"

/* PRAGMA user_version: 0 of a new one; -1: it cannot be read now, sqlite3_errcode says why. */
int64_t database_version(sqlite3 *);
/* statements[i] from texts[i], for as long as the database is open; false: sqlite3_errcode says why. */
must_check bool database_prepare(sqlite3 *, const char *const texts[], sqlite3_stmt *statements[], size_t count);
/* Finalizes and closes, and sets all to NULL; what is NULL already stays so. */
void database_close(sqlite3 **, sqlite3_stmt *statements[], size_t count);
/* Of a closed one: its file and the two beside it are gone, or empty. Where neither can be had is logged. */
void database_discard(const char *path);
