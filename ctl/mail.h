/* SPDX-License-Identifier: ISC */
/*
 * What the commands share that work on accounts' mail: which accounts, and one process for each, which becomes the
 * user that the mail belongs to, reaches nothing but its folder, and tells what it finds by a pipe, one JSON object a
 * line. Neither the store (two things are called account) nor root's rights are on this side of it.
 */
#pragma once

#include <stdio.h>

#include <jansson.h>

#include "common/daemon/keeper.h"
#include "ctl/ctl.h"

enum mail_task { MAIL_CHECK, MAIL_LOOK, MAIL_RECOUNT, MAIL_UNDELETE };

struct mail_order {
	enum mail_task task;
	bool repair;
	bool progress;		/* somebody watches */
	bool dry_run;
	int64_t since;
	struct str folder;	/* empty: all */
};

/* ---- mail_accounts.c ---- */

/*
 * The accounts that the words name: addresses, or domains with all that are in them; no words are all accounts of
 * the site, those of the machine that have a folder here included. False after telling why not.
 */
must_check bool mail_find_accounts(struct ctl *, struct keeper_grant **out, size_t *count);

/* ---- mail_child.c ---- */

/* What the other process says: the object of one line. */
typedef void mail_line(void *context, json_t *);

enum mail_end {
	MAIL_DONE,
	MAIL_NONE,	/* there is no such folder: nobody has used the account yet */
	MAIL_FAILED,	/* told on standard error */
};

/* Runs the order on one account and returns when it is done. */
enum mail_end mail_run(struct ctl *, const struct keeper_grant *, const struct mail_order *,
	mail_line *, void *context);
void mail_put_size(struct buf *, uint64_t octets);
