/* SPDX-License-Identifier: ISC */
/* Every command there is: the table is the usage text and the dispatcher. */
#include "ctl/ctl.h"

const struct ctl_command ctl_commands[] = {
	{ "start", NULL, "[--foreground]",
		"start smtpd, imapd and pop3d; what runs already is left alone", cmd_start },
	{ "stop", NULL, "", "stop them", cmd_stop },
	{ "reload", NULL, "", "have them read configuration and certificates anew", cmd_reload },
	{ "status", NULL, "[--json]", "show their processes as a tree", cmd_status },

	{ "domain", "add", "DOMAIN [--postmaster ADDRESS] [--quota SIZE] [--quota-messages N]",
		"take mail for a domain", cmd_domain_add },
	{ "domain", "list", "[--json]", "list the domains", cmd_domain_list },
	{ "domain", "set", "DOMAIN [--postmaster ADDRESS] [--quota SIZE|default]\n"
		"\t[--quota-messages N|default]",
		"say who gets mail for postmaster and abuse, and what its accounts may hold",
		cmd_domain_set },
	{ "domain", "del", "DOMAIN", "take no more mail for an empty domain", cmd_domain_del },

	{ "user", "add", "ADDRESS [--password-stdin | --no-password] [--scheme SCHEME]\n"
		"\t[--quota SIZE] [--quota-messages N] [--mail-dir PATH]", "make an account",
		cmd_user_add },
	{ "user", "list", "[DOMAIN] [--json]", "list the accounts", cmd_user_list },
	{ "user", "passwd", "ADDRESS [--password-stdin | --no-password] [--scheme SCHEME]",
		"set a new password", cmd_user_passwd },
	{ "user", "set", "ADDRESS [--quota SIZE|default] [--quota-messages N|default]\n"
		"\t[--mail-dir PATH|default] [--enable | --disable]\n"
		"\t[--scheme SCHEME [--password-stdin]]", "change an account", cmd_user_set },
	{ "user", "del", "ADDRESS", "remove an account; its mail stays on disk", cmd_user_del },

	{ "alias", "add", "ADDRESS TARGET...",
		"send mail for an address, or for *@DOMAIN, to others", cmd_alias_add },
	{ "alias", "list", "[DOMAIN] [--json]", "list the aliases", cmd_alias_list },
	{ "alias", "set", "ADDRESS TARGET...", "the same in place of its targets so far",
		cmd_alias_set },
	{ "alias", "del", "ADDRESS [TARGET...]", "remove targets, or all of an address",
		cmd_alias_del },

	{ "queue", "list", "[--json]", "list mail on its way: last answer, next attempt",
		cmd_queue_list },
	{ "queue", "show", "TRACE [--json]", "the same of one message", cmd_queue_show },
	{ "queue", "retry", "TRACE|ALL", "try again now", cmd_queue_retry },
	{ "queue", "delete", "TRACE", "give a message up, telling nobody", cmd_queue_delete },
	{ "queue", NULL, "[--json]", "the same as queue list", cmd_queue_list },

	{ "check", NULL, "ADDRESS|DOMAIN...|--all [--repair] [--json]",
		"hold accounts' files against their index, and put them right", cmd_check },
	{ "quota", NULL, "[ADDRESS|DOMAIN...] [--recompute] [--json]",
		"show what accounts hold and may hold, and count it anew", cmd_quota },
	{ "undelete", NULL, "ADDRESS [--since TIME] [--folder FOLDER] [--dry-run] [--json]",
		"put expunged mail back that is kept (setting undelete_days)", cmd_undelete },
	{ "why", NULL, "ADDRESS|MESSAGE-ID|TRACE|TIME|SUBJECT... [--json] [--since TIME]",
		"tell what happened to a message", cmd_why },
	{ "settings", NULL, "[--values | --check | --sample | --manual] [--json]",
		"print or check the configuration", cmd_settings },
	{ "help", NULL, "[COMMAND]", "print this", cmd_help },
};
const size_t ctl_command_count = countof(ctl_commands);
