/* SPDX-License-Identifier: ISC */
/*
 * The table is the protocol: what each command needs to have come before it, who may use it, how its
 * arguments are read and who carries it out. Nothing is done for a command that the table refuses, so
 * a refused one leaves nothing behind (RFC 5321 4.1.4).
 */
#include "smtpd/smtpd.h"

/* For the dispatcher. SECRET: the arguments are not for the log. */
enum property { SUBMISSION_ONLY = 1, SECRET = 2 };

/* What must have happened before; all but NOTHING need a greeting too. */
enum need { NOTHING, NO_MAIL, MAIL, RECIPIENT };

static const struct command {
	struct str name;
	enum need needs;
	parse_arguments *parse;
	enum next (*run)(struct session *);
	unsigned properties;
} commands[] = {
	{ { "EHLO", 4 },     NOTHING,   parse_hello,    cmd_ehlo, 0 },
	{ { "HELO", 4 },     NOTHING,   parse_hello,    cmd_helo, 0 },
	{ { "STARTTLS", 8 }, NOTHING,   parse_nothing,  cmd_starttls, 0 },
	{ { "AUTH", 4 },     NO_MAIL,   parse_auth,     cmd_auth, SUBMISSION_ONLY | SECRET },
	{ { "MAIL", 4 },     NO_MAIL,   parse_mail,     cmd_mail, 0 },
	{ { "RCPT", 4 },     MAIL,      parse_rcpt,     cmd_rcpt, 0 },
	{ { "DATA", 4 },     RECIPIENT, parse_nothing,  cmd_data, 0 },
	{ { "RSET", 4 },     NOTHING,   parse_nothing,  cmd_rset, 0 },
	{ { "NOOP", 4 },     NOTHING,   parse_anything, cmd_noop, 0 },
	{ { "QUIT", 4 },     NOTHING,   parse_nothing,  cmd_quit, 0 },
	{ { "VRFY", 4 },     NOTHING,   parse_anything, cmd_vrfy, 0 },
	{ { "EXPN", 4 },     NOTHING,   parse_anything, cmd_expn, 0 },
	{ { "HELP", 4 },     NOTHING,   parse_anything, cmd_help, 0 },
	/* A web browser that was talked into speaking to us. */
	{ { "GET", 3 },      NOTHING,   parse_anything, cmd_foreign, 0 },
	{ { "POST", 4 },     NOTHING,   parse_anything, cmd_foreign, 0 },
	{ { "PUT", 3 },      NOTHING,   parse_anything, cmd_foreign, 0 },
	{ { "CONNECT", 7 },  NOTHING,   parse_anything, cmd_foreign, 0 },
};

static const struct command *
find_command(struct str verb)
{
	for (size_t i = 0; i < countof(commands); i++)
		if (str_eq_nocase(commands[i].name, verb))
			return &commands[i];
	return NULL;
}

/* NULL: the time is right. */
static const char *
out_of_order(const struct session *s, enum need need)
{
	if (need != NOTHING && s->hello.n == 0)
		return "503 5.5.1 Say EHLO first";
	switch (need) {
	case NO_MAIL:
		return s->mail.open ? "503 5.5.1 A transaction is open already" : NULL;
	case MAIL:
		return s->mail.open ? NULL : "503 5.5.1 Say MAIL first";
	case RECIPIENT:
		if (!s->mail.open)
			return "503 5.5.1 Say MAIL first";
		/* RFC 5321 3.3: none was accepted; RFC 2920 3.1 makes clients ask all the same. */
		return s->mail.count > 0 ? NULL : "554 5.5.1 No valid recipients";
	case NOTHING:
		break;
	}
	return NULL;
}

enum next
command_run(struct session *s, struct str line)
{
	const struct command *command;
	const char *fault = NULL;
	struct str verb, arguments;

	if (!parse_verb(line, &verb, &arguments) || (command = find_command(verb)) == NULL) {
		log_debug(&s->log, "command", KV("verb", "unknown"));
		return reply_error(s, "500 5.5.2 Command not recognised");
	}
	log_debug(&s->log, "command", KV("verb", command->name),
	    KV("arguments", command->properties & SECRET ? STR("(hidden)") : arguments));
	if ((command->properties & SUBMISSION_ONLY) && s->purpose != PURPOSE_SUBMISSION)
		fault = "503 5.5.1 Logging in is for the submission ports, 465 and 587";
	if (fault == NULL)
		fault = out_of_order(s, command->needs);
	if (fault == NULL && command->parse(arguments, s->purpose, s->arena, &s->request, &fault) ==
	    PARSED)
		return command->run(s);
	return reply_error(s, fault);
}
