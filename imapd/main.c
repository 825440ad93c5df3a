/* SPDX-License-Identifier: ISC */
/*
 * imapd: IMAP4rev1 (RFC 3501). A front takes connections and logs people in, a keeper for each
 * account does the rest; common/daemon runs both. See front.c and keeper.c.
 */
#include "common/daemon/process.h"
#include "common/auth/auth_proc.h"
#include "common/mime/charset.h"
#include "imapd/imapd.h"
#include "maildir/store.h"

static const struct service_door doors[] = {
	{ "imap", offsetof(struct settings, imap_listen), DOOR_STARTTLS, 0 },
	{ "imaps", offsetof(struct settings, imaps_listen), DOOR_TLS, 0 },	/* RFC 8314 3.2 */
};

static const struct service imapd = {
	.name = "imapd",
	.protocol = "imap",
	.doors = doors,
	.door_count = countof(doors),
	.auth = &auth_roles,
	.front_start = front_start,
	.keeper_start = keeper_start,
};

int
main(int argc, char **argv)
{
	/* Before anybody's walls close: all share what is loaded here. */
	charset_preload();
	store_preload();
	return service_main(&imapd, argc, argv);
}
