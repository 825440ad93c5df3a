/* SPDX-License-Identifier: ISC */
/*
 * One step of reading from or writing to a descriptor, plain or TLS: what stream.c stands on.
 * No buffers, no loop, never blocks; only stream.c uses it.
 */
#pragma once

#include "common/base/buf.h"

struct tls_context;
struct ssl_st;

enum wire_result {
	WIRE_DONE,
	WIRE_WANTS_READ,	/* again when the descriptor is readable */
	WIRE_WANTS_WRITE,	/* again when it is writable */
	WIRE_EOF,
	WIRE_FAILED,		/* the words are in wire.error */
};

struct wire {
	int fd;
	struct ssl_st *ssl;	/* NULL: plain */
	struct ssl_st *next;	/* TLS that was made, but not yet begun */
	bool is_pipe;		/* not a socket: found out at the first write */
	bool no_files;		/* octets do not go from a file to it: found out likewise */
	bool lacks_file;	/* FAILED for want of a file's octets; the connection is well */
	struct buf error;	/* what failed, or how the end was irregular; a NUL follows */
};

enum wire_result wire_read(struct wire *, char *p, size_t n, size_t *got);
/*
 * May take less than all. Until it is DONE it must be asked again with at least the same bytes. more: others follow at
 * once, and may go in the same packet.
 */
enum wire_result wire_write(struct wire *, struct str bytes, bool more, size_t *taken);
/* May octets go from a file to it, past us? */
bool wire_takes_files(const struct wire *);
/*
 * Sends up to n octets of a file. DONE with none taken: the file ends there, or wire_takes_files has become false, and
 * reading and writing will do, or tell what is wrong. May raise SIGPIPE, which whoever has a loop ignores.
 */
enum wire_result wire_send_file(struct wire *, int fd, uint64_t from, uint64_t n, uint64_t *taken);
/* Holds bytes that came off the descriptor already: it may not become readable for them. */
bool wire_holds_bytes(const struct wire *);
/* Makes TLS ready; it is spoken from the first wire_handshake on. False: it cannot be made. */
must_check bool wire_start_tls(struct wire *, struct tls_context *, bool is_server, const char *name);
enum wire_result wire_handshake(struct wire *);
/* Says in TLS that no more will come (close_notify, RFC 8446 6.1). */
enum wire_result wire_goodbye(struct wire *);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384". */
void wire_put_info(const struct wire *, struct buf *out);
void wire_fail(struct wire *, const char *what, int error);
void wire_close(struct wire *);
