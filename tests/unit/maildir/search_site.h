/* SPDX-License-Identifier: ISC */
/* What the tests of search.db share: an account that has messages by chance, and keys that may find some of them. */
#pragma once

#include "maildir/store.h"
#include "tests/unit/maildir/test.h"

/* Of the test that runs. */
extern struct site *site;

int search_set_up(void **state);
int search_tear_down(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, search_set_up, search_tear_down)

/* A message for INBOX. Not synced: there are many. */
void add(struct str message);
void fill(size_t count);

/* The uids in INBOX that the key finds. */
void find(struct search_key *, struct buf *found);
struct search_key text_key(enum search_kind, const char *field, struct str text);
size_t count_found(enum search_kind, const char *field, const char *text);
/* One that may well find something; its text lives as long as the site. */
void some_key(struct search_key *);

/* Until search.db knows all there is. */
void build(void);
/* A file of the account's own folder. */
void take_away(const char *name);
/* The account is opened anew, without search.db. */
void forget_db(void);
/* What a query of search.db says. */
int64_t number(const char *sql);
