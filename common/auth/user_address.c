/* SPDX-License-Identifier: ISC */
/*
 * Addresses in their one normal form. What comes out has a local part without '/', NUL,
 * control characters or a leading dot, and a domain of letters, digits, hyphens and dots:
 * DOMAIN/LOCAL never leaves the folder it is taken in. RFC 5321 4.1.2, RFC 5891.
 */
#include "common/auth/user_address.h"

#include <idn2.h>
#include <stdlib.h>

#include "common/daemon/host_name.h"

/* atext of RFC 5322 3.2.3; the second is what we allow in names of our own. */
static const char ATEXT_MARKS[] = "!#$%&'*+-/=?^_`{|}~";
static const char OUR_MARKS[] = "#&'+-=^_{}~";

static struct str
lower(struct str s, struct arena *arena)
{
	char *p = arena_alloc(arena, s.n + 1);

	for (size_t i = 0; i < s.n; i++)
		p[i] = ascii_lower(s.p[i]);
	return (struct str){ p, s.n };
}

/* U-labels to A-labels; libidn2 checks UTF-8 and normalises. */
static bool
idn_to_ascii(struct str text, struct arena *arena, struct str *out)
{
	char *path = str_path(text), *ascii = NULL;
	bool ok;

	if (path == NULL)
		return false;
	ok = idn2_to_ascii_8z(path, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK;
	if (ok)
		*out = lower(str_of(ascii), arena);
	idn2_free(ascii);
	free(path);
	return ok;
}

bool
user_domain_normalise(struct str text, struct arena *arena, struct str *out, const char **why)
{
	struct str domain;

	*why = "is no valid domain";
	if (text.n == 0 || text.n > USER_ADDRESS_MAX)
		return false;
	if (str_is_ascii(text))
		domain = lower(text, arena);
	else if (!idn_to_ascii(text, arena, &domain))
		return false;
	if (!host_name_valid(domain))
		return false;
	*out = domain;
	return true;
}

/* A dot-string of RFC 5321 4.1.2. */
static bool
local_part_valid(struct str local, const char *marks)
{
	if (local.n == 0 || local.n > USER_LOCAL_PART_MAX)
		return false;
	if (local.p[0] == '.' || local.p[local.n - 1] == '.')
		return false;
	for (size_t i = 0; i < local.n; i++) {
		if (local.p[i] == '.' && local.p[i - 1] == '.')
			return false;
		if (!ascii_is_alnum(local.p[i]) && local.p[i] != '.'
		    && (local.p[i] == '\0' || strchr(marks, local.p[i]) == NULL))
			return false;
	}
	return true;
}

static bool
normalise(struct str text, bool ours, struct arena *arena, struct user_address *out,
	const char **why)
{
	size_t at = str_last_index(text, '@');
	struct str local = str_sub(text, 0, at), domain;

	*why = "has no @";
	if (at == text.n)
		return false;
	*why = "is too long";
	if (text.n > USER_ADDRESS_MAX)
		return false;
	if (!user_domain_normalise(str_from(text, at + 1), arena, &domain, why)) {
		*why = "has no valid domain behind the @";
		return false;
	}
	*why = ours ? "needs a name of letters, digits and . _ - + before the @"
		: "is no valid address";
	if (!local_part_valid(local, ours ? OUR_MARKS : ATEXT_MARKS))
		return false;
	if (ours)
		local = lower(local, arena);
	out->whole = arena_printf(arena, "%.*s@%.*s", STR_ARG(local), STR_ARG(domain));
	out->local = str_sub(out->whole, 0, local.n);
	out->domain = str_from(out->whole, local.n + 1);
	return true;
}

bool
user_address_normalise(struct str text, struct arena *arena, struct user_address *out,
	const char **why)
{
	return normalise(text, true, arena, out, why);
}

bool
user_address_normalise_any(struct str text, struct arena *arena, struct user_address *out,
	const char **why)
{
	return normalise(text, false, arena, out, why);
}

bool
user_address_of_login(struct str login, struct str default_domain, struct arena *arena,
	struct user_address *out)
{
	const char *why;

	if (login.n > USER_ADDRESS_MAX || (!str_has_char(login, '@') && default_domain.n == 0))
		return false;
	if (!str_has_char(login, '@'))
		login = arena_printf(arena, "%.*s@%.*s", STR_ARG(login), STR_ARG(default_domain));
	return user_address_normalise(login, arena, out, &why);
}
