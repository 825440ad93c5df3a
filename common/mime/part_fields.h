/* SPDX-License-Identifier: ISC */
/*
 * What the MIME fields of one header say (RFC 2045 3, 2183, 3282, 2557, 1864): the half
 * of part.c that reads fields. Only part.c calls it.
 */
#pragma once

#include "common/mime/part.h"

/* Empty lists, everything absent. */
void part_fields_init(struct part *);
/* RFC 2045 5.2, or RFC 2046 5.1.5 in a digest: what holds where a header says nothing. */
void part_fields_default(struct arena *, struct part *, bool in_digest);
/* Reads the header into the part and puts defaults where fields are absent or broken. */
void part_fields_read(struct arena *, struct part *, struct str header, bool in_digest);
/* A multipart's boundary; empty where there is no usable one. */
struct str part_boundary(const struct part *);
