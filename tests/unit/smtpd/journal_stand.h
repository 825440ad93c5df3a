/* SPDX-License-Identifier: ISC */
/*
 * What the tests of the journal and of the queue's rows share: a journal in a throw-away folder, and a syncer that
 * does what it is asked for, or fails, or waits.
 */
#pragma once

#include "smtpd/journal.h"

#define assert_str(a, b) assert_true(str_eq((a), (b)))

enum { SYNCS_MAX = 64, RECIPIENTS = 3 };

/* One of ours, two of one domain elsewhere. */
extern const struct record_recipient recipients[RECIPIENTS];

/* A sync that was asked for: done by the test's own timer, or when the test says so. */
struct asked {
	struct sync_request request;
	sync_done *done;
	void *context;
};

struct fixture {
	char dir[64];
	struct loop *loop;
	struct journal *journal;
	struct timer *timer;
	struct asked asked[SYNCS_MAX];
	size_t asked_count;
	unsigned syncs[SYNC_LANES];	/* how many were done */
	bool fails[SYNC_LANES];		/* they fail from now on */
	unsigned fail_next;		/* so many of SYNC_JOURNAL do */
	bool hold;			/* nothing is synced now */
	unsigned found, found_only;
	unsigned answers, kept;		/* of commits */
	unsigned wanted;		/* the loop stops at so many answers */
	const char *done_then;		/* this message is done when syncs were */
};

/* The *state of a test is a struct fixture, whose journal is open. */
int journal_set_up(void **state);
int journal_tear_down(void **state);
#define with_folder(test) cmocka_unit_test_setup_teardown(test, journal_set_up, journal_tear_down)

struct record record_named(const char *trace);
/* A message that is whole and not committed; out: its body. */
struct journal_entry *write_entry(struct fixture *, const char *trace, struct str body, struct body *out);
/* For journal_commit: counts the answer, and stops the loop at as many as are wanted. context: the fixture. */
void on_committed(void *context, bool ok);
/* Writes and commits; whether it is kept. */
bool try_commit(struct fixture *, const char *trace, struct str body);
void commit(struct fixture *, const char *trace, struct str body);
void reopen(struct fixture *);
void run_for(struct fixture *, int64_t ms);
/* How many messages are found again. */
unsigned count_live(struct fixture *);
/* The body that is read back; its size, or SIZE_MAX where there is none. */
size_t read_back(struct fixture *, const char *trace, struct buf *out);
/* n octets, the same every time. */
void fill(struct buf *out, size_t n);
/* In a folder of the journal's. */
unsigned count_files(struct fixture *, const char *folder);
/* The one segment that has something in it. */
int open_segment(struct fixture *, int flags);
