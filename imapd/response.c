/* SPDX-License-Identifier: ISC */
/*
 * The only writer of IMAP's notation (RFC 3501 section 9): strings, flags, sets, untagged lines,
 * and the one place where the store's words become NO with a code (RFC 5530).
 */
#include "common/mime/render.h"
#include "imapd/imapd.h"
#include "imapd/mutf7.h"

enum { QUOTED_MAX = 1000 };	/* longer strings go as literals, for readers with short lines */

struct buf *
out_of(struct session *s)
{
	return s->compression != NULL ? compression_output(s->compression) :
	    stream_output(s->stream);
}

void
untagged(struct session *s, const char *format, ...)
{
	struct buf *out = out_of(s);
	va_list arguments;

	buf_put_z(out, "* ");
	va_start(arguments, format);
	buf_vprintf(out, format, arguments);
	va_end(arguments);
	buf_put_z(out, "\r\n");
}

/* ---- strings ---- */

void
put_literal(struct buf *out, struct str s)
{
	size_t from;

	buf_put_c(out, '{');
	buf_put_u64(out, s.n);
	buf_put_z(out, "}\r\n");
	from = out->n;
	buf_put(out, s);
	mask_nul(out, from);
}

void
mask_nul(struct buf *out, size_t from)
{
	char *nul;

	while (from < out->n && (nul = memchr(out->p + from, '\0', out->n - from)) != NULL) {
		*nul = (char)0x80;
		from = (size_t)(nul - out->p) + 1;
	}
}

void
put_string(struct buf *out, struct str s)
{
	bool plain = s.n <= QUOTED_MAX;

	for (size_t i = 0; i < s.n && plain; i++)
		plain = !ascii_is_control(s.p[i]) && (unsigned char)s.p[i] < 0x80;
	if (plain)
		render_quoted(out, s);
	else
		put_literal(out, s);
}

bool
put_mailbox(const struct session *s, struct buf *out, struct str name)
{
	scoped_buf encoded = BUF_INIT;

	/* What the one cannot hold, a line end, cannot stand in quotes either. */
	if (!mutf7_encode(&encoded, name)) {
		log_warn(&s->log, "mailbox_name_untellable", KV("name", name));
		return false;
	}
	render_quoted(out, speaks_utf8(s) ? name : buf_str(&encoded));
	return true;
}

bool
put_list_line(struct session *s, const char *word, struct str attributes, struct str name)
{
	struct buf *out = out_of(s);
	scoped_buf encoded = BUF_INIT;

	if (!put_mailbox(s, &encoded, name))
		return false;
	buf_printf(out, "* %s (", word);
	buf_put(out, str_from(attributes, 1));
	buf_put_z(out, ") \"/\" ");
	buf_put(out, buf_str(&encoded));
	return true;
}

/* ---- flags ---- */

static const struct {
	uint32_t flag;
	const char *word;
} system_flags[] = {
	{ FLAG_ANSWERED, "\\Answered" },
	{ FLAG_FLAGGED, "\\Flagged" },
	{ FLAG_DELETED, "\\Deleted" },
	{ FLAG_SEEN, "\\Seen" },
	{ FLAG_DRAFT, "\\Draft" },
};

static void
put_word(struct buf *out, bool *first, struct str word)
{
	if (!*first)
		buf_put_c(out, ' ');
	*first = false;
	buf_put(out, word);
}

void
put_flags(struct session *s, struct buf *out, const struct message *message)
{
	bool first = true;

	buf_put_c(out, '(');
	for (size_t i = 0; i < countof(system_flags); i++)
		if (message->flags & system_flags[i].flag)
			put_word(out, &first, str_of(system_flags[i].word));
	if (message->recent && sync_tells_recent(s))
		put_word(out, &first, STR("\\Recent"));
	for (uint64_t left = message->keywords; left != 0; left &= left - 1)
		put_word(out, &first, mailbox_keyword(s->mailbox, (size_t)__builtin_ctzll(left)));
	buf_put_c(out, ')');
}

void
put_modseq(struct session *s, const struct message *message)
{
	struct buf *out = out_of(s);

	buf_put_z(out, "MODSEQ (");
	buf_put_u64(out, message->modseq);
	buf_put_c(out, ')');
	if (message->modseq > s->modseq_seen)
		s->modseq_seen = message->modseq;
}

static void
begin_response(struct buf *out, const struct message *message)
{
	buf_put_z(out, "* ");
	buf_put_u64(out, message->seq);
	buf_put_z(out, " FETCH (UID ");
	buf_put_u64(out, message->uid);
	buf_put_c(out, ' ');
}

void
put_flags_response(struct session *s, const struct message *message)
{
	struct buf *out = out_of(s);

	begin_response(out, message);
	buf_put_z(out, "FLAGS ");
	put_flags(s, out, message);
	if (s->enabled & ENABLED_CONDSTORE) {
		buf_put_c(out, ' ');
		put_modseq(s, message);
	}
	buf_put_z(out, ")\r\n");
}

void
put_modseq_response(struct session *s, const struct message *message)
{
	struct buf *out = out_of(s);

	begin_response(out, message);
	put_modseq(s, message);
	buf_put_z(out, ")\r\n");
}

/* ---- sets and uses ---- */

void
put_uid_range(struct buf *out, uint32_t first, uint32_t last)
{
	buf_put_u64(out, first);
	if (first == last)
		return;
	buf_put_c(out, ':');
	buf_put_u64(out, last);
}

void
put_uids(struct buf *out, const uint32_t *uids, size_t count)
{
	size_t end;

	for (size_t i = 0; i < count; i = end) {
		for (end = i + 1; end < count && uids[end] == uids[end - 1] + 1; end++)
			;
		if (i > 0)
			buf_put_c(out, ',');
		put_uid_range(out, uids[i], uids[end - 1]);
	}
}

void
put_special_use(struct buf *out, unsigned uses)
{
	static const struct {
		unsigned use;
		const char *word;
	} rows[] = {	/* RFC 6154 2 */
		{ USE_ALL, " \\All" },
		{ USE_ARCHIVE, " \\Archive" },
		{ USE_DRAFTS, " \\Drafts" },
		{ USE_FLAGGED, " \\Flagged" },
		{ USE_JUNK, " \\Junk" },
		{ USE_SENT, " \\Sent" },
		{ USE_TRASH, " \\Trash" },
		{ USE_MEMOS, " \\Memos" },		/* RFC 9979 8 */
		{ USE_SCHEDULED, " \\Scheduled" },
		{ USE_SNOOZED, " \\Snoozed" },
	};

	for (size_t i = 0; i < countof(rows); i++)
		if (uses & rows[i].use)
			buf_put_z(out, rows[i].word);
}

void
put_mailbox_id(struct buf *out, struct str id, uint32_t uidvalidity)
{
	buf_printf(out, "MAILBOXID (F%.*s-%x)", STR_ARG(id), uidvalidity);
}

/* ---- the store's words ---- */

static const char *
words_for_missing(enum about about)
{
	switch (about) {
	case ABOUT_TARGET:	/* RFC 3501 6.3.11, 6.4.7 */
		return "NO [TRYCREATE] There is no such mailbox";
	case ABOUT_MAILBOX:
		return "NO [NONEXISTENT] There is no such mailbox";
	case ABOUT_MESSAGES:
		break;
	}
	return "NO [NONEXISTENT] There is no such message";
}

const char *
words_of(enum store_result result, enum about about)
{
	switch (result) {
	case STORE_OK:
		return "OK Done";
	case STORE_NO_SUCH:
		return words_for_missing(about);
	case STORE_EXISTS:
		return "NO [ALREADYEXISTS] There is such a mailbox already";
	case STORE_BAD_NAME:
		return "NO [CANNOT] A mailbox cannot have that name";
	case STORE_NOT_ALLOWED:
		return "NO [CANNOT] That cannot be done with this mailbox";
	case STORE_READ_ONLY:
		return "NO [READ-ONLY] The mailbox is open for reading only";
	case STORE_OVER_QUOTA:
		return "NO [OVERQUOTA] The account is full";
	case STORE_TOO_LARGE:
		return "NO [LIMIT] That is more than this server keeps";
	case STORE_FULL:
		return "NO [UNAVAILABLE] The server's disk is full; try again later";
	case STORE_BUSY:
		return "NO [INUSE] Somebody else is working here; try again";
	case STORE_GONE:
		return about == ABOUT_MESSAGES ?
		    "NO [EXPUNGEISSUED] Some of the messages are gone" :
		    "NO [NONEXISTENT] The mailbox is gone";
	case STORE_BROKEN:
		return "NO [SERVERBUG] That failed; the server's log tells why";
	}
	fatal("the store said %d", (int)result);
}

enum next
finish_result(struct session *s, enum store_result result, enum about about)
{
	return finish(s, "%s", words_of(result, about));
}

enum next
finish_bad_name(struct session *s)
{
	if (speaks_utf8(s))
		return finish(s, "NO [CANNOT] Names of mailboxes are written in UTF-8");
	/* Some clients send UTF-8 as it is; NO, not BAD, makes them skip that mailbox. */
	return finish(s, "NO [CANNOT] Names of mailboxes are written in modified UTF-7");
}
