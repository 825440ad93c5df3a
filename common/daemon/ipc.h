/* SPDX-License-Identifier: ISC */
/*
 * Typed messages between two processes of a daemon, over a SOCK_SEQPACKET pair: one packet, one
 * message, at most one descriptor with it. What arrives is never trusted: every getter checks the
 * length, the first fault makes all later ones return nothing, and msg_end tells; a bad message
 * ends the channel (and so only its sender).
 */
#pragma once

#include <sys/socket.h>

#include "common/base/buf.h"
#include "common/net/loop.h"

enum {
	IPC_ANSWER_MAX = 4 * 1024,	/* of ipc_ask */
	IPC_MESSAGE_MAX = 72 * 1024,	/* one message, type included */
	IPC_QUEUE_MAX = 64 * 1024 * 1024,	/* unsent octets; more: the channel is ended */
	IPC_FULL = 512 * 1024,		/* ipc_is_full from here: bulk senders wait */
};

/* ---- writing: into a buf, then ipc_send ---- */

void msg_begin(struct buf *, uint16_t type);
void msg_put_u8(struct buf *, uint8_t);
void msg_put_u32(struct buf *, uint32_t);
void msg_put_u64(struct buf *, uint64_t);
void msg_put_bool(struct buf *, bool);
void msg_put_str(struct buf *, struct str);

/* ---- a descriptor beside a packet ---- */

/* Room for it; until the packet is sent. */
union ipc_fd_room {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

/* The packet takes the descriptor along, which stays the caller's. */
void ipc_put_fd(struct msghdr *packet, union ipc_fd_room *, int fd);

/* ---- reading ---- */

struct msg {
	uint16_t type;
	struct str rest;	/* fields not read yet; lives during the handler's call */
	int fd;			/* -1: none, or no descriptor was left to take it. msg_take_fd, or it is closed after the call */
	bool bad;
};

uint8_t msg_get_u8(struct msg *);
uint32_t msg_get_u32(struct msg *);
uint64_t msg_get_u64(struct msg *);
bool msg_get_bool(struct msg *);
struct str msg_get_str(struct msg *);	/* a view into the message */
int msg_take_fd(struct msg *);
/* All fields were there and nothing was left over. */
must_check bool msg_end(struct msg *);
/* For tests and fuzzing: the message in a packet; false where it has no type. */
must_check bool msg_parse(struct str packet, struct msg *out);

/* ---- channels ---- */

struct ipc;

/* Returns false where the message was bad: the channel is then closed, as by IPC_CLOSED. */
typedef bool ipc_received(void *context, struct ipc *, struct msg *);
/* The other side is gone (all it said before was told), or sent rubbish, or did not read: the handler frees the ipc. */
typedef void ipc_closed(void *context, struct ipc *);
/* There is room again after ipc_is_full. May be NULL. */
typedef void ipc_drained(void *context, struct ipc *);

struct ipc_handlers {
	ipc_received *received;
	ipc_closed *closed;
	ipc_drained *drained;
};

/* A pair of connected, non-blocking, close-on-exec sockets; false with errno. */
must_check bool ipc_pair(int ends[2]);
/* fd is owned from here on. handlers must outlive it. */
struct ipc *ipc_new(struct loop *, int fd, const struct ipc_handlers *, void *context);
void ipc_free(struct ipc *);
/*
 * Sends the message in *message (which is cleared), and fd (>= 0: owned, closed when sent).
 * Never blocks: what the kernel does not take is kept. Errors come later as `closed`.
 */
void ipc_send(struct ipc *, struct buf *message, int fd);
bool ipc_is_full(const struct ipc *);
/*
 * Sends and waits for the next message, ms at most and blocking: for a channel on which the other side only answers, with
 * at most IPC_ANSWER_MAX octets and no descriptor. False: there is none, and the channel is ended.
 */
must_check bool ipc_ask(struct ipc *, struct buf *message, int64_t ms, struct buf *answer);
/* The other side has closed, though `closed` may not have told so yet. */
bool ipc_is_left(const struct ipc *);
/*
 * Tells at once what a side that has left said before, from inside this call; `closed` follows from the
 * loop. Not from inside a handler: messages share one buffer.
 */
void ipc_hear_rest(struct ipc *);
