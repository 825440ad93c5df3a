/* SPDX-License-Identifier: ISC */
/*
 * What a value must be beyond its form, and what settings demand of each other. Runs when every
 * line was read well; each fault names the setting, what is expected and so what to do.
 */
#include "common/daemon/host_name.h"
#include "common/daemon/settings_rows.h"

struct range {
	const char *name;
	uint32_t least, most;
	const char *why;
};

static const struct range number_ranges[] = {
	{ "outgoing_smtp_port", 1, 65535, "a port" },
	/* RFC 5321 4.5.3.1.8: fewer than 100 must not be refused. */
	{ "recipient_limit", 100, 1000000, "at least 100 by RFC 5321" },
	{ "destination_concurrency", 1, 1000, "connections" },
	{ "processes", 0, 256, "processes; 0 is one for each core" },
	{ "connections_per_address", 1, 1000000, "connections" },
	{ "connections", 1, 1000000, "connections" },
	{ "sessions_per_user", 1, 1000000, "sessions" },
	{ "login_failures", 1, 1000, "wrong passwords" },
	{ "login_failures_per_minute", 1, 1000000, "wrong passwords" },
	{ "connect_timeout", 1, 3600, "seconds" },
	{ "reply_timeout", 1, 86400, "seconds" },
	{ "login_timeout", 1, 86400, "seconds" },
	{ "session_timeout", 1, 604800, "seconds" },
	{ "smtp_timeout", 1, 86400, "seconds" },
	{ "queue_lifetime", 1, 31536000, "seconds" },
};

static const char *const log_levels[] = { "error", "warn", "info", "debug" };

/* The setting's line in the file, 0 where its default is in force. */
static unsigned
line_of(const struct setting_faults *faults, const char *name)
{
	return faults->lines[setting_row_find(str_of(name))];
}

#define FAULT(faults, name, ...) setting_fault((faults), line_of((faults), (name)), __VA_ARGS__)

static void
check_ranges(const struct settings *settings, struct setting_faults *faults)
{
	for (size_t i = 0; i < countof(number_ranges); i++) {
		const struct range *range = &number_ranges[i];
		size_t at = setting_rows[setting_row_find(str_of(range->name))].at;
		uint32_t n = *(const uint32_t *)((const char *)settings + at);

		if (n < range->least || n > range->most)
			FAULT(faults, range->name, "%s: expected %u to %u (%s), not %u",
				range->name, range->least, range->most, range->why, n);
	}
}

static void
check_name(const char *name, const char *value, struct setting_faults *faults)
{
	if (value[0] != '\0' && !host_name_valid(str_of(value)))
		FAULT(faults, name, "%s: expected a name such as mail.example.org, not \"%s\"",
			name, value);
}

static void
check_site(const struct settings *s, struct setting_faults *faults)
{
	bool known = false;

	check_name("hostname", s->hostname, faults);
	for (size_t i = 0; i < countof(log_levels); i++)
		known = known || strcmp(s->log_level, log_levels[i]) == 0;
	if (!known)
		FAULT(faults, "log_level", "log_level: expected error, warn, info or debug, "
			"not \"%s\"", s->log_level);
	if (s->state_dir[0] == '\0')
		FAULT(faults, "state_dir", "state_dir: expected a folder");
	if (s->mail_dir[0] == '\0')
		FAULT(faults, "mail_dir", "mail_dir: expected a folder");
	if (s->run_dir[0] == '\0')
		FAULT(faults, "run_dir", "run_dir: expected a folder");
}

struct door {
	const char *name;
	const struct setting_listen *listen;
	bool needs_tls;
};

static bool
same_door(const struct net_address *a, const struct net_address *b)
{
	return a->port == b->port && (a->any || b->any || net_address_eq(a, b));
}

static void
check_two_doors(const struct door *a, const struct door *b, struct setting_faults *faults)
{
	for (size_t i = 0; i < a->listen->count; i++)
		for (size_t j = a == b ? i + 1 : 0; j < b->listen->count; j++)
			if (same_door(&a->listen->addresses[i], &b->listen->addresses[j])) {
				FAULT(faults, b->name, "%s: port %u is used by %s already",
					b->name, b->listen->addresses[j].port, a->name);
				return;
			}
}

static void
check_doors(const struct settings *s, struct setting_faults *faults)
{
	const struct door doors[] = {
		{ "smtp_listen", &s->smtp_listen, false },
		{ "submission_listen", &s->submission_listen, false },
		{ "submissions_listen", &s->submissions_listen, true },
		{ "imap_listen", &s->imap_listen, false },
		{ "imaps_listen", &s->imaps_listen, true },
		{ "pop3_listen", &s->pop3_listen, false },
		{ "pop3s_listen", &s->pop3s_listen, true },
	};

	for (size_t i = 0; i < countof(doors); i++) {
		for (size_t j = i; j < countof(doors); j++)
			check_two_doors(&doors[i], &doors[j], faults);
		/* The defaults of these doors stay closed without a certificate. */
		if (doors[i].needs_tls && doors[i].listen->count > 0
		    && line_of(faults, doors[i].name) != 0 && s->tls_certificate[0] == '\0')
			FAULT(faults, doors[i].name,
				"%s: needs tls_certificate and tls_key", doors[i].name);
	}
	if (s->tls_key[0] != '\0' && s->tls_certificate[0] == '\0')
		FAULT(faults, "tls_key", "tls_key: needs tls_certificate");
	if (s->tls_certificate[0] != '\0' && s->tls_key[0] == '\0')
		FAULT(faults, "tls_certificate", "tls_certificate: needs tls_key");
}

static void
check_users(const struct settings *s, struct setting_faults *faults)
{
	check_name("default_domain", s->default_domain, faults);
	check_name("pam_domain", s->pam_domain, faults);
	if (s->pam_service[0] != '\0' && s->pam_domain[0] == '\0')
		FAULT(faults, "pam_service", "pam_service: needs pam_domain");
	if (s->pam_domain[0] != '\0' && s->pam_service[0] == '\0')
		FAULT(faults, "pam_domain", "pam_domain: needs pam_service");
	if (str_has_char(str_of(s->pam_service), '/'))
		FAULT(faults, "pam_service", "pam_service: expected the name of a file in "
			"/etc/pam.d, not \"%s\"", s->pam_service);
	if (s->pam_mail_dir[0] != '\0' && s->pam_mail_dir[0] != '/'
	    && !str_starts(str_of(s->pam_mail_dir), STR("%h/")))
		FAULT(faults, "pam_mail_dir", "pam_mail_dir: expected a path that begins with "
			"/ or %%h/, not \"%s\"", s->pam_mail_dir);
}

/* RFC 3501 section 9, capability: an atom, so nothing that could end the list. */
static bool
capability_entry_valid(struct str entry)
{
	size_t colon = str_index(entry, ':');

	if (colon < entry.n) {
		if (!str_has_char(str_sub(entry, 0, colon), '@'))
			return false;
		entry = str_from(entry, colon + 1);
	}
	return entry.n > 1 && entry.p[0] == '-' && !str_eq_nocase(entry, STR("-IMAP4rev1"));
}

static void
check_imap(const struct settings *s, struct setting_faults *faults)
{
	for (size_t i = 0; i < s->capabilities.count; i++)
		if (!capability_entry_valid(str_of(s->capabilities.words[i])))
			FAULT(faults, "capabilities", "capabilities: expected -NAME or user@domain:-NAME, "
				"NAME being one of imapd(8) but IMAP4rev1, not \"%s\"", s->capabilities.words[i]);
}

static void
check_mail_in(const struct settings *s, struct setting_faults *faults)
{
	/* RFC 5321 4.5.3.1.7 asks for 64K; more than 2G no client can count. */
	if (s->message_size_limit < 65536 || s->message_size_limit > INT32_MAX)
		FAULT(faults, "message_size_limit",
			"message_size_limit: expected 64k to 2047M");
	if (strlen(s->recipient_delimiter) > 1
	    || (s->recipient_delimiter[0] != '\0'
	    && strchr("+-=_#~^", s->recipient_delimiter[0]) == NULL))
		FAULT(faults, "recipient_delimiter",
			"recipient_delimiter: expected one of + - = _ # ~ ^ or nothing, not \"%s\"",
			s->recipient_delimiter);
	for (size_t i = 0; i < s->relay_domains.count; i++)
		check_name("relay_domains", s->relay_domains.words[i], faults);
}

static bool
relay_host_valid(struct str text)
{
	struct net_address address;
	size_t colon = str_last_index(text, ':');
	uint32_t port;

	if (net_address_parse_port(text, &address))
		return address.port != 0 && !address.any;
	return host_name_valid(str_sub(text, 0, colon))
		&& str_to_u32(str_from(text, colon + 1), &port) && port > 0 && port < 65536;
}

static void
check_mail_out(const struct settings *s, struct setting_faults *faults)
{
	struct net_address address;
	struct str server;

	if (s->relay_host[0] != '\0' && !relay_host_valid(str_of(s->relay_host)))
		FAULT(faults, "relay_host", "relay_host: expected NAME:PORT or ADDRESS:PORT, "
			"not \"%s\"", s->relay_host);
	for (size_t i = 0; i < s->dns_servers.count; i++) {
		server = str_of(s->dns_servers.words[i]);
		if (!net_address_parse(server, &address) && (!str_has_char(server, '@')
		    || !net_address_parse_port(server, &address) || address.any))
			FAULT(faults, "dns_servers", "dns_servers: expected ADDRESS or "
				"ADDRESS@PORT, not \"%s\"", s->dns_servers.words[i]);
	}
	/* The default notice is merely never sent where mail lives shorter. */
	if (line_of(faults, "queue_delay_notice") != 0
	    && s->queue_delay_notice > s->queue_lifetime)
		FAULT(faults, "queue_delay_notice", "queue_delay_notice: expected less than "
			"queue_lifetime, or 0 for no notice");
}

void
settings_check(const struct settings *settings, struct setting_faults *faults)
{
	check_ranges(settings, faults);
	check_site(settings, faults);
	check_doors(settings, faults);
	check_users(settings, faults);
	check_imap(settings, faults);
	check_mail_in(settings, faults);
	check_mail_out(settings, faults);
}
