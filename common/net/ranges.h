/* SPDX-License-Identifier: ISC */
/*
 * Octets of files that wait to be sent, in their order, each behind bytes that come before it: the front part of a
 * stream's output, whose end is a buffer. Only stream.c uses it.
 */
#pragma once

#include <sys/queue.h>

#include "common/net/wire.h"

struct range;

struct ranges {
	TAILQ_HEAD(, range) list;
	uint64_t octets;	/* with the bytes before them */
	size_t count;
};

void ranges_begin(struct ranges *);
/* Closes what waits. */
void ranges_free(struct ranges *);
/* `before` is taken over, and empty afterwards; so is fd. n is more than 0. */
void ranges_add(struct ranges *, struct buf *before, int fd, uint64_t from, uint64_t n);
/*
 * Sends what the wire takes; DONE: all of it. *taken: any at all. Where the wire does not take octets from a file they are read
 * in pieces. FAILED: the wire did, or wire.lacks_file.
 */
enum wire_result ranges_send(struct ranges *, struct wire *, bool *taken);
