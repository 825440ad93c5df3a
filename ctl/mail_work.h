/* SPDX-License-Identifier: ISC */
/* The other side of ctl/mail.h: the process that works on one account's mail, and what it says. */
#pragma once

#include <stdio.h>

#include "maildir/store.h"

/* Words for JSON, stable; sentences for people: what is wrong, and what a repair made of it. */
const char *mail_finding_word(enum finding_kind);
void mail_put_finding(struct buf *, const struct finding *);
const char *mail_repair_words(enum finding_kind);
const char *mail_result_words(enum store_result);

struct mail_work {
	struct str address;
	uint64_t quota_bytes;
	uint64_t quota_messages;
	bool repair;
	bool progress;
	bool dry_run;
	int64_t since;
	struct str folder;
	uint32_t undelete_days;
	FILE *out;
};

/* Each takes the folder's descriptor over and returns the result for the end of the process. */
enum store_result mail_work_check(const struct mail_work *, int folder);
enum store_result mail_work_look(const struct mail_work *, int folder);
enum store_result mail_work_recount(const struct mail_work *, int folder);
enum store_result mail_work_undelete(const struct mail_work *, int folder);
