/* SPDX-License-Identifier: ISC */
/*
 * <local@domain>. The domain is what follows the last @ that no quotes protect, and it alone
 * decides where mail goes: %, ! and quoted @ are letters of a local part (RFC 5321
 * 2.3.11). Linear; what comes out is in the caller's arena.
 */
#include "smtpd/parse_path.h"

#include "common/net/address.h"

static enum path_fault read_mailbox(struct str *rest, struct arena *, struct path *);
static enum path_fault skip_route(struct str *rest);
static enum path_fault read_local(struct str *rest, struct arena *, struct str *local);
static enum path_fault read_domain(struct str *rest, struct arena *, struct path *);
static struct str spell(struct arena *, struct str local, struct str domain);

static bool
take_char(struct str *rest, char c)
{
	if (rest->n == 0 || rest->p[0] != c)
		return false;
	*rest = str_from(*rest, 1);
	return true;
}

static bool
at_end(struct str rest)
{
	return rest.n == 0 || rest.p[0] == ' ';
}

enum path_fault
parse_path(struct str *rest, enum path_brackets brackets, struct arena *arena, struct path *out)
{
	struct str at = *rest;
	bool bracketed = take_char(&at, '<');
	struct path path = { .kind = PATH_NULL, .address = STR_EMPTY };
	enum path_fault fault = PATH_FINE;

	if (!bracketed && (brackets == BRACKETS_NEEDED || at_end(at)))
		return PATH_SYNTAX;
	if (!(bracketed && take_char(&at, '>'))) {
		fault = read_mailbox(&at, arena, &path);
		if (fault == PATH_FINE && bracketed && !take_char(&at, '>'))
			fault = PATH_SYNTAX;
	}
	if (fault != PATH_FINE)
		return fault;
	if (!at_end(at))
		return PATH_SYNTAX;
	*out = path;
	*rest = at;
	return PATH_FINE;
}

static enum path_fault
read_mailbox(struct str *rest, struct arena *arena, struct path *path)
{
	enum path_fault fault = skip_route(rest);
	struct str all = *rest;

	if (fault == PATH_FINE)
		fault = read_local(rest, arena, &path->local);
	if (fault != PATH_FINE)
		return fault;
	if (!take_char(rest, '@')) {
		/* RFC 5321 4.5.1: the one name that needs no domain. */
		if (!str_eq_nocase(path->local, STR("postmaster")))
			return rest->n == 0 || rest->p[0] == '>' ? PATH_NO_DOMAIN : PATH_SYNTAX;
		path->kind = PATH_POSTMASTER;
		path->address = STR("postmaster");
		return PATH_FINE;
	}
	fault = read_domain(rest, arena, path);
	if (fault != PATH_FINE)
		return fault;
	if (all.n - rest->n > PATH_MAX_OCTETS)
		return PATH_TOO_LONG;
	path->address = spell(arena, path->local, path->domain);
	return PATH_FINE;
}

/* RFC 5321 appendix C: "@one,@two:" before the mailbox. */
static enum path_fault
skip_route(struct str *rest)
{
	size_t end;

	if (rest->n == 0 || rest->p[0] != '@')
		return PATH_FINE;
	end = str_index(*rest, ':');
	if (end > PATH_ROUTE_MAX)
		return PATH_TOO_LONG;
	for (size_t i = 0; i < end && i < rest->n; i++) {
		char c = rest->p[i];

		if (c & 0x80)
			return PATH_NOT_ASCII;
		if (!ascii_is_alnum(c) && c != '@' && c != ',' && c != '.' && c != '-')
			return PATH_SYNTAX;
	}
	if (end == rest->n)
		return PATH_SYNTAX;
	*rest = str_from(*rest, end + 1);
	return PATH_FINE;
}

/* RFC 5322 3.2.3 atext. */
static bool
is_atext(char c)
{
	return ascii_is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* Letters and dots; dots stand between letters only (RFC 5321 4.1.2 Dot-string). */
static bool
is_dot_string(struct str s)
{
	bool after_dot = true;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.' ? after_dot : !is_atext(s.p[i]))
			return false;
		after_dot = s.p[i] == '.';
	}
	return !after_dot;
}

static enum path_fault
read_quoted(struct str *rest, struct arena *arena, struct str *local)
{
	char *text = arena_alloc(arena, PATH_LOCAL_MAX);
	size_t n = 0;

	while (!take_char(rest, '"')) {
		take_char(rest, '\\');
		if (rest->n == 0 || ascii_is_control(rest->p[0]))
			return PATH_SYNTAX;
		if (rest->p[0] & 0x80)
			return PATH_NOT_ASCII;
		if (n == PATH_LOCAL_MAX)
			return PATH_TOO_LONG;
		text[n++] = rest->p[0];
		*rest = str_from(*rest, 1);
	}
	*local = (struct str){ text, n };
	return PATH_FINE;
}

static enum path_fault
read_local(struct str *rest, struct arena *arena, struct str *local)
{
	size_t n = 0;

	if (take_char(rest, '"'))
		return read_quoted(rest, arena, local);
	while (n < rest->n && (is_atext(rest->p[n]) || rest->p[n] == '.'))
		n++;
	if (n < rest->n && (rest->p[n] & 0x80))
		return PATH_NOT_ASCII;
	if (n > PATH_LOCAL_MAX)
		return PATH_TOO_LONG;
	*local = arena_str(arena, str_sub(*rest, 0, n));
	*rest = str_from(*rest, n);
	return is_dot_string(*local) ? PATH_FINE : PATH_SYNTAX;
}

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 4.1.3); no other kind is registered. */
static enum path_fault
read_literal(struct str *rest, struct arena *arena, struct path *path)
{
	size_t end = str_index(*rest, ']');
	struct str inside = str_sub(*rest, 1, end - 1);
	struct net_address address;
	bool is_v6 = str_starts_nocase(inside, STR("IPv6:"));
	scoped_buf text = BUF_INIT;

	if (end == rest->n)
		return PATH_SYNTAX;
	if (is_v6)
		inside = str_from(inside, STR("IPv6:").n);
	if (str_has_char(inside, '[') || !net_address_parse(inside, &address) ||
	    is_v6 != str_has_char(inside, ':'))
		return PATH_SYNTAX;
	net_address_put_literal(&text, &address);
	path->kind = PATH_LITERAL;
	path->domain = arena_str(arena, buf_str(&text));
	*rest = str_from(*rest, end + 1);
	return PATH_FINE;
}

/* Labels of letters, digits and hyphens; underscores are refused nowhere in practice. */
static bool
is_domain(struct str s)
{
	bool after_dot = true;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '.' ? after_dot || s.p[i - 1] == '-' :
		    !(ascii_is_alnum(c) || c == '_' || (c == '-' && !after_dot)))
			return false;
		after_dot = c == '.';
	}
	return !after_dot && s.p[s.n - 1] != '-';
}

static enum path_fault
read_domain(struct str *rest, struct arena *arena, struct path *path)
{
	size_t n = 0;
	char *text;

	if (rest->n > 0 && rest->p[0] == '[')
		return read_literal(rest, arena, path);
	while (n < rest->n && rest->p[n] != '>' && rest->p[n] != ' ') {
		if (rest->p[n] & 0x80)
			return PATH_NOT_ASCII;
		n++;
	}
	if (n > PATH_DOMAIN_MAX)
		return PATH_TOO_LONG;
	if (!is_domain(str_sub(*rest, 0, n)))
		return PATH_SYNTAX;
	text = arena_alloc(arena, n);
	for (size_t i = 0; i < n; i++)
		text[i] = ascii_lower(rest->p[i]);
	path->kind = PATH_NAMED;
	path->domain = (struct str){ text, n };
	*rest = str_from(*rest, n);
	return PATH_FINE;
}

/* local@domain, quoted only where the local part is no dot-string. */
static struct str
spell(struct arena *arena, struct str local, struct str domain)
{
	scoped_buf text = BUF_INIT;

	if (is_dot_string(local)) {
		buf_put(&text, local);
	} else {
		buf_put_c(&text, '"');
		for (size_t i = 0; i < local.n; i++) {
			if (local.p[i] == '"' || local.p[i] == '\\')
				buf_put_c(&text, '\\');
			buf_put_c(&text, local.p[i]);
		}
		buf_put_c(&text, '"');
	}
	buf_put_c(&text, '@');
	buf_put(&text, domain);
	return arena_str(arena, buf_str(&text));
}
