/* SPDX-License-Identifier: ISC */
#include "maildir/index_wal.h"

#include <stdbool.h>
#include <string.h>

#include "common/base/buf.h"

/* https://www.sqlite.org/fileformat2.html#the_write_ahead_log */
enum { HEADER = 24, PAGE_MAX = 64 * 1024 };

struct log_file {
	sqlite3_file file;	/* first: SQLite knows us by it */
	sqlite3_file *inner;
	sqlite3_int64 end;	/* of what was written last */
	bool held;		/* a header that belongs there is not written yet */
	char header[HEADER];
	struct buf frame;	/* a header and its page, while they are written */
};

static sqlite3_vfs *below;

static struct log_file *
log_of(sqlite3_file *file)
{
	return (struct log_file *)(void *)file;
}

/* It never happens between SQLite's two calls; if it did, nothing would be lost. */
static int
write_held(struct log_file *log)
{
	if (!log->held)
		return SQLITE_OK;
	log->held = false;
	return log->inner->pMethods->xWrite(log->inner, log->header, HEADER, log->end);
}

static int
write_frame(struct log_file *log, const void *page, int n)
{
	sqlite3_int64 at = log->end;

	buf_clear(&log->frame);
	buf_put(&log->frame, (struct str){ log->header, HEADER });
	buf_put(&log->frame, (struct str){ page, (size_t)n });
	log->held = false;
	log->end += HEADER + n;
	return log->inner->pMethods->xWrite(log->inner, log->frame.p, HEADER + n, at);
}

static int
log_write(sqlite3_file *file, const void *data, int n, sqlite3_int64 at)
{
	struct log_file *log = log_of(file);
	int result;

	if (log->held && at == log->end + HEADER && n <= PAGE_MAX)
		return write_frame(log, data, n);
	result = write_held(log);
	if (result != SQLITE_OK)
		return result;
	if (n == HEADER && at == log->end) {
		memcpy(log->header, data, HEADER);
		log->held = true;
		return SQLITE_OK;
	}
	log->end = at + n;
	return log->inner->pMethods->xWrite(log->inner, data, n, at);
}

static int
log_close(sqlite3_file *file)
{
	struct log_file *log = log_of(file);
	int result = write_held(log), closed = log->inner->pMethods->xClose(log->inner);

	buf_free(&log->frame);
	return result != SQLITE_OK ? result : closed;
}

static int
log_read(sqlite3_file *file, void *out, int n, sqlite3_int64 at)
{
	struct log_file *log = log_of(file);
	int result = write_held(log);

	return result != SQLITE_OK ? result : log->inner->pMethods->xRead(log->inner, out, n, at);
}

static int
log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct log_file *log = log_of(file);
	int result = write_held(log);

	return result != SQLITE_OK ? result : log->inner->pMethods->xTruncate(log->inner, size);
}

static int
log_sync(sqlite3_file *file, int flags)
{
	struct log_file *log = log_of(file);
	int result = write_held(log);

	return result != SQLITE_OK ? result : log->inner->pMethods->xSync(log->inner, flags);
}

static int
log_size(sqlite3_file *file, sqlite3_int64 *size)
{
	struct log_file *log = log_of(file);
	int result = write_held(log);

	return result != SQLITE_OK ? result : log->inner->pMethods->xFileSize(log->inner, size);
}

static int
log_lock(sqlite3_file *file, int level)
{
	struct log_file *log = log_of(file);

	return log->inner->pMethods->xLock(log->inner, level);
}

static int
log_unlock(sqlite3_file *file, int level)
{
	struct log_file *log = log_of(file);

	return log->inner->pMethods->xUnlock(log->inner, level);
}

static int
log_is_reserved(sqlite3_file *file, int *out)
{
	struct log_file *log = log_of(file);

	return log->inner->pMethods->xCheckReservedLock(log->inner, out);
}

static int
log_control(sqlite3_file *file, int what, void *argument)
{
	struct log_file *log = log_of(file);

	return log->inner->pMethods->xFileControl(log->inner, what, argument);
}

static int
log_sector_size(sqlite3_file *file)
{
	struct log_file *log = log_of(file);

	return log->inner->pMethods->xSectorSize(log->inner);
}

static int
log_device(sqlite3_file *file)
{
	struct log_file *log = log_of(file);

	return log->inner->pMethods->xDeviceCharacteristics(log->inner);
}

static const sqlite3_io_methods methods = {
	.iVersion = 1, .xClose = log_close, .xRead = log_read, .xWrite = log_write,
	.xTruncate = log_truncate, .xSync = log_sync, .xFileSize = log_size, .xLock = log_lock,
	.xUnlock = log_unlock, .xCheckReservedLock = log_is_reserved, .xFileControl = log_control,
	.xSectorSize = log_sector_size, .xDeviceCharacteristics = log_device,
};

static size_t
room_before(void)
{
	return (sizeof(struct log_file) + 15) / 16 * 16;
}

static int
open_file(sqlite3_vfs *unused, const char *name, sqlite3_file *file, int flags, int *out)
{
	struct log_file *log = log_of(file);
	int result;

	(void)unused;
	if (!(flags & SQLITE_OPEN_WAL))
		return below->xOpen(below, name, file, flags, out);
	*log = (struct log_file){ .inner = (sqlite3_file *)(void *)((char *)file + room_before()) };
	result = below->xOpen(below, name, log->inner, flags, out);
	/* SQLite closes what has methods, also after a failure. */
	if (log->inner->pMethods != NULL)
		log->file.pMethods = &methods;
	return result;
}

void
index_wal_put_over(sqlite3_vfs *with, sqlite3_vfs *standard)
{
	below = standard;
	*with = *standard;
	with->szOsFile += (int)room_before();
	with->xOpen = open_file;
}
