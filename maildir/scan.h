/* SPDX-License-Identifier: ISC */
/*
 * One scan of a mailbox, for scan.c and the two halves of its work alone: scan_rows.c settles the rows with the files
 * that were listed, scan_adopt.c takes over the files that no row has.
 */
#pragma once

#include "common/base/map.h"
#include "maildir/private.h"

/* A file of cur/ or new/. */
struct entry {
	struct file_name name;
	struct str text;
	bool in_new;
	bool matched;	/* a row has it */
	bool shared;	/* another entry has the same prefix */
	struct entry *same;	/* that one */
	bool measured;
	bool no_nul;	/* seen when it was measured */
	uint64_t wire;
	/* Adopted: what it is to be called. */
	struct message_row row;
};

struct scan {
	struct account *a;
	int64_t number;
	const struct place *place;
	enum scan_mode mode;
	struct box box;
	uint64_t modseq;
	bool grew;
	bool reading_new;
	struct entry *entries;
	size_t count;
	struct map *by_prefix;
	struct buf doubts;	/* struct doubt of scan_rows.c */
	struct buf seen;	/* behind the entries: 'n' or 'c', name, NUL */
	struct buf claims;	/* struct claim */
	bool listed_locked;	/* all files with a claimed UID are in the list */
	bool changed;
};

/* All in the transaction of the scan. scan_rows.c: each row finds its file; where that is not as it says, the row is in doubt. */
must_check enum store_result scan_compare_rows(struct scan *);
must_check enum store_result scan_settle_doubts(struct scan *);
/* The scan changes something: it has a modseq of its own afterwards. */
must_check enum store_result scan_need_modseq(struct scan *);
/* The keywords that these letters of a name stand for; the mailbox may learn one by it. */
uint64_t scan_keyword_bits(struct scan *, struct str letters);
/* scan_adopt.c, after scan_compare_rows: what no row has becomes a message, or goes. */
must_check enum store_result scan_adopt_all(struct scan *);
