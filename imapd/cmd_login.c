/* SPDX-License-Identifier: ISC */
/*
 * STARTTLS, LOGIN, AUTHENTICATE (RFC 3501 6.2; RFC 4959 for the initial response). No password is
 * taken where it went over the wire in the open, unless the site allows it for that network.
 */
#include "common/auth/sasl.h"
#include "common/base/base64.h"
#include "imapd/imapd.h"

static enum next
refuse_plaintext(struct session *s)
{
	/* RFC 5530 3 */
	return finish(s, "NO [PRIVACYREQUIRED] Start TLS before you log in");
}

enum next
cmd_starttls(struct session *s)
{
	if (guest_is_secure(s))
		return finish_bad(s, "TLS is on already");
	if (!guest_can_tls(s))
		return finish_bad(s, "TLS is not set up on this server");
	return guest_start_tls(s);
}

enum next
cmd_login(struct session *s)
{
	if (!guest_may_login(s))
		return refuse_plaintext(s);
	return guest_ask(s, STR_EMPTY, s->req.login.user, s->req.login.password);
}

/* ---- AUTHENTICATE ---- */

static enum next read_response(struct session *);

static enum next
on_reply(struct session *s, const struct sasl_reply *reply)
{
	struct buf *out = out_of(s);

	switch (reply->result) {
	case SASL_CHALLENGE:
		buf_put_z(out, "+ ");
		base64_encode(out, reply->challenge);
		buf_put_z(out, "\r\n");
		s->step = read_response;
		return GO;
	case SASL_CREDENTIALS:
		return guest_ask(s, reply->credentials.authorise_as, reply->credentials.user,
		    reply->credentials.password);
	case SASL_BAD:
		break;
	}
	return finish_bad(s, reply->why);
}

static enum next
on_line(struct session *s, enum sasl_line line, struct buf *decoded)
{
	struct sasl_reply reply;

	/* RFC 3501 6.2.2: a lone "*" cancels, and is answered BAD. */
	if (line == SASL_LINE_CANCEL)
		return finish_bad(s, "AUTHENTICATE was cancelled");
	if (line == SASL_LINE_BAD)
		return finish_bad(s, "That is not base64");
	reply = sasl_step(guest_sasl(s), buf_str(decoded));
	return on_reply(s, &reply);
}

static enum next
read_response(struct session *s)
{
	struct buf decoded = BUF_INIT;
	struct str line;
	size_t octets;
	enum sasl_line kind;
	enum next next;

	if (!session_line(s, &line, &octets, &next))
		return next;
	kind = sasl_decode(line, false, &decoded);
	session_take(s, octets);
	next = on_line(s, kind, &decoded);
	buf_wipe(&decoded);
	return next;
}

static enum next
start(struct session *s, const struct str *initial)
{
	struct sasl_reply reply;

	sasl_end(guest_sasl(s));	/* of an earlier one that came to nothing */
	reply = sasl_start(guest_sasl(s), s->req.authenticate.mechanism, initial);
	return on_reply(s, &reply);
}

enum next
cmd_authenticate(struct session *s)
{
	const struct authenticate_arguments *arguments = &s->req.authenticate;
	struct buf decoded = BUF_INIT;
	struct str initial;
	enum next next;

	if (!sasl_mechanism_exists(arguments->mechanism))
		return finish(s, "NO [CANNOT] That mechanism is not known here");
	if (!guest_may_login(s))
		return refuse_plaintext(s);
	if (!arguments->has_initial)
		return start(s, NULL);
	if (sasl_decode(arguments->initial, false, &decoded) != SASL_LINE_OK) {
		next = finish_bad(s, "The initial response is not base64");
	} else {
		initial = buf_str(&decoded);
		next = start(s, &initial);
	}
	buf_wipe(&decoded);
	return next;
}
