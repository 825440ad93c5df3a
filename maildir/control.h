/* SPDX-License-Identifier: ISC */
/*
 * trivet-mailbox: what a folder is beside its messages, in a text file in its directory.
 * It is the only home of all this; the index keeps a copy. trivet-maildir(5) has the format.
 */
#pragma once

#include "common/base/buf.h"
#include "common/base/log.h"
#include "maildir/store.h"

enum {
	UID_RESERVE_STEP = 1000,
	MODSEQ_RESERVE_STEP = 100000,
	CONTROL_BYTES_MAX = 4 * 1024 * 1024,	/* of a file that is read */
	UID_JUMP = 1 << 22,		/* more than a mailbox has been given between a backup and its return */
	SUBSCRIBED_NAMES_MAX = 10000,	/* names subscribed without a mailbox */
};

struct keywords {
	size_t count;
	struct {
		struct str name;	/* in the owner's heap: keywords_free */
		char letter;		/* 'a'-'z', 'P', or LETTER_NONE */
	} k[KEYWORDS_MAX];
};

struct control {
	uint32_t uidvalidity;
	char id[24];			/* mailbox id, RFC 8474 */
	uint32_t uid_reserve;		/* no UID of this or above has been given out */
	uint64_t modseq_reserve;	/* likewise */
	unsigned special_use;
	bool subscribed;
	struct keywords keywords;
	struct buf subscribed_names;	/* INBOX only: names, each followed by '\n' */
	int64_t file;			/* files_identity of what was read or written */
	bool copied;			/* the file that was read is a copy: of when, nobody knows */
};

void control_free(struct control *);
#define scoped_control __attribute__((cleanup(control_free))) struct control
/* A mailbox made now: new id, reserves one step ahead, a uidvalidity above the one given. */
void control_new(struct control *, uint32_t above);

/* STORE_GONE: there is no such file; STORE_BROKEN: it is not one of ours. */
must_check enum store_result control_read(const struct log *, int dir, struct control *out);
/* Replaces the file: written, synced, renamed, directory synced. */
must_check enum store_result control_write(const struct log *, int dir, struct control *);

/* -1 where there is none; compared without case. */
int keywords_find(const struct keywords *, struct str name);
/*
 * Adds one with the next free letter ($Forwarded has P). STORE_TOO_LARGE: no more room;
 * STORE_BAD_NAME: no keyword (RFC 3501 9: atom). *number also where it was there.
 */
must_check enum store_result keywords_add(struct keywords *, struct str name, int *number);
void keywords_free(struct keywords *);
void keywords_copy(struct keywords *to, const struct keywords *from);
/* As the index keeps them: "aNonJunk P$Forwarded -Other". */
/* The bits of all these, unknown ones being added; of two that exclude each other the first counts. */
must_check enum store_result keywords_take(struct keywords *, const struct flags *, uint64_t *bits);
/* RFC 9979 4, 5: what a message that has these may not have beside them. */
uint64_t keywords_excluded(const struct keywords *, uint64_t bits);
/* RFC 9979 3: what means nothing without \Flagged. */
uint64_t keywords_of_flagged(const struct keywords *);
void keywords_put(struct buf *out, const struct keywords *);
void keywords_parse(struct keywords *, struct str text);
/* Letters of a set of keyword bits and back; unknown letters are passed over. */
void keywords_put_letters(struct buf *out, const struct keywords *, uint64_t bits);
uint64_t keywords_bits(const struct keywords *, struct str letters);
bool keywords_has_letter(const struct keywords *, char letter);
