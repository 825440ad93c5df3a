/* SPDX-License-Identifier: ISC */
/*
 * COPY (RFC 3501 6.4.7) and MOVE (RFC 6851), in slices, with COPYUID (RFC 4315 3): a COPY of all messages or none. What the
 * store says is done is on the disk.
 */
#include "imapd/imapd.h"

static enum next transfer_slice(struct session *);

static void
put_copyuid(struct buf *out, const struct copied *copied)
{
	buf_printf(out, "OK [COPYUID %u ", copied->uidvalidity);
	put_uids(out, copied->from, copied->count);
	buf_put_c(out, ' ');
	put_uids(out, copied->to, copied->count);
	buf_put_c(out, ']');
}

static enum next
begin_transfer(struct session *s)
{
	const struct copy_arguments *arguments = &s->req.copy;
	const bool move = s->req.command == COMMAND_MOVE;
	struct uid_set uids;
	enum store_result result;

	if (!set_to_uids(s, &arguments->set, s->req.by_uid, &uids))
		return finish_bad(s, "There is no message with that number");
	if (arguments->to.state != NAME_GOOD)
		return finish_bad_name(s);
	if (move && mailbox_is_read_only(s->mailbox))
		return finish_result(s, STORE_READ_ONLY, ABOUT_TARGET);
	result = copying_begin(s->mailbox, &uids, arguments->to.utf8, move, s->arena, &s->work.copying);
	if (result != STORE_OK) {
		s->work.copying = NULL;
		return finish_result(s, result, result == STORE_GONE ? ABOUT_MESSAGES : ABOUT_TARGET);
	}
	s->step = transfer_slice;
	return GO;
}

enum next
cmd_copy(struct session *s)
{
	return begin_transfer(s);
}

enum next
cmd_move(struct session *s)
{
	return begin_transfer(s);
}

static enum next
end_copy(struct session *s, const struct copied *copied)
{
	scoped_buf code = BUF_INIT;

	if (copied->count == 0)
		return finish_done(s);
	put_copyuid(&code, copied);
	return finish(s, "%s COPY completed", buf_z(&code));
}

/* RFC 6851 4.3: before the EXPUNGEs, which the end of the command tells. */
static void
put_moved(struct session *s, const struct copied *copied)
{
	struct buf *out = out_of(s);

	if (copied->count == 0)
		return;
	buf_put_z(out, "* ");
	put_copyuid(out, copied);
	buf_put_z(out, " Moved\r\n");
}

static enum next
transfer_slice(struct session *s)
{
	const bool move = s->req.command == COMMAND_MOVE;
	struct copied copied = { 0 };
	uint32_t so_far, all;
	bool done = false;
	enum store_result result;

	if (session_must_wait(s))
		return WAIT;
	result = copying_step(s->work.copying, &done);
	if (!done) {
		copying_progress(s->work.copying, &so_far, &all);
		session_progress(s, so_far, all);
		return GO;
	}
	if (result == STORE_OK || move)
		copying_result(s->work.copying, &copied);
	copying_free(s->work.copying);
	s->work.copying = NULL;
	if (copied.count > 0)
		room_changed(s);
	if (move)
		put_moved(s, &copied);
	/* RFC 6851 3.3: a MOVE may fail partway, and then those that were told are moved. */
	if (result != STORE_OK)
		return finish_result(s, result, result == STORE_GONE ? ABOUT_MESSAGES : ABOUT_TARGET);
	return move ? finish_done(s) : end_copy(s, &copied);
}
