/* SPDX-License-Identifier: ISC */
/* Opening, closing and throwing away what queue.db and trace.db are. */
#include "smtpd/database.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"

int64_t
database_version(sqlite3 *db)
{
	sqlite3_stmt *s = NULL;
	int64_t version = -1;

	if (sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &s, NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW)
		version = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return version;
}

bool
database_prepare(sqlite3 *db, const char *const texts[], sqlite3_stmt *statements[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (sqlite3_prepare_v3(db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &statements[i],
		    NULL) != SQLITE_OK)
			return false;
	}
	return true;
}

void
database_close(sqlite3 **db, sqlite3_stmt *statements[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		sqlite3_finalize(statements[i]);
		statements[i] = NULL;
	}
	sqlite3_close(*db);
	*db = NULL;
}

/*
 * Walls know the files, not their names, and a role with a user of its own does not own the folder: then nothing can
 * be removed or made here. Empty ones make a new database as well; the index of the WAL SQLite empties itself.
 */
void
database_discard(const char *path)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };

	for (size_t i = 0; i < countof(suffixes); i++) {
		scoped_buf name = BUF_INIT;
		scoped_fd fd = -1;

		buf_printf(&name, "%s%s", path, suffixes[i]);
		if (unlink(buf_z(&name)) == 0 || i == countof(suffixes) - 1)
			continue;
		fd = open(buf_z(&name), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (fd >= 0 && ftruncate(fd, 0) != 0)
			log_error(NULL, "database.discard", KV("path", buf_str(&name)), KV("errno", errno));
	}
}
