/* SPDX-License-Identifier: ISC */
/*
 * A story in sentences, or as JSON. What strangers wrote is shown without its control characters: it
 * goes to an administrator's terminal.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/utf8.h"
#include "common/mime/charset.h"
#include "ctl/why.h"
#include "smtpd/bounce.h"

/* ---- pieces ---- */

/* Any bytes as UTF-8 without control characters. */
static void
put_clean(struct buf *out, struct str text)
{
	scoped_buf known = BUF_INIT;
	struct str rest;
	uint32_t c;

	charset_put_guess(&known, text);
	rest = buf_str(&known);
	while (utf8_next(&rest, &c))
		utf8_put(out, c < ' ' || (c >= 0x7f && c < 0xa0) ? '?' : c);
}

static void
put_quoted(struct buf *out, struct str text)
{
	buf_put_c(out, '"');
	put_clean(out, text);
	buf_put_c(out, '"');
}

/* <address>; the null sender is <>. */
static void
put_address(struct buf *out, struct str address)
{
	buf_put_c(out, '<');
	put_clean(out, address);
	buf_put_c(out, '>');
}

static void
put_value(struct buf *out, const struct why_event *e, const char *key)
{
	put_clean(out, why_value(e, key));
}

/* "2026-11-21 18:48:32" */
static void
put_time(struct buf *out, int64_t ms)
{
	scoped_buf text = BUF_INIT;

	clock_put_rfc3339(&text, ms);
	buf_put(out, str_sub(buf_str(&text), 0, 10));
	buf_put_c(out, ' ');
	buf_put(out, str_sub(buf_str(&text), 11, 8));
}

/* Who it is that said something: another host, or this one. */
static void
put_said(struct buf *out, const struct why_event *e)
{
	if (why_value(e, "host").n > 0) {
		put_value(out, e, "host");
		buf_put_z(out, " said ");
	}
	put_quoted(out, why_value(e, "answer"));
}

static void
put_to(struct buf *out, const struct why_event *e)
{
	struct str to = why_value(e, "to"), given = why_value(e, "given");

	put_address(out, to);
	if (given.n > 0 && !str_eq_nocase(to, given)) {
		buf_put_z(out, " (for ");
		put_address(out, given);
		buf_put_c(out, ')');
	}
}

/* ---- one event, one sentence ---- */

static void
say_sender_refused(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)story;
	buf_put_z(out, "The sender ");
	put_address(out, why_value(e, "from"));
	buf_put_z(out, " was refused: ");
	put_quoted(out, why_value(e, "reply"));
}

static void
say_recipient_accepted(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)story;
	buf_put_z(out, "The recipient ");
	put_address(out, why_value(e, "to"));
	buf_put_z(out, " was accepted");
}

static void
say_recipient_refused(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)story;
	buf_put_z(out, "The recipient ");
	put_address(out, why_value(e, "to"));
	buf_put_z(out, " was refused: ");
	put_quoted(out, why_value(e, "reply"));
}

static void
say_submitted(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	uint64_t recipients = why_number(e, "recipients");

	(void)story;
	buf_printf(out, "Taken and kept safe: %llu octets for %llu %s",
	    (unsigned long long)why_number(e, "size"), (unsigned long long)recipients,
	    recipients == 1 ? "recipient" : "recipients");
}

static void
say_known(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)story;
	buf_put_z(out, "It was here already, as ");
	put_value(out, e, "kept_as");
	buf_put_z(out, "; its sender had not heard so, and it was not taken twice");
}

static void
say_no_room(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)story;
	buf_put_z(out, "No recipient's mailbox takes it: ");
	put_value(out, e, "why");
}

static void
say_accepted(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)e, (void)story;
	buf_put_z(out, "The client was told that the message is accepted");
}

static void
say_refused(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)story;
	buf_printf(out, "The message (%llu octets) was refused: ",
	    (unsigned long long)why_number(e, "octets"));
	put_quoted(out, why_value(e, "reply"));
}

static void
say_cut(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)story;
	buf_printf(out, "The client was gone before the end of the message, after %llu octets; "
	    "nothing was taken", (unsigned long long)why_number(e, "octets"));
}

static void
say_verdict(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)story;
	buf_put_z(out, "The mailbox of ");
	put_address(out, why_value(e, "to"));
	buf_put_z(out, " did not take it: ");
	put_quoted(out, why_value(e, "answer"));
}

static void
say_interrupted(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)story;
	buf_put_z(out, "The process that delivers to ");
	put_address(out, why_value(e, "to"));
	buf_put_z(out, " ended in the midst of it; the delivery is tried again");
}

static void
say_delivered(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	buf_put_z(out, "Delivered to ");
	put_to(out, e);
	for (size_t i = 0; i < story->recipient_count; i++) {
		const struct why_recipient *r = &story->recipients[i];

		if (!str_eq_nocase(r->address, why_value(e, "to")) || r->folder.n == 0)
			continue;
		buf_put_z(out, ", folder ");
		put_clean(out, r->folder);
		buf_put_z(out, ", UID ");
		put_clean(out, r->uid);
	}
}

static void
say_relayed(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)story;
	put_value(out, e, "host");
	buf_put_z(out, " took it for ");
	put_to(out, e);
	buf_put_z(out, why_number(e, "tls") ? ", over TLS, and said " : ", without TLS, and said ");
	put_quoted(out, why_value(e, "answer"));
}

static void
say_attempt(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)story;
	buf_put_z(out, "Tried to hand it to ");
	put_value(out, e, "destination");
}

static void
say_host_failed(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)story;
	put_value(out, e, "host");
	buf_put_z(out, " could not be used: ");
	put_quoted(out, why_value(e, "answer"));
}

static void
say_tls_failed(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)story;
	buf_put_z(out, "TLS with ");
	put_value(out, e, "host");
	buf_put_z(out, " failed (");
	put_value(out, e, "error");
	buf_put_z(out, "); tried without");
}

static void
say_deferred(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)story;
	buf_printf(out, "Try %llu for ", (unsigned long long)why_number(e, "attempts"));
	put_to(out, e);
	buf_put_z(out, " failed for now: ");
	put_said(out, e);
}

static void
say_rejected(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)story;
	buf_put_z(out, "Refused for good for ");
	put_to(out, e);
	buf_put_z(out, ": ");
	put_said(out, e);
}

static void
say_expired(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)story;
	buf_put_z(out, "Given up for ");
	put_to(out, e);
	buf_printf(out, " after %llu tries; at last ", (unsigned long long)why_number(e, "attempts"));
	put_said(out, e);
}

static void
say_bounced(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)story;
	buf_put_z(out, "The sender was told so, by message ");
	put_value(out, e, "report");
}

static void
say_bounce_dropped(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)story;
	buf_put_z(out, "Nobody was told that it failed for ");
	put_address(out, why_value(e, "to"));
	buf_put_z(out, ": ");
	put_value(out, e, "why");
}

static void
say_delay_told(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)story;
	buf_put_z(out, "The sender was told that it still waits, by message ");
	put_value(out, e, "report");
}

static void
say_removed(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)e, (void)story;
	buf_put_z(out, "Removed from the queue by the administrator; nobody was told");
}

static void
say_dismissed(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)story;
	buf_put_z(out, "We ended the connection: ");
	put_value(out, e, "why");
}

static void
say_login_failed(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	(void)story;
	buf_put_z(out, "A login as ");
	put_quoted(out, why_value(e, "user"));
	buf_put_z(out, " was refused: ");
	put_value(out, e, "why");
}

struct sentence {
	const char *word;
	void (*say)(struct buf *, const struct why_event *, const struct why_story *);
};

/* Events that are not here are told in the first lines, or by others. */
static const struct sentence sentences[] = {
	{ "login.failed", say_login_failed }, { "sender.refused", say_sender_refused },
	{ "recipient.accepted", say_recipient_accepted },
	{ "recipient.refused", say_recipient_refused }, { "data.cut", say_cut },
	{ "message.refused", say_refused }, { "dismissed", say_dismissed },
	{ "submitted", say_submitted }, { "known", say_known }, { "refused", say_no_room },
	{ "message.accepted", say_accepted }, { "verdict", say_verdict },
	{ "interrupted", say_interrupted }, { "delivered", say_delivered },
	{ "attempt", say_attempt }, { "host_failed", say_host_failed },
	{ "tls_failed", say_tls_failed }, { "relayed", say_relayed },
	{ "deferred", say_deferred }, { "rejected", say_rejected }, { "expired", say_expired },
	{ "bounced", say_bounced }, { "bounce_dropped", say_bounce_dropped },
	{ "delay_told", say_delay_told }, { "removed", say_removed },
};

/* ---- the first lines: what it is and who it came from ---- */

static const struct why_event *
sender_event(const struct why_story *story)
{
	return story->submitted != NULL ? story->submitted :
	    story->sender != NULL ? story->sender : story->refusal;
}

static void
put_title(struct buf *out, const struct why_story *story)
{
	put_time(out, story->events[0].at_ms);
	buf_put_z(out, " UTC  ");
	if (story->trace.n == 0) {
		buf_put_z(out, "Connection ");
		buf_put(out, story->sid);
		buf_put_z(out, ", which handed in no message\n");
		return;
	}
	buf_put_z(out, "Message ");
	buf_put(out, story->trace);
	if (story->submitted == NULL)
		buf_put_z(out, ", which was not taken");
	buf_put_c(out, '\n');
}

static void
put_origin(struct buf *out, const struct why_story *story)
{
	const struct why_event *e = story->connected;

	if (str_eq(why_value(story->submitted, "credential"), STR("internal"))) {
		buf_put_z(out, "    Made by this server");
		if (why_value(story->headers, "about").n > 0) {
			buf_put_z(out, ", to tell what became of message ");
			put_value(out, story->headers, "about");
		}
		buf_put_z(out, ".\n");
		return;
	}
	if (e == NULL)
		e = story->hello != NULL ? story->hello : &story->events[0];
	buf_put_z(out, "    Received from ");
	if (story->hello != NULL) {
		put_value(out, story->hello, "name");
		buf_put_c(out, ' ');
	}
	buf_put_c(out, '[');
	put_value(out, e, "peer");
	buf_put_c(out, ']');
	if (story->connected != NULL) {
		buf_put_z(out, " at the door ");
		put_value(out, story->connected, "door");
	}
	if (story->secure != NULL) {
		buf_put_z(out, ", over ");
		put_value(out, story->secure, "tls");
	} else {
		buf_put_z(out, ", without TLS");
	}
	if (story->login != NULL) {
		buf_put_z(out, ", logged in as ");
		put_value(out, story->login, "user");
	} else {
		buf_put_z(out, ", not logged in");
	}
	buf_put_z(out, ".\n");
}

static void
put_known_by(struct buf *out, const struct why_story *story)
{
	struct str subject = why_value(story->headers, "subject");
	struct str id = why_value(story->headers, "message_id");

	if (story->trace.n == 0)
		return;
	buf_put_z(out, "    From ");
	put_address(out, why_value(sender_event(story), "from"));
	if (story->headers != NULL) {
		buf_put_z(out, ", subject ");
		put_quoted(out, subject);
	}
	if (id.n > 0) {
		buf_put_z(out, ", Message-ID ");
		put_clean(out, id);
	}
	buf_put_z(out, ".\n");
}

/* ---- what is still to come ---- */

static void
put_waiting(struct buf *out, const struct why_recipient *r)
{
	int64_t left = r->next_at_ms / 1000 - clock_now();

	buf_put_z(out, "    Now: waits in the queue for ");
	put_address(out, r->address);
	buf_printf(out, ", tried %u %s; next attempt at ", r->attempts,
	    r->attempts == 1 ? "time" : "times");
	put_time(out, r->next_at_ms);
	buf_put_z(out, " UTC");
	if (left > 0) {
		buf_put_z(out, ", in ");
		bounce_put_span(out, left);
	}
	buf_put_z(out, ".\n");
}

static void
put_outlook(struct buf *out, const struct why_story *story)
{
	for (size_t i = 0; i < story->recipient_count; i++) {
		const struct why_recipient *r = &story->recipients[i];

		if (r->state == WHY_WAITING) {
			put_waiting(out, r);
		} else if (r->state == WHY_ON_ITS_WAY) {
			buf_put_z(out, "    Now: on its way to ");
			put_address(out, r->address);
			buf_put_z(out, ".\n");
		}
	}
}

static void
put_event(struct buf *out, const struct why_event *e, const struct why_story *story)
{
	scoped_buf when = BUF_INIT;

	for (size_t i = 0; i < countof(sentences); i++) {
		if (!why_is(e, sentences[i].word))
			continue;
		put_time(&when, e->at_ms);
		buf_put_z(out, "    ");
		buf_put(out, str_from(buf_str(&when), 11));
		buf_put_z(out, "  ");
		sentences[i].say(out, e, story);
		buf_put_z(out, ".\n");
	}
}

void
why_print(const struct why_story *story)
{
	scoped_buf out = BUF_INIT;

	put_title(&out, story);
	put_origin(&out, story);
	put_known_by(&out, story);
	for (size_t i = 0; i < story->count; i++)
		if (story->trace.n > 0 ? story->events[i].trace.n > 0 || story->submitted == NULL :
		    story->events[i].trace.n == 0)
			put_event(&out, &story->events[i], story);
	put_outlook(&out, story);
	fwrite(out.p, 1, out.n, stdout);
}

/* ---- JSON ---- */

static json_t *
json_clean(struct str text)
{
	scoped_buf clean = BUF_INIT;

	put_clean(&clean, text);
	return ctl_json_str(buf_str(&clean));
}

/* null where there is none. */
static json_t *
json_value(const struct why_event *e, const char *key)
{
	struct str value = why_value(e, key);

	return value.n > 0 ? json_clean(value) : json_null();
}

static json_t *
json_time(int64_t ms)
{
	scoped_buf text = BUF_INIT;

	if (ms == 0)
		return json_null();
	clock_put_rfc3339(&text, ms);
	return ctl_json_str(buf_str(&text));
}

static json_t *
json_recipient(const struct why_recipient *r)
{
	return json_pack("{s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:b, s:I, s:o, s:b}",
	    "address", json_clean(r->address),
	    "given", json_clean(r->given.n > 0 ? r->given : r->address),
	    "state", why_state_word(r->state),
	    "folder", r->folder.n > 0 ? json_clean(r->folder) : json_null(),
	    "uid", r->uid.n > 0 ? json_clean(r->uid) : json_null(),
	    "host", r->host.n > 0 ? json_clean(r->host) : json_null(),
	    "status", r->status.n > 0 ? json_clean(r->status) : json_null(),
	    "answer", r->answer.n > 0 ? json_clean(r->answer) : json_null(),
	    "tls", r->secure, "attempts", (json_int_t)r->attempts,
	    "next_attempt", json_time(r->next_at_ms), "sender_told", r->told);
}

static json_t *
json_event(const struct why_event *e)
{
	json_t *event = json_pack("{s:o, s:o}", "at", json_time(e->at_ms), "event", json_clean(e->word));

	for (size_t i = 0; i < e->field_count; i++) {
		char *key = str_path(e->fields[i].key);

		if (key != NULL)
			json_object_set_new(event, key, json_clean(e->fields[i].value));
		free(key);
	}
	return event;
}

json_t *
why_json(const struct why_story *story)
{
	json_t *recipients = json_array(), *events = json_array();
	const struct why_event *first = story->connected ? story->connected : &story->events[0];

	for (size_t i = 0; i < story->recipient_count; i++)
		json_array_append_new(recipients, json_recipient(&story->recipients[i]));
	for (size_t i = 0; i < story->count; i++)
		json_array_append_new(events, json_event(&story->events[i]));
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o}",
	    "at", json_time(story->events[0].at_ms),
	    "trace", story->trace.n > 0 ? json_clean(story->trace) : json_null(),
	    "sid", story->sid.n > 0 ? json_clean(story->sid) : json_null(),
	    "peer", json_value(first, "peer"), "door", json_value(story->connected, "door"),
	    "hello", json_value(story->hello, "name"), "tls", json_value(story->secure, "tls"),
	    "login", json_value(story->login, "user"),
	    "from", json_clean(why_value(sender_event(story), "from")),
	    "subject", json_value(story->headers, "subject"),
	    "message_id", json_value(story->headers, "message_id"),
	    "taken", story->submitted != NULL, "reply", json_value(story->refusal, "reply"),
	    "recipients", recipients, "events", events);
}
