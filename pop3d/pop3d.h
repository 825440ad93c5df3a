/* SPDX-License-Identifier: ISC */
/*
 * What pop3d's files share. A session begins in a front (AUTHORIZATION), is handed to its account's
 * keeper after login, and goes on there (TRANSACTION, then UPDATE at QUIT): RFC 1939 3.
 */
#pragma once

#include <sys/queue.h>

#include "common/auth/sasl.h"
#include "common/base/arena.h"
#include "common/base/log.h"
#include "common/daemon/front.h"
#include "common/daemon/keeper.h"
#include "common/daemon/login.h"
#include "maildir/store.h"
#include "pop3d/parse_command.h"

enum {
	BAD_COMMANDS_MAX = 20,	/* then the connection is closed */
};

enum state { AUTHORIZATION = 1, TRANSACTION = 2 };

/* What a step or a command says next. */
enum next {
	GO,	/* a next step is set: run it */
	WAIT,	/* for bytes, room, an answer or a clock */
	END,	/* free the session */
};

struct session;

struct step {
	const char *name;
	enum next (*run)(struct session *);
};

struct command;

struct session {
	TAILQ_ENTRY(session) entry;
	struct process *process;
	struct stream *stream;
	struct log log;
	struct buf sid;
	struct buf peer;
	enum state state;
	const struct step *step;
	unsigned bad_commands;
	bool secure;
	bool eof;

	/* in the front */
	void *place;
	struct net_address peer_address;
	bool plaintext_login;
	struct timer *patience;	/* login_timeout in all, whatever is dribbled */
	struct question *question;
	struct handover *handover;
	struct buf user;	/* of USER, or of the exchange */
	struct sasl sasl;
	unsigned failures;

	/* in the keeper */
	struct lease *lease;
	struct mailbox *mailbox;
	bool *deleted;		/* by message number - 1 */
	bool *retrieved;
	uint32_t count;
	uint64_t octets_sent;
	struct content *content;	/* being sent */
	uint64_t at;
	bool line_start;	/* the next octet to send begins a line */
	bool cr_sent;		/* the last one was a CR */
	bool in_header;
	uint32_t lines_left;	/* TOP: of the body */
	bool limited;
	uint32_t sending;
};

TAILQ_HEAD(sessions, session);

/* ---- session.c ---- */

struct session *session_new(struct process *, struct sessions *, struct stream *, struct str sid,
    struct str peer);
void session_free(struct session *);
/* The driver: steps until one waits. Flushes before it waits. */
void session_run(struct session *);
/* Sends what is left, then ends. */
enum next session_end(struct session *);

extern const struct step step_command;		/* reads a line and runs it */
extern const struct step step_sasl;		/* reads an answer to a challenge */
extern const struct step step_answer;		/* waits for auth */
extern const struct step step_send;		/* sends a message */

/* ---- commands.c ---- */

struct command {
	struct str name;
	unsigned allowed;	/* states */
	enum arguments arguments;
	enum next (*run)(struct session *, const struct request *);
};

const struct command *command_find(struct str name);

enum next cmd_capa(struct session *, const struct request *);
enum next cmd_stls(struct session *, const struct request *);
enum next cmd_user(struct session *, const struct request *);
enum next cmd_pass(struct session *, const struct request *);
enum next cmd_auth(struct session *, const struct request *);
enum next cmd_stat(struct session *, const struct request *);
enum next cmd_list(struct session *, const struct request *);
enum next cmd_uidl(struct session *, const struct request *);
enum next cmd_retr(struct session *, const struct request *);
enum next cmd_top(struct session *, const struct request *);
enum next cmd_dele(struct session *, const struct request *);
enum next cmd_rset(struct session *, const struct request *);
enum next cmd_noop(struct session *, const struct request *);
enum next cmd_quit(struct session *, const struct request *);

enum next login_read_response(struct session *);
bool login_is_allowed(const struct session *);
enum next mail_send(struct session *);
/* Opens the maildrop of a session that was just let in; false: the client was told, end. */
bool mail_open(struct session *);
void mail_close(struct session *);

/* ---- response.c: the only writer ---- */

void respond_ok(struct session *, const char *format, ...) printf_like(2, 3);
void respond_error(struct session *, const char *format, ...) printf_like(2, 3);
/* The store's word in POP3's words, with its response code (RFC 3206). */
void respond_store(struct session *, enum store_result);
void respond_line(struct session *, const char *format, ...) printf_like(2, 3);
void respond_dot(struct session *);

/* ---- front.c, keeper.c ---- */

void pop3_front_start(struct process *);
void pop3_keeper_start(struct process *, const struct keeper_grant *, int maildir_fd);
struct account *pop3_account(struct process *);
