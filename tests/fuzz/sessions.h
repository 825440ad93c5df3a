/* SPDX-License-Identifier: ISC */
/*
 * Whole sessions of imapd with mutated conversations, in four parts: session_seeds.c reads the conversations of
 * tests/imap, session_inputs.c makes inputs of them, session_server.c is the server with what stands around it, and
 * sessions.c plays the inputs and watches what becomes of time, memory and descriptors.
 */
#pragma once

#include "common/base/buf.h"

enum {
	CONNECTIONS_MAX = 4,		/* of one conversation */
	CHUNKS_MAX = 400,
	INPUT_MAX = 64 * 1024,		/* octets */
};

enum chunk_kind { CHUNK_OCTETS, CHUNK_EOF };

struct chunk {
	enum chunk_kind kind;
	unsigned connection;
	struct buf octets;
};

struct conversation {
	struct chunk chunks[CHUNKS_MAX];
	size_t count;
	char names[CONNECTIONS_MAX];
};

/* NULL: there are CHUNKS_MAX already. */
struct chunk *add_chunk(struct conversation *, unsigned connection);
void copy_chunk(struct conversation *to, const struct chunk *, unsigned connection);
void free_chunks(struct conversation *);

/* The seeds are the *.conv of a folder. */
void read_conversations(const char *folder);
extern struct conversation *seeds;
extern size_t seed_count;

/* The input's own chance, whatever came before. */
void set_chance(uint64_t seed, uint64_t number);
/* Below n; 0 for 0. */
size_t below(size_t n);
/* A seed and its mutations; the caller frees its chunks. */
void make_input(struct conversation *out);

/* A front and a keeper that has an account of a dozen messages. */
void server_start(void);
void make_account(void);
void drop_account(void);
/* The server's end of a client, whose place is what the front tells it by. */
void server_connect(int fd, void *place);
/* One turn of the loop, without waiting. */
void server_turn(void);
/* All its clients have been left. */
bool server_is_alone(void);
uint64_t server_connections(void);
uint64_t server_logins(void);
