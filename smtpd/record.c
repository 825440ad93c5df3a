/* SPDX-License-Identifier: ISC */
/*
 * A record as octets: numbers of eight octets, least first; texts with their length before them. The
 * reader takes nothing on trust: the file may be torn.
 */
#include "smtpd/record.h"

enum { RECORD_VERSION = 1 };

static void
put_number(struct buf *out, uint64_t n)
{
	for (int shift = 0; shift < 64; shift += 8)
		buf_put_c(out, (char)(n >> shift & 255));
}

static void
put_text(struct buf *out, struct str text)
{
	put_number(out, text.n);
	buf_put(out, text);
}

void
record_put(struct buf *out, const struct record *record)
{
	put_number(out, RECORD_VERSION);
	put_text(out, record->trace);
	put_text(out, record->sender);
	put_number(out, record->credential);
	put_text(out, record->account);
	put_text(out, record->peer);
	put_number(out, (uint64_t)record->arrived);
	put_number(out, record->eight_bit);
	put_number(out, record->count);
	for (size_t i = 0; i < record->count; i++) {
		put_number(out, record->recipients[i].kind);
		put_text(out, record->recipients[i].given);
		put_text(out, record->recipients[i].address);
	}
}

/* The first fault makes all later ones return nothing. */
struct reader {
	struct str rest;
	bool bad;
};

static uint64_t
get_number(struct reader *r)
{
	uint64_t n = 0;

	if (r->rest.n < 8)
		r->bad = true;
	if (r->bad)
		return 0;
	for (int i = 7; i >= 0; i--)
		n = n << 8 | (unsigned char)r->rest.p[i];
	r->rest = str_from(r->rest, 8);
	return n;
}

static struct str
get_text(struct reader *r)
{
	uint64_t n = get_number(r);
	struct str text;

	if (n > r->rest.n)
		r->bad = true;
	if (r->bad)
		return STR_EMPTY;
	text = str_sub(r->rest, 0, (size_t)n);
	r->rest = str_from(r->rest, (size_t)n);
	return text;
}

static const struct record_recipient *
get_recipients(struct reader *r, struct arena *arena, size_t count)
{
	struct record_recipient *recipients;

	/* Each takes 24 octets at least: a count beyond that is a lie. */
	if (r->bad || count > r->rest.n / 24) {
		r->bad = true;
		return NULL;
	}
	recipients = arena_array(arena, struct record_recipient, count);
	for (size_t i = 0; i < count; i++) {
		uint64_t kind = get_number(r);

		r->bad |= kind > TARGET_REMOTE;
		recipients[i].kind = (enum target_kind)kind;
		recipients[i].given = get_text(r);
		recipients[i].address = get_text(r);
	}
	return recipients;
}

bool
record_get(struct str text, struct arena *arena, struct record *out)
{
	struct reader r = { .rest = text };
	struct record record = { 0 };
	uint64_t credential;

	r.bad = get_number(&r) != RECORD_VERSION;
	record.trace = get_text(&r);
	record.sender = get_text(&r);
	credential = get_number(&r);
	r.bad |= credential > CREDENTIAL_INTERNAL;
	record.credential = (enum credential_kind)credential;
	record.account = get_text(&r);
	record.peer = get_text(&r);
	record.arrived = (int64_t)get_number(&r);
	record.eight_bit = get_number(&r) != 0;
	record.count = (size_t)get_number(&r);
	record.recipients = get_recipients(&r, arena, record.count);
	if (r.bad || r.rest.n != 0)
		return false;
	*out = record;
	return true;
}
