/* SPDX-License-Identifier: ISC */
/* pop3d: its doors and its processes. */
#include "common/auth/auth_proc.h"
#include "common/mime/charset.h"
#include "pop3d/pop3d.h"
#include "maildir/store.h"

static const struct service_door doors[] = {
	{ "pop3", offsetof(struct settings, pop3_listen), DOOR_STARTTLS, 0 },
	{ "pop3s", offsetof(struct settings, pop3s_listen), DOOR_TLS, 0 },
};

static const struct service pop3d = {
	.name = "pop3d", .protocol = "pop3",
	.doors = doors, .door_count = countof(doors),
	.auth = &auth_roles,
	.front_start = pop3_front_start,
	.keeper_start = pop3_keeper_start,
};

int
main(int argc, char **argv)
{
	/* Before anybody's walls close: all share what is loaded here. */
	charset_preload();
	store_preload();
	return service_main(&pop3d, argc, argv);
}
