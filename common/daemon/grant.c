/* SPDX-License-Identifier: ISC */
/* Grants in messages: auth writes them, master and what waits at master reads them. Pure. */
#include "common/daemon/keeper.h"

void
msg_put_grant(struct buf *m, const struct keeper_grant *g)
{
	msg_put_str(m, g->address);
	msg_put_str(m, g->maildir);
	msg_put_u32(m, g->uid);
	msg_put_u32(m, g->gid);
	msg_put_u64(m, g->quota_bytes);
	msg_put_u64(m, g->quota_messages);
}

struct keeper_grant
msg_get_grant(struct msg *m)
{
	struct keeper_grant g;

	g.address = msg_get_str(m);
	g.maildir = msg_get_str(m);
	g.uid = msg_get_u32(m);
	g.gid = msg_get_u32(m);
	g.quota_bytes = msg_get_u64(m);
	g.quota_messages = msg_get_u64(m);
	return g;
}
