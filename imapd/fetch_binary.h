/* SPDX-License-Identifier: ISC */
/* A section of BINARY or BINARY.SIZE as FETCH goes through it (RFC 3516): found, measured, told. */
#pragma once

#include "imapd/imapd.h"

struct binary_section {
	const struct section *section;
	struct encoded_part part;
	uint64_t from, to;		/* wanted of what is decoded; to: not included */
	bool measured;
	uint64_t size;			/* of what is wanted, decoded */
	bool has_nul;			/* in that */
	uint64_t raw_at, decoded_at;	/* while it is read */
	uint64_t left;			/* still to be sent */
};

/* In the open content. */
must_check enum store_result binary_find(struct content *, const struct section *, struct arena *,
    struct part_cache **, struct section_memory *, struct binary_section *out);
/* RFC 3516 4.3: nobody knows how to decode it: NO [UNKNOWN-CTE]. */
bool binary_is_unknown(const struct binary_section *);
/* Slices of work.content; WAIT until it is this session's turn again. GO: measured, or *result is not STORE_OK. */
enum next binary_measure(struct session *, struct binary_section *, bool size_only, enum store_result *result);
/* "BINARY.SIZE[1] 42" */
void binary_put_size(struct session *, const struct binary_section *);
/* "BINARY[1] {42}" CRLF, or the whole where nothing is to follow: false. */
must_check bool binary_begin(struct session *, struct binary_section *);
/* What was announced, in slices; END where it cannot be read. */
enum next binary_put(struct session *, struct binary_section *);
