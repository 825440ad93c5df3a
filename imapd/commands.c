/* SPDX-License-Identifier: ISC */
/*
 * THE table: each command's name, when it is allowed, who reads its arguments, who does it,
 * and what the protocol wants of the dispatcher. UID is no row: see takes_uid (RFC 3501
 * 6.4.8).
 */
#include "imapd/imapd.h"

static const struct command commands[] = {
	/* RFC 3501 6.1 */
	[COMMAND_CAPABILITY] = { "CAPABILITY", ANY, parse_nothing, cmd_capability },
	[COMMAND_NOOP] = { "NOOP", ANY, parse_nothing, cmd_noop },
	[COMMAND_LOGOUT] = { "LOGOUT", ANY, parse_nothing, cmd_logout },
	[COMMAND_ID] = { "ID", ANY, parse_id, cmd_id },
	/* 6.2 */
	[COMMAND_STARTTLS] = { "STARTTLS", GUEST, parse_nothing, cmd_starttls },
	[COMMAND_AUTHENTICATE] = { "AUTHENTICATE", GUEST, parse_authenticate, cmd_authenticate },
	[COMMAND_LOGIN] = { "LOGIN", GUEST, parse_login, cmd_login },
	/* 6.3 */
	[COMMAND_ENABLE] = { "ENABLE", KNOWN, parse_enable, cmd_enable },
	[COMMAND_COMPRESS] = { "COMPRESS", KNOWN, parse_compress, cmd_compress },	/* RFC 4978 */
	[COMMAND_NAMESPACE] = { "NAMESPACE", KNOWN, parse_nothing, cmd_namespace },
	[COMMAND_SELECT] = { "SELECT", KNOWN, parse_select, cmd_select },
	[COMMAND_EXAMINE] = { "EXAMINE", KNOWN, parse_select, cmd_examine },
	[COMMAND_CREATE] = { "CREATE", KNOWN, parse_create, cmd_create },
	[COMMAND_DELETE] = { "DELETE", KNOWN, parse_mailbox, cmd_delete },
	[COMMAND_RENAME] = { "RENAME", KNOWN, parse_rename, cmd_rename },
	[COMMAND_SUBSCRIBE] = { "SUBSCRIBE", KNOWN, parse_mailbox, cmd_subscribe },
	[COMMAND_UNSUBSCRIBE] = { "UNSUBSCRIBE", KNOWN, parse_mailbox, cmd_unsubscribe },
	[COMMAND_LIST] = { "LIST", KNOWN, parse_list, cmd_list },
	[COMMAND_XLIST] = { "XLIST", KNOWN, parse_list, cmd_list },
	[COMMAND_LSUB] = { "LSUB", KNOWN, parse_lsub, cmd_lsub },
	[COMMAND_STATUS] = { "STATUS", KNOWN, parse_status, cmd_status },
	[COMMAND_APPEND] = { "APPEND", KNOWN, parse_append, cmd_append },
	[COMMAND_REPLACE] = { "REPLACE", SELECTED, parse_replace, cmd_append,	/* RFC 8508 */
	    .takes_uid = true, .tells_modseq = true },
	[COMMAND_IDLE] = { "IDLE", KNOWN, parse_nothing, cmd_idle },
	[COMMAND_GETQUOTA] = { "GETQUOTA", KNOWN, parse_getquota, cmd_getquota },
	[COMMAND_GETQUOTAROOT] = { "GETQUOTAROOT", KNOWN, parse_mailbox, cmd_getquotaroot },
	/* 6.4 */
	[COMMAND_CHECK] = { "CHECK", SELECTED, parse_nothing, cmd_noop },
	[COMMAND_CLOSE] = { "CLOSE", SELECTED, parse_nothing, cmd_close },
	[COMMAND_UNSELECT] = { "UNSELECT", SELECTED, parse_nothing, cmd_unselect },
	[COMMAND_EXPUNGE] = { "EXPUNGE", SELECTED, parse_expunge, cmd_expunge,
	    .takes_uid = true, .tells_modseq = true },
	[COMMAND_SEARCH] = { "SEARCH", SELECTED, parse_search, cmd_search,
	    .takes_uid = true, .holds_expunges = true },
	[COMMAND_SORT] = { "SORT", SELECTED, parse_sort, cmd_search,	/* RFC 5256 */
	    .takes_uid = true, .holds_expunges = true },
	[COMMAND_THREAD] = { "THREAD", SELECTED, parse_thread, cmd_search,
	    .takes_uid = true, .holds_expunges = true },
	[COMMAND_FETCH] = { "FETCH", SELECTED, parse_fetch, cmd_fetch,
	    .takes_uid = true, .holds_expunges = true },
	[COMMAND_STORE] = { "STORE", SELECTED, parse_store, cmd_store,
	    .takes_uid = true, .holds_expunges = true },
	[COMMAND_COPY] = { "COPY", SELECTED, parse_copy, cmd_copy, .takes_uid = true },
	[COMMAND_MOVE] = { "MOVE", SELECTED, parse_copy, cmd_move,
	    .takes_uid = true, .tells_modseq = true },
};

_Static_assert(countof(commands) == COMMAND_COUNT, "each command has its row");

const struct command *
command_find(struct str word, enum command_name *name)
{
	for (size_t i = 0; i < countof(commands); i++) {
		if (!str_eq(word, str_of(commands[i].name)))
			continue;
		*name = (enum command_name)i;
		return &commands[i];
	}
	return NULL;
}
