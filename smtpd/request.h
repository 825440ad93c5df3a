/* SPDX-License-Identifier: ISC */
/*
 * What the parsers make of a command line: one struct per family. Everything in
 * them lives in the request's arena or in the line itself.
 */
#pragma once

#include "common/base/str.h"
#include "smtpd/parse_path.h"

struct hello_request {
	struct str name;	/* printable ASCII, at least one octet */
};

struct mail_request {
	struct path path;
	bool has_size;
	uint64_t size;		/* octets, RFC 1870; UINT64_MAX: more than fits */
	bool body_8bit;		/* BODY=8BITMIME, RFC 6152 */
};

struct rcpt_request {
	struct path path;	/* never PATH_NULL */
};

struct auth_request {
	struct str mechanism;
	bool has_initial;
	struct str initial;	/* base64; a secret */
};

struct request {
	union {
		struct hello_request hello;
		struct mail_request mail;
		struct rcpt_request rcpt;
		struct auth_request auth;
	};
};
