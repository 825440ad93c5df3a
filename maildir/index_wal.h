/* SPDX-License-Identifier: ISC */
/*
 * The index's write-ahead log with half the system calls: SQLite writes a frame as 24 octets of header and then the
 * page, and here both go to the kernel at once. Only a header that continues where the last frame ended waits, and
 * only for the very next call.
 */
#pragma once

#include <sqlite3.h>

/* `with` becomes a file system layer over `standard` (which stays), with such logs; all else goes straight through. */
void index_wal_put_over(sqlite3_vfs *with, sqlite3_vfs *standard);
