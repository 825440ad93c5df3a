/* SPDX-License-Identifier: ISC */
/*
 * SORT's order (RFC 5256 3): messages come in by their sequence numbers with what is compared of
 * them (sorting.h), are sorted in steps, and those that compare alike stay in that order. Pure.
 */
#pragma once

#include "maildir/sorting.h"
#include "maildir/store.h"

enum {
	SORTED_BYTES_MAX = 256 << 20,	/* texts of all messages together */
	SORTED_RUN = 1024,		/* messages sorted at once; then runs are merged, two a step */
};

struct sorted;

/* The criteria are copied: at most SORT_CRITERIA_MAX count. */
struct sorted *sorted_new(const struct sort_criterion *, size_t count);
/* Takes NULL. */
void sorted_free(struct sorted *);
/* Does any criterion need the record? */
bool sorted_needs_record(const struct sorted *);
/* record may be NULL where none is needed. False: over SORTED_BYTES_MAX. */
must_check bool sorted_add(struct sorted *, const struct message *, const struct sorting *record);
/* True while there is more to do. */
bool sorted_step(struct sorted *);
/* After that: the uids in order. */
size_t sorted_count(const struct sorted *);
uint32_t sorted_uid(const struct sorted *, size_t i);
