/* SPDX-License-Identifier: ISC */
/*
 * How the journal's records lie in a segment, pure: octets in, structs out. A frame is a header of FRAME_HEADER
 * octets and a payload, and begins at a multiple of FRAME_ALIGN. The header repeats the segment's key, a random
 * number from its file's name, and the frame's offset: so no octets that a stranger sent are ever taken for one.
 */
#pragma once

#include "common/base/buf.h"
#include "common/base/id.h"

enum {
	FRAME_HEADER = 96,
	FRAME_ALIGN = 32,
	FRAME_FINGERPRINT = 16,
};

enum frame_kind {
	FRAME_MESSAGE = 1,	/* payload: envelope, and the body unless it has a file of its own */
	FRAME_DONE,		/* payload: u32 each, recipients whose copies were made in mailboxes */
	FRAME_SYNCED,		/* payload: two places; copies of what was DONE between them are on disk */
};

struct place {
	uint64_t segment;	/* its number; later ones have greater numbers */
	uint64_t offset;
};

struct frame {
	enum frame_kind kind;
	bool in_file;			/* the body lies in spool/TRACE */
	char trace[ID_LENGTH];
	char fingerprint[FRAME_FINGERPRINT];
	uint64_t envelope_size;		/* of other kinds: of the payload */
	uint64_t body_size;
	uint32_t envelope_sum;
	uint32_t body_sum;
};

static inline struct str
frame_trace(const struct frame *f)
{
	return (struct str){ f->trace, ID_LENGTH };
}

/* Octets that it takes in the segment, padding included. */
uint64_t frame_length(const struct frame *);
void frame_put_header(struct buf *out, const struct frame *, uint64_t key, uint64_t offset);
/* Zeros up to the next place where a frame may begin, counted from `start` of out. */
void frame_pad(struct buf *out, size_t start);
/* The header at the start of bytes, if there is one that belongs here. Its payload is not looked at. */
must_check bool frame_get_header(struct str bytes, uint64_t key, uint64_t offset, struct frame *out);
/* The payload is all there and its checksums are right. `bytes` begins with the header. */
must_check bool frame_is_whole(struct str bytes, const struct frame *);

/* payload: views into the segment's octets. */
typedef void frame_found(void *context, const struct frame *, uint64_t offset, struct str payload);
/* A header without its payload: torn at the end of a crash, or damaged. */
typedef void frame_torn(void *context, const struct frame *, uint64_t offset);
/* All frames of a segment's octets, in order, whatever lies between them. Linear. */
void frame_scan(struct str bytes, uint64_t key, frame_found *, frame_torn *, void *context);

void place_put(struct buf *out, struct place);
must_check bool place_get(struct str *payload, struct place *out);
/* a lies before b. */
bool place_before(struct place a, struct place b);
