/* SPDX-License-Identifier: ISC */
/* Any octets as a segment of the journal: what is found lies within them, and reads as it was written. */
#include "smtpd/checksum.h"
#include "smtpd/frame.h"
#include "smtpd/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KEY = 7 };

struct segment {
	struct str octets;
	uint64_t end;		/* of the last frame found */
};

static void
on_found(void *context, const struct frame *frame, uint64_t offset, struct str payload)
{
	struct segment *s = context;
	struct arena *arena = arena_new();
	struct str places = payload;
	struct record record;
	struct place place;

	if (offset < s->end || offset % FRAME_ALIGN != 0 ||
	    payload.p != s->octets.p + offset + FRAME_HEADER ||
	    payload.n > s->octets.n - offset - FRAME_HEADER)
		fatal("a frame beyond its segment");
	s->end = offset + FRAME_HEADER + payload.n;
	(void)!place_get(&places, &place);
	(void)!record_get(payload, arena, &record);
	(void)frame;
	arena_free(arena);
}

static void
on_torn(void *context, const struct frame *frame, uint64_t offset)
{
	(void)frame;
	if (offset >= ((struct segment *)context)->octets.n)
		fatal("torn beyond the end");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct segment s = { .octets = { (const char *)data, size } };
	struct frame frame = { .kind = FRAME_DONE, .envelope_size = size };
	scoped_buf framed = BUF_INIT;

	frame_scan(s.octets, KEY, on_found, on_torn, &s);
	/* And as a payload that is right. */
	frame.envelope_sum = checksum_add(0, s.octets);
	frame_put_header(&framed, &frame, KEY, 0);
	buf_put(&framed, s.octets);
	s = (struct segment){ .octets = buf_str(&framed) };
	frame_scan(s.octets, KEY, on_found, on_torn, &s);
	if (s.end != framed.n)
		fatal("a frame is not found again");
	return 0;
}
