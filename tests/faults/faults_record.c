/* SPDX-License-Identifier: ISC */
/* The record: who wrote, named and synced what, as events one behind the other in the map. disk.py replays it. */
#include "tests/faults/faults.h"

#include <limits.h>

bool
records(void)
{
	return control != NULL && __atomic_load_n(&control->recording, __ATOMIC_RELAXED) != 0 &&
	    role % ROLES != FRONT && role % ROLES != COURIER;
}

uint64_t
record_tail(void)
{
	return __atomic_load_n(&control->tail, __ATOMIC_ACQUIRE);
}

void
record(enum event_kind kind, uint64_t a, uint64_t b, uint64_t c, const struct iovec *text, int parts)
{
	size_t n = 0, size;
	uint64_t at;
	struct event *e;
	char *p;

	for (int i = 0; i < parts; i++)
		n += text[i].iov_len;
	size = (sizeof(*e) + n + 7) & ~(size_t)7;
	at = __atomic_fetch_add(&control->tail, size, __ATOMIC_ACQ_REL);
	if (LOG_AT + at + size > MAP_SIZE)
		die();
	e = (struct event *)(void *)((char *)control + LOG_AT + at);
	p = (char *)(e + 1);
	e->size = (uint32_t)size;
	e->a = a;
	e->b = b;
	e->c = c;
	e->text = (uint32_t)n;
	for (int i = 0; i < parts; i++) {
		memcpy(p, text[i].iov_base, text[i].iov_len);
		p += text[i].iov_len;
	}
	__atomic_store_n(&e->kind, kind, __ATOMIC_RELEASE);
}

bool
looks_at(int fd, struct stat *st)
{
	return R(fstat)(fd, st) == 0 && st->st_dev == control->recording;
}

void
record_write(int fd, const struct iovec *parts, int count, ssize_t n, off_t offset)
{
	struct iovec kept[16];
	struct stat st;
	int why = errno, used = 0;
	size_t left = (size_t)n;

	if (n > 0 && records() && looks_at(fd, &st) && S_ISREG(st.st_mode)) {
		for (; used < count && used < 16 && left > 0; used++) {
			kept[used] = parts[used];
			if (kept[used].iov_len > left)
				kept[used].iov_len = left;
			left -= kept[used].iov_len;
		}
		if (offset < 0)
			offset = R(lseek)(fd, 0, SEEK_CUR) - n;
		record(EVENT_WRITE, st.st_ino, (uint64_t)offset, 0, kept, used);
	}
	errno = why;
}

/* The folder's number, and the last part of the path. */
static bool
find_folder(int dir, const char *path, uint64_t *ino, struct iovec *name)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	struct stat st;
	int r;

	if (slash == NULL) {
		r = dir == AT_FDCWD ? R(fstatat)(dir, ".", &st, 0) : R(fstat)(dir, &st);
		slash = path - 1;
	} else {
		size_t n = (size_t)(slash - path) + (slash == path);

		if (n >= sizeof(folder))
			return false;
		memcpy(folder, path, n);
		folder[n] = '\0';
		r = R(fstatat)(dir, folder, &st, 0);
	}
	if (r != 0 || st.st_dev != control->recording)
		return false;
	*ino = st.st_ino;
	*name = (struct iovec){ (void *)(uintptr_t)(slash + 1), strlen(slash + 1) };
	return true;
}

void
record_name(enum event_kind kind, int dir, const char *path)
{
	struct iovec name;
	struct stat st = { 0 };
	uint64_t folder;
	int why = errno;

	if (records() && find_folder(dir, path, &folder, &name) &&
	    (kind == EVENT_GONE || R(fstatat)(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0))
		record(kind, folder, st.st_ino, st.st_mode, &name, 1);
	errno = why;
}

void
record_move(int from, const char *old, int to, const char *new)
{
	struct iovec names[3] = { [1] = { (void *)(uintptr_t)"", 1 } };
	uint64_t a, b;
	int why = errno;

	if (records() && find_folder(from, old, &a, &names[0]) && find_folder(to, new, &b, &names[2]))
		record(EVENT_MOVE, a, b, 0, names, 3);
	errno = why;
}

void
record_open(int fd, int dir, const char *path, int flags)
{
	struct iovec name;
	uint64_t folder;
	struct stat st;
	int why = errno;

	if (fd >= 0 && (flags & (O_CREAT | O_TRUNC)) != 0 && (flags & O_TMPFILE) != O_TMPFILE &&
	    records() && looks_at(fd, &st)) {
		if ((flags & O_CREAT) != 0 && find_folder(dir, path, &folder, &name))
			record(EVENT_ENTRY, folder, st.st_ino, st.st_mode, &name, 1);
		if ((flags & O_TRUNC) != 0)
			record(EVENT_TRUNCATE, st.st_ino, 0, 0, NULL, 0);
	}
	errno = why;
}

void
record_sync(enum event_kind kind, int fd, uint64_t begun)
{
	struct stat st;
	int why = errno;

	if (records() && looks_at(fd, &st))
		record(kind, st.st_ino, begun, 0, NULL, 0);
	errno = why;
}
