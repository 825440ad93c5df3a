/* SPDX-License-Identifier: ISC */
/*
 * See body.h. A copy for a descriptor lies in a sealed memfd: a keeper or a courier that turned bad can read
 * this one message, and change nothing that another one is given.
 */
#include "smtpd/body.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/log.h"

static size_t in_memory;

static void
log_trouble(const char *what)
{
	log_error(NULL, "body_trouble", KV("doing", what), KV("error", strerror(errno)));
}

void
body_free(struct body *b)
{
	in_memory -= b->memory.n;
	buf_free(&b->memory);
	close_fd(&b->fd);
	*b = BODY_INIT;
}

bool
body_has_room(const struct body *b, size_t n)
{
	return n <= BODY_MEMORY_MAX - b->memory.n && in_memory + n <= BODY_MEMORY_ALL;
}

void
body_put(struct body *b, struct str bytes)
{
	buf_put(&b->memory, bytes);
	b->size += bytes.n;
	in_memory += bytes.n;
}

size_t
body_memory(void)
{
	return in_memory;
}

bool
body_is_short(const struct body *b, size_t n, struct str *out)
{
	if (b->in_file || b->size > n)
		return false;
	*out = buf_str(&b->memory);
	return true;
}

static bool
write_all(int fd, struct str bytes)
{
	while (bytes.n > 0) {
		ssize_t n = write(fd, bytes.p, bytes.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		bytes = str_from(bytes, (size_t)n);
	}
	return true;
}

static int
make_copy(const struct body *b)
{
	int fd = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && write_all(fd, buf_str(&b->memory)) &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0)
		return fd;
	log_trouble("copying");
	close_fd(&fd);
	return -1;
}

int
body_share(struct body *b)
{
	int fd;

	if (b->fd < 0)
		b->fd = make_copy(b);
	if (b->fd < 0)
		return -1;
	fd = fcntl(b->fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		log_trouble("sharing");
	return fd;
}

bool
body_read_start(const struct body *b, size_t n, struct buf *out)
{
	ssize_t got;

	if (n > b->size)
		n = (size_t)b->size;
	if (!b->in_file) {
		buf_put(out, str_sub(buf_str(&b->memory), 0, n));
		return true;
	}
	got = pread(b->fd, buf_room(out, n), n, 0);
	if (got < 0) {
		log_trouble("reading");
		return false;
	}
	buf_added(out, (size_t)got);
	return true;
}
