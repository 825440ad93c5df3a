/* SPDX-License-Identifier: ISC */
/*
 * The first words on the stream between a front and a keeper, in one piece: the
 * protocol's hello, what the client sent early, and in plaintext sessions the client's descriptor.
 */
#pragma once

#include "common/base/buf.h"

enum {
	HANDOVER_MAX = 128 * 1024,	/* octets of hello and early input together */
};

struct handover_words {
	struct str hello;
	struct str early;
	int client_fd;		/* -1: the bytes come over this stream */
};

/* Sends them; fd is not blocked for (there is room in a fresh socket). False: the keeper is gone. */
must_check bool handover_send(int fd, const struct handover_words *);
/*
 * PARSED: words point into *storage, client_fd is owned by the caller. MORE: not all there yet (nothing was taken).
 * BAD: the front is gone or sent rubbish.
 */
must_check enum parse handover_receive(int fd, struct buf *storage, struct handover_words *out);
