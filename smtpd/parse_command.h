/* SPDX-License-Identifier: ISC */
/*
 * Command lines to requests: verbs, paths and ESMTP parameters (RFC 5321 4.1.1, 4.1.2). Pure.
 * What cannot be understood is answered by a finished reply without its line end, a constant.
 */
#pragma once

#include "common/base/arena.h"
#include "smtpd/request.h"

/* Where a line came in decides how forgiving we are: users' programs get more. */
enum purpose { PURPOSE_MX, PURPOSE_SUBMISSION };

/*
 * line: without CRLF. The verb, as sent, and what followed it and one or more blanks, without
 * blanks at its end. False: no verb, or an octet (NUL, 8 bit, control) that no verb has.
 */
must_check bool parse_verb(struct str line, struct str *verb, struct str *arguments);

/* PARSED fills the request; BAD sets *reply. Never MORE. */
typedef enum parse parse_arguments(struct str arguments, enum purpose, struct arena *,
    struct request *out, const char **reply);

parse_arguments parse_nothing;	/* refuses arguments: DATA RSET QUIT STARTTLS (RFC 3207 4) */
parse_arguments parse_anything;	/* NOOP HELP VRFY EXPN: nothing in it is used */
parse_arguments parse_hello;
parse_arguments parse_mail;
parse_arguments parse_rcpt;
parse_arguments parse_auth;
