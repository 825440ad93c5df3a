/* SPDX-License-Identifier: ISC */
/*
 * The octets of one message while the queue works with it: in memory, or in a file of the spool where they
 * are many. Whoever reads it elsewhere is handed octets or a descriptor that shows this message and no other.
 */
#pragma once

#include "common/base/buf.h"

enum {
	BODY_MEMORY_MAX = 256 * 1024,		/* octets of one message in memory */
	BODY_MEMORY_ALL = 64 * 1024 * 1024,	/* of all that come in; beyond that they go to files */
};

struct body {
	struct buf memory;	/* where fd is -1 */
	int fd;			/* the file, read only; or a copy of memory, made for body_share */
	bool in_file;
	uint64_t size;
};

#define BODY_INIT ((struct body){ .fd = -1 })

/* Empty again afterwards. */
void body_free(struct body *);
/* There is room for n more octets in memory, in this body and in all. */
bool body_has_room(const struct body *, size_t n);
void body_put(struct body *, struct str bytes);
/* Octets of all bodies in memory. */
size_t body_memory(void);
/* In memory and at most n octets: *out views it until the next change. */
bool body_is_short(const struct body *, size_t n, struct str *out);
/* A descriptor to give away, from which pread reads the body and which cannot change it; -1: logged. */
must_check int body_share(struct body *);
/* Appends the first n octets at most. False: logged. */
must_check bool body_read_start(const struct body *, size_t n, struct buf *out);
