/* SPDX-License-Identifier: ISC */
/*
 * What the files of smtpd's front share: the session, its steps and the few functions that cross
 * files. A connection's life stands in session.c, the commands in commands.c; mail leaves by
 * smtpd/submit.h.
 */
#pragma once

#include <sys/queue.h>

#include "common/auth/sasl.h"
#include "common/base/arena.h"
#include "common/base/log.h"
#include "common/daemon/front.h"
#include "common/daemon/login.h"
#include "smtpd/dots.h"
#include "smtpd/head.h"
#include "smtpd/line.h"
#include "smtpd/parse_command.h"
#include "smtpd/policy.h"
#include "smtpd/request.h"
#include "smtpd/submit.h"

enum {
	ERRORS_MAX = 20,		/* refused commands of one connection */
	UNKNOWN_RECIPIENTS_MAX = 10,	/* a stranger's, of one connection */
	RECEIVED_MAX = 50,		/* Received fields: more is a loop (RFC 5321 6.3) */
	DATA_PROGRESS_MIN = 1024,	/* octets of DATA that must come in smtp_timeout */
};

struct session;

enum next { GO, WAIT, END };

struct step {
	const char *name;
	enum next (*run)(struct session *);
	bool ours;		/* waits for one of our processes, not for the client: no clock runs */
	bool outlives_client;	/* goes on when the client is gone */
};

/* One mail transaction; all zero when none is open. What it points to lives in mail_arena. */
struct mail {
	bool open;
	struct str trace;	/* of the message that is to come */
	bool eight_bit;
	uint64_t size;		/* as declared; 0: not */
	struct str sender;	/* empty: the null sender */
	struct envelope_recipient *recipients;
	size_t count;
	size_t room;
	size_t targets;		/* of all recipients */
};

/* The message of a transaction as it comes in. */
struct data {
	struct str trace;		/* the mail's, once DATA was said */
	struct submission *submission;	/* NULL: none, or given up */
	struct dots dots;
	struct head head;
	uint64_t octets;		/* of the message itself, without what we add */
	uint64_t progress;		/* octets when the clock was last set anew */
	struct buf passed;		/* scratch: after dots, after head */
	struct buf finished;
	enum submit_result result;
};

struct session {
	TAILQ_ENTRY(session) all;
	struct process *process;
	struct stream *stream;		/* NULL: the client is gone */
	void *place;			/* front_leave */
	const struct service_door *door;
	enum purpose purpose;
	struct net_address peer;
	struct buf peer_text;
	struct buf sid;
	struct log log;
	bool plaintext_login;
	bool over_limit;

	const struct step *step;
	bool running;
	bool answered;			/* what the step waits for has come */
	bool eof;			/* the client will send no more */
	bool timed_out;
	bool closing;			/* the daemon stops */
	struct timer *clock;
	int64_t started_ms;		/* monotonic */
	int64_t deadline_ms;		/* for the command or piece of data being waited for */
	bool settled;			/* a MAIL or a login was good: login_timeout no longer counts */

	struct buf hello;		/* empty: not said yet */
	bool extended;			/* it was EHLO */
	struct buf account;		/* empty: not logged in */
	struct sasl sasl;
	uint32_t wrong_passwords;
	uint32_t errors;
	uint32_t unknown_recipients;

	struct line line;
	struct arena *arena;		/* of the request */
	struct request request;
	struct question *question;	/* at most one in flight */
	enum login_result login_result;
	enum sender sender;
	enum place where;		/* of the recipient asked for */
	const char *refusal;		/* of it; NULL: accepted */

	struct arena *mail_arena;
	struct mail mail;
	struct data data;
};

/* ---- session.c ---- */

void session_new(struct process *, const struct front_connection *);
/* What the step waited for has come; for callbacks of other processes. */
void session_answered(struct session *);
/* SIGTERM: 421 to everyone who is not being served this moment. */
void session_close_all(void);
enum trust session_trust(const struct session *);
struct str session_hostname(const struct session *);
/* The client gets this much time for what it does now, from now on. */
void session_be_patient(struct session *);
/* As after EHLO, RSET or the end of DATA: no transaction is open. */
void session_forget_mail(struct session *);
/* The transaction's log fields: what is said of one message carries its trace. */
#define MAIL_TRACE(s) KV("trace", (s)->mail.trace)
/* A line of the client, wiped from the input by session_drop_line. LINE_MORE: wait. */
must_check enum line_result session_line(struct session *, size_t limit);
void session_drop_line(struct session *);

extern const struct step read_command;
extern const struct step secure_then_listen;

/* ---- reply.c: the only writer ---- */

/* text: "250 2.0.0 Ok", without a line end. */
void reply(struct session *, const char *text);
void reply_line(struct session *, struct str text);
/* A refused command: the reply, and for a 5xx one more error; too many end the session. */
enum next reply_error(struct session *, const char *text);
/* "421 x.y.z HOST why", the last words. */
enum next reply_goodbye(struct session *, const char *status, const char *why);
/* To a line that LINE_BARE is said of: the last words. */
enum next reply_bare_line(struct session *);

/* ---- commands.c ---- */

/* Does what the line says. */
enum next command_run(struct session *, struct str line);

enum next cmd_helo(struct session *);
enum next cmd_ehlo(struct session *);
enum next cmd_starttls(struct session *);
enum next cmd_auth(struct session *);
enum next cmd_mail(struct session *);
enum next cmd_rcpt(struct session *);
enum next cmd_rset(struct session *);
enum next cmd_data(struct session *);
enum next cmd_noop(struct session *);
enum next cmd_vrfy(struct session *);
enum next cmd_expn(struct session *);
enum next cmd_help(struct session *);
enum next cmd_quit(struct session *);
enum next cmd_foreign(struct session *);

/* May this session log in now? */
bool auth_is_offered(const struct session *);

/* ---- recipient.c ---- */

/* Finds out about the recipient in the request, and replies. */
enum next recipient_check(struct session *);

/* ---- front.c ---- */

void front_start(struct process *);
