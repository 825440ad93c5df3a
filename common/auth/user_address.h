/* SPDX-License-Identifier: ISC */
/*
 * The one form in which addresses are compared and stored. A domain is lower-case
 * ASCII, an internationalised one as A-labels (RFC 5890). A local part of ours is
 * lower-case ASCII and safe as the name of a folder. Pure.
 */
#pragma once

#include "common/base/arena.h"

enum {
	USER_LOCAL_PART_MAX = 64,	/* octets, RFC 5321 4.5.3.1.1 */
	USER_DOMAIN_MAX = 253,		/* octets as A-labels, RFC 1035 2.3.4 */
	USER_ADDRESS_MAX = 1024,	/* octets of what is looked at at all */
};

struct user_address {
	struct str whole;	/* LOCAL@DOMAIN */
	struct str local;	/* both are views of whole */
	struct str domain;
};

/*
 * The normal form of a domain, in the arena. False, with *why a constant, where it is no
 * name of a host: labels of letters, digits and hyphens (RFC 5321 4.1.2), no address literal.
 */
must_check bool user_domain_normalise(struct str text, struct arena *, struct str *out,
	const char **why);
/*
 * An address that may be an account or alias of ours: letters, digits and ._-+=&'~#^{}
 * without a dot at either end or two together, so that DOMAIN/LOCAL is a safe path.
 */
must_check bool user_address_normalise(struct str text, struct arena *, struct user_address *out,
	const char **why);
/* An address anywhere: the local part stays as it is, any dot-string (RFC 5321 4.1.2). */
must_check bool user_address_normalise_any(struct str text, struct arena *,
	struct user_address *out, const char **why);
/*
 * What somebody typed as a login name: without a domain it gets default_domain. False where
 * it is no address of ours' form, or where a domain is missing and default_domain is empty.
 */
must_check bool user_address_of_login(struct str login, struct str default_domain,
	struct arena *, struct user_address *out);
