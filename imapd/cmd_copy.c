/* SPDX-License-Identifier: ISC */
/*
 * COPY (RFC 3501 6.4.7) and MOVE (RFC 6851), with COPYUID (RFC 4315 3): all messages or none. The
 * store has synced the copies when it returns.
 */
#include "imapd/imapd.h"

static void
put_copyuid(struct buf *out, const struct copied *copied)
{
	buf_printf(out, "OK [COPYUID %u ", copied->uidvalidity);
	put_uids(out, copied->from, copied->count);
	buf_put_c(out, ' ');
	put_uids(out, copied->to, copied->count);
	buf_put_c(out, ']');
}

typedef enum store_result copy_call(struct mailbox *, const struct uid_set *, struct str to,
    struct arena *, struct copied *);

/* False: it was answered. */
static bool
transfer(struct session *s, copy_call *call, struct copied *copied)
{
	const struct copy_arguments *arguments = &s->req.copy;
	struct uid_set uids;
	enum store_result result;

	if (!set_to_uids(s, &arguments->set, s->req.by_uid, &uids)) {
		finish_bad(s, "There is no message with that number");
		return false;
	}
	if (arguments->to.state != NAME_GOOD) {
		finish_bad_name(s);
		return false;
	}
	if (call == mailbox_move && mailbox_is_read_only(s->mailbox))
		result = STORE_READ_ONLY;
	else
		result = call(s->mailbox, &uids, arguments->to.utf8, s->arena, copied);
	if (result != STORE_OK) {
		finish_result(s, result, result == STORE_GONE ? ABOUT_MESSAGES : ABOUT_TARGET);
		return false;
	}
	room_changed(s);
	return true;
}

enum next
cmd_copy(struct session *s)
{
	scoped_buf code = BUF_INIT;
	struct copied copied;

	if (!transfer(s, mailbox_copy, &copied))
		return GO;
	if (copied.count == 0)
		return finish_done(s);
	put_copyuid(&code, &copied);
	return finish(s, "%s COPY completed", buf_z(&code));
}

enum next
cmd_move(struct session *s)
{
	struct copied copied;
	struct buf *out = out_of(s);

	if (!transfer(s, mailbox_move, &copied))
		return GO;
	if (copied.count > 0) {
		/* RFC 6851 4.3: before the EXPUNGEs, which the end of the command tells. */
		buf_put_z(out, "* ");
		put_copyuid(out, &copied);
		buf_put_z(out, " Moved\r\n");
	}
	return finish_done(s);
}
