/* SPDX-License-Identifier: ISC */
/*
 * What we say we can. Apart from how to log in it is one list, before and after login: some
 * clients read it only once.
 */
#include "common/auth/sasl.h"
#include "imapd/imapd.h"

/* A row each, with where it is from; in the order told. */
static const char *const capabilities[] = {
	"IMAP4rev1",			/* RFC 3501 */
	"LITERAL+",			/* RFC 7888 */
	"SASL-IR",			/* RFC 4959 */
	"ENABLE",			/* RFC 5161 */
	"ID",				/* RFC 2971 */
	"IDLE",				/* RFC 2177 */
	"NAMESPACE",			/* RFC 2342 */
	"CHILDREN",			/* RFC 3348 */
	"LIST-EXTENDED",		/* RFC 5258 */
	"SPECIAL-USE",			/* RFC 6154 */
	"CREATE-SPECIAL-USE",
	"UIDPLUS",			/* RFC 4315 */
	"MOVE",				/* RFC 6851 */
	"UNSELECT",			/* RFC 3691 */
	"CONDSTORE",			/* RFC 7162 */
	"QRESYNC",
	"SORT",				/* RFC 5256 */
	"SORT=DISPLAY",			/* RFC 5957 */
	"THREAD=ORDEREDSUBJECT",	/* RFC 5256 */
	"THREAD=REFERENCES",
	"THREAD=REFS",
	"QUOTA",			/* RFC 9208 */
	"QUOTA=RES-STORAGE",
	"QUOTA=RES-MESSAGE",
};

void
put_capabilities(struct buf *out, const struct session *s)
{
	buf_put_z(out, "CAPABILITY");
	for (size_t i = 0; i < countof(capabilities); i++)
		buf_printf(out, " %s", capabilities[i]);
	if (s->guest == NULL)
		return;
	if (guest_can_tls(s))
		buf_put_z(out, " STARTTLS");
	if (!guest_may_login(s)) {
		/* RFC 3501 6.2.3 */
		buf_put_z(out, " LOGINDISABLED");
		return;
	}
	for (size_t i = 0; sasl_mechanism_name(i) != NULL; i++)
		buf_printf(out, " AUTH=%s", sasl_mechanism_name(i));
}
