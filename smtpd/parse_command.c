/* SPDX-License-Identifier: ISC */
/*
 * RFC 5321 4.1.1 command syntax, 4.1.2 arguments; SIZE of RFC 1870, BODY of RFC 6152, AUTH of RFC 4954 5.
 * Verbs and keywords in any case; "MAIL FROM: <a>" with a blank is taken, as old
 * programs send it. One pass over the line.
 */
#include "smtpd/parse_command.h"

static const char bad_sender[] = "501 5.1.7 Bad sender address syntax";
static const char bad_recipient[] = "501 5.1.3 Bad recipient address syntax";
static const char bad_parameter[] = "501 5.5.4 Bad parameter";
static const char unknown_parameter[] = "555 5.5.4 Parameter not recognised";

bool
parse_verb(struct str line, struct str *verb, struct str *arguments)
{
	size_t n = 0;

	while (n < line.n && ascii_is_alnum(line.p[n]))
		n++;
	if (n == 0 || (n < line.n && line.p[n] != ' ' && line.p[n] != '\t'))
		return false;
	*verb = str_sub(line, 0, n);
	*arguments = str_trim(str_from(line, n));
	return true;
}

enum parse
parse_nothing(struct str arguments, enum purpose purpose, struct arena *arena,
    struct request *out, const char **reply)
{
	(void)purpose;
	(void)arena;
	(void)out;
	if (arguments.n == 0)
		return PARSED;
	*reply = "501 5.5.4 This command takes no argument";
	return BAD;
}

enum parse
parse_anything(struct str arguments, enum purpose purpose, struct arena *arena,
    struct request *out, const char **reply)
{
	(void)arguments;
	(void)purpose;
	(void)arena;
	(void)out;
	(void)reply;
	return PARSED;
}

/* At MX a name or address literal, loosely; users' machines call themselves anything. */
static bool
is_hello_char(char c, enum purpose purpose)
{
	if (purpose == PURPOSE_SUBMISSION)
		return !ascii_is_control(c) && !(c & 0x80);
	return ascii_is_alnum(c) || (c != '\0' && strchr("-._:[]", c) != NULL);
}

enum parse
parse_hello(struct str arguments, enum purpose purpose, struct arena *arena,
    struct request *out, const char **reply)
{
	bool good = arguments.n > 0 && arguments.n <= PATH_DOMAIN_MAX;

	for (size_t i = 0; good && i < arguments.n; i++)
		good = is_hello_char(arguments.p[i], purpose);
	if (!good) {
		*reply = "501 5.5.4 Tell the name or [address] of your host";
		return BAD;
	}
	out->hello.name = arena_str(arena, arguments);
	return PARSED;
}

/* ---- MAIL and RCPT ---- */

static bool
take_word(struct str *rest, struct str word)
{
	if (!str_starts_nocase(*rest, word))
		return false;
	*rest = str_trim(str_from(*rest, word.n));
	return true;
}

static const char *
path_fault_reply(enum path_fault fault, const char *bad_syntax, const char *too_long)
{
	switch (fault) {
	case PATH_NO_DOMAIN:
		return "553 5.1.3 The address needs a domain";
	case PATH_TOO_LONG:
		return too_long;
	case PATH_NOT_ASCII:
		/* RFC 6531 3.5: what a server without SMTPUTF8 says. */
		return "553 5.6.7 Addresses in other characters than ASCII are not supported";
	case PATH_FINE:
	case PATH_SYNTAX:
		break;
	}
	return bad_syntax;
}

static enum path_brackets
brackets_for(enum purpose purpose)
{
	return purpose == PURPOSE_SUBMISSION ? BRACKETS_OPTIONAL : BRACKETS_NEEDED;
}

struct parameter {
	struct str keyword;
	struct str value;
	bool has_value;
};

/* esmtp-keyword ["=" esmtp-value], RFC 5321 4.1.2. */
static bool
parse_parameter(struct str word, struct parameter *out)
{
	size_t equals = str_index(word, '=');
	struct str keyword = str_sub(word, 0, equals);
	struct str value = str_from(word, equals + 1);

	if (keyword.n == 0 || !ascii_is_alnum(keyword.p[0]))
		return false;
	for (size_t i = 0; i < keyword.n; i++)
		if (!ascii_is_alnum(keyword.p[i]) && keyword.p[i] != '-')
			return false;
	for (size_t i = 0; i < value.n; i++)
		if (ascii_is_control(value.p[i]) || (value.p[i] & 0x80) || value.p[i] == '=')
			return false;
	*out = (struct parameter){ keyword, value, equals < word.n };
	return !out->has_value || value.n > 0;
}

/* RFC 1870 4: up to 20 digits; what does not fit in 64 bits is too large anyhow. */
static bool
read_size(struct mail_request *mail, const struct parameter *parameter)
{
	if (mail->has_size || !parameter->has_value || parameter->value.n > 20)
		return false;
	for (size_t i = 0; i < parameter->value.n; i++)
		if (!ascii_is_digit(parameter->value.p[i]))
			return false;
	mail->has_size = true;
	if (!str_to_u64(parameter->value, &mail->size))
		mail->size = UINT64_MAX;
	return true;
}

static bool
read_body(struct mail_request *mail, const struct parameter *parameter)
{
	mail->body_8bit = str_eq_nocase(parameter->value, STR("8BITMIME"));
	return mail->body_8bit || str_eq_nocase(parameter->value, STR("7BIT"));
}

/* RFC 4954 5: who wrote it first, as an earlier server believes. We need not believe it. */
static bool
read_auth(struct mail_request *mail, const struct parameter *parameter)
{
	(void)mail;
	return parameter->has_value;
}

static const struct mail_parameter {
	struct str keyword;
	bool (*read)(struct mail_request *, const struct parameter *);
} mail_parameters[] = {
	{ { "SIZE", 4 }, read_size },
	{ { "BODY", 4 }, read_body },
	{ { "AUTH", 4 }, read_auth },
};

static const char *
read_mail_parameter(struct mail_request *mail, struct str word)
{
	struct parameter parameter;

	if (!parse_parameter(word, &parameter))
		return bad_parameter;
	for (size_t i = 0; i < countof(mail_parameters); i++)
		if (str_eq_nocase(mail_parameters[i].keyword, parameter.keyword))
			return mail_parameters[i].read(mail, &parameter) ? NULL : bad_parameter;
	return unknown_parameter;
}

enum parse
parse_mail(struct str arguments, enum purpose purpose, struct arena *arena,
    struct request *out, const char **reply)
{
	struct str rest = arguments, word;
	struct mail_request mail = { .has_size = false };
	enum path_fault fault;

	if (!take_word(&rest, STR("FROM:"))) {
		*reply = "501 5.5.4 Syntax: MAIL FROM:<address>";
		return BAD;
	}
	fault = parse_path(&rest, brackets_for(purpose), arena, &mail.path);
	if (fault != PATH_FINE) {
		*reply = path_fault_reply(fault, bad_sender, "553 5.1.7 Address too long");
		return BAD;
	}
	while (str_word(&rest, &word)) {
		*reply = read_mail_parameter(&mail, word);
		if (*reply != NULL)
			return BAD;
	}
	out->mail = mail;
	return PARSED;
}

enum parse
parse_rcpt(struct str arguments, enum purpose purpose, struct arena *arena,
    struct request *out, const char **reply)
{
	struct str rest = arguments, word;
	struct parameter parameter;
	struct path path;
	enum path_fault fault;

	if (!take_word(&rest, STR("TO:"))) {
		*reply = "501 5.5.4 Syntax: RCPT TO:<address>";
		return BAD;
	}
	fault = parse_path(&rest, brackets_for(purpose), arena, &path);
	if (fault == PATH_FINE && path.kind == PATH_NULL)
		fault = PATH_SYNTAX;
	if (fault != PATH_FINE) {
		*reply = path_fault_reply(fault, bad_recipient, "553 5.1.3 Address too long");
		return BAD;
	}
	/* No extension offered has a parameter here. */
	if (str_word(&rest, &word)) {
		*reply = parse_parameter(word, &parameter) ? unknown_parameter : bad_parameter;
		return BAD;
	}
	out->rcpt.path = path;
	return PARSED;
}

/* "PLAIN" or "PLAIN AGFsaWNlAHNlY3JldA==", RFC 4954 4. */
enum parse
parse_auth(struct str arguments, enum purpose purpose, struct arena *arena,
    struct request *out, const char **reply)
{
	struct auth_request auth = { .has_initial = false };
	struct str rest = arguments, more;

	(void)purpose;
	(void)arena;
	if (!str_word(&rest, &auth.mechanism) ||
	    (auth.has_initial = str_word(&rest, &auth.initial), str_word(&rest, &more))) {
		*reply = "501 5.5.4 Syntax: AUTH mechanism [initial-response]";
		return BAD;
	}
	out->auth = auth;
	return PARSED;
}
