/* SPDX-License-Identifier: ISC */
/*
 * Two streams that talk to each other in one loop, with a certificate made for the
 * occasion: what the tests of streams, TLS and pumps share.
 */
#pragma once

#include "common/net/stream.h"
#include "common/net/tls.h"
#include "common/net/tls_key.h"

enum kind { PLAIN, TLS };
enum { PIECE = 8 * 1024, PATIENCE_MS = 8000 };

struct peer {
	struct stream *stream;
	struct buf in;			/* the first bytes received */
	size_t received, to_send, sent, most_output;
	unsigned calls;
	bool seen[8];			/* by enum stream_event */
	bool garbled;			/* received is not what produce() sends */
	bool keeps, frees, finishes;	/* what the handler does at an input */
};

struct pair {
	struct loop *loop;
	struct timer *tick;
	struct peer a, b;
};

void pair_open(struct pair *, enum kind);
void pair_open_with(struct pair *, int a, int b);
void pair_close(struct pair *);
void peer_begin(struct peer *, struct loop *, int fd);
void say(struct peer *, const char *text);
/* Sends to_send bytes of a pattern, as the other side takes them. */
void produce(struct peer *);
void take_all(struct peer *);
/* That pattern. */
char pattern(size_t at);
/* One turn of the loop, of at most a millisecond. */
void run_ms(struct pair *, int64_t ms);
void fail_after(int64_t begun);
int64_t now_ms(void);

#define run_until(pair, condition) do { \
	int64_t since = now_ms(); \
	while (!(condition)) { \
		run_ms((pair), 1); \
		fail_after(since); \
	} \
} while (0)

/* Made by contexts_make, once a program: a key and a certificate in a temporary folder. */
int contexts_make(void **state);
int contexts_free(void **state);
struct tls_context *server_context(void);
struct tls_context *client_context(void);
/* A server whose key (one of the test files) is in this process; until contexts_free. */
struct tls_context *server_with(const char *certificate, const char *key, const char *service);
/* The tls_sign of such a server; key is its struct tls_key. */
tls_sign sign_here;
/* Files in the temporary folder; name: "ec.crt", "ec.key", and so on for p384, rsa and ed. */
const char *test_file(const char *name);
