/* SPDX-License-Identifier: ISC */
/*
 * What the files of account_check share. A look at a mailbox collects findings; what is found twice, with a pause
 * between, is one, as everything legal that lies between two states (private.h) is over by then.
 */
#pragma once

#include "common/base/map.h"
#include "maildir/private.h"

struct findings {
	struct arena *arena;	/* behind all texts */
	struct finding *all;
	size_t count;
	size_t room;
	struct map *by_key;	/* of kind, uid, mailbox and file */
};

void findings_free(struct findings *);
#define scoped_findings __attribute__((cleanup(findings_free))) struct findings
/* Texts are copied. */
void findings_add(struct findings *, const struct finding *);
/* Is there one of the same kind about the same thing? */
bool findings_have(const struct findings *, const struct finding *);
/* Leaves those in the first that are in both, as the later look saw them. */
void findings_keep_common(struct findings *first, struct findings *later);

struct check {
	struct account *a;
	const struct check_options *o;
	struct check_result result;
	bool kept;		/* it is what another account keeps: files come there without a number */
};

enum {
	LOOKS = 3,		/* at what seems to be wrong, */
	LOOK_AGAIN_MS = 400,	/* so long apart, where others work on the account */
};

/* Has another process the account open? Keepers have a socket there, which one that was killed leaves. */
bool check_has_company(struct check *);
/* To whom the check is for. */
void check_tell(struct check *, const struct finding *);

/* Statements of a check alone, which nobody keeps prepared. */
sqlite3_stmt *check_ask(struct check *, const char *sql, const struct value *);
enum store_result check_end(struct check *, sqlite3_stmt *);
must_check enum store_result check_do(struct check *, const char *sql, const struct value *);

/* ---- check_index.c ---- */

/* *usable: the mailboxes can be looked at. */
must_check enum store_result check_index(struct check *, bool *usable);
/* What a repair makes of new folders it makes now: they are mailboxes to be looked at then. */
must_check enum store_result check_tree(struct check *);

/* ---- check_mailbox.c ---- */

/*
 * Directories of a mailbox; those that are not there or cannot be opened are -1 and a finding. STORE_GONE: the
 * folder itself is not there. Makes nothing.
 */
must_check enum store_result check_place(struct check *, const struct box *, struct place *,
    struct findings *);
/* Everything about one mailbox; with `read` also what is in its files. */
must_check enum store_result check_mailbox(struct check *, int64_t box, bool read,
    struct findings *);

/* ---- check_repair.c ---- */

/* Puts right what was found about one mailbox, as far as it can be. */
must_check enum store_result check_repair(struct check *, int64_t box, const struct findings *);
/* Sums of one mailbox counted anew from its rows. */
must_check enum store_result check_recount(struct check *, int64_t box);
