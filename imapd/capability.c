/* SPDX-License-Identifier: ISC */
/*
 * What we say we can. Apart from how to log in it is one list, before and after login: some
 * clients read it only once. The setting `capabilities` takes away from it.
 */
#include "common/auth/sasl.h"
#include "imapd/imapd.h"

/* Its number goes behind it. */
static const char append_limit_name[] = "APPENDLIMIT";

/* A row each, with where it is from; in the order told. */
static const char *const capabilities[] = {
	"IMAP4rev1",			/* RFC 3501 */
	"IMAP4rev2",			/* RFC 9051 */
	"LITERAL+",			/* RFC 7888 */
	"SASL-IR",			/* RFC 4959 */
	"ENABLE",			/* RFC 5161 */
	"ID",				/* RFC 2971 */
	"IDLE",				/* RFC 2177 */
	"NAMESPACE",			/* RFC 2342 */
	"CHILDREN",			/* RFC 3348 */
	"LIST-EXTENDED",		/* RFC 5258 */
	"LIST-STATUS",			/* RFC 5819 */
	"SPECIAL-USE",			/* RFC 6154 */
	"CREATE-SPECIAL-USE",
	"STATUS=SIZE",			/* RFC 8438 */
	"OBJECTID",			/* RFC 8474 */
	"SAVEDATE",			/* RFC 8514 */
	"PREVIEW",			/* RFC 8970 */
	"UIDPLUS",			/* RFC 4315 */
	"MOVE",				/* RFC 6851 */
	"UNSELECT",			/* RFC 3691 */
	"ESEARCH",			/* RFC 4731 */
	"SEARCHRES",			/* RFC 5182 */
	"WITHIN",			/* RFC 5032 */
	"PARTIAL",			/* RFC 9394 */
	"SORT",				/* RFC 5256 */
	"SORT=DISPLAY",			/* RFC 5957 */
	"ESORT",			/* RFC 5267 */
	"THREAD=ORDEREDSUBJECT",	/* RFC 5256 */
	"THREAD=REFERENCES",
	"THREAD=REFS",
	"I18NLEVEL=1",			/* RFC 5255 */
	"CONDSTORE",			/* RFC 7162 */
	"QRESYNC",
	"INPROGRESS",			/* RFC 9585 */
	"COMPRESS=DEFLATE",		/* RFC 4978 */
	"QUOTA",			/* RFC 9208 */
	"QUOTA=RES-STORAGE",
	"QUOTA=RES-MESSAGE",
	"BINARY",			/* RFC 3516 */
	"MULTIAPPEND",			/* RFC 3502 */
	append_limit_name,		/* RFC 7889 */
	"REPLACE",			/* RFC 8508 */
	"UTF8=ACCEPT",			/* RFC 9755 */
};

/* Is this entry of the setting `capabilities`, "[ACCOUNT:]-NAME", about this session and capability? */
static bool
takes_away(struct str entry, const struct session *s, struct str name)
{
	size_t colon = str_index(entry, ':');

	if (colon < entry.n) {
		if (s->room == NULL || !str_eq_nocase(str_sub(entry, 0, colon), room_address(s)))
			return false;
		entry = str_from(entry, colon + 1);
	}
	return str_eq_nocase(str_from(entry, 1), name);
}

static bool
is_taken_away(const struct session *s, struct str name)
{
	const struct setting_list *list = &s->process->settings->capabilities;

	for (size_t i = 0; i < list->count; i++)
		if (takes_away(str_of(list->words[i]), s, name))
			return true;
	return false;
}

static bool
is_known(struct str name)
{
	for (size_t i = 0; i < countof(capabilities); i++)
		if (str_eq_nocase(name, str_of(capabilities[i])))
			return true;
	return false;
}

bool
capability_is_offered(const struct session *s, struct str name)
{
	return is_known(name) && !is_taken_away(s, name);
}

void
capability_check_setting(const struct settings *settings)
{
	const struct setting_list *list = &settings->capabilities;

	for (size_t i = 0; i < list->count; i++) {
		struct str entry = str_of(list->words[i]);
		size_t dash = str_index(entry, ':') + 1;

		if (!is_known(str_from(entry, (dash < entry.n ? dash : 0) + 1)))
			log_warn(NULL, "capability.unknown", KV("setting", "capabilities"), KV("entry", entry),
			    KV("hint", "imapd(8) lists the names"));
	}
}

static void
put_capability(struct buf *out, const struct session *s, const char *name)
{
	buf_printf(out, " %s", name);
	/* RFC 7889 2: the same for all mailboxes. */
	if (name == append_limit_name)
		buf_printf(out, "=%llu", (unsigned long long)append_limit(s));
}

void
put_capabilities(struct buf *out, const struct session *s)
{
	buf_put_z(out, "CAPABILITY");
	for (size_t i = 0; i < countof(capabilities); i++)
		if (!is_taken_away(s, str_of(capabilities[i])))
			put_capability(out, s, capabilities[i]);
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
