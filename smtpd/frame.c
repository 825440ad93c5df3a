/* SPDX-License-Identifier: ISC */
/*
 * Frames as octets; numbers least octet first:
 *
 *	0	magic			8	kind (4), flags (4)
 *	16	key of the segment	24	offset
 *	32	size of the envelope	40	size of the body
 *	48	their checksums (4, 4)	56	trace (16)
 *	72	fingerprint (16)	88	checksum of octets 0..87 (4), zeros (4)
 */
#include "smtpd/frame.h"

#include "smtpd/checksum.h"

enum {
	HEADER_CHECKED = 88,
	FLAG_IN_FILE = 1,
};

static const char magic[8] = { 't', 'r', 'i', 'v', 'e', 't', 'j', '1' };

static void
set_number(char *p, uint64_t n, int octets)
{
	for (int i = 0; i < octets; i++)
		p[i] = (char)(n >> 8 * i & 255);
}

static uint64_t
get_number(const char *p, int octets)
{
	uint64_t n = 0;

	for (int i = octets - 1; i >= 0; i--)
		n = n << 8 | (unsigned char)p[i];
	return n;
}

static uint64_t
payload_size(const struct frame *f)
{
	return f->envelope_size + (f->in_file ? 0 : f->body_size);
}

uint64_t
frame_length(const struct frame *f)
{
	uint64_t n = FRAME_HEADER + payload_size(f);

	return n + (FRAME_ALIGN - n % FRAME_ALIGN) % FRAME_ALIGN;
}

void
frame_put_header(struct buf *out, const struct frame *f, uint64_t key, uint64_t offset)
{
	char h[FRAME_HEADER] = { 0 };

	memcpy(h, magic, sizeof(magic));
	set_number(h + 8, f->kind, 4);
	set_number(h + 12, f->in_file ? FLAG_IN_FILE : 0, 4);
	set_number(h + 16, key, 8);
	set_number(h + 24, offset, 8);
	set_number(h + 32, f->envelope_size, 8);
	set_number(h + 40, f->body_size, 8);
	set_number(h + 48, f->envelope_sum, 4);
	set_number(h + 52, f->body_sum, 4);
	memcpy(h + 56, f->trace, ID_LENGTH);
	memcpy(h + 72, f->fingerprint, FRAME_FINGERPRINT);
	set_number(h + HEADER_CHECKED, checksum_add(0, (struct str){ h, HEADER_CHECKED }), 4);
	buf_put(out, (struct str){ h, sizeof(h) });
}

void
frame_pad(struct buf *out, size_t start)
{
	static const char zeros[FRAME_ALIGN];
	size_t over = (out->n - start) % FRAME_ALIGN;

	if (over > 0)
		buf_put(out, (struct str){ zeros, FRAME_ALIGN - over });
}

bool
frame_get_header(struct str bytes, uint64_t key, uint64_t offset, struct frame *out)
{
	const char *h = bytes.p;
	uint64_t kind, flags;

	if (bytes.n < FRAME_HEADER || memcmp(h, magic, sizeof(magic)) != 0 ||
	    get_number(h + HEADER_CHECKED, 4) !=
	    checksum_add(0, (struct str){ h, HEADER_CHECKED }) ||
	    get_number(h + 16, 8) != key || get_number(h + 24, 8) != offset)
		return false;
	kind = get_number(h + 8, 4);
	flags = get_number(h + 12, 4);
	if (kind < FRAME_MESSAGE || kind > FRAME_SYNCED || flags > FLAG_IN_FILE)
		return false;
	*out = (struct frame){
		.kind = (enum frame_kind)kind, .in_file = flags == FLAG_IN_FILE,
		.envelope_size = get_number(h + 32, 8), .body_size = get_number(h + 40, 8),
		.envelope_sum = (uint32_t)get_number(h + 48, 4),
		.body_sum = (uint32_t)get_number(h + 52, 4),
	};
	memcpy(out->trace, h + 56, ID_LENGTH);
	memcpy(out->fingerprint, h + 72, FRAME_FINGERPRINT);
	return true;
}

bool
frame_is_whole(struct str bytes, const struct frame *f)
{
	struct str payload = str_from(bytes, FRAME_HEADER);

	if (f->envelope_size > payload.n ||
	    (!f->in_file && f->body_size > payload.n - f->envelope_size))
		return false;
	if (checksum_add(0, str_sub(payload, 0, (size_t)f->envelope_size)) != f->envelope_sum)
		return false;
	return f->in_file || checksum_add(0, str_sub(payload, (size_t)f->envelope_size,
	    (size_t)f->body_size)) == f->body_sum;
}

/*
 * A header whose payload is not whole is stepped over as if it were none, and what follows is found all the
 * same: its length was right, but what was to be there may not be all that is.
 */
void
frame_scan(struct str bytes, uint64_t key, frame_found *found, frame_torn *torn, void *context)
{
	for (size_t at = 0; at + FRAME_HEADER <= bytes.n;) {
		struct str rest = str_from(bytes, at);
		struct frame f;

		if (!frame_get_header(rest, key, at, &f)) {
			at += FRAME_ALIGN;
		} else if (!frame_is_whole(rest, &f)) {
			torn(context, &f, at);
			at += FRAME_ALIGN;
		} else {
			found(context, &f, at,
			    str_sub(rest, FRAME_HEADER, (size_t)payload_size(&f)));
			at += (size_t)frame_length(&f);
		}
	}
}

/* ---- places ---- */

void
place_put(struct buf *out, struct place place)
{
	char p[16];

	set_number(p, place.segment, 8);
	set_number(p + 8, place.offset, 8);
	buf_put(out, (struct str){ p, sizeof(p) });
}

bool
place_get(struct str *payload, struct place *out)
{
	if (payload->n < 16)
		return false;
	out->segment = get_number(payload->p, 8);
	out->offset = get_number(payload->p + 8, 8);
	*payload = str_from(*payload, 16);
	return true;
}

bool
place_before(struct place a, struct place b)
{
	return a.segment != b.segment ? a.segment < b.segment : a.offset < b.offset;
}
