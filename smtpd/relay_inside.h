/* SPDX-License-Identifier: ISC */
/*
 * An outgoing session, for relay.c and relay_steps.c alone. Most of what is here may free the relay, or its stream: a
 * step does nothing behind it.
 */
#pragma once

#include "common/net/stream.h"
#include "smtpd/connect.h"
#include "smtpd/parse_reply.h"
#include "smtpd/relay.h"
#include "smtpd/stuff.h"

typedef void reply_step(struct relay *, const struct reply *);

struct relay {
	struct relay_setup setup;
	const struct route_host *hosts;
	size_t host_count, host;	/* the one being tried */
	struct relay_message message;
	relay_answered *answered;
	relay_ended *ended;
	void *context;
	bool *is_answered;
	bool *is_accepted;
	size_t open;			/* recipients not answered */

	struct connect *connect;
	struct stream *stream;
	struct timer *patience;		/* for the step under way */
	struct timer *deadline;
	reply_step *awaiting;		/* who gets the next reply; NULL: none is due */
	bool in_handshake;
	bool no_tls;			/* it failed with this host */
	bool mail_begun;		/* no other host from here on: recipients may differ */
	struct str host_text;		/* "mx.example.org[192.0.2.1]:25" */
	struct buf host_text_store;

	bool offers_pipelining, offers_8bitmime, offers_starttls, offers_size;
	uint64_t size_limit;
	uint32_t sent_rcpt, got_rcpt;	/* recipients asked for, answered */
	size_t accepted;

	struct stuffing stuffing;
	uint64_t at;			/* octets of the message sent */
	bool sending;
	bool *gone;			/* set when the relay is freed under a caller */
};

/* ---- relay.c ---- */

/* A recipient is told once; what comes later is not heard. */
void relay_answer_one(struct relay *, uint32_t n, const struct answer *);
void relay_answer_all(struct relay *, const struct answer *);
/* What a reply's first digit means. */
enum outcome relay_outcome_of(const struct reply *);
/* The other side's reply as an answer; its text is put into store. */
struct answer relay_reply_answer(struct relay *, const struct reply *, enum outcome, struct buf *store);
/* In our own words; host stays empty. */
struct answer relay_own_answer(enum outcome, const char *status, struct str text);
/* Sends what was put into the output and waits for the reply. */
void relay_await(struct relay *, reply_step *);
/* Goes on with the next host; the answer is the recipients' if there is none. */
void relay_next_host(struct relay *, const struct answer *);
/* The connection is of no use any more; what was not answered is deferred, or another host's. */
void relay_lost(struct relay *, const char *what);
/* Everything is answered: says goodbye, without waiting for the other side's. */
void relay_finish(struct relay *);

/* ---- relay_steps.c ---- */

/* The first step. */
reply_step relay_got_greeting;
/* Again behind a handshake. */
void relay_say_ehlo(struct relay *);
/* As much of the message as the other side takes now. */
void relay_send_body(struct relay *);
