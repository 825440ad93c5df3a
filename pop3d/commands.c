/* SPDX-License-Identifier: ISC */
/* THE table: every command, where it is allowed, what follows it. RFC 1939, 2449, 2595, 5034. */
#include "pop3d/pop3d.h"

static const struct command commands[] = {
	{ STR("CAPA"), AUTHORIZATION | TRANSACTION, NOTHING, cmd_capa },
	{ STR("STLS"), AUTHORIZATION, NOTHING, cmd_stls },
	{ STR("USER"), AUTHORIZATION, TEXT, cmd_user },
	{ STR("PASS"), AUTHORIZATION, TEXT, cmd_pass },
	{ STR("AUTH"), AUTHORIZATION, OPTIONAL_TEXT, cmd_auth },
	{ STR("STAT"), TRANSACTION, NOTHING, cmd_stat },
	{ STR("LIST"), TRANSACTION, OPTIONAL_MESSAGE, cmd_list },
	{ STR("UIDL"), TRANSACTION, OPTIONAL_MESSAGE, cmd_uidl },
	{ STR("RETR"), TRANSACTION, MESSAGE, cmd_retr },
	{ STR("TOP"), TRANSACTION, MESSAGE_AND_LINES, cmd_top },
	{ STR("DELE"), TRANSACTION, MESSAGE, cmd_dele },
	{ STR("RSET"), TRANSACTION, NOTHING, cmd_rset },
	{ STR("NOOP"), TRANSACTION, NOTHING, cmd_noop },
	{ STR("QUIT"), AUTHORIZATION | TRANSACTION, NOTHING, cmd_quit },
};

const struct command *
command_find(struct str name)
{
	for (size_t i = 0; i < countof(commands); i++)
		if (str_eq_nocase(commands[i].name, name))
			return &commands[i];
	return NULL;
}
