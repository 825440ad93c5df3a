/* SPDX-License-Identifier: ISC */
/* The paths of MAIL and RCPT, <local@domain>: RFC 5321 4.1.2 and 4.1.3. Pure. */
#pragma once

#include "common/base/arena.h"

enum {
	PATH_LOCAL_MAX = 64,	/* octets, RFC 5321 4.5.3.1.1 */
	PATH_DOMAIN_MAX = 255,	/* octets, RFC 5321 4.5.3.1.2 */
	PATH_MAX_OCTETS = 254,	/* without < and >, RFC 5321 4.5.3.1.3 */
	PATH_ROUTE_MAX = 1024,	/* octets of a source route, which is read and dropped */
};

enum path_kind {
	PATH_NULL,		/* <>: bounces come from there */
	PATH_POSTMASTER,	/* <postmaster>, in any case, without a domain */
	PATH_NAMED,		/* local@domain */
	PATH_LITERAL,		/* local@[address] */
};

/*
 * One mailbox. `address` is its one spelling, in the arena: the local part with quotes only
 * where it needs them, the domain in lower case (RFC 5321 2.4: the local part keeps its
 * case). Empty for PATH_NULL, "postmaster" for PATH_POSTMASTER.
 */
struct path {
	enum path_kind kind;
	struct str address;
	struct str local;	/* without quotes and backslashes */
	struct str domain;
};

enum path_brackets { BRACKETS_NEEDED, BRACKETS_OPTIONAL };

/* Why a path was refused; each side words it with its own code. */
enum path_fault {
	PATH_FINE,
	PATH_SYNTAX,
	PATH_NO_DOMAIN,
	PATH_TOO_LONG,
	PATH_NOT_ASCII,	/* SMTPUTF8 (RFC 6531) is not offered */
};

/*
 * Takes a path off the front of *rest, up to the blank or the end behind it. A source route is
 * dropped (RFC 5321 3.6.1: SHOULD be ignored), so it never says where mail goes.
 */
must_check enum path_fault parse_path(struct str *rest, enum path_brackets, struct arena *,
    struct path *out);
