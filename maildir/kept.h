/* SPDX-License-Identifier: ISC */
/*
 * Undelete: the files of expunged messages are kept for a while in trivet-deleted/, which is a Maildir with an index of
 * its own, and so outside the quota. A file gets there and back by one rename, so that it is always in exactly one
 * of the two, and each side's scan takes it in as a new file: no number is ever given twice. Its name there is
 *
 *	time.unique.host,D=seconds,S=size,W=wire:2,FLAGS
 *
 * D= being the moment from which it is kept; that is part of what names call the prefix.
 * A row of `expunged` whose base begins with a mark tells whoever finds the file behind that it is to be kept.
 */
#pragma once

#include "maildir/private.h"

extern const char kept_dir[];	/* "trivet-deleted" */

/* ---- kept.c: on the way in ---- */

/* What one command expunges from one mailbox. */
struct kept_batch;

/* NULL where nothing is kept; freed by kept_take, or kept_forget. */
struct kept_batch *kept_batch_new(struct account *, const struct box *);
/* One of them, with all that its row says. */
void kept_note(struct kept_batch *, uint32_t flags, uint64_t keywords, struct str base, struct str letters);
/* In the transaction, when their rows are dropped, all with this modseq: those say that they are to be kept. */
must_check enum store_result kept_mark(struct kept_batch *, int64_t box, uint64_t modseq);
/* After the commit: their files go. False: some could not now; the next scan will find them. */
bool kept_take(struct kept_batch *, const struct place *);
void kept_forget(struct kept_batch *);
/*
 * In a transaction: a file without a row that somebody expunged and had no time to take away. True: it is kept
 * now, or gone.
 */
bool kept_take_leftover(struct account *, const struct box *, const struct place *,
    const struct file_name *, bool in_new);
/* Is this what the base of an expunged row says of that file, marked or not? */
bool kept_names(struct str expunged_base, struct str base);

/* A name of a file that is kept: from when, or false. The prefix without that. */
bool kept_time(const struct file_name *, int64_t *since, struct str *prefix);
/* The cur/ of the folder there that is called the same, made if need be; -1 with errno. */
int kept_open_cur(struct account *, struct str mailbox);
/*
 * Makes these keywords known to the folder there: by its own account, as only that may write its trivet-mailbox. *out: all
 * that it has.
 */
must_check enum store_result kept_learn_keywords(struct account *, struct str mailbox,
    const struct keywords *, uint64_t used, struct keywords *out);
/* Of one message, in the notation of there. \Deleted is what brought it there: it would go again at once if it came back. */
void kept_put_letters(struct buf *out, uint32_t flags, uint64_t bits, const struct keywords *,
    const struct keywords *there);
/* False with errno. */
must_check bool kept_move_file(int from, const char *name, int cur, const struct file_name *,
    struct str letters);

/* ---- kept_sweep.c: in the background ---- */

/* Before a mailbox is deleted: what its rows know more than its files is written into their names. */
void kept_before_delete(struct account *, struct str name);
/* The directory of a mailbox that is being deleted goes out of sight, to that path; errno where not. */
bool kept_put_away(struct account *, const char *dir, struct buf *path);
/* From there its messages are kept, or it comes back. */
void kept_finish_delete(struct account *, const char *dir, struct buf *path, bool deleted);

/* One slice of moving what kept_put_away put there, and of removing what is too old. True while there is more. */
bool kept_slice(struct account *);
/* All of the first at once. */
void kept_settle(struct account *);
void kept_close(struct account *);

/* So much is there now whose time will be over. */
void kept_look_later(struct account *, uint64_t bytes);

/* ---- kept_view.c: as a client sees it ---- */

/* Is it a name in there that no mailbox of the account has? *inner is what it is called there: empty, the top. */
bool kept_has_name(struct account *, struct str given, struct buf *inner);
/* The account in there, opened if need be; STORE_NO_SUCH: nothing has been kept. */
must_check enum store_result kept_view(struct account *, struct account **out);
must_check enum store_result kept_open(struct account *, struct str inner, struct mailbox **out);
must_check enum store_result kept_status(struct account *, struct str inner, struct arena *,
    struct mailbox_info *out);
/* COPY out of it, into a mailbox of the account whose it is. */
must_check enum store_result kept_copy(struct mailbox *, const struct uid_set *, struct str to,
    struct arena *, struct copied *out);
