/* SPDX-License-Identifier: ISC */
/* CAPABILITY NOOP CHECK LOGOUT (RFC 3501 6.1, 6.4.1), ID (RFC 2971), COMPRESS (RFC 4978), ENABLE (RFC 5161). */
#include "imapd/imapd.h"

enum next
cmd_capability(struct session *s)
{
	struct buf *out = out_of(s);

	buf_put_z(out, "* ");
	put_capabilities(out, s);
	buf_put_z(out, "\r\n");
	return finish_done(s);
}

/* And CHECK: what it asks for is always so here. Changes are told after any command. */
enum next
cmd_noop(struct session *s)
{
	return finish_done(s);
}

enum next
cmd_logout(struct session *s)
{
	untagged(s, "BYE Until next time");
	s->leaving = true;
	return finish_done(s);
}

/* RFC 2971 3.3: what clients say about themselves is for the log, never for decisions. */
enum next
cmd_id(struct session *s)
{
	const struct id_arguments *id = &s->req.id;

	for (size_t i = 0; i < id->count; i++)
		if (!id->pairs[i].is_nil)
			log_debug(&s->log, "client_id", KV("field", id->pairs[i].field),
			    KV("value", id->pairs[i].value));
	if (s->state == GUEST)
		untagged(s, "ID (\"name\" \"Trivet\")");
	else
		untagged(s, "ID (\"name\" \"Trivet\" \"version\" \"%s\")", PACKAGE_VERSION);
	return finish_done(s);
}

/* RFC 4978 3: the tagged answer is the last thing that goes as it is. */
enum next
cmd_compress(struct session *s)
{
	if (!str_eq(s->req.compress.mechanism, STR("DEFLATE")))
		return finish_bad(s, "Only DEFLATE is known here");
	if (!capability_is_offered(s, STR("COMPRESS=DEFLATE")))
		return finish(s, "NO [CANNOT] Compression is switched off here");
	if (s->compresses)
		return finish(s, "NO [COMPRESSIONACTIVE] It is on already");
	s->compresses = true;
	return finish(s, "OK From here on it is DEFLATE");
}

/* ---- ENABLE ---- */

struct enabling {
	const char *word;
	unsigned bits;			/* what it turns on, what it implies too */
};

static const struct enabling enablings[] = {
	{ "CONDSTORE", ENABLED_CONDSTORE },
	{ "QRESYNC", ENABLED_QRESYNC | ENABLED_CONDSTORE },	/* RFC 7162 3.2.3 */
	{ "IMAP4rev2", ENABLED_REV2 },				/* RFC 9051 6.3.1 */
	{ "UTF8=ACCEPT", ENABLED_UTF8 },			/* RFC 9755 3 */
};

/* RFC 5161 3.1: what is not known is passed over; told is what was not enabled before. */
enum next
cmd_enable(struct session *s)
{
	const struct enable_arguments *arguments = &s->req.enable;
	struct buf *out = out_of(s);

	buf_put_z(out, "* ENABLED");
	for (size_t i = 0; i < arguments->count; i++) {
		for (size_t k = 0; k < countof(enablings); k++) {
			const struct enabling *e = &enablings[k];

			if (!str_eq_nocase(arguments->words[i], str_of(e->word)) ||
			    (s->enabled & e->bits) == e->bits || !capability_is_offered(s, str_of(e->word)))
				continue;
			sync_enable(s, e->bits);
			buf_printf(out, " %s", e->word);
		}
	}
	buf_put_z(out, "\r\n");
	return finish_done(s);
}
